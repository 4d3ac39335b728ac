"""Framer: whether a line or a payload has begun and not ended."""

import pytest

from aiobc9x.wire.framer import Framer


@pytest.mark.parametrize(
    "data", [b"", b"\r", b"\n", b"\r\n", b"\r\nOK\r\n", b"\r\n+QIRD: 0\r\n\r\nOK\r\n"]
)
def test_between_lines_nothing_is_cut(data: bytes) -> None:
    """Line ends in front of a line are no part of it."""
    framer = Framer()
    framer.feed(data)
    assert not framer.is_cut


@pytest.mark.parametrize(
    "data",
    [b"O", b"\r\nOK", b"\r\nOK\r", b"\r\n+", b"\r\n+QIRD: 5,0\r", b"\r\n+QIRD: 5,0\r\nhel", b"+"],
)
@pytest.mark.parametrize("bytewise", [True, False])
def test_half_of_something_is(data: bytes, *, bytewise: bool) -> None:
    """A line, a header, or a payload; however it came."""
    framer = Framer()
    for chunk in [data[i : i + 1] for i in range(len(data))] if bytewise else [data]:
        framer.feed(chunk)
    assert framer.is_cut


def test_a_payload_in_hex_is_cut_as_well() -> None:
    """Its digits are counted by twos."""
    framer = Framer()
    framer.hex_receive = True
    framer.feed(b"\r\n+QIRD: 2,0\r\n61")
    assert framer.is_cut
    framer.feed(b"62\r\n\r\nOK\r\n")
    assert not framer.is_cut


def test_giving_up_ends_it() -> None:
    """Lines begin afresh."""
    framer = Framer()
    framer.feed(b"\r\nhalf a li")
    framer.resync()
    assert not framer.is_cut
