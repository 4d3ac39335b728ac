"""The poster, and a web service with TLS that is not always at its best."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.clients.servers import LOOPBACK, Certificates
from tests.examples.running import example, interrupt


@dataclass
class Service:
    """What was posted, and what is answered first.

    Attributes:
        port: Where it listens.
        posted: The key, the token and the reading of each request, in order.
        answers: The status of the first answers; later ones are 201.

    """

    port: int = 0
    posted: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    async def post(self, request: web.Request) -> web.Response:
        """Take a reading."""
        head = request.headers
        reading = await request.json()
        self.posted.append((head["Idempotency-Key"], head.get("Authorization", ""), reading))
        return web.Response(status=self.answers.pop(0) if self.answers else 201)


@pytest.fixture
async def service(certificates: Certificates) -> AsyncIterator[Service]:
    """A web service as api.example; it wants a certificate of its clients."""
    service = Service()
    app = web.Application()
    app.router.add_post("/readings", service.post)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cafile=str(certificates.authority)
    )
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*certificates.issue("api.example"))
    site = web.TCPSite(runner, LOOPBACK, 0, ssl_context=context)
    await site.start()
    service.port = runner.addresses[0][1]
    yield service
    await runner.cleanup()


def arguments(service: Service, certificates: Certificates, folder: Path) -> list[str]:
    """The command line: an authority, and a certificate to show."""
    chain, key = certificates.issue("meter-17.example")
    mine = folder / "mine.pem"
    mine.write_bytes(chain.read_bytes() + key.read_bytes())
    port = f"sim://?host=api.example:{LOOPBACK}&remote_port=443:{service.port}"
    trust = ["--ca", str(certificates.authority), "--cert", str(mine)]
    return ["--port", port, "--every", "0.3", *trust, "https://api.example/readings"]


async def test_posts(service: Service, certificates: Certificates, tmp_path: Path) -> None:
    """Each reading has a key of its own, and the token of the environment."""
    line = arguments(service, certificates, tmp_path)
    async with example(
        "https_post", *line, folder=tmp_path, environment={"API_TOKEN": "s3cret"}
    ) as program:
        for _ in range(3):
            await program.line("posted: 201 Created")
        await interrupt(program)
    assert len({key for key, _, _ in service.posted}) == len(service.posted) >= 3
    assert {token for _, token, _ in service.posted} == {"Bearer s3cret"}
    assert {"time", "load"} == service.posted[0][2].keys()


async def test_tries_again(service: Service, certificates: Certificates, tmp_path: Path) -> None:
    """A server that is busy gets the same reading under the same key; one that refuses doesn't."""
    service.answers = [503, 400]
    line = arguments(service, certificates, tmp_path)
    async with example("https_post", *line, folder=tmp_path) as program:
        await program.line("trying again in 5 s: 503 Service Unavailable")
        await program.line("refused for good: 400 Bad Request")
        await program.line("posted: 201 Created")
        await interrupt(program)
    first, second, third = service.posted[:3]
    assert first == second
    assert third[0] != first[0]


async def test_distrust(service: Service, certificates: Certificates, tmp_path: Path) -> None:
    """A certificate that nobody vouches for is no server to post to."""
    line = arguments(service, certificates, tmp_path)
    at = line.index("--ca")
    async with example("https_post", *line[:at], *line[at + 2 :], folder=tmp_path) as program:
        await program.line("CERTIFICATE_VERIFY_FAILED")
        await interrupt(program)
    assert service.posted == []


async def test_no_such_certificate(tmp_path: Path) -> None:
    """A file that is not there is one line, not a traceback."""
    line = ["--port", "sim://", "--cert", "/does/not/exist", "https://api.example/readings"]
    async with example("https_post", *line, folder=tmp_path) as program:
        said = await program.end()
    assert program.process.returncode == 1
    assert "No such file" in said
    assert "Traceback" not in said
