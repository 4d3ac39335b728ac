"""Exchange: one command in flight."""

import pytest

from aiobc9x.core.exchange import (
    ANSWER_MARGIN_S,
    CUT_SLACK_S,
    LINES_MAX,
    Exchange,
    Step,
    is_final,
    wire_time,
)
from aiobc9x.wire.commands.radio import At
from aiobc9x.wire.commands.tcpip import Qird, Qisend, Qistate
from aiobc9x.wire.framer import Payload


def query() -> Exchange:
    """Make an exchange whose command claims rows."""
    return Exchange(Qistate(), "purpose", 10.0, 2.0)


def send() -> Exchange:
    """Make an exchange that waits for a prompt."""
    return Exchange(Qisend(0, 3), "purpose", 10.0, 2.0, outgoing=b"abc")


class TestFinals:
    """What ends a command."""

    @pytest.mark.parametrize(
        "text", [b"OK", b"ERROR", b"+CME ERROR: 10", b"+CME ERROR:SIM failure", b"+CMS ERROR: 500"]
    )
    def test_a_final_result_ends_it(self, text: bytes) -> None:
        """The note's two, and those of 27.007."""
        exchange = query()
        assert is_final(text)
        assert exchange.on_line(text) is Step.DONE
        assert exchange.final == text
        assert exchange.succeeded == (text == b"OK")

    @pytest.mark.parametrize("text", [b"SEND OK", b"CLOSE OK", b"OKAY", b"ok", b"ERROR 5", b""])
    def test_other_lines_do_not(self, text: bytes) -> None:
        """Deferred results carry the word too."""
        assert not is_final(text)

    @pytest.mark.parametrize(
        ("final", "cme"),
        [
            (None, None),
            (b"OK", None),
            (b"ERROR", None),
            (b"+CME ERROR: 10", "10"),
            (b"+CME ERROR:SIM failure", "SIM failure"),
            (b"+CMS ERROR: \xff", "\\xff"),
        ],
    )
    def test_the_27007_code_is_kept(self, final: bytes | None, cme: str | None) -> None:
        """As text, for modules that answer in words."""
        exchange = query()
        exchange.final = final
        assert exchange.cme == cme


class TestLines:
    """Whose line it is."""

    def test_rows_are_information_lines(self) -> None:
        """In order of arrival."""
        exchange = query()
        rows = [b'+QISTATE: 0,"TCP","1.2.3.4",80,0,2,1,0', b'+QISTATE: 1,"UDP","::1",1,0,2,1,0']
        assert [exchange.on_line(row) for row in rows] == [Step.TAKEN, Step.TAKEN]
        assert exchange.lines == rows

    def test_an_answer_without_end_takes_no_memory(self) -> None:
        """Nobody gets a part of it for the whole."""
        exchange = query()
        row = b'+QISTATE: 0,"TCP","1.2.3.4",80,0,2,1,0'
        for _ in range(LINES_MAX):
            exchange.on_line(row)
        assert not exchange.turned_away
        assert exchange.on_line(row) is Step.TAKEN
        assert (len(exchange.lines), exchange.turned_away) == (LINES_MAX, True)

    def test_a_urc_in_between_is_somebody_elses(self) -> None:
        """The session looks at it."""
        exchange = query()
        assert exchange.on_line(b'+QIURC: "closed",0') is Step.NOT_MINE
        assert exchange.lines == []

    def test_the_echo_is_taken_and_noticed(self) -> None:
        """It is no information line."""
        exchange = query()
        assert exchange.on_line(b"AT+QISTATE?") is Step.TAKEN
        assert exchange.echoed
        assert exchange.lines == []

    def test_what_looks_like_the_echo_behind_a_row_is_none(self) -> None:
        """The echo comes first."""
        exchange = query()
        exchange.on_line(b"+QISTATE: row")
        assert exchange.on_line(b"AT+QISTATE?") is Step.NOT_MINE
        assert not exchange.echoed


class TestPrompt:
    """§2.2.4: a prompt is one only while it is due."""

    def test_a_prompt_is_due_once(self) -> None:
        """It brings the data out."""
        exchange = send()
        assert exchange.prompt_is_due
        assert exchange.on_prompt() == b"abc"
        assert not exchange.prompt_is_due

    def test_a_command_without_data_has_none(self) -> None:
        """Nor would it have anything to say."""
        exchange = query()
        assert not exchange.prompt_is_due
        assert exchange.on_prompt() == b""

    def test_ok_where_the_prompt_is_due_is_out_of_step(self) -> None:
        """It must belong to something else."""
        assert send().on_line(b"OK") is Step.LOST

    def test_error_where_the_prompt_is_due_is_an_answer(self) -> None:
        """The module takes no data now (N38)."""
        assert send().on_line(b"ERROR") is Step.DONE

    def test_ok_behind_the_data_is_an_answer(self) -> None:
        """``SEND OK`` follows."""
        exchange = send()
        exchange.on_prompt()
        assert exchange.on_line(b"OK") is Step.DONE


