"""Each fault strikes where it says, as often as it says."""

import pytest

from aiobc9x.sim.faults import Fault, FaultKind, FaultPlan, parse_fault
from aiobc9x.sim.options import SimOptions
from tests.sim.desk import Desk, lines
from tests.support.words import CLOSE_OK, ERROR, OK, SEND_FAIL, SEND_OK

RECV = '+QIURC: "recv"'
RDY = lines("RDY")


def wrong_bits(said: bytes, meant: bytes) -> int:
    """Count the bits in which two texts of one length differ."""
    return sum((a ^ b).bit_count() for a, b in zip(said, meant, strict=True))


class TestPlan:
    """Counting and chance."""

    def test_after_and_times(self) -> None:
        plan = FaultPlan([Fault(FaultKind.ERROR, on="AT+Q", after=1, times=2)])
        struck = [plan.strike((FaultKind.ERROR,), "AT+QIRD") is not None for _ in range(5)]
        assert struck == [False, True, True, False, False]
        assert plan.struck == 2
        assert not plan.has(FaultKind.ERROR)

    def test_other_text_and_other_kinds_pass(self) -> None:
        plan = FaultPlan([Fault(FaultKind.ERROR, on="AT+Q")])
        assert plan.strike((FaultKind.ERROR,), "AT+CSQ") is None
        assert plan.strike((FaultKind.RESET,), "AT+QIRD") is None
        assert plan.has(FaultKind.ERROR)

    def test_a_fault_that_is_taken_back(self) -> None:
        """It strikes no more, what it has struck is still counted, and the others go on."""
        gone, there = Fault(FaultKind.ERROR, on="AT+Q", times=None), Fault(FaultKind.RESET, after=1)
        plan = FaultPlan([gone, there])
        assert plan.strike((FaultKind.ERROR,), "AT+QIRD") is gone
        assert plan.strike((FaultKind.RESET,), "") is None
        plan.remove(gone)
        assert plan.strike((FaultKind.ERROR,), "AT+QIRD") is None
        assert plan.strike((FaultKind.RESET,), "") is there
        assert plan.struck == 2
        with pytest.raises(ValueError, match="not in list"):
            plan.remove(gone)

    def test_equal_seeds_equal_luck(self) -> None:
        def run(seed: int) -> list[bool]:
            plan = FaultPlan([Fault(FaultKind.ERROR, times=None, probability=0.5)], seed)
            return [plan.strike((FaultKind.ERROR,), "") is not None for _ in range(64)]

        assert run(1) == run(1)
        assert run(1) != run(2)
        assert 10 < sum(run(1)) < 54


