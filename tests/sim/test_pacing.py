"""Lane: ten bits for each byte, whoever asks when."""

import pytest

from aiobc9x.sim.pacing import GRANULE_S, Lane

BYTE_S = 10 / 9600


def lane(cut_at: bytes = b"", baud: int = 9600) -> Lane:
    made = Lane(cut_at)
    made.baud = baud
    return made


def test_without_a_rate_bytes_are_across_at_once() -> None:
    fast = Lane()
    assert fast.due() is None
    fast.put(b"x" * 5000, 1.0)
    assert fast.due() == 1.0
    assert len(fast.take(1.0)) == 5000
    assert len(fast) == 0


def test_a_byte_takes_ten_bits() -> None:
    slow = lane()
    slow.put(b"x", 5.0)
    due = slow.due() or 0
    assert due == pytest.approx(5.0 + 0.00104167)
    assert slow.take(5.001) == b""
    assert slow.take(due) == b"x"


def test_bursts_queue_behind_each_other() -> None:
    """The line is busy until the last byte before is across."""
    slow = lane()
    slow.put(b"ab", 0.0)
    slow.put(b"cd", 0.001)
    assert slow.take(4 * BYTE_S) == b"abcd"
    slow.put(b"e", 1.0)
    assert slow.due() == pytest.approx(1.0 + BYTE_S)


def test_a_late_call_delays_nothing() -> None:
    """What has crossed meanwhile comes at once; the rest keeps its time."""
    slow = lane()
    slow.put(bytes(100), 0.0)
    assert len(slow.take(50.5 * BYTE_S)) == 50
    assert slow.due() == pytest.approx(54 * BYTE_S)


def test_long_bursts_come_in_granules() -> None:
    """No more than 5 ms at a time, so that the host sees progress."""
    fast = lane(baud=115200)
    fast.put(bytes(1000), 0.0)
    due = fast.due()
    assert due is not None
    assert due <= GRANULE_S
    assert len(fast.take(due)) == 57


def test_pieces_end_behind_the_cut() -> None:
    """A command's end is known to the byte."""
    slow = lane(b"\r", 115200)
    slow.put(b"AT\rATI\r", 0.0)
    assert slow.due() == pytest.approx(3 * 10 / 115200)
    assert slow.take(3 * 10 / 115200) == b"AT\r"
    assert slow.take(7 * 10 / 115200) == b"ATI\r"


def test_a_kilobyte_takes_its_time() -> None:
    """However often one looks, 1024 bytes at 9600 baud take 1.0667 s."""
    slow = lane()
    slow.put(bytes(1024), 0.0)
    now, got = 0.0, 0
    while (due := slow.due()) is not None:
        now = due
        got += len(slow.take(now))
    assert got == 1024
    assert now == pytest.approx(1024 * BYTE_S)
