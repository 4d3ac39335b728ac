"""Received data: the edge trigger, nodes, limits, push, listeners, closes."""

import pytest

from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.options import SimOptions
from aiobc9x.spec import CONNECT_IDS
from tests.sim.desk import PORT, Desk, lines
from tests.support.words import CLOSE_OK, ERROR, OK

RECV = lines('+QIURC: "recv",0')
EMPTY = lines("+QIRD: 0") + OK
FULL = lines('+QIURC: "recv",0,"buff full"')


def read(data: str) -> bytes:
    """The answer to an AT+QIRD with the length hidden."""
    return lines(f"+QIRD: {len(data)}", data) + OK


class TestEdgeTrigger:
    """A URC when the empty buffer fills; not again before a read found it empty."""

    def test_once_while_data_waits(self) -> None:
        """§2.2.6, note 1."""
        desk = Desk()
        peer = desk.open()
        assert desk.hear(peer, b"one") == RECV
        assert desk.hear(peer, b"two") == b""
        assert desk.type("AT+QIRD=0,100") == read("one")
        assert desk.hear(peer, b"three") == b""

    def test_the_last_byte_does_not_arm_it(self) -> None:
        """Only ``+QIRD: 0`` does, as relatives of this module have it."""
        desk = Desk()
        peer = desk.open()
        desk.hear(peer, b"one")
        assert desk.type("AT+QIRD=0,100") == read("one")
        assert desk.hear(peer, b"two") == b""
        assert desk.drain() == read("two") + EMPTY
        assert desk.hear(peer, b"three") == RECV

    def test_the_last_byte_can_arm_it(self) -> None:
        """``rearm=drained`` is the other reading of the note."""
        desk = Desk(SimOptions(rearm="drained"))
        peer = desk.open()
        desk.hear(peer, b"one")
        desk.type("AT+QIRD=0,2")
        assert desk.hear(peer, b"two") == b""
        desk.type("AT+QIRD=0,100")
        desk.type("AT+QIRD=0,100")
        assert desk.hear(peer, b"three") == RECV

    def test_what_is_unread_can_go_with_its_socket(self) -> None:
        """``unread=freed`` is what relatives do: the socket is gone when ``"closed"`` comes."""
        desk = Desk(SimOptions(unread="freed"))
        peer = desk.open()
        desk.hear(peer, b"one")
        peer.close()
        assert desk.wait(1) == lines('+QIURC: "closed",0')
        assert desk.type("AT+QIRD=0,100") == ERROR
        assert desk.type("AT+QISTATE?") == OK

    def test_each_socket_has_its_own(self) -> None:
        desk = Desk()
        peers = [desk.open(connect_id) for connect_id in (0, 1)]
        assert desk.hear(peers[0], b"x") == RECV
        assert desk.hear(peers[1], b"x") == lines('+QIURC: "recv",1')


class TestNodes:
    """One AT+QIRD never crosses from one node to the next (§2.2.6, note 3)."""

    @pytest.mark.parametrize("service", ["TCP", "UDP"])
    def test_one_segment_or_datagram_at_a_time(self, service: str) -> None:
        """``remaining`` counts the rest of the node, not of the buffer."""
        desk = Desk()
        desk.type('AT+QICFG="showlength",1')
        peer = desk.open(service=service)
        assert desk.hear(peer, b"abcd") == lines('+QIURC: "recv",0,4')
        desk.hear(peer, b"efgh")
        assert desk.type("AT+QIRD=0,3") == lines("+QIRD: 3,1", "abc") + OK
        assert desk.type("AT+QIRD=0,1024") == lines("+QIRD: 1,0", "d") + OK
        assert desk.type("AT+QIRD=0,1024") == lines("+QIRD: 4,0", "efgh") + OK
        assert desk.type("AT+QIRD=0,1024") == EMPTY

    def test_long_segments_are_split(self) -> None:
        """No TCP node is longer than ``node_bytes``; a datagram stays whole."""
        desk = Desk(SimOptions(node_bytes=4))
        desk.hear(desk.open(), b"abcdefghij")
        assert desk.drain() == read("abcd") + read("efgh") + read("ij") + EMPTY
        desk.hear(desk.open(1, "UDP"), b"abcdefghij")
        assert desk.drain(1) == read("abcdefghij") + EMPTY


