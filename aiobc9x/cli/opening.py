"""The options that every command has which talks to a module, and the modem they open.

Layer: cli.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import click

from aiobc9x.cli import INTERRUPTED, say
from aiobc9x.logs import OneLine
from aiobc9x.open import ModemOpening, open_modem
from aiobc9x.pool import PoolOpening, open_pool
from aiobc9x.slotted import slotted
from aiobc9x.trace.options import trace_of

if TYPE_CHECKING:
    from aiobc9x.trace.recording import Recorder

P = ParamSpec("P")
T = TypeVar("T")

_LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)

Settings = dict[str, Any]
"""Keyword arguments of :func:`aiobc9x.open_modem`."""


@slotted(frozen=True)
class Port:
    """Where a module is, and how it is opened.

    Attributes:
        address: A device, ``usb:…``, ``socket://…`` or ``sim://…``.
        settings: What the options say besides.

    """

    address: str
    settings: Settings

    @property
    def name(self) -> str:
        """The address without its parameters, which may be a PIN."""
        return self.address.partition("?")[0]

    def open(self, **settings: Any) -> ModemOpening:
        """Open the modem: see :func:`aiobc9x.open_modem`.

        Args:
            settings: Arguments that the command sets, where the options don't.

        """
        return open_modem(self.address, **{**settings, **self.settings})

    def recorder(self) -> Recorder | None:
        """Begin to record what is said without a modem, if option or environment say so."""
        if (trace := trace_of(self.settings["trace"], os.environ)) is None:
            return None
        from aiobc9x.trace import recording  # noqa: PLC0415  (most dialogues are not recorded)

        return recording.Recorder(trace)


@slotted(frozen=True)
class Ports:
    """Where several modules are, and how they are opened.

    Attributes:
        addresses: One or more, as those of :class:`Port`.
        settings: What the options say besides.

    """

    addresses: tuple[str, ...]
    settings: Settings

    def open_pool(self, **settings: Any) -> PoolOpening:
        """Open the modems as one: see :func:`aiobc9x.open_pool`.

        Args:
            settings: Arguments that the command sets, where the options don't.

        """
        return open_pool(self.addresses, **{**settings, **self.settings})


def takes_port(function: Callable[..., T]) -> Callable[..., T]:
    """Give a command ``--port`` and the options that go with it.

    The command's function is called with ``port``, a :class:`Port`.
    """

    @wraps(function)
    def with_port(*arguments: Any, port: str | None, **values: Any) -> T:
        settings = _settings(values)
        return function(*arguments, port=Port(port or _missing(), settings), **values)

    return _with_options(click.option("--port", help=_PORT_HELP, **_PORT), with_port)


def takes_ports(function: Callable[..., T]) -> Callable[..., T]:
    """Give a command a ``--port`` that may come more than once, and the options that go with it.

    The command's function is called with ``ports``, a :class:`Ports`.
    """

    @wraps(function)
    def with_ports(*arguments: Any, port: tuple[str, ...], **values: Any) -> T:
        settings = _settings(values, named=len(port) > 1)
        return function(*arguments, ports=Ports(port or (_missing(),), settings), **values)

    words = f"{_PORT_HELP} Repeatable; the variable takes several, with spaces between."
    return _with_options(click.option("--port", multiple=True, help=words, **_PORT), with_ports)


def _with_options(
    port: Callable[[Callable[..., T]], Callable[..., T]], function: Callable[..., T]
) -> Callable[..., T]:
    for option in reversed(_OPTIONS):
        function = option(function)
    return port(function)


def _settings(values: dict[str, Any], *, named: bool = False) -> Settings:
    """Take the shared options out of a command's values, and do what they say."""
    listen(values.pop("verbose"), named=named)
    return {name: values.pop(name) for name in ("baudrate", "pin", "trace")}


