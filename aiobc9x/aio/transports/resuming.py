"""Remember TLS sessions, and resume them.

Layer: aio. Does no I/O.

A full handshake carries the server's certificates, about 2 to 4 kB; a resumed one doesn't. A TLS
1.3 server sends the ticket that resumes its session behind the handshake, with its first data. So
a session is asked for late: when the connection ends, or the next one to the same place begins.

What is remembered:

* At most :data:`PLACES` places, the one used longest ago is forgotten first, and at most
  :data:`SESSIONS` sessions for each. A session takes about 6 kB, its certificate included, so
  that a context holds 2 MB at worst. Connections are only referred to weakly.
* A session is handed to one handshake, and is gone from then on. The connection that it has made
  gives one back: its server's new ticket, or the old session if there was no new one. So a ticket
  of TLS 1.3 is not used twice where the server sends new ones (RFC 8446, C.4), two connections that
  begin at once share nothing, and a session whose handshake fails in whichever way is forgotten
  without anybody noticing the failure.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from os import PathLike
from typing import TYPE_CHECKING, Final, NamedTuple

PLACES: Final = 64
"""How many places a context remembers sessions for."""

SESSIONS: Final = 4
"""How many sessions of one place are remembered: as many connections can resume at once."""

_PORT: Final[ContextVar[int | None]] = ContextVar("aiobc9x TLS port", default=None)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    Password = Callable[[], str | bytes | bytearray] | str | bytes | bytearray


@contextmanager
def connecting_to(port: int | None) -> Iterator[None]:
    """Say to which port the handshakes go that begin meanwhile in this task.

    An ``SSLContext`` is told the host's name alone.
    """
    token = _PORT.set(port)
    try:
        yield
    finally:
        _PORT.reset(token)


class _Place(NamedTuple):
    """Whose session it is, and under which settings the peer was checked."""

    trust: tuple[object, ...]
    host: str
    port: int | None


class _Memory:
    """The sessions of one context. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[_Place, list[ssl.SSLSession]] = {}
        self._living: dict[_Place, list[weakref.ref[_Object]]] = {}
        # The collector may give a session while this thread holds the lock.
        self._given: deque[tuple[_Place, ssl.SSLSession]] = deque(maxlen=PLACES)

    def give(self, place: _Place, session: ssl.SSLSession) -> None:
        """Take a session; it never blocks."""
        self._given.append((place, session))

    def watch(self, place: _Place, connection: _Object) -> None:
        """Ask a connection for its session when the next one to its place begins."""
        with self._lock:
            living = [each for each in self._living.pop(place, ()) if each() is not None]
            self._living[place] = [*living, weakref.ref(connection)][-2 * SESSIONS :]
            _forget_oldest(self._living)

    def take(self, place: _Place) -> ssl.SSLSession | None:
        """Return a session that nobody else gets, or ``None``."""
        with self._lock:
            for reference in self._living.get(place, ()):
                connection = reference()
                if connection is not None:
                    connection.give_session_here()
            while self._given:
                self._keep(*self._given.popleft())
            kept = self._kept.get(place, [])
            while kept:
                session = kept.pop()
                if not _is_old(session):
                    return session
        return None

    def _keep(self, place: _Place, session: ssl.SSLSession) -> None:
        kept = [each for each in self._kept.pop(place, ()) if each.id != session.id]
        self._kept[place] = [*kept, session][-SESSIONS:]
        _forget_oldest(self._kept)


def _forget_oldest(
    table: dict[_Place, list[ssl.SSLSession]] | dict[_Place, list[weakref.ref[_Object]]],
) -> None:
    while len(table) > PLACES:
        del table[next(iter(table))]


def _is_old(session: ssl.SSLSession) -> bool:
    # OpenSSL looks at the age of 1.3 tickets alone. A server would refuse an old one, at the price
    # of a few hundred bytes.
    lasts = session.ticket_lifetime_hint if session.has_ticket else 0
    return time.time() > session.time + (lasts or session.timeout)


