"""Chapter 2: every form of every command, and every way to get it wrong."""

import pytest

from aiobc9x.sim.nvram import Nvram
from aiobc9x.sim.options import SimOptions
from aiobc9x.spec import CONNECT_IDS, ERR_TEXT, AccessMode, Err
from tests.sim.desk import Desk, lines
from tests.support.words import CLOSE_OK, ERROR, OK


def err(desk: Desk) -> int:
    """The code that AT+QIGETERROR reports."""
    said = desk.type("AT+QIGETERROR").decode()
    assert said.startswith("\r\n+QIGETERROR: ")
    return int(said.split(": ")[1].split(",")[0])


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (
            "QIOPEN",
            '+QIOPEN: (1-3),(0-5),"TCP/UDP/TCP LISTENER/UDP SERVICE",'
            '"<IP_address>/<domain_name>",<remote_port>[,<local_port>[,(0,1)[,(0,1)]]]',
        ),
        ("QICLOSE", "+QICLOSE: (0-5)"),
        ("QISEND", '+QISEND: (0-5),(1-1440),"<data>"'),
        ("QISENDEX", '+QISENDEX: (0-5),(1-1440),"<hex_string>"'),
        ("QIRD", "+QIRD: (0-5),(1-1024)"),
        ("QISWTMD", "+QISWTMD: (0-5),(0,1)"),
        ("QPING", '+QPING: (1-3),"<host>"[,(1-255)[,(1-10)[,(32-200)]]]'),
        ("QNTP", '+QNTP: (1-3),"<server>"[,<port>[,(0,1)]]'),
        ("QNTF", '+QNTF: (1-3),"<server>"[,<port>[,(0,1)]]'),
        ("QIDNSGIP", '+QIDNSGIP: (1-3),"<hostname>"'),
        ("QIDNSCFG", "+QIDNSCFG: <PrimaryDNS>[,<SecondaryDNS>]"),
    ],
)
def test_test_forms(desk: Desk, command: str, answer: str) -> None:
    """``=?`` lists the parameters."""
    assert desk.type(f"AT+{command}=?") == lines(answer) + OK


@pytest.mark.parametrize("command", ["QISTATE=?", "QISWTMD?", "QIGETERROR=?"])
def test_forms_that_only_say_ok(desk: Desk, command: str) -> None:
    """§2.2.3, §2.2.7 and §2.2.12 have a form that answers OK alone."""
    assert desk.type(f"AT+{command}") == OK


def test_qicfg_test_form(desk: Desk) -> None:
    """§2.2.11: four lines."""
    assert desk.type("AT+QICFG=?") == (
        lines(
            '+QICFG: "dataformat",(0),(0,1)',
            '+QICFG: "viewmode",(0,1)',
            '+QICFG: "showlength",(0,1)',
            '+QICFG: "open_time",(1-36)',
        )
        + OK
    )


@pytest.mark.parametrize(
    "command",
    ["QIOPEN?", "QIOPEN", "QICLOSE?", "QISEND?", "QIRD?", "QPING?", "QNTP", "QICFG?", "QISTATE"],
)
def test_forms_that_do_not_exist(desk: Desk, command: str) -> None:
    """A form that the note doesn't list is 552."""
    assert desk.type(f"AT+{command}") == ERROR
    assert err(desk) == Err.INVALID_PARAMETERS