class TestPayload:
    """§2.2.6: one read, one payload."""

    def test_one_payload_is_kept(self) -> None:
        """Its worth is judged at the final result."""
        exchange = Exchange(Qird(0), "read", 10.0, 2.0)
        payload = Payload(None, 0, b"abc")
        assert exchange.on_payload(payload) is Step.TAKEN
        assert exchange.payload is payload
        assert exchange.damage is None

    def test_two_payloads_are_damage(self) -> None:
        """Nobody knows which was asked for."""
        exchange = Exchange(Qird(0), "read", 10.0, 2.0)
        exchange.on_payload(Payload(None, 0, b"abc"))
        exchange.on_payload(Payload(None, 0, b"abc"))
        assert exchange.damage == "the module answered one AT+QIRD with two payloads"


class TestBlanks:
    """Line ends and noise right behind an information line."""

    @pytest.mark.parametrize(
        "chunks",
        [
            [b"\r\n\x00", b"\r\n\r\nOK\r\n"],
            [b"\r\n\x00\r\n\r\nO"],
            [b"", b"\r\n\x00\r\n\r\n", b"O"],
        ],
    )
    def test_they_are_given_once(self, chunks: list[bytes]) -> None:
        """When something else comes, however the stream was cut."""
        exchange = Exchange(Qird(0), None, 0.0, 2.0)
        found = [exchange.collect_blanks(chunk) for chunk in (*chunks, b"K\r\n", b"\r\nOK")]
        assert [blanks for blanks in found if blanks is not None] == [b"\r\n\x00\r\n\r\n"]


class TestBeginning:
    """Whether the answer proper has begun, so that a URC is no data."""

    def test_data_or_a_row_begin_it(self) -> None:
        """Echo and URCs don't."""
        read, empty = (Exchange(Qird(0), "read", 10.0, 2.0) for _ in range(2))
        read.on_line(b"AT+QIRD=0,1024")
        read.on_line(b'+QIURC: "closed",0')
        assert not read.has_data
        read.on_payload(Payload(None, 0, b"abc"))
        assert read.has_data
        assert not empty.has_data
        empty.on_line(b"+QIRD: 0")
        assert empty.has_data


class TestDeadline:
    """The final result must come in time, and bytes that arrive buy a little more."""

    def test_silence_has_the_limit_alone(self) -> None:
        """From when the line was written."""
        assert query().deadline == 12.0

    def test_early_bytes_change_nothing(self) -> None:
        """There is time enough."""
        exchange = query()
        exchange.extend_for_traffic(10.1)
        assert exchange.deadline == 12.0

    def test_late_bytes_put_it_off(self) -> None:
        """An answer that is on its way may finish."""
        exchange = query()
        exchange.extend_for_traffic(11.9)
        assert exchange.deadline == 11.9 + ANSWER_MARGIN_S

    def test_a_trickle_does_not_put_it_off_for_ever(self) -> None:
        """A module that babbles without an answer is late as well."""
        exchange = query()
        for tenth in range(1000):
            exchange.extend_for_traffic(10.0 + tenth / 10)
        assert exchange.deadline == 12.0 + CUT_SLACK_S

    def test_a_trickle_puts_a_short_limit_off_by_less(self) -> None:
        """Whoever waits briefly has something else to try."""
        exchange = Exchange(At(), "purpose", 10.0, 0.5)
        for tenth in range(1000):
            exchange.extend_for_traffic(10.0 + tenth / 10)
        assert exchange.deadline == 15.5

    def test_what_comes_next_may_have_less_slack(self) -> None:
        """Such as a final result that a module may omit."""
        exchange = query()
        exchange.extend(30.0, 0.5)
        exchange.extend_for_traffic(30.0)
        assert exchange.deadline == 30.5

    def test_what_comes_next_has_its_own(self) -> None:
        """Such as the result of a payload; bytes put that off in turn."""
        exchange = query()
        exchange.extend(30.0)
        assert exchange.deadline == 30.0
        exchange.extend_for_traffic(100.0)
        assert exchange.deadline == 30.0 + CUT_SLACK_S

    def test_the_line_takes_ten_bits_a_byte(self) -> None:
        """8N1."""
        assert wire_time(960, 9600) == 1.0


def test_a_new_exchange_knows_nothing() -> None:
    """Its purpose is the session's business."""
    exchange = Exchange(At(), "purpose", 10.0, 2.0)
    assert (exchange.purpose, exchange.started) == ("purpose", 10.0)
    assert (exchange.final, exchange.payload, exchange.damage) == (None, None, None)
    assert not exchange.echoed
    assert not exchange.succeeded
