"""Commands that ask the module something and print the answer."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from aiobc9x.cli.main import main

pytestmark = pytest.mark.usefixtures("virtual_time")

HOST = "sim://?host=server.example:10.1.2.3&host=time.example:10.1.2.4&ping=10.1.2.3:20,-,40,60"


def output(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What a command prints."""
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_ping_tells_each_reply_and_sums_up(capsys: pytest.CaptureFixture[str]) -> None:
    """A lost one is told too."""
    assert output(capsys, "ping", "server.example", "--port", HOST).splitlines() == [
        "1: 32 bytes from 10.1.2.3 in 20 ms",
        "2: no reply",
        "3: 32 bytes from 10.1.2.3 in 40 ms",
        "4: 32 bytes from 10.1.2.3 in 60 ms",
        "4 sent, 3 received, 1 lost",
        "round trip: 20 ms at best, 40 on average, 60 at worst",
    ]


def test_ping_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One object, with the names of :class:`PingReport`."""
    text = output(
        capsys, "ping", "10.1.2.3", "--count", "2", "--size", "64", "--port", HOST, "--json"
    )
    report = json.loads(text)
    replies = report.pop("replies")
    assert report == {
        "sent": 2,
        "received": 1,
        "lost": 1,
        "min_ms": 20,
        "max_ms": 20,
        "avg_ms": 20,
    }
    assert [reply["size_bytes"] for reply in replies] == [64, None]


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_ping_without_any_reply_has_failed(
    capsys: pytest.CaptureFixture[str], form: tuple[str, ...]
) -> None:
    """The exit code is that of ping(8)."""
    address = "sim://?ping=10.9.9.9:-"
    output(capsys, "ping", "10.9.9.9", "--count", "1", "--port", address, *form, code=1)


def test_resolve(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One address a line; the port comes from the environment as well."""
    monkeypatch.setenv("AIOBC9X_PORT", "sim://?host=two.example:10.1.2.3,10.1.2.4@60")
    assert output(capsys, "resolve", "two.example") == "10.1.2.3\n10.1.2.4\n"
    assert json.loads(output(capsys, "resolve", "two.example", "--json")) == {
        "addresses": ["10.1.2.3", "10.1.2.4"],
        "ttl_s": 60,
    }


def test_ntp(capsys: pytest.CaptureFixture[str]) -> None:
    """The time as ISO 8601 has it, with the offset that the module states."""
    text = output(capsys, "ntp", "time.example", "--port", HOST).strip()
    assert datetime.fromisoformat(text).utcoffset() is not None
    told = json.loads(output(capsys, "ntp", "time.example", "--port", HOST, "--json"))
    assert told["server"] == "time.example"
    assert datetime.fromisoformat(told["time"]).utcoffset() is not None


def test_sockets(capsys: pytest.CaptureFixture[str]) -> None:
    """None is open after the port was opened."""
    assert output(capsys, "sockets", "--port", HOST) == "no socket is open; all six are free\n"
    assert json.loads(output(capsys, "sockets", "--port", HOST, "--json")) == {"sockets": []}


def test_no_port_is_never_a_virtual_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, and lists what is there."""
    monkeypatch.delenv("AIOBC9X_PORT", raising=False)
    assert main(["sockets"]) == 2
    text = capsys.readouterr().err
    assert text.startswith("aiobc9x: no port is given: use --port or AIOBC9X_PORT; ")
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ping", "server.example", "--count", "11"], 2, "count"),
        (["resolve", "nobody.example"], 1, "no such name: nobody.example"),
        (["sockets", "--baudrate", "-1"], 2, "'-1' is no number of bits per second"),
        (["sockets", "--pin", "12"], 2, "pin must have 4 to 8 digits"),
    ],
)
def test_what_fails_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    """With the exit code of its kind."""
    assert main([*arguments, "--port", HOST]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("\n") == 1


def test_a_port_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The name of the device is in the message."""
    missing = tmp_path / "ttyUSB9"
    assert main(["sockets", "--port", str(missing)]) == 1
    assert str(missing) in capsys.readouterr().err


def test_verbose_shows_the_dialogue(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, so that stdout stays what a program reads."""
    assert main(["sockets", "-vv", "--json", "--port", HOST]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"sockets": []}
    assert "AT+QISTATE" in captured.err


def test_a_trace_is_recorded(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of any command that talks to a module."""
    path = tmp_path / "field.jsonl"
    output(capsys, "sockets", "--trace", str(path), "--port", HOST)
    assert "AT+QISTATE" in path.read_text("utf-8")
