"""27.007: SIM, registration, attach, context."""

import pytest

from aiobc9x.sim.energy import Energy
from aiobc9x.sim.options import SimOptions
from tests.sim.desk import Desk, lines
from tests.support.words import ERROR, OK


class TestRegistration:
    """AT+CEREG and its relatives."""

    @pytest.mark.parametrize(
        ("mode", "location"),
        [
            (0, "1"),
            (1, "1"),
            (2, '1,"1A2B","01A2B3C4",9'),
            (3, '1,"1A2B","01A2B3C4",9,,'),
            (4, '1,"1A2B","01A2B3C4",9,,,,'),
            (5, '1,"1A2B","01A2B3C4",9,,,,'),
        ],
    )
    def test_every_mode(self, mode: int, location: str) -> None:
        """The read answer has the mode in front, the URC hasn't."""
        desk = Desk(SimOptions(register_time=5))
        assert desk.type(f"AT+CEREG={mode}") == OK
        assert desk.type("AT+CEREG?") == lines(f"+CEREG: {mode},2") + OK
        said = desk.wait(6)
        assert said == (lines(f"+CEREG: {location}") if mode else b"")
        assert desk.type("AT+CEREG?") == lines(f"+CEREG: {mode},{location}") + OK

    def test_attach_takes_its_time(self) -> None:
        desk = Desk(SimOptions(register_time=5, attach_time=2))
        desk.wait(6)
        assert desk.type("AT+CGATT?") == lines("+CGATT: 0") + OK
        desk.wait(2)
        assert desk.type("AT+CGATT?") == lines("+CGATT: 1") + OK

    @pytest.mark.parametrize(("name", "most"), [("CEREG", 5), ("CGREG", 2), ("CREG", 2)])
    def test_ranges(self, name: str, most: int) -> None:
        desk = Desk()
        assert desk.type(f"AT+{name}=?") == lines(f"+{name}: (0-{most})") + OK
        assert desk.type(f"AT+{name}={most}") == OK
        assert desk.type(f"AT+{name}={most + 1}") == ERROR

    def test_radio_off_and_on(self) -> None:
        """AT+CFUN=0 leaves the network, AT+CFUN=1 goes back."""
        desk = Desk(SimOptions(register_time=3))
        desk.type("AT+CEREG=1")
        desk.wait(5)
        assert desk.type("AT+CFUN=0") == OK + lines("+CEREG: 0")
        assert desk.type("AT+CFUN?") == lines("+CFUN: 0") + OK
        assert desk.type("AT+CFUN=1") == OK + lines("+CEREG: 2")
        assert desk.wait(5) == lines("+CEREG: 1")

    def test_starts_with_the_radio_off(self) -> None:
        desk = Desk(SimOptions(cfun=0))
        assert desk.wait(10) == b""
        assert desk.type("AT+CEREG?") == lines("+CEREG: 0,0") + OK
        desk.type("AT+CFUN=1")
        assert desk.type("AT+CEREG?") == lines("+CEREG: 0,1") + OK

    def test_no_coverage(self) -> None:
        """It searches until there is some."""
        desk = Desk(SimOptions(register_time=1))
        desk.module.set_coverage(False, desk.now)
        desk.wait(100)
        assert desk.type("AT+CEREG?") == lines("+CEREG: 0,2") + OK
        assert desk.type("AT+CSQ") == lines("+CSQ: 99,0") + OK
        desk.module.set_coverage(True, desk.now)
        desk.wait(2)
        assert desk.type("AT+CEREG?") == lines("+CEREG: 0,1") + OK

    @pytest.mark.parametrize(
        ("mode", "more"),
        [
            (1, ""),
            (2, ',"1A2B","01A2B3C4",9'),
            (3, ',"1A2B","01A2B3C4",9,0,11'),
            (4, ',"1A2B","01A2B3C4",9,,'),
            (5, ',"1A2B","01A2B3C4",9,0,11'),
        ],
    )
    def test_denied(self, mode: int, more: str) -> None:
        """The cause comes from 3 on but at 4, and the network may think better of it."""
        desk = Desk(SimOptions(register_time=1, reject_cause=11))
        desk.type(f"AT+CEREG={mode}")
        assert desk.wait(2) == lines(f"+CEREG: 3{more}")
        assert desk.type("AT+CEREG?") == lines(f"+CEREG: {mode},3{more}") + OK
        assert desk.type("AT+CGATT?") == lines("+CGATT: 0") + OK
        desk.module.deny(0, desk.now)
        desk.wait(2)
        assert desk.type("AT+CGATT?") == lines("+CGATT: 1") + OK
        desk.module.deny(15, desk.now)
        desk.wait(2)
        assert desk.type("AT+CGATT?") == lines("+CGATT: 0") + OK

    def test_denied_while_the_radio_is_off(self) -> None:
        """Nothing is searched for."""
        desk = Desk(SimOptions(cfun=0))
        desk.module.deny(15, desk.now)
        assert desk.type("AT+CEREG?") == lines("+CEREG: 0,0") + OK