class TestFullBuffer:
    """§2.3.3, and what the options add."""

    def test_tcp_is_held_back(self) -> None:
        """``"buff full"`` once, and not a byte is lost."""
        desk = Desk(SimOptions(node_bytes=100, buffer_bytes=300))
        peer = desk.open()
        stream = bytes(range(256)) * 8
        said = b""
        for start in range(0, len(stream), 100):
            said += desk.hear(peer, stream[start : start + 100])
        assert said == RECV + FULL
        assert peer.paused
        assert desk.module.sockets.by_id[0].buffered == 300
        desk.drain()
        assert desk.module.statistics.received_bytes == len(stream)
        assert desk.module.statistics.lost_bytes == 0

    def test_reported_again_after_the_buffer_was_empty(self) -> None:
        desk = Desk(SimOptions(node_bytes=100, buffer_bytes=200))
        peer = desk.open()
        assert desk.hear(peer, bytes(200)) == RECV + FULL
        desk.drain()
        assert desk.hear(peer, bytes(200)) == RECV + FULL

    def test_many_small_segments(self) -> None:
        """The number of nodes is limited too."""
        desk = Desk(SimOptions(buffer_nodes=3))
        peer = desk.open()
        said = b"".join(desk.hear(peer, b"x") for _ in range(5))
        assert said == RECV + FULL
        assert len(desk.module.sockets.by_id[0].nodes) == 3
        assert desk.drain().count(b"+QIRD: 1") == 5

    def test_datagrams_are_dropped(self) -> None:
        """UDP has nobody to hold back."""
        desk = Desk(SimOptions(buffer_bytes=10))
        peer = desk.open(service="UDP")
        assert desk.hear(peer, bytes(8)) == RECV
        assert desk.hear(peer, bytes(8)) == FULL
        assert desk.hear(peer, b"ok") == b""
        assert desk.module.statistics.lost_bytes == 8

    def test_dropping_tcp_bytes_is_a_fault(self) -> None:
        """What relatives do: the stream has a hole."""
        drop = Fault(FaultKind.DROP_ON_FULL, times=None)
        desk = Desk(SimOptions(node_bytes=100, buffer_bytes=250), drop)
        peer = desk.open()
        said = b"".join(desk.hear(peer, bytes(100)) for _ in range(4))
        assert said == RECV + FULL
        assert not peer.paused
        assert desk.module.statistics.lost_bytes == 200


class TestFormats:
    """§2.2.11: what stands between header and data, and hex."""

    @pytest.mark.parametrize(
        ("view_mode", "show_length", "pushed", "answer"),
        [
            (0, 0, b'\r\n+QIURC: "recv",0\r\nab\r\n', b"\r\n+QIRD: 2\r\nab\r\n"),
            (0, 1, b'\r\n+QIURC: "recv",0,2\r\nab\r\n', b"\r\n+QIRD: 2,0\r\nab\r\n"),
            (1, 0, b'\r\n+QIURC: "recv",0,ab\r\n', b"\r\n+QIRD: 2,ab\r\n"),
            (1, 1, b'\r\n+QIURC: "recv",0,2,ab\r\n', b"\r\n+QIRD: 2,0,ab\r\n"),
        ],
    )
    def test_every_combination(
        self, view_mode: int, show_length: int, pushed: bytes, answer: bytes
    ) -> None:
        desk = Desk()
        desk.type(f'AT+QICFG="viewmode",{view_mode}')
        desk.type(f'AT+QICFG="showlength",{show_length}')
        assert desk.hear(desk.open(mode=1), b"ab") == pushed
        buffered = desk.open(1)
        desk.hear(buffered, b"ab")
        assert desk.type("AT+QIRD=1,10") == answer + OK

    def test_glued_push(self) -> None:
        """The grammar of §1.2 read to the letter: no length, no separator."""
        desk = Desk(SimOptions(glued_push=True))
        peer = desk.open(mode=1)
        assert desk.hear(peer, b"ab") == b'\r\n+QIURC: "recv",0ab\r\n'
        desk.type('AT+QICFG="showlength",1')
        assert desk.hear(peer, b"ab") == b'\r\n+QIURC: "recv",0,2\r\nab\r\n'

    def test_push_without_a_line_end(self) -> None:
        """Some modules print none of their own; reads have theirs all the same."""
        desk = Desk(SimOptions(push_end=False))
        assert desk.hear(desk.open(mode=1), b"ab") == b'\r\n+QIURC: "recv",0\r\nab'
        desk.hear(desk.open(1), b"ab")
        assert desk.type("AT+QIRD=1,10") == lines("+QIRD: 2", "ab") + OK

    def test_hex(self) -> None:
        """Two digits for each byte; lengths count bytes."""
        desk = Desk()
        desk.type('AT+QICFG="dataformat",0,1')
        desk.type('AT+QICFG="showlength",1')
        peer = desk.open()
        desk.hear(peer, b"\x00\xffOK")
        assert desk.type("AT+QIRD=0,3") == lines("+QIRD: 3,1", "00FF4F") + OK
        assert desk.hear(desk.open(1, mode=1), b"\r\n") == lines('+QIURC: "recv",1,2', "0D0A")

    def test_long_segments_are_pushed_in_pieces(self) -> None:
        desk = Desk(SimOptions(node_bytes=4))
        said = desk.hear(desk.open(mode=1), b"abcdef")
        assert said == lines('+QIURC: "recv",0', "abcd") + lines('+QIURC: "recv",0', "ef")


