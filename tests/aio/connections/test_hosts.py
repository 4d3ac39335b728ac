"""Names, the addresses behind them, and the family of the module's context."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import pytest

import aiobc9x
from aiobc9x.aio.connections.hosts import pick_address
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.options import Host
from aiobc9x.spec import ProtocolType
from tests.support.bench import ECHO_PORT, HOST, PORT, Bench
from tests.support.clock import running, virtual
from tests.support.recorders import DatagramRecorder, StreamRecorder

SHORT, LONG = "server.example", "x" * 44 + ".example"
"""A name that AT+QIOPEN takes, and one of 52 bytes."""

SILENT, OTHER = "192.0.2.9", "220.18.39.23"
"""An address that never answers, and one that does."""

SIX, OWN_SIX = "2001:db8::7", "2001:db8::10"
BOTH = f"10.20.30.40,{OWN_SIX}"
"""A context with two addresses, as firmware prints them that has one string for both."""


def opened(bench: Bench) -> list[tuple[str, str]]:
    """The hosts of all AT+QIOPEN, each with its family."""
    lines = [line.split(",") for line in bench.commands if line.startswith("AT+QIOPEN")]
    return [(fields[3].strip('"'), fields[7]) for fields in lines]


def refusals(code: int = 566, ids: range = range(6), times: int = 1) -> list[Fault]:
    """The next opens on some IDs fail."""
    return [
        Fault(
            FaultKind.REPLACE_LINE,
            on=f"+QIOPEN: {i}",
            data=b"+QIOPEN: %d,%d" % (i, code),
            times=times,
        )
        for i in ids
    ]


async def connect(bench: Bench, host: str = SHORT, **options: Any) -> str:
    """Connect, show that bytes go both ways, and return the peer's address."""
    modem = await bench.modem()
    reader, writer = await modem.open_connection(host, ECHO_PORT, **options)
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"
    writer.close()
    address: str = writer.get_extra_info("peername")[0]
    return address


class TestLongNames:
    """AT+QIOPEN takes 50 bytes (§2.2.1), AT+QIDNSGIP any number (§2.2.10)."""

    @virtual
    async def test_every_call_resolves_them_first(self) -> None:
        """Streams, protocols and datagrams."""
        async with Bench(hosts={LONG: Host((HOST,))}) as bench:
            bench.network.serve_udp(PORT)
            assert await connect(bench, LONG) == HOST
            modem = await bench.modem()
            transport, _ = await modem.create_connection(StreamRecorder, LONG.encode(), PORT)
            assert transport.get_extra_info("peername") == (HOST, PORT)
            datagrams, _ = await modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(LONG, PORT)
            )
            datagrams.sendto(b"x", (LONG, PORT))
            await asyncio.sleep(1)
            assert bench.peer.datagrams == [b"x"]
            assert opened(bench) == [(HOST, "0")] * 3
            assert sum("QIDNSGIP" in line for line in bench.commands) == 1

    @virtual
    async def test_names_in_other_scripts_count_as_they_are_sent(self) -> None:
        """Few letters may be more than 50 bytes in IDNA."""
        name = "ünterschied.über.ländergrenzen.example"
        assert len(name.encode("idna")) > 50
        async with Bench(hosts={name.encode("idna").decode(): Host((HOST,))}) as bench:
            assert await connect(bench, name) == HOST

    @virtual
    async def test_tls_expects_the_certificate_of_the_name(self) -> None:
        """Not of the address that it is connected to."""

        seen: list[object] = []

        class Spy(ssl.SSLContext):
            """Notes whose certificate is expected."""

            def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
                seen.append(options.get("server_hostname"))
                return super().wrap_bio(*args, **options)

        async with Bench(hosts={LONG: Host((HOST,))}) as bench:
            modem = await bench.open()
            context = Spy(ssl.PROTOCOL_TLS_CLIENT)
            with pytest.raises(OSError):
                await modem.open_connection(LONG, ECHO_PORT, ssl=context)
            assert seen == [LONG]

    @virtual
    async def test_a_name_that_is_not_there(self) -> None:
        """NameNotFound, with the target that was asked for; no open is tried."""
        async with Bench() as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.NameNotFound) as caught:
                await modem.open_connection(LONG, 80)
            assert caught.value.target == (LONG, 80)
            assert opened(bench) == []

    @virtual
    async def test_no_address_of_the_family_asked_for(self) -> None:
        """The same: the caller's family wins."""
        async with Bench(hosts={LONG: Host((HOST,))}) as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.NameNotFound):
                await modem.open_connection(LONG, 80, family=socket.AF_INET6)
            assert opened(bench) == []