class _Remembering:
    """What both kinds of connections have in common: whose session to use, and to give."""

    _place: _Place | None = None
    _memory: _Memory
    _begun = _established = _resumed = _proved = _spoiled = False
    _given_id = b""
    _thread = 0

    if TYPE_CHECKING:
        session: ssl.SSLSession | None

        def version(self) -> str | None: ...

    def remember(self, memory: _Memory, place: _Place, *, offers: bool) -> None:
        """Take part from now on; it is called before the handshake."""
        self._memory, self._place, self._begun = memory, place, not offers

    def _begin(self) -> None:
        if self._place is None or self._begun:
            return
        self._begun = True
        if self._place.port is None:
            self._place = self._place._replace(port=_PORT.get())
        session = self._memory.take(self._place)
        if session is not None:
            try:
                self.session = session
            except (ValueError, ssl.SSLError):
                pass  # for example that of another context; the handshake will be a full one

    def _establish(self, *, resumed: bool | None) -> None:
        if not self._established:
            self._established, self._resumed = True, bool(resumed)
            self._thread = threading.get_ident()

    def _read_well(self, got: object) -> None:
        if got:
            self._proved = True

    def _read_badly(self, error: ssl.SSLError) -> None:
        # An alert: what it says may be about the session, and RFC 5246, 7.2.2 forbids to resume it.
        self._spoiled = self._spoiled or error.errno == ssl.SSL_ERROR_SSL

    def give_last_session(self) -> None:
        """Give a session as the connection ends."""
        self.give_session()
        self._place = None

    def give_session(self) -> None:
        """Give the memory a session that a new connection can resume, if there is one.

        The client ends a resumed handshake before the server does, so until data came
        from the server it may still fail on the session.
        """
        if self._place is None or not self._established or self._spoiled:
            return
        if self._resumed and not self._proved:
            return
        session = self.session
        if session is None or session.id == self._given_id:
            return
        if session.has_ticket or (session.id and self.version() != "TLSv1.3"):
            self._given_id = session.id
            self._memory.give(self._place, session)


class _Object(_Remembering, ssl.SSLObject):
    """TLS over memory: asyncio's, anyio's, uvloop's."""

    def do_handshake(self) -> None:
        """Go on with the handshake; see :meth:`ssl.SSLSocket.do_handshake`."""
        self._begin()
        super().do_handshake()
        if not self._established:
            self._establish(resumed=self.session_reused)
            if self._place is not None:
                self._memory.watch(self._place, self)

    def read(self, len: int = 1024, buffer: WriteableBuffer | None = None) -> bytes:
        """Read decrypted bytes; see :meth:`ssl.SSLSocket.read`."""
        try:
            got = super().read(len, buffer)
        except ssl.SSLError as exc:
            self._read_badly(exc)
            raise
        self._read_well(got)
        return got

    def unwrap(self) -> None:
        """Say goodbye; see :meth:`ssl.SSLSocket.unwrap`."""
        self.give_last_session()
        return super().unwrap()

    def give_session_here(self) -> None:
        """Give the session, unless another thread uses this connection: OpenSSL has no lock."""
        if self._thread == threading.get_ident():
            self.give_session()

    def __del__(self) -> None:
        """Give the session of a connection that nobody has closed in an orderly way."""
        self.give_last_session()


class _Socket(_Remembering, ssl.SSLSocket):
    """TLS over a real socket: threads, and clients behind a proxy.

    Another thread may read while one connects, so a socket gives its session at its end alone.
    """

    def do_handshake(self, block: bool = False) -> None:
        """Do the handshake; see :meth:`ssl.SSLSocket.do_handshake`."""
        self._begin()
        super().do_handshake(block)
        self._establish(resumed=self.session_reused)

    def read(self, len: int = 1024, buffer: WriteableBuffer | None = None) -> bytes:
        """Read decrypted bytes; see :meth:`ssl.SSLSocket.read`."""
        try:
            got = super().read(len, buffer)
        except ssl.SSLError as exc:
            self._read_badly(exc)
            raise
        self._read_well(got)
        return got

    def unwrap(self) -> socket.socket:
        """Say goodbye; see :meth:`ssl.SSLSocket.unwrap`."""
        self.give_last_session()
        return super().unwrap()

    def shutdown(self, how: int) -> None:
        """Shut down the socket below TLS; see :meth:`ssl.SSLSocket.shutdown`."""
        self.give_last_session()
        super().shutdown(how)

    def close(self) -> None:
        """Close the socket."""
        self.give_last_session()
        super().close()