class TestLines:
    """What the module says."""

    def test_drop(self) -> None:
        """A lost recv URC; the data is there all the same."""
        desk = Desk(None, Fault(FaultKind.DROP_LINE, on=RECV))
        assert desk.hear(desk.open(), b"x") == b""
        assert desk.drain().startswith(lines("+QIRD: 1", "x"))

    @pytest.mark.parametrize(
        ("key", "line", "said"),
        [
            ("CLOSE OK", "AT+QICLOSE=0", OK),
            ("SEND OK", 'AT+QISEND=0,1,"x"', OK),
            ("OK", "AT+CFUN?", lines("+CFUN: 1")),
            ("+CFUN", "AT+CFUN?", OK),
            (">", "AT+QISEND=0,1", b""),
        ],
    )
    def test_drop_any_line(self, key: str, line: str, said: bytes) -> None:
        desk = Desk()
        desk.open()
        desk.module.board.faults.add(Fault(FaultKind.DROP_LINE, on=key))
        assert desk.run(line) == said

    def test_missing_open_result(self) -> None:
        desk = Desk(None, Fault(FaultKind.DROP_LINE, on="+QIOPEN"))
        assert desk.run('AT+QIOPEN=1,0,"TCP","1.2.3.4",8062', 60) == OK
        assert b",2,1,0\r\n" in desk.type("AT+QISTATE=1,0")

    def test_duplicate(self) -> None:
        desk = Desk(None, Fault(FaultKind.DUPLICATE_LINE, on='+QIURC: "closed"'))
        desk.open().close()
        assert desk.output() == lines('+QIURC: "closed",0') * 2

    def test_delay(self) -> None:
        desk = Desk(None, Fault(FaultKind.DELAY_LINE, on="CLOSE OK", delay_s=11))
        desk.open()
        assert desk.run("AT+QICLOSE=0", 10) == OK
        assert desk.wait(2) == CLOSE_OK

    def test_replace(self) -> None:
        desk = Desk(None, Fault(FaultKind.REPLACE_LINE, on="SEND OK", data=b"SEND FAIL"))
        desk.open()
        assert desk.run('AT+QISEND=0,1,"x"') == OK + lines("SEND FAIL")

    def test_garbage(self) -> None:
        desk = Desk(None, Fault(FaultKind.GARBAGE, on="OK", data=b"\x00\xff"))
        assert desk.type("AT") == b"\x00\xff" + OK

    def test_corrupt(self) -> None:
        """So many bits of the text, by the seed; never of the framing, nor of a payload."""
        for seed in range(20):
            fault = Fault(FaultKind.CORRUPT_LINE, on="+CSQ", count=2)
            said = Desk(SimOptions(seed=seed, faults=(fault,))).type("AT+CSQ")
            assert wrong_bits(said, lines("+CSQ: 20,0") + OK) == 2
            assert said.startswith(b"\r\n")
            assert said.endswith(b"\r\n" + OK)

    def test_corrupt_header(self) -> None:
        desk = Desk(None, Fault(FaultKind.CORRUPT_LINE, on="+QIRD"))
        desk.hear(desk.open(), b"0123456789")
        said = desk.type("AT+QIRD=0,100")
        assert said.endswith(b"\r\n0123456789\r\n" + OK)
        assert wrong_bits(said, lines("+QIRD: 10", "0123456789") + OK) == 1

    @pytest.mark.parametrize(("count", "said"), [(1, b"\r\nOK\r"), (3, b"\r\nO")])
    def test_truncate(self, count: int, said: bytes) -> None:
        """The end never comes; the next line follows at once."""
        desk = Desk(None, Fault(FaultKind.TRUNCATE_LINE, on="OK", count=count))
        assert desk.type("AT") == said
        assert desk.type("AT") == OK

    def test_truncate_payload(self) -> None:
        desk = Desk(None, Fault(FaultKind.TRUNCATE_LINE, on="+QIRD", count=4))
        desk.hear(desk.open(), b"0123456789")
        assert desk.type("AT+QIRD=0,100") == b"\r\n+QIRD: 10\r\n01234567" + OK

    def test_interleave(self) -> None:
        desk = Desk(None, Fault(FaultKind.INTERLEAVE, on="+CSQ", data=b"+CSCON: 1"))
        assert desk.type("AT+CSQ") == b"\r\n+CSQ:" + lines("+CSCON: 1") + b" 20,0\r\n" + OK

    def test_interleave_payload(self) -> None:
        desk = Desk(None, Fault(FaultKind.INTERLEAVE, on="+QIRD", data=b"+CSCON: 1"))
        desk.hear(desk.open(), b"0123456789abcdef")
        said = b"\r\n+QIRD: 16\r\n01" + lines("+CSCON: 1") + b"23456789abcdef\r\n" + OK
        assert desk.type("AT+QIRD=0,100") == said

    def test_reset(self) -> None:
        """The banner instead of the line; sockets are gone, echo is on."""
        desk = Desk(None, Fault(FaultKind.RESET_AT_LINE, on="SEND OK"))
        desk.open()
        assert desk.run('AT+QISEND=0,1,"x"') == OK + RDY
        assert desk.type("AT+QISTATE?") == b"AT+QISTATE?\r" + OK

    def test_reset_in_mid_answer(self) -> None:
        """What would have followed is never said, not even later."""
        desk = Desk(None, Fault(FaultKind.RESET_AT_LINE, on="OK", after=1))
        desk.open()
        assert desk.run('AT+QISEND=0,1,"x"', 60) == RDY


