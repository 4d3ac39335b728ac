"""Decoding: the commands tell how what comes must be read."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.trace.decoding import Decoder, Placed
from aiobc9x.wire.framer import Damage, Frame, Line, Payload, Prompt

OPENED = b"\r\nOK\r\n\r\n+QIOPEN: 2,0\r\n"
OPEN_PUSHING = b'AT+QIOPEN=1,2,"TCP","10.0.0.1",80,0,1,0\r'
PUSHED = b'\r\n+QIURC: "recv",2,4\r\nOK\r\n\r\n'
ANNOUNCED = [Line(b'+QIURC: "recv",2,4'), Line(b"OK")]


def frames(decoder: Decoder, data: bytes) -> list[Frame]:
    """What some bytes mean."""
    return [placed.frame for placed in decoder.received(data)]


def pushing() -> Decoder:
    """A socket in push mode is open."""
    decoder = Decoder()
    assert decoder.command_sent(OPEN_PUSHING) == 2
    assert frames(decoder, OPENED) == [Line(b"OK"), Line(b"+QIOPEN: 2,0")]
    return decoder


class TestPushes:
    """Whether data follow a "recv"."""

    def test_from_the_command_that_opens(self) -> None:
        """Even before its OK."""
        decoder = Decoder()
        decoder.command_sent(OPEN_PUSHING)
        assert frames(decoder, PUSHED + OPENED) == [
            Payload(2, None, b"OK\r\n"),
            Line(b"OK"),
            Line(b"+QIOPEN: 2,0"),
        ]

    def test_not_if_it_is_refused(self) -> None:
        """The ID may have another mode later."""
        decoder = Decoder()
        decoder.command_sent(OPEN_PUSHING)
        assert frames(decoder, b"\r\nERROR\r\n" + PUSHED) == [Line(b"ERROR"), *ANNOUNCED]

    @pytest.mark.parametrize(
        ("line", "answer"),
        [
            (b"AT+QICLOSE=2\r", b"\r\nOK\r\n\r\nCLOSE OK\r\n"),
            (b"AT+QISWTMD=2,0\r", b"\r\nOK\r\n"),
            (b"AT+QRST=1\r", b"\r\nOK\r\n\r\nRDY\r\n"),
            (b'AT+QIOPEN=1,2,"TCP","10.0.0.1",80,0,0,0\r', OPENED),
            (b"AT\r", b'\r\nOK\r\n\r\n+QIURC: "incoming",2,1,"10.0.0.9",99\r\n'),
        ],
    )
    def test_until_something_ends_it(self, line: bytes, answer: bytes) -> None:
        """At the very byte, also in the same chunk."""
        decoder = pushing()
        assert frames(decoder, PUSHED) == [Payload(2, None, b"OK\r\n")]
        decoder.command_sent(line)
        assert frames(decoder, answer + PUSHED)[-2:] == ANNOUNCED

    def test_a_switch_to_push_mode(self) -> None:
        """From its OK on."""
        decoder = Decoder()
        assert decoder.command_sent(b"AT+QISWTMD=2,1\r") == 2
        assert frames(decoder, b"\r\nOK\r\n" + PUSHED)[-1] == Payload(2, None, b"OK\r\n")

    def test_a_link_begins_anew(self) -> None:
        """Nothing is known of the module then."""
        decoder = pushing()
        decoder.begin_link()
        assert frames(decoder, PUSHED) == ANNOUNCED


class TestReads:
    """AT+QIRD and its header."""

    def test_a_header_without_a_read_is_a_line(self) -> None:
        """Nobody has asked."""
        decoder = Decoder()
        decoder.command_sent(b"AT\r")
        assert frames(decoder, b"\r\n+QIRD: 2,0\r\nhi\r\n") == [Line(b"+QIRD: 2,0"), Line(b"hi")]

    @pytest.mark.parametrize(
        ("setting", "answer"),
        [
            (b'AT+QICFG="dataformat",0,1\r', b"\r\nOK\r\n"),
            (b'AT+QICFG="dataformat"\r', b'\r\n+QICFG: "dataformat",0,1\r\n\r\nOK\r\n'),
        ],
    )
    def test_hex(self, setting: bytes, answer: bytes) -> None:
        """Set, or told."""
        decoder = Decoder()
        decoder.command_sent(setting)
        frames(decoder, answer)
        decoder.command_sent(b"AT+QIRD=0,1024\r")
        (payload, final) = decoder.received(b"\r\n+QIRD: 2,0\r\n6869\r\n\r\nOK\r\n")
        assert payload == Placed(Payload(None, 0, b"hi"), 0)
        assert final == Placed(Line(b"OK"), 0, None, True)

    def test_lengths_are_not_shown(self) -> None:
        """Then a comma separates header and data."""
        decoder = Decoder()
        decoder.command_sent(b'AT+QICFG="showlength"\r')
        frames(decoder, b'\r\n+QICFG: "showlength",0\r\n\r\nOK\r\n')
        decoder.command_sent(b"AT+QIRD=0,1024\r")
        assert frames(decoder, b"\r\n+QIRD: 2,hi\r\n\r\nOK\r\n")[0] == Payload(None, None, b"hi")


class TestPlaces:
    """Which socket a frame is about."""

    def test_results_that_name_none(self) -> None:
        """They are those of the last send and of the last close."""
        decoder = Decoder()
        decoder.command_sent(b'AT+QISEND=3,2,"hi"\r')
        frames(decoder, b"\r\nOK\r\n")
        decoder.command_sent(b"AT+QICLOSE=1\r")
        found = list(decoder.received(b"\r\nOK\r\n\r\nSEND OK\r\n\r\nCLOSE OK\r\n"))
        assert [placed.connect_id for placed in found] == [1, 3, 1]

    def test_a_prompt(self) -> None:
        """Only a command that has one gets it."""
        decoder = Decoder()
        decoder.command_sent(b"AT+QISEND=3,2\r", awaits_prompt=True)
        assert list(decoder.received(b"\r\n> ")) == [Placed(Prompt(), 3)]
        decoder.command_sent(b"AT\r")
        assert frames(decoder, b"\r\n> \r\n") == [Line(b"> ")]

    def test_what_is_left(self) -> None:
        """The link ends in the middle of a line."""
        decoder = Decoder()
        assert frames(decoder, b"\r\n+CS") == []
        assert [p.frame for p in decoder.rest()] == [Damage("line given up", b"+CS")]

    @pytest.mark.parametrize("line", [b"", b"\xff\r", b"AT\nAT\r", b"no command\r"])
    def test_noise_in_place_of_a_command(self, line: bytes) -> None:
        """Another program may have written it."""
        assert Decoder().command_sent(line) is None


@given(cuts=st.sets(st.integers(1, 120)))
def test_chunking_never_changes_the_frames(cuts: set[int]) -> None:
    """However the line cuts what comes."""
    whole, pieces = Decoder(), Decoder()
    for each in (whole, pieces):
        each.command_sent(b"AT+QISWTMD=2,1\r")
    stream = b"\r\nOK\r\n" + PUSHED + b"\r\n+CSQ: 1,0\r\n" + PUSHED
    edges = [0, *sorted(c for c in cuts if c < len(stream)), len(stream)]
    found = [p for a, b in pairwise(edges) for p in pieces.received(stream[a:b])]
    assert found == list(whole.received(stream))
