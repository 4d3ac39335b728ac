"""One run: a modem over the model, a random program of the host and of its peers, an oracle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Any, Final

import aiobc9x
from aiobc9x import AccessMode
from tests.model.answers import answer_to
from tests.model.conditions import Condition
from tests.model.datagrams import exchange
from tests.model.habits import Habits, habits_of
from tests.model.limits import FAILURES, OPENING_S, Wrong, bounded
from tests.model.line import HostEnd, Wire
from tests.model.module import Module
from tests.model.peers import Peer, Script, payload
from tests.model.queries import ask
from tests.model.serving import serve
from tests.model.sock import CLOSING, Sock
from tests.model.streams import Conversation

HOSTS: Final = ("10.0.0.1", "peer.example")

RUSHED_S: Final = 14.0
"""``aclose()`` has 15 s in all; closes go one by one, and each may take 8 s on the module."""

REFUSED_PORT: Final = 9


class Net:
    """Who can be reached through the module."""

    def __init__(self) -> None:
        self.peers: dict[tuple[str, int], Peer] = {}

    def dial(self, kind: str, host: str, port: int) -> Peer | int:
        """Return the peer at this port, or an error code."""
        return self.peers.get((kind, port), 566)

    def lookup(self, name: str) -> list[str]:
        """Return the addresses of a name."""
        return [] if name.startswith("no-such") else ["10.0.0.1", "10.0.0.2"][: len(name) % 2 + 1]


class Run:
    """A run with all that its parts share.

    Attributes:
        closing: Whether the modem is being closed in the middle of everything.
        rushed: Whether closing it took so long that it gave up what was left.

    """

    def __init__(self, seed: int, condition: Condition) -> None:
        self.rng = Random(f"{condition.name} {seed}")
        self.condition = condition
        self.habits: Habits = habits_of(self.rng)
        self.net = Net()
        self.module = Module(self.rng, self.habits, condition, self.net, answer_to)
        self.host_end: HostEnd | None = None
        self.modem: aiobc9x.Modem = None  # type: ignore[assignment]  # set first of all
        self.next_port = 7000
        self.next_client_port = 30000
        self.closing = False
        self.rushed = False

    def tell(self, text: str) -> None:
        """Put a remark into the dialogue."""
        self.module.note("#", text.encode())

    async def create(
        self, factory: Callable[[], asyncio.BaseProtocol]
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        """Open the byte stream of the modem."""
        protocol = factory()
        assert isinstance(protocol, asyncio.Protocol)
        end = HostEnd(protocol, self.module.host_wrote)
        habits = self.habits
        self.module.up = Wire(self.rng, habits.baudrate, "whole", self.module.receive)
        self.module.wire = Wire(self.rng, habits.baudrate, habits.cut, end.received)
        end.down = self.module.wire
        self.module.up.told = lambda data: self.module.note("!", b"lost: " + data)
        self.module.wire.told = self.module.up.told
        protocol.connection_made(end)
        self.host_end = end
        return end, protocol

    async def main(self) -> None:
        """Do the whole run."""
        self._leftovers()
        self.modem = await bounded(self._open(), "open_modem()")
        await bounded(self.modem.wait_ready(), "wait_ready()")
        self.tell("ready")
        self._faults(on=True)
        try:
            await self._programs()
            self._faults(on=False)
            self.tell("faults are over")
            if not self.closing:
                await self._still_works()
        finally:
            self._faults(on=False)
            for script in list(self.module.scripts):
                script.stop()
            if not self.closing:
                await self._close()
        self._after()

    async def _open(self) -> aiobc9x.Modem:
        rng = self.rng
        return await aiobc9x.open_modem(
            self.create,
            baudrate=self.habits.baudrate or 921600,
            profile=aiobc9x.ModuleProfile(
                on_buffer_full="continue", concurrent_opens=rng.choice((1, 6))
            ),
            receive_hex=rng.random() < 0.25,
            poll_interval=rng.choice((2.0, 10.0)),
            state_interval=rng.choice((5.0, 30.0)),
            send_form=rng.choice(("auto", "auto", "inline", "hex", "fixed")),
            read_ahead_bytes=rng.choice((2048, 262144)),
        )

    async def _close(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await bounded(self.modem.aclose(), "aclose()")
        self.rushed = loop.time() - began > RUSHED_S

    def _leftovers(self) -> None:
        """Leave sockets of an earlier program on the module."""
        for connect_id in range(6):
            if self.rng.random() < 0.1:
                sock = Sock(connect_id, "TCP", None)
                sock.state = self.rng.choice((2, 3))
                sock.mode = self.rng.randrange(2)
                self.module.socks[connect_id] = sock

    def _faults(self, *, on: bool) -> None:
        module, condition = self.module, self.condition
        module.faulty = on
        if module.wire is not None and module.up is not None:
            module.wire.chance = condition.lost_down if on else 0.0
            module.up.chance = condition.lost_up if on else 0.0

    # The programs.

    async def _programs(self) -> None:
        rng = self.rng
        parts: list[Awaitable[None]] = []
        room = 6
        if rng.random() < 0.3:
            clients = rng.randint(1, 2)
            room -= 1 + clients
            parts.append(serve(self, clients))
        for _ in range(min(room, rng.choice((1, 1, 2, 2, 3)))):
            room -= 1
            parts.append(self._later(self._client))
        if self.condition.udp:
            for _ in range(min(room, rng.choice((0, 0, 1, 2)))):
                parts.append(self._later(lambda: exchange(self)))
        if rng.random() < 0.5:
            parts.append(ask(self))
        if self.condition.resets or self.condition.outages:
            parts.append(self._restarts())
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            if rng.random() < 0.05:
                await asyncio.wait(tasks, timeout=rng.uniform(0, 10))
                self.tell("aclose() in the middle of it")
                self.closing = True
                await self._close()
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def _later(self, program: Callable[[], Awaitable[None]]) -> None:
        for _ in range(self.rng.choice((1, 1, 2))):
            await asyncio.sleep(self.rng.choice((0.0, self.rng.uniform(0, 5))))
            await program()

    async def _restarts(self) -> None:
        condition, rng = self.condition, self.rng
        for _ in range(rng.randint(0, condition.resets + condition.outages)):
            await asyncio.sleep(rng.uniform(0.1, 12))
            if self.module.booting or not self.module.registered:
                continue
            if condition.resets:
                self.module.restart(banner=rng.random() < 0.7)
            else:
                self.module.outage()

    def excused(self) -> bool:
        """Whether calls and connections may fail now."""
        if self.closing:
            return True
        if self.condition.name == "omitted":
            return self.module.omitted > 0
        if self.condition.name == "resets":
            return self.module.restarts > 0
        if self.condition.name == "outages":
            return self.module.outages > 0
        return self.condition.errors

    # Peers.

    def peer(self, *, tcp: bool) -> Peer:
        """Return a new peer that can be reached at a port of its own."""
        self.next_port += 1
        peer = Peer(tcp=tcp, host=self.rng.choice(HOSTS), port=self.next_port)
        self.net.peers["TCP" if tcp else "UDP", peer.port] = peer
        return peer

    def script(self, peer: Peer) -> Script:
        """Return what the peer does by itself once it is connected."""
        rng = self.rng
        steps: list[tuple[float, Callable[[], None]]] = []
        pace = rng.choice((0.0, 0.05, 0.5, 2.0))
        for _ in range(rng.choice((0, 1, 3, rng.randint(1, 12), rng.randint(1, 25)))):
            size = rng.choice((1, 5, rng.randint(1, 100), rng.randint(1, 1400)))
            node = payload(rng, size)
            delay = rng.uniform(0, pace) if rng.random() < 0.7 else 0.0
            steps.append((delay, partial(peer.send, node)))
        if peer.tcp and rng.random() < 0.5:
            steps.append((rng.uniform(0, pace), peer.close))
        script = Script(self.module.scripts, steps)
        peer.on_open = script.start
        if rng.random() < 0.3:
            peer.on_data = lambda data: self._echo(peer, data)
        return script

    def _echo(self, peer: Peer, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self.rng.uniform(0, 0.3), peer.send, data)

    # Streams.

    async def _client(self) -> None:
        rng = self.rng
        peer = self.peer(tcp=True)
        script = self.script(peer)
        mode = AccessMode(rng.randrange(2)) if self.condition.push else AccessMode.BUFFER
        limit = rng.choice((64, 2000, 65536))
        port = REFUSED_PORT if rng.random() < 0.05 else peer.port
        opening = self.modem.open_connection(peer.host, port, limit=limit, access_mode=mode)
        patience = rng.choice((0.02, 0.3, 2.0)) if rng.random() < 0.1 else OPENING_S
        try:
            reader, writer = await asyncio.wait_for(opening, patience)
        except FAILURES as exc:
            script.stop()
            given_up = isinstance(exc, TimeoutError) and patience < OPENING_S
            refused = isinstance(exc, aiobc9x.ConnectRefused) or self.condition.lost_urc
            expected = given_up or (port == REFUSED_PORT and refused)
            if not expected and not self.excused():
                raise Wrong(f"open_connection() fails: {exc!r}") from exc
            return
        if port == REFUSED_PORT:
            raise Wrong("a refused connection is open")
        talk = Conversation(self, peer, script, reader, writer, mode.name.lower())
        await talk.hold()

    # The end.

    async def _still_works(self) -> None:
        """Open another connection and have it echo."""
        rng = self.rng
        if not self.condition.whole or self.condition.resets or self.condition.errors:
            await asyncio.sleep(rng.uniform(0, 40))
        wanted = payload(rng, 300)
        for attempt in range(3):
            peer = self.peer(tcp=True)
            peer.on_data = peer.send
            try:
                got = await bounded(
                    self._round_trip(peer, wanted), "the last round trip", OPENING_S
                )
            except FAILURES as exc:
                if attempt < 2 and self.condition.errors:
                    await asyncio.sleep(20)
                    continue
                raise Wrong(f"the last round trip fails: {exc!r}") from exc
            if got != wanted:
                raise Wrong(f"the last round trip gives {got!r} for {wanted!r}")
            return

    async def _round_trip(self, peer: Peer, wanted: bytes) -> bytes:
        reader, writer = await self.modem.open_connection(peer.host, peer.port)
        writer.write(wanted)
        try:
            return await reader.readexactly(len(wanted))
        finally:
            writer.close()
            await writer.wait_closed()

    def _after(self) -> None:
        module = self.module
        broken = module.rules.broken
        if broken:
            raise Wrong(f"broken rule: {broken[0]} ({len(broken)} in all)")
        left = {
            sock.connect_id: sock.kind for sock in module.socks.values() if 0 < sock.state < CLOSING
        }
        if left and not self.rushed:
            raise Wrong(f"sockets are left on the module: {left}")
        if self.host_end is None or not self.host_end.is_closing():
            raise Wrong("the port is open")


async def run(seed: int, condition: Condition, keep: list[Any] | None = None) -> None:
    """Do the run of this seed.

    Args:
        seed: Any number; the same number is the same run.
        condition: What goes wrong.
        keep: Gets the run, for its dialogue.

    """
    one = Run(seed, condition)
    if keep is not None:
        keep.append(one)
    await one.main()