class TestInTurn:
    """All addresses of a name are tried."""

    @virtual
    async def test_the_module_tries_one_of_a_short_name(self) -> None:
        """The others are resolved and tried when that one doesn't answer."""
        async with Bench(hosts={SHORT: Host((SILENT, OTHER))}) as bench:
            assert await connect(bench) == OTHER
            assert opened(bench) == [(SHORT, "0"), (OTHER, "0")]
            await asyncio.sleep(1)
            assert bench.open_ids == []

    @pytest.mark.parametrize("code", [566, 569, 567, 558])
    @virtual
    async def test_what_another_address_may_help_against(self, code: int) -> None:
        """It was refused, or broke at once."""
        async with Bench(*refusals(code, range(1)), hosts={SHORT: Host((HOST, OTHER))}) as bench:
            assert await connect(bench) == OTHER

    @pytest.mark.parametrize("code", [561, 570, 573, 574, 553, 564, 565])
    @virtual
    async def test_what_no_other_address_helps_against(self, code: int) -> None:
        """The network, a local port, a name: it fails at once, and nothing is resolved."""
        async with Bench(
            *refusals(code, times=9), hosts={SHORT: Host((HOST, OTHER))}, failed_open="free"
        ) as bench:
            with pytest.raises(aiobc9x.ConnectFailed) as caught:
                await connect(bench)
            assert caught.value.err == code
            assert not any("QIDNSGIP" in line for line in bench.commands)

    @virtual
    async def test_firmware_that_takes_no_names(self) -> None:
        """A plain ERROR to AT+QIOPEN with a name: its one address is tried too."""
        fault = Fault(FaultKind.ERROR, on='AT+QIOPEN=1,0,"TCP","server')
        async with Bench(fault, hosts={SHORT: Host((HOST,))}) as bench:
            assert await connect(bench) == HOST

    @virtual
    async def test_one_address_is_not_tried_twice(self) -> None:
        """A refusal is told once it is known that there is nothing else."""
        async with Bench(*refusals(), hosts={SHORT: Host((HOST,))}) as bench:
            with pytest.raises(ConnectionRefusedError):
                await connect(bench)
            assert opened(bench) == [(SHORT, "0")]

    @virtual
    async def test_the_first_error_is_told_with_the_others(self) -> None:
        """As notes, or as a group if that is asked for."""
        hosts = {LONG: Host((HOST, OTHER))}
        async with Bench(*refusals(), hosts=hosts) as bench:
            modem = await bench.open()
            with pytest.raises(ConnectionRefusedError, match=HOST) as caught:
                await modem.open_connection(LONG, PORT)
            assert [OTHER in note for note in caught.value.__notes__] == [True]
            with pytest.raises(ExceptionGroup) as group:
                await modem.open_connection(LONG, PORT, all_errors=True)
            kinds = [type(each) for each in group.value.exceptions]
            assert kinds == [aiobc9x.ConnectRefused] * 2

    @pytest.mark.parametrize("all_errors", [False, True])
    @virtual
    async def test_a_network_that_is_gone_is_waited_for_next_time(self, all_errors: bool) -> None:
        """Whatever shape the error has."""
        async with Bench(*refusals(561, range(1))) as bench:
            modem = await bench.open()
            with pytest.raises(ExceptionGroup if all_errors else aiobc9x.NetworkUnreachable):
                await modem.open_connection(HOST, PORT, all_errors=all_errors)
            bench.dialogue.clear()
            assert await connect(bench, HOST) == HOST
            assert "AT+CGATT?" in bench.commands

    @virtual
    async def test_the_network_that_goes_meanwhile_is_the_error(self) -> None:
        """Not the refusal before it."""
        hosts = {LONG: Host((SILENT, OTHER))}
        async with Bench(hosts=hosts) as bench:
            modem = await bench.open()
            waiting = asyncio.create_task(modem.open_connection(LONG, PORT))
            await asyncio.sleep(30)
            for fault in refusals(561, range(1, 2)):
                bench.add_fault(fault)
            with pytest.raises(aiobc9x.NetworkUnreachable) as caught:
                await waiting
            assert [SILENT in note for note in caught.value.__notes__] == [True]

    @virtual
    async def test_one_deadline_for_all(self) -> None:
        """The caller's; without one, the note's for a connection by name."""
        hosts = {LONG: Host(tuple(f"192.0.2.{i}" for i in range(1, 20)))}
        async with Bench(hosts=hosts) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            began = running().now
            with pytest.raises(TimeoutError, match=r"at 192\.0\.2\.2"):
                await modem.open_connection(LONG, PORT, timeout=50)
            assert running().now - began == pytest.approx(50, abs=0.1)
            await asyncio.sleep(60)
            began = running().now
            with pytest.raises(aiobc9x.ConnectTimedOut, match=r"192\.0\.2\.1:"):
                await modem.open_connection(LONG, PORT)
            assert running().now - began == pytest.approx(36 + 5 + 140, abs=1)
            await asyncio.sleep(60)
            assert bench.open_ids == []

    @virtual
    async def test_a_name_that_can_not_be_resolved_behind_a_refusal(self) -> None:
        """The refusal stays the error."""
        faults = [*refusals(ids=range(1)), Fault(FaultKind.ERROR, on="AT+QIDNSGIP")]
        async with Bench(*faults, hosts={SHORT: Host((HOST, OTHER))}) as bench:
            with pytest.raises(aiobc9x.ConnectRefused):
                await connect(bench)

    @virtual
    async def test_a_resolver_that_never_answers(self) -> None:
        """Nor does the second call wait for more than its own time, behind the first."""
        silence = Fault(FaultKind.DROP_LINE, on='+QIURC: "dnsgip"', times=99)
        async with Bench(silence, hosts={LONG: Host((HOST,))}) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            began = running().now
            calls = [modem.open_connection(LONG, PORT) for _ in range(2)]
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(each) for each in ended] == [aiobc9x.LinkTimeout, aiobc9x.ConnectTimedOut]
            assert running().now - began == pytest.approx(181, abs=0.1)

    @virtual
    async def test_a_module_that_does_not_answer(self) -> None:
        """No other address helps against that."""
        hosts = {LONG: Host((HOST, OTHER))}
        async with Bench(Fault(FaultKind.IGNORE, on="AT+QIOPEN"), hosts=hosts) as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.LinkTimeout):
                await modem.open_connection(LONG, PORT)
            assert await connect(bench, LONG) == HOST

    @virtual
    async def test_cancelled_between_two_addresses(self) -> None:
        """No connect ID is left behind."""
        hosts = {LONG: Host((SILENT, "192.0.2.10", OTHER))}
        for after in (0.0, 10.0, 36.01, 40.0):
            async with Bench(hosts=hosts) as bench:
                modem = await bench.open()
                await modem.wait_ready()
                waiting = asyncio.create_task(modem.open_connection(LONG, PORT))
                await asyncio.sleep(after)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                await asyncio.sleep(60)
                assert bench.open_ids == []


