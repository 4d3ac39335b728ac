"""Framer: the longest line, payload and number, and what is longer."""

import pytest

from aiobc9x.spec import LINE_MAX_BYTES, PUSH_MAX_BYTES, READ_MAX_BYTES
from aiobc9x.wire.framer import Damage, Framer, Line, Payload
from tests.wire.reference import fed, frames


class TestLines:
    """The limit is ours; the note states none."""

    @pytest.mark.parametrize("noise", [b"x", b"\x00", b"ab\r"])
    def test_a_line_may_have_4096_bytes_and_no_more(self, noise: bytes) -> None:
        """One more byte is damage, and the line after it is understood."""
        longest = (noise * LINE_MAX_BYTES)[: LINE_MAX_BYTES - 1] + b"e"
        assert frames(longest + b"\r\r\r\n") == [Line(longest)]
        (damage, line) = frames(longest + b"ee\r\nOK\r\n")
        assert isinstance(damage, Damage)
        assert damage.data == longest
        assert "4096" in damage.reason
        assert line == Line(b"OK")

    def test_an_endless_line_is_one_damage_at_once(self) -> None:
        """Nobody waits for an LF that may never come."""
        made = Framer()
        (damage,) = fed(made, [b"\x00" * 1000] * 50)
        assert isinstance(damage, Damage)
        assert damage.data == b"\x00" * LINE_MAX_BYTES
        assert fed(made, [b"\x00\nOK\r\n"]) == [Line(b"OK")]
        line, damage = made.feed(b"OK\r\n" + b"x" * 5000)
        assert line == Line(b"OK")
        assert isinstance(damage, Damage)

    def test_crs_behind_the_longest_line_do_not_count(self) -> None:
        """They are stripped."""
        longest = b"x" * LINE_MAX_BYTES
        assert frames(longest + b"\r" * 5000 + b"\n") == [Line(longest)]
        assert [type(f) for f in frames(longest + b"\r" * 5000 + b"x\n")] == [Damage]

    def test_crs_in_front_of_the_longest_line_do_not_count(self) -> None:
        """Nor does the rest of such a line begin another one."""
        push = b'+QIURC: "recv",0,1,x\r\n'
        line = b"z" * (LINE_MAX_BYTES - 1) + b'+QIURC: "recv",0,4097'
        payload, damage = frames(push + b"\r\r\r" + line + b"\r\n", push_sockets={0})
        assert payload == Payload(0, None, b"x")
        assert isinstance(damage, Damage)
        assert damage.data == line[:LINE_MAX_BYTES]


class TestPayloads:
    """What the note or we allow, and no more."""

    def test_the_longest_payload_passes(self) -> None:
        """1024 bytes are the most that AT+QIRD returns."""
        data = b"\n" * READ_MAX_BYTES
        assert frames(b"+QIRD: 1024,0\r\n" + data) == [Payload(None, 0, data)]

    def test_the_longest_push_passes(self) -> None:
        """The limit is ours; the note states none."""
        data = b"\r" * PUSH_MAX_BYTES
        stream = b'+QIURC: "recv",5,4096,' + data
        assert frames(stream, push_sockets={5}) == [Payload(5, None, data)]

    @pytest.mark.parametrize("digits", [10, 5000, 50_000])
    def test_a_number_of_many_digits_is_damage(self, digits: int) -> None:
        """It never reaches int(), which would raise."""
        stream = b"+QIRD: " + b"1" * digits + b"\nOK\n"
        assert [type(frame) for frame in frames(stream)] == [Damage, Line]


class TestSpaces:
    """A header of the note has one behind its colon and no others."""

    @pytest.mark.parametrize("spaces", [b"", b"   ", b" " * 8])
    def test_up_to_eight_are_passed_over(self, spaces: bytes) -> None:
        """Relatives print one too few or too many."""
        push = b'+QIURC:%b"recv",%b3,%b5\r\nhello\r\n\r\nOK\r\n' % (spaces, spaces, spaces)
        got = frames(push, push_sockets={3})
        assert got == [Payload(3, None, b"hello"), Line(b"OK")]

    def test_nine_make_a_line_of_it(self) -> None:
        """What is no header announces no payload."""
        line = b'+QIURC:%b"recv",3,5' % (b" " * 9)
        assert frames(line + b"\r\nhello\r\n", push_sockets={3}) == [Line(line), Line(b"hello")]