class ResumingContext(ssl.SSLContext):
    """An :class:`ssl.SSLContext` that resumes TLS sessions; :func:`resuming_context` makes it."""

    sslobject_class: type[ssl.SSLObject] = _Object
    sslsocket_class: type[ssl.SSLSocket] = _Socket

    _memory: _Memory
    _changes = 0

    def forget(self) -> None:
        """Forget every session: the next connection to each place has a full handshake."""
        self._changes += 1  # sessions of connections that still live belong to the past, too
        self._memory = _Memory()

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Make TLS over memory; see :meth:`ssl.SSLContext.wrap_bio`.

        A ``session`` that is given is used instead of a remembered one.
        """
        trust, memory = self._trust(), self._memory
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        host = made.server_hostname
        # A program may have set an sslobject_class of its own, which doesn't take part.
        if host and trust == self._trust() and isinstance(made, _Object):
            made.remember(memory, _Place(trust, host, None), offers=session is None)
        return made

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        """Make TLS over a socket; see :meth:`ssl.SSLContext.wrap_socket`.

        A socket that connects afterwards doesn't take part.
        """
        trust, memory, port = self._trust(), self._memory, _port_of(sock)
        made = super().wrap_socket(
            sock,
            server_side,
            do_handshake_on_connect and port is None,
            suppress_ragged_eofs,
            server_hostname,
            session,
        )
        host = made.server_hostname
        is_same = port is not None and trust == self._trust()
        if host and is_same and isinstance(made, _Socket):
            made.remember(memory, _Place(trust, host, port), offers=session is None)
        if do_handshake_on_connect and port is not None:
            _shake_hands(made)
        return made

    def load_verify_locations(
        self,
        cafile: str | bytes | PathLike[str] | PathLike[bytes] | None = None,
        capath: str | bytes | PathLike[str] | PathLike[bytes] | None = None,
        cadata: str | ReadableBuffer | None = None,
    ) -> None:
        """Trust more authorities, and forget every session."""
        with self._changing():
            super().load_verify_locations(cafile, capath, cadata)

    def load_default_certs(self, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH) -> None:
        """Trust the system's authorities, and forget every session."""
        with self._changing():
            super().load_default_certs(purpose)

    def set_default_verify_paths(self) -> None:
        """Trust the authorities at OpenSSL's own paths, and forget every session."""
        with self._changing():
            super().set_default_verify_paths()

    def load_cert_chain(
        self,
        certfile: str | bytes | PathLike[str] | PathLike[bytes],
        keyfile: str | bytes | PathLike[str] | PathLike[bytes] | None = None,
        password: Password | None = None,
    ) -> None:
        """Use a client's certificate, and forget every session: servers knew another client."""
        with self._changing():
            super().load_cert_chain(certfile, keyfile, password)

    def set_ciphers(self, cipherlist: str, /) -> None:
        """Choose ciphers and the level of security, and forget every session."""
        with self._changing():
            super().set_ciphers(cipherlist)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.forget()  # afterwards: what a connection makes meanwhile is forgotten, too

    def _trust(self) -> tuple[object, ...]:
        """Return all that decides whether a peer is trusted: a resumed one isn't checked again."""
        return (
            self._changes,
            self.verify_mode,
            self.check_hostname,
            self.verify_flags,
            self.hostname_checks_common_name,
            self.minimum_version,
            self.maximum_version,
            self.options,
        )


def _port_of(sock: socket.socket) -> int | None:
    """Return the port that a socket is connected to, ``None`` if it isn't, or has no port."""
    try:
        peer = sock.getpeername()
    except OSError:
        return None
    return peer[1] if isinstance(peer, tuple) else None


def _shake_hands(made: ssl.SSLSocket) -> None:
    """Do what ``wrap_socket()`` does by itself where nothing is to be done before."""
    try:
        if made.gettimeout() == 0.0:
            raise ValueError(
                "do_handshake_on_connect should not be specified for non-blocking sockets"
            )
        made.do_handshake()
    except (OSError, ValueError):
        made.close()
        raise


def resuming_context(context: ssl.SSLContext | None = None) -> ResumingContext:
    """Return an :class:`ssl.SSLContext` that remembers TLS sessions and resumes them.

    The first connection to a host has a full handshake; later ones need a third of its bytes
    and its time, or up to two thirds with the post-quantum keys that OpenSSL 3.5 and newer
    offer by default. Use one context for all connections, wherever a context is taken:
    ``open_connection(ssl=)``, ``writer.start_tls()``, ``httpx.AsyncClient(verify=)``,
    ``aiohttp.TCPConnector(ssl=)``, an MQTT client's ``tls_context=``. It can be used by several
    threads and event loops.

    Sessions are remembered by host name, port and what the context trusts. Loading certificates
    and setting ciphers forget them; other settings of ``verify_mode``, ``check_hostname``,
    ``verify_flags``, ``options`` or versions have sessions of their own. So a session that was made
    under ``CERT_NONE`` is never used by a connection that checks. Where a library makes TLS itself
    (anyio's ``TLSStream``, connections that don't go through a modem), the port is unknown, and
    all ports of a host share their sessions; a server that doesn't know one does a full handshake.
    Through a proxy on a real socket, the port is the proxy's.

    Nothing is remembered without a ``server_hostname``, on the server's side, of servers that send
    no ticket and no session ID, and beyond 64 places with four sessions each. Sessions are kept
    in memory alone: the next run of a program begins with a full handshake.

    Args:
        context: What to make of it: this context itself is changed, and returned. ``None``:
            a new one, as :func:`ssl.create_default_context` makes it.

    Raises:
        TypeError: The context is of a subclass of :class:`ssl.SSLContext`, which may check
            peers in its own way.
        ValueError: It is a server's.

    """
    if context is None:
        context = ssl.create_default_context()
    if isinstance(context, ResumingContext):
        return context
    if type(context) is not ssl.SSLContext:
        raise TypeError(f"context must be an ssl.SSLContext itself, not {context!r}")
    if context.protocol is ssl.PROTOCOL_TLS_SERVER:
        raise ValueError("context is a server's (PROTOCOL_TLS_SERVER): only clients resume")
    context.__class__ = ResumingContext
    assert isinstance(context, ResumingContext)
    context.forget()
    return context
