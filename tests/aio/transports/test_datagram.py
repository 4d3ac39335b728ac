"""Datagram endpoints: boundaries, refusals, losses, and life beside streams."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

import aiobc9x
from aiobc9x import AccessMode
from aiobc9x.aio.transports.datagram import QUEUE_DATAGRAMS, DatagramTransport
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.options import Host
from tests.support.bench import ECHO_PORT, HOST, UDP_PORT, Bench, roomy
from tests.support.clock import take_errors, virtual
from tests.support.recorders import DatagramRecorder

Endpoint = tuple[asyncio.DatagramTransport, DatagramRecorder]


async def endpoint(bench: Bench, *, echo: bool = False, **options: Any) -> Endpoint:
    """Open a modem if none is, and a UDP socket; ``options`` are the call's."""
    if echo:
        bench.network.serve_udp(UDP_PORT, lambda peer: peer.answer_with(peer.send))
    else:
        bench.network.serve_udp(UDP_PORT)
    modem = await bench.modem()
    options.setdefault("remote_addr", (HOST, UDP_PORT))
    return await modem.create_datagram_endpoint(DatagramRecorder, **options)


def pattern(size_bytes: int, start: int = 0) -> bytes:
    """Bytes of every value, and what looks like answers, different for each start."""
    block = b"\r\nOK\r\n+QIRD: 5,0\r\n> \x1a\x1b" + bytes(range(256))
    return (bytes([start % 256]) + block * (size_bytes // len(block) + 1))[:size_bytes]


class TestBoundaries:
    """One node is one datagram, in both directions (§2.2.6, note 3)."""

    @pytest.mark.parametrize("mode", list(AccessMode))
    @pytest.mark.parametrize("size", [1, 2, 1023, 1024, 1025, 1439, 1440])
    @virtual
    async def test_size_survives_both_ways(self, size: int, mode: AccessMode) -> None:
        """A datagram comes out as it went in, whether one read takes it or two."""
        async with Bench() as bench:
            transport, protocol = await endpoint(bench, echo=True, access_mode=mode)
            transport.sendto(pattern(size))
            await protocol.until(received=1)
            assert bench.peer.datagrams == [pattern(size)]
            assert protocol.received == [pattern(size)]
            assert protocol.senders == [(HOST, UDP_PORT)]

    @pytest.mark.parametrize(("size", "reads"), [(1024, 1), (1025, 2), (1440, 2)])
    @virtual
    async def test_reads_that_one_datagram_takes(self, size: int, reads: int) -> None:
        """Up to 1024 bytes take one AT+QIRD, more take two, and one more finds nothing."""
        async with Bench() as bench:
            modem = await bench.open(poll_interval=0, state_interval=0)
            _, protocol = await endpoint(bench)
            before = modem.statistics.reads
            bench.peer.send(pattern(size))
            await protocol.until(received=1)
            await asyncio.sleep(1)
            assert protocol.received == [pattern(size)]
            assert modem.statistics.reads - before == reads + 1

    @pytest.mark.parametrize("mode", list(AccessMode))
    @virtual
    async def test_many_back_to_back(self, mode: AccessMode) -> None:
        """Fifty datagrams of all lengths keep their boundaries and their order."""
        sizes = [1, 1440, 1024, 1025, 17, 1023, 512, 2, 1300, 64] * 5
        sent = [pattern(size, turn) for turn, size in enumerate(sizes)]
        async with roomy() as bench:
            transport, protocol = await endpoint(bench, echo=True, access_mode=mode)
            for datagram in sent:
                transport.sendto(datagram)
            await protocol.until(received=50)
            assert bench.peer.datagrams == sent
            assert protocol.received == sent

    @virtual
    async def test_a_burst_from_the_peer(self) -> None:
        """Datagrams that wait in the module are read one by one."""
        sent = [pattern(size) for size in (1440, 1, 1025, 3)]
        async with Bench() as bench:
            _, protocol = await endpoint(bench)
            for datagram in sent:
                bench.peer.send(datagram)
            await protocol.until(received=4)
            assert protocol.received == sent

    @virtual
    async def test_interleaved_with_a_stream(self) -> None:
        """A stream's bytes and datagrams share the line and never mix."""
        sent = [pattern(size, size) for size in (1440, 5, 1025, 1024, 700)]
        stream = pattern(9000, 7)
        async with Bench(buffer_bytes=1 << 20) as bench:
            transport, protocol = await endpoint(bench, echo=True)
            modem = bench.current
            reader, writer = await modem.open_connection(HOST, ECHO_PORT)
            writer.write(stream)
            for datagram in sent:
                transport.sendto(datagram)
            assert await reader.readexactly(len(stream)) == stream
            await protocol.until(received=5)
            assert protocol.received == sent
            writer.close()

    @virtual
    async def test_a_copy_is_sent(self) -> None:
        """What the application does to its buffer afterwards changes nothing."""
        async with Bench() as bench:
            transport, _ = await endpoint(bench)
            buffer = bytearray(b"before")
            transport.sendto(buffer)
            buffer[:] = b"behind"
            transport.sendto(memoryview(buffer))
            await asyncio.sleep(1)
            assert bench.peer.datagrams == [b"before", b"behind"]


class TestRefusals:
    """What the module can't send is said at once."""

    @virtual
    async def test_empty(self) -> None:
        """The module answers SEND FAIL to no data, so none is sent (§2.2.4, note 4)."""
        async with Bench() as bench:
            transport, protocol = await endpoint(bench)
            with pytest.raises(ValueError, match="empty"):
                transport.sendto(b"")
            await asyncio.sleep(1)
            assert bench.peer.datagrams == []
            assert protocol.errors == []

    @pytest.mark.parametrize("size", [1441, 65507])
    @virtual
    async def test_too_long(self, size: int) -> None:
        """EMSGSIZE goes to ``error_received``; nothing is sent, and the next one is."""
        async with Bench() as bench:
            transport, protocol = await endpoint(bench)
            transport.sendto(bytes(size))
            assert [exc.errno for exc in protocol.errors if isinstance(exc, OSError)] == [
                errno.EMSGSIZE
            ]
            assert transport.get_write_buffer_size() == 0  # type: ignore[attr-defined]  # ours
            transport.sendto(b"fits")
            await asyncio.sleep(1)
            assert bench.peer.datagrams == [b"fits"]

    @virtual
    async def test_other_types(self) -> None:
        """Text is a TypeError, as asyncio has it."""
        async with Bench() as bench:
            transport, _ = await endpoint(bench)
            with pytest.raises(TypeError, match="bytes-like"):
                transport.sendto("text")  # type: ignore[arg-type]  # on purpose

    @virtual
    async def test_addresses(self) -> None:
        """The address may be left out or be the peer's, under its name too, but no other."""
        async with Bench(hosts={"coap.example": Host((HOST,))}) as bench:
            transport, _ = await endpoint(bench, remote_addr=("coap.example", UDP_PORT))
            assert transport.get_extra_info("peername") == (HOST, UDP_PORT)
            transport.sendto(b"1")
            transport.sendto(b"2", (HOST, UDP_PORT))
            transport.sendto(b"3", ("coap.example", UDP_PORT))
            for other in [("220.18.39.23", UDP_PORT), (HOST, 1), "path"]:
                with pytest.raises(ValueError, match="connected"):
                    transport.sendto(b"4", other)  # type: ignore[arg-type]  # on purpose
            await asyncio.sleep(1)
            assert bench.peer.datagrams == [b"1", b"2", b"3"]

    @virtual
    async def test_arguments_that_make_no_sense(self) -> None:
        """Without a remote address there is nothing to open; nothing is sent."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.dialogue.clear()
            with pytest.raises(ValueError, match="remote_addr is required"):
                await modem.create_datagram_endpoint(DatagramRecorder)
            plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with plain, pytest.raises(ValueError, match="sock"):
                await modem.create_datagram_endpoint(
                    DatagramRecorder, remote_addr=(HOST, 1), sock=plain
                )
            with pytest.raises(ValueError, match="port"):
                await modem.create_datagram_endpoint(DatagramRecorder, remote_addr=(HOST, 0))
            words: Any = HOST
            with pytest.raises(ValueError, match=r"remote_addr must be \(host, port\)"):
                await modem.create_datagram_endpoint(DatagramRecorder, remote_addr=words)
            assert bench.commands == []

    @virtual
    async def test_protocol_that_fails_to_be_made(self) -> None:
        """The socket is closed and the exception passes through."""

        def fails() -> DatagramRecorder:
            raise ZeroDivisionError

        async with Bench() as bench:
            modem = await bench.open()
            with pytest.raises(ZeroDivisionError):
                await modem.create_datagram_endpoint(fails, remote_addr=(HOST, UDP_PORT))
            await asyncio.sleep(1)
            assert bench.open_ids == []


class TestLosses:
    """What got lost is counted and reported, and the endpoint goes on."""

    @virtual
    async def test_buffer_full(self) -> None:
        """``"buff full"`` is one error and one count; what is in the buffer comes."""
        async with Bench(buffer_nodes=2) as bench:
            transport, protocol = await endpoint(bench)
            modem = bench.current
            for turn in range(5):
                bench.peer.send(b"%d" % turn)
            await protocol.until(received=2, errors=1)
            assert protocol.received == [b"0", b"1"]
            error = protocol.errors[0]
            assert isinstance(error, OSError)
            assert error.errno == errno.ENOBUFS
            assert "buff full" in str(error)
            assert modem.statistics.datagrams_lost == modem.statistics.buffer_overflows == 1
            bench.peer.send(b"after")
            await protocol.until(received=3)
            assert not transport.is_closing()

    @virtual
    async def test_send_fail(self) -> None:
        """SEND FAIL loses that datagram alone; the next one is sent."""
        async with Bench(Fault(FaultKind.SEND_FAIL, on="AT+QISEND")) as bench:
            transport, protocol = await endpoint(bench)
            transport.sendto(b"lost")
            transport.sendto(b"sent")
            await protocol.until(errors=1)
            await asyncio.sleep(1)
            assert bench.peer.datagrams == [b"sent"]
            assert [e.errno for e in protocol.errors if isinstance(e, OSError)] == [errno.ENOBUFS]
            assert bench.current.statistics.datagrams_lost == 1

    @virtual
    async def test_error_to_a_send(self) -> None:
        """ERROR on a socket that still stands is reported; the next datagram is sent."""
        async with Bench(Fault(FaultKind.ERROR, on="AT+QISEND", times=2)) as bench:
            transport, protocol = await endpoint(bench)
            transport.sendto(b"\x00lost")
            transport.sendto(b"\x00lost too")
            transport.sendto(b"\x00sent")
            await protocol.until(errors=2)
            await asyncio.sleep(1)
            assert bench.peer.datagrams == [b"\x00sent"]
            assert all(isinstance(error, aiobc9x.CommandError) for error in protocol.errors)
            assert not transport.is_closing()

    @virtual
    async def test_send_result_that_never_comes(self) -> None:
        """Nobody knows what became of the datagram; UDP promises nothing and goes on."""
        async with Bench(Fault(FaultKind.DROP_LINE, on="SEND OK")) as bench:
            transport, protocol = await endpoint(bench)
            transport.sendto(b"who knows")
            transport.sendto(b"sent")
            await protocol.until(errors=1)
            await asyncio.sleep(3)  # its place is kept while its SEND OK may still come
            assert bench.peer.datagrams == [b"who knows", b"sent"]
            assert not transport.is_closing()

    @virtual
    async def test_bytes_lost_within_a_datagram(self) -> None:
        """A datagram with a hole is never delivered; later ones are."""
        async with Bench(Fault(FaultKind.LOSE_BYTES, on="+QIRD: 9")) as bench:
            _, protocol = await endpoint(bench)
            bench.peer.send(b"has holes")
            await protocol.until(errors=1)
            bench.peer.send(b"whole one")
            await protocol.until(received=1)
            assert protocol.received == [b"whole one"]


class TestFlowControl:
    """Watermarks and the order of the calls."""

    @virtual
    async def test_high_water(self) -> None:
        """Writing pauses above 2880 bytes and resumes at 1440."""
        async with Bench() as bench:
            transport, protocol = await endpoint(bench)
            transport.sendto(bytes(1440))
            transport.sendto(bytes(1440))
            assert protocol.calls == []
            transport.sendto(b"x")
            assert protocol.calls == ["pause"]
            await asyncio.sleep(1)
            assert protocol.calls == ["pause", "resume"]
            assert len(bench.peer.datagrams) == 3

    @virtual
    async def test_limit_of_nothing(self) -> None:
        """anyio sets the limit to 0: each datagram pauses and resumes, a lost one too."""
        async with Bench(Fault(FaultKind.SEND_FAIL, on="AT+QISEND", after=1)) as bench:
            transport, protocol = await endpoint(bench)
            transport.set_write_buffer_limits(0)  # type: ignore[attr-defined]  # of the mixin
            for datagram in (b"sent", b"lost", b"sent too"):
                transport.sendto(datagram)
                assert protocol.calls[-1] == "pause"
                await asyncio.sleep(1)
                assert protocol.calls[-1] == "resume"
            assert bench.peer.datagrams == [b"sent", b"sent too"]


class TestEnd:
    """Close, abort, and what ends an endpoint from outside."""

    @virtual
    async def test_close_sends_what_is_queued(self) -> None:
        """``close()`` flushes, frees the connect ID, then says ``connection_lost(None)``."""
        async with Bench() as bench:
            transport, protocol = await endpoint(bench)
            for turn in range(5):
                transport.sendto(b"%d" % turn)
            transport.close()
            transport.close()
            assert transport.is_closing()
            transport.sendto(b"ignored")
            assert await protocol.lost is None
            assert bench.peer.datagrams == [b"0", b"1", b"2", b"3", b"4"]
            assert bench.open_ids == []

    @virtual
    async def test_abort_drops_what_is_queued(self) -> None:
        """``abort()`` ends it at once."""
        async with Bench() as bench:
            transport, protocol = await endpoint(bench)
            transport.sendto(b"dropped")
            transport.abort()
            assert await protocol.lost is None
            assert bench.peer.datagrams == []

    @virtual
    async def test_close_with_a_loss_on_the_way(self) -> None:
        """A datagram that is lost while closing does not hold the close up."""
        async with Bench(Fault(FaultKind.SEND_FAIL, on="AT+QISEND")) as bench:
            transport, protocol = await endpoint(bench)
            transport.sendto(b"lost")
            transport.close()
            assert await asyncio.wait_for(protocol.lost, 30) is None
            assert len(protocol.errors) == 1

    @virtual
    async def test_network_loss(self) -> None:
        """Losing the network is told of; the endpoint goes on when it is back."""
        async with Bench() as bench:
            transport, protocol = await endpoint(bench, echo=True)
            bench.virtual.set_coverage(False)
            await protocol.until(errors=1)
            assert isinstance(protocol.errors[0], aiobc9x.NetworkLost)
            bench.virtual.set_coverage(True)
            await asyncio.sleep(120)
            transport.sendto(b"again")
            await protocol.until(received=1)
            assert protocol.received == [b"again"]
            assert not protocol.lost.done()

    @virtual
    async def test_closed_while_the_module_restarts(self) -> None:
        """Then it is not opened again."""
        async with Bench() as bench:
            transport, protocol = await endpoint(bench)
            bench.virtual.reset()
            await protocol.until(errors=1)
            transport.close()
            assert await protocol.lost is None
            await asyncio.sleep(60)
            assert bench.open_ids == []

    @virtual
    async def test_protocol_that_raises(self) -> None:
        """Its exception goes to the loop's handler and ends that endpoint alone."""

        class Raises(DatagramRecorder):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                raise ZeroDivisionError

        async with Bench() as bench:
            _, healthy = await endpoint(bench, echo=True)
            modem = bench.current
            _, broken = await modem.create_datagram_endpoint(Raises, remote_addr=(HOST, UDP_PORT))
            bench.peer.send(b"x")
            assert isinstance(await broken.lost, ZeroDivisionError)
            assert [type(e["exception"]) for e in take_errors()] == [ZeroDivisionError]
            assert healthy.transport is not None
            healthy.transport.sendto(b"still here")
            await healthy.until(received=1)

    @virtual
    async def test_extra_info(self) -> None:
        """The socket view tells what libraries ask for."""
        async with Bench() as bench:
            transport, _ = await endpoint(bench, local_port=40000)
            view = transport.get_extra_info("socket")
            assert view.type is socket.SOCK_DGRAM
            assert view.getpeername() == transport.get_extra_info("peername") == (HOST, UDP_PORT)
            assert view.getsockname() == ("100.127.243.105", 40000)
            assert transport.get_extra_info("connect_id") in range(6)
            assert "open" in repr(transport)


class TestQueue:
    """Datagrams that wait for the module."""

    @virtual
    async def test_it_is_bounded(self) -> None:
        """What finds it full is lost, and ``error_received()`` says so for each."""
        async with Bench() as bench:
            transport, protocol = await endpoint(bench)
            for number in range(QUEUE_DATAGRAMS + 1000):
                transport.sendto(b"%d" % number)
            assert isinstance(transport, DatagramTransport)
            assert transport.get_write_buffer_size() < 4 * QUEUE_DATAGRAMS
            errors = [error for error in protocol.errors if isinstance(error, OSError)]
            assert {error.errno for error in errors} == {errno.ENOBUFS}
            assert len(errors) == 1000
            assert "256 datagrams wait already" in str(errors[0])
            transport.close()
            assert await protocol.lost is None
            sent = [b"%d" % number for number in range(QUEUE_DATAGRAMS)]
            assert bench.peer.datagrams == sent

    @virtual
    async def test_it_has_room_again(self) -> None:
        """Once the module has taken one."""
        async with Bench() as bench:
            transport, protocol = await endpoint(bench)
            for _ in range(QUEUE_DATAGRAMS):
                transport.sendto(b"first")
            await asyncio.sleep(60)
            transport.sendto(b"last")
            await asyncio.sleep(60)
            assert protocol.errors == []
            assert bench.peer.datagrams[-1] == b"last"