def runs(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make a command's function of a coroutine function.

    Ctrl-C cancels the coroutine, which then closes its modem, so that the module is left clean.
    See :class:`_Interrupts` for the second one.
    """

    @wraps(function)
    def run(*arguments: P.args, **values: P.kwargs) -> T:
        with _Interrupts() as interrupts:
            try:
                return asyncio.run(interrupts.watching(function(*arguments, **values)))
            except asyncio.CancelledError:
                if interrupts.count:
                    raise KeyboardInterrupt from None
                raise

    return run


class _Interrupts:
    """Handle Ctrl-C while a coroutine runs, and until its loop is closed.

    asyncio's own handler raises ``KeyboardInterrupt`` at the second one, wherever the program is:
    in the middle of closing the sockets, with a traceback of what was just going on. Here the
    second one says what is being waited for, and the third one ends the process.

    Attributes:
        count: How often it came. Those that follow at once are one, as somebody who is in a hurry
            presses the keys several times.

    """

    def __init__(self) -> None:
        self.count, self._last = 0, -math.inf
        self._task: asyncio.Task[Any] | None = None  # Any: its result is of no interest
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_ours = False

    def __enter__(self) -> _Interrupts:
        # Else it is ignored, as in the background of a shell, or another thread's business.
        is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if is_default and threading.current_thread() is threading.main_thread():
            self._is_ours = True
            signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    async def watching(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine, which the first Ctrl-C cancels."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self.count and self._task is not None:
            self._task.cancel()
        return await coroutine

    def _on_signal(self, _number: int, _frame: object) -> None:
        last, self._last = self._last, time.monotonic()
        if self._last - last < AT_ONCE_S:
            return
        self.count += 1
        if self.count > 2:
            os._exit(INTERRUPTED)
        if self.count == 2:
            # Not by print(), which may be what was interrupted.
            with contextlib.suppress(OSError):
                os.write(2, _CLOSING)
        elif self._task is not None:
            self._task.cancel()
        if self._loop is not None:
            # It may be waiting, and would not hear of one that comes before it waits again.
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(lambda: None)


AT_ONCE_S: Final = 0.5
"""Seconds within which several Ctrl-C count as one; our choice."""

_CLOSING: Final = (
    b"aiobc9x: closing what is open on the module; Ctrl-C once more leaves that to the next start\n"
)


def listen(verbosity: int, *, named: bool = False) -> None:
    """Show the library's log on stderr: 0 warnings, 1 what happens, 2 the dialogue too.

    Args:
        verbosity: How often ``-v`` was given. Without it there are warnings alone, which look
            like all that a command says on stderr.
        named: Say in each line which modem it is about; warnings alone say it anyway.

    """
    handler = _ToStderr()
    text = "%(modem)s  %(message)s" if named else "%(message)s"
    if is_journal():
        handler.setFormatter(_ForJournal(text))
    elif not verbosity:
        handler.setFormatter(OneLine())
    else:
        handler.setFormatter(logging.Formatter(f"%(relativeCreated)8.0f ms  {text}"))
    logger = logging.getLogger("aiobc9x")
    logger.handlers = [handler]
    logger.setLevel(_LEVELS[min(verbosity, 2)])
    logger.propagate = False


class _ForJournal(logging.Formatter):
    """Put systemd's number of the level before a line, as sd-daemon(3) has it: the time it adds."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return f"<{_PRIORITIES.get(record.levelno, 5)}>{super().format(record)}"


_PRIORITIES: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


def is_journal() -> bool:
    """Whether stderr goes to systemd's journal (systemd.exec(5), ``$JOURNAL_STREAM``)."""
    try:
        here = os.fstat(2)
    except OSError:  # it is closed
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{here.st_dev}:{here.st_ino}"


class _ToStderr(logging.Handler):
    """Write to the stderr of the moment: a prompt puts one of its own in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        say(self.format(record))


def hush() -> None:
    """Show no warning of the log, because the command says the same itself; -v shows it still."""
    logger = logging.getLogger("aiobc9x")
    if logger.level >= logging.WARNING:
        for handler in logger.handlers:
            handler.setLevel(logging.ERROR)


def _missing() -> str:
    from serial.tools.list_ports import comports  # noqa: PLC0415  # for this message alone

    found = ", ".join(f"{port.device} ({port.description})" for port in sorted(comports()))
    here = f"the ports here: {found}" if found else "this machine has no serial port"
    raise click.UsageError(
        f"no port is given: use --port or AIOBC9X_PORT; {here}; --port sim:// is a virtual module",
        click.get_current_context(),
    )


def _baudrate(_ctx: click.Context, _option: click.Parameter, value: str) -> int | None:
    if value == "auto":
        return None
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is no number of bits per second, and not 'auto'")
    return int(value)


_PORT: Final[dict[str, Any]] = {"envvar": "AIOBC9X_PORT", "metavar": "ADDRESS"}
_PORT_HELP: Final = (
    "A device, usb:VID:PID[:SERIAL], socket://HOST:PORT, or sim://?name=value for a virtual"
    " module. Default: $AIOBC9X_PORT."
)

_OPTIONS: Final = (
    click.option(
        "--baudrate",
        default="115200",
        show_default=True,
        metavar="N|auto",
        callback=_baudrate,
        help="Bits per second; auto tries the usual ones.",
    ),
    click.option(
        "--pin",
        envvar="AIOBC9X_PIN",
        metavar="DIGITS",
        help="PIN of the SIM. Better in $AIOBC9X_PIN, as others may read a command line.",
    ),
    click.option(
        "--trace",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Record the dialogue in FILE; 'aiobc9x trace show FILE' reads it.",
    ),
    click.option(
        "-v", "--verbose", count=True, help="Show what happens on stderr; -vv the dialogue too."
    ),
)
