"""A module behind a real ser2net, as docs/remote-modules.md sets it up: TCP alone, and RFC 2217."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import aiobc9x
from aiobc9x import LinkLost, ModemState, Reconnect, Recovering
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.peers import reserved_port
from tests.clients import servers
from tests.support.loopback import LOOPBACK, echo, exchange, server
from tests.support.pages import ROOT, blocks
from tests.support.realtime import PATIENCE_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

QUICK = Reconnect(first_delay=0.1, max_delay=0.4)

DATA = bytes(range(256)) * 100


def printed_config(device: str, port: int, accepter: str = "tcp", **options: str) -> str:
    """The page's ``ser2net.yaml``, for another device and port, with other options."""
    (block,) = [
        each for each in blocks([ROOT / "docs/remote-modules.md"]) if each.language == "yaml"
    ]
    text = block.text
    replacements = {
        "tcp,127.0.0.1,2000": f"{accepter},{LOOPBACK},{port}",
        "/dev/ttyUSB0": device,
        **{f"{name}: true": f"{name}: {value}" for name, value in options.items()},
    }
    for old, new in replacements.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


class Server:
    """A ser2net that can be started and ended.

    Attributes:
        port: Its TCP port, the same each time.
        address: What a modem opens.

    """

    def __init__(self, folder: Path, port: int, scheme: str = "socket") -> None:
        self._binary = servers.program("ser2net", "ser2net")
        self._folder, self.port = folder, port
        self.address = f"{scheme}://{LOOPBACK}:{port}"
        self.accepter = {"socket": "tcp", "rfc2217": "telnet(rfc2217),tcp"}[scheme]

    def configure(self, text: str) -> None:
        """Write its settings, for the next start."""
        (self._folder / "ser2net.yaml").write_text(text)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """Run it; give its process ID.

        A look at its port would open the module's device, so that its own list of listening
        sockets is looked at.
        """
        process_id = self._folder / "process"
        process_id.unlink(missing_ok=True)
        # Without locks in /var/lock, which an ordinary user can't make, and in the foreground.
        command: list[str | Path] = [self._binary, "-n", "-u", "-P", process_id]
        command += ["-c", self._folder / "ser2net.yaml"]

        async def listens() -> bool:
            sockets = await asyncio.to_thread(Path("/proc/net/tcp").read_text)
            return f":{self.port:04X} 00000000:0000 0A" in sockets

        async with servers.running(command, self._folder, listens):
            yield int(process_id.read_text())


@pytest.fixture(params=["socket", "rfc2217"])
async def ser2net(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    """A server for a module that has just been switched on."""
    if request.param == "rfc2217":
        pytest.importorskip("serialx")
    with reserved_port() as port:
        found = Server(tmp_path, port, request.param)
        async with VirtualModule() as module:
            device = await module.start_pty()
            found.configure(printed_config(device, found.port, found.accepter))
            (tmp_path / "device").write_text(device)
            yield found


async def until_state(modem: aiobc9x.Modem, *states: ModemState) -> None:
    """Wait until a modem is in one of these states."""
    async with asyncio.timeout(PATIENCE_S):
        while modem.state not in states:  # noqa: ASYNC110  (nothing else tells)
            await asyncio.sleep(0.01)


async def test_transfer(ser2net: Server) -> None:
    """Every byte value, both ways."""
    async with (
        ser2net.running(),
        server(echo) as port,
        aiobc9x.open_modem(ser2net.address) as modem,
    ):
        await exchange(modem, port, DATA)
        assert modem.statistics.damages == modem.statistics.recoveries == 0


async def test_it_restarts(ser2net: Server) -> None:
    """What was open ends at once; refused for a while, the modem comes back when it is there."""
    async with server(echo) as port:
        async with ser2net.running():
            modem = await aiobc9x.open_modem(ser2net.address, reconnect=QUICK)
            reader, writer = await modem.open_connection(LOOPBACK, port)
            events = modem.subscribe()
        with pytest.raises(LinkLost):
            await reader.read()
        assert modem.state is ModemState.AWAY
        writer.close()
        waiting = asyncio.create_task(exchange(modem, port, DATA))
        async for event in events:
            if isinstance(event, Recovering) and event.attempt > 3:
                assert "Connection refused" in event.reason
                break
        async with ser2net.running():
            await waiting
            assert modem.statistics.returns == 1
            await modem.aclose()


async def test_it_falls_silent(ser2net: Server) -> None:
    """The connection stays, and nothing comes: a silent line is asked, and nobody waits for TCP."""
    async with (
        ser2net.running() as process_id,
        server(echo) as port,
        aiobc9x.open_modem(
            ser2net.address, reconnect=QUICK, state_interval=0.2, answer_timeout=2
        ) as modem,
    ):
        reader, writer = await modem.open_connection(LOOPBACK, port)
        os.kill(process_id, signal.SIGSTOP)
        try:
            await until_state(modem, ModemState.RECOVERING, ModemState.AWAY)
        finally:
            os.kill(process_id, signal.SIGCONT)
        await until_state(modem, ModemState.UP)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello", "it was noticed, and nothing was lost"
        writer.close()
        await exchange(modem, port, DATA)


async def test_another_client_takes_its_place(ser2net: Server) -> None:
    """What was open ends; the modem takes its place back, and the other one sees its end."""
    async with (
        ser2net.running(),
        server(echo) as port,
        aiobc9x.open_modem(ser2net.address, reconnect=QUICK) as modem,
    ):
        reader, writer = await modem.open_connection(LOOPBACK, port)
        other_reader, other_writer = await asyncio.open_connection(LOOPBACK, ser2net.port)
        with pytest.raises(LinkLost, match="the other end closed it"):
            await reader.read()
        writer.close()
        await other_reader.read()
        other_writer.close()
        await exchange(modem, port, DATA)
        assert modem.statistics.returns == 1


async def test_another_client_has_the_port(ser2net: Server, tmp_path: Path) -> None:
    """Where the server doesn't let it be taken away; the one that has it goes on."""
    device = (tmp_path / "device").read_text()
    ser2net.configure(printed_config(device, ser2net.port, ser2net.accepter, kickolduser="false"))
    async with (
        ser2net.running(),
        server(echo) as port,
        aiobc9x.open_modem(ser2net.address) as modem,
    ):
        # serialx keeps the words to itself that the server says before it speaks RFC 2217.
        plain = ser2net.address.startswith("socket")
        with pytest.raises(aiobc9x.PortBusy if plain else LinkLost, match="another client"):
            await aiobc9x.open_modem(ser2net.address)
        await exchange(modem, port, DATA)
        assert modem.statistics.link_losses == 0


async def test_nobody_serves_there(ser2net: Server) -> None:
    """The first opening says so, and doesn't wait."""
    with pytest.raises(LinkLost, match=r"can't connect to .*: Connection refused"):
        await aiobc9x.open_modem(ser2net.address)
