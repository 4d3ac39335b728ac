"""aiobc9x trace: what a gateway engineer does with a recording."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import aiobc9x
from aiobc9x.cli.main import main
from aiobc9x.trace import Trace, read_trace
from tests.clients.servers import program
from tests.support.bench import ADDRESS, HOST, PORT, Bench
from tests.support.clock import virtual
from tests.support.realtime import PATIENCE_S, ending
from tests.support.terminals import COLUMNS, ended, in_terminal, screen

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a modem that has sent and received something."""
    path = tmp_path_factory.mktemp("trace") / "field.jsonl"

    @virtual
    async def run() -> None:
        async with Bench() as bench:
            modem = await bench.open(trace=Trace(path))
            reader, writer = await modem.open_connection(HOST, PORT)
            writer.write(b"a question")
            await writer.drain()
            bench.peer.send(b"\x00 an answer")
            assert await reader.readexactly(11) == b"\x00 an answer"
            writer.close()
            await writer.wait_closed()
            await modem.aclose()

    run()
    return path


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """What a command prints, a line each; it must succeed."""
    assert main(["trace", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


class TestShow:
    """The dialogue, for people and for programs."""

    def test_rows(self, capsys: pytest.CaptureFixture[str], trace: Path) -> None:
        """Each line with what it means."""
        rows = output(capsys, "show", str(trace))
        assert rows[0].startswith("-- 20")
        assert any(" = the port is open: sim://" in row for row in rows)
        assert any("> AT+QISEND=0,10,... a question" in row for row in rows)
        assert any(r"< (11 bytes) \x00 an answer" in row for row in rows)

    def test_filters(self, capsys: pytest.CaptureFixture[str], trace: Path) -> None:
        """By socket, kind, link and time."""
        rows = output(capsys, "show", str(trace), "--kind", "payload", "--socket", "0")
        assert len(rows) == 2
        assert output(capsys, "show", str(trace), "--link", "2") == []
        assert output(capsys, "show", str(trace), "--since", "2100-01-01T00:00") == []
        assert output(capsys, "show", str(trace), "--until", "2001-01-01") == []
        everything = output(capsys, "show", str(trace))
        found = output(capsys, "show", str(trace), "--since", "00:00", "--until", "23:59:59.999999")
        assert found == everything
        (_, row) = output(capsys, "show", str(trace), "--kind", "payload", "--no-payloads")
        assert "answer" not in row

    def test_json(self, capsys: pytest.CaptureFixture[str], trace: Path) -> None:
        """One object a line."""
        entries = [json.loads(row) for row in output(capsys, "show", str(trace), "--json")]
        (payload,) = [entry for entry in entries if entry["kind"] == "payload"]
        assert payload["data"] == r"\x00 an answer" or payload["data"] == "\x00 an answer"
        assert (payload["socket"], payload["size_bytes"], payload["link"]) == (0, 11, 1)
        ended = [entry for entry in entries if entry["text"] == "ConnectionEnded"]
        assert ended[0]["facts"]["reason"] == "closed here, or by the peer"

    def test_an_empty_trace(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """It shows nothing, and that is no error."""
        (tmp_path / "x").write_text("")
        assert output(capsys, "show", str(tmp_path / "x")) == []

    @COLUMNS
    def test_on_a_terminal(self, trace: Path, columns: int) -> None:
        """Each row fits into its line."""
        lines = screen("trace", "show", str(trace), columns=columns)
        (row,) = [line for line in lines if "AT+QIOPEN" in line]
        assert row.endswith("…") is (columns == 80)
        assert len(lines) == len([line for line in lines if line[2:3] == ":"]) + 1

    def test_follow(self, trace: Path) -> None:
        """It goes on until Ctrl-C."""
        with running("show", str(trace), "--follow", "--kind", "payload") as process:
            assert process.stdout is not None
            head, row = process.stdout.readline(), process.stdout.readline()
            assert head.startswith(b"-- ")
            assert b"an answer" in row
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out, err) == (130, b"", b"")


class TestErrors:
    """One line each."""

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["show", "none.jsonl"], 1, "none.jsonl"),
            (["show", "x", "--socket", "6"], 2, "--socket"),
            (["show", "x", "--kind", "noise"], 2, "noise"),
            (["replay", "none.jsonl"], 1, "none.jsonl"),
            (["pcap", "none.jsonl", "-o", "-"], 1, "none.jsonl"),
            (["pcap", "none.jsonl"], 2, "--output"),
            (["dance"], 2, "dance"),
        ],
    )
    def test_what_fails(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
    ) -> None:
        """With the exit code of its kind."""
        assert main(["trace", *arguments]) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        assert words in captured.err
        assert captured.err.count("\n") == 1

    def test_what_is_no_trace(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """Nor is a file made of it."""
        (tmp_path / "x").write_text("hello\n")
        assert main(["trace", "pcap", str(tmp_path / "x"), "-o", str(tmp_path / "y")]) == 2
        assert "no trace of aiobc9x" in capsys.readouterr().err
        assert not (tmp_path / "y").exists()

    def test_a_wrong_time(self, capsys: pytest.CaptureFixture[str], trace: Path) -> None:
        """The message shows how to write one."""
        assert main(["trace", "show", str(trace), "--since", "noon"]) == 2
        assert "as 12:30, or 2026-01-31T12:30" in capsys.readouterr().err

    def test_the_environment(
        self, capsys: pytest.CaptureFixture[str], trace: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What records can be shown without naming it again."""
        monkeypatch.setenv("AIOBC9X_TRACE", str(trace))
        assert len(output(capsys, "show", "--kind", "payload")) == 2


def running(*arguments: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Run a command until the block ends."""
    line = [sys.executable, "-m", "aiobc9x", "trace", *arguments]
    pipe = subprocess.PIPE
    return ending(subprocess.Popen(line, stdout=pipe, stderr=pipe, cwd=ROOT))


class TestReplay:
    """The module of a trace, for any program."""

    @pytest.mark.parametrize("link", ["pty", "tcp"])
    async def test_it_answers_as_recorded(self, trace: Path, link: str) -> None:
        """On a device, or on a port."""
        options = [] if link == "pty" else ["--tcp", "0"]
        with running("replay", str(trace), *options) as process:
            assert process.stdout is not None
            line = await asyncio.to_thread(process.stdout.readline)
            address = line.decode().strip()
            async with aiobc9x.open_modem(address, reconnect=None) as modem:
                reader, writer = await modem.open_connection(HOST, PORT)
                writer.write(b"a question")
                assert await reader.readexactly(11) == b"\x00 an answer"
                writer.close()
                await writer.wait_closed()
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.communicate)
        assert process.returncode == 0


class TestCaptures:
    """For Wireshark."""

    def test_pcap(self, capsys: pytest.CaptureFixture[str], trace: Path, tmp_path: Path) -> None:
        """A file, and on stderr how much is in it."""
        path = tmp_path / "field.pcapng"
        assert main(["trace", "pcap", str(trace), "-o", str(path)]) == 0
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.endswith(" packets\n")
        assert path.read_bytes()[:4] == b"\n\r\r\n"
        keys = tmp_path / "keys"
        keys.write_text("CLIENT_RANDOM 00 11\n")
        arguments = ["pcap", str(trace), "-o", str(path), "--tls-keys", str(keys)]
        assert main(["trace", *arguments]) == 0
        assert b"CLIENT_RANDOM 00 11\n" in path.read_bytes()

    def test_to_a_pipe(self, trace: Path) -> None:
        """tshark reads it from there."""
        with running("pcap", str(trace), "-o", "-") as process:
            done = subprocess.run(
                [program("tshark", "tshark"), "-r", "-", "-Y", "tcp.len > 0"],
                stdin=process.stdout,
                capture_output=True,
                check=True,
            )
            process.wait(PATIENCE_S)
        assert process.returncode == 0
        assert len(done.stdout.splitlines()) == 2

    def test_live(self, trace: Path) -> None:
        """What is there comes at once; when nobody reads any more, it ends in silence."""
        with running("live", str(trace)) as process:
            arguments = ["-i", "-", "-c", "3", "-l"]
            done = subprocess.run(
                [program("tshark", "tshark"), *arguments],
                stdin=process.stdout,
                capture_output=True,
                check=True,
                timeout=PATIENCE_S,
            )
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE_S)
            assert process.stderr is not None
            assert process.stderr.read() == b""
        assert len(done.stdout.splitlines()) == 3

    def test_a_capture_is_no_text(self, trace: Path) -> None:
        """A terminal would show rubbish."""
        child = in_terminal("trace", "live", str(trace))
        assert ended(child) == 2
        assert "a capture is no text: put '| wireshark -k -i -'" in child.before


async def test_what_a_command_records_can_be_shown(tmp_path: Path) -> None:
    """``--trace`` of any command, then ``trace show``."""
    path = tmp_path / "x"
    async with aiobc9x.open_modem(ADDRESS, trace=path, reconnect=None):
        pass
    assert len(list(read_trace(path))) > 20
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aiobc9x", "trace", "show", str(path)),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
    )
    out, _ = await process.communicate()
    assert b"echo off" in out
