"""Connecting an anyio stream through the modem: attributes, failures, the connectable."""

from __future__ import annotations

import errno
import socket

import anyio
import pytest
from anyio.abc import SocketAttribute

import aiobc9x
from aiobc9x.adapters.anyio import ByteStreamConnectable, ModemAttribute, connect_tcp
from aiobc9x.sim.options import Host
from tests.support.bench import ECHO_PORT, HOST, PORT, Bench
from tests.support.clock import virtual


@virtual
async def test_attributes() -> None:
    """Addresses, ports and family; no raw socket, because there is none."""
    async with Bench() as bench:
        modem = await bench.open()
        stream = await connect_tcp(modem, HOST, PORT, local_port=3000)
        own = dict(await modem.addresses())[1][0]
        assert stream.extra(SocketAttribute.family) == socket.AF_INET
        assert stream.extra(SocketAttribute.remote_address) == (HOST, PORT)
        assert stream.extra(SocketAttribute.remote_port) == PORT
        assert stream.extra(SocketAttribute.local_address) == (own, 3000)
        assert stream.extra(SocketAttribute.local_port) == 3000
        assert stream.extra(ModemAttribute.modem) is modem
        assert stream.extra(ModemAttribute.connect_id) == 0
        assert stream.extra(ModemAttribute.socket_view).getpeername() == (HOST, PORT)
        with pytest.raises(anyio.TypedAttributeLookupError):
            stream.extra(SocketAttribute.raw_socket)
        assert "open peer=('220.18.39.22', 8062)" in repr(stream)
        await stream.aclose()
        assert "closed" in repr(stream)


@virtual
async def test_connectable() -> None:
    """It connects as often as it is asked, with its own options."""
    async with Bench(hosts={"server.example": Host((HOST,))}) as bench:
        modem = await bench.open()
        place = ByteStreamConnectable(
            modem, "server.example", ECHO_PORT, access_mode=aiobc9x.AccessMode.PUSH
        )
        assert "server.example" in repr(place)
        for data in (b"once", b"twice"):
            async with await place.connect() as stream:
                await stream.send(data)
                assert await stream.receive() == data
        assert [line.split(",")[-2] for line in bench.commands if "QIOPEN" in line] == [
            "1",
            "1",
        ]


@pytest.mark.parametrize(
    ("host", "port", "cause", "code"),
    [
        (HOST, 9, aiobc9x.ConnectRefused, errno.ECONNREFUSED),
        ("nowhere.example", PORT, aiobc9x.NameNotFound, socket.EAI_NONAME),
        ("192.0.2.1", PORT, TimeoutError, None),
    ],
)
@virtual
async def test_failures(host: str, port: int, cause: type[OSError], code: int | None) -> None:
    """ConnectionFailed with the errno of what the modem raised, which is its cause."""
    async with Bench() as bench:
        modem = await bench.open()
        with pytest.raises(anyio.ConnectionFailed) as caught:
            await connect_tcp(modem, host, port, timeout=100)
        assert isinstance(caught.value.__cause__, cause)
        assert code in {None, caught.value.errno}
        assert str(caught.value)
        await anyio.sleep(50)
        assert bench.open_ids == []


@virtual
async def test_seventh() -> None:
    """Six sockets are all there are."""
    async with Bench() as bench:
        modem = await bench.open()
        streams = [await connect_tcp(modem, HOST, PORT) for _ in range(6)]
        with pytest.raises(anyio.ConnectionFailed) as caught:
            await connect_tcp(modem, HOST, PORT)
        assert caught.value.errno == errno.EMFILE
        await streams[0].aclose()
        streams[0] = await connect_tcp(modem, HOST, PORT)
        for stream in streams:
            await stream.aclose()


@virtual
async def test_bad_arguments() -> None:
    """They stay ValueErrors, and nothing is sent."""
    async with Bench() as bench:
        modem = await bench.open()
        bench.dialogue.clear()
        with pytest.raises(ValueError, match=r"^port must be"):
            await connect_tcp(modem, HOST, 0)
        assert bench.commands == []


@virtual
async def test_cancelled_scope_opens_nothing() -> None:
    """A scope that is cancelled already lets no command out."""
    async with Bench() as bench:
        modem = await bench.open()
        bench.dialogue.clear()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await connect_tcp(modem, HOST, PORT)
        assert scope.cancelled_caught
        assert bench.commands == []
