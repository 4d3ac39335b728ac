"""check_line: Modem.command() keeps off the sockets in use."""

from __future__ import annotations

from typing import Any

import pytest

import aiobc9x
from aiobc9x.aio.guard import check_line
from aiobc9x.core.slots import SocketTable
from aiobc9x.spec import ServiceType
from tests.support.bench import ECHO_PORT, HOST, Bench
from tests.support.clock import virtual


@pytest.fixture
def table() -> SocketTable:
    """Only connect ID 0 is in use."""
    sockets = SocketTable()
    sockets.reserve(ServiceType.TCP)
    return sockets


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ('AT+QIOPEN=1,0,"TCP","10.0.0.1",80', r"open_connection\(\)"),
        ("AT+QICLOSE=0", r"close\(\)"),
        ("at+qiclose = 0", r"close\(\)"),
        ("AT+QIRD=0,1024", "reader"),
        ("AT+QISEND=0,5", r"write\(\)"),
        ("AT+QISENDEX=0,5", r"write\(\)"),
        ("AT+CSQ;+QICLOSE=0", r"close\(\)"),
    ],
)
def test_socket_in_use(table: SocketTable, line: str, instead: str) -> None:
    """The error names the method to use."""
    with pytest.raises(ValueError, match=instead):
        check_line(line, table)


@pytest.mark.parametrize("line", [b"AT", b"AT+QIRD=0", 5, None])
@virtual
async def test_line_that_is_no_text(line: Any) -> None:
    """Bytes are not taken for text."""
    async with Bench() as bench:
        modem = await bench.open()
        with pytest.raises(TypeError, match="line must be str, not "):
            await modem.command(line)


@pytest.mark.parametrize(
    "line",
    [
        "AT",
        "AT+CSQ",
        "AT+QISTATE=1,0",
        "AT+QICLOSE=?",
        "AT+QIRD=1,1024",
        "AT+QICLOSE=5",
        'AT+QIOPEN=1,1,"TCP","10.0.0.1",80',
        "AT+QISWTMD=0,1",
    ],
)
def test_other_commands(table: SocketTable, line: str) -> None:
    """They are the caller's business."""
    check_line(line, table)


@pytest.mark.parametrize("line", ["AT+X\rAT+QRST=1", "AT+X\n", "AT+ÄÖ", "AT+X\x1a", "CSQ", ""])
@virtual
async def test_no_second_command_can_be_smuggled_in(line: str) -> None:
    """Control and other odd characters are refused, and nothing is sent."""
    async with Bench() as bench:
        modem = await bench.open()
        bench.dialogue.clear()
        with pytest.raises(ValueError, match="line"):
            await modem.command(line)
        assert bench.dialogue == []


@virtual
async def test_command_does_not_disturb_a_connection() -> None:
    """The refusal reaches the caller, and the connection goes on."""
    async with Bench() as bench:
        reader, writer = await bench.streams(HOST, ECHO_PORT)
        modem = await bench.modem()
        with pytest.raises(ValueError, match="in use"):
            await modem.command("AT+QICLOSE=0")
        with pytest.raises(aiobc9x.CommandError) as caught:
            await modem.command("AT+QICLOSE=3")
        assert caught.value.err is not None
        writer.write(b"here")
        assert await reader.readexactly(4) == b"here"
