"""Decisions: a trace says why things happened, and never what a connection carried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import aiobc9x
from aiobc9x.aio.line.decisions import facts_of
from aiobc9x.core.events import Damaged, Failed, RemoteClosed
from aiobc9x.core.slots import Slot
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.spec import ServiceType
from aiobc9x.trace import Kind, Payloads, Trace, read_trace
from tests.support.bench import ADDRESS, ECHO_PORT, HOST, Bench, echoed
from tests.support.clock import virtual

SLOT = Slot(3, 17, ServiceType.TCP)


def test_facts() -> None:
    """Plain values, sockets by their number, exceptions in words, bytes by their length."""
    assert facts_of(RemoteClosed(SLOT)) == {"socket": 3, "generation": 17}
    broken = Failed(SLOT, aiobc9x.StreamBroken("a hole"))
    assert facts_of(broken)["error"] == "StreamBroken: [Errno 104] a hole"
    assert facts_of(Damaged("torn", b"secret")) == {"reason": "torn", "size_bytes": 6}
    assert facts_of(aiobc9x.LinkDown("gone")) == {"reason": "gone"}


def decisions(path: Path) -> list[tuple[str, dict[str, object]]]:
    """What a trace says of the library's own decisions."""
    return [
        (record.event, dict(record.facts))
        for record in read_trace(path)
        if record.kind is Kind.DECISION
    ]


def files(folder: Path) -> list[Path]:
    """What lies in a folder."""
    return sorted(folder.iterdir())


def traffic(path: Path, kind: Kind) -> bytes:
    """All bytes of one direction."""
    return b"".join(record.content.data for record in read_trace(path) if record.kind is kind)


