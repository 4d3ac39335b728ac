"""Keep :meth:`Modem.command` off the sockets that the modem itself uses.

Layer: aio.
"""

from __future__ import annotations

import re
from typing import Final

from aiobc9x.core.sockets import SocketTable

_SOCKET_COMMAND: Final = re.compile(
    r"AT\+(?P<name>QIOPEN|QICLOSE|QIRD|QISENDEX|QISEND)\s*=\s*(?P<first>\d+)\s*(?:,\s*(?P<second>\d+))?",
    re.IGNORECASE,
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
    match = _SOCKET_COMMAND.match(line)
    if match is None:
        return
    name = match["name"].upper()
    number = match["second"] if name == "QIOPEN" else match["first"]
    if number is not None and sockets.get(int(number[:4])) is not None:
        raise ValueError(
            f"line: {line!r} concerns socket {number}, which is in use; use {_INSTEAD[name]}"
        )
