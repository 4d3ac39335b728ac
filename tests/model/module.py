"""The module: its sockets, its unsolicited lines, and how it takes and answers commands."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Generator
from random import Random
from typing import Final, NamedTuple, Protocol

from tests.model.conditions import Condition
from tests.model.habits import Habits
from tests.model.line import Done, Wire
from tests.model.peers import Peer, Script
from tests.model.rules import Rules
from tests.model.sock import Sock

BACKLOG_S: Final = 0.25
"""Seconds of pushed data that may wait for the line; the network keeps the rest."""

NOISE: Final = (
    b"\x00",
    b"\xff",
    b"\x00\xff\x00",
    b"\r\nRING\r\n",
    b"\r\nCall Ready\r\n",
    b"\r\n+DBGINFO:task 3\r\n",
    b"\r\n+CSCON: 1\r\n",
    b"\r\n+LOWVBAT:2987\r\n",
)


class Payload(NamedTuple):
    """What an answer waits for: so many bytes from the host."""

    size: int


class Until(NamedTuple):
    """What an answer waits for: bytes up to one of these."""

    ends: bytes


Answer = Generator[float | Payload | Until, bytes, None]


class Network(Protocol):
    """Who answers when the module connects."""

    def dial(self, kind: str, host: str, port: int) -> Peer | int:
        """Return the peer, or an error code."""

    def lookup(self, name: str) -> list[str]:
        """Return the addresses of a name."""


class Module:
    """The module behind the line.

    Attributes:
        faulty: Whether faults happen; not while the library starts up.
        rules: What the host may write, and what it has written all the same.
        log: The dialogue: time, direction, bytes.
        scripts: Peers with something left to do.

    """

    def __init__(
        self,
        rng: Random,
        habits: Habits,
        condition: Condition,
        network: Network,
        answer_to: Callable[[Module, bytes], Answer],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.rng = rng
        self.habits = habits
        self.condition = condition
        self.network = network
        self.answer_to = answer_to
        self.faulty = False
        self.log: list[tuple[float, str, bytes]] = []
        self.socks: dict[int, Sock] = {}
        self.scripts: list[Script] = []
        self.wire: Wire | None = None
        self.up: Wire | None = None
        self.settings = {
            b"dataformat": [0, habits.hex],
            b"viewmode": [habits.view],
            b"showlength": [habits.shown],
            b"open_time": [36],
        }
        self.epoch = 0
        self.restarts = 0
        self.outages = 0
        self.omitted = 0
        self.rules = Rules(self, condition)
        self.fresh()

    def fresh(self) -> None:
        """Set what a restart sets."""
        self.echo = True
        self.settings[b"open_time"] = [36]
        self.last_error = (0, "operation successful")
        self.dns = ["8.8.8.8", "8.8.4.4"]
        self.rx = bytearray()
        self.running: Answer | None = None
        self.want: Payload | Until | None = None
        self.booting = False
        self.sending = False
        self.registered = True

    @property
    def hex(self) -> bool:
        """Whether received data come as hex digits."""
        return self.settings[b"dataformat"][1] == 1

    @property
    def separator(self) -> bytes:
        """What is between the header of received data and the data."""
        return b"," if self.settings[b"viewmode"][0] else b"\r\n"

    @property
    def shown(self) -> bool:
        """Whether lengths are shown."""
        return self.settings[b"showlength"][0] == 1

    # What the module says.

    def out(self, block: bytes, done: Done | None = None) -> None:
        """Write a block, with noise in front of it now and then."""
        assert self.wire is not None
        if not block:
            return
        condition = self.condition
        if self.faulty and condition.noise and self.rng.random() < condition.noise:
            noise = self.rng.choice(NOISE)
            self.note("~", noise)
            self.wire.send(noise)
        self.note("<", block)
        self.wire.send(block, done)

    def note(self, direction: str, data: bytes) -> None:
        """Keep a line of the dialogue."""
        self.log.append((self.loop.time(), direction, data))

    def line(self, name: bytes, rest: bytes) -> bytes:
        """Return an information line or URC, framed."""
        return b"\r\n+" + name + self.habits.colon + rest + b"\r\n"

    def chance(self, probability: float) -> bool:
        """Whether a fault happens now."""
        return self.faulty and probability > 0 and self.rng.random() < probability

    def urc(self, block: bytes, *, may_get_lost: bool = True, done: Done | None = None) -> None:
        """Write an unsolicited line: once, twice or not at all."""
        if may_get_lost and self.chance(self.condition.lost_urc):
            self.note("x", block)
            return
        self.out(block, done)
        if may_get_lost and self.chance(self.condition.doubled):
            self.out(block)

    def urc_send(self, block: bytes, done: Done) -> None:
        """Write the outcome of a send, sometimes twice."""
        self.out(block, done)
        if self.chance(self.condition.doubled):
            self.out(block)

    def final(self, text: bytes = b"OK") -> None:
        """Write a final result."""
        if text == b"OK" and self.chance(self.condition.omitted):
            self.omitted += 1
            self.note("x", text)
            return

        self.out(b"\r\n" + text + b"\r\n", self.rules.heard_final)

    def error(self, code: int, text: str) -> Answer:
        """Answer ERROR, for this reason."""
        self.last_error = (code, text)
        self.final(b"ERROR")
        return
        yield 0.0

    # What the host says.

    def host_wrote(self, data: bytes) -> None:
        """Take what the host writes: look at the rules, and put it on the line."""
        assert self.up is not None
        self.note(">", data)
        self.rules.wrote(data)
        # A length that has lost a digit is one that nobody can find out.
        length = re.match(rb"AT\+QISEND(?:EX)?=\d,(\d+)\r$", data)
        self.up.send(data, spare=length.span(1) if length else (0, 0))

    def lost_up(self) -> int:
        """Return how many writes of the host have lost bytes."""
        return self.up.lost if self.up is not None else 0

    def receive(self, data: bytes) -> None:
        """Take what has arrived."""
        if self.booting:
            return
        self.rx += data
        self._turn()

    def _turn(self) -> None:
        while self.rx:
            if self.want is not None:
                data = self._wanted()
                if data is None:
                    return
                self.want = None
                self._advance(data)
                continue
            if self.running is not None:
                return
            end = self.rx.find(b"\r")
            if end < 0:
                return
            line = bytes(self.rx[:end])
            del self.rx[: end + 1]
            self._begin(line.lstrip(b"\n\x1b\x00 "))

    def _wanted(self) -> bytes | None:
        want = self.want
        if isinstance(want, Payload):
            if len(self.rx) < want.size:
                return None
            data = bytes(self.rx[: want.size])
            del self.rx[: want.size]
            return data
        assert isinstance(want, Until)
        for at, byte in enumerate(self.rx):
            if byte in want.ends:
                data = bytes(self.rx[: at + 1])
                del self.rx[: at + 1]
                return data
        return None

    def _begin(self, line: bytes) -> None:
        if self.echo:
            self.out(line + b"\r")
        if line[:2].upper() != b"AT":
            return
        self.running = self.answer_to(self, line)
        delay = self.rng.uniform(0, self.habits.answer_s) if self.habits.answer_s else 0.0
        if self.chance(self.condition.late):
            delay = self.rng.uniform(0.5, 5)
            self.note("!", b"late by %.3f" % delay)
        if delay:
            self._later(delay)
        else:
            self._advance(None)

    def _later(self, delay: float) -> None:
        running = self.running

        def go_on() -> None:
            if self.running is running and running is not None:
                self._advance(None)
                self._turn()

        self.loop.call_later(delay, go_on)

    def _advance(self, data: bytes | None) -> None:
        running = self.running
        while running is not None and self.running is running:
            try:
                step = next(running) if data is None else running.send(data)
            except StopIteration:
                if self.running is running:
                    self.running = None
                return
            data = None
            if isinstance(step, float):
                if self.habits.poke and self.rng.random() < self.habits.poke:
                    self.poke()
                if step > 0:
                    self._later(step)
                    return
                continue
            self.want = step
            return

    def gap(self) -> float:
        """Return the time until the next block of an answer."""
        return self.rng.uniform(0, self.habits.gap_s) if self.habits.gap_s else 0.0

    def after(self, delay: float, action: Callable[[], None]) -> None:
        """Do something later, unless the module restarts before."""
        epoch = self.epoch

        def act() -> None:
            if self.epoch == epoch:
                action()

        self.loop.call_later(delay, act)

    # The network's side.

    def poke(self) -> None:
        """Let something that is due later happen now."""
        if self.scripts:
            self.rng.choice(self.scripts).step()

    def connected(self, sock: Sock, peer: Peer) -> None:
        """Join a socket and its peer."""
        if peer.sock is not None:
            peer.begin_anew()
        sock.peer, peer.sock = peer, sock
        peer.pull = lambda: self.pull(sock)
        sock.state = 2

    def pull(self, sock: Sock) -> None:
        """Take from the network what there is room for."""
        peer = sock.peer
        if peer is None or sock.state != 2 or self.socks.get(sock.connect_id) is not sock:
            return
        while peer.outbox and self._has_room(sock, len(peer.outbox[0])):
            self._accept(sock, peer.outbox.popleft())
        if peer.fin and not peer.outbox and sock.state == 2:
            sock.state = 3
            self.urc(self.line(b"QIURC", b'"closed",%d' % sock.connect_id))

    def _has_room(self, sock: Sock, size: int) -> bool:
        if sock.mode == 1 and not (sock.nodes and self.habits.switch == "ahead"):
            return self._line_is_free(sock)
        return sock.has_room(size)

    def _line_is_free(self, sock: Sock) -> bool:
        """Whether data can be pushed now; else try later, for the peer is throttled."""
        assert self.wire is not None
        backlog = self.wire.backlog()
        if backlog <= BACKLOG_S:
            return True
        if not sock.waits:
            sock.waits = True

            def again() -> None:
                sock.waits = False
                self.pull(sock)

            self.after(backlog - BACKLOG_S / 2, again)
        return False

    def _accept(self, sock: Sock, node: bytes) -> None:
        if sock.mode == 1 and not (sock.nodes and self.habits.switch == "ahead"):
            self.push(sock, node)
            return
        sock.nodes.append(node)
        if sock.armed:
            sock.armed = False
            if not (self.habits.suppress and self.want is not None):
                length = b",%d" % len(node) if self.shown else b""
                self.urc(self.line(b"QIURC", b'"recv",%d%s' % (sock.connect_id, length)))

    def push(self, sock: Sock, node: bytes) -> None:
        """Push data to the host."""
        length = b",%d" % len(node) if self.shown else b""
        body = self.digits(node) if self.hex else node
        tail = b"\r\n" if self.habits.push_crlf else b""
        head = b"\r\n+QIURC" + self.habits.colon + b'"recv",%d%s' % (sock.connect_id, length)
        self.out(head + self.separator + body + tail)

    def digits(self, data: bytes) -> bytes:
        """Return received data as hex digits."""
        text = data.hex().upper().encode()
        return b'"' + text + b'"' if self.habits.quotes else text

    def free_id(self) -> int | None:
        """Return the ID that an incoming connection gets."""
        free = [connect_id for connect_id in range(6) if connect_id not in self.socks]
        if not free:
            return None
        return free[0] if self.habits.lowest else free[-1]

    def incoming(self, port: int, peer: Peer) -> None:
        """Let a client connect to the listener at this port."""
        for listener in self.socks.values():
            if listener.kind == "TCP LISTENER" and listener.local_port == port:
                break
        else:
            peer.refused = True
            return
        if listener.state != 2:
            peer.refused = True
            return
        connect_id = self.free_id()
        if connect_id is None:
            peer.refused = True
            self.urc(self.line(b"QIURC", b'"incoming full"'))
            return
        sock = Sock(connect_id, "TCP INCOMING", peer)
        sock.local_port = port
        self.socks[connect_id] = sock
        self.connected(sock, peer)

        def told() -> None:
            sock.told = True

        rest = b'"incoming",%d,%d,"%s",%d' % (
            connect_id,
            listener.connect_id,
            peer.host.encode(),
            peer.port,
        )
        self.urc(self.line(b"QIURC", rest), done=told)
        if peer.on_open is not None:
            peer.on_open()
        self.pull(sock)

    def drop(self, sock: Sock) -> None:
        """Free a socket's ID."""
        if self.socks.get(sock.connect_id) is sock:
            del self.socks[sock.connect_id]
        if sock.peer is not None:
            sock.peer.over = True

    def outage(self) -> None:
        """Lose the network for a while, and with it all connections."""
        self.note("!", b"outage")
        self.registered = False
        self.outages += 1
        for sock in list(self.socks.values()):
            if sock.state == 2:
                sock.state = 3
                if sock.peer is not None:
                    sock.peer.over = True
                self.urc(self.line(b"QIURC", b'"closed",%d' % sock.connect_id))

        def back() -> None:
            self.registered = True

        self.after(self.rng.uniform(15, 40), back)

    def restart(self, *, banner: bool) -> None:
        """Lose all sockets and settings, be deaf for a while, say RDY."""
        self.note("!", b"restart" if banner else b"restart, banner lost")
        self.epoch += 1
        self.restarts += 1
        if self.running is not None:
            self.running.close()
        for sock in list(self.socks.values()):
            self.drop(sock)
        if self.rng.random() < 0.5 and self.wire is not None and self.wire.cut_off():
            self.rules.cut_off()
        self.fresh()
        self.rules.send_out = False
        self.booting = True
        self.registered = False

        def up() -> None:
            self.booting = False
            self.rx.clear()
            if banner:
                self.out(b"\r\nRDY\r\n", self.rules.heard_banner)
            self.after(self.rng.uniform(0, 3), registered)

        def registered() -> None:
            self.registered = True

        self.after(self.rng.uniform(0.2, 3), up)
