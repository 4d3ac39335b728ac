"""Open the byte stream to the module: a serial device, a serial server, ``sim://``, or any other.

Layer: aio.

pyserial-asyncio does the reading and writing. The port object is a subclass of pyserial's,
because pyserial's own blocks the event loop: ``open`` may take seconds, so it runs in a thread
here; ``read`` is one system call here; ``flush`` would wait for the UART, so it does nothing
here. On Windows, where pyserial-asyncio has to ask the port again and again, serialx opens
devices in its place, if it is installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any, Final, Protocol, TypeAlias

import anyio.to_thread
import serial
import serial_asyncio

from aiobc9x.aio.line.finishing import LAST_MOMENT_S, until_done
from aiobc9x.aio.line.serial_server import Greeting, keep_alive
from aiobc9x.aio.line.serial_settings import SerialSettings
from aiobc9x.errors import LinkLost, PortBusy, PortDenied, PortNotFound
from aiobc9x.masking import shown_address
from aiobc9x.patterns import lazy_pattern

CONNECT_LIMIT_S: Final = 10.0
"""Seconds for a serial server to accept the connection. Ours."""

CLOSE_LIMIT_S: Final = 2.0
"""Seconds that closing may take before the rest of the output is dropped."""

ABORT_LIMIT_S: Final = 1.0
"""Seconds that a transport has to report its end after that. Ours."""

_READ_BYTES: Final = 4096

_DISCONNECTED: Final = "the device is disconnected"
_GONE: Final = (errno.EIO, errno.ENODEV, errno.ENXIO)
"""Numbers of errors by which drivers tell an unplug."""

_LATE: Final[set[asyncio.Task[None]]] = set()
"""Closes of links that were opened after they had been given up; asyncio keeps no task alive."""

USB: Final = "usb:"
"""What begins an address that names a USB device, by whatever name the system gives it."""

SERIALX_OPENS_DEVICES: Final = sys.platform == "win32"
"""Whether serialx, if it is installed, opens this machine's devices."""

_USB: Final = lazy_pattern(
    r"usb:(?P<vid>[0-9A-Fa-f]{4}):(?P<pid>[0-9A-Fa-f]{4})(?::(?P<serial>.+))?"
)

_HOST_AND_PORT: Final = lazy_pattern(r"(?:[\w.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}")
"""``host:port`` without a scheme, a likely mistake: no system has devices with such names."""


class ByteTransport(Protocol):
    """What a link needs of a transport; those of other libraries may derive from nothing.

    The methods mean what they mean in :class:`asyncio.Transport`.
    """

    def write(self, data: bytes, /) -> None:
        """Send bytes, or queue them."""

    def is_closing(self) -> bool:
        """Return whether it is closed, or about to be."""

    def close(self) -> None:
        """Send what is queued, then close."""

    def abort(self) -> None:
        """Close at once."""


Create: TypeAlias = Callable[
    [Callable[[], asyncio.Protocol]],
    Awaitable[tuple[asyncio.BaseTransport | ByteTransport, object]],
]
"""Opens a byte stream as :meth:`asyncio.loop.create_connection` does, its address bound
beforehand: called with a protocol factory, awaited for the transport and the protocol."""

_NEEDED: Final = ("write", "is_closing", "close", "abort")