class TestOpen:
    """§2.2.1."""

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            ('0,0,"TCP","1.2.3.4",80', 552),
            ('4,0,"TCP","1.2.3.4",80', 552),
            ('1,6,"TCP","1.2.3.4",80', 552),
            ('1,-1,"TCP","1.2.3.4",80', 552),
            ('1,0,TCP,"1.2.3.4",80', 552),
            ('1,0,"SCTP","1.2.3.4",80', 552),
            ('1,0,"TCP INCOMING","1.2.3.4",80,1', 552),
            ('1,0,"UDP SERVICE","127.0.0.1",0,80', 555),
            ('1,0,"TCP","",80', 552),
            ('1,0,"TCP",1.2.3.4,80', 552),
            ('1,0,"TCP","1.2.3.4",0', 552),
            ('1,0,"TCP","1.2.3.4",65536', 552),
            ('1,0,"TCP","1.2.3.4"', 552),
            ('1,0,"TCP","1.2.3.4",80,65536', 552),
            ('1,0,"TCP","1.2.3.4",80,0,2', 552),
            ('1,0,"TCP","1.2.3.4",80,0,0,2', 552),
            ('1,0,"TCP","1.2.3.4",80,0,0,0,0', 552),
            ('1,0,"TCP","1.2.3.4",80,0,0,1', 552),
            ('1,0,"TCP","::1",80,0,0,0', 552),
            ('1,0,"TCP LISTENER","127.0.0.1",1', 552),
            ('1,0,"TCP LISTENER","127.0.0.1",1,0', 552),
            ('1,0,"TCP","1.2.3.4,80', 552),
            ('1,0,"TCP","1.2.3.4"x,80', 552),
            (f'1,0,"TCP","{"a" * 51}",80', 552),
            ('2,0,"TCP","1.2.3.4",80', 561),
        ],
    )
    def test_refused(self, desk: Desk, arguments: str, code: int) -> None:
        """A parameter out of its range is an ERROR at once, and takes no connectID."""
        assert desk.type(f"AT+QIOPEN={arguments}") == ERROR
        assert err(desk) == code
        assert desk.type("AT+QISTATE?") == OK

    def test_defaults(self, desk: Desk) -> None:
        """Five parameters will do: any local port, buffer mode, IPv4."""
        assert desk.type('AT+QIOPEN=1,5,"UDP","1.2.3.4",8062') == OK + lines("+QIOPEN: 5,0")
        assert desk.type("AT+QISTATE=1,5") == lines('+QISTATE: 5,"UDP","1.2.3.4",8062,0,2,1,0') + OK

    def test_identity_in_use(self, desk: Desk) -> None:
        """563 at once, whatever the state of the socket."""
        desk.open()
        assert desk.type('AT+QIOPEN=1,0,"TCP","1.2.3.4",80') == ERROR
        assert err(desk) == Err.IDENTITY_IN_USE

    def test_refused_by_the_peer(self, desk: Desk) -> None:
        """566, and the connectID waits for AT+QICLOSE."""
        assert desk.type('AT+QIOPEN=1,0,"TCP","1.2.3.4",80') == OK + lines("+QIOPEN: 0,566")
        assert desk.type("AT+QISTATE=1,0") == lines('+QISTATE: 0,"TCP","1.2.3.4",80,0,0,1,0') + OK
        assert desk.run("AT+QICLOSE=0") == OK + CLOSE_OK
        assert desk.type("AT+QISTATE?") == OK

    def test_failed_opens_can_free_the_id(self) -> None:
        """With ``failed_open=free`` there is nothing to close."""
        desk = Desk(SimOptions(failed_open="free"))
        desk.type('AT+QIOPEN=1,0,"TCP","1.2.3.4",80')
        assert desk.type("AT+QISTATE?") == OK
        assert desk.type("AT+QICLOSE=0") == ERROR

    def test_unknown_name(self, desk: Desk) -> None:
        """565."""
        said = desk.type('AT+QIOPEN=1,0,"TCP","nowhere.example",80')
        assert said == OK + lines("+QIOPEN: 0,565")

    @pytest.mark.parametrize("timeout_err", [566, 569])
    def test_timeout(self, timeout_err: int) -> None:
        """Nothing comes until ``open_time`` is over."""
        desk = Desk(SimOptions(timeout_err=timeout_err))  # type: ignore[arg-type]  # one of two
        desk.type('AT+QICFG="open_time",5')
        assert desk.type('AT+QIOPEN=1,0,"TCP","192.0.2.1",80') == OK
        assert desk.wait(4.99) == b""
        assert desk.wait(0.02) == lines(f"+QIOPEN: 0,{timeout_err}")

    def test_close_while_connecting(self, desk: Desk) -> None:
        """The open is given up: no +QIOPEN comes any more."""
        desk.type('AT+QIOPEN=1,0,"TCP","192.0.2.1",80')
        assert desk.run("AT+QICLOSE=0", 100) == OK + CLOSE_OK

    def test_fixed_local_port(self, desk: Desk) -> None:
        """574 while it is in use and for 120 s after the close (note 5)."""
        desk.type('AT+QIOPEN=1,0,"TCP","1.2.3.4",8062,5000')
        assert desk.type('AT+QIOPEN=1,1,"TCP","1.2.3.4",8062,5000') == ERROR
        assert err(desk) == Err.PORT_BUSY
        desk.run("AT+QICLOSE=0", 119)
        assert desk.type('AT+QIOPEN=1,0,"TCP","1.2.3.4",8062,5000') == ERROR
        desk.wait(1)
        assert desk.type('AT+QIOPEN=1,0,"TCP","1.2.3.4",8062,5000').startswith(OK)

    def test_fixed_local_port_that_the_network_has_ended(self, desk: Desk) -> None:
        """Free once its connectID is closed: nobody closed it with AT+QICLOSE before."""
        desk.type('AT+QIOPEN=1,0,"UDP","1.2.3.4",8062,5000')
        desk.module.set_coverage(False, desk.now)
        desk.module.set_coverage(True, desk.now)
        desk.run("AT+QICLOSE=0", 100)
        assert desk.type('AT+QIOPEN=1,0,"UDP","1.2.3.4",8062,5000').startswith(OK)

    def test_fixed_local_port_across_a_restart(self, desk: Desk) -> None:
        """A module that has just booted knows of no port."""
        desk.type('AT+QIOPEN=1,0,"UDP","1.2.3.4",8062,5000')
        desk.run("AT+QICLOSE=0", 1)
        desk.module.reset(desk.now)
        desk.wait(30)
        assert desk.type('AT+QIOPEN=1,0,"UDP","1.2.3.4",8062,5000').endswith(
            OK + lines("+QIOPEN: 0,0")
        )

    def test_ipv6(self, desk: Desk) -> None:
        """``<protocol_type>`` 1 takes an IPv6 address."""
        said = desk.type('AT+QIOPEN=1,0,"TCP","2001:db8::1",8062,0,0,1')
        assert said == OK + lines("+QIOPEN: 0,0")

    def test_not_attached(self, desk: Desk) -> None:
        """561 without a context."""
        desk.type("AT+CGATT=0")
        assert desk.type('AT+QIOPEN=1,0,"TCP","1.2.3.4",80') == ERROR
        assert err(desk) == Err.OPEN_PDP_FAILED


