"""The simulated soak: scripts, equal runs, and defects that it has to find."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aiobc9x import Modem
from aiobc9x.aio.connections.listening import Server
from aiobc9x.sim.faults import LINE_KINDS, Fault, FaultKind
from aiobc9x.sim.memory import Peer
from benchmarks import bench_soak, soak_gateway, soak_trouble
from benchmarks.soak_desk import FAR, CountedFaults, Desk
from benchmarks.soak_gateway import Gateway
from benchmarks.soak_script import DEEDS, MIX, Happening, parse, random_script, read_script
from benchmarks.soak_work import Operation
from tests.support.bench import HOST, Streams
from tests.support.realtime import PATIENCE_S

HOUR_S = 3600.0

QUARTER = 0.25
"""Hours; takes a second or two."""


class TestScript:
    """What goes wrong, as text."""

    @pytest.mark.parametrize("seed", range(5))
    def test_it_can_be_written_and_read(self, seed: int) -> None:
        """A script that was drawn comes out as it went in."""
        drawn = random_script(seed, 24 * HOUR_S)
        assert read_script(map(str, drawn)) == drawn
        assert random_script(seed, 24 * HOUR_S) == drawn
        assert random_script(seed + 1, 24 * HOUR_S) != drawn

    def test_every_kind_comes(self) -> None:
        """But those that no host could notice, or that are done in another way."""
        drawn = {each.kind for seed in range(5) for each in random_script(seed, 24 * HOUR_S)}
        beyond = {
            FaultKind.CORRUPT_BYTES,
            FaultKind.REPLACE_LINE,
            FaultKind.DROP_ON_FULL,
            FaultKind.SEND_FAIL_PART,
        }
        assert drawn == {*DEEDS, *FaultKind} - beyond - {FaultKind.STUCK}
        assert len(MIX) > len(drawn)  # answers come late, and very late

    def test_what_it_says(self) -> None:
        """Comments and empty lines say nothing, and the order is that of time."""
        script = read_script(
            ["# two", "120 unplug;lasts=30", "", '35.2 drop-line;on=+QIURC: "recv";times=2']
        )
        fault = Fault(FaultKind.DROP_LINE, '+QIURC: "recv"', times=2)
        assert script == [Happening(35.2, "drop-line", fault=fault), Happening(120, "unplug", 30)]

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            ("soon unplug", "could not convert"),
            ("5 nothing", "unknown fault 'nothing'"),
            ("5 unplug;on=AT", "no field but lasts"),
            ("5 drop-line;when=1", "unknown field 'when'"),
            ("5 unplug;lasts=long", "could not convert"),
        ],
    )
    def test_what_can_not_be_read(self, line: str, why: str) -> None:
        """The line is named."""
        with pytest.raises(ValueError, match=why) as caught:
            parse(line)
        assert line in str(caught.value)


class TestCommandLine:
    """Its options."""

    def test_the_script_of_a_seed(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """It is printed, can be cut, and is followed: nothing else goes wrong."""
        bench_soak.main(["--hours", "24", "--seed", "7", "--show-script"])
        lines = capsys.readouterr().out.splitlines()
        assert read_script(lines) == random_script(7, 24 * HOUR_S)
        file = tmp_path / "script"
        file.write_text("100 hang-up\n200 restart\n")
        bench_soak.main(["--hours", str(QUARTER), "--seed", "7", "--script", str(file)])
        said = capsys.readouterr().out
        assert "trouble\ttimes\nhang-up\t1\nrestart\t1\n" in said
        assert "all\tnone" in said

    @pytest.mark.parametrize(
        ("options", "why"),
        [
            (["--script", "nowhere", "--hours", "1"], "No such file"),
            (["--script", "nowhere"], "belongs to --hours"),
        ],
    )
    def test_a_script_that_can_not_be_used(
        self, options: list[str], why: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The reason is said, before anything runs."""
        with pytest.raises(SystemExit) as caught:
            bench_soak.main(options)
        assert caught.value.code == 2
        assert why in capsys.readouterr().err

    def test_equal_seeds_are_equal_runs(self, tmp_path: Path) -> None:
        """To the last byte of the dialogue, in two processes whose hashes differ."""
        digests, dialogues = [], []
        for hashes in ("1", "2"):
            file = tmp_path / hashes
            command = [sys.executable, "-m", "benchmarks", "soak", "--hours", str(QUARTER)]
            command += ["--seed", "5", "--dialogue", str(file)]
            environment = {**os.environ, "PYTHONHASHSEED": hashes}
            done = subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                env=environment,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            digests += [line for line in done.stdout.splitlines() if line.startswith("digest")]
            dialogues.append(file.read_text())
        assert digests[0] == digests[1]
        assert dialogues[0] == dialogues[1]
        assert len(dialogues[0]) > 10_000