class TestHostThatDoesNotRead:
    """The module's output is bounded."""

    def test_tcp_waits(self) -> None:
        """Pushed TCP data stays with the peer until the host has read."""
        desk = Desk()
        peer = desk.open(mode=1)
        for _ in range(100):
            peer.send(bytes(1000))
            desk.module.tick(desk.now)
        assert peer.paused
        assert desk.module.output_pending < 20_000
        desk.output()
        assert desk.module.statistics.received_bytes == 100_000
        assert not peer.paused

    def test_udp_is_lost(self) -> None:
        desk = Desk()
        peer = desk.open(service="UDP", mode=1)
        for _ in range(100):
            peer.send(bytes(1000))
            desk.module.tick(desk.now)
        assert desk.module.output_pending < 20_000
        assert desk.module.statistics.lost_bytes > 70_000

    def test_commands_wait(self) -> None:
        """A host that only writes gets no further answers until it reads."""
        desk = Desk()
        for _ in range(3000):
            desk.module.feed(b"ATI\r", desk.now)
        assert desk.module.output_pending < 20_000
        assert desk.output().count(b"OK") == 3000


class TestPeerCloses:
    """§2.3.1."""

    def test_buffered_data_stays_readable(self) -> None:
        """State 3 until AT+QICLOSE; reads go on, sends don't."""
        desk = Desk()
        peer = desk.open()
        desk.hear(peer, b"last words")
        peer.close()
        assert desk.output() == lines('+QIURC: "closed",0')
        assert b",3,1,0\r\n" in desk.type("AT+QISTATE=1,0")
        assert desk.type('AT+QISEND=0,1,"x"') == ERROR
        assert desk.drain() == read("last words") + EMPTY
        assert desk.run("AT+QICLOSE=0") == OK + CLOSE_OK
        assert desk.type("AT+QISTATE?") == OK

    def test_data_held_back_comes_before_the_close(self) -> None:
        desk = Desk(SimOptions(node_bytes=100, buffer_bytes=200))
        peer = desk.open()
        for _ in range(6):
            peer.send(bytes(100))
            desk.output()
        peer.close()
        assert desk.output() == b""
        said = desk.drain()
        assert said.count(b"+QIRD: 100") == 6
        assert said.count(b'"closed",0') == 1


