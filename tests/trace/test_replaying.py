"""Replaying: a field failure becomes a test."""

from __future__ import annotations

import pytest

from aiobc9x.trace.replaying import IDLE_S, Player
from aiobc9x.trace.tape import reels
from tests.trace.test_dialogue import Step, records

OPEN: Step = (">", b'AT+QIOPEN=1,0,"TCP","10.0.0.1",80,0,0,0\r')
OPENED: Step = ("<", b"\r\nOK\r\n\r\n+QIOPEN: 0,0\r\n")
READ: list[Step] = [(">", b"AT+QIRD=0,1024\r"), ("<", b"\r\n+QIRD: 2,0\r\nhi\r\n\r\nOK\r\n")]
EMPTY: list[Step] = [(">", b"AT+QIRD=0,1024\r"), ("<", b"\r\n+QIRD: 0\r\n\r\nOK\r\n")]
RECV = b'\r\n+QIURC: "recv",0\r\n'


class Host:
    """A program that talks to a replay, without a clock."""

    def __init__(self, *steps: Step) -> None:
        (reel,) = reels(records(list(steps)), "x")
        self.player = Player(reel, "x")
        self.ended = ""
        self.now = 0.0
        self.player.on_end = self._end
        self.player.power_on(0.0)

    def _end(self, reason: str) -> None:
        self.ended = reason

    def heard(self) -> bytes:
        """What it says now."""
        return self.player.take_output()

    def say(self, data: bytes, *, by: int = 0) -> bytes:
        """Write, in pieces of some size; return what comes back."""
        for start in range(0, len(data), by or len(data)):
            self.player.feed(data[start : start + (by or len(data))], self.now)
        return self.heard()

    def wait(self) -> bytes:
        """Let time pass, as far as the replay wants it to; return what comes."""
        heard = self.heard()
        while (due := self.player.deadline()) is not None:
            self.now = due
            self.player.tick(self.now)
            heard += self.heard()
        return heard


class TestOrder:
    """By the order of commands."""

    @pytest.mark.parametrize("by", [0, 1])
    def test_answers(self, by: int) -> None:
        """Each command has its own; what came unasked stands behind them."""
        host = Host(
            ("<", b"\r\nRDY\r\n"),
            (">", b"AT\r"),
            ("<", b"\r\nOK\r\n+CEREG: 1\r\n"),
            (">", b'AT+CPIN="1234"\r'),
            ("<", b"\r\nOK\r\n"),
        )
        assert host.heard() == b"\r\nRDY\r\n"
        assert host.say(b"AT\r", by=by) == b"\r\nOK\r\n+CEREG: 1\r\n"
        assert host.player.unplayed == ["AT+CPIN=..."]
        assert host.say(b'AT+CPIN="9999"\r', by=by) == b"\r\nOK\r\n"
        assert host.player.unplayed == []
        assert not host.ended

    def test_equal_commands_in_turn(self) -> None:
        """The first one that was not played yet."""
        host = Host(
            (">", b"AT+CFUN?\r"),
            ("<", b"\r\n+CFUN: 0\r\n\r\nOK\r\n"),
            (">", b"AT+CFUN?\r"),
            ("<", b"\r\n+CFUN: 1\r\n\r\nOK\r\n"),
        )
        assert b"+CFUN: 0" in host.say(b"AT+CFUN?\r")
        assert b"+CFUN: 1" in host.say(b"AT+CFUN?\r")
        assert b"+CFUN: 1" in host.say(b"AT+CFUN?\r")  # once more

    def test_another_order(self) -> None:
        """Of changes too: two tasks may come in another turn."""
        host = Host(
            (">", b"AT+CSCON=1\r"),
            ("<", b"\r\nOK\r\n+A: 1\r\n"),
            (">", b"AT+CEREG=5\r"),
            ("<", b"\r\nOK\r\n+B: 1\r\n"),
        )
        assert host.say(b"AT+CEREG=5\r") == b"\r\nOK\r\n+B: 1\r\n"
        assert host.say(b"AT+CSCON=1\r") == b"\r\nOK\r\n+A: 1\r\n"

    def test_an_answer_that_never_came(self) -> None:
        """Silence is replayed as well."""
        host = Host((">", b"AT\r"), (">", b"AT\r"), ("<", b"\r\nOK\r\n"))
        assert host.say(b"AT\r") == b""
        assert host.say(b"AT\r") == b"\r\nOK\r\n"

    @pytest.mark.parametrize("line", [b"AT+CGMR\r", b"AT+CFUN=1\r", b"AT+QIRD=3,1024\r"])
    def test_a_new_command(self, line: bytes) -> None:
        """It ends the replay, with words that name it and what was expected."""
        host = Host((">", b"AT\r"), ("<", b"\r\nOK\r\n"), (">", b"AT+CFUN?\r"))
        host.say(b"AT\r")
        assert host.say(line) == b""
        name = line.decode().strip()
        assert host.ended == f"the trace x has no {name} here; what comes next is AT+CFUN?"
        assert host.say(b"AT\r") == b""