class TestTracedModems:
    """open_modem(trace=…), on the virtual module."""

    @virtual
    async def test_every_byte(self, tmp_path: Path) -> None:
        """Both directions, with the modem's own clock, and how the connection ended."""
        path = tmp_path / "x"
        async with Bench() as bench:
            modem = await bench.open(trace=path)
            await echoed(modem)
            statistics = modem.statistics
            await modem.aclose()
        assert statistics.trace_losses == 0
        sent, received = traffic(path, Kind.SENT), traffic(path, Kind.RECEIVED)
        assert len(sent) == statistics.bytes_sent
        assert len(received) == statistics.bytes_received
        assert sent.count(bytes(range(256))) == received.count(bytes(range(256))) == 1
        monos = [record.mono for record in read_trace(path)]
        assert monos == sorted(monos)
        assert 1000 <= monos[0] < 2000  # the virtual clock's
        events = [event for event, _ in decisions(path)]
        assert events[0] == "LinkOpened"
        assert [e for e in events if e != "Progress"][1:] == [
            "Opened",
            "ConnectionEnded",
            "ModemEnded",
        ]

    @virtual
    async def test_why_a_connection_ended(self, tmp_path: Path) -> None:
        """The exception that the program got, and the socket."""
        path = tmp_path / "x"
        async with Bench() as bench:
            modem = await bench.open(trace=path)
            reader, _ = await modem.open_connection(HOST, ECHO_PORT)
            bench.virtual.reset()
            with pytest.raises(aiobc9x.ModuleReset):
                await reader.read()
            await modem.aclose()
        ended = dict(decisions(path))["ConnectionEnded"]
        assert (ended["socket"], ended["generation"]) == (0, 1)
        assert str(ended["reason"]).startswith("ModuleReset: ")
        assert "Reset" in dict(decisions(path))

    @virtual
    async def test_links_are_counted(self, tmp_path: Path) -> None:
        """One file goes on when the port is lost and comes back."""
        path = tmp_path / "x"
        async with Bench() as bench:
            modem = await bench.open_lasting(trace=path)
            bench.cut()
            async with modem.subscribe() as events:
                async for event in events:
                    if isinstance(event, aiobc9x.LinkUp):
                        break
            await echoed(modem)
            await modem.aclose()
        records = list(read_trace(path))
        assert {record.link for record in records} == {1, 2}
        assert len({record.header for record in records}) == 1
        told = [e for e, _ in decisions(path) if e.startswith("Link") or e == "Recovering"]
        assert told == ["LinkOpened", "LinkEnded", "LinkDown", "Recovering", "LinkOpened", "LinkUp"]

    @pytest.mark.parametrize("payloads", Payloads)
    def test_no_pin(self, payloads: Payloads, tmp_path: Path) -> None:
        """Not in the command, not in its echo, not in the address."""

        @virtual
        async def run() -> None:
            async with Bench(pin="47110815", chunk=1) as bench:
                modem = await bench.open(trace=Trace(tmp_path / "x", payloads), pin="47110815")
                await modem.command("ATE1")
                await echoed(modem, b"hello")
                with pytest.raises(aiobc9x.CommandError):
                    await modem.command('AT+CPIN="47110815"')
                await modem.aclose()

        run()
        text = (tmp_path / "x").read_text()
        assert "47110815" not in text
        assert "AT+CPIN=..." in text
        assert ("hello" in text) is (payloads is Payloads.WHOLE)

    async def test_no_pin_of_an_address(self, tmp_path: Path) -> None:
        """The parameters of sim:// may hold one."""
        address = f"{ADDRESS}&pin=47110815"
        async with aiobc9x.open_modem(address, trace=tmp_path / "x", reconnect=None):
            pass
        assert "47110815" not in (tmp_path / "x").read_text()

    @virtual
    async def test_a_payload_that_looks_like_a_command(self, tmp_path: Path) -> None:
        """Behind a prompt it is none, whatever it says."""
        path = tmp_path / "x"
        async with Bench() as bench:
            modem = await bench.open(trace=Trace(path, Payloads.LENGTH), send_form="fixed")
            await echoed(modem, b"AT+SECRET\r")
            await modem.aclose()
        assert "SECRET" not in path.read_text()
        (sent,) = (r for r in read_trace(path) if r.kind is Kind.SENT and r.content.is_payload)
        assert (sent.content.size_bytes, sent.content.connect_id) == (10, 0)

    @virtual
    async def test_a_trace_that_cannot_be_written(self, tmp_path: Path) -> None:
        """The modem works on, and counts."""
        async with Bench() as bench:
            modem = await bench.open(trace=tmp_path / "none" / "x")
            await echoed(modem)
            await modem.aclose()
            assert modem.statistics.trace_losses > 20

    @virtual
    async def test_repairs(self, tmp_path: Path) -> None:
        """What was lost, and that it was mended."""
        path = tmp_path / "x"
        async with Bench() as bench:
            modem = await bench.open(trace=path)
            bench.add_fault(Fault(FaultKind.IGNORE, on="AT+CGMM"))
            with pytest.raises(aiobc9x.LinkTimeout):
                await modem.command("AT+CGMM", timeout=1)
            await modem.command("AT+CGMI")
            await modem.aclose()
        events = [event for event, _ in decisions(path)]
        assert events.index("StepLost") < events.index("StepRegained")

    async def test_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A program need not be changed to be traced."""
        monkeypatch.setenv("AIOBC9X_TRACE", str(tmp_path / "x"))
        monkeypatch.setenv("AIOBC9X_TRACE_PAYLOADS", "none")
        async with aiobc9x.open_modem(ADDRESS, reconnect=None):
            pass
        header = json.loads((tmp_path / "x").read_text().partition("\n")[0])
        assert header["payloads"] == "none"
        size = (tmp_path / "x").stat().st_size
        async with aiobc9x.open_modem(ADDRESS, reconnect=None, trace=False):
            pass
        assert (tmp_path / "x").stat().st_size == size

    async def test_a_pool(self, tmp_path: Path) -> None:
        """Each modem has a file of its own."""
        addresses = [f"{ADDRESS}&seed=1", f"{ADDRESS}&seed=2"]
        async with aiobc9x.open_pool(addresses, trace=tmp_path / "x.jsonl", reconnect=None):
            pass
        assert [path.name for path in files(tmp_path)] == ["x-2.jsonl", "x.jsonl"]
