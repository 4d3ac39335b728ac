"""How long a test waits in real time for what must come, and programs that don't outlive it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import AnyStr, Final

PATIENCE_S: Final = 120.0
"""For what takes a moment, unless the machine is busy.

It bounds nothing that is under test. It is shorter than pytest's own limit (``timeout`` in
pyproject.toml), so that a test which waits in vain fails where it waits.
"""


@contextmanager
def ending(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """End a program with the block, however that ends; without this, a failed test waits for it."""
    with process:
        try:
            yield process
        finally:
            process.kill()
