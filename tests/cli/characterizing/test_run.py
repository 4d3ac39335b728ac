"""Each habit that the virtual module can have is found, and nothing is left behind."""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest

import aiobc9x
from aiobc9x.cli.characterizing.assumptions import (
    Assumption,
    Measured,
    findings,
    profile_of,
)
from aiobc9x.cli.characterizing.echoing import Peer
from aiobc9x.cli.characterizing.run import characterize
from aiobc9x.cli.opening import Port
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.sim.memory import MemoryNetwork
from aiobc9x.sim.memory import Peer as MemoryPeer
from aiobc9x.sim.options import Host, SimOptions
from aiobc9x.sim.peers import HOST, ModemPeer
from aiobc9x.sim.virtual_modem import VirtualModem
from tests.support.clock import run

OPTIONS = SimOptions(
    hosts={HOST: Host(("127.0.0.1",))}, latency=0.01, send_time=0.05, network_latency=0.2
)
"""A module with delays as a real one has them, so that there is something to measure."""


def port_of(module: VirtualModem) -> Port:
    """The port at which a virtual module is."""
    # Any: an address is a string on the command line, while here a callable opens the line.
    address: Any = module.create
    return Port(address, {"baudrate": 115200, "pin": None, "trace": None})


async def _measured(options: SimOptions, faults: tuple[str, ...], folder: Path) -> Measured:
    async with VirtualModem(options, MemoryNetwork(options)) as module:
        for fault in faults:
            module.add_fault(fault)
        peer = ModemPeer(module, folder)
        found = await characterize(
            port_of(module), Peer(peer.host, await peer.echo()), lambda _: None
        )
        assert module.open_ids == []
        nvram = module.virtual.module.nvram
        assert (nvram.show_length, nvram.view_mode) == (0, 0), "settings are not as before"
        await peer.aclose()
    return found


def measured(folder: Path, *faults: str, **habits: Any) -> Measured:  # Any: of any option
    """What is found out of a module with these habits."""
    return run(_measured(dataclasses.replace(OPTIONS, **habits), faults, folder))


def verdict(found: Measured, number: str) -> list[Assumption]:
    """What is said of one assumption."""
    return [each for each in findings(found) if each.number == number]


def told(found: Measured, number: str) -> tuple[str, str]:
    """The same, of one that is told once."""
    (finding,) = verdict(found, number)
    return finding.verdict, finding.text


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """What is found out of a module as the virtual one is."""
    return measured(tmp_path_factory.mktemp("ordinary"))


class TestOrdinary:
    """A module as the note has it."""

    def test_everything_is_measured(self, ordinary: Measured) -> None:
        """Nothing has failed, and each part is there."""
        assert ordinary.errors == {}
        parts = dataclasses.asdict(ordinary)
        assert [name for name, value in parts.items() if value is None] == ["unread"]
        assert ordinary.module[:2] == ("Quectel", "BC65")

    def test_its_profile(self, ordinary: Measured) -> None:
        """The defaults, but for what it does better."""
        expected = ModuleProfile(on_buffer_full="continue", suspect_after_send=False)
        assert profile_of(ordinary) == expected

    def test_each_assumption_is_one_line(self, ordinary: Measured) -> None:
        """With a verdict; what an echo peer can't show is left open."""
        lines = findings(ordinary)
        assert {line.verdict for line in lines} == {"confirmed", "broken", "open"}
        assert [line.number for line in lines if line.verdict == "open"] == [
            "F26",
            "F21",
            "F34",
            "F49",
            "N9",
        ]
        assert max(len(line.text) for line in lines) <= 61
        assert not any("\n" in line.text for line in lines)

    def test_nothing_measured_is_all_open(self) -> None:
        """A figure that is missing is no figure."""
        assert {line.verdict for line in findings(Measured())} == {"open"}
        assert profile_of(Measured()) == ModuleProfile()


