"""The brain: lines, echo, errors, identity, restarts, deep sleep."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.sim.nvram import Nvram
from aiobc9x.sim.options import SimOptions
from aiobc9x.spec import OPEN_TIME_DEFAULT_S
from tests.sim.desk import Desk, lines
from tests.support.chunks import cut
from tests.support.words import ERROR, OK, SEND_OK

RDY = b"\r\nRDY\r\n"


class TestCommandLines:
    """§2.1.2."""

    def test_cut_anywhere(self) -> None:
        desk = Desk()
        assert [desk.feed(bytes([byte])) for byte in b"AT+CFUN?\r"][-1] == lines("+CFUN: 1") + OK

    def test_lf_and_noise_are_no_part_of_a_line(self) -> None:
        """Neither LF behind CR, nor NUL, ESC and bytes of another speed."""
        desk = Desk()
        assert desk.feed(b"AT\r\n") == OK
        assert desk.feed(b"\x00\x1b\xff\x80 AT\r") == OK

    @pytest.mark.parametrize("line", ["", "hello", "Atx", "+QISTATE?", "T+QISTATE?"])
    def test_no_at_no_answer(self, line: str) -> None:
        assert Desk().type(line) == b""

    @pytest.mark.parametrize(
        "line",
        ["ATX", "AT+NOTHING", "AT+QINOTHING?", "AT#", "ATE?", "AT?", "AT+QISTATE?x"],
    )
    def test_unknown(self, line: str) -> None:
        assert Desk().type(line) == ERROR

    def test_too_long(self) -> None:
        """ERROR, and the next line is understood."""
        desk = Desk()
        assert desk.type("AT+QISEND=0,1440," + "x" * 10_000) == ERROR
        assert desk.type("AT") == OK

    @pytest.mark.parametrize(("size", "answer"), [(64, OK), (65, ERROR)])
    def test_shorter_lines_only(self, size: int, answer: bytes) -> None:
        """Relatives take shorter ones."""
        desk = Desk(SimOptions(line_limit=64))
        assert desk.type("AT".ljust(size)) == answer
        assert desk.type("AT") == OK

    def test_a_command_behind_an_answer_is_not_heard(self) -> None:
        """Relatives need a gap (F31)."""
        desk = Desk(SimOptions(deaf_time=0.02))
        assert desk.type("AT") == OK
        assert desk.type("AT") == b""
        desk.wait(0.02)
        assert desk.type("AT") == OK

    def test_lines_typed_ahead_are_handled_in_order(self) -> None:
        """Their echo comes at once, each answer after the one before."""
        desk = Desk(SimOptions(latency=0.1), echo=True)
        assert desk.feed(b"AT\rATI\rAT+CFUN?\r") == b"AT\rATI\rAT+CFUN?\r"
        assert desk.wait(0.11) == OK
        assert desk.wait(0.1).endswith(b"BC65VIRTUAL01\r\n" + OK)
        assert desk.wait(0.1) == lines("+CFUN: 1") + OK

    def test_a_thousand_lines_at_once(self) -> None:
        desk = Desk()
        assert desk.feed(b"AT\r" * 1000) == OK * 1000

    def test_latency_is_from_the_cr_to_the_answer(self) -> None:
        desk = Desk(SimOptions(latency=0.02))
        desk.feed(b"AT")
        desk.wait(1)
        desk.feed(b"\r")
        assert desk.module.deadline() == pytest.approx(desk.now + 0.02)
        assert desk.wait(0.02) == OK


SESSION = (
    b"ATI\rAT+CGATT?\r"
    b'AT+QIOPEN=1,0,"TCP","1.2.3.4",8062\r'
    b"AT+QISEND=0,8\rA\rT\x1a\x1b\r\n>"
    b"AT+QISTATE?\r"
    b"AT+QISENDEX=0\r4f4B0d\x1aAT+QIRD=0,1\rAT+CSQ\r"
)


@given(edges=st.sets(st.integers(1, len(SESSION) - 1)))
def test_chunking_never_changes_the_answers(edges: set[int]) -> None:
    """However the host's bytes are cut, payloads and commands stay what they are."""
    said = []
    for pieces in (cut(SESSION, edges), [SESSION]):
        desk = Desk(SimOptions(latency=0.01), echo=True)
        said.append(b"".join(map(desk.feed, pieces)) + desk.wait(5))
        assert bytes(desk.peer.received) == b"A\rT\x1a\x1b\r\n>" + b"OK\r"
    assert said[0] == said[1]


