"""The soak: what it takes for a breach, each shown by one, and a run without any."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from aiobc9x.sim.options import SimOptions
from benchmarks import bench_soak, soak_life
from benchmarks.soak_life import Device, Session, Soak
from benchmarks.soak_peers import peers
from benchmarks.soak_record import Record, Tally, WrongBytesError, holdings, settled, where
from benchmarks.soak_work import Operation
from tests.support.loopback import LOOPBACK
from tests.support.realtime import PATIENCE_S

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no ptys")


@pytest.mark.parametrize("name", bench_soak.loop_kinds())
def test_a_short_run_has_no_breach(name: str) -> None:
    """On each loop that there is."""
    command = [sys.executable, "-m", "benchmarks", "soak", "--smoke", "--loop", name]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"# {name}, 2 s" in done.stdout
    assert "all\tnone" in done.stdout
    assert "# breach" not in done.stderr


def test_a_breach_is_the_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And stands in the table."""
    monkeypatch.setattr(bench_soak, "soak_on", lambda *_, **__: ["something broke"])
    with pytest.raises(SystemExit) as caught:
        bench_soak.main(["--loop", "asyncio", "--seconds", "1"])
    assert caught.value.code == 1
    assert "asyncio\tsomething broke" in capsys.readouterr().out


class TestRecord:
    """What is watched."""

    def test_other_bytes_than_were_sent(self) -> None:
        """They are an error of their own, which no fault excuses."""
        tally = Tally()
        tally.check(b"same", b"same")
        with pytest.raises(WrongBytesError):
            tally.check(b"some", b"same")
        assert tally.checked_bytes == 4

    async def test_a_task_and_a_descriptor_left_behind(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both are named."""
        monkeypatch.setattr("benchmarks.soak_record.SETTLE_S", 0.0)
        before = holdings()
        task = asyncio.create_task(asyncio.sleep(10), name="forgotten")
        ends = os.pipe()
        await asyncio.sleep(0)
        left = (await settled(before)).beyond(before)
        task.cancel()
        for end in ends:
            os.close(end)
        assert left[0].startswith("task forgotten: tasks.py:")
        assert [line.split()[0] for line in left[1:]] == ["descriptor", "descriptor"]
        assert "→ pipe:" in left[1]

    async def test_where_a_task_stands(self) -> None:
        """From the outermost line to the innermost."""

        async def inner() -> None:
            await asyncio.sleep(10)

        async def outer() -> None:
            await inner()

        task = asyncio.create_task(outer())
        await asyncio.sleep(0)
        assert [place.split(":")[0] for place in where(task).split(" → ")] == [
            "test_soak.py",
            "test_soak.py",
            "tasks.py",
        ]
        task.cancel()

    async def test_an_exception_that_nobody_retrieves(self) -> None:
        """In the loop, in a destructor, or a warning."""
        record, loop = Record(), asyncio.get_running_loop()

        class Careless:
            def __del__(self) -> None:
                warnings.warn("unclosed", ResourceWarning, stacklevel=1)

        with record.watching(loop):
            loop.call_soon(lambda: 1 / 0)
            await asyncio.sleep(0)
            Careless()
        loop.set_exception_handler(None)
        assert ["ZeroDivisionError" in record.breaches[0], "unclosed" in record.breaches[1]] == [
            True,
            True,
        ]


@asynccontextmanager
async def session(*, is_calm: bool, lasts: bool = False) -> AsyncIterator[Session]:
    """A session with a modem, and nobody at work yet."""
    with TemporaryDirectory() as folder:
        async with (
            peers() as far,
            Device(SimOptions(), Path(folder), over_tcp=False) as device,
        ):
            soak = Soak(Record(), random.Random(1), far)
            made = Session(soak, device, is_calm=is_calm, lasts=lasts)
            await made.open()
            yield made
            await made.modem.aclose()


class TestSession:
    """How an operation's end is judged."""

    @pytest.mark.parametrize(
        ("raised", "breach"),
        [
            (WrongBytesError("other bytes"), "WrongBytesError"),
            (LookupError("a defect"), "a defect"),
            (ConnectionResetError("no reason"), "without a fault"),
        ],
        ids=lambda value: type(value).__name__,
    )
    async def test_an_end_that_must_not_be(self, raised: Exception, breach: str) -> None:
        """Wrong bytes, an exception that is no OSError, and a failure without a fault."""

        async def work(_: Operation) -> None:
            raise raised

        async with session(is_calm=True) as made:
            await made.perform("work", work)
            assert breach in made.record.breaches[0]

    async def test_an_operation_that_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It says where."""

        async def work(_: Operation) -> None:
            await asyncio.Event().wait()

        async with session(is_calm=True) as made:
            monkeypatch.setattr(soak_life, "LIMIT_S", 0.05)
            await made.perform("work", work)
            assert made.record.breaches[0].startswith("work hangs:\n")
            assert "await asyncio.Event().wait()" in made.record.breaches[0]

    async def test_a_fault_excuses_an_end(self) -> None:
        """It is counted."""

        async def work(_: Operation) -> None:
            raise ConnectionResetError("the module restarted")

        async with session(is_calm=False) as made:
            made.reset()
            await made.perform("work", work)
            assert made.record.breaches == []
            assert made.record.tally("work").ended == 1
            assert made.record.faults == {"reset": 1}

    async def test_a_modem_that_does_not_come_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that lasts is back behind each interruption; one that isn't is a breach."""
        async with session(is_calm=False, lasts=True) as made:
            await made.interrupt()
            assert made.record.breaches == []
            assert made.record.faults == {"interruption: device replugged": 1}
            monkeypatch.setattr(soak_life, "LIMIT_S", 0.1)
            monkeypatch.setattr(soak_life, "RESTS_S", (0.0, 0.0))
            await made.interrupt()
            assert made.record.breaches == ["a modem does not come back: TimeoutError()"]

    async def test_a_connect_id_that_stays_open(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is found when the operations are over."""
        monkeypatch.setattr(soak_life, "FREE_S", 0.1)
        async with session(is_calm=True) as made:
            _, writer = await made.modem.open_connection(LOOPBACK, made.peers.echo)
            await made.finish([])
            assert made.record.breaches == ["connect IDs [0] are open at the end"]
            writer.close()
            await writer.wait_closed()