class TestCommands:
    """Times, gaps, settings."""

    @pytest.mark.parametrize("latency", [0.02, 0.35])
    def test_latency(self, tmp_path: Path, latency: float) -> None:
        """From the command to its answer, against the note's 300 ms (N4)."""
        found = measured(tmp_path, latency=latency)
        assert found.latency is not None
        assert found.latency.median_ms == pytest.approx(1000 * latency, abs=1)
        assert told(found, "N4")[0] == ("confirmed" if latency < 0.3 else "broken")

    @pytest.mark.parametrize("baud", [9600, 57600])
    def test_rate_of_the_line(self, tmp_path: Path, baud: int) -> None:
        """Whatever speed was told (F30)."""
        found = measured(tmp_path, baud=baud)
        assert found.line_rate is not None
        assert found.line_rate.bytes_per_s == pytest.approx(baud / 10, rel=0.1)
        assert told(found, "F30")[0] == "broken"

    @pytest.mark.parametrize(("deaf_s", "gap_ms"), [(0.003, 5), (0.015, 20)])
    def test_gap_between_commands(self, tmp_path: Path, deaf_s: float, gap_ms: int) -> None:
        """The shortest of a few that is enough (F31)."""
        found = measured(tmp_path, deaf_time=deaf_s)
        assert profile_of(found).command_gap_ms == gap_ms
        assert told(found, "F31") == (
            "broken",
            f"commands get lost unless {gap_ms} ms lie between",
        )

    def test_settings_that_get_lost(self, tmp_path: Path) -> None:
        """As the module tells them when it is asked (F44)."""
        fault = 'replace-line;on=+QICFG: "viewmode",1;after=1;data=+QICFG: "viewmode",0'
        assert told(measured(tmp_path, fault), "F44")[0] == "confirmed"


class TestSends:
    """Forms, lengths, prompts, results."""

    def test_short_lines(self, tmp_path: Path) -> None:
        """The longest payload to the byte, and the profile says so (F29)."""
        found = measured(tmp_path, line_limit=400)
        inline = 400 - len('AT+QISEND=0,373,""')
        in_hex = (400 - len('AT+QISENDEX=0,190,""')) // 2
        made = profile_of(found)
        assert (made.inline_limit_bytes, made.hex_inline_limit_bytes) == (inline, in_hex)
        assert [each.verdict for each in verdict(found, "F29")] == ["broken", "broken", "confirmed"]

    def test_a_form_that_is_missing(self, tmp_path: Path) -> None:
        """Its limit is 0, and the others are measured."""
        found = measured(tmp_path, "error;on=AT+QISENDEX;times=all")
        made = profile_of(found)
        assert (made.inline_limit_bytes, made.hex_inline_limit_bytes) == (1440, 0)
        assert found.errors == {}

    @pytest.mark.parametrize(
        ("prompt", "shown"), [("space", r"\r\n> "), ("bare", r"\r\n>"), ("crlf", r"\r\n>\r\n")]
    )
    def test_prompt(self, tmp_path: Path, prompt: str, shown: str) -> None:
        """As it is printed (F12)."""
        assert told(measured(tmp_path, prompt=prompt), "F12") == (
            "confirmed",
            f"the prompt is '{shown}'",
        )

    @pytest.mark.parametrize(
        ("pending", "verdict"), [("module", "confirmed"), ("socket", "broken")]
    )
    def test_sends_that_overlap(self, tmp_path: Path, pending: str, verdict: str) -> None:
        """One in all, or one for each socket (§4.1.2)."""
        found = measured(tmp_path, pending=pending)
        assert found.outstanding is not None
        assert found.outstanding.allowed == ("none" if pending == "module" else "socket")
        assert told(found, "§4.1.2")[0] == verdict


