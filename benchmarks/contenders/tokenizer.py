"""A tokenizer: one regular expression, tried at each position.

It knows what :mod:`benchmarks.contenders.plain` knows, and like it has no limits.
"""

import re
from collections.abc import Set as AbstractSet

from benchmarks.workloads import Line, Payload


class Tokenizer:
    """Bytes in, lines and payloads out."""

    def __init__(self, push_sockets: AbstractSet[int]) -> None:
        ids = b"".join(b"%d" % number for number in sorted(push_sockets))
        self._match = re.compile(
            rb"\+QIRD: ([1-9]\d{0,3})(?:,(\d+))?\r\n|"
            rb'\+QIURC: "recv",([%b]),([1-9]\d{0,3})\r\n|'
            rb"([^\r\n]+)\r\n|[\r\n]+" % ids
        ).match
        self._rest = b""
        self._size = 0
        self._connect_id: int | None = None
        self._remaining: int | None = None

    def feed(self, data: bytes) -> list[Line | Payload]:
        """Take received bytes; return the frames they complete."""
        frames: list[Line | Payload] = []
        text = self._rest + data
        start = 0
        size = self._size
        while True:
            if size:
                end = start + size
                if end > len(text):
                    break
                frames.append((self._connect_id, self._remaining, text[start:end]))
                start = end
            match = self._match(text, start)
            if match is None:
                size = 0
                break
            start = match.end()
            read, remaining, connect_id, pushed, line = match.groups()
            size = 0
            if line:
                frames.append((line,))
            elif read:
                size = int(read)
                self._connect_id = None
                self._remaining = None if remaining is None else int(remaining)
            elif pushed:
                size = int(pushed)
                self._connect_id, self._remaining = int(connect_id), None
        self._rest = text[start:]
        self._size = size
        return frames
