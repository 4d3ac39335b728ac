"""VirtualModule: memory, pty and TCP links, pacing, back-pressure, clean ends.

Times are those of a virtual loop; only what needs the kernel runs in real time, and
waits for events, not for a while.
"""

import asyncio
import gc
import weakref
from itertools import pairwise

import pytest

from aiobc9x.sim.driver import IN_HIGH
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.memory import MemoryNetwork
from aiobc9x.sim.nvram import Nvram
from aiobc9x.sim.options import SimOptions
from tests.sim.clock import run
from tests.sim.desk import PORT, lines
from tests.sim.host import Host, connected
from tests.support.words import OK

BYTE_S = 10 / 9600


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
            assert host.last_time == pytest.approx(start, abs=1e-6)
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

    def test_ended_ones_are_forgotten(self) -> None:
        """A module that hosts come back to a thousand times holds on to the last one alone."""

        async def main() -> None:
            async with VirtualModule(SimOptions(), network=MemoryNetwork()) as virtual:
                ended = []
                for _ in range(3):
                    host = Host()
                    transport = virtual.connect_memory(host)
                    await host.until(b"")
                    transport.close()
                    ended.append(weakref.ref(transport))
                    await asyncio.sleep(1)
                    del host, transport
                gc.collect()
                assert [each() is None for each in ended] == [True, True, False]

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
