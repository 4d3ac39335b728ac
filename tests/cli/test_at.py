"""AT commands by hand and from a pipe."""

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from aiobc9x.cli.at import Paper, bytes_of, dump, printable
from aiobc9x.cli.terminal import Terminal
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.options import SimOptions
from tests.support.realtime import PATIENCE_S, ending
from tests.support.terminals import COLUMNS, ROOT, ended, in_terminal, without_codes

needs_pty = pytest.mark.skipif(os.name != "posix", reason="needs pseudo terminals")


def piped(lines: str, *arguments: str, query: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command with these lines on stdin."""
    call = [sys.executable, "-m", "aiobc9x", "at", "--port", f"sim://?{query}", *arguments]
    return subprocess.run(
        call, input=lines, capture_output=True, text=True, cwd=ROOT, check=False, timeout=PATIENCE_S
    )


class TestPipe:
    """One command a line."""

    def test_answers_and_results(self) -> None:
        """As the module gives them; empty lines are none."""
        done = piped("AT+CGMM\n\nAT+CSQ\n", "--linger", "0")
        assert done.stdout.splitlines() == ["BC65", "OK", "+CSQ: 20,0", "OK"]
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_refusal_is_told_and_the_rest_goes_on(self) -> None:
        """The module's, and ours: a line that would cut the line off says what to use instead."""
        lines = "AT+NONSENSE\nATZ\nAT+CMUX=0\nAT+IPR=9600\nAT+CGMM"
        done = piped(lines, "--linger", "0")
        nonsense, reset, mux, speed, *rest = done.stdout.splitlines()
        assert nonsense.startswith("! ")
        assert "restart the module with AT+CFUN=1,1" in reset
        assert "use 'aiobc9x connect'" in mux
        assert "give it by --baudrate" in speed
        assert rest == ["BC65", "OK"]
        assert done.returncode == 1
        assert done.stderr == ""

    def test_data_is_the_next_line(self) -> None:
        """And what comes unasked behind the end of the pipe is waited for."""
        lines = 'AT+QIOPEN=1,0,"UDP","10.1.1.1",80\nAT+QISEND=0,5\nhello\nAT+QICLOSE=0\n'
        done = piped(lines, "--linger", "1")
        said = done.stdout.splitlines()
        assert said.count("SEND OK") == 1
        assert {"+QIOPEN: 0,0", "CLOSE OK"} <= {*said}
        assert done.returncode == 0

    def test_exit_ends_it(self) -> None:
        """As at the prompt."""
        assert piped("exit\nAT+CGMM\n", "--linger", "0").stdout == ""

    def test_the_log_has_no_secret(self, tmp_path: Path) -> None:
        """Each line has time and direction; another talk goes on in the same file."""
        file = tmp_path / "log"
        for _ in range(2):
            piped('AT+CPIN="4711"\nAT+CGMM\n', "--log", str(file), "--linger", "0")
        text = file.read_text("utf-8")
        assert "4711" not in text
        kinds = [line.split(" ")[1] for line in text.splitlines()]
        assert kinds == [">", "!", ">", "<", "<"] * 2
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d > AT\+CPIN=", text)

    def test_control_c_closes_what_was_opened(self) -> None:
        """130 and no traceback, though the pipe is still open; the module is left clean."""
        call = [sys.executable, "-m", "aiobc9x", "at", "-vv", "--port", "sim://"]
        started = subprocess.Popen(call, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, cwd=ROOT)
        with ending(started) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write('AT+QIOPEN=1,0,"UDP","10.1.1.1",80\n')
            process.stdin.flush()
            assert [process.stdout.readline() for _ in range(2)] == ["OK\n", "+QIOPEN: 0,0\n"]
            process.send_signal(signal.SIGINT)
            said = process.stderr.read() if process.stderr else ""
            assert process.wait(PATIENCE_S) == 130
        assert "Traceback" not in said
        assert said.index("> AT+QICLOSE=0", said.index("+QIOPEN")) < said.rindex("CLOSE OK")

    def test_hex_and_timestamps(self) -> None:
        """Bytes in front, what is printable of them behind."""
        first = piped("AT+CGMM\n", "--hex", "--timestamps", "--linger", "0").stdout.splitlines()[0]
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} 42 43 36 35  BC65", first)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--timeout", "0"], "0.0 is not in the range"),
            (["AT+CSQ"], "unexpected extra argument"),
        ],
    )
    def test_wrong_arguments(self, arguments: list[str], words: str) -> None:
        """One line on stderr, and exit code 2."""
        done = piped("", *arguments)
        assert done.returncode == 2
        assert words in done.stderr
        assert done.stderr.count("\n") == 1

    def test_no_module(self, tmp_path: Path) -> None:
        """A device that is not there."""
        done = piped("AT\n", "--port", str(tmp_path / "ttyUSB9"))
        assert done.returncode == 1
        assert "there is no serial device" in done.stderr
        assert done.stderr.count("\n") == 1