class TestErrors:
    """AT+CMEE counts for all but the commands of the note."""

    @pytest.mark.parametrize(
        ("level", "answer"), [(0, "ERROR"), (1, "+CME ERROR: 100"), (2, "+CME ERROR: unknown")]
    )
    def test_levels(self, level: int, answer: str) -> None:
        desk = Desk()
        assert desk.type(f"AT+CMEE={level}") == OK
        assert desk.type("AT+CMEE?") == lines(f"+CMEE: {level}") + OK
        assert desk.type("AT+NOTHING") == lines(answer)
        assert desk.type("AT+QICLOSE=0") == ERROR
        assert desk.type("AT+QPING=9") == ERROR
        assert desk.type("ATX") == ERROR


class TestIdentity:
    """The module says what it is."""

    def test_ati(self) -> None:
        assert Desk().type("ATI") == lines("Quectel", "BC65", "Revision: BC65VIRTUAL01") + OK

    @pytest.mark.parametrize(
        ("line", "answer"),
        [
            ("AT+CGMI", "Quectel"),
            ("AT+CGMM", "BC65"),
            ("AT+CGMR", "Revision: BC65VIRTUAL01"),
            ("AT+CGSN", "MPQ20C10V0000042"),
            ("AT+CGSN=1", "+CGSN: 866425033210987"),
        ],
    )
    def test_one_by_one(self, line: str, answer: str) -> None:
        assert Desk().type(line) == lines(answer) + OK


class TestSmallCommands:
    """The rest of a gateway's start-up."""

    @pytest.mark.parametrize("line", ["ATV1", "ATZ", "AT&F", "AT&W", "ATQ0"])
    def test_accepted(self, line: str) -> None:
        assert Desk().type(line) == OK

    @pytest.mark.parametrize(
        ("write", "read", "answer"),
        [
            ("QSCLK=2", "QSCLK?", "+QSCLK: 2"),
            ("QNBIOTEVENT=1,1", "QNBIOTEVENT?", "+QNBIOTEVENT: 1,1"),
            ("QATWAKEUP=1", "QATWAKEUP?", "+QATWAKEUP: 1"),
            ("CPSMS=0", "CPSMS?", '+CPSMS: 0,,,"01000001","00000101"'),
            (
                'CPSMS=1,,,"01000011","00100001"',
                "CPSMS?",
                '+CPSMS: 1,,,"01000011","00100001"',
            ),
            ('CEDRXS=1,5,"0011"', "CEDRXS?", '+CEDRXS: 5,"0011"'),
            ('CEDRXS=1,5,"0011"', "CEDRXRDP", '+CEDRXRDP: 5,"0011","0011","0011"'),
            ("CEDRXS=0", "CEDRXRDP", "+CEDRXRDP: 0"),
            ("IPR=9600", "IPR?", "+IPR: 9600"),
            ('CCLK="26/07/08,12:00:00+32"', "CCLK?", '+CCLK: "26/07/08,12:00:00+32"'),
        ],
    )
    def test_write_then_read(self, write: str, read: str, answer: str) -> None:
        desk = Desk()
        assert desk.type(f"AT+{write}") == OK
        assert desk.type(f"AT+{read}") == lines(answer) + OK

    @pytest.mark.parametrize(
        "line",
        [
            "AT+QSCLK=3",
            "AT+IPR=1234",
            'AT+CCLK="yesterday"',
            "AT+CEDRXS=4",
            "AT+QRST=2",
            "AT+CMEE=3",
        ],
    )
    def test_refused(self, line: str) -> None:
        assert Desk().type(line) == ERROR

    @pytest.mark.parametrize(
        "name",
        ["QSCLK", "QNBIOTEVENT", "QATWAKEUP", "CPSMS", "CEDRXS", "IPR", "CMEE", "CGSN", "QRST"],
    )
    def test_test_forms(self, name: str) -> None:
        said = Desk().type(f"AT+{name}=?")
        assert said.startswith(f"\r\n+{name}: (".encode())
        assert said.endswith(OK)


