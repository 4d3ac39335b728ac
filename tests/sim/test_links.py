"""VirtualModule: memory, pty and TCP links, pacing, back-pressure, clean ends.

Times are those of a virtual loop; only what needs the kernel runs in real time, and
waits for events, not for a while.
"""

import asyncio
import os
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import pytest

from aiobc9x.sim.driver import IN_HIGH
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.links import VirtualModule, parse_address, serve
from aiobc9x.sim.memory import MemoryNetwork
from aiobc9x.sim.nvram import Nvram
from aiobc9x.sim.options import SimOptions
from tests.sim.clock import run
from tests.sim.desk import OK, PORT, lines

BYTE_S = 10 / 9600


class Host(asyncio.Protocol):
    """Collects what the module says, with times."""

    def __init__(self) -> None:
        self.chunks: list[tuple[float, bytes]] = []
        self.calls: list[str] = []
        self._more = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.chunks.append((asyncio.get_running_loop().time(), data))
        self._more.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    @property
    def said(self) -> bytes:
        return b"".join(data for _, data in self.chunks)

    @property
    def last_time(self) -> float:
        return self.chunks[-1][0]

    def forget(self) -> None:
        self.chunks.clear()

    async def until(self, end: bytes) -> bytes:
        """Wait until the module has said ``end``, and return what it said."""
        while not self.said.endswith(end):
            self._more.clear()
            await self._more.wait()
        return self.said


async def connected(
    options: SimOptions, network: MemoryNetwork | None = None
) -> tuple[VirtualModule, Host]:
    """A module and a host in memory, past the banner and the echo."""
    virtual = VirtualModule(options, network=network or MemoryNetwork(options))
    host = Host()
    virtual.connect_memory(host)
    await asyncio.sleep(1)
    host.transport.write(b"ATE0\r")
    await host.until(OK)
    await asyncio.sleep(1)
    host.forget()
    return virtual, host


class TestPacing:
    """§2.1: 8N1, so that a byte takes ten bits."""

    def test_command_latency_and_answer(self) -> None:
        """3 bytes in, 20 ms, 6 bytes out."""

        async def main() -> None:
            virtual, host = await connected(SimOptions(baud=9600, latency=0.02))
            start = asyncio.get_running_loop().time()
            host.transport.write(b"AT\r")
            await host.until(OK)
            assert host.last_time - start == pytest.approx(9 * BYTE_S + 0.02, abs=1e-6)
            await virtual.aclose()

        run(main())

    @pytest.mark.parametrize("size", [1, 16, 1024])
    def test_a_read(self, size: int) -> None:
        """The whole of AT+QIRD takes (30 + 2d + n) bytes and one latency."""

        async def main() -> None:
            options = SimOptions(baud=9600, latency=0.02)
            network = MemoryNetwork(options)
            network.serve_tcp(PORT, lambda peer: peer.send(bytes(size)))
            virtual, host = await connected(options, network)
            host.transport.write(f'AT+QIOPEN=1,0,"TCP","1.2.3.4",{PORT}\r'.encode())
            await host.until(lines('+QIURC: "recv",0'))
            await asyncio.sleep(1)
            host.forget()
            start = asyncio.get_running_loop().time()
            command = f"AT+QIRD=0,{size}\r".encode()
            host.transport.write(command)
            answer = await host.until(OK)
            total = (len(command) + len(answer)) * BYTE_S + 0.02
            assert host.last_time - start == pytest.approx(total, abs=1e-6)
            await virtual.aclose()

        run(main())

    def test_commands_typed_ahead(self) -> None:
        """The answer to the first goes out while the second comes in."""

        async def main() -> None:
            virtual, host = await connected(SimOptions(baud=9600))
            start = asyncio.get_running_loop().time()
            host.transport.write(b"AT\r" * 10)
            await host.until(OK * 10)
            assert host.last_time - start == pytest.approx((3 + 60) * BYTE_S, abs=1e-6)
            await virtual.aclose()

        run(main())

    def test_rate_set_by_at_ipr(self) -> None:
        """The new rate holds from the answer on, also after a restart of the module."""

        async def main() -> None:
            nvram = Nvram()
            for expected in (9600, 115200):
                options = SimOptions(baud=9600)
                virtual = VirtualModule(options, network=MemoryNetwork(options), nvram=nvram)
                host = Host()
                virtual.connect_memory(host)
                await asyncio.sleep(1)
                host.transport.write(b"ATE0\r")
                await asyncio.sleep(1)
                host.forget()
                start = asyncio.get_running_loop().time()
                host.transport.write(b"AT+IPR=115200\r")
                await host.until(OK)
                took = host.last_time - start
                assert took == pytest.approx(20 * 10 / expected, abs=1e-6)
                await virtual.aclose()

        run(main())

    def test_no_baud_no_delay(self) -> None:
        async def main() -> None:
            virtual, host = await connected(SimOptions())
            start = asyncio.get_running_loop().time()
            host.transport.write(b"ATI\r")
            await host.until(OK)
            assert host.last_time == start
            await virtual.aclose()

        run(main())


