"""asyncio's own streams: ``readuntil`` for lines, ``readexactly`` for payloads.

A turn of the event loop goes with each chunk, as it does behind a transport.
"""

import asyncio
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from benchmarks.workloads import Line, Payload

_HEADER = re.compile(rb'\+QIRD: (\d+)(?:,(\d+))?\r\n|\+QIURC: "recv",(\d),(\d+)\r\n')


class Streams:
    """Chunks in, lines and payloads out; close it in the end."""

    def __init__(self, push_sockets: AbstractSet[int]) -> None:
        self._push_sockets = push_sockets
        self._loop = asyncio.new_event_loop()
        self._reader = asyncio.StreamReader(limit=2**24, loop=self._loop)
        self._frames: list[Line | Payload] = []
        self._task = self._loop.create_task(self._parse())

    def run(self, chunks: Sequence[bytes]) -> list[Line | Payload]:
        """Take chunks; return the frames they complete."""
        self._frames = []
        self._loop.run_until_complete(self._feed(chunks))
        return self._frames

    def close(self) -> None:
        """End the reading task and the loop."""
        self._task.cancel()
        self._loop.run_until_complete(asyncio.gather(self._task, return_exceptions=True))
        self._loop.close()

    async def _feed(self, chunks: Sequence[bytes]) -> None:
        for chunk in chunks:
            self._reader.feed_data(chunk)
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _parse(self) -> None:
        while True:
            line = await self._reader.readuntil(b"\r\n")
            match = _HEADER.fullmatch(line)
            if match is None:
                if len(line) > 2:
                    self._frames.append((line[:-2],))
                continue
            read, remaining, connect_id, pushed = match.groups()
            if read:
                rest = None if remaining is None else int(remaining)
                data = await self._reader.readexactly(int(read))
                self._frames.append((None, rest, data))
            elif int(connect_id) in self._push_sockets:
                data = await self._reader.readexactly(int(pushed))
                self._frames.append((int(connect_id), None, data))
            else:
                self._frames.append((line[:-2],))