class TestSim:
    """AT+CPIN, AT+CIMI, AT+QCCID."""

    def test_ready(self) -> None:
        desk = Desk()
        assert desk.type("AT+CPIN?") == lines("+CPIN: READY") + OK
        assert desk.type("AT+CIMI") == lines("460001234567890") + OK
        assert desk.type("AT+QCCID") == lines("+QCCID: 89860012345678901234") + OK
        assert desk.type('AT+CPIN="1234"') == ERROR

    def test_pin(self) -> None:
        """No registration before it."""
        desk = Desk(SimOptions(pin="1234"))
        desk.type("AT+CMEE=1")
        assert desk.type("AT+CPIN?") == lines("+CPIN: SIM PIN") + OK
        assert desk.type("AT+CIMI") == lines("+CME ERROR: 11")
        assert desk.type("AT+CEREG?") == lines("+CEREG: 0,0") + OK
        assert desk.type('AT+CPIN="0000"') == lines("+CME ERROR: 16")
        assert desk.type('AT+CPIN="1234"') == OK
        assert desk.type("AT+CEREG?") == lines("+CEREG: 0,1") + OK

    def test_locked(self) -> None:
        """Three wrong PINs lock it, the PUK sets a new one, ten wrong PUKs destroy it."""
        desk = Desk(SimOptions(pin="1234", puk="87654321"))
        desk.type("AT+CMEE=1")
        assert desk.type("AT+QPINC=?") == lines('+QPINC: ("SC","P2")') + OK
        assert desk.type("AT+CPINR=?") == OK
        for error in (16, 16, 12):
            assert desk.type('AT+CPIN="0000"') == lines(f"+CME ERROR: {error}")
        assert desk.type("AT+CPIN?") == lines("+CPIN: SIM PUK") + OK
        assert desk.type("AT+CIMI") == lines("+CME ERROR: 12")
        assert desk.type('AT+CPIN="1234"') == lines("+CME ERROR: 12")
        assert desk.type('AT+CPIN="00000000","1111"') == lines("+CME ERROR: 16")
        tries = lines("+CPINR: SIM PIN,0,3", "+CPINR: SIM PUK,9,10") + OK
        assert desk.type("AT+CPINR") == tries
        assert desk.type("AT+QPINC?") == lines('+QPINC: "SC",0,9') + OK
        desk.module.reset(desk.now)
        desk.wait(1)
        assert desk.type("ATE0").endswith(OK)
        assert desk.type('AT+CPIN="87654321","1111"') == OK
        assert desk.type("AT+QPINC?") == lines('+QPINC: "SC",3,10') + OK

    def test_destroyed(self) -> None:
        desk = Desk(SimOptions(pin="1234"))
        desk.type("AT+CMEE=1")
        for _ in range(3):
            desk.type('AT+CPIN="0000"')
        for tries in range(9, -1, -1):
            error = lines(f"+CME ERROR: {16 if tries else 262}")
            assert desk.type('AT+CPIN="00000000","1111"') == error
        assert desk.type("AT+CPIN?") == lines("+CME ERROR: 262")

    def test_none(self) -> None:
        desk = Desk(SimOptions(sim=False))
        for level, answer in enumerate(("ERROR", "+CME ERROR: 10", "+CME ERROR: SIM not inserted")):
            desk.type(f"AT+CMEE={level}")
            assert desk.type("AT+CPIN?") == lines(answer)
        assert desk.type("AT+CGATT?") == lines("+CGATT: 0") + OK