class _LinkProtocol(asyncio.Protocol):
    """Hand received bytes to the driver; keep those that arrive before it starts."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._early: list[bytes] = []
        self._lost: str | None = None
        self.was_ended = False
        self._on_data: Callable[[bytes], None] = self._early.append
        self._on_lost: Callable[[str], None] | None = None
        self.greeting: Greeting | None = None

    def start(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        self._on_data, self._on_lost = on_data, on_lost
        for data in self._early:
            on_data(data)
        self._early.clear()
        if self._lost is not None:
            self._loop.call_soon(on_lost, self._lost)

    def data_received(self, data: bytes) -> None:
        self._on_data(data)
        if self.greeting is not None and (refusal := self.greeting.hear(data)) is not None:
            self.fail(refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        self.was_ended = exc is None
        reason = str(exc) if exc is not None else "the other end closed it"
        if self.greeting is not None and (words := self.greeting.last_words):
            reason = f"{reason}; it said {words!r}"
        self.fail(reason)
        self.closed.set()

    def fail(self, reason: str) -> None:
        if self._lost is None:
            self._lost = reason
            if self._on_lost is not None:
                # Later, because this may be called in the middle of a write.
                self._loop.call_soon(self._on_lost, reason)


class Link:
    """A byte stream to the module.

    Attributes:
        name: The address that was opened.
        baudrate: Bits per second, for deadlines.
        hangs_up: Whether the loss of the far side is always reported, as the system reports it
            for a device. A network may not report it, so a silent line must be tested by AT.

    """

    name: str
    baudrate: int

    def __init__(self, name: str, baudrate: int) -> None:
        self.name, self.baudrate = name, baudrate
        self.hangs_up: bool = True
        self._protocol = _LinkProtocol()
        self._transport: Any = None  # of whatever class the link's library has
        self._port: Any = None  # a pyserial object; pyserial has no types
        self._reconfigure: Callable[..., Awaitable[None]] | None = None  # of serialx
        self._write_now: Callable[[bytes], int] | None = None
        self._cleanup: Callable[[], Awaitable[None]] | None = None
        self._closing: asyncio.Task[None] | None = None

    def start(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        """Hand over received bytes, including those that have arrived before this call.

        Args:
            on_data: Called with bytes as they come.
            on_lost: Called once, after the last bytes, with the reason why the port closed
                or failed.

        """
        self._protocol.start(on_data, lambda why: on_lost(f"{self.name} is lost: {why}"))

    def write(self, data: bytes) -> None:
        """Write bytes to the port, or queue what it does not take at once."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._write_now is not None and not transport.get_write_buffer_size():
            # At once: pyserial-asyncio would wait for the loop to report that the port is writable.
            try:
                taken = self._write_now(data)
            except (BlockingIOError, InterruptedError):
                taken = 0
            if taken == len(data):
                return
            data = data[taken:]
        transport.write(data)

    @property
    def was_ended(self) -> bool:
        """Whether the far side has ended the stream in order, without an error."""
        return self._protocol.was_ended

    def explain(self, exc: BaseException) -> BaseException:
        """Return the error of a failed start, with the text of a serial server in it, if any."""
        greeting = self._protocol.greeting
        return (greeting.explain(exc, self.name) if greeting is not None else None) or exc

    def end_greeting(self) -> None:
        """Note that the module has answered, so that bytes from now on are its own."""
        if self._protocol.greeting is not None:
            self._protocol.greeting.end()

    async def set_baudrate(self, baudrate: int) -> None:
        """Change the speed of a serial port; other links have none and ignore it."""
        self.baudrate = baudrate
        if self._port is not None:
            await anyio.to_thread.run_sync(setattr, self._port, "baudrate", baudrate)
        elif self._reconfigure is not None:
            await self._reconfigure(baudrate=baudrate)

    @property
    def has_speed(self) -> bool:
        """Whether the link is a serial port, near or far, whose speed can be wrong."""
        return self._port is not None or self._reconfigure is not None

    async def aclose(self) -> None:
        """Close the port, at the latest after three seconds; cancellation can't stop it."""
        if self._closing is None:
            # A task, because a cancel scope doesn't hold off a native Task.cancel().
            self._closing = asyncio.create_task(self._aclose(), name="aiobc9x link close")
        await asyncio.shield(self._closing)

    async def _aclose(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            await self._close(transport)
        if self._cleanup is not None:
            await self._cleanup()

    async def _close(self, transport: Any) -> None:
        closed = self._protocol.closed
        if not closed.is_set():
            transport.close()
            with anyio.move_on_after(CLOSE_LIMIT_S):
                await closed.wait()
        if not closed.is_set():
            transport.abort()
            # A transport of somebody else's may never report its end.
            with anyio.move_on_after(ABORT_LIMIT_S):
                await closed.wait()

    async def _open_serial(self, device: str, settings: SerialSettings) -> None:
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(None, _open_port, device, settings)
        try:
            port = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # A thread can't be cancelled. The next try must find the port free.
            if await until_done(opening, CLOSE_LIMIT_S):
                _close_late(opening)
            else:
                opening.add_done_callback(_close_late)
            raise
        if hasattr(port, "on_gone"):
            port.on_gone = self._protocol.fail
            self._write_now = port.write
        transport, _ = await serial_asyncio.connection_for_serial(
            loop, lambda: self._protocol, port
        )
        self._transport, self._port = transport, port
        # connection_made and add_reader are called in the loop's next turn.
        await asyncio.sleep(0)

    async def _open_socket(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._await_greeting()
        try:
            with anyio.fail_after(CONNECT_LIMIT_S):
                self._transport, _ = await loop.create_connection(
                    lambda: self._protocol, host, port
                )
        except OSError as exc:
            raise LinkLost(
                f"can't connect to the serial server {self.name}: {_why_not(exc)}"
            ) from exc
        keep_alive(self._transport.get_extra_info("socket"))

    async def _open_serialx(self, url: str, settings: SerialSettings, *, is_far: bool) -> None:
        try:
            # It is imported on demand, because most programs do without serialx.
            from aiobc9x.aio.line.serialx_port import open_port  # noqa: PLC0415
        except ImportError as exc:
            raise ImportError(f"{self.name} is opened by serialx: {exc}") from exc
        if is_far:
            self._await_greeting()
        try:
            transport = await open_port(self._protocol, url, settings)
        except OSError as exc:
            if not is_far:
                raise _port_error(url, exc) from exc
            raise LinkLost(f"can't connect to {self.name}: {_why_not(exc)}") from exc
        self._transport, self._reconfigure = transport, transport.reconfigure_port

    def _await_greeting(self) -> None:
        self._protocol.greeting = Greeting()
        self.hangs_up = False

    async def _open_created(self, create: Create) -> None:
        self._await_greeting()
        try:
            made = await create(lambda: self._protocol)
        except OSError as exc:
            if isinstance(exc, LinkLost):
                raise
            kind = _KINDS.get(exc.errno or 0, LinkLost)
            raise kind(f"can't open {self.name}: {str(exc) or type(exc).__name__}") from exc
        match made:
            case (transport, _) if all(hasattr(transport, name) for name in _NEEDED):
                self._transport = transport
            case _:
                raise TypeError(
                    f"{self.name} must return (transport, protocol), as loop.create_connection() "
                    f"does, with a transport that has {', '.join(_NEEDED)}; it returned {made!r}"
                )

    async def _open_sim(self, address: str) -> None:
        from aiobc9x.sim import links  # noqa: PLC0415  (the virtual module loads on demand)

        options = links.parse_address(address)
        module = links.VirtualModule(options)
        self._cleanup = module.aclose
        self.baudrate = options.baud or self.baudrate
        # A replay says why it ends, which a pty could not.
        if options.link == "memory" or options.replay is not None or os.name != "posix":
            self._transport = module.connect_memory(self._protocol)
        else:
            device = await module.start_pty()
            await self._open_serial(device, SerialSettings())
            # The speed of a pty means nothing, so there is none to change.
            self._port = None


async def open_link(address: str | Create, settings: SerialSettings) -> Link:
    """Open the link that an address names, or that a callable makes.

    Args:
        address: A serial device, ``usb:VID:PID[:SERIAL]``, ``socket://host:port``,
            ``rfc2217://host:port``, ``esphome://host:port/?key=…``, ``serialx://DEVICE``,
            ``sim://?name=value&…``, or ``create(protocol_factory)``.
        settings: For a serial port.

    Raises:
        ValueError: The address can't be read, or its scheme is not supported.
        ImportError: The scheme needs a package that is not installed; the message names it.
        TypeError: The callable returned something else than a transport and a protocol.
        PortNotFound: There is no such device.
        PortDenied: The device may not be opened by this user.
        PortBusy: Another program has locked the device.
        LinkLost: Opening failed in another way; the message says how.

    Cancellation closes what was opened.
    """
    link = Link(_name_of(address), settings.baudrate)
    try:
        if isinstance(address, str):
            await _open(link, address, settings)
        else:
            await link._open_created(address)
    except BaseException:
        await link.aclose()
        raise
    return link


async def open_link_apart(
    address: str | Create, settings: SerialSettings, limit: float | None = None
) -> Link:
    """Open a link in a context of its own.

    It must not go through another modem that the caller's context is routed through.

    Args:
        address: As for :func:`open_link`.
        settings: As for :func:`open_link`.
        limit: Seconds that the opening may take; ``None``: as long as it takes.

    Raises:
        LinkLost: As :func:`open_link`, with all its other errors; or the opening did not end in
            ``limit``, or was cancelled from inside.

    Cancellation closes what was opened.
    """
    opening = asyncio.create_task(open_link(address, settings), context=contextvars.Context())
    try:
        await asyncio.wait([opening], timeout=limit)
    except asyncio.CancelledError:
        await _give_up(opening)
        raise
    name = _name_of(address)
    if not opening.done():
        await _give_up(opening)
        raise LinkLost(f"{name} could not be opened in {limit:g} s")
    if opening.cancelled():
        raise LinkLost(f"{name} could not be opened: it was cancelled from inside")
    return opening.result()


async def _give_up(opening: asyncio.Task[Link]) -> None:
    """Cancel an opening, and close what it has opened nevertheless, also when it does so late."""
    opening.cancel()
    # An opening that waits for a thread has a limit of its own.
    if await until_done(opening, CLOSE_LIMIT_S + LAST_MOMENT_S):
        if not opening.cancelled() and opening.exception() is None:
            # It came in the same turn as the cancellation.
            await until_done(asyncio.create_task(opening.result().aclose()))
    else:
        opening.add_done_callback(_close_unwanted)


def _close_unwanted(opening: asyncio.Task[Link]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        _LATE.add(task := asyncio.create_task(opening.result().aclose()))
        task.add_done_callback(_LATE.discard)


async def is_there(address: str | Create) -> bool:
    """Whether a device is there, as far as can be seen without opening it.

    What has no device, as a serial server, always counts as there.
    """
    if not isinstance(address, str):
        return True
    if address.startswith(USB):
        return await anyio.to_thread.run_sync(find_usb, address) is not None
    device = address.removeprefix("serialx://")
    if "://" in device or os.name != "posix":
        return True
    return os.path.exists(device)  # noqa: PTH110, ASYNC240  (a look at /dev, which is in memory)


def find_usb(address: str) -> str | None:
    """Return the device of ``usb:VID:PID[:SERIAL]``, ``None`` if it isn't plugged in.

    Raises:
        ValueError: The address can't be read.

    """
    from serial.tools import list_ports  # noqa: PLC0415  (for such addresses alone)

    match = _USB.fullmatch(address)
    if match is None:
        raise ValueError(f"{address!r}: write usb:VID:PID or usb:VID:PID:SERIAL, as usb:0403:6001")
    wanted = int(match["vid"], 16), int(match["pid"], 16)
    found = [
        port.device
        for port in list_ports.comports()
        if (port.vid, port.pid) == wanted and match["serial"] in {None, port.serial_number}
    ]
    return min(found, default=None)


def _name_of(create: str | Create) -> str:
    """Name an address, or a callable without the arguments that a partial has bound."""
    if isinstance(create, str):
        return shown_address(create)
    while isinstance(create, partial):
        create = create.func
    return f"{getattr(create, '__qualname__', type(create).__qualname__)}()"


async def _open(link: Link, address: str, settings: SerialSettings) -> None:
    if not address:
        raise ValueError("address is empty; use a device, socket://host:port, or sim://")
    scheme, separator, _ = address.partition("://")
    if not separator and _HOST_AND_PORT.fullmatch(address):
        raise ValueError(f"{address!r} is no device; for a serial server write socket://{address}")
    if address.startswith(USB):
        scheme = USB
    elif not separator:
        scheme = ""
    opens = _SCHEMES.get(scheme)
    if opens is None:
        known = ", ".join(f"{name}://" for name in _SCHEMES if name.isalnum())
        raise ValueError(
            f"{address!r}: the scheme {scheme}:// is not supported; use a device such as "
            f"/dev/ttyUSB0, usb:VID:PID, or one of {known}"
        )
    await opens(link, address, settings)


async def _open_device(link: Link, device: str, settings: SerialSettings) -> None:
    if SERIALX_OPENS_DEVICES and find_spec("serialx") is not None:
        await link._open_serialx(device, settings, is_far=False)
    else:
        await link._open_serial(device, settings)


async def _open_usb(link: Link, address: str, settings: SerialSettings) -> None:
    device = await anyio.to_thread.run_sync(find_usb, address)
    if device is None:
        raise PortNotFound(f"there is no device {address}; is the module plugged in?")
    await _open_device(link, device, settings)


async def _open_server(link: Link, address: str, _settings: SerialSettings) -> None:
    await link._open_socket(*_host_and_port(address))


async def _open_virtual(link: Link, address: str, _settings: SerialSettings) -> None:
    await link._open_sim(address)


async def _open_rfc2217(link: Link, address: str, settings: SerialSettings) -> None:
    _host_and_port(address)
    await link._open_serialx(address, settings, is_far=True)


async def _open_esphome(link: Link, address: str, settings: SerialSettings) -> None:
    await link._open_serialx(address, settings, is_far=True)


async def _open_by_serialx(link: Link, address: str, settings: SerialSettings) -> None:
    await link._open_serialx(address.removeprefix("serialx://"), settings, is_far=False)


_SCHEMES: Final[Mapping[str, Callable[[Link, str, SerialSettings], Awaitable[None]]]] = {
    "": _open_device,
    USB: _open_usb,
    "socket": _open_server,
    "rfc2217": _open_rfc2217,
    "esphome": _open_esphome,
    "serialx": _open_by_serialx,
    "sim": _open_virtual,
}
"""What opens an address, by what stands before ``://``; a device has nothing there."""


def _host_and_port(address: str) -> tuple[str, int]:
    from urllib.parse import urlsplit  # noqa: PLC0415  (for serial servers alone)

    scheme = address[: address.index("://") + 3]
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise ValueError(f"{address!r}: {exc}; write {scheme}host:port") from exc
    if not host or not port:
        raise ValueError(f"{address!r} lacks a host or a port; write {scheme}host:port")
    return host, port


def _open_port(device: str, settings: SerialSettings) -> Any:
    """Open a serial device; runs in a thread, because drivers may take seconds."""
    port = _Port()
    port.port = device
    for name in ("baudrate", "bytesize", "parity", "stopbits", "rtscts", "xonxoff", "dsrdtr"):
        setattr(port, name, getattr(settings, name))
    if settings.exclusive and os.name == "posix":
        port.exclusive = True
    for name in ("dtr", "rts"):
        if getattr(settings, name) is not None:
            setattr(port, name, getattr(settings, name))
    try:
        port.open()
    except Exception as exc:
        port.close()
        if isinstance(exc, OSError) or type(exc).__name__ == "error":  # termios.error
            raise _port_error(device, exc) from exc
        raise
    return port


def _close_late(opening: asyncio.Future[Any]) -> None:
    """Close a port whose opening was cancelled before it was open."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


_KINDS: Final[dict[int, type[LinkLost]]] = {
    errno.ENOENT: PortNotFound,
    errno.ENODEV: PortNotFound,
    errno.ENXIO: PortNotFound,
    errno.EACCES: PortDenied,
    errno.EPERM: PortDenied,
    errno.EBUSY: PortBusy,
}
"""What an error of a user's ``create`` means, so that it is waited for as for a device."""


def _port_error(device: str, exc: Exception) -> LinkLost:
    code = getattr(exc, "errno", None) or (exc.args[0] if exc.args else None)
    if code == errno.ENOENT:
        return PortNotFound(f"there is no serial device {device}; is the module plugged in?")
    if code in {errno.EACCES, errno.EPERM}:
        return PortDenied(
            f"no permission to open {device}; add the user to the device's group (often dialout)"
        )
    if code in {errno.EAGAIN, errno.EBUSY} or "lock" in str(exc):
        return PortBusy(f"{device} is in use by another program; close that one first")
    if not os.path.exists(device) and os.name == "posix":  # noqa: PTH110  (a name, not a path)
        return PortNotFound(f"there is no serial device {device}; is the module plugged in?")
    # pyserial puts the system's text into one of its own, with number and name once more.
    known = code if isinstance(code, int) and code in errno.errorcode else None
    reason = os.strerror(known) if known is not None else str(exc)
    return LinkLost(f"can't open {device} as a serial port: {reason}")


def _why_not(exc: OSError) -> str:
    """Say why a serial server can't be reached; asyncio's own text is "Connect call failed"."""
    known = exc.errno if exc.errno in errno.errorcode else None
    reason = os.strerror(known) if known else str(exc)
    return reason or f"no answer in {CONNECT_LIMIT_S:g} s"


def _lost(exc: OSError) -> str:
    """Say why an open device can't be read or written any more."""
    reason = exc.strerror or str(exc)
    return f"{_DISCONNECTED} ({reason})" if exc.errno in _GONE else reason


if sys.platform == "win32":
    _Port = serial.Serial
else:
    import termios

    class _Port(serial.Serial):  # type: ignore[misc]  # pyserial has no types
        """A port for an event loop: no call blocks, errors keep their errno.

        When the device is gone, the port calls ``on_gone`` once, and ignores what is written
        to it, because pyserial-asyncio would log a traceback for each write.
        """

        on_gone: Callable[[str], None] | None = None

        def read(self, size: int = 1) -> bytes:
            """Read what is there with one system call."""
            try:
                data = os.read(self.fd, _READ_BYTES)
            except (BlockingIOError, InterruptedError):
                return b""
            except OSError as exc:
                reason = _lost(exc)
            else:
                if data:
                    return data
                reason = _DISCONNECTED
            self._gone(reason)
            raise serial.SerialException(errno.EIO, reason)

        def write(self, data: bytes) -> int:
            """Write what fits with one system call."""
            try:
                return os.write(self.fd, data)
            except (BlockingIOError, InterruptedError):
                raise
            except OSError as exc:
                self._gone(_lost(exc))
                return len(data)

        def flush(self) -> None:
            """Do nothing: tcdrain() would block the event loop."""

        def close(self) -> None:
            """Drop output that the UART has not sent yet, and close the device.

            Else the system would wait in ``close()`` until everything is sent: for 30 s if flow
            control stops the output.
            """
            if self.is_open:
                with contextlib.suppress(termios.error):  # the device may be gone
                    termios.tcflush(self.fd, termios.TCOFLUSH)
            super().close()

        def _gone(self, reason: str) -> None:
            if self.on_gone is not None:
                self.on_gone(reason)
