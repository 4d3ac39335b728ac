"""HAProxy in front of two gateways, as printed in docs/proxy.md: clients go on when one dies."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from python_socks import ProxyError
from python_socks.async_.asyncio import Proxy

from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.options import Host, SimOptions
from aiobc9x.sim.peers import reserved_port
from tests.clients import servers
from tests.support.loopback import LOOPBACK, Streams, echo, server
from tests.support.pages import ROOT, Block, blocks
from tests.support.realtime import PATIENCE_S

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no ptys on Windows")

NAME = "server.example"

FRONT, FIRST, SECOND = 1080, 1081, 1082
"""The ports that the page prints."""


def printed(language: str, text: str) -> str:
    """The one block of docs/proxy.md in a language that holds a text."""
    page: list[Block] = blocks([ROOT / "docs/proxy.md"])
    (block,) = [each for each in page if each.language == language and text in each.text]
    return block.text


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110  (of whatever kind)
            await asyncio.sleep(0.05)


class Gateway:
    """A process of ``gateway.py`` with a virtual module.

    Attributes:
        port: The port of its proxy.
        module: Its module, while that is plugged in.

    """

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self.port = folder, port
        self._device = folder / "ttyUSB0"
        self._program = folder / "gateway.py"
        self._process: asyncio.subprocess.Process | None = None
        self.module: VirtualModule

    async def plug(self) -> None:
        """Plug a module in; it has just been switched on."""
        self.module = VirtualModule(SimOptions(hosts={NAME: Host((LOOPBACK,))}))
        self._device.symlink_to(await self.module.start_pty())

    async def unplug(self) -> None:
        """Pull it out."""
        self._device.unlink(missing_ok=True)
        await self.module.aclose()

    async def start(self) -> None:
        """Start the process."""
        self._program.write_text(printed("python", "serve_proxy(port=port"))
        with (self._folder / "said").open("wb") as said:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-W", "error", str(self._program)),
                *(str(self._device), str(self.port)),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    async def kill(self) -> None:
        """End the process without a word."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def is_well(self) -> bool:
        """Ask it for its health, as the balancer does."""
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        except OSError:
            return False
        writer.write(b"GET /health HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer.startswith(b"HTTP/1.1 200 ")

    @property
    def opens(self) -> int:
        """How many connections the module has opened."""
        return self.module.statistics.opens


class Site:
    """Two gateways and the balancer.

    Attributes:
        first, second: The gateways.
        front: The port that clients know.
        target: The port of the echo server that they want.

    """

    def __init__(
        self, folder: Path, first: Gateway, second: Gateway, front: int, target: int
    ) -> None:
        self._output = folder / "output"
        self.first, self.second, self.front, self.target = first, second, front, target

    def said(self, name: str, word: str) -> int:
        """How often the balancer has said of a server that it is ``UP`` or ``DOWN``."""
        said = self._output.read_text("utf-8", "replace")
        return len(re.findall(rf"Server gateways/{name} is {word}\b", said))

    async def told(self, name: str, word: str, times: int = 1) -> None:
        """Wait until the balancer has said that."""

        async def is_said() -> bool:
            return self.said(name, word) >= times

        await until(is_said)

    async def connect(self, scheme: str = "socks5") -> Streams:
        """Connect a client to the echo server."""
        proxy = Proxy.from_url(f"{scheme}://{LOOPBACK}:{self.front}", rdns=True)
        sock = await proxy.connect(NAME, self.target, timeout=PATIENCE_S)
        return await asyncio.open_connection(sock=sock)

    async def echoed(self, scheme: str = "socks5") -> None:
        """Be a client that tries until it has an answer."""

        async def once() -> bool:
            try:
                streams = await self.connect(scheme)
            except (OSError, ProxyError):
                return False
            return await answers(*streams)

        await until(once)


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Send something over a connection, close it, and tell whether it came back."""
    try:
        writer.write(b"hello")
        return await reader.read(5) == b"hello"
    except OSError:
        return False
    finally:
        writer.close()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Both gateways and HAProxy, all of them up."""
    binary = servers.program("haproxy", "haproxy")
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(server(echo))
        ports = [stack.enter_context(reserved_port()) for _ in range(3)]
        gateways = []
        for name, port in zip(("first", "second"), ports[1:], strict=True):
            (tmp_path / name).mkdir()
            gateway = Gateway(tmp_path / name, port)
            await gateway.plug()
            stack.push_async_callback(gateway.unplug)
            await gateway.start()
            stack.push_async_callback(gateway.kill)
            gateways.append(gateway)
        config = printed("haproxy", "backend gateways")
        for port, own in zip((FRONT, FIRST, SECOND), ports, strict=True):
            assert config.count(f"127.0.0.1:{port}\n") == 1
            config = config.replace(f"127.0.0.1:{port}\n", f"127.0.0.1:{own}\n")
        (tmp_path / "haproxy.cfg").write_text(config)
        for gateway in gateways:
            await until(gateway.is_well)
        await stack.enter_async_context(haproxy(binary, tmp_path, ports[0]))
        yield Site(tmp_path, gateways[0], gateways[1], ports[0], target)


@asynccontextmanager
async def haproxy(binary: str, folder: Path, port: int) -> AsyncIterator[None]:
    """Run HAProxy with the folder's ``haproxy.cfg``."""
    command: list[str | Path] = [binary, "-f", folder / "haproxy.cfg"]
    async with servers.running(command, folder, lambda: servers.accepts(port)):
        yield


@pytest.mark.timeout(180)
async def test_a_modem_dies_and_comes_back(site: Site) -> None:
    """Clients go on over the other one, and over both when it is back."""
    first, second = site.first, site.second
    streams = [await site.connect(scheme) for scheme in ("socks5", "http")]
    assert (first.opens, second.opens) == (1, 1), "each has the client that the other lacks"
    await first.unplug()
    await site.echoed()  # may begin on the first one, and is cut there
    assert sorted([await answers(*each) for each in streams]) == [False, True]
    await site.told("first", "DOWN")
    before = second.opens
    for scheme in ("socks5", "http"):
        for each in await asyncio.gather(*(site.connect(scheme) for _ in range(2))):
            assert await answers(*each), "no client is sent to the first one any more"
    assert second.opens == before + 4
    await first.plug()
    await site.told("first", "UP")
    await asyncio.gather(*(site.echoed() for _ in range(4)))
    assert first.opens > 0
    assert site.said("second", "DOWN") == 0


@pytest.mark.timeout(180)
async def test_a_process_dies(site: Site) -> None:
    """Nobody waits for a check: a gateway that refuses is passed over at once."""
    await site.second.kill()
    for _ in range(4):
        assert await answers(*await site.connect())
    assert site.first.opens == 4
    await site.told("second", "DOWN")
    await site.second.start()
    await site.told("second", "UP")
    await asyncio.gather(*(site.echoed() for _ in range(4)))
    assert site.second.opens > 0


@pytest.mark.timeout(180)
async def test_a_module_stops_answering(site: Site) -> None:
    """Its client tries again elsewhere, before the gateway has given the module up."""
    site.first.module.module.board.faults.add(Fault(FaultKind.STUCK, on="AT"))
    await asyncio.gather(*(site.echoed() for _ in range(2)))
    await site.told("first", "DOWN")
    assert site.second.opens >= 2