class TestContexts:
    """AT+CGDCONT, AT+CGACT, AT+CGPADDR."""

    def test_second_context(self) -> None:
        """Define, activate, use, deactivate."""
        desk = Desk()
        assert desk.type('AT+CGDCONT=2,"IP","iot"') == OK
        assert desk.type("AT+CGDCONT?") == (
            lines('+CGDCONT: 1,"IP","internet","",0,0', '+CGDCONT: 2,"IP","iot","",0,0') + OK
        )
        assert desk.type("AT+CGPADDR=2") == lines("+CGPADDR: 2") + OK
        assert desk.type("AT+CGACT=1,2") == OK
        assert desk.type("AT+CGACT?") == lines("+CGACT: 1,1", "+CGACT: 2,1") + OK
        assert desk.type("AT+CGPADDR=2") == lines('+CGPADDR: 2,"100.127.243.105"') + OK
        assert desk.type('AT+QIOPEN=2,0,"TCP","1.2.3.4",8062').startswith(OK)
        assert desk.type("AT+CGACT=0,2") == OK + lines('+QIURC: "closed",0')
        assert desk.type("AT+CGDCONT=2") == OK
        assert desk.type("AT+CGACT=1,2") == ERROR

    def test_default_context(self) -> None:
        desk = Desk()
        assert desk.type('AT+QCGDEFCONT="IPV6","other"') == OK
        assert desk.type("AT+QCGDEFCONT?") == lines('+QCGDEFCONT: "IPV6","other"') + OK

    def test_detach_and_attach(self) -> None:
        desk = Desk()
        desk.type("AT+CGATT=0")
        assert desk.type("AT+CGPADDR?") == lines("+CGPADDR: 1") + OK
        assert desk.type("AT+CGATT=1") == OK
        assert desk.type("AT+CGPADDR?") == lines('+CGPADDR: 1,"100.127.243.105"') + OK

    def test_attach_needs_registration(self) -> None:
        desk = Desk(SimOptions(cfun=0))
        assert desk.type("AT+CGATT=1") == ERROR


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("AT+COPS?", '+COPS: 0,2,"46000",9'),
        ("AT+CSQ", "+CSQ: 20,0"),
        ("AT+CESQ", "+CESQ: 20,0,255,255,20,60"),
        ("AT+CSCON?", "+CSCON: 0,1"),
        ("AT+CFUN?", "+CFUN: 1"),
        ("AT+CGACT?", "+CGACT: 1,1"),
        ("AT+CGPADDR=1", '+CGPADDR: 1,"100.127.243.105"'),
        ("AT+CFUN=?", "+CFUN: (0,1,4),(0,1)"),
        ("AT+CGATT=?", "+CGATT: (0,1)"),
        ("AT+CGACT=?", "+CGACT: (0,1)"),
        ("AT+CGPADDR=?", "+CGPADDR: (1)"),
        ("AT+CSQ=?", "+CSQ: (0-31,99),(0-7,99)"),
        ("AT+CSCON=?", "+CSCON: (0,1)"),
        ("AT+QCGDEFCONT=?", '+QCGDEFCONT: ("IP","IPV6","IPV4V6"),<apn>,<username>,<password>'),
        ("AT+COPS=?", '+COPS: (2,"46000","46000","46000",9),,(0,1,2),(2)'),
        ("AT+CESQ=?", "+CESQ: (0-63,99),(0-7,99),(255),(255),(0-34,255),(0-97,255)"),
    ],
)
def test_shapes_when_registered(line: str, answer: str) -> None:
    assert Desk().type(line) == lines(answer) + OK


@pytest.mark.parametrize("line", ["AT+CFUN=2", "AT+CGATT=2", "AT+CSCON=2", 'AT+CGDCONT=1,"X","a"'])
def test_bad_values_name_their_error(line: str) -> None:
    """+CME ERROR: 50 with AT+CMEE=1."""
    desk = Desk()
    desk.type("AT+CMEE=1")
    assert desk.type(line) == lines("+CME ERROR: 50")


