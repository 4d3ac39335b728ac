"""Malformed, truncated, duplicated and unexpected lines: a typed error, and on it goes.

Lines are made from the grammar of the note's answers, then spoiled. Whatever one says, and
wherever it comes, the call in question returns or raises a :class:`ModemError` in bounded
time, nothing is reported to the loop's exception handler, and the next command works.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import aiobc9x
from aiobc9x import AccessMode
from aiobc9x.aio.line.subscriptions import Unknown
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.wire.urcs import Urc
from tests.support.bench import ECHO_PORT, HOST, Bench
from tests.support.clock import run
from tests.support.recorders import DatagramRecorder

GRAMMAR: dict[str, bytes] = {
    "final_ok": rb"OK",
    "final_error": rb"ERROR",
    "final_cme": rb"\+CM[ES] ERROR:\s*(.*)",
    "send_ok": rb"SEND OK",
    "send_fail": rb"SEND FAIL",
    "close_ok": rb"CLOSE OK",
    "prompt": rb">\s?",
    "qiopen": rb"\+QIOPEN:\s*([0-5])\s*,\s*(\d+)",
    "qistate": rb'\+QISTATE:\s*(\d+),"([^"]*)","([^"]*)",(\d+),(\d+),(\d+),(\d+),(\d+)(?:,.*)?',
    "qird_empty": rb"\+QIRD:\s*0(?:,\s*\d+)?",
    "qird_header": rb"\+QIRD:\s*(\d+)(?:,\s*(-?\d+))?,?",
    "urc_recv_buffer": rb'\+QIURC:\s*"recv",([0-5])(?:,(\d+))?',
    "urc_buff_full": rb'\+QIURC:\s*"recv",([0-5]),"buff full"',
    "urc_recv_push_inline": rb'\+QIURC:\s*"recv",([0-5]),(\d+),',
    "urc_closed": rb'\+QIURC:\s*"closed",([0-5])',
    "urc_incoming": rb'\+QIURC:\s*"incoming",(\d+),(\d+),"([^"]*)",(\d+)',
    "urc_incoming_full": rb'\+QIURC:\s*"incoming full"',
    "urc_dns_head": rb'\+QIURC:\s*"dnsgip",(\d+)(?:,(\d+),(\d+))?',
    "urc_dns_addr": rb'\+QIURC:\s*"dnsgip","([^"]+)"',
    "qping_reply": rb'\+QPING:\s*0,"?([0-9A-Fa-f.:]+)"?,(\d+),(\d+),(\d+)',
    "qping_final": rb"\+QPING:\s*2,(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)",
    "qping_code": rb"\+QPING:\s*(\d+)",
    "qntp": (
        rb"\+QNT[PF]:\s*(\d+)(?:,\s*\"((?:\d\d)?\d\d/\d\d/\d\d,\s*\d\d:\d\d:\d\d"
        rb"(?:\s*[+-]\s*\d{1,2})?)\")?"
    ),
    "qicfg": rb'\+QICFG:\s*"(dataformat|viewmode|showlength|open_time)",(\d+(?:,\d+)?)',
    "qigeterror": rb'\+QIGETERROR:\s*(\d+),\s*"?([^"]*)"?',
    "qidnscfg": rb'\+QIDNSCFG:\s*"?([^",]*)"?(?:,"?([^",]*)"?)?(?:,.*)?',
}
"""How each line of an answer is written."""

LINES = st.one_of(*(st.from_regex(re.compile(rule), fullmatch=True) for rule in GRAMMAR.values()))
WILD = st.sampled_from([b"-1", b"99999999999999999999", b"", b"x", b"00", b"1441", b"6", b"\xff"])


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """Draw a line with something wrong with it."""
    line: bytes = draw(LINES)
    at = draw(st.integers(0, len(line)))
    to = draw(st.integers(at, min(len(line), at + 8)))
    ways: list[bytes] = [
        line[:at],  # truncated
        line[at:],
        line[:at] + line[to:],  # bytes lost in the middle
        line[:at] + draw(st.binary(max_size=4)) + line[to:],
        line + b"\r\n" + line,  # duplicated
        line + line,
        line + b"\r\n" + draw(LINES),  # followed by what nobody asked for
        re.sub(rb"\d+", lambda _: draw(WILD), line, count=2),
        re.sub(rb",", b"", line, count=1),
        line.replace(b'"', b""),
        line + b",1,2,3,4,5,6,7,8,9",
    ]
    return draw(st.sampled_from(ways))


ANY_LINE = LINES | spoiled()


def is_valid(text: bytes) -> bool:
    """Whether a part of it can be taken for what the module means."""
    parts = (part.strip() for part in re.split(rb"[\r\n]+", text))
    return any(re.fullmatch(rule, part) for part in parts for rule in GRAMMAR.values())


async def echo(modem: aiobc9x.Modem, mode: AccessMode = AccessMode.BUFFER) -> None:
    """Connect, get an echo, close."""
    reader, writer = await modem.open_connection(HOST, ECHO_PORT, access_mode=mode)
    try:
        writer.write(b"\x00echo")
        answer = await reader.read(5)
        # A forged ERROR in place of the prompt leaves the module in data mode: it takes
        # the next command for the data, and nobody can know.
        assert any(sent.startswith(answer) for sent in (b"\x00echo", b"AT+QI"))
    finally:
        writer.close()
    await writer.wait_closed()


async def ask_in_datagrams(modem: aiobc9x.Modem) -> None:
    """Send a datagram; an answer, a loss and an end are all right."""
    transport, protocol = await modem.create_datagram_endpoint(
        DatagramRecorder, remote_addr=(HOST, ECHO_PORT)
    )
    transport.sendto(b"\x00echo")
    await asyncio.sleep(60)
    transport.close()
    await protocol.lost
    assert all(len(datagram) == 5 for datagram in protocol.received)


async def count_sockets(modem: aiobc9x.Modem) -> None:
    """Ask for the sockets while there is one."""
    _, writer = await modem.open_connection(HOST, ECHO_PORT)
    try:
        await modem.socket_states()
    finally:
        writer.close()
        await writer.wait_closed()


async def serve(modem: aiobc9x.Modem) -> None:
    """Listen for a while."""

    async def hello(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await modem.start_server(hello, 2020) as server:
        await asyncio.sleep(10)
        server.abort_clients()


QUESTIONS: dict[str, tuple[str, Callable[[aiobc9x.Modem], Awaitable[object]]]] = {
    "command": ("+CSQ", lambda modem: modem.command("AT+CSQ")),
    "final": ("OK", lambda modem: modem.command("AT+CSQ")),
    "socket_states": ("+QISTATE", count_sockets),
    "settings": ("+QICFG", lambda modem: modem.settings()),
    "configure": ("+QICFG", lambda modem: modem.configure(open_time=20)),
    "last_error": ("+QIGETERROR", lambda modem: modem.last_error()),
    "dns_servers": ("+QIDNSCFG", lambda modem: modem.dns_servers()),
    "capabilities": ("+QIRD", lambda modem: modem.capabilities()),
    "resolve": ('+QIURC: "dnsgip"', lambda modem: modem.resolve("none.example")),
    "ping": ("+QPING", lambda modem: modem.ping(HOST, count=2)),
    "ntp_time": ("+QNTP", lambda modem: modem.ntp_time(HOST)),
    "signal": ("+CSQ", lambda modem: modem.signal()),
    "registration": ("+CEREG", lambda modem: modem.registration()),
    "addresses": ("+CGPADDR", lambda modem: modem.addresses()),
    "power_saving": ("+CPSMS", lambda modem: modem.power_saving()),
    "apn": ("+CGDCONT", lambda modem: modem.apn()),
    "open": ("+QIOPEN", echo),
    "close": ("CLOSE OK", echo),
    "send": ("SEND OK", echo),
    "prompt": (">", echo),
    "read": ("+QIRD: 5", echo),
    "empty read": ("+QIRD: 0", echo),
    "announcement": ('+QIURC: "recv"', echo),
    "push": ('+QIURC: "recv"', lambda modem: echo(modem, AccessMode.PUSH)),
    "datagram": ("SEND OK", ask_in_datagrams),
    "datagram read": ("+QIRD: 5", ask_in_datagrams),
    "listen": ("+QIOPEN", serve),
}
"""The line that is struck, and the call that it belongs to."""


async def still_works(modem: aiobc9x.Modem) -> None:
    """The next command is answered, and a new connection carries data."""
    await asyncio.sleep(5)
    assert "+CSQ: 20,0" in await modem.command("AT+CSQ")
    await asyncio.wait_for(echo(modem), 300)


async def ask_with(fault: Fault, name: str, *, may_stall: bool) -> None:
    """Ask one question while one line is struck."""
    _, ask = QUESTIONS[name]
    async with Bench(hosts={}) as bench:
        bench.network.serve_udp(ECHO_PORT, lambda peer: peer.answer_with(peer.send))
        modem = await bench.open()
        await modem.wait_ready()
        bench.add_fault(fault)
        try:
            await asyncio.wait_for(ask(modem), 600)
        except aiobc9x.ModemError:
            pass
        except TimeoutError:
            # Nothing tells of pushed data that never came.
            assert may_stall or name == "push", "neither an answer nor an error"
        await still_works(modem)


@pytest.mark.parametrize("name", QUESTIONS)
@settings(max_examples=8)
@given(line=ANY_LINE)
@example(line=b"")
@example(line=b"\x00\xff")
def test_another_line_instead(name: str, line: bytes) -> None:
    """A line that is not the one that was due; a forged answer may well be believed."""
    fault = Fault(FaultKind.REPLACE_LINE, on=QUESTIONS[name][0], data=line)
    run(ask_with(fault, name, may_stall=is_valid(line)))


@pytest.mark.parametrize("name", QUESTIONS)
@settings(max_examples=5)
@given(line=ANY_LINE)
def test_another_line_in_front(name: str, line: bytes) -> None:
    """An unexpected line, glued to what follows or not."""
    fault = Fault(FaultKind.GARBAGE, on=QUESTIONS[name][0], data=line)
    run(ask_with(fault, name, may_stall=is_valid(line) or line.endswith(b",")))


@pytest.mark.parametrize("kind", [FaultKind.DUPLICATE_LINE, FaultKind.DROP_LINE])
@pytest.mark.parametrize("name", QUESTIONS)
def test_line_that_comes_twice_or_never(name: str, kind: FaultKind) -> None:
    """No answer is left over for the next question."""
    run(ask_with(Fault(kind, on=QUESTIONS[name][0]), name, may_stall=False))


@pytest.mark.parametrize("name", QUESTIONS)
def test_line_that_comes_late(name: str) -> None:
    """Later than any deadline; it is nobody's answer then."""
    fault = Fault(FaultKind.DELAY_LINE, on=QUESTIONS[name][0], delay_s=30)
    run(ask_with(fault, name, may_stall=False))