class TestCommands:
    """What the module hears."""

    def test_error_on_the_third(self) -> None:
        desk = Desk(None, Fault(FaultKind.ERROR, on="AT+CSQ", after=2))
        answers = [desk.type("AT+CSQ").endswith(OK) for _ in range(4)]
        assert answers == [True, True, False, True]

    def test_ignore(self) -> None:
        desk = Desk(None, Fault(FaultKind.IGNORE, on="ATI"))
        assert desk.type("ATI") == b""
        assert desk.type("AT") == OK

    def test_silence(self) -> None:
        """Deaf and dumb for a while; the line is lost."""
        desk = Desk(None, Fault(FaultKind.SILENCE, on="ATI", delay_s=3))
        desk.type("ATI")
        assert desk.type("AT") == b""
        assert desk.wait(3) == b""
        assert desk.type("AT") == OK

    def test_stuck_until_reset(self) -> None:
        desk = Desk(None, Fault(FaultKind.STUCK, on="ATI"))
        desk.type("ATI")
        desk.wait(1e6)
        assert desk.type("AT") == b""
        desk.module.reset(desk.now)
        assert desk.output() == RDY
        assert desk.type("AT") == b"AT\r" + OK

    def test_reset(self) -> None:
        desk = Desk(None, Fault(FaultKind.RESET, on="AT+QISTATE"))
        desk.open()
        assert desk.type("AT+QISTATE?") == RDY

    def test_network_down(self) -> None:
        """All sockets close, then the command is answered; later coverage is back."""
        desk = Desk(None, Fault(FaultKind.NETWORK_DOWN, on="AT+CSQ", delay_s=30))
        desk.open()
        assert desk.type("AT+CSQ") == lines('+QIURC: "closed",0') + lines("+CSQ: 99,0") + OK
        assert desk.type("AT+CGATT?") == lines("+CGATT: 0") + OK
        desk.wait(31)
        assert desk.type("AT+CGATT?") == lines("+CGATT: 1") + OK

    def test_send_fail(self) -> None:
        """Nothing is sent, inline or by prompt."""
        desk = Desk(None, Fault(FaultKind.SEND_FAIL, on="AT+QISEND", times=2))
        peer = desk.open()
        assert desk.run('AT+QISEND=0,1,"x"') == OK + lines("SEND FAIL")
        desk.type("AT+QISEND=0,1")
        assert desk.feed(b"y") + desk.wait(1) == OK + lines("SEND FAIL")
        assert desk.run('AT+QISEND=0,1,"z"') == OK + SEND_OK
        assert bytes(peer.received) == b"z"

    def test_send_fail_of_a_part(self) -> None:
        """Its first bytes have gone out."""
        desk = Desk(None, Fault(FaultKind.SEND_FAIL_PART, on="AT+QISEND", count=2))
        peer = desk.open()
        assert desk.run('AT+QISEND=0,3,"abc"') == OK + SEND_FAIL
        assert desk.run('AT+QISEND=0,3,"def"') == OK + SEND_OK
        assert bytes(peer.received) == b"abdef"

    def test_lost_on_the_way_to_the_module(self) -> None:
        """The module waits for the rest, and takes the next bytes for it."""
        desk = Desk(None, Fault(FaultKind.LOSE_SENT, on="AT+QISEND", count=3))
        peer = desk.open()
        desk.type("AT+QISEND=0,5")
        assert desk.feed(b"ab") + desk.feed(b"cde") + desk.wait(1) == b""
        assert desk.feed(b"AT\r") + desk.wait(1) == OK + SEND_OK
        assert bytes(peer.received) == b"deAT\r"
        desk.type("AT+QISEND=0,2")
        assert desk.feed(b"fg") + desk.wait(1) == OK + SEND_OK


