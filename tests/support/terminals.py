"""Run the command line in a real terminal, and see what is on its screen."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.support.realtime import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]

COLUMNS = pytest.mark.parametrize("columns", [80, 120])

STARTED: list[Any] = []
"""What was started and may still run; tests/cli/conftest.py ends it behind each test."""

_CODES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[=>])")


# Any: pexpect has no types.
def in_terminal(
    *arguments: str, columns: int = 80, rows: int = 40, env: Mapping[str, str] | None = None
) -> Any:
    """Start a command in a terminal of that size."""
    return program_in_terminal("-m", "aiobc9x", *arguments, columns=columns, rows=rows, env=env)


def program_in_terminal(
    *arguments: str, columns: int = 80, rows: int = 40, env: Mapping[str, str] | None = None
) -> Any:
    """Start Python with these arguments in a terminal of that size."""
    if os.name != "posix":
        pytest.skip("needs pseudo terminals")
    # Without a size of the environment's, which would count more than the terminal's own.
    ours = {name: each for name, each in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    with warnings.catch_warnings():
        # The child becomes another program at once, whichever threads this one has.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        child = pexpect.spawn(
            sys.executable,
            [*arguments],
            cwd=str(ROOT),
            env={**ours, "TERM": "xterm-256color", **(env or {})},
            dimensions=(rows, columns),
            encoding="utf-8",
            timeout=PATIENCE_S,
        )
    STARTED.append(child)
    return child


def ended(child: Any) -> int:
    """Wait for the end of a command; return its exit code."""
    child.expect(pexpect.EOF)
    child.close()
    assert child.signalstatus is None
    return int(child.exitstatus)


def screen(*arguments: str, columns: int = 80, code: int = 0) -> list[str]:
    """The lines that a command leaves on the screen; none is wider than the terminal."""
    child = in_terminal(*arguments, columns=columns)
    assert ended(child) == code, child.before
    lines = without_codes(str(child.before))
    assert max(map(len, lines)) <= columns
    return lines


def without_codes(text: str) -> list[str]:
    """Lines as they stay, without colours: a carriage return begins its line anew."""
    lines = [_CODES.sub("", line).rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return lines if lines[-1] else lines[:-1]
