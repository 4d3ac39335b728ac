"""Framer: thousands of bytes at once, with and without payloads, against the reference."""

import random

import pytest

from aiobc9x.wire.framer import Framer
from benchmarks import workloads
from tests.wire.reference import Reference, Rules, fed, without_reasons

RULES = Rules(push_sockets={0, 1, 2})
LINES = b"\r\nOK\r\n\r\n+CSQ: 1,2\r\n" * 300
TAILS = (
    b"",
    b"\r",
    b"\r\nSEND",
    b'\r\n+QIURC: "recv",0,',
    b'\r\n+QIURC: "recv",0,5\r',
    b"\r\n+QIRD: 5,0,ab",
    b"\r\n+QIRD: 05,0\r\nabcde",
    b"A\nB\n",
    b"x" * 5000,
)


@pytest.mark.parametrize("maker", [workloads.push_64, workloads.mixed, workloads.urc_unique])
@pytest.mark.parametrize("tail", TAILS, ids=len)
def test_long_chunks(maker: workloads.Maker, tail: bytes) -> None:
    """A framer that has seen nothing, one in the middle of a line, and one behind a payload."""
    dice = random.Random(len(tail))
    parts = b"".join(maker(dice).data for _ in range(60))
    for stream in (parts + LINES + tail, LINES + parts + tail, LINES + tail + LINES):
        whole = stream + b"\r\n\r\nOK\r\n"
        reference = Reference()
        reference.feed(RULES, whole)
        for cut in (0, 3, 100, len(stream) - 1):
            framer = RULES.apply(Framer())
            frames = fed(framer, [whole[:cut], whole[cut : len(stream)], whole[len(stream) :]])
            assert without_reasons(frames) == reference.frames, cut
            assert list(framer.push_ends) == reference.push_ends, cut
