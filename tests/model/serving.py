"""A program that listens, and clients that connect to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aiobc9x
from tests.model.limits import FAILURES, LIMIT_S, OPENING_S, TICK_S, Wrong, bounded
from tests.model.peers import Peer, Script
from tests.model.streams import Conversation

if TYPE_CHECKING:
    from tests.model.driver import Run

PORT: Final = 2020


class Serving:
    """A listener with its clients.

    Attributes:
        waiting: Clients that have connected and were not accepted yet, by their port.

    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.waiting: dict[int, tuple[Peer, Script]] = {}
        self.talks: list[asyncio.Task[None]] = []

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk with a client that has been accepted.

        Without its last digits a port is another port, and nobody can tell; the connection is
        what its ID says.
        """
        port = writer.get_extra_info("peername")[1]
        if not self.run.condition.whole:
            sock = self.run.module.socks.get(writer.get_extra_info("connect_id"))
            port = port if sock is None or sock.peer is None else sock.peer.port
        if port not in self.waiting:
            raise Wrong(f"a connection from port {port}, where no client waits")
        peer, script = self.waiting.pop(port)
        talk = Conversation(self.run, peer, script, reader, writer)
        self.talks.append(asyncio.ensure_future(talk.hold()))

    async def hold(self, server: aiobc9x.Server, clients: int) -> None:
        """Let clients come, and close the listener."""
        rng = self.run.rng
        for _ in range(clients):
            await asyncio.sleep(rng.uniform(0, 3))
            self._connect()
        await asyncio.sleep(rng.uniform(0, 3))
        if not self.run.excused() and not self.run.condition.lost_urc:
            await self._all_accepted()
        for _, script in self.waiting.values():
            script.stop()
        server.close()
        try:
            await bounded(server.wait_closed(), "Server.wait_closed()")
        except FAILURES as exc:
            if not self.run.excused():
                raise Wrong(f"Server.wait_closed() fails: {exc!r}") from exc
        try:
            if self.talks:
                await asyncio.gather(*self.talks)
        finally:
            for task in self.talks:
                task.cancel()

    def _connect(self) -> None:
        run = self.run
        run.next_client_port += 1
        peer = Peer(tcp=True, host="192.168.2.2", port=run.next_client_port)
        script = run.script(peer)
        self.waiting[peer.port] = peer, script
        run.module.incoming(PORT, peer)
        if peer.refused:
            del self.waiting[peer.port]

    async def _all_accepted(self) -> None:
        waited = 0.0
        while self.waiting and not self.run.excused():
            await asyncio.sleep(TICK_S)
            waited += TICK_S
            if waited > LIMIT_S:
                raise Wrong(f"clients {sorted(self.waiting)} were never accepted")


async def serve(run: Run, clients: int) -> None:
    """Listen, talk with clients, close the listener."""
    serving = Serving(run)
    limit = run.rng.choice((64, 65536))
    try:
        opening = run.modem.start_server(serving.accept, PORT, limit=limit)
        server = await bounded(opening, "start_server()", OPENING_S)
    except FAILURES as exc:
        if not run.excused():
            raise Wrong(f"start_server() fails: {exc!r}") from exc
        return
    await serving.hold(server, clients)
