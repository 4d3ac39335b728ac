"""Framer: what it knows about the line ends behind pushed data."""

import pytest

from aiobc9x.wire.framer import Damage, Framer, Line, Payload
from tests.support.chunks import bytewise, pieces
from tests.wire.reference import fed, framer

PUSH = b'\r\n+QIURC: "recv",0,2\r\nAB'
DATA = Payload(0, None, b"AB")


def pushing() -> Framer:
    """A framer with socket 0 in push mode."""
    return framer(push_sockets={0})


class TestPushEnds:
    """§2.3, §2.3.2: modules print a CRLF behind pushed data, or they don't."""

    @pytest.mark.parametrize("split", [False, True])
    def test_own_line_end_is_told_from_the_next_answer(self, split: bool) -> None:
        """Two CRLFs are one each; a single one belongs to what comes next."""
        for behind, end in [(b"\r\n\r\nOK\r\n", True), (b"\r\nOK\r\n", False)]:
            made = pushing()
            stream = PUSH + behind
            assert fed(made, bytewise(stream) if split else [stream]) == [DATA, Line(b"OK")]
            assert list(made.push_ends) == [end]

    def test_what_is_not_known_yet_is_shown(self) -> None:
        """Silence behind the data leaves it open."""
        made = pushing()
        assert made.behind_push is None
        for step in (PUSH, b"\r", b"\n"):
            made.feed(step)
        assert made.behind_push == b"\r\n"
        assert not made.push_ends
        made.feed(b"\r")
        assert made.behind_push is None
        assert list(made.push_ends) == [True]

    @pytest.mark.parametrize("lost", [1, 3, 4])
    def test_lost_bytes_are_damage(self, lost: int) -> None:
        """The data have swallowed line ends, so that what follows begins wrongly."""
        stream = PUSH.replace(b",2", b",%d" % (2 + lost)) + b"\r\n\r\nOK\r\n"
        made = pushing()
        assert [type(frame) for frame in made.feed(stream)] == [Payload, Damage, Line]
        assert list(made.push_ends) == [None]

    def test_boot_banner_tells_nothing(self) -> None:
        """It begins with LF CR."""
        made = pushing()
        assert made.feed(PUSH + b"\n\rF1: 0000\n\r") == [DATA, Line(b"F1: 0000")]
        assert list(made.push_ends) == [None]

    def test_entries_are_bounded(self) -> None:
        """Whoever never looks at them pays for 1024 at most."""
        made = pushing()
        for _ in range(3000):
            made.feed(PUSH)
        assert len(made.push_ends) == 1024

    @pytest.mark.parametrize("size", [10, 24, 27, 64])
    @pytest.mark.parametrize("own", [b"", b"\r\n"])
    def test_either_kind_is_told_however_it_is_cut(self, size: int, own: bytes) -> None:
        """Also where the data end and the next line begins in one chunk."""
        made = pushing()
        stream = (PUSH + own) * 5 + b"\r\nOK\r\n"
        assert fed(made, pieces(stream, size)) == [*[DATA] * 5, Line(b"OK")]
        assert list(made.push_ends) == [bool(own)] * 5
