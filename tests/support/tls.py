"""TLS for tests: certificates, and peers in memory that decide when they say what."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import cache

import trustme

from aiobc9x.sim.memory import Peer
from tests.support.bench import HOST, Bench, Streams
from tests.support.bench import NAME as NAME  # noqa: PLC0414  (exported from here too)

TLS_PORT = 443


@cache
def authority() -> trustme.CA:
    """Who has signed the certificates."""
    return trustme.CA()


@cache
def server_context() -> ssl.SSLContext:
    """A server that is :data:`NAME`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(NAME).configure_cert(context)
    return context


@cache
def client_context(
    *, check_hostname: bool = True, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """A client that trusts the authority, and speaks one version, or any."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check_hostname
    authority().configure_trust(context)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


class TlsPeer:
    """The far end of a socket of the module, behind TLS.

    Attributes:
        peer: The far end without it.
        received: What came, decrypted.
        is_secured: The handshake is over.
        heard_goodbye: The module's side has sent its ``close_notify``.
        on_secured: Called when the handshake is over.
        on_goodbye: Called at the module's ``close_notify``.

    """

    def __init__(
        self,
        peer: Peer,
        *,
        server_side: bool = True,
        first: bytes = b"",
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.peer = peer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or (server_context() if server_side else client_context())
        name = None if server_side else NAME
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side, name)
        self.received = bytearray()
        self.is_secured = self.heard_goodbye = False
        self.on_secured: Callable[[], object] = lambda: None
        self.on_goodbye: Callable[[], object] = self.say_goodbye
        peer.answer_with(self.take)
        if not server_side:
            self._shake_hands()
        self._flush(first)

    def take(self, data: bytes) -> None:
        """Take records from the module."""
        self._incoming.write(data)
        if not self.is_secured:
            self._shake_hands()
        if self.is_secured and not self.heard_goodbye:
            self._read()
        self._flush()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.is_secured = True
        self.on_secured()

    def _read(self) -> None:
        try:
            while data := self._tls.read(65536):
                self.received += data
        except ssl.SSLWantReadError:
            return
        except ssl.SSLZeroReturnError:
            pass
        self.heard_goodbye = True
        self._flush()
        self.on_goodbye()

    def _flush(self, first: bytes = b"") -> None:
        self.peer.send(first + self._outgoing.read())

    def send(self, data: bytes) -> None:
        """Send bytes to the module, encrypted."""
        self._tls.write(data)
        self._flush()

    def say_goodbye(self) -> None:
        """Send ``close_notify``; the connection stays."""
        try:
            self._tls.unwrap()
        except (ssl.SSLWantReadError, ssl.SSLSyscallError):
            pass
        self._flush()

    def close(self) -> None:
        """Say goodbye and close."""
        self.say_goodbye()
        self.peer.close()


def served(bench: Bench) -> list[TlsPeer]:
    """Have a server with TLS at :data:`TLS_PORT`; its connections, in order."""
    peers: list[TlsPeer] = []
    bench.network.serve_tcp(TLS_PORT, lambda peer: peers.append(TlsPeer(peer)))
    return peers


async def secured(bench: Bench, **options: object) -> tuple[Streams, TlsPeer]:
    """Connect with TLS; the streams and the far end, which have shaken hands."""
    peers = served(bench)
    streams = await bench.streams(
        HOST, TLS_PORT, ssl=client_context(), server_hostname=NAME, **options
    )
    await asyncio.sleep(1)
    assert peers[0].is_secured
    return streams, peers[0]
