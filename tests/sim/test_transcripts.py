"""Chapter 4 of the note, byte for byte, ``<CR><LF>`` included.

Where the note's text contradicts itself the test says so: the average of §4.4 and the
connectID in a comment of §4.3.2.
"""

import datetime

import pytest

from aiobc9x.sim.options import Host, SimOptions
from tests.sim.desk import Desk, lines
from tests.support.words import CLOSE_OK, ERROR, OK, SEND_OK


@pytest.fixture
def desk() -> Desk:
    return Desk()


class TestBufferAccessMode:
    """§4.1."""

    def test_set_up(self, desk: Desk) -> None:
        """§4.1.1: attached, an address, an open socket, its row."""
        assert desk.type("AT+CGATT?") == b"\r\n+CGATT: 1\r\n\r\nOK\r\n"
        assert desk.type("AT+CGPADDR?") == b'\r\n+CGPADDR: 1,"100.127.243.105"\r\n\r\nOK\r\n'
        said = desk.type('AT+QIOPEN=1,0,"TCP","220.18.39.22",8062,1234,0')
        assert said == b"\r\nOK\r\n\r\n+QIOPEN: 0,0\r\n"
        assert desk.type("AT+QISTATE=1,0") == (
            b'\r\n+QISTATE: 0,"TCP","220.18.39.22",8062,1234,2,1,0\r\n\r\nOK\r\n'
        )

    def test_send(self, desk: Desk) -> None:
        """§4.1.2: text, hex, and a send too early."""
        peer = desk.open()
        assert desk.run('AT+QISEND=0,10,"1234567890"') == b"\r\nOK\r\n\r\nSEND OK\r\n"
        assert desk.run('AT+QISENDEX=0,5,"3031323334"') == b"\r\nOK\r\n\r\nSEND OK\r\n"
        assert desk.type('AT+QISEND=0,10,"1234567890"') == b"\r\nOK\r\n"
        assert desk.type('AT+QISEND=0,10,"1234567890"') == b"\r\nERROR\r\n"
        assert desk.wait(1) == b"\r\nSEND OK\r\n"
        assert bytes(peer.received) == b"1234567890" + b"01234" + b"1234567890"

    def test_receive(self, desk: Desk) -> None:
        """§4.1.3: both settings of showlength and viewmode, and a full buffer."""
        peer = desk.open()
        assert desk.hear(peer, b"1234567890") == b'\r\n+QIURC: "recv",0\r\n'
        assert desk.type("AT+QIRD=0,512") == b"\r\n+QIRD: 10\r\n1234567890\r\n\r\nOK\r\n"
        assert desk.type("AT+QIRD=0,512") == b"\r\n+QIRD: 0\r\n\r\nOK\r\n"
        assert desk.type('AT+QICFG="showlength",1') == b'\r\n+QICFG: "showlength",1\r\n\r\nOK\r\n'
        assert desk.hear(peer, b"123456789012") == b'\r\n+QIURC: "recv",0,12\r\n'
        assert desk.type("AT+QIRD=0,10") == b"\r\n+QIRD: 10,2\r\n1234567890\r\n\r\nOK\r\n"
        assert desk.hear(peer, bytes(4000)) == b'\r\n+QIURC: "recv",0,"buff full"\r\n'
        desk.drain()
        assert desk.type('AT+QICFG="viewmode",1') == b'\r\n+QICFG: "viewmode",1\r\n\r\nOK\r\n'
        peer.answer_with(peer.send)
        assert desk.run('AT+QISEND=0,12,"012345678901"') == (
            b'\r\nOK\r\n\r\n+QIURC: "recv",0,12\r\n\r\nSEND OK\r\n'
        )
        assert desk.type("AT+QIRD=0,10") == b"\r\n+QIRD: 10,2,0123456789\r\n\r\nOK\r\n"

    def test_close(self, desk: Desk) -> None:
        """§4.1.4: OK, then CLOSE OK."""
        desk.open()
        assert desk.type("AT+QICLOSE=0") == b"\r\nOK\r\n"
        assert desk.wait(1) == b"\r\nCLOSE OK\r\n"


