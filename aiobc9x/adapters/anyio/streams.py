"""Carry anyio's streams over the modem.

Layer: adapters.

    stream = await connect_tcp(modem, "example.com", 80)
    stream = await TLSConnectable(ByteStreamConnectable(modem, host, 443), hostname=host).connect()

The streams implement the classes of :mod:`anyio.abc`, on anyio's asyncio backend (uvloop
included), and raise the errors that these classes name. TLS is anyio's own, which uses nothing
private of asyncio.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from typing import Any

import anyio
import anyio.abc
from anyio.abc import SocketAttribute
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint, checkpoint_if_cancelled

from aiobc9x.adapters.anyio.flow import Arrivals, DatagramProtocol, StreamProtocol
from aiobc9x.adapters.anyio.socket import (
    UNSENT_LIMIT_BYTES,
    Attributes,
    ModemAttribute,
    ModuleSocket,
)
from aiobc9x.aio.connections.listening import Server
from aiobc9x.aio.dialer import Dialer
from aiobc9x.aio.transports.tls import is_goodbye
from aiobc9x.errors import LinkLost
from aiobc9x.spec import SEND_MAX_BYTES, AccessMode

__all__ = [
    "ByteStream",
    "ByteStreamConnectable",
    "ConnectedUDPSocket",
    "Listener",
    "ModemAttribute",
    "connect_tcp",
    "connect_udp",
    "create_listener",
]


class ByteStream(ModuleSocket, anyio.abc.ByteStream):
    """A TCP connection through the module; made by :func:`connect_tcp` or a :class:`Listener`.

    Two tasks may use it at once, one for each direction.
    """

    _flow: StreamProtocol

    def __init__(self, protocol: StreamProtocol) -> None:
        super().__init__(protocol)
        self._ends_in_goodbye = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Return the next bytes of the stream, at least one.

        Args:
            max_bytes: The most bytes to return, 1 or more.

        Raises:
            ValueError: ``max_bytes`` is less than 1.
            anyio.EndOfStream: The peer has closed, and all its bytes have been received.
            anyio.BrokenResourceError: The connection broke, and the bytes that came before have
                been received; the error's cause says why.
            anyio.ClosedResourceError: :meth:`aclose` was called.
            anyio.BusyResourceError: Another task is receiving.

        Cancellation is safe: no byte is lost.

        """
        if max_bytes < 1:
            raise ValueError(f"max_bytes is {max_bytes}: use 1 or more")
        with self._receiving:
            await self._readable()
            if self._flow.has_data:
                return self._flow.take(max_bytes)
            if self._flow.is_ended:
                raise anyio.EndOfStream
            raise self._broken()

    async def send(self, item: bytes) -> None:
        """Send bytes.

        The call returns at once if no more than 2880 bytes wait for the module then, and else
        when the module has taken all of them. The peer may not have the bytes yet. Small items
        that wait go out together.

        Args:
            item: Any number of bytes; copied.

        Raises:
            anyio.BrokenResourceError: The connection broke, or the peer closed it; the error's
                cause says why. An unknown part of what was sent is lost.
            anyio.ClosedResourceError: :meth:`aclose` was called.
            anyio.BusyResourceError: Another task is sending.

        If the call is cancelled before it has written the item, nothing of the item is sent. If
        the call is cancelled while it waits for the module afterwards, the whole item goes out.

        After the peer has closed, a ``close_notify`` of TLS is not sent, and that is no error,
        because the peer would not read it.

        """
        with self._sending:
            await checkpoint_if_cancelled()
            await self._room()
            if self._flow.is_lost or self._flow.is_ended:
                self._refuse(item)
            else:
                self._ends_in_goodbye = self._flow.is_drained and is_goodbye(item)
                self._transport.write(item)
            if self._transport.get_write_buffer_size() > UNSENT_LIMIT_BYTES:
                await self._room()
            else:
                await cancel_shielded_checkpoint()
            if self._flow.is_lost and self._has_lost_bytes:
                raise self._broken()

    def _refuse(self, item: bytes) -> None:
        """Raise for an item that can't be sent, unless it is a ``close_notify`` nobody needs."""
        if self._flow.is_ended and self._flow.is_drained and is_goodbye(item):
            return
        ended = BrokenPipeError(errno.EPIPE, "the peer has closed the connection")
        raise self._broken(ended if self._flow.is_ended else None)

    @property
    def _has_lost_bytes(self) -> bool:
        """Whether bytes were still unsent when the connection ended, a ``close_notify`` apart."""
        only_goodbye = self._flow.is_ended and self._ends_in_goodbye
        return not self._flow.is_drained and not only_goodbye

    async def send_eof(self) -> None:
        """Raise ``NotImplementedError``: the module can't close one direction alone (§2.2.2).

        Raises:
            NotImplementedError: Always.

        """
        await checkpoint()
        raise NotImplementedError("the module can't close one direction alone; use aclose()")

    async def aclose(self) -> None:
        """Send what waits, then close; the connect ID is free when this call returns.

        Tasks that receive or send get :class:`anyio.ClosedResourceError`. Closing again does
        nothing.

        Raises:
            anyio.BrokenResourceError: The connection broke before the module had taken
                everything that was sent, and no earlier call has raised this error.

        If the call is cancelled, as :func:`anyio.aclose_forcefully` does, what waits is dropped,
        and the socket is closed in the background.

        """
        await self._close()
        if self._has_lost_bytes and not self._has_told:
            raise self._broken()


