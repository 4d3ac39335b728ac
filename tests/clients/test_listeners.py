"""Servers that accept through TCP LISTENER, asked by curl."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

import aiobc9x
from tests.clients.conftest import Site
from tests.clients.programs import Program, running
from tests.clients.servers import LOOPBACK, Certificates, program
from tests.support.realtime import PATIENCE_S

"""For curl, on a busy machine."""


async def curl(*args: str | Path) -> bytes:
    """Run curl; what it prints."""
    process = await asyncio.create_subprocess_exec(
        program("curl", "curl"),
        *("--silent", "--show-error", "--fail", "--noproxy", "*"),
        *("--max-time", str(PATIENCE_S)),
        *map(str, args),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out


async def hello(request: web.Request) -> web.Response:
    """Say who asked for what."""
    return web.Response(text=f"{request.method} {request.path} {request.remote}")


async def size(request: web.Request) -> web.Response:
    """Say how much was uploaded, and the sum of it."""
    body = await request.read()
    return web.Response(text=f"{len(body)} {sum(body)}")


async def download(request: web.Request) -> web.StreamResponse:
    """Send 10,000 bytes in chunks."""
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(10):
        await response.write(bytes([number]) * 1000)
    await response.write_eof()
    return response


class TestAiohttp:
    """``aiohttp.web``: its protocol factory is public, and ``create_server()`` takes it."""

    @pytest.fixture
    async def url(self, site: Site, modem: aiobc9x.Modem, tmp_path: Path) -> AsyncIterator[str]:
        """A web application on a listener of the module; the URL that curl reaches it by."""
        (tmp_path / "page").write_bytes(b"from a file\n" * 500)
        app = web.Application()
        app.add_routes(
            [web.get("/hello", hello), web.post("/size", size), web.get("/get", download)]
        )
        app.router.add_static("/files", tmp_path)
        runner = web.AppRunner(app)
        await runner.setup()
        assert runner.server is not None
        async with await modem.create_server(runner.server, 8080) as server:
            yield f"http://{LOOPBACK}:{site.listens_on(8080)}"
            server.close_clients()
        await runner.cleanup()

    async def test_requests(self, url: str, modem: aiobc9x.Modem) -> None:
        """Two requests of one curl come over one connection; the server knows its address."""
        assert await curl(f"{url}/hello", f"{url}/hello") == b"GET /hello 127.0.0.1" * 2
        assert modem.statistics.incoming == 1

    async def test_files(self, url: str, tmp_path: Path) -> None:
        """A body longer than the module's buffer arrives; a file goes by ``sendfile()``."""
        body = bytes(range(256)) * 40
        (tmp_path / "body").write_bytes(body)
        said = await curl("--data-binary", f"@{tmp_path}/body", f"{url}/size")
        assert said == f"{len(body)} {sum(body)}".encode()
        assert await curl(f"{url}/files/page") == b"from a file\n" * 500

    async def test_three_at_once(self, url: str) -> None:
        """Clients are served side by side, each with an answer of many sends."""
        answers = await asyncio.gather(*(curl(f"{url}/get") for _ in range(3)))
        assert answers == [b"".join(bytes([n]) * 1000 for n in range(10))] * 3


class TestTls:
    """``asyncio.start_server`` with a certificate."""

    @pytest.fixture
    async def url(
        self, site: Site, modem: aiobc9x.Modem, certificates: Certificates
    ) -> AsyncIterator[str]:
        """A server that says how many bytes it was sent."""
        chain, key = certificates.issue(LOOPBACK)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chain, key)
        async with await modem.start_server(self.answer, 8443, ssl=context):
            yield f"https://{LOOPBACK}:{site.listens_on(8443)}"

    @staticmethod
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        body = await reader.readexactly(length)
        said = f"{writer.get_extra_info('cipher')[1]} {len(body)} {sum(body)}".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + said)
        writer.close()
        await writer.wait_closed()

    async def test_upload(self, url: str, certificates: Certificates, tmp_path: Path) -> None:
        """curl checks the certificate, and what it sends arrives."""
        body = bytes(range(256)) * 16
        (tmp_path / "body").write_bytes(body)
        said = await curl(
            *("--cacert", certificates.authority),
            *("--data-binary", f"@{tmp_path}/body"),
            *(url, url),
        )
        assert said == f"TLSv1.3 {len(body)} {sum(body)}".encode() * 2

    async def test_client_that_distrusts(self, url: str, modem: aiobc9x.Modem) -> None:
        """A client that turns away harms nobody: the next one is served."""
        with pytest.raises(AssertionError, match="certificate"):
            await curl(url)
        assert (await curl("--insecure", url)).startswith(b"TLSv1.3 0")
        assert modem.statistics.incoming == 2


class TestPrograms:
    """docs/clients/servers.md; Ctrl+C ends the programs, and their sockets on the module."""

    @staticmethod
    async def stop(program: Program, site: Site) -> None:
        """Press Ctrl+C."""
        program.process.send_signal(signal.SIGINT)
        said = await program.end()
        assert program.process.returncode == -signal.SIGINT, said
        assert said.splitlines()[-1] == "KeyboardInterrupt", said
        assert "never" not in said, said
        assert site.virtual.module.sockets.by_id == {}

    async def test_aiohttp(self, site: Site, tmp_path: Path) -> None:
        """aiohttp's application says hello."""
        async with running("servers", "aiohttp", site, tmp_path) as program:
            await program.line("listening")
            url = f"http://{LOOPBACK}:{site.listens_on(8080)}"
            assert await curl(f"{url}/hello") == b"hello 127.0.0.1\n"
            await self.stop(program, site)

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    async def test_uvicorn(self, site: Site, tmp_path: Path, loop: str) -> None:
        """An ASGI application says hello, also on uvloop."""
        async with running("servers", "uvicorn", site, tmp_path, loop=loop) as program:
            await program.line("Uvicorn running on")
            url = f"http://{LOOPBACK}:{site.listens_on(8080)}"
            assert await curl(f"{url}/a", f"{url}/b") == b"hello /a\nhello /b\n"
            await self.stop(program, site)

    async def test_tls(self, site: Site, tmp_path: Path, certificates: Certificates) -> None:
        """A server of asyncio's own says hello, over TLS."""
        for made, wanted in zip(
            certificates.issue(LOOPBACK), ("server.pem", "server.key"), strict=True
        ):
            (tmp_path / wanted).write_bytes(made.read_bytes())
        async with running("servers", "asyncio, with TLS", site, tmp_path) as program:
            await program.line("listening")
            url = f"https://{LOOPBACK}:{site.listens_on(8443)}"
            said = await curl("--cacert", certificates.authority, url)
            assert said == b"hello over TLS\n"
            await self.stop(program, site)
