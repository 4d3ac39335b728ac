"""What the stack costs beside a driver that does the least: time, and calls of functions.

Both talk to the same script, and take turns. Ours ends at asyncio's streams, the other at a
method of its own.
"""

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from types import FrameType
from typing import Any, Final

from aiobc9x import AccessMode
from benchmarks.harness import Options, Run, in_turns
from benchmarks.minimal import MinimalDriver
from benchmarks.script import PAYLOADS, Script, open_modem

COLUMNS: Final = (
    "way",
    "us",
    "minimal_us",
    "times_minimal",
    "calls",
    "minimal_calls",
)
TURN_S: Final = 0.0005  # shorter than the slices of a busy machine
TEXT: Final = b"a" * 256
BYTES: Final = random.Random(256).randbytes(256)

Step = Callable[[], Awaitable[object]]


class Ours:
    """A modem and a connection on a script."""

    async def open(self, mode: AccessMode) -> None:
        """Open them."""
        self.script = Script()
        self._modem = await open_modem(self.script)
        self._reader, self._writer = await self._modem.open_connection(
            "192.0.2.1", 80, access_mode=mode
        )
        self._writer.transport.set_write_buffer_limits(0)  # drain() waits for each SEND OK

    async def send_text(self) -> None:
        """Send a payload that goes inline."""
        self._writer.write(TEXT)
        await self._writer.drain()

    async def send_bytes(self) -> None:
        """Send one that goes behind a prompt."""
        self._writer.write(BYTES)
        await self._writer.drain()

    async def receive(self) -> None:
        """Receive one."""
        await self._reader.readexactly(len(BYTES))

    async def command(self) -> None:
        """Send a command."""
        await self._modem.command("AT")

    async def aclose(self) -> None:
        """Close the modem."""
        await self._modem.aclose()


class Theirs:
    """A minimal driver on a script."""

    async def open(self, mode: AccessMode) -> None:
        """Open it."""
        self.script = Script()
        self._driver = MinimalDriver(pushes=mode is AccessMode.PUSH)
        self.script.connect_memory(self._driver)

    async def send_text(self) -> None:
        """Send a payload that goes inline."""
        await self._driver.send_text(TEXT)

    async def send_bytes(self) -> None:
        """Send one that goes behind a prompt."""
        await self._driver.send_bytes(BYTES)

    async def receive(self) -> None:
        """Receive one."""
        await self._driver.receive()

    async def command(self) -> None:
        """Send a command."""
        await self._driver.ask(b"AT\r")

    async def aclose(self) -> None:
        """Do nothing."""


WAYS: Final = (
    ("send text, inline", "send_text", AccessMode.BUFFER),
    ("send bytes, fixed length", "send_bytes", AccessMode.BUFFER),
    ("read, buffer mode", "receive", AccessMode.BUFFER),
    ("receive, push mode", "receive", AccessMode.PUSH),
    ("a command", "command", AccessMode.BUFFER),
)


def rows(options: Options) -> Iterator[Sequence[object]]:
    """One row per way."""
    for name, step, mode in WAYS:
        with asyncio.Runner() as runner:
            sides = (Ours(), Theirs())
            runs = [runner.run(_prepared(runner, side, step, mode)) for side in sides]
            names = ("ours", "minimal")
            times = in_turns(
                dict(zip(names, runs, strict=True)),
                rounds=options.rounds,
                round_seconds=TURN_S,
            )
            ours, minimal = (min(times[side]) / PAYLOADS * 1e6 for side in names)
            calls = [round(_calls(run) / PAYLOADS) for run in runs]
            for side in sides:
                runner.run(side.aclose())
        yield name, ours, minimal, ours / minimal, *calls


async def _prepared(
    runner: asyncio.Runner, side: Ours | Theirs, step: str, mode: AccessMode
) -> Run:
    await side.open(mode)
    act: Step = getattr(side, step)

    async def repeat() -> None:
        if step == "receive":
            (side.script.push if mode is AccessMode.PUSH else side.script.offer)(BYTES)
        for _ in range(PAYLOADS):
            await act()

    return lambda: runner.get_loop().run_until_complete(repeat())


def _calls(run: Run) -> int:
    """Count the calls of Python's and C's functions, those of asyncio included."""
    count = 0

    def note(_frame: FrameType, event: str, _arg: Any) -> None:  # Any: what sys says
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count
