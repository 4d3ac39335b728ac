"""The command that measures a module and writes its profile."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiobc9x.cli import characterize
from aiobc9x.cli.characterizing.assumptions import Measured
from aiobc9x.cli.characterizing.echoing import Peer
from aiobc9x.cli.characterizing.measurements import Latency, Overflow
from aiobc9x.cli.main import main
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.sim.options import Host, SimOptions
from aiobc9x.sim.peers import HOST, ModemPeer
from aiobc9x.sim.virtual_modem import VirtualModem
from tests.support.realtime import PATIENCE_S
from tests.support.terminals import ended, in_terminal, without_codes

MEASURED = Measured(
    module=("Quectel", "BC65"),
    latency=Latency(8.0, 9.5, 12.0, gap_ms=5),
    overflow=Overflow(4096, 8192, lost_bytes=0),
    errors={"send_forms": "the module refused AT+QISEND"},
)


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[int]:
    """The port of an echo peer on loopback, which serves other processes too."""
    options = SimOptions(hosts={HOST: Host(("127.0.0.1",))})
    ready, loop = threading.Event(), asyncio.new_event_loop()
    ports: list[int] = []

    async def serve() -> None:
        async with VirtualModem(options) as module:
            server = ModemPeer(module, tmp_path)
            ports.append(await server.echo())
            ready.set()
            await done.wait()
            await server.aclose()

    done = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(PATIENCE_S)
    yield ports[0]
    loop.call_soon_threadsafe(done.set)
    thread.join(PATIENCE_S)
    loop.close()


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[Peer]:
    """Have everything measured already; the peers that were asked for."""
    peers: list[Peer] = []

    async def measured(
        _port: object, peer: Peer, _on_step: object, closing: Peer | None
    ) -> Measured:
        peers.extend(each for each in (peer, closing) if each is not None)
        return MEASURED

    monkeypatch.setattr(characterize, "characterize", measured)
    return peers


def run(*arguments: str) -> int:
    """Run the command on a virtual module."""
    return main(["characterize", "--port", "sim://", *arguments])


def test_as_json(capsys: pytest.CaptureFixture[str], known: list[Peer], tmp_path: Path) -> None:
    """One object: file, profile, figures and assumptions; the same figures are in the file."""
    path = tmp_path / "module.json"
    assert run("--peer", "[2001:db8::1]:7", "-o", str(path), "--json") == 0
    assert known == [Peer("2001:db8::1", 7)]
    captured = capsys.readouterr()
    assert captured.err == ""
    found: dict[str, Any] = json.loads(captured.out)
    assert found["file"] == str(path)
    expected = ModuleProfile(command_gap_ms=5, on_buffer_full="continue")
    assert ModuleProfile.load(path) == expected
    assert found["profile"] == json.loads(path.read_text())["profile"]
    assert found["measured"] == json.loads(path.read_text())["measured"]
    assert found["measured"]["latency"]["median_ms"] == 9.5
    assert {
        "number": "F31",
        "verdict": "broken",
        "text": "commands get lost unless 5 ms lie between",
    } in found["assumptions"]


def test_what_could_not_be_measured_is_told(
    capsys: pytest.CaptureFixture[str], known: list[Peer], tmp_path: Path
) -> None:
    """Behind the table, with the reason; the profile has the default there."""
    path = tmp_path / "module.json"
    web = ("--web", "web.example:80")
    assert run("--peer", "peer.example:7", *web, "-o", str(path)) == 0
    assert known == [Peer("peer.example", 7), Peer("web.example", 80)]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Quectel, BC65"
    assert lines[-2:] == [
        "send forms could not be measured: the module refused AT+QISEND",
        f"the profile is in {path}",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-o", "x.json"], 2, "missing option '--peer'"),
        (["--peer", "a.example:7"], 2, "missing option '-o' / '--output'"),
        (["--peer", "a.example", "-o", "x.json"], 2, "is not HOST:PORT"),
        (["--peer", "a.example:7", "-o", "/no/such/x.json"], 2, "/no/such is no folder"),
        (["--peer", "10.0.0.1:7", "-o", "x.json", "--port", "/dev/tty9x"], 1, "/dev/tty9x"),
    ],
)
def test_what_fails_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    """Before anything is measured, with the exit code of its kind."""
    assert run(*arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert not Path("x.json").exists()


def test_it_fits_a_terminal(peer: int, tmp_path: Path) -> None:
    """A line for each assumption, on 80 columns; the file is a profile."""
    path = tmp_path / "m.json"
    address = f"sim://?host={HOST}:127.0.0.1&latency=0.002&send_time=0.02"
    options = ("--peer", f"{HOST}:{peer}", "-o", str(path), "--port", address)
    child: Any = in_terminal("characterize", *options, columns=80)
    assert ended(child) == 0, child.before
    lines = without_codes(str(child.before))
    # But for the path, which is as long as the folder of this test.
    assert [line for line in lines if len(line.replace(str(path), "")) > 80] == []
    head = [line.rstrip() for line in lines].index("what    verdict    this module")
    rows = [line.split(maxsplit=2) for line in lines[head + 1 : -1] if not line.startswith("the ")]
    assert {row[1] for row in rows} == {"confirmed", "broken", "open"}
    assert ["F29", "confirmed", "takes 1440 bytes in quotes"] in rows
    assert ModuleProfile.load(path).on_buffer_full == "continue"


def test_control_c(peer: int, tmp_path: Path) -> None:
    """130, no traceback, and no file."""
    path = tmp_path / "m.json"
    options = ("--peer", f"{HOST}:{peer}", "-o", str(path))
    address = f"sim://?host={HOST}:127.0.0.1"
    child: Any = in_terminal("characterize", *options, "--port", address)
    child.expect("send forms")
    child.sendintr()
    assert ended(child) == 130
    assert "Traceback" not in child.before
    assert not path.exists()
