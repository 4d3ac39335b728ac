"""TLS over a transport of the module, from the start or in mid-stream.

Layer: aio.

asyncio's own SSLProtocol does the work. It is used directly, because the loops of
uvloop refuse ``start_tls()`` on a transport that they did not make. docs/asyncio-internals.md
lists its private names that are used here, and a test looks for each on the running Python.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import sslproto
from typing import TYPE_CHECKING, Any, Final

from aiobc9x.aio.arguments import check_seconds
from aiobc9x.aio.transports.resuming import connecting_to
from aiobc9x.aio.transports.writers import forgive, tell_writer, whole_reader
from aiobc9x.errors import StreamBroken

HANDSHAKE_TIMEOUT_S: Final = 180.0
"""Seconds for a TLS handshake. asyncio allows 60, which NB-IoT does not always keep."""

SHUTDOWN_TIMEOUT_S: Final = 60.0
"""Seconds for closing TLS. asyncio allows 30."""

_RECORD_HEADER_BYTES: Final = 5
_ALERT, _APPLICATION_DATA = 21, 23
_HIDDEN_ALERT_BYTES: Final = 19
"""An alert, its hidden type and its tag: what TLS 1.3 sends as application data."""


def make_context(
    ssl_argument: ssl.SSLContext | bool | None, server_hostname: str | None
) -> ssl.SSLContext | None:
    """Return the context that ``ssl=`` stands for, as asyncio reads it.

    Raises:
        ValueError: ``server_hostname`` without ``ssl``.
        TypeError: ``ssl`` is neither a context nor a bool.

    """
    if ssl_argument is None or ssl_argument is False:
        if server_hostname is not None:
            raise ValueError("server_hostname is only meaningful with ssl")
        return None
    if ssl_argument is True:
        context = ssl.create_default_context()
        if server_hostname == "":  # asyncio's way to ask for any name
            context.check_hostname = False
        return context
    if not isinstance(ssl_argument, ssl.SSLContext):
        raise TypeError(f"ssl must be an ssl.SSLContext or a bool, not {ssl_argument!r}")
    return ssl_argument


def check_timeouts(*, with_tls: bool, **timeouts: float | None) -> None:
    """Check ``ssl_handshake_timeout`` and ``ssl_shutdown_timeout`` before anything is sent.

    Raises:
        TypeError: A timeout is no number.
        ValueError: A timeout is given without TLS, or is not above 0.

    """
    for name, seconds in timeouts.items():
        if seconds is None:
            continue
        check_seconds(name, seconds)
        if not with_tls:
            raise ValueError(f"{name} is only meaningful with ssl")
        if seconds <= 0:
            raise ValueError(f"{name} should be a positive number, got {seconds}")


class TlsTransport(sslproto._SSLProtocolTransport):
    """asyncio's TLS transport, whose second ``close()`` would drop its protocol."""

    def close(self) -> None:
        """Close TLS with a ``close_notify``; do nothing if that was done before."""
        if not self._closed:
            super().close()


