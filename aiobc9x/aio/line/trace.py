"""Word the dialogue for debug logs, secrets and payloads elided.

Layer: aio. What a user's connections carry is nobody's business but his.
"""

from __future__ import annotations

import re
from typing import Final

from aiobc9x.masking import masked_command, shown_line

_SHOWN_CHARACTERS: Final = 160


def received(data: bytes) -> str:
    """Word a chunk that came from the module."""
    return " ".join(map(shown_line, filter(None, re.split(rb"[\r\n]+", data))))


def sent(data: bytes, *, is_payload: bool = False) -> str:
    """Word what goes to the module: a command line, or a payload, which may look like one."""
    if is_payload or not data.endswith(b"\r") or data[:2].upper() != b"AT":
        return f"({len(data)} bytes)"
    line = masked_command(data[:-1].decode("ascii", "backslashreplace"))
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}..."
