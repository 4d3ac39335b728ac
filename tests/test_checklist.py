"""The checklist of the note, item by item: C1 to C17.

Each item has a test here, end to end against the virtual module. More of each is in the
test modules named in the docstrings.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import Any

import pytest

import aiobc9x
from aiobc9x import ModuleProfile, SocketState, errors
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.nvram import Nvram
from aiobc9x.sim.options import Host
from aiobc9x.spec import Err, NtpErr, PingResult, ServiceType, ViewMode
from aiobc9x.wire.commands.tcpip import Qiopen
from aiobc9x.wire.urcs import BufferFull, Incoming, IncomingFull
from tests.support.bench import ECHO_PORT, HOST, PORT, Bench, echoed
from tests.support.clock import running, take_errors, virtual
from tests.support.recorders import DatagramRecorder, StreamRecorder

ITEMS = [f"c{number}" for number in range(1, 18)]


def test_every_item_has_a_test() -> None:
    """The tests below are named after the items."""
    named = {name.split("_")[1] for name in globals() if name.startswith("test_c")}
    assert set(ITEMS) <= named


def sends(bench: Bench) -> list[str]:
    """The AT+QISEND so far."""
    return [line for line in bench.commands if line.startswith("AT+QISEND")]


@virtual
async def test_c1_ranges() -> None:
    """C1: out of range is refused here; all ranges are in test_connecting.py."""
    async with Bench() as bench:
        modem = await bench.open()
        bench.dialogue.clear()
        wrong: list[Any] = [
            modem.open_connection(HOST, 0),
            modem.open_connection("a" * 254, 80),
            modem.open_connection(HOST, 80, local_port=65536),
            modem.create_server(StreamRecorder, 0),
            modem.create_datagram_endpoint(DatagramRecorder, remote_addr=(HOST, 65536)),
            modem.configure(open_time=37),
            modem.ping(HOST, size_bytes=201),
            modem.ntp_time(HOST, port=0),
            modem.socket_states(connect_id=6),
            modem.socket_states(context_id=4),
        ]
        for call in wrong:
            with pytest.raises(ValueError, match=r"."):
                await call
        assert bench.commands == []
    with pytest.raises(ValueError, match="UDP SERVICE"):
        Qiopen(1, 0, ServiceType.UDP_SERVICE, HOST, 1, 2020)
    with pytest.raises(ValueError, match="local_port"):
        Qiopen(1, 0, ServiceType.TCP_LISTENER, HOST, 1)


@virtual
async def test_c1_discouraged_ports() -> None:
    """C1: local ports 1000–1500 are warned about; see tests/aio/connections/test_connecting.py."""
    warnings: list[str] = []
    logger = logging.getLogger("aiobc9x.aio")

    def note(record: logging.LogRecord) -> bool:
        warnings.append(record.getMessage())
        return True

    logger.addFilter(note)
    try:
        async with Bench() as bench:
            await echoed(await bench.open(), local_port=1234)
    finally:
        logger.removeFilter(note)
    assert any("1000-1500" in text for text in warnings)


@virtual
async def test_c2_open_with_other_urcs_between() -> None:
    """C2: data of another socket come between OK and +QIOPEN."""
    async with Bench(network_latency=2) as bench:
        modem = await bench.open()
        (reader, _), peer = await bench.connect(host=HOST, port=PORT)
        opening = asyncio.create_task(echoed(modem))
        await asyncio.sleep(0.5)
        peer.send(b"meanwhile")
        assert await reader.readexactly(9) == b"meanwhile"
        await opening


@virtual
async def test_c2_result_before_ok() -> None:
    """C2: +QIOPEN may come first."""
    fault = Fault(FaultKind.REPLACE_LINE, on="OK", data=b"+QIOPEN: 0,0\r\n\r\nOK")
    late = Fault(FaultKind.DROP_LINE, on="+QIOPEN: 0,0")
    async with Bench(late) as bench:
        modem = await bench.open()
        await modem.wait_ready()
        bench.add_fault(fault)
        began = running().now
        await echoed(modem)
        assert running().now - began < 5


@pytest.mark.parametrize("err", [code for code in Err if code])
@virtual
async def test_c2_every_code(err: Err) -> None:
    """C2: 550–574 are errors that know their code, and the ID is closed; busy ones retry."""
    line = f"+QIOPEN: 0,{int(err)}".encode()
    fault = Fault(FaultKind.REPLACE_LINE, on="+QIOPEN: 0", times=None, data=line)
    async with Bench(fault) as bench:
        modem = await bench.open()
        if err == Err.IDENTITY_IN_USE:
            await echoed(modem)  # with another ID it works
        else:
            with pytest.raises(errors.ConnectFailed) as caught:
                await echoed(modem)
            assert caught.value.err == err
            assert caught.value.errno == errors.ERRNO_OF[err]
        await asyncio.sleep(1)
        assert bench.open_ids == []


@pytest.mark.parametrize(("host", "limit"), [("192.0.2.1", 41), ("slow.example", 181)])
@virtual
async def test_c2_timeout(host: str, limit: float) -> None:
    """C2: open_time, or 140 s more for a name, with 5 s of margin; then a close."""
    hosts = {"slow.example": Host(("192.0.2.1",))}
    async with Bench(Fault(FaultKind.DROP_LINE, on="+QIOPEN"), hosts=hosts) as bench:
        modem = await bench.open()
        await modem.wait_ready()
        began = running().now
        with pytest.raises(aiobc9x.ConnectTimedOut):
            await modem.open_connection(host, 80)
        assert limit <= running().now - began < limit + 3
        await asyncio.sleep(1)
        assert bench.open_ids == []


@virtual
async def test_c3_one_send_at_a_time() -> None:
    """C3: six sockets send, and the module never has to refuse one."""
    async with Bench(send_time=0.5) as bench:
        modem = await bench.open()
        await asyncio.gather(*(echoed(modem, b"%d" % n * 3000) for n in range(6)))
        assert len(sends(bench)) >= 18
        assert bench.virtual.statistics.errors == modem.statistics.errors
        at = [i for i, (_, text) in enumerate(bench.dialogue) if text.startswith("AT+QISEND=")]
        done = [i for i, (_, text) in enumerate(bench.dialogue) if text == "SEND OK"]
        assert all(sum(d < i for d in done) == n for n, i in enumerate(at))


@pytest.mark.parametrize(
    ("size", "pieces"),
    [(0, []), (1, [1]), (1440, [1440]), (1441, [1440, 1]), (4000, [1440, 1440, 1120])],
)
@virtual
async def test_c4_sizes(size: int, pieces: list[int]) -> None:
    """C4: writes are split at 1440 bytes, and nothing is sent for no bytes."""
    async with Bench() as bench:
        (_, writer), peer = await bench.connect(host=HOST, port=PORT)
        writer.write(bytes(size))
        await writer.drain()
        await asyncio.sleep(2)
        assert [len(piece) for piece in peer.datagrams] == pieces
        assert [int(line.split(",")[1]) for line in sends(bench)] == pieces


@virtual
async def test_c5_every_byte() -> None:
    """C5: every value, Ctrl-Z, ESC, CR, LF and quotes included, in every send form."""
    async with Bench() as bench:
        (_, writer), peer = await bench.connect(host=HOST, port=PORT)
        for number in range(256):
            writer.write(bytes([number]))
            await asyncio.sleep(0.01)
        writer.write(b'plain text\x1a\x1b\r\n"quoted"')
        await asyncio.sleep(1)
        assert peer.received == bytes(range(256)) + b'plain text\x1a\x1b\r\n"quoted"'


SEND_ENDS = {
    "SEND OK": [],
    "SEND FAIL": [Fault(FaultKind.SEND_FAIL, on="AT+QISEND")],
    "ERROR": [Fault(FaultKind.ERROR, on="AT+QISEND")],
    "OK is missing": [Fault(FaultKind.DROP_LINE, on="OK", after=0)],
    "SEND OK is missing": [Fault(FaultKind.DROP_LINE, on="SEND OK")],
    "all is missing": [Fault(FaultKind.IGNORE, on="AT+QISEND")],
    "the prompt is missing": [Fault(FaultKind.DROP_LINE, on=">")],
}


@pytest.mark.parametrize("data", [b"plain", b"\x00binary"])
@pytest.mark.parametrize("end", SEND_ENDS)
@virtual
async def test_c6_every_end_of_a_send(end: str, data: bytes) -> None:
    """C6: the bytes arrive once and in order, or the connection ends and says why."""
    async with Bench() as bench:
        modem = await bench.open()
        (reader, writer), peer = await bench.connect(host=HOST, port=ECHO_PORT)
        for fault in SEND_ENDS[end]:
            bench.add_fault(fault)
        writer.write(data)
        reading = asyncio.wait_for(reader.readexactly(len(data)), 60)
        (outcome,) = await asyncio.gather(reading, return_exceptions=True)
        if isinstance(outcome, BaseException):
            kind = aiobc9x.StreamBroken if "missing" in end else aiobc9x.CommandError
            assert isinstance(outcome, kind)
            assert "missing" in end or end == "ERROR"
            assert peer.received in (b"", data)
        else:
            assert outcome == peer.received == data
        await echoed(modem)


@virtual
async def test_c7_read_until_empty() -> None:
    """C7: reads of 1024 until +QIRD: 0; what looks like an answer is data."""
    data = b'\r\nOK\r\nERROR\r\n+QIURC: "closed",0\r\n> \r\n+QIRD: 5,0\r\n' * 60
    async with Bench(node_bytes=1360) as bench:
        (reader, _), peer = await bench.connect(host=HOST, port=PORT)
        await asyncio.sleep(1)
        bench.dialogue.clear()
        peer.send(data)
        assert await reader.readexactly(len(data)) == data
        await asyncio.sleep(1)
        reads = [text for text in bench.commands if text.startswith("AT+QIRD")]
        assert set(reads) == {"AT+QIRD=0,1024"}
        answers = [text for way, text in bench.dialogue if way == "<" and text.startswith("+QIRD")]
        assert answers[-1] == "+QIRD: 0"
        assert not any(text == "+QIRD: 0" for text in answers[:-1])


@pytest.mark.parametrize(
    ("view", "shown", "hexadecimal", "mode"),
    list(itertools.product((0, 1), repeat=4)),
)
@virtual
async def test_c8_leftovers_in_nvram(view: int, shown: int, hexadecimal: int, mode: int) -> None:
    """C8: whatever the last user left; see tests/test_every_mode.py for all that can be set."""
    nvram = Nvram(receive_format=hexadecimal, view_mode=view, show_length=shown, access_mode=mode)
    async with Bench(nvram=nvram) as bench:
        modem = await bench.open()
        await echoed(modem, bytes(range(256)))
        assert nvram.show_length == 1
        assert (await modem.settings()).view_mode is ViewMode.CRLF


@pytest.mark.parametrize("rearm", ["empty_read", "drained"])
@virtual
async def test_c9_announced_once(rearm: str) -> None:
    """C9: the module announces a burst once; data at any moment of the reading come."""
    async with Bench(rearm=rearm, latency=0.02, network_latency=0.01) as bench:
        (reader, _), peer = await bench.connect(host=HOST, port=PORT)
        sent = b""
        for step in range(60):
            peer.send(b"%03d" % step)
            sent += b"%03d" % step
            await asyncio.sleep(0.007 * (step % 9))
        began = running().now
        assert await reader.readexactly(len(sent)) == sent
        assert running().now - began < 3  # no poll was needed


@virtual
async def test_c9_lost_announcement() -> None:
    """C9: a lost recv URC costs at most the poll interval."""
    async with Bench(Fault(FaultKind.DROP_LINE, on='+QIURC: "recv"')) as bench:
        (reader, _), peer = await bench.connect(host=HOST, port=PORT)
        peer.send(b"unannounced")
        began = running().now
        assert await reader.readexactly(11) == b"unannounced"
        assert running().now - began <= 10.1


@virtual
async def test_c10_closed() -> None:
    """C10: the rest, EOF, close; the ID is used again only after CLOSE OK, 10 s later."""
    async with Bench(close_time=10) as bench:
        modem = await bench.open()
        (reader, writer), peer = await bench.connect(host=HOST, port=PORT)
        peer.send(b"x" * 3000)
        peer.close()
        assert await reader.read() == b"x" * 3000
        kept = [await bench.streams(HOST, PORT) for _ in range(5)]
        began = running().now
        _, again = await modem.open_connection(HOST, PORT)  # waits for the sixth ID
        assert 5 < running().now - began < 11
        assert again.get_extra_info("connect_id") == 0
        at = [text for _, text in bench.dialogue]
        assert at.index("CLOSE OK") < len(at) - 1 - at[::-1].index(
            f'AT+QIOPEN=1,0,"TCP","{HOST}",{PORT},0,0,0'
        )
        for _, each in [*kept, (reader, again)]:
            each.close()
        writer.close()


@virtual
async def test_c11_events() -> None:
    """C11: buff full, incoming and incoming full; unknown IDs are in test_accepting.py."""
    profile = ModuleProfile(on_buffer_full="continue")
    async with Bench(buffer_bytes=2048) as bench:
        modem = await bench.open(profile=profile)
        events = modem.subscribe()
        async with await modem.create_server(StreamRecorder, 2020):
            for _ in range(6):
                bench.network.dial(2020)
            await asyncio.sleep(1)
        bench.virtual.say('+QIURC: "recv",1,"buff full"')
        await asyncio.sleep(1)
        statistics = modem.statistics
        assert (statistics.incoming, statistics.incoming_full) == (5, 1)
        assert statistics.buffer_overflows == 1
        events.close()
        kinds = [type(event) for event in [e async for e in events]]
        assert kinds.count(Incoming) == 5
        assert {IncomingFull, BufferFull} <= set(kinds)


@virtual
async def test_c11_buffer_full_ends_a_stream() -> None:
    """C11: by default it is a loss, and the error says what to do."""
    drops = Fault(FaultKind.DROP_ON_FULL, times=None)
    async with Bench(drops, buffer_bytes=2048) as bench:
        await bench.open(profile=ModuleProfile())
        (reader, _), peer = await bench.connect(host=HOST, port=PORT)
        peer.send(bytes(10000))
        with pytest.raises(aiobc9x.StreamBroken, match="on_buffer_full"):
            await reader.readexactly(10000)


@pytest.mark.parametrize("count", range(7))
@virtual
async def test_c12_rows(count: int) -> None:
    """C12: 0 to 6 rows in three forms; see tests/aio/queries/test_settings.py for the states."""
    async with Bench() as bench:
        modem = await bench.open()
        for _ in range(count):
            await bench.streams(HOST, PORT)
        rows = await modem.socket_states()
        assert [row.connect_id for row in rows] == list(range(count))
        assert all(row.socket_state is SocketState.CONNECTED for row in rows)
        assert await modem.socket_states(context_id=1) == rows
        for row in rows:
            assert await modem.socket_states(connect_id=row.connect_id) == (row,)


@virtual
async def test_c13_names() -> None:
    """C13: 0, 1 and n addresses, IPv6, two at once; shapes are in test_dns_ping_ntp.py."""
    hosts = {
        "one.example": Host(("1.2.3.4",)),
        "many.example": Host(("1.2.3.4", "2001:db8::1", "5.6.7.8")),
    }
    async with Bench(hosts=hosts, dns_time=2) as bench:
        modem = await bench.open()
        one, many, none = await asyncio.gather(
            modem.resolve("one.example"),
            modem.resolve("many.example"),
            modem.resolve("none.example"),
            return_exceptions=True,
        )
        assert not isinstance(one, BaseException)
        assert not isinstance(many, BaseException)
        assert one.addresses == ("1.2.3.4",)
        assert many.addresses == ("1.2.3.4", "2001:db8::1", "5.6.7.8")
        assert isinstance(none, aiobc9x.NameNotFound)


@pytest.mark.parametrize("code", [code for code in PingResult if code > PingResult.SUCCESS])
@virtual
async def test_c14_ping(code: PingResult) -> None:
    """C14: a code alone ends a ping; all of them are in test_dns_ping_ntp.py."""
    fault = Fault(FaultKind.REPLACE_LINE, on="+QPING", data=b"+QPING: %d" % code)
    async with Bench(fault) as bench:
        modem = await bench.open()
        with pytest.raises(aiobc9x.CommandError):
            await modem.ping("none.example")
        assert (await modem.ping(HOST, count=2)).received == 2


@pytest.mark.parametrize("code", [code for code in NtpErr if code])
@virtual
async def test_c14_ntp(code: NtpErr) -> None:
    """C14: every code of table 4, without a time; forms are in test_dns_ping_ntp.py."""
    fault = Fault(FaultKind.REPLACE_LINE, on="+QNTP", data=b"+QNTP: %d" % code)
    async with Bench(fault) as bench:
        modem = await bench.open()
        with pytest.raises(aiobc9x.ConnectFailed):
            await modem.ntp_time("none.example")
        assert (await modem.ntp_time(HOST)).tzinfo is not None


@pytest.mark.parametrize("who_wakes", ["a datagram", "a command", "a send"])
@virtual
async def test_c15_deep_sleep(who_wakes: str) -> None:
    """C15: TCP ends with an error, UDP goes on, open_time is set again, the rest is kept."""
    async with Bench() as bench:
        bench.network.serve_udp(PORT, lambda peer: peer.answer_with(peer.send))
        modem = await bench.open(allow_sleep=True, open_time=20)
        (reader, writer), _ = await bench.connect(host=HOST, port=ECHO_PORT)
        transport, protocol = await modem.create_datagram_endpoint(
            DatagramRecorder, remote_addr=(HOST, PORT)
        )
        udp = bench.peer
        await modem.set_dns_servers("9.9.9.9")
        server = await modem.create_server(StreamRecorder, 2020)
        bench.virtual.deep_sleep()
        await asyncio.sleep(1)
        if who_wakes == "a datagram":
            udp.send(b"wake up")
            await protocol.until(received=1)
        elif who_wakes == "a send":
            transport.sendto(b"lost or not")
            await asyncio.sleep(30)
        else:
            assert await modem.command("AT+CSQ")  # the first line only wakes it: AT comes first
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 60)
        writer.close()
        assert server.is_serving()
        assert not protocol.lost.done()
        transport.sendto(b"after sleep")
        await asyncio.sleep(5)
        assert protocol.received[-1] == b"after sleep"
        assert (await modem.settings()).open_time == 20
        assert (await modem.dns_servers())[0] == "9.9.9.9"
        assert sum(line.startswith('AT+QIOPEN=1,1,"UDP"') for line in bench.commands) == 1
        await echoed(modem)
        await asyncio.sleep(150)  # the module keeps the listener's port for a while
        assert bench.network.dial(2020) is not None


@virtual
async def test_c16_port_quarantine() -> None:
    """C16: a fixed local port can't be used again for 120 s, for whatever service."""
    async with Bench() as bench:
        modem = await bench.open()
        await echoed(modem, local_port=5000)
        closed = running().now
        for service in (
            lambda: modem.open_connection(HOST, PORT, local_port=5000),
            lambda: modem.create_server(StreamRecorder, 5000),
            lambda: modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(HOST, PORT), local_port=5000
            ),
        ):
            call: Any = service()
            with pytest.raises(OSError, match="port 5000"):
                await call
        await asyncio.sleep(closed + 120.1 - running().now)
        await echoed(modem, local_port=5000)


