"""Virtual modules and their peers in processes of their own, as real ones would be.

A child ends when its standard input does, so none outlives the benchmark, whatever
becomes of that; and whoever waits for one waits :data:`LIMIT_S` at most. ::

    with Child("modules", "2", "send_time=0") as child:
        child.devices       # two ptys
        child.cpu_seconds()

``modules N SETTING...`` runs N virtual modules, set as in ``sim://?SETTING&...``, each on
a pty; with them come a peer that sends without end, one that takes everything, and an
echo, on :attr:`Child.ports`. ``script`` answers each command line on one pty from bytes
made beforehand: the least that a module's side can take.
"""

import asyncio
import json
import os
import select
import subprocess
import sys
import time
import tty
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from aiobc9x.sim.links import VirtualModule, parse_address
from benchmarks.answers import answer

LIMIT_S: Final = 20.0
"""Seconds that a child may take to start, to answer and to end."""

_SOURCE_BYTES: Final = bytes(range(256)) * 256


class Child:
    """A process of this module.

    Attributes:
        devices: Paths of its ptys.
        ports: Of its peers on 127.0.0.1: ``source``, ``sink`` and ``echo``.

    """

    devices: Sequence[str]
    ports: Mapping[str, int]

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> "Child":
        """Wait until it is ready.

        Raises:
            TimeoutError: It is not in time.

        """
        try:
            hello = self._read()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self.devices, self.ports = hello["devices"], hello["ports"]
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def cpu_seconds(self) -> float:
        """Return the processor time that it has taken so far."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"cpu\n")
        self._process.stdin.flush()
        return float(self._read()["cpu_seconds"])

    def _read(self) -> dict[str, Any]:  # Any: JSON
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], LIMIT_S)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            raise TimeoutError("a child of the benchmark says nothing")
        said: dict[str, Any] = json.loads(line)
        return said


def say(**what: object) -> None:
    """Tell the parent."""
    print(json.dumps(what), flush=True)


def say_cpu() -> None:
    """Tell the parent how much processor time this process has taken."""
    say(cpu_seconds=time.process_time())


async def run_modules(count: int, settings: Sequence[str]) -> None:
    """Run virtual modules and their peers until standard input ends."""
    servers = {
        name: await asyncio.start_server(peer, "127.0.0.1", 0)
        for name, peer in {"source": _send, "sink": _take, "echo": _echo}.items()
    }
    options = parse_address(f"sim://?{'&'.join(settings)}")
    modules = [VirtualModule(options) for _ in range(count)]
    devices = [await module.start_pty() for module in modules]
    ended = asyncio.Event()

    def on_input() -> None:
        asked = os.read(0, 4096)
        for _ in range(asked.count(b"\n")):
            say_cpu()
        if not asked:
            ended.set()

    asyncio.get_running_loop().add_reader(0, on_input)
    ports = {name: server.sockets[0].getsockname()[1] for name, server in servers.items()}
    say(devices=devices, ports=ports)
    await ended.wait()
    for module in modules:
        await module.aclose()


async def _send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _until_lost(writer, _send_forever(writer))


async def _send_forever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(_SOURCE_BYTES)
        await writer.drain()


async def _take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _until_lost(writer, _take_all(reader))


async def _take_all(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _until_lost(writer, _echo_all(reader, writer))


async def _echo_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def _until_lost(writer: asyncio.StreamWriter, serving: Any) -> None:  # Any: a coroutine
    try:
        await serving
    except OSError:
        pass  # the module has closed
    finally:
        writer.transport.abort()


def run_script() -> None:
    """Answer command lines on a pty until standard input ends."""
    master, slave = os.openpty()
    tty.setraw(slave)
    say(devices=[os.ttyname(slave)], ports={})
    rest = b""
    while True:
        ready, _, _ = select.select([master, 0], [], [])
        if 0 in ready:
            if not os.read(0, 4096):
                return
            say_cpu()
        if master in ready:
            *lines, rest = (rest + os.read(master, 4096)).split(b"\r")
            os.write(master, b"".join(answer(line + b"\r") for line in lines))


if __name__ == "__main__":
    if sys.argv[1] == "script":
        run_script()
    else:
        asyncio.run(run_modules(int(sys.argv[2]), sys.argv[3:]))
