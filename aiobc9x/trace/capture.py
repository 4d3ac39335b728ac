"""Make a capture file for Wireshark of a trace: the dialogue, and each socket beside it.

Layer: trace.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from aiobc9x.trace.conversations import Conversations, names_of
from aiobc9x.trace.dialogue import Entry, EntryKind, decode
from aiobc9x.trace.options import PathLike
from aiobc9x.trace.pcapng import (
    LINKTYPE_RAW,
    LINKTYPE_UPPER_PDU,
    interface,
    names,
    packet,
    section_header,
    tls_secrets,
)
from aiobc9x.trace.records import Record

__all__ = ["Sink", "write_capture"]

MADE_UP: Final = (
    "Written by aiobc9x from its own trace of a serial line. The IP, TCP and UDP headers of the "
    "sockets are made up, because the module never shows its packets. Payloads, their times and "
    "their order are real; so are addresses and ports as far as the dialogue tells them."
)

_DIALOGUE, _SOCKETS = 0, 1

_END, _DISSECTOR, _PROTOCOL, _DIRECTION, _INFO = 0, 12, 33, 35, 36
"""Tags of LINKTYPE_WIRESHARK_UPPER_PDU (epan/exported_pdu.h of Wireshark)."""

_TO_MODULE, _FROM_MODULE = 0, 1


class Sink(Protocol):
    """What a capture is written to: a file, or a pipe."""

    def write(self, data: bytes, /) -> object:
        """Write bytes."""

    def flush(self) -> object:
        """Have them written now."""


def write_capture(
    records: Iterable[Record], stream: Sink, *, tls_keys: PathLike | None = None
) -> int:
    """Write a trace as pcapng.

    Each entry of the dialogue is a packet for Wireshark's dissector of AT commands, with its
    meaning as a comment; each socket has packets with made-up headers, by which conversations can
    be followed. Whatever is there is written and flushed before the next record is asked for, so
    that ``records`` may come from :func:`follow_trace`.

    Args:
        records: As :func:`read_trace` gives them.
        stream: Where to write.
        tls_keys: A file with the keys of TLS connections, as ``SSLContext.keylog_filename``
            names it; its lines go into the capture. Without it no key does.

    Returns:
        How many packets were written.

    Raises:
        OSError: The stream can't be written, or the file of keys not read.
        ValueError: The records are of no trace, or of one of a later version.

    """
    capture = _Capture(stream, None if tls_keys is None else Path(tls_keys))
    capture.begin()
    for entry in decode(records):
        capture.take(entry)
    return capture.packets


class _Capture:
    def __init__(self, stream: Sink, tls_keys: Path | None) -> None:
        self._stream, self._tls_keys = stream, tls_keys
        self._keys_read = 0
        self._named = 0
        self._link: tuple[str, int] | None = None
        self._conversations = Conversations()
        self.packets = 0

    def begin(self) -> None:
        self._stream.write(section_header("aiobc9x", MADE_UP))
        self._stream.write(
            interface(LINKTYPE_UPPER_PDU, "dialogue", "AT commands between program and module")
        )
        self._stream.write(
            interface(LINKTYPE_RAW, "sockets", "payload of the sockets, with made-up headers")
        )
        self._write_keys()
        self._stream.flush()

    def take(self, entry: Entry) -> None:
        if self._link != (entry.session, entry.link):
            self._link = entry.session, entry.link
            self._conversations, self._named = Conversations(), 0
        self._write_keys()
        self._write(_DIALOGUE, entry, _of_dialogue(entry), None, _direction(entry), entry.meaning)
        for outcome in self._conversations.take(entry):
            self._write_names()
            data, size = outcome.packet
            self._write(_SOCKETS, entry, data, size, outcome.is_outbound, "")
        self._stream.flush()

    def _write(
        self,
        number: int,
        entry: Entry,
        data: bytes,
        size: int | None,
        is_outbound: bool | None,
        comment: str,
    ) -> None:
        self.packets += 1
        self._stream.write(
            packet(
                *(number, entry.wall, data),
                size_bytes=size,
                is_outbound=is_outbound,
                comment=comment,
            )
        )

    def _write_names(self) -> None:
        """Write the names that have come since the last time."""
        if (known := len(self._conversations.names)) > self._named:
            self._named = known
            self._stream.write(names(names_of(self._conversations.names)))

    def _write_keys(self) -> None:
        """Write the keys that have come since the last time; a packet's must stand before it."""
        if self._tls_keys is None or self._tls_keys.stat().st_size <= self._keys_read:
            return
        with self._tls_keys.open("rb") as file:
            file.seek(self._keys_read)
            keys = file.read()
        keys = keys[: keys.rfind(b"\n") + 1]
        if keys:
            self._keys_read += len(keys)
            self._stream.write(tls_secrets(keys))


def _direction(entry: Entry) -> bool | None:
    return None if entry.kind is EntryKind.DECISION else entry.is_to_module


def _of_dialogue(entry: Entry) -> bytes:
    """Return an entry as a packet: the tags that say what follows, and that."""
    text = entry.text.encode("ascii", "backslashreplace")
    match entry.kind:
        case EntryKind.COMMAND:
            return _tagged("at", _TO_MODULE, text + b"\r")
        case EntryKind.DATA:
            return _tagged("data", _TO_MODULE, entry.data, "AT data", entry.text)
        case EntryKind.PAYLOAD | EntryKind.DAMAGE:
            return _tagged("data", _FROM_MODULE, entry.data, "AT data", entry.text)
        case EntryKind.DECISION:
            words = entry.meaning
            return _tagged("data-text-lines", None, words.encode(), "aiobc9x", words)
        case EntryKind.PROMPT:
            return _tagged("at", _FROM_MODULE, b"\r\n> ")
        case _:
            return _tagged("at", _FROM_MODULE, b"\r\n" + text + b"\r\n")


def _tagged(
    dissector: str, direction: int | None, data: bytes, protocol: str = "", info: str = ""
) -> bytes:
    tags = _tag(_DISSECTOR, dissector.encode())
    if protocol:
        tags += _tag(_PROTOCOL, protocol.encode())
    if direction is not None:
        tags += _tag(_DIRECTION, struct.pack("!I", direction))
    if info:
        tags += _tag(_INFO, info.encode())
    return tags + struct.pack("!HH", _END, 0) + data


def _tag(number: int, value: bytes) -> bytes:
    padded = value + b"\0" * (-len(value) % 4)
    return struct.pack("!HH", number, len(padded)) + padded
