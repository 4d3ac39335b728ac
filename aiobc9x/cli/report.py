"""Collect what somebody else needs to understand a fault, without anybody's numbers and data.

Layer: cli.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import platform
import re
from collections import deque
from typing import Any, Final

from aiobc9x.cli import version
from aiobc9x.cli.output import plain
from aiobc9x.errors import ModemError
from aiobc9x.modem import Modem
from aiobc9x.patterns import lazy_pattern

KEPT_LINES: Final = 400
"""Lines of the dialogue; of more, the last ones."""

_NUMBER: Final = lazy_pattern(r"(?<![0-9A-Fa-f])[0-9]{10}[0-9A-Fa-f]*")
"""IMEI, IMSI, ICCID or a telephone number: nothing else on the line has ten digits in a row."""


class Report:
    """What is told of one examination.

    Args:
        address: What was examined. Its parameters, which may be a PIN, are not told.
        baudrate: The speed that was asked for; ``None`` for any.

    """

    def __init__(self, address: str, baudrate: int | None) -> None:
        self._address, self._baudrate = address, baudrate
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._modem: dict[str, Any] = {}

    async def about(self, modem: Modem) -> None:
        """Take what the modem tells; one whose link has gone tells less."""
        settings: object = None
        with contextlib.suppress(ModemError):
            settings = plain(await modem.settings())
        self._modem = {
            "settings": settings,
            "module": list(modem.identification),
            "profile": plain(modem.profile),
            "line": {name: round(value, 4) for name, value in modem.line._asdict().items()},
            "statistics": {k: v for k, v in plain(modem.statistics).items() if v},
        }

    def hear(self, line: str) -> None:
        """Take a line of the dialogue."""
        self._lines.append(line)

    def masked(self, text: str) -> str:
        """Return a text without the address's parameters and without long numbers."""
        shown = self._address.partition("?")[0]
        return _NUMBER.sub(_counted, text.replace(self._address, shown))

    def contents(self) -> dict[str, Any]:
        """Return all of it, masked."""
        told: dict[str, Any] = self._mask(
            {
                "versions": {
                    "aiobc9x": version(),
                    "python": platform.python_version(),
                    "system": platform.platform(),
                    "pyserial": importlib.metadata.version("pyserial"),
                },
                "port": self._address,
                "baudrate": self._baudrate,
                **self._modem,
                "dialogue": list(self._lines),
            }
        )
        return told

    def _mask(self, value: Any) -> Any:  # Any: as JSON has it
        if isinstance(value, dict):
            return {name: self._mask(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._mask(each) for each in value]
        return self.masked(value) if isinstance(value, str) else value


def _counted(match: re.Match[str]) -> str:
    return f"({len(match[0])} digits)"


class Listening(logging.Handler):
    """Hand the library's log, payloads and PINs left out, to a report."""

    def __init__(self, report: Report) -> None:
        super().__init__(logging.DEBUG)
        self._report = report
        self._logger = logging.getLogger("aiobc9x")

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line, with the milliseconds since the start."""
        self._report.hear(f"{record.relativeCreated:8.0f} {record.getMessage()}")

    def __enter__(self) -> Listening:
        """Listen to the dialogue; others see no more of it than before."""
        logger = self._logger
        self._before = logger.level, [(each, each.level) for each in logger.handlers]
        for handler in logger.handlers:
            handler.setLevel(max(handler.level, logger.level))
        logger.addHandler(self)
        logger.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_exc: object) -> None:
        """Listen no more."""
        self._logger.removeHandler(self)
        level, others = self._before
        self._logger.setLevel(level)
        for handler, each in others:
            handler.setLevel(each)