class TlsProtocol(sslproto.SSLProtocol):
    """asyncio's TLS, which tells everybody about every end.

    The original lets a handshake that is cut short by ``abort()`` pass for a success,
    and never tells the protocol of an upgraded connection that it is lost. At the end of
    the stream it fills one more buffer of a ``BufferedProtocol`` and forgets the rest; and
    it holds its own last words of the handshake back if the protocol pauses reading at once.
    A connection that the peer has closed while its reader was full can't be closed there,
    and forgets what is written to it; a reader that resumes and pauses in one turn loses the rest.
    """

    _is_flushing = _is_forced = False
    _refused = 0

    if TYPE_CHECKING:  # typeshed leaves these out
        _state: sslproto.SSLProtocolState
        _incoming: ssl.MemoryBIO
        _sslobj: ssl.SSLObject
        _eof_received: bool
        _app_reading_paused: bool

        def _set_state(self, new_state: sslproto.SSLProtocolState) -> None: ...
        def _do_read(self) -> None: ...
        def _do_shutdown(self) -> None: ...
        def _process_outgoing(self) -> None: ...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake, for which the context may want to know the port."""
        with connecting_to((transport.get_extra_info("peername") or (None, None))[1]):
            super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell the waiter and the protocol, whatever the state."""
        if self._state is sslproto.SSLProtocolState.DO_HANDSHAKE:
            text = "the connection was closed in the TLS handshake"
            self._wakeup_waiter(exc or ConnectionAbortedError(text))
            self._set_state(sslproto.SSLProtocolState.UNWRAPPED)
        if exc is None and self._refused:
            text = f"the peer closed the connection with {self._refused} bytes not sent"
            exc = StreamBroken(text)
        reader = whole_reader(self._app_protocol) if exc is not None else None
        super().connection_lost(exc)
        if reader is not None:
            self._loop.call_soon(forgive, reader)  # after the call that is on its way

    def _write_appdata(self, list_of_data: list[bytes]) -> None:
        flushing = self._state is sslproto.SSLProtocolState.FLUSHING
        if flushing and self._eof_received and not self._app_transport._closed:
            # The peer has closed. The protocol learns that only after the data that it has not
            # read yet, and what it writes until then can't be sent.
            self._refused += sum(map(len, list_of_data))
            text = f"the peer closed the connection with {self._refused} bytes not sent"
            tell_writer(innermost(self), StreamBroken(text))
        super()._write_appdata(list_of_data)

    def _on_handshake_complete(self, handshake_exc: BaseException | None) -> None:
        super()._on_handshake_complete(handshake_exc)
        if handshake_exc is None and self._transport is not None:
            # asyncio skips this if the protocol has paused reading by now, so the last message of
            # the handshake would stay here.
            self._process_outgoing()

    def _get_app_transport(self) -> TlsTransport:
        transport: TlsTransport = super()._get_app_transport()  # type: ignore[misc]  # see above
        transport.__class__ = TlsTransport
        return transport

    def _start_shutdown(self) -> None:
        waits = self._state is sslproto.SSLProtocolState.FLUSHING and not self._is_flushing
        if waits and self._eof_received and self._app_reading_paused:
            # The program closes without reading the rest.
            self._set_state(sslproto.SSLProtocolState.SHUTDOWN)
            self._do_shutdown()
        else:
            super()._start_shutdown()

    def _do_flush(self) -> None:
        if self._app_reading_paused and not self._app_transport._closed:
            # The protocol has resumed and paused again; the rest waits until it resumes once more.
            return
        self._is_flushing = True
        try:
            before = None
            while self._app_protocol_is_buffer and self._held_back not in {0, before}:
                before = self._held_back
                self._do_read()
            super()._do_flush()  # type: ignore[misc]  # not in typeshed either
        finally:
            self._is_flushing = False

    def force_reading(self) -> None:
        """Hand over all that was received, and the end, in spite of a pause."""
        self._is_forced, self._app_reading_paused = True, False
        if self._state is sslproto.SSLProtocolState.FLUSHING:
            self._do_flush()

    def _pause_reading(self) -> None:
        if not self._is_forced:
            super()._pause_reading()  # type: ignore[misc]  # as above

    @property
    def _held_back(self) -> int:
        return self._sslobj.pending() + self._incoming.pending


def wrap_protocol(
    protocol: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    *,
    server_hostname: str | None = None,
    server_side: bool = False,
    handshake_timeout: float | None = None,
    shutdown_timeout: float | None = None,
    is_connected: bool = False,
) -> tuple[Any, asyncio.Future[None]]:
    """Put TLS between a transport and a protocol.

    Args:
        protocol: Gets the decrypted bytes.
        context: The context.
        server_hostname: Whose certificate to expect.
        server_side: Whether this is the server's side.
        handshake_timeout: Seconds; ``None``: 180.
        shutdown_timeout: Seconds; ``None``: 60.
        is_connected: The protocol has a transport already, so that its
            ``connection_made()`` is not called.

    Returns:
        The protocol for the transport (``Any``: it is private to asyncio), and a future
        that is done after the handshake.

    Raises:
        ValueError: A timeout is not above 0, or the name can't be checked.

    """
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    if handshake_timeout is None:
        handshake_timeout = HANDSHAKE_TIMEOUT_S
    secured: Any = TlsProtocol(
        loop,
        protocol,
        context,
        waiter,
        server_side,
        server_hostname,
        call_connection_made=not is_connected,
        ssl_handshake_timeout=handshake_timeout,  # type: ignore[arg-type]  # float in truth
        ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S if shutdown_timeout is None else shutdown_timeout,
    )
    return secured, waiter


