"""AT+QPING, AT+QNTP and AT+QIDNSGIP (§2.2.8–§2.2.10)."""

import datetime

import pytest

from aiobc9x.sim.options import Host, SimOptions
from aiobc9x.spec import Err
from tests.sim.desk import Desk, lines
from tests.sim.test_commands import err
from tests.support.words import ERROR, OK

HOSTS = {
    "one.example": Host(("127.0.0.1",)),
    "two.example": Host(("127.0.0.1", "127.0.0.2"), 60),
    "dead.example": Host(("192.0.2.1",)),
}


@pytest.fixture
def desk() -> Desk:
    return Desk(SimOptions(hosts=HOSTS))


class TestPing:
    """§2.2.8."""

    @pytest.mark.parametrize(
        "arguments",
        [
            "1",
            "1,host",
            '4,"a"',
            '1,"a",0',
            '1,"a",256',
            '1,"a",4,0',
            '1,"a",4,11',
            '1,"a",4,4,31',
            '1,"a",4,4,201',
            '1,"a",4,4,32,1',
        ],
    )
    def test_refused(self, desk: Desk, arguments: str) -> None:
        assert desk.type(f"AT+QPING={arguments}") == ERROR
        assert err(desk) == Err.INVALID_PARAMETERS

    def test_count_size_and_some_losses(self) -> None:
        """A lost request takes its whole timeout; the summary counts requests."""
        desk = Desk(SimOptions(ping_table={"1.2.3.4": (0.1, None, 0.2)}))
        assert desk.run('AT+QPING=1,"1.2.3.4",2,3,64', 5) == (
            OK
            + lines("+QPING: 0,1.2.3.4,64,100,255", "+QPING: 1", "+QPING: 0,1.2.3.4,64,200,255")
            + lines("+QPING: 2,3,2,1,100,200,150")
        )

    def test_replies_come_when_they_are_due(self) -> None:
        desk = Desk(SimOptions(ping_table={"1.2.3.4": (0.5,)}))
        assert desk.type('AT+QPING=1,"1.2.3.4",1,1') == OK
        assert desk.wait(0.4) == b""
        assert b"+QPING: 0" in desk.wait(0.2)

    def test_nobody_answers(self, desk: Desk) -> None:
        said = desk.run('AT+QPING=1,"dead.example",1,2', 5)
        assert said == OK + lines("+QPING: 1", "+QPING: 1") + lines("+QPING: 1,2,0,2,0,0,0")

    def test_unknown_name(self, desk: Desk) -> None:
        """PING_ADDRESS_NOT_FOUND, alone."""
        assert desk.run('AT+QPING=1,"nowhere.example"') == OK + lines("+QPING: 4")

    def test_the_seed_decides(self) -> None:
        """Equal seeds, equal times."""
        said = [Desk(SimOptions(seed=seed)).run('AT+QPING=1,"1.2.3.4"') for seed in (1, 1, 2)]
        assert said[0] == said[1] != said[2]

    def test_one_at_a_time(self, desk: Desk) -> None:
        desk.type('AT+QPING=1,"one.example"')
        assert desk.type('AT+QPING=1,"one.example"') == ERROR
        assert err(desk) == Err.BUSY
        desk.wait(1)
        assert desk.type('AT+QPING=1,"one.example"') == OK

    def test_without_a_context(self, desk: Desk) -> None:
        desk.type("AT+CGATT=0")
        assert desk.type('AT+QPING=1,"one.example"') == ERROR
        assert err(desk) == Err.OPEN_PDP_FAILED


class TestTime:
    """§2.2.9."""

    @pytest.mark.parametrize(
        "arguments", ["1", "1,host", '0,"a"', '1,"a",0', '1,"a",123,2', '1,"a",123,1,1']
    )
    def test_refused(self, desk: Desk, arguments: str) -> None:
        assert desk.type(f"AT+QNTP={arguments}") == ERROR

    def test_sets_the_clock_if_asked(self) -> None:
        """The RTC goes on from there, zone included."""
        west = datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))
        clock = datetime.datetime(2026, 2, 28, 23, 59, 50, tzinfo=west)
        desk = Desk(SimOptions(clock=clock, hosts=HOSTS))
        desk.wait(5)
        answer = OK + lines('+QNTP: 0,"2026/02/28,23:59:55-14"')
        assert desk.type('AT+QNTP=1,"one.example",123,0') == answer
        assert b"26/02/28" not in desk.type("AT+CCLK?")
        assert desk.type('AT+QNTP=1,"one.example",123,1') == answer
        desk.wait(10)
        assert desk.type("AT+CCLK?") == lines('+CCLK: "26/03/01,00:00:05-14"') + OK

    def test_misprinted_name(self, desk: Desk) -> None:
        """The body of §2.2.9 prints QNTF; it is answered in kind."""
        assert b'+QNTF: 0,"' in desk.type('AT+QNTF=1,"one.example"')

    def test_no_reply(self, desk: Desk) -> None:
        assert desk.type('AT+QNTP=1,"dead.example"') == OK
        assert desk.wait(11) == lines("+QNTP: 2")

    def test_unknown_name(self, desk: Desk) -> None:
        assert desk.type('AT+QNTP=1,"nowhere.example"') == OK + lines("+QNTP: 4")

    def test_one_at_a_time(self) -> None:
        desk = Desk(SimOptions(hosts=HOSTS, ntp_time=1))
        desk.type('AT+QNTP=1,"one.example"')
        assert desk.type('AT+QNTP=1,"one.example"') == ERROR


class TestNames:
    """§2.2.10."""

    @pytest.mark.parametrize("arguments", ["1", "1,name", '0,"a"', '1,""', '1,"a",1'])
    def test_refused(self, desk: Desk, arguments: str) -> None:
        assert desk.type(f"AT+QIDNSGIP={arguments}") == ERROR

    def test_several_addresses(self, desk: Desk) -> None:
        """Their number and time to live first."""
        assert desk.type('AT+QIDNSGIP=1,"Two.example"') == OK + lines(
            '+QIURC: "dnsgip",0,2,60',
            '+QIURC: "dnsgip","127.0.0.1"',
            '+QIURC: "dnsgip","127.0.0.2"',
        )

    def test_unknown(self, desk: Desk) -> None:
        """The error alone, and AT+QIGETERROR knows it."""
        assert desk.type('AT+QIDNSGIP=1,"nowhere.example"') == OK + lines('+QIURC: "dnsgip",565')
        assert err(desk) == Err.DNS_FAILED

    def test_one_at_a_time(self) -> None:
        """564 for a second one."""
        desk = Desk(SimOptions(hosts=HOSTS, dns_time=1))
        desk.type('AT+QIDNSGIP=1,"one.example"')
        assert desk.type('AT+QIDNSGIP=1,"two.example"') == ERROR
        assert err(desk) == Err.DNS_BUSY


def test_a_reset_forgets_them(desk: Desk) -> None:
    """Nothing of them comes after the banner, and they can be used again."""
    desk.type('AT+QPING=1,"dead.example"')
    assert desk.run("AT+CFUN=1,1", 60) == OK + lines("RDY")
    desk.type("ATE0")
    assert desk.type('AT+QPING=1,"dead.example"') == OK