class ConnectedUDPSocket(ModuleSocket, anyio.abc.UnreliableObjectStream[bytes]):
    """A UDP socket of the module, which sends to one address and receives from that one only.

    The socket does what :class:`anyio.abc.ConnectedUDPSocket` does, but has no ``raw_socket``.
    Datagrams may be lost on the way, in the module, or here: if more than 100 wait to be
    received, the oldest are dropped.
    """

    _flow: DatagramProtocol

    async def receive(self) -> bytes:
        """Return the next datagram.

        Raises:
            anyio.BrokenResourceError: The module closed the socket, restarted, or was lost;
                the cause says which.
            anyio.ClosedResourceError: :meth:`aclose` was called.
            anyio.BusyResourceError: Another task is receiving.

        Cancellation is safe: it loses no datagram.

        """
        with self._receiving:
            await self._readable()
            if self._flow.received:
                return self._flow.take()
            raise self._broken()

    async def send(self, item: bytes) -> None:
        """Send one datagram.

        The call first waits while more than 2880 bytes wait for the module. The peer may not have
        the datagram when the call returns.

        Args:
            item: 1–1440 bytes (§2.2.4).

        Raises:
            ValueError: The datagram is empty, which the module can't send (§2.2.4, note 4).
            OSError: EMSGSIZE: the datagram is longer than 1440 bytes. Nothing was sent.
            anyio.BrokenResourceError: As :meth:`receive`.
            anyio.ClosedResourceError: :meth:`aclose` was called.
            anyio.BusyResourceError: Another task is sending.

        If the call is cancelled, the datagram is not sent.

        """
        if len(item) > SEND_MAX_BYTES:
            text = f"{os.strerror(errno.EMSGSIZE)}: {len(item)} bytes, the module sends 1440"
            raise OSError(errno.EMSGSIZE, text)
        with self._sending:
            await checkpoint_if_cancelled()
            await self._room()
            if self._flow.is_lost:
                raise self._broken()
            self._transport.sendto(item)  # type: ignore[attr-defined]  # a DatagramTransport
            await cancel_shielded_checkpoint()

    async def aclose(self) -> None:
        """Send what waits, then close; the connect ID is free when this call returns.

        Closing again does nothing. Cancellation has the same effect as in
        :meth:`ByteStream.aclose`.
        """
        await self._close()


