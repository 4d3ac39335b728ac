"""Decode a trace: records in, one entry for each command, line, payload and decision out.

Layer: trace. Does no I/O, reads no clock.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import Final

from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted
from aiobc9x.spec import CONNECT_IDS
from aiobc9x.trace.decoding import Decoder, Placed
from aiobc9x.trace.options import Payloads
from aiobc9x.trace.records import Content, Kind, Record
from aiobc9x.trace.words import decision_words, meaning
from aiobc9x.wire.framer import Damage, Line, Payload, Prompt

__all__ = ["Entry", "EntryKind", "decode"]

_SEND: Final = lazy_pattern(
    rb'AT\+QISEND(EX)?=[0-5],([0-9]{1,4})(?:,(?:"(.*)"|\.\.\.))?', re.DOTALL
)


class EntryKind(enum.StrEnum):
    """What an entry is."""

    COMMAND = "command"
    DATA = "data"
    """Bytes written behind a prompt."""
    ANSWER = "answer"
    """An information line."""
    RESULT = "result"
    """``OK``, ``ERROR`` or ``+CME ERROR``: the end of an answer."""
    URC = "urc"
    """What the module prints unasked, and ``SEND OK`` and its like."""
    PAYLOAD = "payload"
    """Received data of a connection."""
    PROMPT = "prompt"
    DAMAGE = "damage"
    """Bytes that can't be what the module meant to send, or that the trace lacks."""
    DECISION = "decision"
    """What the library has made of it."""


@slotted(frozen=True)
class Entry:
    """One thing of the dialogue.

    Attributes:
        kind: What it is.
        mono: When, by a clock that never jumps; of what comes in pieces, when it was complete.
        wall: The same, in seconds since 1970.
        session: Tells modems, and runs of a program, apart.
        link: Which opening of the port, from 1 on.
        connect_id: The socket that it is about, if it is about one.
        text: The line; for bytes how many there are; for a decision its name.
        meaning: What that means, in words; may be empty.
        data: The bytes of a payload, sent or received; empty if the trace lacks them.
        size_bytes: How many bytes of payload there are.
        remaining: Of received data, the remaining length in its header; ``None`` if it has none.
        facts: The details of a decision.

    """

    kind: EntryKind
    mono: float
    wall: float
    session: str
    link: int
    connect_id: int | None
    text: str
    meaning: str = ""
    data: bytes = b""
    size_bytes: int = 0
    remaining: int | None = None
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_to_module(self) -> bool:
        """Whether it was written to the module."""
        return self.kind in {EntryKind.COMMAND, EntryKind.DATA}


def decode(records: Iterable[Record]) -> Iterator[Entry]:
    """Decode the records of a trace, frame by frame.

    Args:
        records: As :func:`read_trace` gives them, or any others in order.

    Yields:
        Entries in the order of the records. What a link, a session or the trace breaks off in
        the middle of a line is a ``DAMAGE``.

    """
    last: Record | None = None
    session = _Session()
    for record in records:
        if last is not None and _differ(last, record):
            yield from session.rest(last)
            session = _Session()
        yield from session.take(record)
        last = record
    if last is not None:
        yield from session.rest(last)


def _differ(last: Record, record: Record) -> bool:
    return (last.header.session, last.link) != (record.header.session, record.link)


class _Session:
    """One link of one modem."""

    def __init__(self) -> None:
        self._decoder = Decoder()

    def take(self, record: Record) -> Iterator[Entry]:
        if record.kind is Kind.DECISION:
            connect_id = record.facts.get("socket")
            yield _entry(
                record,
                EntryKind.DECISION,
                connect_id if isinstance(connect_id, int) and connect_id in CONNECT_IDS else None,
                record.event,
                decision_words(record.event, record.facts),
                facts=record.facts,
            )
        elif record.kind is Kind.SENT:
            yield self._sent(record, record.content)
        elif record.header.payloads is Payloads.WHOLE:
            for placed in self._decoder.received(record.content.data):
                yield _framed(record, placed)
        else:
            yield self._one_frame(record, record.content)

    def rest(self, last: Record) -> Iterator[Entry]:
        for placed in self._decoder.rest():
            yield _framed(last, placed)

    def _sent(self, record: Record, content: Content) -> Entry:
        if content.is_payload:
            words = f"({content.size_bytes} bytes)"
            connect_id = self._decoder.connect_id
            if content.connect_id is not None:
                connect_id = content.connect_id
            return _entry(
                record,
                EntryKind.DATA,
                connect_id,
                words,
                meaning(words),
                content.data,
                content.size_bytes,
            )
        line = content.data
        connect_id = self._decoder.command_sent(line, awaits_prompt=content.awaits_prompt)
        text = _text(line.rstrip(b"\r"))
        data, size = _inline(line.rstrip(b"\r"))
        return _entry(record, EntryKind.COMMAND, connect_id, text, meaning(text), data, size)

    def _one_frame(self, record: Record, content: Content) -> Entry:
        """Take a record of a trace without payloads: each holds one frame."""
        if content.is_payload:
            words = f"({content.size_bytes} bytes)"
            kind, connect_id = EntryKind.PAYLOAD, content.connect_id
            entry = _entry(record, kind, connect_id, words, meaning(words), b"", content.size_bytes)
            return replace(entry, remaining=content.remaining)
        if not content.data:
            words = f"({content.size_bytes} bytes that are not in the trace)"
            return _entry(record, EntryKind.DAMAGE, None, words)
        if content.data == b"> ":
            return _framed(record, self._decoder.place(Prompt()))
        return _framed(record, self._decoder.place(Line(content.data.rstrip(b"\r\n"))))


def _inline(line: bytes) -> tuple[bytes, int]:
    """Return the payload in a command line, and how many bytes it has; none in most lines."""
    match = _SEND.fullmatch(line)
    if match is None or b"," not in line[match.end(2) :]:
        return b"", 0
    payload = match[3] or b""
    if match[1] and payload:
        try:
            payload = bytes.fromhex(payload.decode("ascii"))
        except ValueError:
            payload = b""
    return payload, int(match[2])


def _framed(record: Record, placed: Placed) -> Entry:
    frame, connect_id = placed.frame, placed.connect_id
    match frame:
        case Line(line):
            text = _text(line)
            kind = EntryKind.ANSWER if placed.urc is None else EntryKind.URC
            kind = EntryKind.RESULT if placed.is_final else kind
            return _entry(record, kind, connect_id, text, meaning(text))
        case Payload(_, remaining, data):
            words = f"({len(data)} bytes)"
            kind = EntryKind.PAYLOAD
            entry = _entry(record, kind, connect_id, words, meaning(words), data, len(data))
            return replace(entry, remaining=remaining)
        case Damage(reason, data):
            words = f"({len(data)} bytes)"
            return _entry(record, EntryKind.DAMAGE, connect_id, words, reason, data, len(data))
        case _:
            return _entry(record, EntryKind.PROMPT, connect_id, ">", meaning(">"))


def _entry(
    record: Record,
    kind: EntryKind,
    connect_id: int | None,
    text: str,
    words: str = "",
    data: bytes = b"",
    size_bytes: int = 0,
    facts: Mapping[str, object] | None = None,
) -> Entry:
    return Entry(
        kind,
        record.mono,
        record.wall,
        record.header.session,
        record.link,
        connect_id,
        text,
        words,
        data,
        size_bytes,
        facts=facts or {},
    )


def _text(line: bytes) -> str:
    return line.decode("ascii", "backslashreplace")
