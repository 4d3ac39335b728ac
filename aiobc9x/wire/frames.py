"""What the framer gives: lines, payloads, prompts and damage.

Layer: wire. Does no I/O, reads no clock.

They are plain classes with slots, because of all that CPython has those take the least time
to make, and Cython turns them into C structures (see frames.pxd). Two frames are equal if
their classes and attributes are; frames can be hashed, pickled and taken apart with
``match``. Treat them as immutable: no code of this package assigns to an attribute.
"""

from __future__ import annotations

from typing import Final, TypeAlias

NO_PUSH_END: Final = "no line end after pushed data: it lost bytes"
"""Reason of a Damage that follows a pushed payload: that payload is not whole (F19)."""

NO_READ_END: Final = "no two CRLFs after a +QIRD payload"
"""Reason of a Damage that follows a payload of AT+QIRD: that payload is not whole.

Its ``data`` are the bytes that stood where the CRLFs should be (§2.2.6).
"""


class Line:
    """A line of text: an answer, a result, a URC or an echo.

    Attributes:
        text: The line without its LF and without CRs at either end; never empty.

    """

    __slots__ = ("text",)
    __match_args__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text: bytes = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Line) and self.text == other.text

    def __hash__(self) -> int:
        # The class is part of the hash, so that a Line and a Damage of equal bytes differ.
        return hash((Line, self.text))

    def __repr__(self) -> str:
        return f"Line(text={self.text!r})"

    # Explicit, so that a frame pickles alike whether its class is Python's or Cython's.
    def __reduce__(self) -> tuple[type[Line], tuple[bytes]]:
        return Line, (self.text,)


class Payload:
    """Received data (§2.2.6, §2.3.2).

    Attributes:
        connect_id: The socket of pushed data; ``None`` for ``+QIRD``, because its header
            names no socket: the session knows which one it has asked about.
        remaining: ``<remaining_length>`` in bytes, ``None`` if the header has none or
            a negative one (F16, see :attr:`Framer.negative_remainings`).
        data: The data, decoded from hex.

    """

    __slots__ = ("connect_id", "data", "remaining")
    # In the order of the header, then the data: __slots__ is sorted for the linter alone.
    __match_args__ = ("connect_id", "remaining", "data")

    def __init__(self, connect_id: int | None, remaining: int | None, data: bytes) -> None:
        self.connect_id: int | None = connect_id
        self.remaining: int | None = remaining
        self.data: bytes = data

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
        data: The damaged bytes: of a line at most ``LINE_MAX_BYTES``, of a payload at most
            the length that its header announced.

    """

    __slots__ = ("data", "reason")
    __match_args__ = ("reason", "data")

    def __init__(self, reason: str, data: bytes) -> None:
        self.reason: str = reason
        self.data: bytes = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Damage) and self.reason == other.reason and self.data == other.data

    def __hash__(self) -> int:
        return hash((Damage, self.reason, self.data))

    def __repr__(self) -> str:
        return f"Damage(reason={self.reason!r}, data={self.data!r})"

    def __reduce__(self) -> tuple[type[Damage], tuple[str, bytes]]:
        return Damage, (self.reason, self.data)


Frame: TypeAlias = Line | Payload | Prompt | Damage
