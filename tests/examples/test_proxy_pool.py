"""The proxy over two modems, used by httpx and by the forwarded port."""

from __future__ import annotations

import contextlib
from pathlib import Path

import httpx
import pytest

from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.options import Host, SimOptions
from aiobc9x.sim.peers import reserved_port
from tests.clients.servers import LOOPBACK, Nginx
from tests.examples.running import example, interrupt


@pytest.fixture
def options(web: Nginx) -> SimOptions:
    """Modules that reach the web server."""
    return SimOptions(hosts={"web.example": Host((LOOPBACK,))}, remote_ports={80: web.http})


async def test_serves(options: SimOptions, tmp_path: Path) -> None:
    """Programs get pages by SOCKS5, by HTTP and by a forwarded port, over both modems."""
    async with contextlib.AsyncExitStack() as stack:
        here, forwarded = (stack.enter_context(reserved_port()) for _ in range(2))
        first, second = [await stack.enter_async_context(VirtualModule(options)) for _ in range(2)]
        ports = ("--port", await first.start_pty(), "--port", await second.start_pty())
        more = ("--listen", str(here), "--forward", f"{forwarded}:web.example:80")
        async with example("proxy_pool", *ports, *more, folder=tmp_path) as program:
            await program.line(f"SOCKS5 and HTTP at 127.0.0.1:{here}")
            await program.line(f"127.0.0.1:{forwarded} leads to web.example:80")
            for _ in range(2):
                await program.line("ready, -73 dBm, 6 free")
            await gets(f"http://{LOOPBACK}:{forwarded}/hello.txt")
            for scheme in ("socks5h", "http"):
                for _ in range(2):
                    await gets("http://web.example/hello.txt", f"{scheme}://{LOOPBACK}:{here}")
            await interrupt(program)
        assert first.module.sockets.by_id == second.module.sockets.by_id == {}
        assert first.statistics.opens + second.statistics.opens == 5


async def gets(url: str, proxy: str | None = None) -> None:
    """Fetch the page; a connection of its own."""
    async with httpx.AsyncClient(proxy=proxy, timeout=30, trust_env=False) as client:
        assert (await client.get(url)).text == "hello from nginx\n"


async def test_port_in_use(tmp_path: Path, web: Nginx) -> None:
    """A port that another program has is one line, not a traceback."""
    arguments = ("--port", "sim://", "--listen", str(web.http))
    async with example("proxy_pool", *arguments, folder=tmp_path) as program:
        said = await program.end()
    assert program.process.returncode == 1, said
    assert "in use" in said
    assert "Traceback" not in said