class TestClose:
    """§2.2.2."""

    @pytest.mark.parametrize("arguments", ["6", "", "0,0", '"0"', "x"])
    def test_refused(self, desk: Desk, arguments: str) -> None:
        assert desk.type(f"AT+QICLOSE={arguments}") == ERROR
        assert err(desk) == Err.INVALID_PARAMETERS

    def test_not_open(self, desk: Desk) -> None:
        """567."""
        assert desk.type("AT+QICLOSE=3") == ERROR
        assert err(desk) == Err.SOCKET_CLOSED

    def test_the_id_is_taken_until_close_ok(self, desk: Desk) -> None:
        """State 3 meanwhile; reopening is refused, so is a second close."""
        peer = desk.open()
        desk.type("AT+QICLOSE=0")
        assert peer.closed
        assert b",3,1,0\r\n" in desk.type("AT+QISTATE=1,0")
        assert desk.type('AT+QIOPEN=1,0,"TCP","1.2.3.4",80') == ERROR
        assert desk.type("AT+QICLOSE=0") == ERROR
        assert desk.wait(1) == CLOSE_OK
        desk.open()

    def test_a_late_event_cannot_reach_the_next_owner(self) -> None:
        """Data of the old connection that is still under way is lost with it."""
        desk = Desk(SimOptions(network_latency=0.5))
        old = desk.open()
        old.send(b"late")
        desk.run("AT+QICLOSE=0", 0.1)
        assert desk.run('AT+QIOPEN=1,0,"TCP","1.2.3.4",8062', 2) == OK + lines("+QIOPEN: 0,0")
        assert desk.type("AT+QIRD=0,100") == lines("+QIRD: 0") + OK


class TestState:
    """§2.2.3."""

    def test_three_forms(self, desk: Desk) -> None:
        desk.open(4)
        desk.open(2, "UDP", 1)
        two = '+QISTATE: 2,"UDP","220.18.39.22",8062,0,2,1,1'
        four = '+QISTATE: 4,"TCP","220.18.39.22",8062,0,2,1,0'
        assert desk.type("AT+QISTATE?") == lines(two, four) + OK
        assert desk.type("AT+QISTATE=0,1") == lines(two, four) + OK
        assert desk.type("AT+QISTATE=0,2") == OK
        assert desk.type("AT+QISTATE=1,4") == lines(four) + OK
        assert desk.type("AT+QISTATE=1,5") == OK

    @pytest.mark.parametrize("arguments", ["0", "2,1", "0,0", "0,4", "1,6", "1,0,0"])
    def test_refused(self, desk: Desk, arguments: str) -> None:
        assert desk.type(f"AT+QISTATE={arguments}") == ERROR
        assert err(desk) == Err.INVALID_PARAMETERS

    def test_connecting(self, desk: Desk) -> None:
        """State 1 until the connection stands."""
        desk.type('AT+QIOPEN=1,0,"TCP","192.0.2.1",80')
        assert b'"192.0.2.1",80,0,1,1,0' in desk.type("AT+QISTATE=1,0")


