"""The programs of docs/clients/, run as printed in a process of their own."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.clients.conftest import Site
from tests.support.pages import CLIENT_PAGES, DEVICE, ROOT, WAIT, Block, blocks
from tests.support.realtime import PATIENCE_S

_SLOW: Final = re.compile(r"Executing <.*> took .* seconds\n")

ON_UVLOOP: Final = """
import asyncio, runpy, sys, uvloop

def run(main):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)

asyncio.run = run
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def heading_of(block: Block) -> str:
    """Return the heading that a block stands under."""
    lines = (ROOT / block.page).read_text("utf-8").splitlines()[: block.line]
    return next(line.lstrip("# ") for line in reversed(lines) if line.startswith("#"))


def all_programs() -> dict[tuple[str, str], Block]:
    """Every program of the pages, by page and heading."""
    programs = [block for block in blocks(CLIENT_PAGES) if block.is_program]
    found = {(Path(block.page).stem, heading_of(block)): block for block in programs}
    assert len(found) == len(programs), "two programs under one heading"
    return found


class Program:
    """A program at work.

    Attributes:
        process: What it runs in.

    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._said: list[str] = []

    async def line(self, text: str) -> None:
        """Wait until it says something."""
        assert self.process.stdout is not None
        while text not in (line := (await self.process.stdout.readline()).decode()):
            assert line, f"the program ended: {self._said}"
            self._said.append(line)

    async def end(self) -> str:
        """Wait for its end; return what it had to say, without asyncio's remarks in debug mode."""
        rest, _ = await asyncio.wait_for(self.process.communicate(), PATIENCE_S)
        said = "".join(self._said) + rest.decode()
        return "".join(line for line in said.splitlines(True) if not _SLOW.fullmatch(line))


@asynccontextmanager
async def running(
    page: str,
    heading: str,
    site: Site,
    folder: Path,
    *,
    loop: str = "asyncio",
    change: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Program]:
    """Run a program in a folder, with the virtual module's pty and short waits.

    Args:
        page: The name of its page.
        heading: The heading that it stands under.
        site: What it reaches.
        folder: Where it runs.
        loop: On asyncio's loop, or on uvloop.
        change: What the page says to change in it for another library.

    """
    program = folder / "program.py"
    text = all_programs()[page, heading].text.replace(DEVICE, repr(site.device))
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    program.write_text(text.replace(WAIT, "3"))
    start = ["-c", ON_UVLOOP] if loop == "uvloop" else []
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error"),
        *start,
        str(program),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def output(
    page: str,
    heading: str,
    site: Site,
    folder: Path,
    *,
    loop: str = "asyncio",
    change: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Run a program to its end; return the lines that it printed. See :func:`running`."""
    async with running(page, heading, site, folder, loop=loop, change=change) as program:
        said = await program.end()
        assert program.process.returncode == 0, said
    assert site.virtual.module.sockets.by_id == {}, "sockets are open on the module"
    return said.splitlines()