class TestRestart:
    """AT+CFUN=1,1, AT+QRST=1, the RESET pin."""

    @pytest.mark.parametrize("line", ["AT+CFUN=1,1", "AT+QRST=1"])
    def test_by_command(self, line: str) -> None:
        """OK, a while of silence, the banner; echo is on, sockets are gone."""
        desk = Desk(SimOptions(boot_time=3))
        desk.wait(3)
        desk.type("ATE0")
        peer = desk.open()
        desk.type("AT+CMEE=1")
        assert desk.type(line) == OK
        assert peer.closed
        assert desk.type("AT") == b""
        assert desk.wait(3) == RDY
        assert desk.type("AT+QISTATE?") == b"AT+QISTATE?\r" + OK
        assert desk.module.board.settings.cmee == 0

    def test_in_data_mode(self) -> None:
        """The pin works whatever goes on; nothing of the send is left."""
        desk = Desk()
        desk.open()
        desk.type("AT+QISEND=0,10")
        desk.module.reset(desk.now)
        assert desk.output() == RDY
        assert desk.type("ATE0") == b"ATE0\r" + OK

    def test_before_send_ok(self) -> None:
        """SEND OK never comes, and the next send isn't refused for its sake."""
        desk = Desk()
        desk.open()
        desk.type('AT+QISEND=0,1,"x"')
        desk.module.reset(desk.now)
        assert desk.wait(10) == RDY
        desk.type("ATE0")
        desk.open()
        assert desk.run('AT+QISEND=0,1,"x"') == OK + SEND_OK

    def test_without_a_banner(self) -> None:
        """``banner=`` is a module that has been on for a while."""
        assert Desk(SimOptions(banner="")).boot == b""