async def start_tls(
    loop: asyncio.AbstractEventLoop,
    transport: asyncio.WriteTransport,
    protocol: asyncio.BaseProtocol,
    sslcontext: ssl.SSLContext,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> asyncio.Transport:
    """Do what :meth:`asyncio.loop.start_tls` does, on any loop.

    On the server's side, what a ``StreamReader`` holds already goes to TLS: it is the
    beginning of the client's handshake (python/cpython#142352).

    Args:
        loop: The running loop.
        transport: A transport of the module, or TLS over one.
        protocol: The protocol that goes on with the new transport.
        sslcontext: The context.
        server_side: Whether this is the server's side.
        server_hostname: Whose certificate to expect.
        ssl_handshake_timeout: Seconds; ``None``: 180.
        ssl_shutdown_timeout: Seconds; ``None``: 60.

    Returns:
        The transport to be used from now on.

    Raises:
        TypeError: No ``SSLContext``, or a transport that can't be upgraded.
        ValueError: A timeout is not above 0, or the name can't be checked.
        ConnectionResetError: The connection is closed or closing.
        OSError: The handshake failed, such as ``ssl.SSLError``.

    A failure of the handshake, and cancellation, close the connection.
    """
    if not isinstance(sslcontext, ssl.SSLContext):
        raise TypeError(
            f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}"
        )
    if not getattr(transport, "_start_tls_compatible", False):
        raise TypeError(f"transport {transport!r} is not supported by start_tls()")
    upgraded: Any = transport  # it reads too, which its type doesn't say
    if upgraded.is_closing():
        raise ConnectionResetError("start_tls() on a connection that is closed or closing")
    secured, handshake = wrap_protocol(
        protocol,
        sslcontext,
        server_hostname=server_hostname,
        server_side=server_side,
        handshake_timeout=ssl_handshake_timeout,
        shutdown_timeout=ssl_shutdown_timeout,
        is_connected=True,
    )
    result: asyncio.Transport = secured._app_transport
    # Data from now on belong to TLS, which must know its transport first.
    upgraded.pause_reading()
    reader = _reader_of(protocol)
    if reader is not None and server_side:
        secured._incoming.write(_take_unread(reader))
    # TLS gets the resume_writing() for this pause, and must pass it on.
    if upgraded._protocol_paused:
        secured._ssl_writing_paused = secured._app_writing_paused = True
    upgraded.set_protocol(secured)
    made = loop.call_soon(secured.connection_made, upgraded)
    resumed = loop.call_soon(upgraded.resume_reading)
    try:
        await handshake
    except BaseException:
        upgraded.close()
        made.cancel()
        resumed.cancel()
        raise
    # A full reader must pause TLS, and not the transport below it, on which the peer's close_notify
    # comes.
    if reader is not None:
        reader._transport = result
    return result


def _reader_of(protocol: asyncio.BaseProtocol) -> Any:
    """Return the reader of a stream, if the protocol has one (``Any``: all is private)."""
    is_stream = isinstance(protocol, asyncio.StreamReaderProtocol)
    return getattr(protocol, "_stream_reader", None) if is_stream else None


def _take_unread(reader: Any) -> bytes:
    """Take back what a reader holds (``Any``: all is private)."""
    unread = bytes(reader._buffer)
    reader._buffer.clear()
    # Else the reader would never resume.
    reader._paused = False
    return unread


def improve(protocol: asyncio.BaseProtocol) -> None:
    """Make asyncio's own TLS, which ``loop.start_tls()`` brings, a :class:`TlsProtocol`."""
    if type(protocol) is sslproto.SSLProtocol:
        protocol.__class__ = TlsProtocol
        protocol._get_app_transport()  # type: ignore[attr-defined]  # it is one now


def innermost(protocol: asyncio.BaseProtocol) -> asyncio.BaseProtocol:
    """Return the protocol inside TLS, or inside TLS in TLS, or the one that has none."""
    while isinstance(protocol, sslproto.SSLProtocol):
        protocol = protocol._app_protocol
    return protocol


def force_reading(protocol: asyncio.BaseProtocol) -> None:
    """Have TLS hand over what it holds, if the protocol is TLS."""
    if isinstance(protocol, TlsProtocol):
        protocol.force_reading()


def is_tls(protocol: asyncio.BaseProtocol) -> bool:
    """Whether a transport's protocol is TLS."""
    return isinstance(protocol, sslproto.SSLProtocol)


def take_ciphertext(protocol: asyncio.BaseProtocol) -> bytes:
    """Take the bytes that TLS has not written yet, because the transport was full.

    asyncio's TLS closes its transport without writing them.
    """
    if not isinstance(protocol, sslproto.SSLProtocol):
        return b""
    pending: bytes = protocol._outgoing.read()  # type: ignore[attr-defined]  # not in typeshed
    return pending


def is_saying_goodbye(protocol: asyncio.BaseProtocol, unsent: bytes) -> bool:
    """Whether TLS is shutting down and has nothing left to send but its ``close_notify``.

    An error at that point is no error for the program: many peers reset the connection then.
    """
    if not isinstance(protocol, sslproto.SSLProtocol):
        return False
    state: sslproto.SSLProtocolState = protocol._state  # type: ignore[attr-defined]  # as above
    leaving = {sslproto.SSLProtocolState.FLUSHING, sslproto.SSLProtocolState.SHUTDOWN}
    return state in leaving and (not unsent or is_only_goodbye(protocol, unsent))


def is_only_goodbye(protocol: asyncio.BaseProtocol, unsent: bytes) -> bool:
    """Whether the bytes that could not be sent are only the ``close_notify`` of TLS.

    A server may close at once after its own ``close_notify``; ours then has no reader, and
    nothing is lost with it.
    """
    return isinstance(protocol, sslproto.SSLProtocol) and is_goodbye(unsent)


def is_goodbye(data: bytes) -> bool:
    """Whether the bytes are one alert record of TLS, such as ``close_notify``, and no more."""
    if len(data) <= _RECORD_HEADER_BYTES:
        return False
    kind, length = data[0], int.from_bytes(data[3:_RECORD_HEADER_BYTES], "big")
    if len(data) != _RECORD_HEADER_BYTES + length:
        return False
    return kind == _ALERT or (kind == _APPLICATION_DATA and length == _HIDDEN_ALERT_BYTES)