class Prompt:
    """The command at a prompt in a real terminal."""

    def __init__(self, home: Path, port: str = "sim://", columns: int = 80) -> None:
        state = {"XDG_STATE_HOME": str(home), "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.child: Any = in_terminal("at", "-vv", "--port", port, columns=columns, env=state)
        self.child.expect("Ctrl-D ends this")
        self.child.expect("AT>")

    def type(self, line: str, answer: str) -> None:
        """Type a line, and wait for this on the screen."""
        self.child.send(line + "\r")
        self.child.expect(answer)

    def end(self, key: str = "\x04") -> int:
        self.child.send(key)
        return ended(self.child)


@COLUMNS
def test_a_talk_at_the_prompt(tmp_path: Path, columns: int) -> None:
    """Answers, refusals, data, and a line that comes unasked."""
    prompt = Prompt(tmp_path, columns=columns)
    prompt.type("AT+CGMM", r"BC65\W+OK")
    prompt.type("ATZ", "resets settings")
    prompt.type("AT+CEREG=2", "OK")
    prompt.type("AT+CFUN=0", r"\+CEREG: 0")
    prompt.type("AT+CFUN=1", r"\+CEREG: 1")
    prompt.type('AT+QIOPEN=1,0,"UDP","10.1.1.1",80', r"\+QIOPEN: 0,0")
    prompt.type("AT+QISEND=0,5", "data>")
    prompt.type("hello", "SEND OK")
    assert prompt.end() == 0


def test_the_history_is_kept_but_no_secret(tmp_path: Path) -> None:
    """Up brings what an earlier talk has typed."""
    prompt = Prompt(tmp_path)
    prompt.type("AT+CGMM", "BC65")
    prompt.type('AT+CPIN="4711"', "refused")
    assert prompt.end() == 0
    prompt = Prompt(tmp_path)
    prompt.type("\x1b[A", "BC65")
    assert prompt.end() == 0
    kept = (tmp_path / "aiobc9x" / "at-history").read_text("utf-8")
    assert "AT+CGMM" in kept
    assert "4711" not in kept


def test_control_c_at_the_prompt_and_during_a_command(tmp_path: Path) -> None:
    """130, and no traceback."""
    prompt = Prompt(tmp_path)
    assert prompt.end("\x03") == 130
    assert "Traceback" not in prompt.child.before
    prompt = Prompt(tmp_path, port="sim://?fault=ignore;on=AT%2BCOPS")
    prompt.child.send("AT+COPS=?\r")
    prompt.child.expect(r"ms  > AT\+COPS")  # on the line, so the terminal is itself again
    prompt.child.sendintr()
    assert ended(prompt.child) == 130
    assert "Traceback" not in prompt.child.before


@needs_pty
async def test_it_survives_an_unplug(tmp_path: Path) -> None:
    """The state is told, and the next command goes to the device that came back."""
    device = tmp_path / "ttyUSB0"
    async with VirtualModule(SimOptions()) as module:
        device.symlink_to(await module.start_pty())
        prompt = await asyncio.to_thread(Prompt, tmp_path, str(device))
        await asyncio.to_thread(prompt.type, "AT+CGMM", "BC65")
        device.unlink()
        await module.aclose()
        await asyncio.to_thread(prompt.child.expect, "away: .*disconnected")
    async with VirtualModule(SimOptions()) as module:
        device.symlink_to(await module.start_pty())
        await asyncio.to_thread(prompt.child.expect, "back, with its settings")
        await asyncio.to_thread(prompt.type, "AT+CGMM", r"BC65\W+OK")
        assert await asyncio.to_thread(prompt.end) == 0


def test_nothing_that_a_terminal_would_obey_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A module, or a peer, must not be able to clear the screen."""
    log = io.StringIO()
    paper = Paper(Terminal(sys.stdout), log, timestamps=False, as_hex=False)
    paper.show("<", "+X: \x1b[2J\x07")
    assert capsys.readouterr().out == "+X: \\x1b[2J\\x07\n"
    assert "\x1b" not in log.getvalue()


def test_an_ascii_terminal_gets_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """Our own errors cite the note by a sign that not every terminal has."""
    screen = Terminal(sys.stdout, unicode=False)
    paper = Paper(screen, None, timestamps=False, as_hex=False)
    paper.show("!", "line must start with AT (§2.1.2)")
    assert capsys.readouterr().out == "! line must start with AT (section 2.1.2)\n"


def test_long_lines_are_dumped_in_rows() -> None:
    """Sixteen bytes each, in columns."""
    assert dump(bytes(range(60, 80)))[0] == (
        "3C 3D 3E 3F 40 41 42 43 44 45 46 47 48 49 4A 4B  <=>?@ABCDEFGHIJK"
    )
    assert dump(bytes(range(60, 80)))[1].endswith("4F                                      LMNO")
    assert dump(b"") == []
    assert printable(b"a\x00\xff") == "a.."
    assert without_codes("\x1b[33mx\x1b[0m") == ["x"]


@pytest.mark.parametrize("raw", [b"plain", b"\x80\xff", b"\\x41", b"a\\b", b"\xe4\\xzz"])
def test_the_bytes_of_a_line_are_those_that_came(raw: bytes) -> None:
    """Though lines are text with escapes."""
    assert bytes_of(raw.decode("ascii", "backslashreplace")) == raw
