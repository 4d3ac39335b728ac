"""Check what :meth:`Modem.command` is asked to send.

Layer: aio.

A command must not disturb sockets that the modem itself uses. It must not change how all answers
are read either, such as ATV0. Such a change could not be undone in time: commands of connections
run right after its ``OK``, and their answers would be misread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from aiobc9x.aio.arguments import check_positive_seconds, check_text
from aiobc9x.aio.queries.settings import check_lengths
from aiobc9x.aio.sockets.lifetimes import SocketKeeper
from aiobc9x.core.slots import SocketTable
from aiobc9x.errors import quoted_command
from aiobc9x.patterns import lazy_pattern
from aiobc9x.spec import CTRL_Z, ESC
from aiobc9x.wire.commands.base import Raw

_SOCKET_COMMAND: Final = lazy_pattern(
    r"(?:^AT|;)\s*\+(?P<name>QIOPEN|QICLOSE|QIRD|QISENDEX|QISEND)\s*=\s*(?P<first>\d+)\s*(?:,\s*(?P<second>\d+))?",
    re.IGNORECASE,
)
_DATA_MODE: Final = lazy_pattern(
    r"AT\+(?P<name>QISEND|QISENDEX)\s*=\s*\d+\s*(?:,\s*(?P<length>\d{1,6})\s*)?", re.IGNORECASE
)
_QUOTED: Final = lazy_pattern(r'"[^"]*"?')
_BASIC: Final = lazy_pattern(
    r"AT(?P<name>&?[A-Z])(?P<number>\d*)(?P<value>\?|=[^;]*)?(?P<more>.*)", re.IGNORECASE
)
_EXTENDED: Final = lazy_pattern(r"AT\+(?P<name>[A-Z]+)=(?!\?)", re.IGNORECASE)

_COMPOUND: Final = "holds several commands, whose answers can't be told apart; send them one by one"
_RESETS: Final = (
    "resets settings that answers are read by, such as the echo; send single settings, or restart"
    " the module with AT+CFUN=1,1, after which all is set again"
)
_RESULTS: Final = "changes the form of results, by which every answer is read; leave it as it is"
_DATA: Final = "takes the line away from commands for good; use open_connection()"
_SPEED: Final = (
    "changes the line under the open modem; change it with another program, and pass it to"
    " open_modem()"
)
_REFUSED_BASIC: Final = {
    "&F": _RESETS,
    "Z": _RESETS,
    "A": _DATA,
    "D": _DATA,
    "O": _DATA,
}
_REFUSED_EXTENDED: Final = {"CMUX": _DATA, "CGDATA": _DATA, "IPR": _SPEED, "ICF": _SPEED}
_LINE_REGISTERS: Final = ("3", "4", "5")  # V.250: what ends a line, and what deletes in one

_INSTEAD: Final = {
    "QIOPEN": "open_connection() or create_datagram_endpoint()",
    "QICLOSE": "the transport's or the writer's close()",
    "QIRD": "the transport's protocol, or the reader",
    "QISEND": "the transport's or the writer's write()",
    "QISENDEX": "the transport's or the writer's write()",
}


class RawCommands:
    """Read and check the arguments of :meth:`Modem.command`."""

    def __init__(self, keeper: SocketKeeper) -> None:
        self._keeper = keeper

    def read(
        self, line: str, data: bytes | None, timeout: float | None
    ) -> tuple[Raw, bytes | None]:
        """Return the command, and what to write at its prompt.

        Raises:
            TypeError: An argument has a wrong type.
            ValueError: The line can't be sent, or not now; the message says what to do instead.

        """
        if not isinstance(line, str):
            check_text("line", line)
        if data is not None and not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data must be bytes, not {type(data).__name__}")
        if timeout is not None:
            check_positive_seconds("timeout", timeout)
        if "=" not in line:
            return _bare_command(line, data is not None), data
        command = Raw(line, data is not None)
        check_line(line, self._keeper.session.sockets)
        check_form(line)
        data = check_data(line, data)
        if (effect := command.meaning.effect) is not None:
            check_lengths(self._keeper.session, effect)
        self._keeper.has_foreign_sockets |= opens_socket(line)
        return command, data


@lru_cache(maxsize=64)
def _bare_command(line: str, prompt: bool) -> Raw:
    """Make a command without parameters. Cached: callers repeat it, and it holds no secret."""
    command = Raw(line, prompt)
    check_form(line)
    return command


def check_line(line: str, sockets: SocketTable) -> None:
    """Refuse a line that would disturb a socket in use.

    Raises:
        ValueError: It would; the message names the method to use instead.

    """
    for match in _socket_commands(line):
        name = match["name"].upper()
        number = match["second"] if name == "QIOPEN" else match["first"]
        if number is not None and sockets.get(int(number[:4])) is not None:
            raise ValueError(
                f"line: {quoted_command(line)} concerns socket {number}, which is in use; "
                f"use {_INSTEAD[name]}"
            )


def check_form(line: str) -> None:
    """Refuse a line that would change how all later answers are read.

    Raises:
        ValueError: It would; the message says what to do instead.

    """
    text = _QUOTED.sub('""', line).replace(" ", "")
    reason = _COMPOUND if ";" in text else None
    if reason is None and (match := _EXTENDED.match(text)):
        reason = _REFUSED_EXTENDED.get(match["name"].upper())
    if match := _BASIC.match(text):
        reason = _fault_of_basic(match, reason)
    if reason is not None:
        raise ValueError(f"line: {quoted_command(line)} {reason}")


def _fault_of_basic(match: re.Match[str], reason: str | None) -> str | None:
    """Say what is wrong with a command that has no sign, or with the first of several."""
    name, number = match["name"].upper(), match["number"]
    if name in _REFUSED_BASIC:
        return _REFUSED_BASIC[name]
    if match["more"]:
        return _COMPOUND
    silences = name == "Q" and number.strip("0") != ""
    counts = name == "V" and number.strip("0") == ""
    redefines = name == "S" and number in _LINE_REGISTERS and (match["value"] or "?") != "?"
    return _RESULTS if silences or counts or redefines else reason


def check_data(line: str, data: bytes | None) -> bytes | None:
    """Return what to write at the prompt of a line.

    The variable-length form of a send gets the Ctrl-Z that ends it (§2.2.4).

    Raises:
        ValueError: The data don't fit the line, so that the module would wait for more, or
            take the rest for commands.

    """
    match = _DATA_MODE.fullmatch(line)
    if match is None:
        return data
    if data is None:
        raise ValueError(f"data: {quoted_command(line)} makes the module ask for data; pass data=…")
    if match["length"] is None:
        if CTRL_Z in data or ESC in data:
            raise ValueError("data: Ctrl-Z or ESC would end it early; use the fixed-length form")
        return data + CTRL_Z
    due = int(match["length"]) * (2 if match["name"].upper() == "QISENDEX" else 1)
    if len(data) != due:
        raise ValueError(f"data: {quoted_command(line)} takes exactly {due} bytes, not {len(data)}")
    return data


def asks_for_data(line: str) -> bool:
    """Whether the module asks for data after this line."""
    return _DATA_MODE.fullmatch(line) is not None


def opens_socket(line: str) -> bool:
    """Whether the line opens a socket that nobody but its caller knows."""
    return any(match["name"].upper() == "QIOPEN" for match in _socket_commands(line))


def _socket_commands(line: str) -> Iterable[re.Match[str]]:
    return _SOCKET_COMMAND.finditer(line) if "QI" in line.upper() else ()
