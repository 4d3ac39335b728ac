"""What the framer gives: lines, payloads, prompts and damage.

Layer: wire. Does no I/O, reads no clock.

Plain classes with slots: of all that CPython has they are made in the least time, and
Cython makes C structures of them (see frames.pxd). Frames are equal if they are of one
class and hold the same, they pickle, and ``match`` takes them apart. Nobody changes one.
"""

from __future__ import annotations

from typing import Final, TypeAlias

NO_PUSH_END: Final = "no line end behind pushed data: it lost bytes"
"""Reason of the damage that shows that the payload before it is not whole."""

NO_READ_END: Final = "no two CRLFs behind a +QIRD payload"
"""The same behind the payload of a read; the data of the damage are what was there instead."""


class Line:
    """A line of text: an answer, a result, a URC or an echo.

    Attributes:
        text: The line without its LF and without CRs at either end; never empty.

    """

    __slots__ = ("text",)
    __match_args__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Line) and self.text == other.text

    def __hash__(self) -> int:
        return hash((Line, self.text))

    def __repr__(self) -> str:
        return f"Line(text={self.text!r})"

    def __reduce__(self) -> tuple[type[Line], tuple[bytes]]:
        return Line, (self.text,)


class Payload:
    """Received data (§2.2.6, §2.3.2).

    Attributes:
        connect_id: The socket of pushed data; ``None`` for ``+QIRD``, whose socket
            the asking session knows.
        remaining: ``<remaining_length>`` in bytes, ``None`` if the header has none or
            a negative one (see :attr:`Framer.negative_remainings`).
        data: The data, decoded from hex.

    """

    __slots__ = ("connect_id", "data", "remaining")
    __match_args__ = ("connect_id", "remaining", "data")

    def __init__(self, connect_id: int | None, remaining: int | None, data: bytes) -> None:
        self.connect_id = connect_id
        self.remaining = remaining
        self.data = data

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Payload)
            and self.connect_id == other.connect_id
            and self.remaining == other.remaining
            and self.data == other.data
        )

    def __hash__(self) -> int:
        return hash((Payload, self.connect_id, self.remaining, self.data))

    def __repr__(self) -> str:
        return (
            f"Payload(connect_id={self.connect_id}, remaining={self.remaining}, data={self.data!r})"
        )

    def __reduce__(self) -> tuple[type[Payload], tuple[int | None, int | None, bytes]]:
        return Payload, (self.connect_id, self.remaining, self.data)


class Prompt:
    """The module waits for the data of a send (§2.2.4)."""

    __slots__ = ()
    __match_args__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prompt)

    def __hash__(self) -> int:
        return hash(Prompt)

    def __repr__(self) -> str:
        return "Prompt()"

    def __reduce__(self) -> tuple[type[Prompt], tuple[()]]:
        return Prompt, ()


class Damage:
    """Bytes that can't be what the module meant to send.

    Attributes:
        reason: What is wrong, in words.
        data: The bytes in question, at most ``LINE_MAX_BYTES`` of a line and what was
            announced of a payload.

    """

    __slots__ = ("data", "reason")
    __match_args__ = ("reason", "data")

    def __init__(self, reason: str, data: bytes) -> None:
        self.reason = reason
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Damage) and self.reason == other.reason and self.data == other.data

    def __hash__(self) -> int:
        return hash((Damage, self.reason, self.data))

    def __repr__(self) -> str:
        return f"Damage(reason={self.reason!r}, data={self.data!r})"

    def __reduce__(self) -> tuple[type[Damage], tuple[str, bytes]]:
        return Damage, (self.reason, self.data)


Frame: TypeAlias = Line | Payload | Prompt | Damage