def breaches_of(*script: Happening, hours: float = QUARTER, seed: int = 1) -> list[str]:
    """Simulate a while; return what must not have happened."""
    return [*bench_soak.soak_simulated(seed, hours, script)]


class TestDefects:
    """Each is found, and makes the run fail."""

    def test_none(self) -> None:
        """A while in which nothing goes wrong, and one in which the device is away."""
        assert breaches_of() == []
        assert breaches_of(Happening(100, "unplug", 100)) == []

    @pytest.mark.parametrize(
        ("changed", "breach"),
        [
            (lambda data: data[:-1] + b"%", "differ from the"),
            (lambda data: data[1:], "hangs"),
            (lambda data: b"", "hangs"),
        ],
        ids=["another byte", "a byte less", "nothing"],
    )
    def test_a_far_side_that_changes_bytes(
        self, changed: Callable[[bytes], bytes], breach: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The stream is compared, and has to come to an end."""

        def echo(_: Desk, peer: Peer) -> None:
            peer.answer_with(lambda data: peer.send(changed(data)))

        monkeypatch.setattr(Desk, "_echo", echo)
        assert any(breach in each for each in breaches_of())

    def test_a_far_side_that_ends_early(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whole streams have all bytes."""

        def echo(_: Desk, peer: Peer) -> None:
            def answer(data: bytes) -> None:
                peer.send(data[:1])
                peer.close()

            peer.answer_with(answer)

        monkeypatch.setattr(Desk, "_echo", echo)
        assert any("ended that nobody has closed" in each for each in breaches_of())

    def test_a_task_that_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One by each client."""
        tasks = []

        async def client(_: Gateway, _op: Operation) -> None:
            tasks.append(asyncio.create_task(asyncio.sleep(HOUR_S), name="forgotten"))

        monkeypatch.setattr(Gateway, "client", client)
        found = breaches_of(hours=0.5)
        assert any("tasks are left" in each and "forgotten" in each for each in found)

    def test_memory_that_grows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As when each datagram leaves something behind."""
        kept: list[object] = []
        exchange = soak_gateway.Endpoint.exchange

        async def leaky(self: soak_gateway.Endpoint, data: bytes) -> None:
            kept.extend(object() for _ in range(500))
            await exchange(self, data)

        monkeypatch.setattr(soak_gateway.Endpoint, "exchange", leaky)
        assert any("blocks of memory more" in each for each in breaches_of(hours=0.5))

    def test_a_connection_that_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its connect ID is still in use at the end."""
        kept: list[Streams] = []

        async def forgetful(self: Gateway, op: Operation) -> None:
            if not kept:
                kept.append(await op.modem.open_connection(HOST, FAR.echo))

        monkeypatch.setattr(Gateway, "datagram", forgetful)
        assert any("connect IDs are left" in each for each in breaches_of())

    def test_a_server_that_does_not_come_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Everything has to work again after a while."""
        monkeypatch.setattr(Server, "on_failed", Server._stop)
        found = breaches_of(Happening(60, "restart", 1))
        assert any("after restart: the server: " in each for each in found)

    def test_a_modem_that_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It lasts until it is closed."""

        async def give_up(self: Gateway, op: Operation) -> None:
            op.modem._driver.fail("given up")

        monkeypatch.setattr(Gateway, "client", give_up)
        assert "the modem is closed, and nobody has closed it" in breaches_of()

    def test_a_module_that_stays_wedged(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The hook has to come, and in time."""
        monkeypatch.setattr(soak_trouble, "HOOK_S", 5.0)
        found = breaches_of(Happening(400, "wedged", 400))
        assert any("the hook came" in each for each in found)

        async def nothing(_: soak_trouble.Trouble, _modem: Modem) -> None:
            pass

        monkeypatch.setattr(soak_trouble.Trouble, "hook", nothing)
        found = breaches_of(Happening(400, "wedged", 200))
        assert "a wedged module was not reset in 200 s" in found


class TestFaults:
    """What a host can't notice is spared."""

    def test_whole_pushes(self) -> None:
        """The announcement of data that wait is lost, the push of data is not."""
        pushing = (0, 3, 4)
        faults = CountedFaults(lambda connect_id: connect_id in pushing, 1)
        struck: list[Fault] = []
        faults.on_strike = struck.append
        faults.add(Fault(FaultKind.DROP_LINE, times=None))
        for connect_id in range(6):
            fault = faults.strike(LINE_KINDS, f'+QIURC: "recv",{connect_id},5')
            assert (fault is None) == (connect_id in pushing)
        assert len(struck) == 3