class TestQuestions:
    """They change nothing."""

    def test_one_that_is_left_out(self) -> None:
        """What came behind it comes nevertheless, once the program waits."""
        host = Host(*EMPTY, ("<", RECV), *READ)
        assert host.wait() == RECV
        assert host.now == pytest.approx(IDLE_S)
        assert b"\r\nhi\r\n" in host.say(b"AT+QIRD=0,1024\r")

    def test_no_further_than_to_a_change(self) -> None:
        """What follows that is its consequence."""
        host = Host(
            (">", b"AT\r"),
            ("<", b"\r\nOK\r\n+A: 1\r\n"),
            (">", b"AT+CFUN=1\r"),
            ("<", b"\r\nOK\r\n+B: 1\r\n"),
        )
        assert host.wait() == b"+A: 1\r\n"
        assert host.say(b"AT+CFUN=1\r") == b"\r\nOK\r\n+B: 1\r\n"

    def test_a_change_does_not_wait_for_them(self) -> None:
        """What came behind a question that is left out stands before its answer."""
        host = Host(
            OPEN, OPENED, *EMPTY, ("<", RECV), (">", b"AT+QICLOSE=0\r"), ("<", b"\r\nOK\r\n")
        )
        host.say(OPEN[1])
        assert host.say(b"AT+QICLOSE=0\r") == RECV + b"\r\nOK\r\n"

    def test_a_read_never_finds_what_comes_later(self) -> None:
        """The answer of a peer stands behind what it was sent."""
        host = Host(OPEN, OPENED, (">", b'AT+QISEND=0,2,"yo"\r'), ("<", b"\r\nOK\r\n"), *READ)
        host.say(OPEN[1])
        assert host.say(b"AT+QIRD=0,1024\r") == b"\r\n+QIRD: 0\r\n\r\nOK\r\n"
        host.say(b'AT+QISEND=0,2,"yo"\r')
        assert b"\r\nhi\r\n" in host.say(b"AT+QIRD=0,1024\r")
        assert host.say(b"AT+QIRD=0,1024\r") == b"\r\n+QIRD: 0\r\n\r\nOK\r\n"

    def test_ones_that_come_once_more(self) -> None:
        """They get the last answer; one that was left out counts."""
        host = Host(
            (">", b"AT+CSQ\r"),
            ("<", b"\r\n+CSQ: 20,0\r\n\r\nOK\r\n"),
            (">", b"AT+CFUN=1\r"),
            ("<", b"\r\nOK\r\n"),
        )
        host.say(b"AT+CFUN=1\r")
        assert b"+CSQ: 20,0" in host.say(b"AT+CSQ\r")
        assert host.say(b"AT\r") == b"\r\nOK\r\n"
        assert not host.ended

    def test_the_table_of_sockets(self) -> None:
        """It has what is open by then, however often it is asked for."""
        row = b'\r\n+QISTATE: 0,"TCP","10.0.0.1",80,0,2,1,0\r\n'
        incoming = b'\r\n+QISTATE: 4,"TCP INCOMING","10.0.0.9",99,0,2,1,0\r\n'
        host = Host(
            OPEN,
            OPENED,
            ("<", b'\r\n+QIURC: "incoming",4,0,"10.0.0.9",99\r\n'),
            (">", b"AT+QISWTMD=0,1\r"),
            ("<", b"\r\nOK\r\n"),
            (">", b"AT+QICLOSE=0\r"),
            ("<", b'\r\nOK\r\n\r\nCLOSE OK\r\n\r\n+QIURC: "closed",4\r\n'),
            (">", b"AT+CFUN=1\r"),
            ("<", b"\r\nOK\r\n\r\nRDY\r\n"),
        )
        ok = b"\r\nOK\r\n"
        assert host.say(b"AT+QISTATE?\r") == ok
        host.say(OPEN[1])
        assert host.say(b"AT+QISTATE?\r") == row + incoming + ok
        assert host.say(b"AT+QISTATE=1,0\r") == row + ok
        assert host.say(b"AT+QISTATE=1,3\r") == ok
        host.say(b"AT+QISWTMD=0,1\r")
        assert host.say(b"AT+QISTATE=1,0\r") == row.replace(b",0\r", b",1\r") + ok
        host.say(b"AT+QICLOSE=0\r")
        assert host.say(b"AT+QISTATE?\r") == ok
        assert not host.ended