class TestReceived:
    """Announcements, pushes, buffers."""

    @pytest.mark.parametrize(
        ("rearm", "verdict"), [("empty_read", "confirmed"), ("drained", "broken")]
    )
    def test_when_recv_comes_again(self, tmp_path: Path, rearm: str, verdict: str) -> None:
        """Once a read has found nothing, or at once when all is read (N28)."""
        found = measured(tmp_path, rearm=rearm)
        assert found.announcements is not None
        assert found.announcements.again == rearm
        assert told(found, "N28")[0] == verdict

    def test_recv_that_a_send_swallows(self, tmp_path: Path) -> None:
        """The profile then has sockets read behind such sends (F14)."""
        found = measured(tmp_path, "swallow-recv;times=all")
        assert profile_of(found).suspect_after_send
        assert told(found, "F14")[0] == "confirmed"

    @pytest.mark.parametrize("push_end", [True, False])
    def test_own_line_end_of_pushes(self, tmp_path: Path, push_end: bool) -> None:
        """With a CRLF, or without (F19)."""
        found = measured(tmp_path, push_end=push_end)
        assert found.pushes is not None
        assert found.pushes.own_line_end is push_end
        some = "a CRLF" if push_end else "no CRLF"
        assert told(found, "F19")[1] == f"prints {some} of its own behind pushed data"

    @pytest.mark.parametrize(("glued", "verdict"), [(True, "confirmed"), (False, "broken")])
    def test_pushes_without_a_length(self, tmp_path: Path, glued: bool, verdict: str) -> None:
        """What stands where the length would be (N19)."""
        assert told(measured(tmp_path, glued_push=glued), "N19")[0] == verdict

    def test_buffer_that_loses(self, tmp_path: Path) -> None:
        """Such a module must end its connections (F20)."""
        found = measured(tmp_path, "drop-on-full;times=all")
        assert found.overflow is not None
        assert found.overflow.lost_bytes > 0
        assert profile_of(found).on_buffer_full == "fail"
        assert told(found, "N27")[0] == "confirmed"

    @pytest.mark.parametrize("size", [3000, 12000])
    def test_buffer_that_throttles(self, tmp_path: Path, size: int) -> None:
        """With the size of the buffer, in blocks of 1024 bytes."""
        found = measured(tmp_path, buffer_bytes=size)
        assert found.overflow is not None
        assert found.overflow.full_at_bytes == pytest.approx(size, abs=2048)
        assert profile_of(found).on_buffer_full == "continue"

    @pytest.mark.parametrize(
        ("fault", "verdict", "fate"),
        [
            ("send-fail", "confirmed", "nothing of it had gone out"),
            ("send-fail-part;count=100", "broken", "bytes of it had gone out"),
            ("send-fail-part;count=512", "broken", "bytes of it had gone out"),
        ],
    )
    @pytest.mark.parametrize("times", [1, 3])
    def test_what_send_fail_means(
        self, tmp_path: Path, fault: str, verdict: str, fate: str, times: int
    ) -> None:
        """The text that comes back shows whether a failed send had begun (F26)."""

        async def failing() -> Measured:
            async with VirtualModem(OPTIONS, MemoryNetwork(OPTIONS)) as module:
                peer = ModemPeer(module, tmp_path)

                def begin(step: str) -> None:
                    if step == "overflow":
                        module.add_fault(f"{fault};on=AT+QISEND;after=3;times={times}")

                target = Peer(peer.host, await peer.echo())
                found = await characterize(port_of(module), target, begin)
                await peer.aclose()
            return found

        found = run(failing())
        often = "once" if times == 1 else "3 times"
        assert told(found, "F26") == (verdict, f"SEND FAIL came {often}, and {fate}")
        assert profile_of(found).send_fail_is_atomic is (verdict == "confirmed")
        # It is full all the same, and nothing has been lost.
        assert profile_of(found).on_buffer_full == "continue"

    def test_buffer_that_is_never_full(self, tmp_path: Path) -> None:
        """Nothing is known then, and the safe choice stays."""
        found = measured(tmp_path, buffer_bytes=100_000)
        assert told(found, "N27")[0] == "open"
        assert profile_of(found).on_buffer_full == "fail"