class TestNvram:
    """What a power cut can't erase."""

    def test_in_a_file(self, tmp_path: Path) -> None:
        """Another module with the same file goes on with its settings."""
        path = tmp_path / "nvram.json"
        desk = Desk(SimOptions(nvram=path))
        desk.type('AT+QICFG="viewmode",1')
        desk.type("AT+IPR=57600")
        again = Desk(SimOptions(nvram=path))
        assert again.type('AT+QICFG="viewmode"') == lines('+QICFG: "viewmode",1') + OK
        assert again.type("AT+IPR?") == lines("+IPR: 57600") + OK

    @pytest.mark.parametrize(
        "text",
        ["", "[]", "{", '{"colour": 1}', '{"baud": "fast"}', '{"view_mode": 7}', '{"baud": -1}'],
    )
    def test_a_file_of_something_else(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "nvram.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"nvram\.json"):
            Nvram.load(path)
        assert path.read_text() == text

    def test_a_place_where_no_file_can_be(self, tmp_path: Path) -> None:
        """It is said when the module is made, not when its first setting changes."""
        match = r"nvram can't be kept in '.*x/nvram\.json': No such file or directory"
        with pytest.raises(ValueError, match=match):
            Desk(SimOptions(nvram=tmp_path / "x" / "nvram.json"))
        with pytest.raises(ValueError, match=r"nvram can't be kept in .*: Is a directory"):
            Desk(SimOptions(nvram=tmp_path))


class TestDeepSleep:
    """§2.2.1, note 3; §2.2.11; §2.2.13."""

    @staticmethod
    def sleeping() -> Desk:
        desk = Desk()
        desk.type("AT+QSCLK=1")
        desk.open(0)
        desk.open(1, "UDP")
        desk.type('AT+QICFG="open_time",5')
        desk.type('AT+QIDNSCFG="1.1.1.1"')
        desk.wait(11)
        assert desk.module.asleep
        return desk

    def test_the_first_line_only_wakes_it(self) -> None:
        desk = self.sleeping()
        assert desk.type("AT") == b""
        assert desk.type("AT") == OK

    def test_lost_and_kept(self) -> None:
        """TCP and ``open_time`` are gone without a word; UDP and DNS servers stay."""
        desk = self.sleeping()
        tcp, udp = desk.network.peers
        assert tcp.closed
        desk.type("AT")
        assert desk.type("AT+QISTATE?").count(b"+QISTATE") == 1
        assert desk.type("AT+QIRD=0,1") == ERROR
        assert desk.type('AT+QIOPEN=1,1,"UDP","220.18.39.22",8062') == ERROR
        desk.run('AT+QISEND=1,2,"hi"')
        assert bytes(udp.received) == b"hi"
        assert desk.module.board.settings.open_time == OPEN_TIME_DEFAULT_S
        assert b'"1.1.1.1"' in desk.type("AT+QIDNSCFG?")

    def test_a_datagram_wakes_it(self) -> None:
        desk = self.sleeping()
        assert desk.hear(desk.peer, b"up!") == lines('+QIURC: "recv",1')
        assert desk.type("AT") == OK

    def test_events(self) -> None:
        """AT+QNBIOTEVENT and AT+QATWAKEUP tell about it."""
        desk = Desk()
        desk.type("AT+QSCLK=1")
        desk.type("AT+QNBIOTEVENT=1,1")
        desk.type("AT+QATWAKEUP=1")
        assert desk.wait(11) == lines('+QNBIOTEVENT: "ENTER DEEPSLEEP"')
        assert desk.type("AT") == (lines("+QATWAKEUP") + lines('+QNBIOTEVENT: "EXIT DEEPSLEEP"'))

    def test_not_while_busy(self) -> None:
        """A send that waits for its payload keeps it awake."""
        desk = Desk()
        desk.type("AT+QSCLK=1")
        desk.open()
        desk.type("AT+QISEND=0,1")
        desk.wait(60)
        assert desk.feed(b"x") == OK

    def test_not_by_default(self) -> None:
        desk = Desk()
        desk.wait(3600)
        assert desk.type("AT") == OK

    def test_by_force(self) -> None:
        """``deep_sleep`` asks no one; waking can take a while."""
        desk = Desk(SimOptions(wake_time=0.5))
        desk.module.deep_sleep(desk.now)
        assert desk.type("AT") == b""
        assert desk.wait(0.4) + desk.type("AT") == b""
        desk.wait(0.2)
        assert desk.type("AT") == OK


def test_an_unasked_line() -> None:
    """``say`` is for whatever else modules print."""
    desk = Desk()
    desk.module.say("+LOWVBAT:2987", desk.now)
    assert desk.output() == lines("+LOWVBAT:2987")


def test_transcript() -> None:
    """``on_line`` sees both directions, payloads in short."""
    seen: list[tuple[str, str]] = []
    desk = Desk(SimOptions(on_line=lambda direction, text: seen.append((direction, text))))
    peer = desk.open()
    seen.clear()
    desk.type("AT+QISEND=0,3")
    desk.feed(b"\x00ab")
    desk.hear(peer, b"reply")
    desk.type("AT+QIRD=0,10")
    assert seen == [
        (">", "AT+QISEND=0,3"),
        ("<", ">"),
        (">", "(3 bytes)"),
        ("<", "OK"),
        ("<", '+QIURC: "recv",0'),
        (">", "AT+QIRD=0,10"),
        ("<", "+QIRD: 5 reply"),
        ("<", "OK"),
    ]


def test_statistics() -> None:
    """Counters by name."""
    desk = Desk()
    peer = desk.open()
    desk.run('AT+QISEND=0,2,"hi"')
    desk.hear(peer, b"yes")
    desk.drain()
    desk.type("AT+NOTHING")
    counters = desk.module.statistics
    assert (counters.opens, counters.sends, counters.sent_bytes) == (1, 1, 2)
    assert (counters.reads, counters.received_bytes, counters.errors) == (2, 3, 1)
    assert counters.commands == 5


class TestBrokenRules:
    """``broken_rules`` counts what the host did wrong, and nothing else."""

    @staticmethod
    def broken(desk: Desk) -> int:
        return desk.module.statistics.broken_rules

    def test_one_command_after_the_other(self) -> None:
        """Waiting for each result is right, whatever the result is."""
        desk = Desk(SimOptions(latency=0.1))
        peer = desk.open()
        assert desk.run("AT+QISEND=0,3").endswith(b"> ")
        desk.feed(b"abc")
        assert SEND_OK in desk.wait(1)
        desk.hear(peer, b"yes")
        assert b"yes" in desk.run("AT+QIRD=0,10")
        assert desk.run("AT+NOTHING") == ERROR
        assert desk.run("AT+QIRD=5,10") == ERROR
        assert self.broken(desk) == 0

    def test_a_line_before_the_last_answer(self) -> None:
        """Whole or in pieces, in one write or in two."""
        desk = Desk(SimOptions(latency=0.1))
        desk.feed(b"AT\rAT\r")
        assert self.broken(desk) == 1
        desk.wait(1)
        desk.feed(b"AT\r")
        desk.feed(b"A")
        assert self.broken(desk) == 2

    def test_line_feeds_are_no_commands(self) -> None:
        """A host may end its lines with CR and LF, and write them one by one."""
        desk = Desk(SimOptions(latency=0.1))
        desk.feed(b"AT\r")
        desk.feed(b"\n")
        assert self.broken(desk) == 0

    def test_payload_before_the_prompt(self) -> None:
        desk = Desk(SimOptions(latency=0.1))
        desk.open()
        desk.feed(b"AT+QISEND=0,3\r")
        desk.feed(b"abc")
        assert self.broken(desk) == 1

    def test_a_send_before_send_ok(self) -> None:
        """§4.1.2."""
        desk = Desk(SimOptions(send_time=1))
        desk.open()
        assert desk.type('AT+QISEND=0,2,"hi"') == OK
        assert desk.type('AT+QISEND=0,2,"hi"') == ERROR
        assert self.broken(desk) == 1

    def test_parameters_out_of_range(self) -> None:
        assert (desk := Desk()).type("AT+QIRD=6,10") == ERROR
        assert self.broken(desk) == 1
