"""VirtualModule: ptys and TCP, which need the kernel and real time."""

import asyncio
import os
import sys
import termios
from collections.abc import Callable
from contextlib import suppress

import pytest

from aiobc9x.sim.links import VirtualModule, parse_address, serve
from aiobc9x.sim.memory import MemoryNetwork
from aiobc9x.sim.options import SimOptions
from tests.sim.desk import PORT, lines
from tests.sim.host import turns_until
from tests.support.words import OK


async def read_fd(fd: int, end: bytes) -> bytes:
    """Read a device until it has said ``end``."""
    loop = asyncio.get_running_loop()
    got = bytearray()
    done = loop.create_future()

    def readable() -> None:
        with suppress(BlockingIOError):
            got.extend(os.read(fd, 4096))
        if got.endswith(end) and not done.done():
            done.set_result(None)

    loop.add_reader(fd, readable)
    try:
        await done
    finally:
        loop.remove_reader(fd)
    return bytes(got)


@pytest.fixture
def device() -> Callable[[str], int]:
    """Open a device as a plain program does."""
    return lambda path: os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


@pytest.mark.skipif(sys.platform == "win32", reason="no ptys")
class TestPty:
    """A real device."""

    async def test_close_and_open_again(self, device: Callable[[str], int]) -> None:
        """The host may come and go; the module and its settings stay."""
        async with VirtualModule(SimOptions(), network=MemoryNetwork()) as virtual:
            path = await virtual.start_pty()
            fd = device(path)
            os.write(fd, b"ATE0\r")
            assert await read_fd(fd, b"ATE0\r" + OK) == lines("RDY") + b"ATE0\r" + OK
            for _ in range(3):
                os.close(fd)
                fd = device(path)
                os.write(fd, b"AT+CGMM\r")
                assert await read_fd(fd, OK) == lines("BC65") + OK
            os.close(fd)

    async def test_bytes_pass_unchanged(self, device: Callable[[str], int]) -> None:
        """Raw mode: no byte means anything to the terminal."""
        network = MemoryNetwork()
        network.serve_tcp(PORT, lambda peer: peer.answer_with(peer.send))
        async with VirtualModule(SimOptions(), network=network) as virtual:
            fd = device(await virtual.start_pty())
            os.write(fd, b"ATE0\r")
            await read_fd(fd, OK)
            os.write(fd, f'AT+QIOPEN=1,0,"TCP","1.2.3.4",{PORT}\r'.encode())
            await read_fd(fd, lines("+QIOPEN: 0,0"))
            os.write(fd, b"AT+QISEND=0,256\r")
            await read_fd(fd, b"\r\n> ")
            os.write(fd, bytes(range(256)))
            await read_fd(fd, lines("SEND OK"))
            os.write(fd, b"AT+QIRD=0,256\r")
            answer = await read_fd(fd, b"\r\n" + OK)
            assert answer == b"\r\n+QIRD: 256\r\n" + bytes(range(256)) + b"\r\n" + OK
            os.close(fd)

    async def test_a_host_that_does_not_read(self, device: Callable[[str], int]) -> None:
        """The kernel's buffer fills, then the peer waits; nothing is lost."""
        network = MemoryNetwork()
        network.serve_tcp(PORT)
        async with VirtualModule(SimOptions(), network=network) as virtual:
            fd = device(await virtual.start_pty())
            os.write(fd, f'ATE0\rAT+QIOPEN=1,0,"TCP","1.2.3.4",{PORT},0,1\r'.encode())
            await read_fd(fd, lines("+QIOPEN: 0,0"))
            for _ in range(200):
                network.peers[0].send(b"\x01" * 1000)
            await turns_until(lambda: network.peers[0].paused)
            assert virtual.module.output_pending < 20_000
            network.peers[0].send(b"the end")
            got = await read_fd(fd, b"the end\r\n")
            assert got.count(b"\x01") == 200_000
            os.close(fd)

    async def test_wrong_speed_is_noise(self, device: Callable[[str], int]) -> None:
        """``strict_baud``: the device's rate has to be the module's."""
        options = SimOptions(strict_baud=True, baud=57600, banner="")
        async with VirtualModule(options, network=MemoryNetwork()) as virtual:
            fd = device(await virtual.start_pty())
            attributes = termios.tcgetattr(fd)
            attributes[4] = attributes[5] = termios.B9600
            termios.tcsetattr(fd, termios.TCSANOW, attributes)
            os.write(fd, b"AT\r")
            virtual.say("+NOISE")
            await turns_until(lambda: virtual.statistics.bytes_out)
            attributes[4] = attributes[5] = termios.B57600
            termios.tcsetattr(fd, termios.TCSANOW, attributes)
            termios.tcflush(fd, termios.TCIFLUSH)
            os.write(fd, b"AT\r")
            got = await read_fd(fd, b"AT\r" + OK)
            assert b"NOISE" not in got
            os.close(fd)


class TestTcp:
    """Like a serial server."""

    async def test_one_host_at_a_time(self) -> None:
        """A second one is turned away until the first has gone."""
        async with VirtualModule(SimOptions(), network=MemoryNetwork()) as virtual:
            port = await virtual.start_tcp()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"ATE0\r")
            await reader.readuntil(b"\r\r\nOK\r\n")
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)
            with suppress(ConnectionError):
                assert await other_reader.read() == b""
            other_writer.close()
            writer.write(b"AT\r")
            assert await reader.readexactly(6) == OK
            writer.close()
            await turns_until(lambda: virtual.tcp_link is None)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"AT\r")
            assert await reader.readexactly(6) == OK
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


class TestServe:
    """What the command line runs."""

    @pytest.mark.parametrize("link", ["pty", "tcp"])
    async def test_until_cancelled(self, link: str) -> None:
        """The path is reported once; cancelling releases everything."""
        ready: asyncio.Queue[str] = asyncio.Queue()
        work = serve(
            parse_address("sim://?seed=1"),
            link=link,  # type: ignore[arg-type]  # one of two
            on_ready=ready.put_nowait,
        )
        task = asyncio.create_task(work)
        path = await ready.get()
        assert path.startswith("/dev/" if link == "pty" else "socket://127.0.0.1:")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
