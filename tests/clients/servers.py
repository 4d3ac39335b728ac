"""Real servers, each on free ports of loopback with files of its own, ended by its process ID.

None of them is the instance that a Debian package starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import trustme

from aiobc9x.sim.peers import reserved_port
from tests.support.realtime import PATIENCE_S

LOOPBACK: Final = "127.0.0.1"

PROBE_S: Final = 0.01
"""Between two looks at a server that starts."""

TRIES: Final = 3
"""A port is kept for a server of TCP; one of UDP may find it taken."""

CARED_FOR: Final = bool(os.environ.get("CI"))
"""Where .ci/run has installed the servers, a missing one is a failure."""


def program(package: str, *names: str) -> str:
    """Return the path of the first program there is; skip the test if there is none.

    Args:
        package: The Debian package that has it.
        names: What it may be called.

    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"))
    for name in names:
        found = shutil.which(name, path=path)
        if found is not None:
            return found
    reason = f"no {names[0]} on this machine; on Debian and Ubuntu: sudo apt install {package}"
    if CARED_FOR:
        pytest.fail(f"{reason} (CI is set, so no test may be left out)")
    pytest.skip(reason)


async def accepts(port: int) -> bool:
    """Tell whether somebody listens on a TCP port of loopback."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


class _Pong(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard = asyncio.Event()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.set()


async def answers_coap(port: int) -> bool:
    """Tell whether a CoAP server resets the empty message of RFC 7252, section 4.3."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_Pong, remote_addr=(LOOPBACK, port))
    try:
        transport.sendto(bytes((0x40, 0, 0, 1)))
        await asyncio.wait_for(protocol.heard.wait(), 0.2)
    except TimeoutError:
        return False
    finally:
        transport.close()
    return True


class StartFailed(RuntimeError):
    """A server ended, or said nothing, before it was ready."""


