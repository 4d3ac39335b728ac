"""``connect``, ``listen`` and ``forward``, run as programs between real sockets."""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from aiobc9x.cli import piping
from aiobc9x.sim.peers import reserved_port
from tests.support.clock import running, virtual
from tests.support.realtime import PATIENCE_S, ending
from tests.support.tls import authority, server_context

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs pseudo terminals")

ROOT = Path(__file__).resolve().parents[2]
NAME = "server.example"
ADDRESS = f"sim://?host={NAME}:127.0.0.1"
PATIENT = ("--linger", str(PATIENCE_S))
"""For a connection that its peer ends."""


def program(
    *arguments: str, port: str = ADDRESS
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Run a command until the block ends."""
    line = [sys.executable, "-m", "aiobc9x", *arguments, "--port", port]
    pipe = subprocess.PIPE
    return ending(subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT))


def ended(process: subprocess.Popen[bytes], data: bytes = b"") -> tuple[int, bytes, bytes]:
    """Give a program the rest of its input; return its code and what it prints."""
    out, err = process.communicate(data, timeout=PATIENCE_S)
    return process.returncode, out, err


@contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve one client after the other on loopback; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    handle(client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE_S)


def echo(client: socket.socket) -> None:
    """Send back what comes."""
    try:
        while data := client.recv(4096):
            client.sendall(data)
    except ConnectionError:
        pass  # closed with data unread


def test_connect_carries_bytes_both_ways() -> None:
    """Whatever they are, and all of them, though stdin ends before the first comes back."""
    data = random.Random(7).randbytes(20_000)

    def send_back(client: socket.socket) -> None:
        left = len(data)
        while left:
            piece = client.recv(4096)
            client.sendall(piece)
            left -= len(piece)

    with serving(send_back) as port, program("connect", NAME, str(port), *PATIENT) as process:
        code, out, err = ended(process, data)
    assert (code, err) == (0, f"connected to {NAME}, port {port}\n".encode())
    assert out == data


def test_connect_ends_with_its_peer() -> None:
    """Stdin may still be open then."""
    bye = serving(lambda client: client.sendall(b"bye\n"))
    with bye as port, program("connect", NAME, str(port)) as process:
        assert process.stdout is not None
        assert process.stdout.read() == b"bye\n"
        assert process.wait(PATIENCE_S) == 0


def test_connect_with_tls(tmp_path: Path) -> None:
    """The peer's certificate is checked against the file."""
    ca = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(ca)

    def handle(client: socket.socket) -> None:
        try:
            with server_context().wrap_socket(client, server_side=True) as tls:
                tls.sendall(b"secret " + tls.recv(100))
        except (ssl.SSLError, ConnectionError):
            pass  # a client that doesn't trust us

    with serving(handle) as port:
        with program("connect", NAME, str(port), *PATIENT, "--ca", str(ca)) as process:
            assert ended(process, b"question")[:2] == (0, b"secret question")
        with program("connect", NAME, str(port), "--tls") as process:
            code, out, err = ended(process, b"question")
    assert (code, out) == (1, b"")
    assert b"certificate verify failed" in err
    assert err.count(b"\n") == 1


def test_connect_by_udp() -> None:
    """A datagram each way; the end of stdin and silence end it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(PATIENCE_S)
        line = ("connect", NAME, str(peer.getsockname()[1]), "--udp", "--linger", "0.1")
        with program(*line) as process:
            assert process.stdin is not None
            process.stdin.write(b"one\n")
            process.stdin.flush()
            data, address = peer.recvfrom(100)
            peer.sendto(data.upper(), address)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ONE\n"
            code, out, err = ended(process)
    assert (data, code, out, err) == (b"one\n", 0, b"", b"")


def test_connect_says_why_it_fails() -> None:
    """In one line, with the code of its kind."""
    with reserved_port() as port, program("connect", NAME, str(port)) as process:
        code, out, err = ended(process)
    assert (code, out) == (1, b"")
    assert err.startswith(b"aiobc9x: connection refused: server.example:")
    with program("connect", NAME, "80", "--udp", "--tls") as process:
        assert ended(process)[0] == 2
    with program("connect", NAME, "0") as process:
        assert ended(process)[0] == 2


def test_ctrl_c_leaves_the_module_clean() -> None:
    """The socket of the connection is closed on the module, and nothing is printed."""
    simulate = [sys.executable, "-m", "aiobc9x", "simulate", ADDRESS]
    pipe = subprocess.PIPE
    with ending(subprocess.Popen(simulate, stdout=pipe, stderr=pipe)) as module:
        assert module.stdout is not None
        device = module.stdout.readline().decode().strip()
        with serving(echo) as port, program("connect", NAME, str(port), port=device) as process:
            assert process.stderr is not None
            assert process.stderr.readline().startswith(b"connected")
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 130
            assert process.stderr.read() == b""
        line = os.open(device, os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(line, b"AT+QISTATE?\r")
            said = b""
            while not said.endswith(b"OK\r\n"):
                said += os.read(line, 1000)
            assert b"+QISTATE:" not in said
        finally:
            os.close(line)


def listener(
    port: str, real: int, *options: str
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Listen on a port of the module, which is another one of this machine."""
    return program("listen", port, *options, port=f"sim://?listen_port={port}:{real}")


def listening(process: subprocess.Popen[bytes]) -> None:
    """Wait until a listener says that it is one."""
    assert process.stderr is not None
    assert process.stderr.readline().startswith(b"listening on ")


def test_listen_serves_one_client_and_ends() -> None:
    """Stdin goes to the client, and what comes is printed."""
    with reserved_port() as real, listener("2020", real) as process:
        listening(process)
        with socket.create_connection(("127.0.0.1", real), PATIENCE_S) as client:
            assert process.stdin is not None
            process.stdin.write(b"hello\n")
            process.stdin.flush()
            assert client.recv(100) == b"hello\n"
            client.sendall(b"and goodbye\n")
        code, out, err = ended(process)
    assert (code, out) == (0, b"and goodbye\n")
    assert b"has connected" in err


def test_listen_keeps_on_if_it_is_told_to() -> None:
    """The next client is served when the one before has gone."""
    with reserved_port() as real, listener("2020", real, "--keep") as process:
        listening(process)
        assert process.stdout is not None
        for text in (b"first\n", b"second\n"):
            with socket.create_connection(("127.0.0.1", real), PATIENCE_S) as client:
                client.sendall(text)
                assert process.stdout.readline() == text
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130


def test_forward_leads_through_the_module() -> None:
    """It says where it listens, and goes on until Ctrl-C."""
    with serving(echo) as port, program("forward", f"0:{NAME}:{port}") as process:
        assert process.stdout is not None
        words = process.stdout.readline().decode().split()
        local = int(words[words.index("port") + 1].rstrip(","))
        with socket.create_connection(("127.0.0.1", local), PATIENCE_S) as client:
            client.sendall(b"through")
            client.settimeout(PATIENCE_S)
            assert client.recv(100) == b"through"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_forward_refuses_what_it_can_not_read() -> None:
    """Before the port is opened."""
    with program("forward", "broker.example") as process:
        code, _, err = ended(process)
    assert code == 2
    assert err.count(b"\n") == 1


class TestSilence:
    """What ends a connection that its peer doesn't, under a clock."""

    @pytest.mark.parametrize(
        ("comes_at", "ends_at"), [([], 5.0), ([4.5], 6.5), ([1.0, 4.5, 6.0], 8.0), ([7.5], 5.0)]
    )
    @virtual
    async def test_it_counts_from_the_last_byte_either_way(
        self, monkeypatch: pytest.MonkeyPatch, comes_at: list[float], ends_at: float
    ) -> None:
        """A slow line has sent all before it lingers, and what comes in time is waited for."""
        began, printed = running().now, bytearray()
        times = iter(comes_at)

        async def pieces() -> AsyncIterator[bytes]:
            yield b"x" * 3000

        async def send(_piece: bytes) -> None:
            await asyncio.sleep(3)  # what they take at 9600 baud

        async def receive() -> bytes:
            time = next(times, math.inf)
            await asyncio.sleep(min(began + time - running().now, 1000))
            return b"y"

        async def put(data: bytes) -> None:
            printed.extend(data)

        monkeypatch.setattr(piping, "pieces", pieces)
        monkeypatch.setattr(piping, "put", put)
        await piping.pipe(send, receive, linger=2)
        assert running().now - began == pytest.approx(ends_at, abs=0.01)
        assert len(printed) == len([time for time in comes_at if time < ends_at])
