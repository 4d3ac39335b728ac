"""HTTP servers for the tests of clients: scripted ones in memory, real ones on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import h2.config
import h2.connection
import h2.events
from aiohttp import web

from aiobc9x.sim.memory import Peer
from tests.support.bench import Bench
from tests.support.loopback import LOOPBACK

Answer = Callable[[Peer], None]


def page(text: str, *headers: str) -> bytes:
    """Return a complete response."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(text)}", *headers, "", text]
    return "\r\n".join(lines).encode()


def serve(bench: Bench, *answers: Answer, port: int = 80) -> list[Peer]:
    """Have a peer give the next answer to each request that it gets; return its connections."""
    left, peers = list(answers), list[Peer]()

    def connected(peer: Peer) -> None:
        peers.append(peer)
        seen = bytearray()

        def on_data(data: bytes) -> None:
            seen.extend(data)
            while b"\r\n\r\n" in seen and left:
                del seen[: seen.index(b"\r\n\r\n") + 4]
                left.pop(0)(peer)

        peer.answer_with(on_data)

    bench.network.serve_tcp(port, connected)
    return peers


def sends(data: bytes) -> Answer:
    """Answer with these bytes."""
    return lambda peer: peer.send(data)


def sends_and_closes(data: bytes = b"") -> Answer:
    """Answer with these bytes and close behind them."""

    def answer(peer: Peer) -> None:
        peer.send(data)
        peer.close()

    return answer


@asynccontextmanager
async def web_server(context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve ``/``, ``/echo`` (what was sent) and ``/bytes?n=``; give the port."""

    async def root(request: web.Request) -> web.Response:
        return web.Response(text=f"hello from {request.host}")

    async def echo(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for chunk in request.content.iter_any():
            await response.write(chunk)
        return response

    async def some(request: web.Request) -> web.Response:
        return web.Response(body=bytes(int(request.query["n"])))

    app = web.Application()
    app.add_routes([web.get("/", root), web.post("/echo", echo), web.get("/bytes", some)])
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0, ssl_context=context)
    await site.start()
    try:
        port: int = runner.addresses[0][1]
        yield port
    finally:
        await runner.cleanup()


class Http2Protocol(asyncio.Protocol):
    """Answers each request with its own path and body."""

    def connection_made(self, transport: Any) -> None:  # Any: asyncio types it too broadly
        self._transport = transport
        self._bodies: dict[int, bytearray] = {}
        self._paths: dict[int, bytes] = {}
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self._connection = h2.connection.H2Connection(config)
        self._connection.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        for event in self._connection.receive_data(data):
            match event:
                case h2.events.RequestReceived():
                    assert event.headers is not None
                    self._paths[event.stream_id] = dict(event.headers)[b":path"]
                    self._bodies[event.stream_id] = bytearray()
                case h2.events.DataReceived():
                    assert event.flow_controlled_length is not None
                    self._bodies[event.stream_id] += event.data or b""
                    self._connection.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                case h2.events.StreamEnded():
                    self._answer(event.stream_id)
        self._flush()

    def _answer(self, stream_id: int) -> None:
        body = self._paths[stream_id] + b":" + bytes(self._bodies[stream_id])
        self._connection.send_headers(stream_id, [(b":status", b"200")])
        self._connection.send_data(stream_id, body, end_stream=True)

    def _flush(self) -> None:
        self._transport.write(self._connection.data_to_send())


@asynccontextmanager
async def http2_server(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Speak HTTP/2 over TLS; give the port."""
    context.set_alpn_protocols(["h2"])
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(Http2Protocol, LOOPBACK, 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
