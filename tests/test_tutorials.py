"""The pages that are followed from top to bottom: what they print is typed and looked at."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import pytest

from aiobc9x.cli import main as cli
from tests.support.pages import ROOT, blocks
from tests.support.realtime import PATIENCE_S

pytest_plugins = ["pytester"]

TESTING: Final = blocks([ROOT / "docs" / "testing.md"])
DEPLOY: Final = blocks([ROOT / "docs" / "deploy.md"])


def printed(page: str) -> str:
    """The text of a page."""
    return (ROOT / "docs" / page).read_text("utf-8")


class TestTesting:
    """docs/testing.md."""

    def test_its_tests_pass(self, pytester: pytest.Pytester) -> None:
        """With the settings that it prints and no other, and without a warning."""
        self.copy(pytester)
        result = pytester.runpytest_subprocess(
            "-W", "error", "-p", "no:cacheprovider", timeout=PATIENCE_S
        )
        result.assert_outcomes(passed=4)

    def test_a_dialogue_is_recorded_and_replayed(self, pytester: pytest.Pytester) -> None:
        """As in its last step, the virtual module in the hardware's place."""
        pytester.makefile(".ini", pytest=self.settings())
        pytester.makepyfile(test_it="async def test_it(modem):\n    assert await modem.identity()")
        lines = [block.text for block in TESTING if "--aiobc9x-record" in block.text]
        for line, folders in zip(lines[0].splitlines(), (1, 1), strict=True):
            arguments = shlex.split(line.replace("/dev/ttyUSB0", "sim://?link=memory"))[3:]
            result = pytester.runpytest_subprocess(*arguments, timeout=PATIENCE_S)
            result.assert_outcomes(passed=1)
            assert len(list(pytester.path.glob("cassettes/*/*.jsonl"))) == folders

    def settings(self) -> str:
        """What it wants in pytest.ini."""
        (block,) = [block for block in TESTING if block.language == "ini"]
        return block.text

    def copy(self, pytester: pytest.Pytester) -> None:
        """Make the files of the page."""
        pytester.makefile(".ini", pytest=self.settings())
        tests = [block.text for block in TESTING if "async def test_" in block.text]
        pytester.makepyfile(**{f"test_{number}": text for number, text in enumerate(tests)})


class TestDeploy:
    """docs/deploy.md."""

    def unit(self) -> str:
        """The unit file."""
        (block,) = [block for block in DEPLOY if block.language == "ini"]
        return block.text

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
    def test_systemd_takes_the_unit_file(self, tmp_path: Path) -> None:
        """It finds nothing to say of it; only the program is elsewhere."""
        path = tmp_path / "nbiot-proxy.service"
        path.write_text(self.unit().replace("/opt/aiobc9x/bin/aiobc9x", sys.executable), "utf-8")
        run = ["systemd-analyze", "verify", "--man=no", str(path)]
        done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        said = [line for line in done.stderr.splitlines() if path.name in line]
        assert (done.returncode, said) == (0, [])

    def test_the_unit_file_starts_the_service(self) -> None:
        """By a command and options that there are; the port is a variable that is read."""
        (line,) = re.findall("^ExecStart=(.*)$", self.unit(), re.MULTILINE)
        self.understood(shlex.split(line))
        assert "Environment=AIOBC9X_PORT=/dev/nbiot" in self.unit()
        assert 'SYMLINK+="nbiot"' in printed("deploy.md")

    def test_the_container_starts_the_service(self) -> None:
        """With extras and options that there are."""
        (block,) = [block for block in DEPLOY if block.language == "dockerfile"]
        (entry,) = re.findall(r"^ENTRYPOINT \[(.*)\]$", block.text, re.MULTILINE)
        self.understood([word.strip().strip('"') for word in entry.split(",")])
        (extras,) = re.findall(r"aiobc9x\[([a-z,]+)\]", block.text)
        project = (ROOT / "pyproject.toml").read_text("utf-8")
        for extra in extras.split(","):
            assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra

    def understood(self, words: list[str]) -> None:
        """Have the command line read its arguments, and not run."""
        name, command, *arguments = words
        assert Path(name).name == "aiobc9x"
        found = cli.commands.get_command(click.Context(cli.commands), command)
        assert found is not None
        found.make_context(command, arguments)


def afternoon() -> str:
    """A time zone in which it is between 18 and 19 o'clock: pages show what was after noon."""
    return f"THERE{datetime.now(UTC).hour - 18:+d}"  # POSIX counts westward


@pytest.mark.skipif(sys.platform == "win32", reason="no ptys on Windows")
class TestTraces:
    """docs/traces.md: each command of it, on a trace that the virtual module has left."""

    def test_its_commands(self, tmp_path: Path) -> None:
        """They end well and print something. ``live`` has no end, and tests of its own."""
        env = {**os.environ, "PYTHONPATH": str(ROOT), "AIOBC9X_PORT": "sim://", "TZ": afternoon()}
        record = [sys.executable, "-m", "aiobc9x", "ping", "220.18.39.22", "--count", "1"]
        record += ["--trace", "field.jsonl"]
        subprocess.run(record, cwd=tmp_path, env=env, check=True, timeout=PATIENCE_S)
        lines = [
            line
            for block in blocks([ROOT / "docs" / "traces.md"])
            for line in block.text.splitlines()
            if line.startswith("aiobc9x trace") and "live" not in line
        ]
        assert len(lines) >= 4
        for line in lines:
            words = [sys.executable, "-m", *shlex.split(line)]
            done = subprocess.run(
                words, cwd=tmp_path, env=env, capture_output=True, check=False, timeout=PATIENCE_S
            )
            assert done.returncode == 0, done.stderr.decode()
            assert done.stdout or "packets" in done.stderr.decode(), line
        assert (tmp_path / "field.pcapng").stat().st_size > 1000
