"""Questions about sockets and settings, and changing the settings while data flow."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

import aiobc9x
from aiobc9x import AccessMode, ServiceType, SocketState, SocketStatus
from aiobc9x.aio.queries.results import ModuleSettings
from aiobc9x.aio.queries.settings import COMMANDS
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.nvram import Nvram
from aiobc9x.spec import DataFormat, ViewMode
from tests.support.bench import ECHO_PORT, HOST, Bench, echoed, trickle
from tests.support.clock import virtual
from tests.support.recorders import DatagramRecorder, StreamRecorder

PUSH = AccessMode.PUSH


class TestSocketStates:
    """AT+QISTATE in its three forms (§2.2.3)."""

    @virtual
    async def test_no_sockets(self) -> None:
        """A bare OK is no row."""
        async with Bench() as bench:
            modem = await bench.open()
            assert await modem.socket_states() == ()
            assert await modem.socket_states(context_id=3) == ()
            assert await modem.socket_states(connect_id=5) == ()

    @virtual
    async def test_six_sockets(self) -> None:
        """Every kind of socket has its row, and each form gives its own."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.create_server(StreamRecorder, 2020)
            await bench.streams(HOST, ECHO_PORT, local_port=1600)
            await bench.streams(HOST, ECHO_PORT, access_mode=PUSH)
            await modem.create_datagram_endpoint(DatagramRecorder, remote_addr=(HOST, 53))
            for _ in range(2):
                bench.network.dial(2020)
            await asyncio.sleep(1)
            rows = await modem.socket_states()
            assert [row.service_type for row in rows] == [
                ServiceType.TCP_LISTENER,
                ServiceType.TCP,
                ServiceType.TCP,
                ServiceType.UDP,
                ServiceType.TCP_INCOMING,
                ServiceType.TCP_INCOMING,
            ]
            assert rows[1] == SocketStatus(
                1, ServiceType.TCP, HOST, ECHO_PORT, 1600, SocketState.CONNECTED, 1,
                AccessMode.BUFFER,
            )  # fmt: skip
            assert rows[2].access_mode is PUSH
            assert await modem.socket_states(context_id=1) == rows
            assert await modem.socket_states(context_id=2) == ()
            assert await modem.socket_states(connect_id=3) == rows[3:4]

    @pytest.mark.parametrize("state", [*SocketState, 9])
    @virtual
    async def test_every_state(self, state: int) -> None:
        """All six states are known; another is given as it came."""
        row = f'+QISTATE: 0,"TCP incoming","{HOST}",7,0,{int(state)},1,0'
        async with Bench() as bench:
            modem = await bench.open(state_interval=0)
            await bench.streams(HOST, ECHO_PORT)
            bench.add_fault(Fault(FaultKind.REPLACE_LINE, on="+QISTATE", data=row.encode()))
            (found,) = await modem.socket_states()
            assert found.socket_state == state
            assert found.service_type is ServiceType.TCP_INCOMING

    @virtual
    async def test_arguments(self) -> None:
        """Both at once, or out of range, are a ValueError; nothing is sent (C1)."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.dialogue.clear()
            with pytest.raises(ValueError, match="both"):
                await modem.socket_states(context_id=1, connect_id=1)
            for wrong in ({"context_id": 0}, {"context_id": 4}, {"connect_id": 6}):
                with pytest.raises(ValueError, match=r"^con(text|nect)_id must be an integer"):
                    await modem.socket_states(**wrong)
            assert bench.commands == []


class TestDnsServers:
    """AT+QIDNSCFG (§2.2.13)."""

    @virtual
    async def test_one_and_two(self) -> None:
        """The secondary may be left out."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            await modem.set_dns_servers("8.8.8.8", "9.9.9.9")
            assert await modem.dns_servers() == ("8.8.8.8", "9.9.9.9")
            await modem.set_dns_servers("2001:db8::1")
            assert 'AT+QIDNSCFG="2001:db8::1"' in bench.commands
            assert (await modem.dns_servers())[0] == "2001:db8::1"

    @pytest.mark.parametrize(
        ("line", "servers"),
        [
            ("+QIDNSCFG: 8.8.8.8,9.9.9.9", ("8.8.8.8", "9.9.9.9")),
            ('+QIDNSCFG: "8.8.8.8"', ("8.8.8.8", None)),
            ('+QIDNSCFG: "8.8.8.8",""', ("8.8.8.8", None)),
            ('+QIDNSCFG: "",""', ("", None)),
        ],
    )
    @virtual
    async def test_shapes(self, line: str, servers: tuple[str, str | None]) -> None:
        """Quotes are optional, and so is the second address."""
        fault = Fault(FaultKind.REPLACE_LINE, on="+QIDNSCFG", data=line.encode())
        async with Bench(fault) as bench:
            modem = await bench.open()
            assert await modem.dns_servers() == servers

    @virtual
    async def test_a_restart_forgets_them(self) -> None:
        """They are set again as soon as the module is registered; those that it refused are not."""
        async with Bench(register_time=10) as bench:
            modem = await bench.open_lasting()
            await modem.wait_ready()
            await modem.set_dns_servers("8.8.8.8", "9.9.9.9")
            bench.add_fault(Fault(FaultKind.ERROR, on="AT+QIDNSCFG="))
            with pytest.raises(aiobc9x.CommandError):
                await modem.set_dns_servers("1.1.1.1")
            await modem.command("AT+QRST=1")
            await asyncio.sleep(5)
            await modem.available(60)
            assert await modem.dns_servers() == ("8.8.8.8", "9.9.9.9")
            bench.cut()
            await asyncio.sleep(5)
            await modem.available(60)
            assert await modem.dns_servers() == ("8.8.8.8", "9.9.9.9")

    @virtual
    async def test_before_registration(self) -> None:
        """The module refuses until it is registered, with the code that it gives."""
        async with Bench(register_time=60) as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.CommandError) as caught:
                await modem.set_dns_servers("8.8.8.8")
            assert caught.value.err is not None
            await modem.wait_ready()
            await modem.set_dns_servers("8.8.8.8")

    @pytest.mark.parametrize("wrong", ["", "dns.example", "8.8.8", '8.8.8.8"', "1" * 51])
    @virtual
    async def test_only_addresses(self, wrong: str) -> None:
        """Anything else is a ValueError; nothing is sent."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.dialogue.clear()
            with pytest.raises(ValueError, match="primary"):
                await modem.set_dns_servers(wrong)
            with pytest.raises(ValueError, match="secondary"):
                await modem.set_dns_servers("8.8.8.8", wrong)
            assert bench.commands == []


class TestLastError:
    """AT+QIGETERROR (§2.2.12)."""

    @virtual
    async def test_example(self) -> None:
        """§4.6: an AT+QIOPEN without a service type leaves 552 behind."""
        async with Bench() as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.CommandError) as caught:
                await modem.command('AT+QIOPEN=1,"UDP","220.18.39.22",8063,0,1')
            assert caught.value.err == 552
            assert await modem.last_error() == (552, "invalid parameters")
            await modem.socket_states()
            assert (await modem.last_error())[0] == 0


class TestSettings:
    """AT+QICFG (§2.2.11)."""

    @virtual
    async def test_all_four(self) -> None:
        """After the start they are ours."""
        async with Bench() as bench:
            modem = await bench.open(receive_hex=True, open_time=20)
            assert await modem.settings() == ModuleSettings(
                DataFormat.TEXT, DataFormat.HEX, ViewMode.CRLF, True, 20
            )

    @virtual
    async def test_missing_or_unlisted(self) -> None:
        """What the module doesn't tell, or the note doesn't list, is ``None``."""
        async with Bench() as bench:
            modem = await bench.open()
            for fault in (
                Fault(FaultKind.ERROR, on='AT+QICFG="dataformat"'),
                Fault(
                    FaultKind.REPLACE_LINE, on='+QICFG: "viewmode"', data=b'+QICFG: "viewmode",7'
                ),
                Fault(FaultKind.REPLACE_LINE, on='+QICFG: "open', data=b'+QICFG: "open_time",x'),
                Fault(FaultKind.DROP_LINE, on='+QICFG: "showlength"'),
            ):
                bench.add_fault(fault)
            assert await modem.settings() == ModuleSettings(None, None, None, None, None)

    @virtual
    async def test_changes(self) -> None:
        """Each is written alone; those in flash memory are counted."""
        nvram = Nvram()
        async with Bench(nvram=nvram) as bench:
            modem = await bench.open()
            before = modem.statistics.nvram_writes
            bench.dialogue.clear()
            await modem.configure()
            assert bench.commands == []
            await modem.configure(receive_hex=True)
            await modem.configure(view_mode=ViewMode.COMMA)
            await modem.configure(show_length=False)
            await modem.configure(open_time=7)
            assert bench.commands == [
                'AT+QICFG="dataformat",0,1',
                'AT+QICFG="viewmode",1',
                'AT+QICFG="showlength",0',
                'AT+QICFG="open_time",7',
            ]
            assert modem.statistics.nvram_writes - before == 3
            assert (nvram.receive_format, nvram.view_mode, nvram.show_length) == (1, 1, 0)
            assert (await modem.settings()).open_time == 7

    @virtual
    async def test_while_data_flow(self) -> None:
        """A stream doesn't notice any of it."""
        data = b'\r\n+QIRD: 9,9\r\nOK\r\n"' * 3000
        async with Bench(baud=115200) as bench:
            modem = await bench.open()
            _, protocol = await modem.create_connection(StreamRecorder, HOST, ECHO_PORT)
            talking = asyncio.create_task(trickle(bench.peer, data, 900, 0.1))
            for turn in range(16):
                await asyncio.sleep(0.3)
                bits = [bool(turn >> bit & 1) for bit in range(3)]
                await modem.configure(
                    receive_hex=bits[0], view_mode=ViewMode(bits[1]), show_length=bits[2]
                )
            await talking
            assert await protocol.until(len(data)) == data
            assert modem.statistics.damages == 0

    @virtual
    async def test_lengths_that_are_needed(self) -> None:
        """They can't be hidden from push mode and UDP."""
        async with Bench() as bench:
            modem = await bench.open()
            transport, _ = await modem.create_connection(
                StreamRecorder, HOST, ECHO_PORT, access_mode=PUSH
            )
            with pytest.raises(ValueError, match="push"):
                await modem.configure(show_length=False, open_time=5)
            with pytest.raises(ValueError, match="push"):
                await modem.command('AT+QICFG="showlength",0')
            await modem.set_access_mode(transport, AccessMode.BUFFER)
            endpoint, protocol = await modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(HOST, 53)
            )
            with pytest.raises(ValueError, match="UDP"):
                await modem.configure(show_length=False)
            endpoint.close()
            await protocol.lost
            await modem.command('AT+QICFG="showlength",0')
            assert (await modem.settings()).open_time == 36
            assert not (await modem.settings()).show_length
            for switch in (
                lambda: modem.set_access_mode(transport, PUSH),
                lambda: modem.command("AT+QISWTMD=0,1"),
                lambda: modem.command(f'AT+QIOPEN=1,5,"TCP","{HOST}",7,0,1,0'),
            ):
                call: Any = switch()
                with pytest.raises(ValueError, match="push mode needs"):
                    await call

    @pytest.mark.parametrize("open_time", [0, 37, -1])
    @virtual
    async def test_open_time_range(self, open_time: int) -> None:
        """1–36 seconds; nothing is sent otherwise."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.dialogue.clear()
            with pytest.raises(ValueError, match="1-36"):
                await modem.configure(open_time=open_time, receive_hex=True)
            assert bench.commands == []

    @virtual
    async def test_open_time_counts(self) -> None:
        """The next open waits as long as configured."""
        async with Bench(timeout_err=566) as bench:
            modem = await bench.open()
            await modem.configure(open_time=3)
            await modem.wait_ready()
            began = asyncio.get_running_loop().time()
            with pytest.raises(aiobc9x.ConnectTimedOut):
                await modem.open_connection("192.0.2.1", 80)
            assert 3 <= asyncio.get_running_loop().time() - began < 4

    @virtual
    async def test_restart_brings_back_what_was_configured(self) -> None:
        """Here and on the module alike, or opens would wait for different times."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.configure(open_time=3, receive_hex=True)
            bench.virtual.reset()
            await asyncio.sleep(5)
            found = await modem.settings()
            assert (found.open_time, found.recv_data_format) == (3, DataFormat.HEX)
            with pytest.raises(aiobc9x.ConnectTimedOut) as caught:
                await modem.open_connection("192.0.2.1", 80)
            assert caught.value.err == 569
            await echoed(modem)

    @virtual
    async def test_refusal(self) -> None:
        """A module that refuses one leaves the others as they are."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.add_fault(Fault(FaultKind.ERROR, on='AT+QICFG="open_time"'))
            with pytest.raises(aiobc9x.CommandError):
                await modem.configure(open_time=9)
            assert (await modem.settings()).open_time == 36


class TestCapabilities:
    """The test form of every command (§2.1.2)."""

    @virtual
    async def test_all_thirteen(self) -> None:
        """Each command has an entry; those that answer a bare OK have no line."""
        async with Bench() as bench:
            modem = await bench.open()
            known = await modem.capabilities()
            assert tuple(known) == COMMANDS
            assert len(COMMANDS) == 13
            for name in COMMANDS:
                assert f"AT+{name}=?" in bench.commands
                silent = name in {"QISTATE", "QIGETERROR"}
                assert known[name] == () if silent else known[name]
            options = known["QICFG"]
            assert options is not None
            assert len(options) == 4
            assert re.search(r"\(1-36\)", options[3])

    @virtual
    async def test_command_that_is_missing(self) -> None:
        """``None`` tells it from one without ranges; it costs no AT+QIGETERROR."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.add_fault(Fault(FaultKind.ERROR, on="AT+QISENDEX=?"))
            bench.dialogue.clear()
            known = await modem.capabilities()
            assert known["QISENDEX"] is None
            assert known["QISEND"] is not None
            assert "AT+QIGETERROR" not in bench.commands
