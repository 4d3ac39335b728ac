"""httpx2, httpx and aiohttp against nginx: HTTP/1.1, HTTPS and HTTP/2."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import httpx
import pytest

import aiobc9x
from tests.adapters.families import FAMILIES, use
from tests.clients.conftest import Site
from tests.clients.programs import output
from tests.clients.servers import Certificates, Nginx
from tests.support.realtime import PATIENCE_S

PLAIN, SECURE = "http://web.example", "https://web.example"

TIMEOUT_S = 30
"""For each step; httpx's own 5 s may pass on a busy machine."""

PATIENCE = aiohttp.ClientTimeout(total=PATIENCE_S, sock_connect=PATIENCE_S)


@pytest.mark.parametrize("suffix", FAMILIES)
class TestHttpx:
    """Both libraries, through ``installed()``: anyio connects, and asks for the socket."""

    @pytest.fixture(autouse=True)
    def family(self, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the tests use the one or the other."""
        use(suffix, __name__, monkeypatch)

    async def test_requests(self, modem: aiobc9x.Modem, web: Nginx) -> None:
        """GET and PUT on one connection that is kept alive."""
        body = bytes(range(256)) * 20
        with modem.installed(strict=True):
            async with httpx.AsyncClient(base_url=PLAIN, timeout=TIMEOUT_S) as client:
                assert (await client.get("/hello.txt")).text == "hello from nginx\n"
                assert (await client.put("/stored/body", content=body)).status_code == 201
                assert (await client.get("/none")).status_code == 404
        assert (web.pages / "stored/body").read_bytes() == body
        assert web.requests() == [
            "HTTP/1.1 GET /hello.txt 200 17",
            "HTTP/1.1 PUT /stored/body 201 0",
            "HTTP/1.1 GET /none 404 153",
        ]
        assert modem.statistics.opens == 1

    @pytest.mark.usefixtures("trusting")
    async def test_https(self, modem: aiobc9x.Modem, web: Nginx) -> None:
        """Twenty thousand bytes over TLS, the certificate checked."""
        with modem.installed(strict=True):
            async with httpx.AsyncClient(base_url=SECURE, timeout=TIMEOUT_S) as client:
                answer = await client.get("/big.bin")
        assert answer.http_version == "HTTP/1.1"
        assert answer.content == (web.pages / "big.bin").read_bytes()
        assert modem.statistics.payload_bytes_received > 20_000

    @pytest.mark.usefixtures("trusting")
    async def test_http2(self, modem: aiobc9x.Modem, web: Nginx) -> None:
        """Requests side by side share one connection."""
        with modem.installed(strict=True):
            async with httpx.AsyncClient(base_url=SECURE, timeout=TIMEOUT_S, http2=True) as client:
                first = await client.get("/hello.txt")
                answers = await asyncio.gather(*(client.get("/hello.txt") for _ in range(5)))
        assert {answer.http_version for answer in (first, *answers)} == {"HTTP/2"}
        assert {answer.text for answer in answers} == {"hello from nginx\n"}
        assert web.requests() == ["HTTP/2.0 GET /hello.txt 200 17"] * 6
        assert modem.statistics.opens == 1

    @pytest.mark.usefixtures("web")
    async def test_failures(self, modem: aiobc9x.Modem) -> None:
        """An unknown name, a refusal and an unknown authority are httpx's ``ConnectError``."""
        with modem.installed(strict=True):
            async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
                for url in ("http://nobody.example", "http://web.example:9", SECURE):
                    with pytest.raises(httpx.ConnectError):
                        await client.get(url)
                assert (await client.get(f"{PLAIN}/hello.txt")).status_code == 200


class TestAiohttp:
    """Through ``installed()``: it makes a socket of its own and has the loop connect that."""

    async def test_requests(self, modem: aiobc9x.Modem, web: Nginx) -> None:
        """GET and PUT on one connection that is kept alive."""
        body = bytes(range(256)) * 20
        with modem.installed(strict=True):
            async with aiohttp.ClientSession(PLAIN, timeout=PATIENCE) as session:
                async with session.get("/hello.txt") as answer:
                    assert await answer.text() == "hello from nginx\n"
                async with session.put("/stored/body", data=body) as answer:
                    assert answer.status == 201
        assert (web.pages / "stored/body").read_bytes() == body
        assert modem.statistics.opens == 1
        assert modem.statistics.payload_bytes_sent > len(body)

    async def test_https(self, modem: aiobc9x.Modem, web: Nginx, trusting: Certificates) -> None:
        """Twenty thousand bytes over TLS, the certificate checked."""
        trust = ssl.create_default_context(cafile=str(trusting.authority))
        with modem.installed(strict=True):
            async with (
                aiohttp.ClientSession(SECURE, timeout=PATIENCE) as session,
                session.get("/big.bin", ssl=trust) as answer,
            ):
                assert await answer.read() == (web.pages / "big.bin").read_bytes()
        assert modem.statistics.payload_bytes_received > 20_000

    @pytest.mark.usefixtures("web")
    async def test_failures(self, modem: aiobc9x.Modem) -> None:
        """An unknown name, a refusal and an unknown authority are aiohttp's errors."""
        expected: dict[str, type[aiohttp.ClientError]] = {
            "http://nobody.example": aiohttp.ClientConnectorDNSError,
            "http://web.example:9": aiohttp.ClientConnectorError,
            f"{SECURE}/hello.txt": aiohttp.ClientConnectorCertificateError,
        }
        with modem.installed(strict=True):
            async with aiohttp.ClientSession(timeout=PATIENCE) as session:
                for url, error in expected.items():
                    with pytest.raises(error):
                        await session.get(url)
                async with session.get(f"{PLAIN}/hello.txt") as answer:
                    assert answer.status == 200


@pytest.mark.usefixtures("trusting")
class TestPrograms:
    """docs/clients/http.md."""

    @pytest.mark.parametrize("suffix", FAMILIES)
    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    async def test_httpx(
        self, site: Site, web: Nginx, tmp_path: Path, loop: str, suffix: str
    ) -> None:
        """Two requests at once over HTTP/2, also on uvloop; with httpx2 alike."""
        change = {"httpx": f"httpx{suffix}"}
        said = await output("http", "httpx", site, tmp_path, loop=loop, change=change)
        assert said == ["HTTP/2 200 hello from nginx", "", "HTTP/2 201 "]
        assert (web.pages / "stored/report").read_text() == "21.5"

    async def test_aiohttp(self, site: Site, web: Nginx, tmp_path: Path) -> None:
        """One request after the other."""
        said = await output("http", "aiohttp", site, tmp_path)
        assert said == ["200 hello from nginx", "", "201"]
        assert (web.pages / "stored/report").read_text() == "21.5"
        assert site.virtual.statistics.opens == 1
