"""``open_modem``: awaitable, and an async context manager.

Layer: aio.
"""

from __future__ import annotations

import abc
import asyncio
import math
import os
from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, Protocol, TypeVar

from aiobc9x.aio.bringup.startup import Settings, start
from aiobc9x.aio.bringup.synchronize import BAUDRATES
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.line.finishing import until_done
from aiobc9x.aio.line.home import ON_ASYNCIO, under_trio
from aiobc9x.aio.line.link import Create, Link, open_link_apart
from aiobc9x.aio.line.serial_settings import SerialSettings
from aiobc9x.aio.options import READ_AHEAD_BYTES, Options
from aiobc9x.aio.queries.power import AWAKE_S
from aiobc9x.aio.reconnecting import LOOK_S, Reconnect
from aiobc9x.aio.stages import Stage, timing
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.sending import permitted_forms
from aiobc9x.core.session import Session
from aiobc9x.errors import PortNotFound
from aiobc9x.masking import shown_address
from aiobc9x.modem import Modem
from aiobc9x.spec import LOCAL_PORT_QUARANTINE_S, OPEN_TIME_DEFAULT_S
from aiobc9x.trace.options import Trace, trace_of

if TYPE_CHECKING:
    from aiobc9x.trace.recording import Recorder

BY_ITSELF: Final = Reconnect()
"""The default of ``reconnect``."""

C = TypeVar("C", bound="_Closes")


class _Closes(Protocol):
    async def aclose(self) -> None:
        """Close it."""


