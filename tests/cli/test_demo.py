"""The demo does the main job and shows it."""

import errno
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aiobc9x.cli.demo import BODY, Page, program, show, totals
from aiobc9x.cli.main import main
from aiobc9x.cli.terminal import Terminal
from aiobc9x.core.statistics import Statistics
from tests.support.realtime import PATIENCE_S, ending

ROOT = Path(__file__).resolve().parents[2]


async def shown(columns: int = 100, *, colour: bool = False, full: bool = False) -> str:
    """What the demo prints, over a line without delays."""
    stream = io.StringIO()
    await show(Terminal(stream, columns=columns, colour=colour), baud=0, latency=0, full=full)
    return stream.getvalue()


async def test_it_tells_its_story_on_one_screen() -> None:
    """What the arrows are, the dialogue, the page, why there are errors, and what to try next."""
    lines = (await shown(80)).splitlines()
    assert lines[0].startswith("→ is what this program writes to a virtual BC65, ← what")
    assert lines.index(next(line for line in lines if "The page" in line)) <= 30
    assert len(lines) <= 45
    refused = next(n for n, line in enumerate(lines) if line.endswith("ERROR"))
    assert "AT+QICLOSE=0 … AT+QICLOSE=5" in lines[refused]
    assert "ERROR is right: no earlier program" in lines[refused + 1]
    last = " ".join(lines[-6:])
    assert "6 of them refused" in last
    assert "Try next: " in last
    assert "demo --full" in last
    assert "at --port sim://" in last


async def test_full_shows_each_command() -> None:
    """And why the last six before the last are refused."""
    text = await shown(full=True)
    for number in range(6):
        assert f"AT+QICLOSE={number} " in text
    assert len(re.findall(" ERROR$", text.partition("The page")[0], re.MULTILINE)) == 6
    assert text.count("ERROR is right") == 1
    assert text.index("AT+QICLOSE=5") < text.index("ERROR is right") < text.index('showlength",1')
    assert "AT+CEREG?" in text
    assert "connections       1 opened, 1 closed" in text


async def test_dialogue_page_and_totals_are_there() -> None:
    """The bytes of the page came through, and the story is complete."""
    text = await shown()
    assert "AT+QIOPEN=1,0," in text
    assert "CLOSE OK" in text
    assert "".join(f"  {line}".rstrip() + "\n" for line in BODY.decode().splitlines()) in text
    titles = re.findall(r"^── (.*?) ─", text, re.MULTILINE)
    assert titles[0] == "Starting: a line in step, and a network"
    assert titles[-2:] == ["The page", "The totals"]


@pytest.mark.parametrize("columns", [60, 100])
async def test_it_fits_the_terminal(columns: int) -> None:
    """No row of the dialogue wraps; the page is at most 70 wide."""
    dialogue = (await shown(columns)).partition("The page")[0]
    assert max(map(len, dialogue.splitlines())) <= columns


async def test_colour_changes_nothing_but_colour() -> None:
    """A pipe and a terminal get the same text."""
    text = await shown(colour=True)
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert plain != text
    assert "AT+QICLOSE=0" in plain
    assert "\x1b" not in plain


async def test_it_ends_when_nobody_reads() -> None:
    """As in ``| head``: what the pipe says comes out, and nothing is left behind."""

    class Pipe(io.StringIO):
        def write(self, text: str) -> int:
            if "AT+QICLOSE" in text:
                raise BrokenPipeError(errno.EPIPE, "Broken pipe")
            return super().write(text)

    stream = Pipe()
    with pytest.raises(BrokenPipeError):
        await show(Terminal(stream), baud=0, latency=0)
    assert "ATI" in stream.getvalue()
    assert "AT+QIOPEN" not in stream.getvalue()


async def test_an_ascii_terminal_gets_ascii() -> None:
    """Whatever the locale, no character fails to print."""
    stream = io.StringIO()
    await show(Terminal(stream, unicode=False), baud=0, latency=0)
    assert stream.getvalue().isascii()
    assert "(section 2.2.1)" in stream.getvalue()


@pytest.mark.skipif(os.name != "posix", reason="signals differ")
def test_control_c_leaves_no_traceback() -> None:
    """The demo stops where it is and says nothing more."""
    line = [sys.executable, "-m", "aiobc9x", "demo", "--latency", "1"]
    pipe = subprocess.PIPE
    with ending(subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)) as process:
        assert process.stdout is not None
        assert "this program writes" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert err == ""


def test_the_command_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Captured output is no terminal, so there is no colour in it."""
    assert main(["demo", "--baud", "0", "--latency", "0"]) == 0
    captured = capsys.readouterr()
    assert "This page came from a web server on loopback" in captured.out
    assert "\x1b" not in captured.out
    assert captured.err == ""


@pytest.mark.parametrize("arguments", [["--baud", "-1"], ["--latency", "nan"]])
def test_a_number_that_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """One line says which, before anything is begun."""
    assert main(["demo", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert arguments[0].strip("-") in captured.err
    assert captured.err.count("\n") == 1


def test_totals_add_up() -> None:
    """Each number has its name and unit."""
    statistics = Statistics(
        bytes_received=300,
        bytes_sent=100,
        commands=7,
        errors=2,
        opens=1,
        closes=1,
        reads=3,
        sends=2,
    )
    statistics.payload_bytes_received, statistics.payload_bytes_sent = 60, 40
    text = "\n".join(totals(Page(b"x" * 50, 0.25), statistics, 1.5))
    assert "50 bytes in 0.25 s" in text
    assert "7, 2 of them answered ERROR" in text
    assert "100 bytes, 25 % of the line" in text
    assert "1.50 s" in text


@pytest.mark.parametrize(("found", "name"), [("/usr/bin/aiobc9x", "aiobc9x"), (None, "python")])
def test_what_to_try_next_can_be_typed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: str | None, name: str
) -> None:
    """Where no script is installed, by the Python that runs this, as short as it can be."""
    monkeypatch.setattr("shutil.which", lambda _: found)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.chdir(tmp_path)
    expected = "aiobc9x" if found else str(Path(".venv", "bin", "python")) + " -m aiobc9x"
    assert name in program()
    assert program() == expected