class TestRead:
    """§2.2.6; the edge trigger and the nodes are in test_sockets."""

    @pytest.mark.parametrize("arguments", ["0", "6,1", "0,0", "0,1025", "0,1,1", "0,-1"])
    def test_refused(self, desk: Desk, arguments: str) -> None:
        desk.open()
        assert desk.type(f"AT+QIRD={arguments}") == ERROR
        assert err(desk) == Err.INVALID_PARAMETERS

    def test_not_open(self, desk: Desk) -> None:
        assert desk.type("AT+QIRD=0,1") == ERROR
        assert err(desk) == Err.SOCKET_CLOSED

    def test_listener(self, desk: Desk) -> None:
        desk.type('AT+QIOPEN=1,0,"TCP LISTENER","127.0.0.1",1,2020')
        assert desk.type("AT+QIRD=0,1") == ERROR
        assert err(desk) == Err.NOT_ALLOWED

    def test_still_connecting(self, desk: Desk) -> None:
        desk.type('AT+QIOPEN=1,0,"TCP","192.0.2.1",80')
        assert desk.type("AT+QIRD=0,1") == ERROR
        assert err(desk) == Err.SOCKET_CLOSED


class TestSwitch:
    """§2.2.7."""

    @pytest.mark.parametrize("arguments", ["0", "6,0", "0,2", "0,0,0"])
    def test_refused(self, desk: Desk, arguments: str) -> None:
        desk.open()
        assert desk.type(f"AT+QISWTMD={arguments}") == ERROR
        assert err(desk) == Err.INVALID_PARAMETERS

    def test_buffered_data_is_pushed_out(self, desk: Desk) -> None:
        """The note doesn't say; nothing must be lost, so it follows the OK."""
        peer = desk.open()
        desk.hear(peer, b"one")
        desk.hear(peer, b"two")
        said = desk.type("AT+QISWTMD=0,1")
        assert said == OK + lines('+QIURC: "recv",0', "one") + lines('+QIURC: "recv",0', "two")
        assert desk.hear(peer, b"three") == lines('+QIURC: "recv",0', "three")

    def test_and_back(self, desk: Desk) -> None:
        """Buffer mode announces again."""
        peer = desk.open(mode=1)
        assert desk.type("AT+QISWTMD=0,0") == OK
        assert desk.hear(peer, b"x") == lines('+QIURC: "recv",0')

    def test_listener(self, desk: Desk) -> None:
        desk.type('AT+QIOPEN=1,0,"TCP LISTENER","127.0.0.1",1,2020')
        assert desk.type("AT+QISWTMD=0,1") == ERROR
        assert err(desk) == Err.NOT_ALLOWED


class TestConfigure:
    """§2.2.11."""

    @pytest.mark.parametrize(
        ("key", "default", "other"),
        [("dataformat", "0,0", "0,1"), ("viewmode", "0", "1"), ("showlength", "0", "1")],
    )
    def test_kept_in_nvram(self, key: str, default: str, other: str) -> None:
        """Query, set, query; a restart keeps the value."""
        nvram = Nvram()
        desk = Desk(nvram=nvram)
        assert desk.type(f'AT+QICFG="{key}"') == lines(f'+QICFG: "{key}",{default}') + OK
        assert desk.type(f'AT+QICFG="{key}",{other}') == lines(f'+QICFG: "{key}",{other}') + OK
        restarted = Desk(nvram=nvram)
        assert restarted.type(f'AT+QICFG="{key}"') == lines(f'+QICFG: "{key}",{other}') + OK

    def test_open_time_is_not_kept(self, desk: Desk) -> None:
        """36 s again after a restart."""
        assert desk.type('AT+QICFG="open_time"') == lines('+QICFG: "open_time",36') + OK
        assert desk.type('AT+QICFG="open_time",7') == lines('+QICFG: "open_time",7') + OK
        desk.run("AT+CFUN=1,1")
        desk.run("ATE0")
        assert desk.type('AT+QICFG="open_time"') == lines('+QICFG: "open_time",36') + OK

    @pytest.mark.parametrize(
        "arguments",
        [
            '"dataformat",1,0',
            '"dataformat",0',
            '"dataformat",0,2',
            '"viewmode",2',
            '"viewmode",0,0',
            '"showlength",2',
            '"open_time",0',
            '"open_time",37',
            '"open_time",1,1',
            '"nothing"',
            "viewmode",
            "",
        ],
    )
    def test_refused(self, desk: Desk, arguments: str) -> None:
        """Also sending hex, which only AT+QISENDEX does (note 1)."""
        assert desk.type(f"AT+QICFG={arguments}") == ERROR
        assert err(desk) == Err.INVALID_PARAMETERS