class TestUnread:
    """What a web server has sent before it closed (F21)."""

    @pytest.mark.parametrize(
        ("unread", "answers", "closes", "verdict", "keeps"),
        [
            ("kept", True, True, "confirmed", True),
            ("freed", True, True, "broken", False),
            ("kept", False, True, "open", True),
            ("kept", True, False, "open", True),
        ],
    )
    def test_it(
        self, tmp_path: Path, unread: Any, answers: bool, closes: bool, verdict: str, keeps: bool
    ) -> None:
        """Read when the server has closed."""
        options = dataclasses.replace(OPTIONS, unread=unread)

        def serve(client: MemoryPeer) -> None:
            def answer(data: bytes) -> None:
                assert data.startswith(b"GET / HTTP/1.0\r\n")
                if answers:
                    client.send(b"HTTP/1.0 200 OK\r\n\r\nhello")
                if closes:
                    client.close()

            client.answer_with(answer)

        async def found() -> Measured:
            network = MemoryNetwork(options)
            network.serve_tcp(80, serve)
            async with VirtualModem(options, network) as module:
                peer = ModemPeer(module, tmp_path)
                target, web = Peer(peer.host, await peer.echo()), Peer(peer.host, 80)
                seen = await characterize(port_of(module), target, lambda _: None, web)
                assert module.open_ids == []
                await peer.aclose()
            return seen

        seen = run(found())
        assert seen.errors == {}
        assert told(seen, "F21")[0] == verdict
        assert profile_of(seen).keeps_unread is keeps


class TestSockets:
    """Opens and closes."""

    @pytest.mark.parametrize(("close_s", "verdict"), [(0.5, "confirmed"), (11.0, "broken")])
    def test_close_times(self, tmp_path: Path, close_s: float, verdict: str) -> None:
        """Of all closes of the other measurements, against the note's 10 s (N6)."""
        found = measured(tmp_path, close_time=close_s)
        assert found.closes is not None
        assert found.closes.median_ms == pytest.approx(1000 * close_s, abs=1)
        assert told(found, "N6")[0] == verdict

    def test_close_ok_that_never_comes(self, tmp_path: Path) -> None:
        """It is counted (F39)."""
        found = measured(tmp_path, "drop-line;on=CLOSE OK;times=2")
        assert found.closes is not None
        assert found.closes.missing == 2

    def test_one_open_at_a_time(self, tmp_path: Path) -> None:
        """The others are refused (F38)."""
        faults = [f"error;on=AT+QIOPEN=1,{number};times=all" for number in (3, 4, 5)]
        found = measured(tmp_path, *faults)
        assert profile_of(found).concurrent_opens == 1
        assert told(found, "F38") == ("broken", "3 of 6 opens at once have connected")