class TestPayloads:
    """What lies between header and OK."""

    def test_corrupt_bytes(self) -> None:
        """The payload alone; the header counts rightly."""
        desk = Desk(None, Fault(FaultKind.CORRUPT_BYTES, on="+QIRD", count=3))
        desk.hear(desk.open(), b"0123456789")
        said = desk.type("AT+QIRD=0,100")
        assert said.startswith(b"\r\n+QIRD: 10\r\n")
        assert said.endswith(b"\r\n" + OK)
        assert wrong_bits(said, lines("+QIRD: 10", "0123456789") + OK) == 3

    def test_lost_bytes(self) -> None:
        """The header counts what isn't there."""
        desk = Desk(None, Fault(FaultKind.LOSE_BYTES, on="+QIRD", count=2))
        desk.hear(desk.open(), b"0123456789")
        assert desk.type("AT+QIRD=0,100") == lines("+QIRD: 10", "01234789") + OK

    def test_lost_bytes_of_a_push(self) -> None:
        desk = Desk(None, Fault(FaultKind.LOSE_BYTES, on=RECV))
        assert desk.hear(desk.open(mode=1), b"abc") == lines('+QIURC: "recv",0', "ac")

    def test_reset_in_mid_payload(self) -> None:
        """So many bytes, then the banner, and no OK."""
        desk = Desk(None, Fault(FaultKind.RESET_IN_PAYLOAD, on="+QIRD", count=4))
        desk.hear(desk.open(), b"0123456789")
        assert desk.run("AT+QIRD=0,100") == b"\r\n+QIRD: 10\r\n0123" + RDY


class TestSwallowedUrc:
    """Relatives say nothing of data that comes while a send is in data mode."""

    def test_never_told(self) -> None:
        desk = Desk(None, Fault(FaultKind.SWALLOW_RECV, times=None))
        peer = desk.open()
        desk.type("AT+QISEND=0,2")
        assert desk.hear(peer, b"one") == b""
        assert desk.feed(b"hi") + desk.wait(1) == OK + SEND_OK
        assert desk.hear(peer, b"two") == b""
        assert desk.drain().count(b"+QIRD: 3") == 2
        assert desk.hear(peer, b"x") == lines('+QIURC: "recv",0')

    def test_only_in_data_mode(self) -> None:
        desk = Desk(None, Fault(FaultKind.SWALLOW_RECV, times=None))
        assert desk.hear(desk.open(), b"one") == lines('+QIURC: "recv",0')


class TestParse:
    """``fault=`` in an address."""

    def test_all_fields(self) -> None:
        text = r'garbage;on=+QIURC: "recv";after=3;times=all;probability=0.5;data=\x00\r\n'
        assert parse_fault(text) == Fault(
            FaultKind.GARBAGE,
            on=RECV,
            after=3,
            times=None,
            probability=0.5,
            data=b"\x00\r\n",
        )
        assert parse_fault("silence;delay_s=2.5;count=7;times=4") == Fault(
            FaultKind.SILENCE, delay_s=2.5, count=7, times=4
        )

    @pytest.mark.parametrize(
        "text", ["", "explode", "error;when=1", "error;after", "error;after=x"]
    )
    def test_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"fault|invalid literal"):
            parse_fault(text)

    @pytest.mark.parametrize("kind", FaultKind)
    def test_every_kind_has_a_name(self, kind: FaultKind) -> None:
        assert parse_fault(kind.value) == Fault(kind)


def test_error_fault_is_an_error() -> None:
    """AT+QIGETERROR calls it unknown."""
    desk = Desk(None, Fault(FaultKind.ERROR, on="AT+QISTATE"))
    assert desk.type("AT+QISTATE?") == ERROR
    assert desk.type("AT+QIGETERROR") == lines("+QIGETERROR: 550,unknown error") + OK
