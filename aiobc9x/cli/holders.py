"""Find the programs that hold a device, as far as this user may see them.

Layer: cli. Linux tells by /proc; elsewhere nothing is found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aiobc9x.slotted import slotted

PROC: Final = Path("/proc")

_OTHER_ENDS: Final = {"/dev/ptmx", "/dev/pts/ptmx"}

MANAGERS: Final = {"ModemManager": "sudo systemctl stop ModemManager"}
"""Programs that take serial ports by themselves, and how they are stopped."""


@slotted(frozen=True)
class Holder:
    """A program that has a device open.

    Attributes:
        pid: Its process.
        name: What it is called.

    """

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"


def holders(device: str, proc: Path = PROC) -> list[Holder]:
    """Return who has a device open, this process aside.

    Processes of other users are seen by root alone. A program that is the other end of a pseudo
    terminal, as ``aiobc9x simulate`` is, does not count: it is no rival.
    """
    target = os.path.realpath(device)
    found = []
    for process in processes(proc):
        files = {*opened(process)}
        is_other_end = target.startswith("/dev/pts/") and not _OTHER_ENDS.isdisjoint(files)
        if target in files and not is_other_end and int(process.name) != os.getpid():
            found.append(Holder(int(process.name), name_of(process)))
    return found


def managers(proc: Path = PROC) -> list[str]:
    """Return the programs that run here and take serial ports by themselves."""
    return sorted({name for each in processes(proc) if (name := name_of(each)) in MANAGERS})


def processes(proc: Path) -> Iterator[Path]:
    """Yield the folder of each process."""
    found = proc.iterdir() if proc.is_dir() else ()
    yield from sorted((each for each in found if each.name.isdecimal()), key=lambda p: int(p.name))


def name_of(process: Path) -> str:
    """Return what a process is called; ``"?"`` if it has ended, or may not be looked at."""
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "?"


def opened(process: Path) -> Iterator[str]:
    """Yield the names of the files that a process has open."""
    try:
        for entry in (process / "fd").iterdir():
            yield str(entry.readlink())
    except OSError:  # it has ended, or is another user's
        return
