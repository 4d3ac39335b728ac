"""Framer: every way to put line ends around a line or a header, against the reference."""

from collections.abc import Iterator
from itertools import product

import pytest

from aiobc9x.wire.framer import Framer
from tests.wire.reference import Reference, Rules, fed, without_reasons

RULES = Rules(push_sockets={1})
TEXTS = (
    b"OK",
    b"A",
    b"+QIRD: 3,0",
    b"+QIRD: 0",
    b'+QIURC: "recv",1,3',
    b'+QIURC: "recv",2,3',
    b'+QIURC: "recv",2',
)


def line_ends(most: int) -> Iterator[bytes]:
    """All rows of up to so many CRs and LFs."""
    for size in range(most + 1):
        yield from map(bytes, product(b"\r\n", repeat=size))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("before", [*line_ends(3)])
def test_any_line_ends(text: bytes, before: bytes) -> None:
    """Nothing but the line ends that belong to a header is taken from its payload."""
    for behind in line_ends(4):
        stream = b"\r\nOK\r\n%b%b%bab\r\n\r\nOK\r\n" % (before, text, behind)
        reference = Reference()
        reference.feed(RULES, stream)
        at = len(b"\r\nOK\r\n")
        for cut in (0, at, at + len(before), at + len(before) + len(text), len(stream) - 3):
            framer = RULES.apply(Framer())
            frames = without_reasons(fed(framer, [stream[:cut], stream[cut:]]))
            assert frames == reference.frames, (behind, cut)
            assert list(framer.push_ends) == reference.push_ends, (behind, cut)
