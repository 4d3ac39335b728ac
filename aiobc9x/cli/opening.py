"""The options that every command has which talks to a module, and the modem they open.

Layer: cli.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

import click

from aiobc9x.open import ModemOpening, open_modem

P = ParamSpec("P")
T = TypeVar("T")

_LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)
_NAMES: Final = ("port", "baudrate", "pin", "verbose")

Settings = dict[str, Any]
"""Keyword arguments of :func:`aiobc9x.open_modem`."""


@dataclass(frozen=True, slots=True)
class Port:
    """Where a module is, and how it is opened.

    Attributes:
        address: A device, ``usb:…``, ``socket://…`` or ``sim://…``.
        settings: What the options say besides.

    """

    address: str
    settings: Settings

    def open(self, **settings: Any) -> ModemOpening:
        """Open the modem: see :func:`aiobc9x.open_modem`.

        Args:
            settings: Arguments that the command sets, where the options don't.

        """
        return open_modem(self.address, **{**settings, **self.settings})


def takes_port(function: Callable[..., T]) -> Callable[..., T]:
    """Give a command ``--port`` and the options that go with it.

    The command's function is called with ``port``, a :class:`Port`.
    """

    @wraps(function)
    def with_port(*arguments: Any, **values: Any) -> T:
        given = {name: values.pop(name) for name in _NAMES}
        listen(given["verbose"])
        settings = {"baudrate": given["baudrate"], "pin": given["pin"]}
        return function(*arguments, port=Port(given["port"] or _missing(), settings), **values)

    for option in reversed(_OPTIONS):
        with_port = option(with_port)
    return with_port


def runs(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make a command's function of a coroutine function.

    Ctrl-C cancels the coroutine, which then closes its modem, so that the module is left clean.
    """

    @wraps(function)
    def run(*arguments: P.args, **values: P.kwargs) -> T:
        return asyncio.run(function(*arguments, **values))

    return run


def listen(verbosity: int) -> None:
    """Show the library's log on stderr: 0 warnings, 1 what happens, 2 the dialogue too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(relativeCreated)8.0f ms  %(message)s"))
    logger = logging.getLogger("aiobc9x")
    logger.handlers = [handler]
    logger.setLevel(_LEVELS[min(verbosity, 2)])
    logger.propagate = False


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


_OPTIONS: Final = (
    click.option(
        "--port",
        envvar="AIOBC9X_PORT",
        metavar="ADDRESS",
        help="A device, usb:VID:PID[:SERIAL], socket://HOST:PORT, or sim://?name=value for a"
        " virtual module. Default: $AIOBC9X_PORT.",
    ),
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
        "-v", "--verbose", count=True, help="Show what happens on stderr; -vv the dialogue too."
    ),
)