@asynccontextmanager
async def running(
    command: Sequence[str | Path], folder: Path, ready: Callable[[], Awaitable[bool]]
) -> AsyncIterator[None]:
    """Run a server in the foreground until the end of the block.

    Args:
        command: Its command line.
        folder: Its working directory; ``output`` there gets what it says.
        ready: Tells whether it answers.

    Raises:
        StartFailed: It didn't get there; the text has its output.

    """
    output = folder / "output"
    with output.open("wb") as said:
        server = await asyncio.create_subprocess_exec(
            *map(str, command),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        await _until_ready(server, ready, output)
        yield
    finally:
        await _end(server)


async def _until_ready(
    server: asyncio.subprocess.Process, ready: Callable[[], Awaitable[bool]], output: Path
) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await ready():
                if server.returncode is not None:
                    raise StartFailed(f"the server ended: {_text(output)}")
                await asyncio.sleep(PROBE_S)
    except TimeoutError:
        raise StartFailed(f"the server doesn't answer: {_text(output)}") from None


def _text(output: Path) -> str:
    return output.read_text("utf-8", "replace")


async def _end(server: asyncio.subprocess.Process) -> None:
    if server.returncode is None:
        server.terminate()
    try:
        await asyncio.wait_for(server.wait(), PATIENCE_S)
    except TimeoutError:
        server.kill()
        await server.wait()


@asynccontextmanager
async def _with_ports(
    count: int, start: Callable[[Sequence[int]], contextlib.AbstractAsyncContextManager[None]]
) -> AsyncIterator[Sequence[int]]:
    """Start a server on ports that are kept for it; on others, if somebody has the same of UDP."""
    async with contextlib.AsyncExitStack() as stack:
        for last in (False,) * (TRIES - 1) + (True,):
            ports = [stack.enter_context(reserved_port()) for _ in range(count)]
            try:
                await stack.enter_async_context(start(ports))
                break
            except StartFailed:
                if last:
                    raise
        yield ports


class Certificates:
    """A certificate authority of the test, and what it signed.

    Attributes:
        authority: The file with its root, for clients (``SSL_CERT_FILE``, ``--cacert``).

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = trustme.CA()
        self.authority = folder / "authority.pem"
        self._root.cert_pem.write_to_path(self.authority)

    def issue(self, *names: str) -> tuple[Path, Path]:
        """Sign a certificate; return the files of its chain and its key."""
        leaf = self._root.issue_cert(*names)
        chain, key = self._folder / f"{names[0]}.pem", self._folder / f"{names[0]}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(key)
        return chain, key


def _as_root(line: str) -> str:
    """Keep a server that drops root's rights from losing its files in our folder."""
    return line if os.geteuid() == 0 else ""


@asynccontextmanager
async def mosquitto(folder: Path, certificates: Certificates) -> AsyncIterator[tuple[int, int]]:
    """Run an MQTT broker; give its port and the one for TLS."""
    binary = program("mosquitto", "mosquitto")
    chain, key = certificates.issue("broker.example")
    async with _with_ports(2, lambda ports: _mosquitto(binary, folder, ports, chain, key)) as found:
        yield found[0], found[1]


def _mosquitto(
    binary: str, folder: Path, ports: Sequence[int], chain: Path, key: Path
) -> contextlib.AbstractAsyncContextManager[None]:
    config = folder / "mosquitto.conf"
    config.write_text(
        f"""{_as_root("user root")}
allow_anonymous true
persistence false
log_dest stdout
listener {ports[0]} {LOOPBACK}
listener {ports[1]} {LOOPBACK}
certfile {chain}
keyfile {key}
"""
    )

    async def ready() -> bool:
        return await accepts(ports[0]) and await accepts(ports[1])

    return running([binary, "-c", config], folder, ready)


NGINX_CONF: Final = """{user}
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    log_format seen '$server_protocol $request_method $uri $status $body_bytes_sent';
    access_log {folder}/access.log seen;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 1m;
    server {{
        listen {address}:{http};
        listen {address}:{https} ssl http2;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        root {folder}/pages;
        default_type application/octet-stream;
        types {{ text/plain txt; }}
        location /stored/ {{ dav_methods PUT DELETE; create_full_put_path on; }}
    }}
}}
"""


class Nginx:
    """A web server.

    Attributes:
        http: Its port for HTTP.
        https: Its port for HTTPS, with HTTP/2 for those who ask for it.
        pages: The files that it serves; ``stored/`` below takes PUT.

    """

    def __init__(self, folder: Path, http: int, https: int) -> None:
        self.http, self.https = http, https
        self.pages = folder / "pages"
        self._log = folder / "access.log"

    def requests(self) -> list[str]:
        """Return what it was asked: ``protocol method path status bytes`` of each."""
        return self._log.read_text().splitlines()


@asynccontextmanager
async def nginx(folder: Path, certificates: Certificates) -> AsyncIterator[Nginx]:
    """Run a web server with ``hello.txt`` and ``big.bin`` (20,000 bytes)."""
    binary = program("nginx-light", "nginx")
    chain, key = certificates.issue("web.example")
    pages = folder / "pages"
    (pages / "stored").mkdir(parents=True)
    (pages / "hello.txt").write_text("hello from nginx\n")
    (pages / "big.bin").write_bytes(bytes(number * 7 % 256 for number in range(20_000)))

    def start(ports: Sequence[int]) -> contextlib.AbstractAsyncContextManager[None]:
        config = folder / "nginx.conf"
        config.write_text(
            NGINX_CONF.format(
                user=_as_root("user root;"),
                folder=folder,
                address=LOOPBACK,
                http=ports[0],
                https=ports[1],
                chain=chain,
                key=key,
            )
        )

        async def ready() -> bool:
            return await accepts(ports[0]) and await accepts(ports[1])

        command: list[str | Path] = [binary, "-c", config, "-p", folder, "-e", folder / "error.log"]
        return running(command, folder, ready)

    async with _with_ports(2, start) as found:
        yield Nginx(folder, found[0], found[1])


@asynccontextmanager
async def coap_server(folder: Path) -> AsyncIterator[int]:
    """Run libcoap's example server; give its UDP port. PUT makes up to ten resources."""
    flavours = ("notls", "openssl", "gnutls")
    binary = program(
        "libcoap3-bin", *(f"coap-server-{flavour}" for flavour in flavours), "coap-server"
    )

    def start(ports: Sequence[int]) -> contextlib.AbstractAsyncContextManager[None]:
        command = [binary, "-A", LOOPBACK, "-p", str(ports[0]), "-d", "10"]
        return running(command, folder, lambda: answers_coap(ports[0]))

    async with _with_ports(1, start) as found:
        yield found[0]


@asynccontextmanager
async def redis_server(folder: Path) -> AsyncIterator[int]:
    """Run a redis that keeps nothing; give its port."""
    binary = program("redis-server", "redis-server", "valkey-server")

    def start(ports: Sequence[int]) -> contextlib.AbstractAsyncContextManager[None]:
        command: list[str | Path] = [
            binary,
            "--bind",
            LOOPBACK,
            "--port",
            str(ports[0]),
            "--dir",
            folder,
        ]
        command += ["--save", "", "--appendonly", "no"]
        return running(command, folder, lambda: accepts(ports[0]))

    async with _with_ports(1, start) as found:
        yield found[0]