class TestChunks:
    """How the answer is cut."""

    @staticmethod
    def sizes(options: SimOptions) -> list[int]:
        async def main() -> list[int]:
            virtual, host = await connected(options)
            host.transport.write(b"ATI\r")
            await host.until(OK)
            await virtual.aclose()
            return [len(data) for _, data in host.chunks]

        return run(main())

    def test_whole(self) -> None:
        assert len(self.sizes(SimOptions())) == 1

    def test_byte_by_byte(self) -> None:
        assert set(self.sizes(SimOptions(chunk=1))) == {1}

    def test_in_threes(self) -> None:
        assert set(self.sizes(SimOptions(chunk=3))[:-1]) == {3}

    def test_random(self) -> None:
        """By the seed."""
        found = [self.sizes(SimOptions(chunk="random", seed=seed)) for seed in (1, 1, 2)]
        assert found[0] == found[1] != found[2]
        assert len(found[0]) > 1


class TestMemory:
    """The transport in memory."""

    def test_life(self) -> None:
        """Made, data, lost; closed for good, while the module goes on for the next host."""

        async def main() -> None:
            async with VirtualModule(SimOptions(), network=MemoryNetwork()) as virtual:
                first, second = Host(), Host()
                transport = virtual.connect_memory(first)
                assert first.calls == []
                await first.until(b"RDY\r\n")
                assert transport.get_protocol() is first
                transport.write(b"ATE0\r")
                transport.close()
                transport.close()
                assert transport.is_closing()
                transport.write(b"AT\r")
                await asyncio.sleep(1)
                assert first.calls == ["made", "lost"]
                virtual.connect_memory(second)
                await asyncio.sleep(1)
                second.transport.write(b"AT\r")
                assert await second.until(OK) == OK
            assert second.calls == ["made", "lost"]

        run(main())

    def test_usual_methods(self) -> None:
        """Those that streams and pyserial's users call."""

        async def main() -> None:
            virtual, host = await connected(SimOptions())
            transport, other = host.transport, Host()
            assert not transport.can_write_eof()
            assert transport.get_extra_info("peername") is None
            assert transport.get_write_buffer_limits() == (IN_HIGH // 4, IN_HIGH)
            transport.set_protocol(other)
            transport.writelines([b"A", b"T\r"])
            await other.until(OK)
            assert host.said == b""
            transport.write(b"ATI\r")
            transport.abort()
            await asyncio.sleep(1)
            assert other.calls == ["lost"]
            assert virtual.statistics.commands == 2
            await virtual.aclose()

        run(main())

    def test_write_from_a_callback(self) -> None:
        """A protocol may write as soon as it is called."""

        class Eager(Host):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                if self.said.count(b"OK") < 3:
                    self.transport.write(b"AT\r")

        async def main() -> None:
            async with VirtualModule(SimOptions(), network=MemoryNetwork()) as virtual:
                host = Eager()
                virtual.connect_memory(host)
                await asyncio.sleep(1)
                assert host.said.count(b"OK") == 3

        run(main())

    def test_paused_reading_bounds_memory(self) -> None:
        """Nothing comes, TCP waits at its peer; later all of it arrives."""

        async def main() -> None:
            network = MemoryNetwork()
            network.serve_tcp(PORT)
            virtual, host = await connected(SimOptions(), network)
            host.transport.write(f'AT+QIOPEN=1,0,"TCP","1.2.3.4",{PORT},0,1\r'.encode())
            await host.until(lines("+QIOPEN: 0,0"))
            host.transport.pause_reading()
            assert not host.transport.is_reading()
            host.forget()
            for _ in range(1000):
                network.peers[0].send(bytes(1000))
            await asyncio.sleep(1)
            assert host.said == b""
            assert virtual.module.output_pending < 20_000
            host.transport.resume_reading()
            await asyncio.sleep(1)
            assert host.said.count(b"\0") == 1_000_000
            await virtual.aclose()

        run(main())

    def test_a_host_that_writes_too_much_is_paused(self) -> None:
        """With asyncio's own means, and resumed once the module has caught up."""

        async def main() -> None:
            virtual, host = await connected(SimOptions(baud=115200))
            host.transport.write(b"AT\r" * 10_000)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert host.calls == ["made", "pause"]
            assert host.transport.get_write_buffer_size() > IN_HIGH
            await asyncio.sleep(100)
            assert host.calls == ["made", "pause", "resume"]
            assert host.transport.get_write_buffer_size() == 0
            assert host.said == OK * 10_000
            await virtual.aclose()

        run(main())

    def test_aclose_loses_the_link_and_stops_time(self) -> None:
        async def main() -> None:
            virtual, host = await connected(SimOptions(latency=1))
            host.transport.write(b"AT\r")
            await virtual.aclose()
            await virtual.aclose()
            await asyncio.sleep(10)
            assert host.calls == ["made", "lost"]
            assert host.said == b""

        run(main())


class TestEvents:
    """What befalls a module from outside."""

    def test_reset_sleep_coverage_and_chatter(self) -> None:
        async def main() -> None:
            virtual, host = await connected(SimOptions())
            virtual.say("+LOWVBAT:2987")
            await host.until(lines("+LOWVBAT:2987"))
            virtual.set_coverage(False)
            host.transport.write(b"AT+CGATT?\r")
            await host.until(lines("+CGATT: 0") + OK)
            virtual.deep_sleep()
            host.transport.write(b"AT\r")
            await asyncio.sleep(1)
            host.forget()
            virtual.reset()
            await asyncio.sleep(1)
            assert host.said == lines("RDY")
            assert virtual.statistics.resets == 1
            await virtual.aclose()

        run(main())

    def test_timers_run_on_the_loop(self) -> None:
        """A delayed line comes at its time."""

        async def main() -> None:
            late = Fault(FaultKind.DELAY_LINE, on="OK", after=1, delay_s=30)
            virtual, host = await connected(SimOptions(faults=(late,)))
            start = asyncio.get_running_loop().time()
            host.transport.write(b"AT\r")
            await host.until(OK)
            assert host.last_time - start == pytest.approx(30)
            await virtual.aclose()

        run(main())


async def turns_until(condition: Callable[[], object]) -> None:
    """Let the loop turn until a condition holds; a test's own timeout is the limit."""
    while not condition():  # noqa: ASYNC110  # the state is the module's, it sets no event
        await asyncio.sleep(0)


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
        await asyncio.wait_for(done, 5)
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


def test_times_never_run_backwards() -> None:
    """Chunks come in order of time, whatever the pacing."""

    async def main() -> list[float]:
        virtual, host = await connected(SimOptions(baud=9600, chunk="random"))
        host.transport.write(b"ATI\rATI\r")
        await host.until(OK)
        await virtual.aclose()
        return [time for time, _ in host.chunks]

    times = run(main())
    assert all(a <= b for a, b in pairwise(times))