@pytest.mark.parametrize("after", [0, 0.01, 0.05, 0.3, 1, 3])
@virtual
async def test_c17_reset(after: float) -> None:
    """C17: a restart at any time fails all that is pending, and new connections work."""
    async with Bench(
        latency=0.02, network_latency=1, dns_time=2, ntp_time=2, ping_table={HOST: (0.5,)}
    ) as bench:
        bench.network.serve_udp(PORT)
        modem = await bench.open()
        (reader, _), _ = await bench.connect(host=HOST, port=PORT)
        _, datagrams = await modem.create_datagram_endpoint(
            DatagramRecorder, remote_addr=(HOST, PORT)
        )
        server = await modem.start_server(lambda _r, w: w.close(), 2020)
        pending: list[Any] = [
            reader.read(),
            modem.open_connection(HOST, ECHO_PORT),
            modem.resolve("none.example"),
            modem.ping(HOST),
            modem.ntp_time(HOST),
        ]
        serving = asyncio.create_task(server.serve_forever())
        tasks = [asyncio.create_task(each) for each in pending]
        await asyncio.sleep(after)
        bench.virtual.reset()
        ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        expected = (aiobc9x.ModuleReset, errors.NameNotFound)
        assert all(isinstance(each, expected) for each in ended if isinstance(each, Exception))
        assert isinstance(ended[0], aiobc9x.ModuleReset)
        await datagrams.until(errors=1)
        assert isinstance(datagrams.errors[0], aiobc9x.ModuleReset)
        for each in ended:
            if isinstance(each, tuple):
                each[1].close()
        await echoed(modem)
        await asyncio.sleep(60)
        assert not serving.done()
        assert bench.network.dial(2020) is not None
        server.close()
        await asyncio.wait([serving])
        assert take_errors() == []
