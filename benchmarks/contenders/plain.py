"""The framer that anyone would write first.

One bytearray, a search for the next line end from where the last one stopped, one
match a line for payload headers, payloads copied out with ``bytes``, consumed bytes
deleted once a feed. It knows the headers as they are printed with ``viewmode`` 0 and
``showlength`` 1 and nothing else: no prompts, no hex, no damage, no limits. It is what
the framer's speed is measured against, so it stays as it is.
"""

import re
from collections.abc import Set as AbstractSet

from benchmarks.workloads import Line, Payload

_HEADER = re.compile(rb'\+QIRD: (\d+)(?:,(\d+))?$|\+QIURC: "recv",(\d),(\d+)$')


class Plain:
    """Bytes in, lines and payloads out."""

    def __init__(self, push_sockets: AbstractSet[int]) -> None:
        self.push_sockets = push_sockets
        self._buffer = bytearray()
        self._scanned = 0
        self._size = 0
        self._connect_id: int | None = None
        self._remaining: int | None = None

    def feed(self, data: bytes) -> list[Line | Payload]:
        """Take received bytes; return the frames they complete."""
        frames: list[Line | Payload] = []
        buffer = self._buffer
        buffer += data
        start = 0
        while True:
            if self._size:
                end = start + self._size
                if end > len(buffer):
                    break
                frames.append((self._connect_id, self._remaining, bytes(buffer[start:end])))
                self._size = 0
                start = self._scanned = end
            end = buffer.find(b"\r\n", self._scanned)
            if end < 0:
                self._scanned = max(start, len(buffer) - 1)
                break
            line = bytes(buffer[start:end])
            start = self._scanned = end + 2
            if line and not self._is_header(line):
                frames.append((line,))
        if start:
            del buffer[:start]
            self._scanned = max(0, self._scanned - start)
        return frames

    def _is_header(self, line: bytes) -> bool:
        match = _HEADER.match(line)
        if match is None:
            return False
        read, remaining, connect_id, pushed = match.groups()
        if read:
            self._connect_id = None
            self._remaining = None if remaining is None else int(remaining)
            self._size = int(read)
        elif int(connect_id) in self.push_sockets:
            self._connect_id, self._remaining, self._size = int(connect_id), None, int(pushed)
        return self._size > 0
