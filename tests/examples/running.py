"""Run an example as a user does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.clients.programs import Program
from tests.support.pages import ROOT

FOLDER: Final = ROOT / "examples"
EXAMPLES: Final = sorted(FOLDER.glob("*.py"))

INTERRUPTED: Final = 130
"""What a shell says of a program that Ctrl-C has ended."""


@asynccontextmanager
async def example(
    name: str, *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """Start an example in a folder; kill it if it still runs at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error"),
        str(FOLDER / f"{name}.py"),
        *arguments,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def interrupt(program: Program) -> str:
    """Press Ctrl-C; return what the program had to say, which must be no traceback."""
    program.process.send_signal(signal.SIGINT)
    said = await program.end()
    assert program.process.returncode == INTERRUPTED, said
    assert "Traceback" not in said
    assert "never" not in said, said  # of coroutines and exceptions that nobody has fetched
    return said
