"""``python -m aiobc9x demo``: show how a page is fetched through a module.

Layer: cli. A web server on loopback, a virtual module between the server and this program, and
one page.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import click

from aiobc9x import Modem, open_modem
from aiobc9x.cli.dialogue import Dialogue
from aiobc9x.cli.opening import runs
from aiobc9x.cli.terminal import Terminal, terminal
from aiobc9x.core.statistics import Statistics
from aiobc9x.sim.links import VirtualModule, parse_address

HOST: Final = "demo.example"

BODY: Final = b"""\
This page came from a web server on loopback.

The program that fetched it used asyncio's own StreamReader and
StreamWriter. Between the two stood a serial line at 115200 baud,
and a virtual BC65 that was told by AT commands what to do.

Bytes that look like protocol stay what they are:

OK
+QIURC: "closed",0
> ERROR
"""


@dataclass(frozen=True, slots=True)
class Page:
    """What came over the connection.

    Attributes:
        raw: The whole answer, head and body.
        elapsed: Seconds from the request to the end of the answer.

    """

    raw: bytes
    elapsed: float


@click.command()
@click.option(
    "--baud", default=115200, show_default=True, metavar="N", help="Speed of the virtual line."
)
@click.option(
    "--latency",
    default=0.02,
    show_default=True,
    metavar="SECONDS",
    help="Time before the module answers.",
)
@runs
async def command(baud: int, latency: float) -> None:
    """Fetch a page through the virtual module and show the AT dialogue.

    It needs no hardware and no network: server, module and program are in this process.
    """
    await show(terminal(sys.stdout), baud=baud, latency=latency)


async def show(screen: Terminal, *, baud: int, latency: float) -> None:
    """Fetch the page and print each step.

    Args:
        screen: Where to print.
        baud: Speed of the virtual line in bits per second, 0 for no limit.
        latency: Seconds before the module answers.

    Raises:
        ValueError: A number is negative.
        ModemError: The page could not be fetched, which is a bug of this package.
        OSError: The text can't be written.

    """
    story = _Story(screen)
    try:
        await _tell(story, screen, baud=baud, latency=latency)
    except asyncio.CancelledError:
        if story.dialogue.error is not None:
            raise story.dialogue.error from None
        raise


async def _tell(story: _Story, screen: Terminal, *, baud: int, latency: float) -> None:
    began = time.monotonic()
    options = parse_address(f"sim://?baud={baud}&latency={latency}&host={HOST}:127.0.0.1")
    async with web_server() as port:
        screen.write(f"A web server is at 127.0.0.1:{port}; a virtual BC65 stands before it.")
        options = replace(options, on_line=story.dialogue.line, remote_ports={80: port})
        async with VirtualModule(options) as virtual:
            story.chapter("Bringing the line into step")
            device = await plug_in(virtual)
            async with open_modem(device, baudrate=baud or 115200) as modem:
                story.chapter("Waiting for the network")
                await modem.wait_ready()
                page = await fetch(story, modem)
            statistics = modem.statistics
    story.chapter("The page")
    for line in page.raw.decode().splitlines():
        screen.write(f"  {line}".rstrip())
    story.chapter("The totals")
    for row in totals(page, statistics, time.monotonic() - began):
        screen.write(row)


class _Story:
    """The dialogue in chapters."""

    def __init__(self, screen: Terminal) -> None:
        self._screen = screen
        task = asyncio.current_task()
        assert task is not None
        self.dialogue = Dialogue(screen, fold=True, on_failure=task.cancel)

    def chapter(self, title: str) -> None:
        self.dialogue.finish()
        self._screen.title(title)


async def plug_in(virtual: VirtualModule) -> str:
    """Give the virtual module a link, and return its address."""
    try:
        return await virtual.start_pty()
    except NotImplementedError:  # Windows has no ptys
        return f"socket://127.0.0.1:{await virtual.start_tcp()}"


async def fetch(story: _Story, modem: Modem) -> Page:
    """Fetch the page over a connection of the module, as any asyncio program would."""
    story.chapter(f"Connecting to {HOST}, port 80")
    reader, writer = await modem.open_connection(HOST, 80)
    story.chapter("Sending a request, reading the answer")
    began = time.monotonic()
    writer.write(f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
    await writer.drain()
    raw = await reader.read()
    elapsed = time.monotonic() - began
    story.chapter("Closing")
    writer.close()
    await writer.wait_closed()
    return Page(raw, elapsed)


@asynccontextmanager
async def web_server() -> AsyncIterator[int]:
    """Serve the page on loopback; give the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(BODY)}\r\n\r\n"
        writer.write(head.encode() + BODY)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def totals(page: Page, statistics: Statistics, elapsed: float) -> list[str]:
    """Return the totals as rows to print: bytes, commands, time."""
    line_bytes = statistics.bytes_sent + statistics.bytes_received
    payload = statistics.payload_bytes_sent + statistics.payload_bytes_received
    rows = [
        ("page", f"{len(page.raw)} bytes in {page.elapsed:.2f} s"),
        ("commands", f"{statistics.commands}, {statistics.errors} of them answered ERROR"),
        ("to the module", f"{statistics.bytes_sent} bytes"),
        ("from the module", f"{statistics.bytes_received} bytes"),
        ("of that payload", f"{payload} bytes, {100 * payload / line_bytes:.0f} % of the line"),
        ("connections", f"{statistics.opens} opened, {statistics.closes} closed"),
        ("reads, sends", f"{statistics.reads}, {statistics.sends}"),
        ("all of it", f"{elapsed:.2f} s"),
    ]
    return [f"  {name:<18}{value}" for name, value in rows]