class TestListener:
    """§2.3.4, §2.3.5."""

    @staticmethod
    def listening(options: SimOptions | None = None) -> Desk:
        desk = Desk(options)
        desk.type('AT+QIOPEN=1,0,"TCP LISTENER","127.0.0.1",1,2020,1')
        return desk

    @pytest.mark.parametrize(("which", "connect_id"), [("lowest", 1), ("highest", 5)])
    def test_incoming_id(self, which: str, connect_id: int) -> None:
        """The module chooses; relatives take the highest."""
        desk = self.listening(SimOptions(incoming_id=which))  # type: ignore[arg-type]  # of two
        client = desk.network.dial(2020)
        assert client is not None
        said = desk.output().decode()
        assert said.startswith(f'\r\n+QIURC: "incoming",{connect_id},0,"192.168.2.2",')
        row = f'+QISTATE: {connect_id},"TCP INCOMING","192.168.2.2",{client.port},2020,2,1,0'
        assert desk.type(f"AT+QISTATE=1,{connect_id}") == lines(row) + OK

    def test_full(self) -> None:
        """The sixth client is turned away, with a URC that names no connectID."""
        desk = self.listening()
        clients = [desk.network.dial(2020) for _ in CONNECT_IDS]
        assert clients[-1] is None
        assert None not in clients[:-1]
        assert desk.output().endswith(lines('+QIURC: "incoming full"'))

    def test_children_outlive_the_listener(self) -> None:
        desk = self.listening()
        client = desk.network.dial(2020)
        assert client is not None
        desk.run("AT+QICLOSE=0")
        assert desk.network.dial(2020) is None
        assert desk.hear(client, b"still here") == lines('+QIURC: "recv",1')

    def test_children_can_send(self) -> None:
        desk = self.listening()
        client = desk.network.dial(2020)
        assert client is not None
        desk.run('AT+QISEND=1,2,"hi"')
        assert bytes(client.received) == b"hi"

    def test_rows_can_be_hidden(self) -> None:
        """Relatives list no incoming sockets."""
        desk = self.listening(SimOptions(incoming_rows=False))
        desk.network.dial(2020)
        desk.output()
        assert desk.type("AT+QISTATE?").count(b"+QISTATE") == 1


class TestNetworkLost:
    """One ``"closed"`` for each connected socket."""

    def test_everything_closes(self) -> None:
        desk = Desk()
        desk.open(0)
        desk.open(1, "UDP")
        desk.type('AT+QIOPEN=1,2,"TCP","192.0.2.1",80')
        desk.module.set_coverage(False, desk.now)
        assert desk.output() == (
            lines('+QIURC: "closed",0') + lines('+QIURC: "closed",1') + lines("+QIOPEN: 2,570")
        )
        assert desk.type("AT+CGATT?") == lines("+CGATT: 0") + OK
        desk.module.set_coverage(True, desk.now)
        assert desk.type("AT+CGATT?") == lines("+CGATT: 1") + OK
        desk.run("AT+QICLOSE=0")
        desk.open(0)

    @pytest.mark.parametrize("line", ["AT+CGATT=0", "AT+CFUN=0", "AT+CFUN=4", "AT+CGACT=0,1"])
    def test_by_command(self, line: str) -> None:
        desk = Desk()
        desk.open()
        assert desk.type(line) == OK + lines('+QIURC: "closed",0')


class TestLatency:
    """``network_latency`` holds back what comes from the network, in order."""

    def test_opens_data_and_closes(self) -> None:
        desk = Desk(SimOptions(network_latency=0.25))
        assert desk.type(f'AT+QIOPEN=1,0,"TCP","1.2.3.4",{PORT}') == OK
        assert desk.wait(0.24) == b""
        assert desk.wait(0.02) == lines("+QIOPEN: 0,0")
        desk.peer.send(b"bye")
        desk.peer.close()
        assert desk.wait(0.24) == b""
        assert desk.wait(0.02) == RECV + lines('+QIURC: "closed",0')

    def test_held_data_counts_as_buffered(self) -> None:
        """However long the way, no more is under way than fits."""
        desk = Desk(SimOptions(network_latency=1, node_bytes=100, buffer_bytes=300))
        desk.type(f'AT+QIOPEN=1,0,"TCP","1.2.3.4",{PORT}')
        desk.wait(2)
        for _ in range(20):
            desk.peer.send(bytes(100))
        assert desk.module.sockets.by_id[0].underway == 300

    def test_name_lookups_take_time(self) -> None:
        desk = Desk(SimOptions(dns_time=2))
        assert desk.type(f'AT+QIOPEN=1,0,"TCP","localhost",{PORT}') == OK
        assert desk.wait(1.9) == b""
        assert desk.wait(0.2) == lines("+QIOPEN: 0,0")
        assert b'"TCP","127.0.0.1"' in desk.type("AT+QISTATE?")