class TestSends:
    """One stream a socket, however it is cut."""

    STEPS: tuple[Step, ...] = (
        OPEN,
        OPENED,
        (">", b'AT+QISEND=0,2,"ab"\r'),
        ("<", b"\r\nOK\r\n\r\nSEND OK\r\n+A: 1\r\n"),
        (">", b'AT+QISEND=0,2,"cd"\r'),
        ("<", b"\r\nOK\r\n\r\nSEND OK\r\n+B: 1\r\n"),
    )
    TAKEN = b"\r\nOK\r\n\r\nSEND OK\r\n"

    @pytest.mark.parametrize(
        ("sizes", "heard"),
        [
            ([2, 2], [b"+A: 1\r\n", b"+B: 1\r\n"]),
            ([4], [b"+A: 1\r\n+B: 1\r\n"]),
            ([1, 3], [b"", b"+A: 1\r\n+B: 1\r\n"]),
            ([1, 1, 1, 1], [b"", b"+A: 1\r\n", b"", b"+B: 1\r\n"]),
        ],
    )
    @pytest.mark.parametrize("form", ["inline", "hex", "prompt"])
    def test_cuts_and_forms(self, sizes: list[int], heard: list[bytes], form: str) -> None:
        """What followed comes when as many bytes were sent."""
        host = Host(*self.STEPS)
        host.say(OPEN[1])
        for size, after in zip(sizes, heard, strict=True):
            if form == "inline":
                found = host.say(b'AT+QISEND=0,%d,"%s"\r' % (size, b"x" * size))
            elif form == "hex":
                found = host.say(b'AT+QISENDEX=0,%d,"%s"\r' % (size, b"78" * size))
            else:
                assert host.say(b"AT+QISEND=0,%d\r" % size) == b"\r\n> "
                found = host.say(b"\r" * size, by=1)
            assert found == self.TAKEN + after
        assert host.player.unplayed == []

    def test_what_came_within_the_answer(self) -> None:
        """It comes behind the result, or the program would wait for what the module had told."""
        host = Host(
            OPEN,
            OPENED,
            (">", b'AT+QISEND=0,2,"ab"\r'),
            ("<", RECV + b"\r\nOK\r\n"),
            *READ,
            ("<", b"\r\nSEND OK\r\n"),
        )
        host.say(OPEN[1])
        assert host.say(b'AT+QISEND=0,2,"ab"\r') == self.TAKEN + RECV

    @pytest.mark.parametrize("size", [3, 5])
    def test_more_than_was_sent(self, size: int) -> None:
        """That is new."""
        host = Host(*self.STEPS)
        host.say(OPEN[1])
        host.say(b'AT+QISEND=0,2,"ab"\r')
        host.say(b'AT+QISEND=0,%d,"%s"\r' % (size, b"x" * size))
        assert host.ended.startswith(f"the trace x has no AT+QISEND=0,{size},..., or not that many")

    def test_a_socket_that_nothing_was_sent_to(self) -> None:
        """Likewise."""
        host = Host(*self.STEPS)
        host.say(b'AT+QISEND=3,2,"ab"\r')
        assert "no AT+QISEND=3,2" in host.ended

    @pytest.mark.parametrize(
        "answer", [b"\r\nERROR\r\n", b"\r\nOK\r\n\r\nSEND FAIL\r\n", b"\r\n+CME ERROR: 3\r\n"]
    )
    def test_one_that_failed(self, answer: bytes) -> None:
        """It fails again, whatever its size."""
        host = Host(
            OPEN,
            OPENED,
            (">", b'AT+QISEND=0,2,"ab"\r'),
            ("<", answer + b"+A: 1\r\n"),
            (">", b'AT+QISEND=0,2,"ab"\r'),
            ("<", b"\r\nOK\r\n\r\nSEND OK\r\n"),
        )
        host.say(OPEN[1])
        assert host.say(b'AT+QISEND=0,2,"ab"\r') == answer + b"+A: 1\r\n"
        assert host.say(b'AT+QISEND=0,2,"ab"\r') == self.TAKEN