def test_deregister_and_return() -> None:
    """AT+COPS=2 leaves the network, AT+COPS=0 goes back."""
    desk = Desk()
    desk.open()
    assert desk.type("AT+COPS=2") == OK + lines('+QIURC: "closed",0')
    assert desk.type("AT+COPS?") == lines("+COPS: 0") + OK
    assert desk.type("AT+CESQ") == lines("+CESQ: 99,99,255,255,255,255") + OK
    assert desk.type("AT+COPS=0") == OK
    assert desk.type("AT+CGATT?") == lines("+CGATT: 1") + OK


def test_connection_urc_setting() -> None:
    """AT+CSCON keeps what it is told."""
    desk = Desk()
    assert desk.type("AT+CSCON=1") == OK
    assert desk.type("AT+CSCON?") == lines("+CSCON: 1,1") + OK


class TestLogin:
    """AT+CGAUTH: a network that wants user and password."""

    @pytest.mark.parametrize(
        "login",
        ['AT+CGAUTH=1,1,"me","s3cret"', 'AT+QCGDEFCONT="IP","internet","me","s3cret"'],
    )
    def test_wanted(self, login: str) -> None:
        desk = Desk(SimOptions(apn_login="me:s3cret"))
        desk.type("AT+CMEE=1")
        assert desk.type("AT+CGATT=1") == OK
        assert desk.type("AT+CGATT?") == lines("+CGATT: 0") + OK
        assert desk.type(login) == OK
        assert desk.type("AT+CGATT=1") == OK
        assert desk.type("AT+CGATT?") == lines("+CGATT: 1") + OK
        desk.type('AT+CGDCONT=2,"IP","other"')
        assert desk.type("AT+CGACT=1,2") == lines("+CME ERROR: 149")
        assert desk.type('AT+CGAUTH=2,2,"me","s3cret"') == OK
        assert desk.type("AT+CGACT=1,2") == OK

    def test_forms(self) -> None:
        desk = Desk()
        desk.type("AT+CMEE=1")
        assert desk.type("AT+CGAUTH=?") == lines("+CGAUTH: (1-3),(0-2),64,64") + OK
        assert desk.type("AT+CGAUTH?") == OK
        assert desk.type('AT+CGAUTH=1,1,"me"') == OK
        assert desk.type("AT+CGAUTH?") == lines('+CGAUTH: 1,1,"me",""') + OK
        assert desk.type("AT+CGAUTH=1,0") == OK
        assert desk.type("AT+CGAUTH?") == OK
        for wrong in ("AT+CGAUTH=1,1", 'AT+CGAUTH=1,0,"me"', "AT+CGAUTH=1,3"):
            assert desk.type(wrong) == lines("+CME ERROR: 50")


