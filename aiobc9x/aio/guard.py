"""Keep :meth:`Modem.command` off the sockets that the modem itself uses, and in step.

Layer: aio.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from aiobc9x.core.slots import SocketTable
from aiobc9x.errors import quoted_command
from aiobc9x.spec import CTRL_Z, ESC

_SOCKET_COMMAND: Final = re.compile(
    r"(?:^AT|;)\s*\+(?P<name>QIOPEN|QICLOSE|QIRD|QISENDEX|QISEND)\s*=\s*(?P<first>\d+)\s*(?:,\s*(?P<second>\d+))?",
    re.IGNORECASE,
)
_DATA_MODE: Final = re.compile(
    r"AT\+(?P<name>QISEND|QISENDEX)\s*=\s*\d+\s*(?:,\s*(?P<length>\d{1,6})\s*)?", re.IGNORECASE
)
_INSTEAD: Final = {
    "QIOPEN": "open_connection() or create_datagram_endpoint()",
    "QICLOSE": "the transport's or the writer's close()",
    "QIRD": "the transport's protocol, or the reader",
    "QISEND": "the transport's or the writer's write()",
    "QISENDEX": "the transport's or the writer's write()",
}


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


def opens_socket(line: str) -> bool:
    """Whether the line opens a socket that nobody but its caller knows."""
    return any(match["name"].upper() == "QIOPEN" for match in _socket_commands(line))


def _socket_commands(line: str) -> Iterable[re.Match[str]]:
    return _SOCKET_COMMAND.finditer(line) if "QI" in line.upper() else ()