@settings(max_examples=60)
@given(line=ANY_LINE)
def test_line_that_nobody_asked_for(line: bytes) -> None:
    """It is an event, known or unknown, or damage; connections go on, or end with a reason."""

    async def scenario() -> None:
        async with Bench() as bench:
            modem = await bench.open()
            streams = [
                await modem.open_connection(HOST, ECHO_PORT, access_mode=mode)
                for mode in AccessMode
            ]
            counters = modem.statistics
            before = (counters.urcs, counters.unknown_lines, counters.damages, counters.recoveries)
            events = modem.subscribe()
            bench.virtual.say(line.decode("latin-1"))
            await asyncio.sleep(40)
            after = (counters.urcs, counters.unknown_lines, counters.damages, counters.recoveries)
            assert after != before or not line.strip(b"\r\n") or forges_push(line)
            for reader, writer in streams:
                writer.write(b"ping")
                try:
                    await asyncio.wait_for(reader.read(1), 60)
                except aiobc9x.ModemError:
                    pass
                except TimeoutError:
                    assert is_valid(line)
                writer.close()
            events.close()
            await still_works(modem)

    run(scenario())


def forges_push(line: bytes) -> bool:
    """Whether it looks like the head of pushed data, whose bytes are then taken for them."""
    return re.search(rb'\+QIURC:\s*"recv",\s*1', line) is not None


@pytest.mark.parametrize("text", ["+QWHAT: 1", '+QIURC: "novel",1', "*NEWS", "hello"])
def test_unknown_line_is_an_event(text: str) -> None:
    """It is published and counted, and nothing else happens."""

    async def scenario() -> None:
        async with Bench() as bench:
            modem = await bench.open()
            events = modem.subscribe()
            bench.virtual.say(text)
            assert await anext(events) == Unknown(text.encode())
            assert modem.statistics.unknown_lines == 1
            assert not isinstance(Unknown(b""), Urc)
            await still_works(modem)

    run(scenario())