class TestPowerSaving:
    """What the network grants, and what that does to sleep."""

    @pytest.mark.parametrize(
        ("options", "granted"),
        [
            (SimOptions(), '"00000101","01000001"'),
            (
                SimOptions(granted_active="00100001", granted_tau="00000110"),
                '"00100001","00000110"',
            ),
        ],
    )
    def test_granted(self, options: SimOptions, granted: str) -> None:
        """What was asked for, or the network's own; it is told as soon as it is asked."""
        desk = Desk(options)
        desk.type("AT+CEREG=4")
        status = '1,"1A2B","01A2B3C4",9,,,'
        said = desk.type('AT+CPSMS=1,,,"01000001","00000101"')
        assert said == OK + lines(f"+CEREG: {status}{granted}")
        assert desk.type("AT+CEREG?") == lines(f"+CEREG: 4,{status}{granted}") + OK
        assert desk.type("AT+CPSMS=0") == OK + lines(f"+CEREG: {status},")

    def test_nothing_is_told_at_a_lower_level(self) -> None:
        desk = Desk()
        desk.type("AT+CEREG=3")
        assert desk.type("AT+CPSMS=1") == OK

    def test_edrx(self) -> None:
        desk = Desk(SimOptions(granted_edrx="0011"))
        desk.type('AT+CEDRXS=1,5,"0010"')
        assert desk.type("AT+CEDRXRDP") == lines('+CEDRXRDP: 5,"0010","0011","0011"') + OK

    @pytest.mark.parametrize(
        ("bits", "seconds"), [("00001010", 20), ("00100010", 120), ("01000001", 360)]
    )
    def test_deep_sleep_waits_for_the_active_time(self, bits: str, seconds: int) -> None:
        """From the last send on, whatever the lock of the last command."""
        desk = Desk(SimOptions(granted_active=bits))
        desk.type("AT+CPSMS=1")
        desk.open(service="UDP")
        desk.type("AT+QSCLK=1")
        desk.run('AT+QISEND=0,3,"abc"', 0)
        desk.wait(seconds - 1)
        assert not desk.module.asleep
        desk.wait(2)
        assert desk.module.asleep

    def test_no_power_saving_is_granted(self) -> None:
        desk = Desk(SimOptions(granted_active="11100000"))
        desk.type("AT+CPSMS=1")
        desk.type("AT+QSCLK=1")
        desk.wait(10000)
        assert not desk.module.asleep

    def test_the_lock_is_released(self) -> None:
        """AT+QRELLOCK, until the next command."""
        desk = Desk()
        assert desk.type("AT+QRELLOCK=?") == OK
        desk.type("AT+QSCLK=1")
        desk.type("AT+QRELLOCK")
        desk.wait(0.1)
        assert desk.module.asleep
        desk.type("AT")
        desk.type("AT")
        desk.wait(5)
        assert not desk.module.asleep
        desk.wait(6)
        assert desk.module.asleep

    def test_energy(self) -> None:
        """Seconds awake, asleep and sending add up; a restart is time awake."""
        desk = Desk(SimOptions(send_time=2.0, boot_time=1.0))
        desk.wait(1)
        desk.open(service="UDP")
        desk.run('AT+QISEND=0,3,"abc"', 9)
        assert desk.module.energy(desk.now) == Energy(11.0, 0.0, 2.0)
        desk.module.deep_sleep(desk.now)
        desk.wait(100)
        desk.type("AT")
        desk.wait(10)
        assert desk.module.energy(desk.now) == Energy(21.0, 100.0, 2.0)
        desk.module.deep_sleep(desk.now)
        desk.wait(50)
        desk.module.reset(desk.now)
        desk.wait(5)
        assert desk.module.energy(desk.now) == Energy(26.0, 150.0, 2.0)


class TestEvents:
    """AT+CGEREP: ``+CGEV`` tells of contexts and the attachment."""

    def test_every_event(self) -> None:
        desk = Desk()
        assert desk.type("AT+CGEREP=?") == lines("+CGEREP: (0-2),(0,1)") + OK
        assert desk.type("AT+CGEREP=3") == ERROR
        assert desk.type("AT+CGEREP=1") == OK
        assert desk.type("AT+CGEREP?") == lines("+CGEREP: 1,0") + OK
        assert desk.type("AT+CGACT=0,1") == OK + lines("+CGEV: ME PDN DEACT 1")
        assert desk.type("AT+CGACT=0,1") == OK
        assert desk.type("AT+CGACT=1,1") == OK + lines("+CGEV: ME PDN ACT 1")
        assert desk.type("AT+CGATT=0") == OK + lines("+CGEV: ME DETACH")
        assert desk.type("AT+CGATT=1") == OK + lines("+CGEV: ME PDN ACT 1")
        desk.module.set_coverage(False, desk.now)
        assert desk.output() == lines("+CGEV: NW DETACH")

    def test_sockets_end_with_their_own_context(self) -> None:
        """And behind them comes the event."""
        desk = Desk()
        desk.type("AT+CGEREP=1")
        desk.type('AT+CGDCONT=2,"IP","other"')
        desk.type("AT+CGACT=1,2")
        desk.open(0)
        assert desk.type("AT+CGACT=0,2") == OK + lines("+CGEV: ME PDN DEACT 2")
        closed = lines('+QIURC: "closed",0')
        assert desk.type("AT+CGACT=0,1") == OK + closed + lines("+CGEV: ME PDN DEACT 1")