class Opening(abc.ABC, Generic[C]):
    """Something that is opened when it is awaited or entered.

    Args:
        call: The public function that returns this, by name.
        what: What it opens, in one word.
        where: What is opened, for messages.

    """

    def __init__(self, call: str, what: str, where: str) -> None:
        self._call, self._what, self._where = call, what, where
        self._how = f"write 'async with {call}(...) as {what}:' or '{what} = await {call}(...)'"
        self._opened: C | None = None

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"<{name} {self._where}: not a {self._what} yet; {self._how}>"

    # Hidden from type checkers, which report the same mistakes better, and before anything runs.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Explain the missing ``await`` to a caller who takes this for what it opens."""
            raise AttributeError(
                f"{self._call}() has not opened anything yet, so there is no {name!r}: {self._how}"
            )

        def __enter__(self) -> NoReturn:
            """Refuse ``with``, because only ``async with`` can wait for the module."""
            raise TypeError(f"'with' can't open a {self._what}: {self._how}")

        def __exit__(self, *_exc: object) -> None:
            """Do nothing; ``__enter__`` always raises."""

    def __await__(self) -> Generator[object, None, C]:
        return self._open().__await__()

    async def __aenter__(self) -> C:
        """Open it.

        Raises:
            RuntimeError: What this object has opened before is still open.

        """
        if self._opened is not None:
            raise RuntimeError(f"{self._opened!r} is in use; call {self._call}() for another")
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it; see :meth:`Modem.aclose`."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    @abc.abstractmethod
    async def _open(self) -> C:
        """Open it."""

    def _check_asyncio_runs(self) -> None:
        """Raise ``RuntimeError`` under another library than asyncio."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            if under_trio():
                raise RuntimeError(f"{self._call}() {ON_ASYNCIO}") from None
            raise RuntimeError(
                f"{self._call}() needs asyncio's event loop, and none runs here; await it in a"
                " coroutine that asyncio.run() runs"
            ) from None


class ModemOpening(Opening[Modem]):
    """The result of :func:`open_modem`: await it, or use it in ``async with``."""

    def __init__(self, options: Options) -> None:
        super().__init__("open_modem", "modem", name_of(options.address))
        self._options = options

    async def _open(self) -> Modem:
        self._check_asyncio_runs()
        async with timing(self._options.timeout) as stage:
            return await self._open_in_stages(stage)

    async def _open_first_link(self, options: Options) -> Link:
        """Open the link; wait for its device, if the policy says so."""
        waits = options.reconnect is not None and options.reconnect.wait_for_device
        while True:
            try:
                return await open_link_apart(options.address, options.serial)
            except PortNotFound:
                if not waits:
                    raise
            await asyncio.sleep(LOOK_S)

    async def _open_in_stages(self, stage: Stage) -> Modem:
        options = self._options
        stage.name = "opening the port"
        link = await self._open_first_link(options)
        # Polls would keep a module awake that may sleep.
        sleeps = options.settings.allow_sleep
        poll_interval = 0.0 if sleeps else options.poll_interval
        session = Session(
            baudrate=link.baudrate,
            # The gap between commands counts from the first one (F31).
            profile=options.settings.profile,
            poll_interval=poll_interval,
            answer_timeout=options.answer_timeout,
            send_forms=permitted_forms(options.send_form),
        )
        session.idle_limit = AWAKE_S if sleeps else math.inf
        driver = Driver(link, session, _recorder(options.trace))
        try:
            await driver.start()
            started = await start(driver, options.settings)
        except BaseException as exc:
            stage.name, stage.hint = driver.hub.stage, _why_silent(driver)
            # Closed before this returns, so that the next try finds the port free.
            await until_done(asyncio.create_task(driver.stop(), name="aiobc9x stop"))
            if (told := link.explain(exc)) is not exc:
                raise told from exc
            raise
        link.end_greeting()
        return Modem(options, driver, started)


def _recorder(trace: Trace | None) -> Recorder | None:
    """Begin to record, if that is wanted."""
    if trace is None:
        return None
    from aiobc9x.trace import recording  # noqa: PLC0415  (most modems are not recorded)

    return recording.Recorder(trace)


def _why_silent(driver: Driver) -> str:
    if driver.session.statistics.bytes_received:
        return ""
    return (
        f"nothing came from {driver.link.name}; check that the module is powered, awake and"
        " wired, and the speed (baudrate=None tries the usual ones)"
    )


def name_of(address: str | Create) -> str:
    """Return an address as messages name it."""
    return shown_address(address) if isinstance(address, str) else "create()"


def open_modem(
    address: str | Create,
    *,
    baudrate: int | None = 115200,
    bytesize: int = 8,
    parity: Literal["N", "E", "O", "M", "S"] = "N",
    stopbits: float = 1,
    rtscts: bool = False,
    xonxoff: bool = False,
    dsrdtr: bool = False,
    exclusive: bool = True,
    dtr: bool | None = None,
    rts: bool | None = None,
    context_id: int = 1,
    profile: ModuleProfile | None = None,
    sync_timeout: float = 30,
    timeout: float | None = None,
    pin: str | None = None,
    receive_hex: bool = False,
    open_time: int = OPEN_TIME_DEFAULT_S,
    allow_sleep: bool = False,
    read_ahead_bytes: int = READ_AHEAD_BYTES,
    poll_interval: float = 10.0,
    state_interval: float = 30.0,
    answer_timeout: float = 10.0,
    send_form: Literal["auto", "inline", "hex", "fixed"] = "auto",
    port_quarantine: float = LOCAL_PORT_QUARANTINE_S,
    reconnect: Reconnect | None = BY_ITSELF,
    trace: Trace | str | os.PathLike[str] | Literal[False] | None = None,
) -> ModemOpening:
    """Open a module; await the result, or use it in ``async with``.

    The modem is open once the module answers, its radio is on, sockets that an earlier program
    left are closed, and its settings are right. The network may not be there yet: see
    :meth:`Modem.wait_ready`.

    Args:
        address: A serial device (``/dev/ttyUSB0``, ``COM3``), ``usb:VID:PID[:SERIAL]`` for one
            that may get another name when it is plugged in again, ``socket://host:port`` (a
            serial server), ``sim://?name=value&…`` (the virtual module), with the extra
            ``serialx`` also ``rfc2217://host:port`` (a serial server that sets the speed of its
            port), ``esphome://host:port/?key=…`` (ESPHome's serial proxy) and
            ``serialx://DEVICE``, or a callable that opens any other byte stream:
            ``create(protocol_factory)``, awaited like :meth:`asyncio.loop.create_connection`
            with its address bound by :func:`functools.partial`. It returns ``(transport,
            protocol)``, and the protocol is the one that ``protocol_factory()`` has made.
        baudrate: Bits per second; ``None`` tries the usual ones.
        bytesize: Data bits, 5–8.
        parity: ``"N"``, ``"E"``, ``"O"``, ``"M"`` or ``"S"``.
        stopbits: 1, 1.5 or 2.
        rtscts: Hardware flow control; use it where the lines are wired.
        xonxoff: Software flow control; it can't carry binary payloads.
        dsrdtr: Flow control by DSR and DTR.
        exclusive: Refuse a device that another program has locked.
        dtr: Level of DTR after opening; ``None`` for the system's.
        rts: Level of RTS after opening; ``None`` for the system's.
        context_id: ``<contextID>`` of every socket, 1–3.
        profile: Facts about the module; ``None`` chooses them by its answer to ATI, and refuses
            a module that is no BC65 or BC92.
        sync_timeout: Seconds for the module's first answer, and as many again for the settings
            that nothing works without.
        timeout: Seconds for the whole opening: the port, the first answer and the settings.
            ``None``: as long as its parts take.
        pin: The PIN, for a SIM that wants one. It is sent once after each restart of the module,
            and never again once the SIM has refused it.
        receive_hex: Have received data sent as hex digits (§2.2.11). They take twice the bytes
            on the line; for modules whose text mode can't be trusted.
        open_time: Seconds that the module tries to connect, 1–36 (§2.2.11).
        allow_sleep: Leave the module's sleep and power saving settings alone, stop the
            polls, and wake the module before a command after 8 s of silence. TCP
            connections don't survive deep sleep (§2.2.1, note 3).
        read_ahead_bytes: Bytes that a socket may hold here while its protocol has paused.
        poll_interval: Seconds between reads of a silent socket, which find lost URCs;
            0 for never. Each costs a few bytes on the line and power.
        state_interval: Seconds between two AT+QISTATE while a program reads; 0 for never. Also
            the seconds of silence after which AT is sent over a link that could vanish
            silently: a serial server, or a stream from ``create``.
        answer_timeout: Seconds without a byte of an answer after which it counts as lost. A
            connection whose bytes may be in that answer then ends. The note says 300 ms, but
            modules that write flash or search a cell take seconds.
        send_form: ``"auto"``: send each payload by the form that takes least time on this line
            (§2.2.4, §2.2.5). ``"inline"``: never as hex digits. ``"hex"``: always as hex
            digits. ``"fixed"``: always after a prompt. A payload whose form the module refuses
            goes after a prompt.
        port_quarantine: Seconds before a fixed local port is used again after AT+QICLOSE has
            closed its socket, as the note recommends (§2.2.1, note 5). With 0 the module
            decides, and its refusal is ``AddressBusy``. A port whose socket was ended by a
            restart or by the network can be used at once, and so can that of a server which
            came back from that and to which nobody has connected since.
        reconnect: How the modem comes back behind a port that has gone, or a module that does not
            answer any more: calls in flight and connections fail, and the same :class:`Modem`
            goes on. ``None``: it ends for good, and everything raises :class:`LinkLost`.
        trace: A file to record the dialogue in, or an :class:`aiobc9x.trace.Trace`, which also
            says what of the payloads is recorded, and how much stays. PINs and passwords never
            are. ``None``: what ``AIOBC9X_TRACE`` in the environment names; ``False``: nothing.
            A file that can't be written is a warning in the log, and no error.

    Returns:
        An awaitable that gives a :class:`Modem`, and an async context manager.

    Raises:
        TypeError: An argument has a wrong type; raised by the call itself.
        ValueError: An argument is out of range; raised by the call itself. When awaited:
        PortNotFound: There is no such device.
        PortDenied: The device may not be opened by this user.
        PortBusy: Another program has locked the device, or the serial server says that another
            client has it.
        LinkLost: The link could not be opened, or failed. Exceptions of ``create`` pass
            unchanged, unless they are an :class:`OSError`: that becomes one of these by its errno.
        LinkTimeout: The module did not answer in ``sync_timeout``.
        StageTimeout: The modem was not open in ``timeout``; the message names the stage.
        ModuleReset: The module restarts again and again.
        SettingRefused: The module refused a needed setting for ``sync_timeout``.
        WrongModule: The module is no BC65 or BC92; pass ``profile`` to use it all the same.
        ImportError: The address needs serialx, or a package that serialx needs.
        RuntimeError: No event loop of asyncio runs, as under trio.

    Cancellation closes what was opened before it passes, so the port is free then.
    """
    speed = baudrate if baudrate is not None else BAUDRATES[0]
    serial = SerialSettings(
        speed, bytesize, parity, stopbits, rtscts, xonxoff, dsrdtr, exclusive, dtr, rts
    )
    settings = Settings(sync_timeout, baudrate, profile, receive_hex, open_time, allow_sleep)
    options = Options(
        address,
        serial,
        settings,
        context_id,
        pin,
        read_ahead_bytes,
        poll_interval,
        state_interval,
        answer_timeout,
        send_form,
        timeout,
        port_quarantine,
        reconnect,
        trace_of(trace, os.environ),
    )
    return ModemOpening(options)