class Listener(anyio.abc.Listener[ByteStream]):
    """A TCP listener of the module (§2.2.1); made by :func:`create_listener`.

    The listener holds one of the six connect IDs. Each connection holds one more from the moment
    it comes, also before it is accepted.
    """

    def __init__(self, server: Server, arrivals: Arrivals) -> None:
        self._server, self._arrivals = server, arrivals
        self._view = server.sockets[0]
        self._accepting = anyio.ResourceGuard("accepting connections from")
        self._error: Exception | None = None
        self._watch = asyncio.create_task(self._watch_server(), name="aiobc9x listener")

    def __repr__(self) -> str:
        state = "open" if self._server.is_serving() else "closed"
        return f"<Listener {state} at {self._view.getsockname()}>"

    @property
    def extra_attributes(self) -> Attributes:
        """The family and the local address, of :class:`anyio.abc.SocketAttribute`."""
        return {
            SocketAttribute.family: lambda: self._view.family,
            SocketAttribute.local_address: self._view.getsockname,
            SocketAttribute.local_port: lambda: self._view.getsockname()[1],
        }

    async def accept(self) -> ByteStream:
        """Return the next connection.

        Raises:
            anyio.BrokenResourceError: The module closed the listener, restarted, or was lost;
                the cause says which.
            anyio.ClosedResourceError: :meth:`aclose` was called.
            anyio.BusyResourceError: Another task is accepting.

        Cancellation is safe: no connection is lost.

        """
        with self._accepting:
            await checkpoint()
            while not self._arrivals.waiting:
                if self._arrivals.is_closed:
                    raise anyio.ClosedResourceError
                if self._error is not None:
                    raise anyio.BrokenResourceError(str(self._error)) from self._error
                await self._arrivals.wait()
            return ByteStream(self._arrivals.waiting.popleft())

    async def serve(
        self,
        handler: Callable[[ByteStream], Any],
        task_group: anyio.abc.TaskGroup | None = None,
    ) -> None:
        """Accept connections until cancelled, and start a task for each.

        Args:
            handler: Called with each stream, which it must close (``Any``: as in anyio, what
                it returns is dropped).
            task_group: The task group that the tasks are started in; ``None``: a new one, whose
                tasks are cancelled when this call ends.

        Raises:
            anyio.BrokenResourceError: As :meth:`accept`; inside an exception group if
                ``task_group`` is ``None``, as with anyio's listeners.
            anyio.ClosedResourceError: :meth:`aclose` was called; in a group likewise.
            anyio.BusyResourceError: Another task is accepting; in a group likewise.

        """
        if task_group is not None:
            await self._serve(handler, task_group)
        else:
            async with anyio.create_task_group() as own:
                await self._serve(handler, own)

    async def _serve(
        self, handler: Callable[[ByteStream], Any], task_group: anyio.abc.TaskGroup
    ) -> None:
        while True:
            task_group.start_soon(handler, await self.accept())

    async def aclose(self) -> None:
        """Stop listening; keep accepted connections, and abort those not accepted yet.

        Cancellation is safe: the listener is closed in the background.
        """
        self._server.close()
        self._arrivals.close()
        await checkpoint_if_cancelled()
        await self._server.wait_closed()
        await cancel_shielded_checkpoint()

    async def _watch_server(self) -> None:
        """Note when, and why, the module stops listening."""
        try:
            await self._server.serve_forever()
        except (asyncio.CancelledError, RuntimeError):  # RuntimeError: closed before this ran
            self._error = LinkLost("the listener was closed with its modem")
        except Exception as exc:
            self._error = exc
        self._arrivals.wake()


class ByteStreamConnectable(anyio.abc.ByteStreamConnectable):
    """A place to connect to through the module.

    Attributes:
        modem: The modem, or another :class:`~aiobc9x.aio.dialer.Dialer`.
        host: As for :func:`connect_tcp`.
        port: Remote port, 1–65535.
        options: The other keywords of :func:`connect_tcp` (``Any``: they have its types).

    """

    modem: Dialer
    host: str | bytes
    port: int
    options: dict[str, Any]

    def __init__(self, modem: Dialer, host: str | bytes, port: int, **options: Any) -> None:
        self.modem, self.host, self.port, self.options = modem, host, port, options

    def __repr__(self) -> str:
        return f"<ByteStreamConnectable to {self.host!r}:{self.port} through {self.modem!r}>"

    async def connect(self) -> ByteStream:
        """Connect; see :func:`connect_tcp`."""
        return await connect_tcp(self.modem, self.host, self.port, **self.options)


