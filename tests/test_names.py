"""Names lead where they should by every way to the modem, whatever AT+QIOPEN takes.

Three names: one that is longer than AT+QIOPEN's 50 bytes (§2.2.1), one whose first addresses are
dead, and names on a context that has an IPv6 address alone.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
import pytest

import aiobc9x
from aiobc9x.adapters.anyio import connect_tcp, connect_udp
from aiobc9x.adapters.proxy.api import ProxyTimeouts
from aiobc9x.adapters.proxy.clients import ProxyClients
from aiobc9x.adapters.proxy.handshake import Request
from aiobc9x.cli.main import main
from aiobc9x.sim.options import Host
from aiobc9x.wire.host import Host as ReadHost
from tests.adapters.families import HTTPX
from tests.adapters.http import page, sends, serve
from tests.adapters.proxy.proxy_client import Client
from tests.support.bench import ECHO_PORT, HOST, PORT, UDP_PORT, Bench
from tests.support.clock import virtual
from tests.support.loopback import LOOPBACK, echo, server

LONG: Final = "a1b2c3d4e5f6g7-ats.iot.region-nowhere-1.example.test"
SIX: Final = "2001:db8::7"
DEAD: Final = ("192.0.2.8", "192.0.2.9")  # the virtual module's addresses that never answer

assert len(LONG) > 50

CASES: Final[dict[str, tuple[str, tuple[str, ...], dict[str, Any]]]] = {
    "long": (LONG, (HOST,), {}),
    "in turn": ("server.example", (*DEAD, HOST), {}),
    "long, in turn": (LONG, (*DEAD, HOST), {}),
    "IPv6 alone": ("server.example", (HOST, SIX), {"ip": "2001:db8::10"}),
    "IPv6 alone, long": (LONG, (HOST, SIX), {"ip": "2001:db8::10"}),
}
"""The name, its addresses, of which the last one answers, and the module's options."""

Way = Callable[[Bench, str], Awaitable[object]]


async def streams(bench: Bench, name: str) -> None:
    """``Modem.open_connection()``."""
    reader, writer = await (await bench.modem()).open_connection(name, ECHO_PORT)
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"
    writer.close()


async def protocols(bench: Bench, name: str) -> None:
    """``Modem.create_connection()``."""
    modem = await bench.modem()
    transport, _ = await modem.create_connection(asyncio.Protocol, name, PORT)
    transport.close()


async def datagrams(bench: Bench, name: str) -> None:
    """``Modem.create_datagram_endpoint()``."""
    modem = await bench.modem()
    transport, _ = await modem.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(name, UDP_PORT)
    )
    transport.close()


async def redirected(bench: Bench, name: str) -> None:
    """``asyncio.open_connection()`` inside ``installed()``."""
    with (await bench.modem()).installed(strict=True):
        reader, writer = await asyncio.open_connection(name, ECHO_PORT)
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        writer.close()


async def redirected_datagrams(bench: Bench, name: str) -> None:
    """``loop.create_datagram_endpoint()`` inside ``installed()``."""
    with (await bench.modem()).installed(strict=True):
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(name, UDP_PORT)
        )
        transport.close()


async def anyio_stream(bench: Bench, name: str) -> None:
    """The adapter for anyio."""
    async with await connect_tcp(await bench.modem(), name, ECHO_PORT) as stream:
        await stream.send(b"ping")
        assert await stream.receive() == b"ping"


async def anyio_datagrams(bench: Bench, name: str) -> None:
    """Its datagrams."""
    async with await connect_udp(await bench.modem(), name, UDP_PORT):
        pass


async def pooled(bench: Bench, name: str) -> None:
    """A pool of modems."""
    async with aiobc9x.open_pool([bench.create]) as pool:
        reader, writer = await pool.open_connection(name, ECHO_PORT)
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        writer.close()


def http(library: Any) -> Way:
    """The adapter for a library of HTTP, and with it the one for its core."""

    async def get(bench: Bench, name: str) -> None:
        adapter = __import__(f"aiobc9x.adapters.{library.__name__}", fromlist=["ModemTransport"])
        serve(bench, sends(page("hello")))
        transport = adapter.ModemTransport(await bench.modem(), verify=False)
        async with library.AsyncClient(transport=transport, timeout=adapter.TIMEOUT) as client:
            assert (await client.get(f"http://{name}/")).text == "hello"

    return get


