"""A module at the far end of an SSH tunnel, by the program of docs/remote-modules.md."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncssh
import pytest

import aiobc9x
from aiobc9x import LinkLost, ModemState, Reconnect
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.options import Host, SimOptions
from aiobc9x.sim.peers import reserved_port
from tests.clients.servers import LOOPBACK
from tests.support.loopback import echo, exchange, server
from tests.support.pages import ROOT, blocks
from tests.support.realtime import PATIENCE_S

QUICK: Final = Reconnect(first_delay=0.1, max_delay=0.4)

DATA: Final = bytes(range(256)) * 40

LAST: Final = "asyncio.run(look())\n"


class Door(asyncssh.SSHServer):
    """Lets a user in who has the key, to one port of this machine."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._site.connections.append(conn)

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:
        return (dest_host, dest_port) == (LOOPBACK, self._site.serial_port)


class Site:
    """A gateway: an SSH server, and a serial server that only that can be asked for.

    Attributes:
        module: The module there.
        serial_port: The port of the serial server.
        ssh_port: The port of the SSH server.
        connections: Those to the SSH server.

    """

    def __init__(
        self, folder: Path, module: VirtualModule, serial_port: int, ssh_port: int
    ) -> None:
        self.folder, self.module, self.serial_port = folder, module, serial_port
        self.ssh_port = ssh_port
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._user_key = asyncssh.generate_private_key("ssh-ed25519")
        self._user_key.write_private_key(folder / "modem_key")

    @asynccontextmanager
    async def ssh(self) -> AsyncIterator[None]:
        """Run the SSH server, on the same port each time."""
        listener = await asyncssh.listen(
            LOOPBACK,
            self.ssh_port,
            reuse_address=True,  # which is no default of asyncssh's older versions
            server_factory=lambda: Door(self),
            server_host_keys=[self.host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(
                self._user_key.export_public_key().decode()
            ),
        )
        self.ssh_port = listener.get_port()
        self.know(self.host_key)
        try:
            yield
        finally:
            listener.close()
            for connection in self.connections:
                connection.abort()
            await listener.wait_closed()

    def know(self, key: asyncssh.SSHKey) -> None:
        """Write down the key that the client expects."""
        name = f"[{LOOPBACK}]:{self.ssh_port}"
        (self.folder / "known_hosts").write_text(f"{name} {key.export_public_key().decode()}")

    def program(self) -> str:
        """The page's program, for these ports and files."""
        page = blocks([ROOT / "docs/remote-modules.md"])
        (block,) = [each for each in page if "class Tunnel" in each.text]
        text = block.text
        replacements = {
            '"gateway.example",\n            22,': f'"{LOOPBACK}",\n            {self.ssh_port},',
            '"127.0.0.1", 2000': f'"{LOOPBACK}", {self.serial_port}',
            '"modem_key"': repr(str(self.folder / "modem_key")),
            '"known_hosts"': repr(str(self.folder / "known_hosts")),
        }
        for old, new in replacements.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        assert text.endswith(LAST)
        return text

    def create(self) -> Any:
        """The program's ``create``."""
        names: dict[str, Any] = {}
        exec(compile(self.program().removesuffix(LAST), "remote-modules.md", "exec"), names)
        return names["create"]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A gateway whose SSH server doesn't run yet."""
    options = SimOptions(hosts={"example.com": Host(("203.0.113.1",))})
    module = VirtualModule(options)

    class Serial(asyncio.Protocol):
        """A serial server's connection, with the module in memory behind it."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            client: Any = transport

            class Line(asyncio.Protocol):
                def data_received(self, data: bytes) -> None:
                    client.write(data)

            self._line = module.connect_memory(Line())

        def data_received(self, data: bytes) -> None:
            self._line.write(data)

        def connection_lost(self, exc: Exception | None) -> None:
            self._line.close()

    listener = await asyncio.get_running_loop().create_server(Serial, LOOPBACK, 0)
    with reserved_port() as ssh_port:
        yield Site(tmp_path, module, listener.sockets[0].getsockname()[1], ssh_port)
    listener.close()
    await module.aclose()


async def test_the_program(site: Site) -> None:
    """As printed, in a process of its own."""
    async with site.ssh():
        program = site.folder / "program.py"
        program.write_text(site.program())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", str(program)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        said = (await asyncio.wait_for(process.communicate(), 50))[0].decode()
    assert process.returncode == 0, said
    identity, pings = said.splitlines()
    assert "BC65" in identity
    assert pings.startswith("PingReport(")


async def until_away(modem: aiobc9x.Modem) -> None:
    """Wait until a modem has noticed the loss of its tunnel."""
    async with asyncio.timeout(PATIENCE_S):
        while modem.state is not ModemState.AWAY:  # noqa: ASYNC110  (nothing else tells)
            await asyncio.sleep(0.001)


async def test_it_comes_back(site: Site) -> None:
    """The tunnel is cut, and cannot be opened for a while; nothing is left of the old ones."""
    async with server(echo) as port:
        async with site.ssh():
            modem = await aiobc9x.open_modem(site.create(), reconnect=QUICK)
            await exchange(modem, port, DATA)
            site.connections[-1].abort()
            await until_away(modem)
            await exchange(modem, port, DATA)
            reader, writer = await modem.open_connection(LOOPBACK, port)
        with pytest.raises(LinkLost):
            await reader.read()
        writer.close()
        assert modem.state is ModemState.AWAY
        events = modem.subscribe()
        async for event in events:
            if isinstance(event, aiobc9x.Recovering) and event.attempt > 3:
                break
        waiting = asyncio.create_task(exchange(modem, port, DATA))
        async with site.ssh():
            await waiting
            assert modem.statistics.returns == 2
            await modem.aclose()


async def test_the_serial_server_is_gone(site: Site) -> None:
    """A channel that is refused is no tunnel; the SSH connection is closed again."""
    async with site.ssh():
        create, site.serial_port = site.create(), 0
        with pytest.raises(LinkLost, match=r"can't open create\(\): no tunnel: "):
            await aiobc9x.open_modem(create)


async def test_another_host_key(site: Site) -> None:
    """Somebody between us and the gateway gets nothing, not at the first time nor later."""
    async with site.ssh():
        other = asyncssh.generate_private_key("ssh-ed25519")
        site.know(other)
        with pytest.raises(LinkLost, match="Host key"):
            await aiobc9x.open_modem(site.create())
        site.know(site.host_key)
        async with aiobc9x.open_modem(site.create(), reconnect=QUICK) as modem:
            events = modem.subscribe()
            site.know(other)
            site.connections[-1].abort()
            async for event in events:
                if isinstance(event, aiobc9x.Recovering) and event.attempt > 2:
                    assert "Host key" in event.reason
                    break
            assert modem.state is ModemState.AWAY
