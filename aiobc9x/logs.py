"""Log with facts that programs can read: one logger for each layer.

Layer: logs. Does no I/O but logging's, reads no clock.

A record's text is for people. The same facts stand in the record's attributes, for formatters
that write JSON, and for filters. Each record of this package has the attributes ``modem`` and
``link``, so that a format string may name these two; :class:`Facts` has the others.

A program that has set up no logging sees a warning as one line on stderr, with the name of this
package before it: see :class:`LastResort`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, Final, TypedDict, Unpack

from aiobc9x.errors import CommandError
from aiobc9x.masking import masked_command, shown_address

__all__ = ["LAYERS", "Facts", "LastResort", "Log", "Logs", "OneLine"]

LAYERS: Final = ("wire", "core", "aio", "adapters", "pool", "trace", "sim", "cli")
"""The layers that have a logger, ``aiobc9x.wire`` and so on."""


class Facts(TypedDict, total=False):
    """The attributes that a record may have beside ``modem`` and ``link``.

    Attributes:
        address: What was opened, without its parameters.
        area: The tracking area of the cell.
        attempt: How often something was tried since the loss, from 1 on.
        banner: The line by which the module told that it has started.
        baudrate: Bits per second.
        cell: The cell, in hexadecimal digits.
        command: A command line, up to a payload, a PIN or a password.
        connect_id: A socket of the module, 0 to 5.
        count: How many there were.
        delay_s: Seconds until the next try.
        detail: What the module said last about the stage.
        err: The module's code (§3).
        error: An exception's class.
        generation: Tells the users of one ``connect_id`` from each other.
        host: A host that a client of the proxy has asked for.
        limit_bytes: The bytes of a budget.
        path: A file.
        per: The period of a budget: an hour, a day or a month.
        port: Its port.
        reason: Why, in words.
        rung: The step of the way back; docs/reliability.md has them all.
        share: What is used of a budget; 1.0 is all of it.
        size_bytes: How many bytes there were.
        spent_bytes: Bytes over the air in this period, as estimated.
        stage: The stage of the start, or of waiting for the network.

    """

    address: str
    area: str | None
    attempt: int
    banner: str
    baudrate: int
    cell: str | None
    command: str
    connect_id: int
    count: int
    delay_s: float
    detail: str
    err: int | None
    error: str | BaseException
    generation: int
    host: str
    limit_bytes: int
    path: str
    per: str
    port: int
    reason: str
    rung: str
    share: float
    size_bytes: int
    spent_bytes: int
    stage: str


class Log:
    """The logger of one layer, for one modem or none.

    A text names its facts (``%(connect_id)d``), or else what stands in it comes behind it.

    Args:
        layer: One of :data:`LAYERS`.
        logs: Where the modem's name and link stand; ``None`` where there is no one modem.

    """

    def __init__(self, layer: str, logs: Logs | None = None) -> None:
        assert layer in LAYERS, layer
        self._logger = logging.getLogger(f"aiobc9x.{layer}")
        self._logs = logs

    def shows(self, level: int) -> bool:
        """Whether anybody wants records of a level."""
        return self._logger.isEnabledFor(level)

    def debug(self, text: str, *args: object, **facts: Unpack[Facts]) -> None:
        """Log what helps to find a fault, with its facts."""
        self._log(logging.DEBUG, text, args, facts)

    def info(self, text: str, *args: object, **facts: Unpack[Facts]) -> None:
        """Log what an operator may want to know, with its facts."""
        self._log(logging.INFO, text, args, facts)

    def warning(self, text: str, *args: object, **facts: Unpack[Facts]) -> None:
        """Log what should not have happened, with its facts."""
        self._log(logging.WARNING, text, args, facts)

    def exception(self, text: str, *args: object, **facts: Unpack[Facts]) -> None:
        """Log an exception that is a fault of this package, with its traceback."""
        self._log(logging.ERROR, text, args, facts, exc_info=True)

    def say(self, level: int, text: str, *args: object, **facts: Unpack[Facts]) -> None:
        """Log at any level."""
        self._log(level, text, args, facts)

    def _log(
        self,
        level: int,
        text: str,
        args: tuple[object, ...],
        facts: Mapping[str, object],
        *,
        exc_info: bool = False,
    ) -> None:
        if not self._logger.isEnabledFor(level):
            return
        extra: dict[str, object] = {"modem": "", "link": 0}
        if self._logs is not None:
            extra = {"modem": self._logs.modem, "link": self._logs.link}
        extra.update(facts)
        if isinstance(exc := extra.get("error"), BaseException):
            extra.update(_facts_of(exc))
        # The caller's place, two calls above.
        self._logger.log(
            level, text, *(args or (extra,)), extra=extra, exc_info=exc_info, stacklevel=3
        )


def _facts_of(exc: BaseException) -> dict[str, object]:
    facts: dict[str, object] = {
        "error": type(exc).__name__,
        "reason": str(exc) or type(exc).__name__,
    }
    if isinstance(exc, CommandError):
        facts |= {"command": masked_command(exc.command), "err": exc.err}
    return facts


class Logs:
    """The loggers of one modem.

    Args:
        modem: Its address, which is shown without a PIN.

    Attributes:
        modem: The address that each record has.
        link: How often its port has been opened, as in its trace; 0 where that is not known.
        wire: What passes on the line.
        core: What the session decides.
        aio: Start, connections, and the way back.

    """

    modem: str
    link: int
    wire: Log
    core: Log
    aio: Log

    def __init__(self, modem: str) -> None:
        self.modem, self.link = shown_address(modem), 0
        self.wire, self.core, self.aio = (Log(layer, self) for layer in ("wire", "core", "aio"))


class OneLine(logging.Formatter):
    """Word a record in one line: who says it, about which modem, and what."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        text = record.getMessage().removeprefix("! ").removeprefix("= ")
        if record.exc_info and (exc := record.exc_info[1]) is not None:
            text = f"{text}: {type(exc).__name__}: {exc}"
        text, modem = " ".join(text.split()), getattr(record, "modem", "")
        return f"aiobc9x: {text}" if not modem or modem in text else f"aiobc9x: {modem}: {text}"


class LastResort(logging.Handler):
    """Write a warning as one line to stderr, if nobody has set up any logging.

    ``logging`` itself would write the text alone, which says neither who wrote it nor about
    which modem. Any handler that a record reaches, such as a ``NullHandler``, silences this one,
    and so does ``logging.lastResort = None``.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(OneLine())

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        if logging.lastResort is None or sys.stderr is None or self._is_handled(record.name):
            return
        try:
            sys.stderr.write(f"{self.format(record)}\n")
        except Exception:  # as every handler of logging does, whose errors are no program's
            self.handleError(record)

    def _is_handled(self, name: str) -> bool:
        """Whether any other handler gets records of a logger."""
        logger: Any = logging.getLogger(name)  # its parent has no type
        while logger is not None:
            if any(handler is not self for handler in logger.handlers):
                return True
            logger = logger.parent if logger.propagate else None
        return False


_ROOT: Final = logging.getLogger("aiobc9x")
if not any(isinstance(handler, LastResort) for handler in _ROOT.handlers):  # as after a reload
    _ROOT.addHandler(LastResort())