def proxied(request: Callable[[str], bytes], is_forward: bool = False) -> Way:
    """The proxy, by a protocol of its clients."""

    async def relay(bench: Bench, name: str) -> None:
        clients = ProxyClients(await bench.modem(), ProxyTimeouts(30, 100, None))
        client = Client(clients, Request(ReadHost.read(name), ECHO_PORT) if is_forward else None)
        client.say(request(name))
        client.say(b"question")
        with anyio.fail_after(200):
            while not client.received.endswith(b"question"):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        clients.close()
        await clients.wait_empty()

    return relay


WAYS: Final[dict[str, Way]] = {
    "open_connection": streams,
    "create_connection": protocols,
    "create_datagram_endpoint": datagrams,
    "installed": redirected,
    "installed, datagrams": redirected_datagrams,
    "anyio": anyio_stream,
    "anyio, datagrams": anyio_datagrams,
    "pool": pooled,
    **{library.__name__: http(library) for library in HTTPX},
    "SOCKS5": proxied(
        lambda name: b"\5\1\0\5\1\0\3" + bytes([len(name)]) + name.encode() + ECHO_PORT.to_bytes(2)
    ),
    "CONNECT": proxied(lambda name: f"CONNECT {name}:{ECHO_PORT} HTTP/1.1\r\n\r\n".encode()),
    "forward": proxied(lambda _name: b"", is_forward=True),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", WAYS)
@virtual
async def test_every_way(way: str, case: str) -> None:
    """The peer is reached, in the family of the context, and nothing stays open."""
    name, addresses, options = CASES[case]
    # An endpoint opens at the first address: nobody tells whether somebody is there.
    tells = "datagram" not in way
    async with Bench(hosts={name: Host(addresses)}, **options) as bench:
        bench.network.serve_udp(UDP_PORT)
        if way != "pool":
            await bench.open()
        await WAYS[way](bench, name)
        if tells or "in turn" not in case:
            assert bench.peer.address == addresses[-1]
        opened = [line for line in bench.commands if line.startswith("AT+QIOPEN")]
        family = "1" if "IPv6" in case else "0"
        assert {line.rpartition(",")[2] for line in opened} == {family}
        assert not any(name in line for line in opened) or name != LONG
        await asyncio.sleep(30)
        assert bench.open_ids == []


@virtual
async def test_all_addresses_fail() -> None:
    """The first one's error, with the others as notes, or all in a group, as asyncio has it."""
    async with Bench(hosts={LONG: Host((*DEAD, HOST))}) as bench:
        modem = await bench.open()
        with pytest.raises(TimeoutError) as caught:
            await modem.open_connection(LONG, 9)
        assert isinstance(caught.value, OSError)
        assert DEAD[0] in str(caught.value)
        notes = caught.value.__notes__
        assert [(DEAD[1], HOST)[i] in note for i, note in enumerate(notes)] == [True, True]
        with pytest.raises(ExceptionGroup) as group:
            await modem.open_connection(LONG, 9, all_errors=True)
        assert [type(each) for each in group.value.exceptions] == [
            aiobc9x.ConnectTimedOut,
            aiobc9x.ConnectTimedOut,
            aiobc9x.ConnectRefused,
        ]


@pytest.mark.skipif(sys.platform == "win32", reason="no ptys on Windows")
@pytest.mark.parametrize(
    "command",
    [["ping", LONG, "--count", "1"], ["resolve", LONG], ["ntp", LONG]],
    ids=lambda command: str(command[0]),
)
def test_commands_that_ask(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """They take a long name too: only AT+QIOPEN has a limit."""
    assert main([*command, "--port", f"sim://?host={LONG}:203.0.113.9"]) == 0
    assert capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="no ptys on Windows")
async def test_the_command_that_connects() -> None:
    """``aiobc9x connect`` with a long name reaches its peer."""
    async with server(echo) as port:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "aiobc9x", "connect", LONG, str(port)),
            *("--port", f"sim://?host={LONG}:{LOOPBACK}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(b"hello")
        assert (process.returncode, out) == (0, b"hello"), err