class TestFamily:
    """``<protocol_type>`` (§2.2.1) follows the caller, then the context's own addresses."""

    @pytest.mark.parametrize("name", [SHORT, LONG])
    @virtual
    async def test_a_context_with_ipv6_alone(self, name: str) -> None:
        """Names are asked for IPv6 addresses, streams and datagrams alike."""
        async with Bench(ip=OWN_SIX, hosts={name: Host((HOST, SIX))}) as bench:
            bench.network.serve_udp(PORT)
            assert await connect(bench, name) == SIX
            modem = await bench.modem()
            datagrams, _ = await modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(name, PORT)
            )
            assert datagrams.get_extra_info("peername") == (SIX, PORT)
            assert datagrams.get_extra_info("sockname")[0] == OWN_SIX
            assert {family for _, family in opened(bench)} == {"1"}

    @virtual
    async def test_the_callers_family_wins(self) -> None:
        """Whatever the context has."""
        async with Bench(ip=OWN_SIX, hosts={SHORT: Host((HOST, SIX))}) as bench:
            assert await connect(bench, family=socket.AF_INET) == HOST
            assert await connect(bench, family=socket.AF_INET6) == SIX
            assert await connect(bench, HOST) == HOST  # a literal says it by itself
        async with Bench(hosts={SHORT: Host((HOST, SIX))}) as bench:
            assert await connect(bench, family=socket.AF_INET6) == SIX
            assert await connect(bench) == HOST

    @virtual
    async def test_a_context_with_both(self) -> None:
        """IPv4 first; a name without is asked for IPv6, and each socket has its own address."""
        hosts = {SHORT: Host((SIX,)), "both.example": Host((SIX, HOST))}
        async with Bench(ip=BOTH, hosts=hosts) as bench:
            modem = await bench.open()
            assert await connect(bench, "both.example") == HOST
            for host, peer, own in ((SHORT, SIX, OWN_SIX), (HOST, HOST, "10.20.30.40")):
                _, writer = await modem.open_connection(host, PORT)
                assert writer.get_extra_info("peername") == (peer, PORT)
                assert writer.get_extra_info("sockname")[0] == own
                writer.close()

    @virtual
    async def test_an_address_of_a_family_that_the_context_lacks(self) -> None:
        """The module is asked all the same: it may translate."""
        async with Bench(hosts={LONG: Host((SIX,))}) as bench:
            assert await connect(bench, LONG) == SIX

    @virtual
    async def test_servers(self) -> None:
        """A server listens on the first address, or on one of the family asked for."""
        async with Bench(ip=BOTH) as bench:
            modem = await bench.open()
            factory = StreamRecorder
            async with await modem.create_server(factory, 2020) as server:
                assert server.sockets[0].getsockname() == ("10.20.30.40", 2020)
            async with await modem.create_server(factory, 2021, family=socket.AF_INET6) as server:
                assert server.sockets[0].getsockname()[0] == OWN_SIX
            assert opened(bench) == [("10.20.30.40", "0"), (OWN_SIX, "1")]

    @pytest.mark.parametrize(
        ("own", "family", "address"),
        [
            ([], None, ""),
            (["10.0.0.1"], None, "10.0.0.1"),
            (["10.0.0.1"], ProtocolType.IPV6, "10.0.0.1"),
            (["fe80::1"], None, "fe80::1"),
            (["fe80::1", OWN_SIX], ProtocolType.IPV6, OWN_SIX),
            (["fe80::1", "10.0.0.1"], None, "10.0.0.1"),
            (["10.0.0.1", OWN_SIX], ProtocolType.IPV6, OWN_SIX),
        ],
    )
    def test_own_address(self, own: list[str], family: ProtocolType | None, address: str) -> None:
        """Of the family, and no address of the link alone, where that can be."""
        assert pick_address(own, family) == address
