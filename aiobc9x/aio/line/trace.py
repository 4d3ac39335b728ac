"""Write the dialogue into the log, secrets and payloads elided.

Layer: aio. What a user's connections carry is nobody's business but his.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection
from typing import Final

from aiobc9x.logs import Logs
from aiobc9x.masking import masked_command, shown_line
from aiobc9x.patterns import lazy_pattern

_SHOWN_CHARACTERS: Final = 160

# What announces a payload, at the beginning of a line, and what separates the two (§2.2.11).
_HEADER: Final = lazy_pattern(
    rb"(?<![^\r\n])"
    rb"(\+QIRD: {0,8}([0-9]{1,4})(?:, {0,8}-?[0-9]+)?"
    rb"|\+QIURC: {0,8}\"recv\", {0,8}([0-5]), {0,8}([0-9]{1,4}))(?:\r?\n|,)"
)
_MAYBE_HEADER: Final = lazy_pattern(rb"(?<![^\r\n])\+QI[^\r\n]{0,60}\r?\Z")


class DialogueWords:
    """Word the dialogue of one modem.

    A payload is told by the length in its header, also when it comes in several chunks: what it
    says may look like lines of the module.
    """

    def __init__(self) -> None:
        self._due_bytes = 0
        self._begun = b""

    def received(self, data: bytes, push_sockets: Collection[int], *, is_hex: bool) -> str:
        """Word a chunk that came from the module.

        Args:
            data: The chunk.
            push_sockets: The connect IDs whose data follow their announcement.
            is_hex: Payloads come as hex digits, so they have twice as many characters.

        """
        words: list[str] = []
        data, self._begun = self._begun + data, b""
        while data:
            if self._due_bytes:
                piece, data = data[: self._due_bytes], data[self._due_bytes :]
                self._due_bytes -= len(piece)
                words.append(f"({len(piece)} bytes)")
                continue
            header = _HEADER.search(data)
            words += _lines(data[: header.start()] if header else data)
            if header is None:
                # The rest of a header that is cut here comes with the next chunk.
                begun = _MAYBE_HEADER.search(data)
                self._begun = begun[0] if begun else b""
                break
            _, read_size, connect_id, push_size = header.groups()
            words.append(shown_line(header[1]))
            if connect_id is None or int(connect_id) in push_sockets:
                self._due_bytes = int(read_size or push_size) << is_hex
            data = data[header.end() :]
        return " ".join(words)

    def sent(self, data: bytes, *, is_payload: bool) -> str:
        """Word what goes to the module: a command line, or a payload."""
        if is_payload or not data.endswith(b"\r") or data[:2].upper() != b"AT":
            return f"({len(data)} bytes)"
        # Before a command is written, the answer to the last one has come or was given up.
        self._due_bytes = 0
        line = masked_command(data[:-1].decode("ascii", "backslashreplace"))
        return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}..."


class DialogueLog:
    """Log the dialogue of one modem, if anybody wants to see it."""

    def __init__(self, logs: Logs) -> None:
        self._log, self._words = logs.wire, DialogueWords()

    def received(self, data: bytes, framing: Callable[[], tuple[Collection[int], bool]]) -> None:
        """Log a chunk that came from the module.

        Args:
            data: The chunk.
            framing: Tells the last two arguments of :meth:`DialogueWords.received`.

        """
        if self._log.shows(logging.DEBUG):
            pushing, is_hex = framing()
            words = self._words.received(data, pushing, is_hex=is_hex)
            self._log.debug("< %s", words, size_bytes=len(data))

    def sent(self, data: bytes, *, is_payload: bool) -> None:
        """Log a command line, or a payload."""
        if not self._log.shows(logging.DEBUG):
            return
        words = self._words.sent(data, is_payload=is_payload)
        if words.startswith("("):
            self._log.debug("> %s", words, size_bytes=len(data))
        else:
            self._log.debug("> %s", words, size_bytes=len(data), command=words)


def _lines(data: bytes) -> list[str]:
    return [shown_line(line) for line in re.split(rb"[\r\n]+", data) if line]
