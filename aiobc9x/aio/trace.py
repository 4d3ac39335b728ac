"""Word the dialogue for debug logs, payloads elided.

Layer: aio. What a user's connections carry is nobody's business but his.
"""

from __future__ import annotations

import re
from typing import Final

_PROTOCOL: Final = re.compile(
    rb"[+*]|OK$|ERROR$|SEND (?:OK|FAIL)$|CLOSE OK$|> ?$|AT|RDY$", re.IGNORECASE
)
_HEADER: Final = re.compile(rb'(\+QIRD: ?\d+,\d+,|\+QIURC: ?"recv",\d,\d+,)(.*)', re.DOTALL)
_INLINE: Final = re.compile(rb'(AT\+QISEND(?:EX)?=\d,\d+,)".*"', re.IGNORECASE | re.DOTALL)
_SECRET: Final = re.compile(rb"(AT\+CPIN=).*", re.IGNORECASE | re.DOTALL)
_SHOWN_BYTES: Final = 160


def received(data: bytes) -> str:
    """Word a chunk that came from the module."""
    return " ".join(map(_received_line, filter(None, re.split(rb"[\r\n]+", data))))


def _received_line(line: bytes) -> str:
    if (match := _HEADER.match(line)) is not None:
        return f"{_text(match[1])}({len(match[2])} bytes)"
    return _text(line) if _PROTOCOL.match(line) else f"({len(line)} bytes)"


def sent(data: bytes) -> str:
    """Word what goes to the module: a command line, or a payload."""
    if not data.endswith(b"\r") or data[:2].upper() != b"AT":
        return f"({len(data)} bytes)"
    return _text(_SECRET.sub(rb"\1...", _INLINE.sub(rb'\1"..."', data[:-1])))


def _text(line: bytes) -> str:
    shown = line[:_SHOWN_BYTES].decode("ascii", "backslashreplace")
    return shown if len(line) <= _SHOWN_BYTES else f"{shown}... ({len(line)} bytes)"
