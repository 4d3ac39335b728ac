"""A program that exchanges datagrams, and what must come of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiobc9x import AccessMode
from tests.model.limits import FAILURES, OPENING_S, TICK_S, Wrong, bounded
from tests.model.peers import Peer, Script, payload

if TYPE_CHECKING:
    from tests.model.driver import Run

PATIENCE_S: Final = 100.0
"""Virtual seconds until everything must have come."""


class Collector(asyncio.DatagramProtocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.errors: list[Exception] = []
        self.lost: Exception | None = None
        self.closed = False

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Keep a datagram."""
        self.got.append(data)

    def error_received(self, exc: Exception) -> None:
        """Keep an error."""
        self.errors.append(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep the end."""
        self.closed = True
        self.lost = exc


def in_order(got: list[bytes], sent: list[bytes]) -> bool:
    """Whether what was received is what was sent, without some, in order."""
    rest = iter(sent)
    return all(any(one == other for other in rest) for one in got)


class Exchange:
    """One endpoint as a program uses it."""

    def __init__(
        self,
        run: Run,
        peer: Peer,
        script: Script,
        transport: asyncio.DatagramTransport,
        protocol: Collector,
        mode: AccessMode,
    ) -> None:
        self.run = run
        self.peer = peer
        self.script = script
        self.transport = transport
        self.protocol = protocol
        connect_id = transport.get_extra_info("connect_id")
        self.name = f"datagrams of port {peer.port} (connectID {connect_id}, {mode.name.lower()})"
        self.written: list[bytes] = []
        self.ended = False

    async def hold(self) -> None:
        """Send, wait until all has come, close, and judge."""
        self.run.tell(f"{self.name} are open")
        await self._send()
        if self.run.rng.random() > 0.1:
            await self._all()
        self.script.stop()
        self.ended = self.protocol.closed
        if self.run.rng.random() < 0.2:
            self.transport.abort()
        else:
            self.transport.close()
        waited = 0.0
        while not self.protocol.closed:
            await asyncio.sleep(TICK_S)
            waited += TICK_S
            if waited > PATIENCE_S:
                raise Wrong(f"{self.name}: no connection_lost() in {PATIENCE_S:g} s")
        self._judge()

    async def _send(self) -> None:
        rng = self.run.rng
        for _ in range(rng.choice((0, 1, rng.randint(1, 12)))):
            if self.transport.is_closing():
                return
            data = payload(rng, rng.choice((1, rng.randint(1, 100), rng.randint(1, 1440))))
            self.written.append(data)
            self.transport.sendto(data)
            if rng.random() < 0.5:
                await asyncio.sleep(rng.uniform(0, 1))
            if self.run.condition.push and rng.random() < 0.15:
                await self._switch()

    async def _switch(self) -> None:
        if self.transport.is_closing():
            return
        mode = AccessMode(self.run.rng.randrange(2))
        if "switched" not in self.name:
            self.name = self.name.replace(")", ", switched)")
        self.run.tell(f"{self.name}: set_access_mode({mode})")
        switching = self.run.modem.set_access_mode(self.transport, mode)
        try:
            await bounded(switching, f"{self.name}: set_access_mode()")
        except (*FAILURES, ValueError) as exc:
            if not self.run.excused():
                raise Wrong(f"{self.name}: set_access_mode() fails: {exc!r}") from exc

    async def _all(self) -> None:
        """Wait until everything has come, in both directions."""
        peer, got = self.peer, self.protocol.got
        waited = 0.0
        while not (self.protocol.closed or peer.over):
            arrived = self.script.done and len(got) >= len(peer.nodes_sent)
            sent = len(peer.nodes_received) >= len(self.written)
            if arrived and (sent or self.run.condition.send_fail):
                return
            await asyncio.sleep(TICK_S)
            waited += TICK_S
            if waited > PATIENCE_S:
                if self.run.excused():
                    return
                raise Wrong(
                    f"{self.name}: {len(got)} of {len(peer.nodes_sent)} received, "
                    f"{len(peer.nodes_received)} of {len(self.written)} sent"
                )

    def _judge(self) -> None:
        protocol, peer = self.protocol, self.peer
        if not in_order(protocol.got, peer.nodes_sent):
            odd = [one for one in protocol.got if one not in peer.nodes_sent]
            raise Wrong(f"{self.name}: wrong datagrams, order, or doubles; not sent: {odd[:2]}")
        if not peer.dirty and not in_order(peer.nodes_received, self.written):
            odd = [one for one in peer.nodes_received if one not in self.written]
            raise Wrong(f"{self.name}: peer got wrong datagrams; not sent: {odd[:2]}")
        if self.run.excused():
            return
        if self.ended or protocol.lost is not None:
            raise Wrong(f"{self.name}: needless end: {protocol.lost!r}")
        if protocol.errors and not self.run.condition.send_fail:
            raise Wrong(f"{self.name}: needless error: {protocol.errors[0]!r}")


async def exchange(run: Run) -> None:
    """Open an endpoint and use it."""
    rng = run.rng
    peer = run.peer(tcp=False)
    script = run.script(peer)
    mode = AccessMode(rng.randrange(2)) if run.condition.push else AccessMode.BUFFER
    opening = run.modem.create_datagram_endpoint(
        Collector, remote_addr=(peer.host, peer.port), access_mode=mode
    )
    try:
        transport, protocol = await bounded(opening, f"opening UDP port {peer.port}", OPENING_S)
    except FAILURES as exc:
        script.stop()
        if not run.excused():
            raise Wrong(f"opening UDP port {peer.port} fails: {exc!r}") from exc
        return
    await Exchange(run, peer, script, transport, protocol, mode).hold()