class TestLastError:
    """§2.2.12."""

    def test_nothing_happened_yet(self, desk: Desk) -> None:
        assert desk.type("AT+QIGETERROR") == lines("+QIGETERROR: 0,operation successful") + OK

    def test_only_the_last_command_counts(self, desk: Desk) -> None:
        """A command that succeeds puts it back to 0, another that isn't TCP/IP doesn't."""
        desk.type("AT+QIRD=0,1")
        desk.type("AT+CSQ")
        assert err(desk) == Err.SOCKET_CLOSED
        desk.type("AT+QISTATE?")
        assert err(desk) == Err.OK

    @pytest.mark.parametrize("code", ERR_TEXT)
    def test_every_code_has_its_text(self, desk: Desk, code: int) -> None:
        """Table 2, in lower case as §4.6 prints it."""
        desk.module.board.last_error = code
        said = desk.type("AT+QIGETERROR")
        assert said == lines(f"+QIGETERROR: {code},{ERR_TEXT[code].lower()}") + OK

    def test_write_form(self, desk: Desk) -> None:
        assert desk.type("AT+QIGETERROR=1") == ERROR


class TestDnsServers:
    """§2.2.13."""

    def test_set_one_then_two(self, desk: Desk) -> None:
        """A secondary server left out keeps its value."""
        assert desk.type('AT+QIDNSCFG="1.1.1.1","2.2.2.2"') == OK
        assert desk.type('AT+QIDNSCFG="3.3.3.3"') == OK
        assert desk.type("AT+QIDNSCFG?") == lines('+QIDNSCFG: "3.3.3.3","2.2.2.2"') + OK

    @pytest.mark.parametrize(
        "arguments", ["", "1.1.1.1", '"name"', '"1.1.1.1","2.2.2.2","3.3.3.3"']
    )
    def test_refused(self, desk: Desk, arguments: str) -> None:
        assert desk.type(f"AT+QIDNSCFG={arguments}") == ERROR

    def test_not_before_registration(self) -> None:
        """The note at the end of §2.2.13."""
        desk = Desk(SimOptions(register_time=10))
        assert desk.type('AT+QIDNSCFG="1.1.1.1"') == ERROR
        desk.wait(11)
        assert desk.type('AT+QIDNSCFG="1.1.1.1"') == OK

    def test_not_in_nvram(self, desk: Desk) -> None:
        desk.type('AT+QIDNSCFG="1.1.1.1","2.2.2.2"')
        desk.run("AT+QRST=1")
        assert b'"1.1.1.1"' not in desk.type("AT+QIDNSCFG?")


class TestAccessModeInNvram:
    """§2.2.1 and §2.2.7: ``<access_mode>`` is saved."""

    def test_by_open(self) -> None:
        """An AT+QIOPEN without the parameter takes the last one, also after a restart."""
        nvram = Nvram()
        Desk(nvram=nvram).open(mode=1)
        desk = Desk(nvram=nvram)
        desk.type('AT+QIOPEN=1,0,"TCP","1.2.3.4",8062')
        assert desk.module.sockets.by_id[0].access_mode == AccessMode.PUSH

    def test_by_switch(self) -> None:
        nvram = Nvram()
        desk = Desk(nvram=nvram)
        desk.open()
        desk.type("AT+QISWTMD=0,1")
        assert nvram.access_mode == AccessMode.PUSH


def test_six_sockets(desk: Desk) -> None:
    """All connectIDs work side by side."""
    for connect_id in CONNECT_IDS:
        desk.open(connect_id)
    assert desk.type("AT+QISTATE?").count(b"+QISTATE") == 6


def test_names_in_lower_case(desk: Desk) -> None:
    """``at`` is as good as ``AT`` (§2.1.2), and names have no case."""
    assert desk.type("at+qistate?") == OK