def test_all_of_it_can_be_recorded_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As the dialogue of a modem: with payloads in the trace, and without in the log."""

    async def recorded() -> None:
        async with VirtualModem(OPTIONS, MemoryNetwork(OPTIONS)) as module:
            peer, port = ModemPeer(module, tmp_path), port_of(module)
            port.settings["trace"] = tmp_path / "trace"
            target = Peer(peer.host, await peer.echo())
            await characterize(port, target, lambda _: None)
            await peer.aclose()

    with caplog.at_level("DEBUG", "aiobc9x"):
        run(recorded())
    sent = [r.getMessage() for r in caplog.records if r.name == "aiobc9x.wire"]
    assert "> AT+QIRD=0,1024" in sent
    assert "> (1440 bytes)" in sent
    assert not any("0000001." in line for line in sent)
    trace = (tmp_path / "trace").read_text()
    assert "AT+QIRD=0,1024" in trace
    assert "0000001." in trace


class TestTrouble:
    """What goes wrong in the middle."""

    @pytest.mark.parametrize(
        "step", ["network", "send forms", "outstanding", "pushes", "overflow", "opens"]
    )
    @pytest.mark.parametrize("later_s", [0.0, 0.105, 0.23])
    def test_a_cancelled_one_leaves_the_module_clean(
        self, tmp_path: Path, step: str, later_s: float
    ) -> None:
        """No socket, no send half done, and the settings of before."""

        async def cancelled() -> None:
            async with VirtualModem(OPTIONS, MemoryNetwork(OPTIONS)) as module:
                peer, steps = ModemPeer(module, tmp_path), asyncio.Queue[str]()
                target = Peer(peer.host, await peer.echo())
                task = asyncio.create_task(characterize(port_of(module), target, steps.put_nowait))
                while await steps.get() != step:
                    pass
                await asyncio.sleep(later_s)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert module.open_ids == []
                nvram = module.virtual.module.nvram
                assert (nvram.show_length, nvram.view_mode) == (0, 0)
                async with aiobc9x.open_modem(module.create) as modem:
                    await modem.command("AT")
                await peer.aclose()

        run(cancelled())

    def test_a_module_that_is_lost(self, tmp_path: Path) -> None:
        """The reason is told; it can't be tidied up."""

        async def lost() -> None:
            async with VirtualModem(OPTIONS, MemoryNetwork(OPTIONS)) as module:
                peer = ModemPeer(module, tmp_path)
                target = Peer(peer.host, await peer.echo())

                def pull_out(step: str) -> None:
                    if step == "overflow":
                        module.unplug()

                with pytest.raises(aiobc9x.LinkLost):
                    await characterize(port_of(module), target, pull_out)
                await peer.aclose()

        run(lost())

    def test_a_module_that_restarts(self, tmp_path: Path) -> None:
        """Figures of two lives are none; the settings are put back all the same."""

        async def restarted() -> None:
            async with VirtualModem(OPTIONS, MemoryNetwork(OPTIONS)) as module:
                peer = ModemPeer(module, tmp_path)
                target = Peer(peer.host, await peer.echo())
                module.add_fault("reset;on=AT+QIRD;after=10")
                with pytest.raises(aiobc9x.ModuleReset, match=r"RDY.* while it was measured"):
                    await characterize(port_of(module), target, lambda _: None)
                assert module.virtual.module.nvram.show_length == 0
                await peer.aclose()

        run(restarted())

    @pytest.mark.parametrize(
        "fault",
        [
            "send-fail;after=4",
            "drop-line;on=SEND OK;after=4",
            "ignore;on=AT+QISEND=0,1440,",
            "drop-line;on=>;after=2",
        ],
    )
    def test_one_failure_is_no_limit(self, tmp_path: Path, fault: str) -> None:
        """A length counts as refused if it is refused twice."""
        found = measured(tmp_path, fault)
        assert {each.verdict for each in verdict(found, "F29")} == {"confirmed"}

    def test_a_peer_that_is_not_there(self, tmp_path: Path) -> None:
        """Host and port are told, and no socket is left."""

        async def nobody() -> None:
            async with VirtualModem(OPTIONS, MemoryNetwork(OPTIONS)) as module:
                with pytest.raises(aiobc9x.ConnectFailed, match=f"{HOST}:7"):
                    await characterize(port_of(module), Peer(HOST, 7), lambda _: None)
                assert module.open_ids == []

        run(nobody())


def test_a_modem_works_by_what_was_written(tmp_path: Path) -> None:
    """From the measurement to a connection, on a module with short lines and a gap."""
    options = dataclasses.replace(OPTIONS, line_limit=200, deaf_time=0.004)

    async def whole() -> None:
        async with VirtualModem(options, MemoryNetwork(options)) as module:
            peer = ModemPeer(module, tmp_path)
            port = await peer.echo()
            found = await characterize(port_of(module), Peer(peer.host, port), lambda _: None)
            profile_of(found).save(tmp_path / "module.json")
            profile = ModuleProfile.load(tmp_path / "module.json")
            assert (profile.command_gap_ms, profile.inline_limit_bytes < 200) == (5, True)
            async with aiobc9x.open_modem(module.create, profile=profile) as modem:
                errors = module.virtual.statistics.errors
                reader, writer = await modem.open_connection(peer.host, port)
                writer.write(b"text of the alphabet " * 40)
                assert await reader.readexactly(840) == b"text of the alphabet " * 40
                writer.close()
                await writer.wait_closed()
                assert module.virtual.statistics.errors == errors, "nothing was refused"
            await peer.aclose()

    run(whole())
