"""What the framer gives: see :mod:`aiobc9x.wire.framer`, where these are at home.

Layer: wire. Does no I/O, reads no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, final

NO_PUSH_END: Final = "no line end behind pushed data: it lost bytes"
"""Reason of the damage that shows that the payload before it is not whole."""

NO_READ_END = "no two CRLFs behind a +QIRD payload"
"""The same behind the payload of a read; the data of the damage are what was there instead."""


@final
class Line(NamedTuple):
    """A line of text: an answer, a result, a URC or an echo.

    Attributes:
        text: The line without its LF and without CRs at either end; never empty.

    """

    text: bytes


class Payload(NamedTuple):
    """Received data (§2.2.6, §2.3.2).

    Attributes:
        connect_id: The socket of pushed data; ``None`` for ``+QIRD``, whose socket
            the asking session knows.
        remaining: ``<remaining_length>`` in bytes, ``None`` if the header has none or
            a negative one (see :attr:`Framer.negative_remainings`).
        data: The data, decoded from hex.

    """

    connect_id: int | None
    remaining: int | None
    data: bytes


@dataclass(frozen=True, slots=True)
class Prompt:
    """The module waits for the data of a send (§2.2.4)."""


class Damage(NamedTuple):
    """Bytes that can't be what the module meant to send.

    Attributes:
        reason: What is wrong, in words.
        data: The bytes in question, at most ``LINE_MAX_BYTES`` of a line and what was
            announced of a payload.

    """

    reason: str
    data: bytes


Frame: TypeAlias = Line | Payload | Prompt | Damage
