"""Who holds a device, by /proc."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiobc9x.cli.holders import Holder, holders, managers
from tests.support.realtime import ending


def process(proc: Path, pid: int, name: str, *files: Path) -> None:
    """Make the folder of a process as Linux has it."""
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "comm").write_text(name + "\n")
    for number, file in enumerate(files):
        (folder / "fd" / str(number)).symlink_to(file)


def test_each_holder_is_named(tmp_path: Path) -> None:
    """By the name and the number of its process; links to the device count as the device."""
    tmp_path = tmp_path.resolve()  # the system's folder may be behind a link itself
    device, link = tmp_path / "ttyUSB0", tmp_path / "by-id"
    device.touch()
    link.symlink_to(device)
    proc = tmp_path / "proc"
    process(proc, 12, "minicom", tmp_path / "other", device)
    process(proc, 9, "ModemManager", device)
    process(proc, 44, "cat", tmp_path / "other")
    process(proc, os.getpid(), "aiobc9x", device)
    (proc / "meminfo").touch()
    found = holders(str(link), proc)
    assert found == [Holder(9, "ModemManager"), Holder(12, "minicom")]
    assert str(found[1]) == "minicom (process 12)"
    assert managers(proc) == ["ModemManager"]


def test_the_other_end_of_a_pseudo_terminal_is_no_rival(tmp_path: Path) -> None:
    """A virtual module holds both ends; who holds one end alone is a rival."""
    device = Path("/dev/pts/4711")
    process(tmp_path, 7, "aiobc9x", device, Path("/dev/ptmx"))
    process(tmp_path, 8, "minicom", device)
    process(tmp_path, 9, "xterm", Path("/dev/pts/1"), Path("/dev/ptmx"))
    assert holders(str(device), tmp_path) == [Holder(8, "minicom")]


def test_what_may_not_be_seen_is_left_out(tmp_path: Path) -> None:
    """A process that has ended, or a system without /proc."""
    (tmp_path / "proc" / "7").mkdir(parents=True)
    assert holders("/dev/null", tmp_path / "proc") == []
    assert managers(tmp_path / "proc") == []
    assert holders("/dev/null", tmp_path / "nowhere") == []


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_real_process(tmp_path: Path) -> None:
    """As Linux tells it."""
    file = tmp_path / "device"
    file.touch()
    code = "import sys; f = open(sys.argv[1]); print('ready', flush=True); sys.stdin.read()"
    line, pipe = [sys.executable, "-c", code, str(file)], subprocess.PIPE
    with ending(subprocess.Popen(line, stdin=pipe, stdout=pipe)) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert [each.pid for each in holders(str(file))] == [child.pid]
        child.communicate()
    assert holders(str(file)) == []
