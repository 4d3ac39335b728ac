"""``python -m aiobc9x demo``: show how a page is fetched through a module.

Layer: cli. A web server on loopback, a virtual module between the server and this program, and
one page.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from aiobc9x import Modem, open_modem
from aiobc9x.cli.dialogue import Dialogue, Group
from aiobc9x.cli.opening import runs
from aiobc9x.cli.terminal import Terminal, terminal
from aiobc9x.core.statistics import Statistics
from aiobc9x.sim.links import VirtualModule, parse_address
from aiobc9x.slotted import slotted

HOST: Final = "demo.example"

BODY: Final = b"""\
This page came from a web server on loopback, over a serial line at 115200
baud and a virtual BC65. Bytes that look like protocol stay what they are:

OK
+QIURC: "closed",0
> ERROR
"""

_NONE_LEFT: Final = "ERROR is right: no earlier program has left a socket open on the module."

_STARTING: Final = (
    Group(r"AT$|ATE|ATV|ATI|AT\+CMEE", "who are you?"),
    Group(
        r"AT\+(QSCLK|CPSMS|CEDRXS|CSCON|CGEREP|QNBIOTEVENT|QATWAKEUP|CFUN)",
        "stay awake, report, radio",
    ),
    Group(r'AT\+QICFG="\w+"$|AT\+QISTATE\?', "which settings and sockets?"),
    Group(r"AT\+QICLOSE", "close all that are left", _NONE_LEFT),
    Group(r"AT\+QICFG=", "tell lengths with the data"),
    Group(r"AT\+(CPIN|CEREG|CGATT|CGPADDR)", "SIM, network, address?"),
)
_CONNECTED: Final = (
    Group(r"AT\+QISTATE=1", "who is at the other end?"),
    Group(r"AT\+(CGATT|CGPADDR)", "is the network still there?"),
)
"""What is one row unless all is shown."""


@slotted(frozen=True)
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
@click.option("--full", is_flag=True, help="Show each command of the start, and all totals.")
@runs
async def command(baud: int, latency: float, full: bool) -> None:
    """Fetch a page through the virtual module and show the AT dialogue.

    It needs no hardware and no network: server, module and program are in this process.
    """
    await show(terminal(sys.stdout), baud=baud, latency=latency, full=full)


async def show(screen: Terminal, *, baud: int, latency: float, full: bool = False) -> None:
    """Fetch the page and print each step.

    Args:
        screen: Where to print.
        baud: Speed of the virtual line in bits per second, 0 for no limit.
        latency: Seconds before the module answers.
        full: Show each command of the start, and all totals.

    Raises:
        ValueError: A number is negative.
        ModemError: The page could not be fetched, which is a bug of this package.
        OSError: The text can't be written.

    """
    story = _Story(screen, full=full)
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
        screen.folded(
            f"{screen.arrow(to_module=True)} is what this program writes to a virtual BC65,"
            f" {screen.arrow(to_module=False)} what that answers. A web server is behind it,"
            f" at 127.0.0.1:{port}."
        )
        options = replace(options, on_line=story.dialogue.line, remote_ports={80: port})
        async with VirtualModule(options) as virtual:
            story.chapter("Starting: a line in step, and a network", _STARTING)
            device = await plug_in(virtual)
            async with open_modem(device, baudrate=baud or 115200) as modem:
                await modem.wait_ready()
                page = await fetch(story, modem)
            statistics = modem.statistics
    story.chapter("The page")
    for line in page.raw.partition(b"\r\n\r\n")[2].decode().splitlines():
        screen.write(f"  {line}".rstrip())
    story.chapter("The totals")
    elapsed = time.monotonic() - began
    if story.full:
        for row in totals(page, statistics, elapsed):
            screen.write(row)
    else:
        screen.folded(summary(page, statistics, elapsed))
    name = program()
    screen.folded(
        f"Try next: {name} demo --full (all of it), {name} at --port sim:// (AT commands by hand),"
        f" {name} doctor --port DEVICE (your module)"
    )


class _Story:
    """The dialogue in chapters."""

    full: bool

    def __init__(self, screen: Terminal, *, full: bool) -> None:
        self._screen, self.full = screen, full
        task = asyncio.current_task()
        assert task is not None
        self.dialogue: Dialogue = Dialogue(screen, fold=True, on_failure=task.cancel)
        self.dialogue.unfold = full

    def chapter(self, title: str, groups: Sequence[Group] = ()) -> None:
        """Begin a chapter, in which these commands are one row."""
        self.dialogue.finish()
        self.dialogue.groups = groups
        self._screen.title(title, apart=self.full)


async def plug_in(virtual: VirtualModule) -> str:
    """Give the virtual module a link, and return its address."""
    try:
        return await virtual.start_pty()
    except NotImplementedError:  # Windows has no ptys
        return f"socket://127.0.0.1:{await virtual.start_tcp()}"


async def fetch(story: _Story, modem: Modem) -> Page:
    """Fetch the page over a connection of the module, as any asyncio program would."""
    story.chapter(f"Connecting to {HOST}, port 80", _CONNECTED)
    reader, writer = await modem.open_connection(HOST, 80)
    story.chapter("Sending a request, reading the answer, closing", _CONNECTED)
    began = time.monotonic()
    writer.write(f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
    await writer.drain()
    raw = await reader.read()
    elapsed = time.monotonic() - began
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


def summary(page: Page, statistics: Statistics, elapsed: float) -> str:
    """Return the totals in a sentence."""
    return (
        f"{len(page.raw)} bytes in {page.elapsed:.2f} s; {statistics.commands} commands,"
        f" {statistics.errors} of them refused, in {elapsed:.2f} s."
    )


def program() -> str:
    """Return how this program is started: by its name, if the shell finds it."""
    if shutil.which("aiobc9x"):
        return "aiobc9x"
    python = Path(sys.executable)
    here = Path.cwd()
    return f"{python.relative_to(here) if python.is_relative_to(here) else python} -m aiobc9x"


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
