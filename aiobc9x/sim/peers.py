"""Servers for tests: echo, HTTP, and MQTT where mosquitto is installed.

Layer: sim; imports asyncio. They are behind the virtual module's network, whichever it is: in
memory, or on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, cast

from aiobc9x.sim.memory import MemoryNetwork, Peer
from aiobc9x.sim.virtual_modem import VirtualModem

__all__ = ["ModemPeer", "reserved_port"]

HOST: Final = "peer.example"
"""The name of the machine on which they are, where a program needs one."""

_LOOPBACK: Final = "127.0.0.1"
_FIRST_PORT: Final = 20000
_PORT_TRIES: Final = 10
_START_S: Final = 60.0
_LOOK_S: Final = 0.05

Answers = Callable[[bytes], bytes]
"""Takes what a client has sent, and gives what it gets back now."""


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Keep a TCP port of loopback for a server that is to have it, from now to the block's end.

    The port is bound here, so nobody is given it who asks for any port, and no connection goes out
    from it. A server that listens with SO_REUSEADDR, as nearly all do, gets it all the same, since
    nobody listens yet, and may come and go; meanwhile connections are refused. So it is on Linux;
    other systems share no bound port, and there it is one that was free a moment ago.
    """
    with socket.socket() as holder:
        holder.bind((_LOOPBACK, 0))
        port: int = holder.getsockname()[1]
        if sys.platform == "linux":
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            holder.close()
        yield port


class ModemPeer:
    """A machine behind the network, on which servers can be started.

    Args:
        virtual: The virtual module that reaches it.
        folder: Where programs may leave their files.
        numbered: Give the servers the ports 20001, 20002 and so on, by which nobody but the
            module reaches them: a dialogue can then be compared with that of another run. Else
            their ports are those of loopback.

    Attributes:
        host: Its name; give it to the modem.

    """

    def __init__(self, virtual: VirtualModem, folder: Path, *, numbered: bool = False) -> None:
        self.host = HOST
        self._virtual, self._is_numbered = virtual, numbered
        self._network, self._folder = virtual.network, folder
        self._is_virtual = isinstance(virtual.network, MemoryNetwork)
        self._next_port = _FIRST_PORT
        self._closing = contextlib.AsyncExitStack()

    async def echo(self) -> int:
        """Start a server that sends back what it gets, by TCP and by UDP; return its port."""
        return await self._serve(lambda: bytes, with_udp=True)

    async def http(self, pages: Mapping[str, bytes]) -> int:
        """Start a web server; return its port.

        Args:
            pages: What it has at each path; other paths are 404.

        """
        return await self._serve(lambda: _Web(pages))

    async def mqtt(self) -> int:
        """Start an MQTT broker, mosquitto; return its port.

        Raises:
            FileNotFoundError: mosquitto is not installed.
            RuntimeError: Time is virtual, where a program can't take part; or it doesn't start.
            TimeoutError: It doesn't listen within a minute.

        """
        if self._is_virtual:
            raise RuntimeError("a broker takes real time: leave the fixture modem_clock out")
        program = shutil.which("mosquitto", path=_search_path())
        if program is None:
            raise FileNotFoundError(2, "mosquitto is not installed", "mosquitto")
        port = self._closing.enter_context(reserved_port())
        settings = self._folder / "mosquitto.conf"
        settings.write_text(f"listener {port} {_LOOPBACK}\nallow_anonymous true\n", "utf-8")
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            program, "-c", str(settings), stdin=quiet, stdout=quiet, stderr=quiet
        )
        self._closing.push_async_callback(_end, process)
        async with asyncio.timeout(_START_S):
            while not await _accepts(port):
                if process.returncode is not None:
                    raise RuntimeError(f"mosquitto ended instead of listening on port {port}")
                await asyncio.sleep(_LOOK_S)
        return self._told(port)

    async def aclose(self) -> None:
        """End all servers."""
        await self._closing.aclose()

    async def _serve(self, make: Callable[[], Answers], *, with_udp: bool = False) -> int:
        if isinstance(self._network, MemoryNetwork):
            self._next_port += 1

            def connected(peer: Peer) -> None:
                answers = make()
                peer.answer_with(lambda data: peer.send(answers(data)))

            self._network.serve_tcp(self._next_port, connected)
            if with_udp:
                self._network.serve_udp(self._next_port, connected)
            return self._next_port
        loop = asyncio.get_running_loop()
        for is_last in (False,) * (_PORT_TRIES - 1) + (True,):
            server = await loop.create_server(lambda: _Connection(make()), _LOOPBACK, 0)
            self._closing.callback(server.close)
            address = server.sockets[0].getsockname()
            if not with_udp:
                break
            try:
                transport, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(make()), local_addr=address
                )
            except OSError:  # somebody has the same port of UDP
                if is_last:
                    raise
                server.close()
                continue
            self._closing.callback(transport.close)
            break
        return self._told(address[1])

    def _told(self, port: int) -> int:
        """Return the port by which a server is reached."""
        if not self._is_numbered:
            return port
        self._next_port += 1
        self._virtual.lead(self._next_port, port)
        return self._next_port


class _Connection(asyncio.Protocol):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._answers(data))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # none to isinstance() in 3.11

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        self._transport.sendto(self._answers(data), addr)


class _Web:
    """The least of HTTP/1.1: GET and HEAD, one request after the other."""

    def __init__(self, pages: Mapping[str, bytes]) -> None:
        self._pages, self._held = pages, b""

    def __call__(self, data: bytes) -> bytes:
        self._held += data
        answers = b""
        while b"\r\n\r\n" in self._held:
            head, _, self._held = self._held.partition(b"\r\n\r\n")
            answers += self._answer(head)
        return answers

    def _answer(self, head: bytes) -> bytes:
        method, path, _ = (head.split(b"\r\n", 1)[0].decode("latin-1") + "  ").split(" ", 2)
        if method not in {"GET", "HEAD"}:
            status, body = "405 Method Not Allowed", b""
        else:
            found = self._pages.get(path)
            status, body = ("404 Not Found", b"") if found is None else ("200 OK", found)
        lines = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
        return lines.encode() + (body if method != "HEAD" else b"")


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    await process.wait()


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(_LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def _search_path() -> str:
    """Return where programs are; Debian puts servers where an ordinary user doesn't look."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
