"""Framer: rules that change while bytes arrive."""

from aiobc9x.wire.framer import Framer, Line, Payload, Prompt
from tests.wire.reference import fed, framer


class TestHold:
    """A rule that hangs on an answer (§2.2.7, §2.2.11) changes right behind it."""

    STREAM = b'\r\nOK\r\n\r\n+QIURC: "recv",0,4\r\nOK\r\n\r\nOK\r\n'

    def test_the_rest_waits_for_the_next_call(self) -> None:
        """AT+QISWTMD takes effect at its OK."""
        made = framer(hold_after_final=True)
        assert made.feed(self.STREAM) == [Line(b"OK")]
        assert not made.hold_after_final
        made.push_sockets.add(0)
        assert made.feed(b"") == [Payload(0, None, b"OK\r\n"), Line(b"OK")]

    def test_held_bytes_come_before_new_ones(self) -> None:
        """The order of the stream is kept over several holds."""
        made = framer(hold_after_final=True)
        assert made.feed(b"OK\r\nERROR\r\nA") == [Line(b"OK")]
        made.hold_after_final = True
        assert made.feed(b"\r\nOK\r\nB\r\n") == [Line(b"ERROR")]
        made.hold_after_final = True
        assert made.feed(b"C\r\n") == [Line(b"A"), Line(b"OK")]
        assert made.feed(b"D\r\n") == [Line(b"B"), Line(b"C"), Line(b"D")]
        assert made.feed(b"") == ()

    def test_lines_and_payloads_do_not_stop_it(self) -> None:
        """Only a final result does; a payload that looks like one isn't."""
        made = framer(hold_after_final=True)
        assert fed(made, [b"SEND OK\r\n+QIRD: 4,0\r\nOK\r\n\r\n\r\n", b"x\r\n"]) == [
            Line(b"SEND OK"),
            Payload(None, 0, b"OK\r\n"),
            Line(b"x"),
        ]
        assert made.hold_after_final


class TestMoment:
    """A rule counts as it is when the byte comes that it bears on."""

    def test_a_payload_keeps_the_format_of_its_header(self) -> None:
        """A setting that changes meanwhile bears on the next one."""
        made = Framer()
        made.feed(b"+QIRD: 2,0\r\n3")
        made.hex_receive = True
        read, digit = Payload(None, 0, b"31"), Payload(None, 0, b"1")
        assert made.feed(b"1\r\n\r\n+QIRD: 1,0\r\n31\r\n\r\n") == [read, digit]
        made.hex_receive = False
        assert fed(made, [b"\r\n+QIRD: 2,0\r\n3", b"1\r\n"]) == [read]

    def test_a_stale_prompt_stays_text(self) -> None:
        """It arrived before the send was written."""
        made = Framer()
        for stale in (b">", b"AT\r>"):
            assert made.feed(b"\r\n" + stale) == ()
            made.prompt_due = True
            assert made.feed(b" \r\n> ") == [Line(stale + b" "), Prompt()]

    def test_a_prompt_may_become_due_behind_pushed_data(self) -> None:
        """What counts is when the byte comes."""
        made = framer(push_sockets={0})
        assert made.feed(b'+QIURC: "recv",0,2,AB') == [Payload(0, None, b"AB")]
        made.prompt_due = True
        assert made.feed(b">") == [Prompt()]