async def connect_tcp(
    modem: Dialer,
    host: str | bytes,
    port: int,
    *,
    family: int = 0,
    local_port: int = 0,
    access_mode: AccessMode = AccessMode.BUFFER,
    timeout: float | None = None,
) -> ByteStream:
    """Connect a TCP socket through the module (§2.2.1).

    Args:
        modem: The modem, or another :class:`~aiobc9x.aio.dialer.Dialer`.
        host: IP literal, or a domain name of at most 253 bytes, resolved by the module, whose
            addresses are tried in turn.
        port: Remote port, 1–65535.
        family: ``AF_INET``, ``AF_INET6``, or 0: the family of an IP literal, and for a name the
            families of which the module's context has an address.
        local_port: 0 lets the module choose; a fixed port can't be used again for a time after
            its close.
        access_mode: How received data reach the host (§1.2).
        timeout: Seconds for the whole call; ``None``: as
            :meth:`~aiobc9x.Modem.create_connection`.

    Raises:
        ValueError: An argument is out of range; nothing was sent.
        anyio.ConnectionFailed: Not connected. The error's cause is what the modem raised
            (``ConnectRefused``, ``NameNotFound``, ``NoFreeSocket``, …), with the same errno.

    Cancellation is safe: the connect ID stays reserved until the module confirms its close.

    """
    await checkpoint_if_cancelled()
    try:
        _, protocol = await modem.create_connection(
            StreamProtocol,
            host,
            port,
            family=family,
            local_port=local_port,
            access_mode=access_mode,
            timeout=timeout,
        )
    except OSError as exc:
        raise _failed(exc) from exc
    return ByteStream(protocol)


async def connect_udp(
    modem: Dialer,
    host: str | bytes,
    port: int,
    *,
    family: int = 0,
    local_port: int = 0,
    access_mode: AccessMode = AccessMode.BUFFER,
    timeout: float | None = None,
) -> ConnectedUDPSocket:
    """Open a UDP socket of the module, connected to one address (§2.2.1).

    Args:
        modem: The modem, or another :class:`~aiobc9x.aio.dialer.Dialer`.
        host: As for :func:`connect_tcp`, as are the other arguments.
        port: Remote port, 1–65535.
        family: Address family.
        local_port: The module's port.
        access_mode: How received data reach the host.
        timeout: Seconds for the whole call.

    Raises:
        ValueError: As :func:`connect_tcp`.
        anyio.ConnectionFailed: The same.

    Cancellation is safe, as for :func:`connect_tcp`.

    """
    await checkpoint_if_cancelled()
    try:
        _, protocol = await modem.create_datagram_endpoint(
            DatagramProtocol,
            remote_addr=(host, port),
            family=family,
            local_port=local_port,
            access_mode=access_mode,
            timeout=timeout,
        )
    except OSError as exc:
        raise _failed(exc) from exc
    return ConnectedUDPSocket(protocol)


async def create_listener(modem: Dialer, port: int, *, timeout: float | None = None) -> Listener:
    """Listen for TCP connections on the module (§2.2.1, "TCP LISTENER").

    Args:
        modem: The modem, or another :class:`~aiobc9x.aio.dialer.Dialer`.
        port: The module's port, 1–65535.
        timeout: Seconds for the whole call; ``None``: as :meth:`~aiobc9x.Modem.create_server`.

    Raises:
        ValueError: The port is out of range; nothing was sent.
        OSError: The module doesn't listen; see :meth:`~aiobc9x.Modem.create_server`.

    Cancellation is safe.

    """
    await checkpoint_if_cancelled()
    arrivals = Arrivals()
    server = await modem.create_server(arrivals.new_protocol, port=port, timeout=timeout)
    if not server.is_serving():
        raise LinkLost("the listener was closed with its modem")
    return Listener(server, arrivals)


def _failed(exc: OSError) -> anyio.ConnectionFailed:
    """Make anyio's error from the modem's, with the same errno and text."""
    if exc.errno is None:
        return anyio.ConnectionFailed(str(exc))
    return anyio.ConnectionFailed(exc.errno, exc.strerror)