class TestDirectPushMode:
    """§4.2; the lengths are there because §4.1.3 had set ``showlength``."""

    def test_whole_session(self, desk: Desk) -> None:
        """§4.2.1 to §4.2.4."""
        desk.type('AT+QICFG="showlength",1')
        assert desk.type('AT+QIOPEN=1,0,"TCP","220.18.39.22",8062,0,1') == (
            b"\r\nOK\r\n\r\n+QIOPEN: 0,0\r\n"
        )
        assert desk.type("AT+QISTATE=1,0") == (
            b'\r\n+QISTATE: 0,"TCP","220.18.39.22",8062,0,2,1,1\r\n\r\nOK\r\n'
        )
        assert desk.run('AT+QISEND=0,10,"1234567890"') == OK + SEND_OK
        assert desk.run('AT+QISENDEX=0,5,"3031323334"') == OK + SEND_OK
        assert desk.hear(desk.peer, b"12345") == b'\r\n+QIURC: "recv",0,5\r\n12345\r\n'
        desk.type('AT+QICFG="viewmode",1')
        assert desk.run('AT+QISEND=0,12,"012345678901"') == OK + SEND_OK
        assert desk.hear(desk.peer, b"012345678901") == (
            b'\r\n+QIURC: "recv",0,12,012345678901\r\n'
        )
        assert desk.run("AT+QICLOSE=0") == OK + CLOSE_OK


class TestServer:
    """§4.3."""

    def test_whole_session(self, desk: Desk) -> None:
        """§4.3.1 to §4.3.4; the incoming connectID is 1, as the URC there says."""
        assert desk.type('AT+QIOPEN=1,0,"TCP LISTENER","192.168.2.6",1,2020,0') == (
            b"\r\nOK\r\n\r\n+QIOPEN: 0,0\r\n"
        )
        assert desk.type("AT+QISTATE=0,1") == (
            b'\r\n+QISTATE: 0,"TCP LISTENER","192.168.2.6",1,2020,2,1,0\r\n\r\nOK\r\n'
        )
        client = desk.network.dial(2020, "192.168.2.2")
        assert client is not None
        assert desk.output() == (
            f'\r\n+QIURC: "incoming",1,0,"192.168.2.2",{client.port}\r\n'.encode()
        )
        assert desk.hear(client, b"test") == b'\r\n+QIURC: "recv",1\r\n'
        assert desk.type("AT+QIRD=1,512") == b"\r\n+QIRD: 4\r\ntest\r\n\r\nOK\r\n"
        assert desk.type("AT+QIRD=1,512") == b"\r\n+QIRD: 0\r\n\r\nOK\r\n"
        assert desk.run("AT+QICLOSE=1") == b"\r\nOK\r\n\r\nCLOSE OK\r\n"
        assert desk.run("AT+QICLOSE=0") == b"\r\nOK\r\n\r\nCLOSE OK\r\n"


def test_ping() -> None:
    """§4.4: replies without blank lines between; the true average is 288, not 287."""
    desk = Desk(
        SimOptions(
            hosts={"sh.quectel.com": Host(("220.18.23.21",))},
            ping_table={"220.18.23.21": (0.192, 0.240, 0.241, 0.479)},
        )
    )
    assert desk.run('AT+QPING=1,"sh.quectel.com"', 10) == (
        b"\r\nOK\r\n"
        b"\r\n+QPING: 0,220.18.23.21,32,192,255\r\n"
        b"+QPING: 0,220.18.23.21,32,240,255\r\n"
        b"+QPING: 0,220.18.23.21,32,241,255\r\n"
        b"+QPING: 0,220.18.23.21,32,479,255\r\n"
        b"\r\n+QPING: 2,4,4,0,192,479,288\r\n"
    )


def test_time() -> None:
    """§4.5: the network's time and its zone in quarters of an hour."""
    east = datetime.timezone(datetime.timedelta(hours=8))
    desk = Desk(
        SimOptions(
            hosts={"ntp5.aliyun.com": Host(("127.0.0.1",))},
            clock=datetime.datetime(2018, 4, 20, 11, 8, 20, tzinfo=east),
        )
    )
    assert desk.type('AT+QNTP=1,"ntp5.aliyun.com"') == (
        b'\r\nOK\r\n\r\n+QNTP: 0,"2018/04/20,11:08:20+32"\r\n'
    )


def test_last_error(desk: Desk) -> None:
    """§4.6: an AT+QIOPEN without its socket, and why it failed."""
    assert desk.type('AT+QIOPEN=1,"UDP","220.18.39.22",8063,0,1') == ERROR
    assert desk.type("AT+QIGETERROR") == (b"\r\n+QIGETERROR: 552,invalid parameters\r\n\r\nOK\r\n")


def test_the_echo_comes_first() -> None:
    """With the echo on, as at boot, a command line comes back before its answer."""
    desk = Desk(echo=True)
    assert desk.boot == b"\r\nRDY\r\n"
    assert desk.type("AT") == b"AT\r\r\nOK\r\n"
    assert desk.type("ATE0") == b"ATE0\r\r\nOK\r\n"
    assert desk.type("AT+QICLOSE=?") == lines("+QICLOSE: (0-5)") + OK
