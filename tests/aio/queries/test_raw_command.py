"""check_line: Modem.command() keeps off the sockets in use."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aiobc9x
from aiobc9x.aio.queries.raw_command import check_form, check_line
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


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("AT&F", r"restart the module with AT\+CFUN=1,1"),
        ("at&f0", "single settings"),
        ("ATZ", "single settings"),
        ("ATZ0", "single settings"),
        ("AT Z", "single settings"),
        ("ATE0&F", "one by one"),
        ("AT&FE0", "single settings"),
        ("ATE1V0", "one by one"),
        ("ATE0Q0V1", "one by one"),
        ("ATE0+CMEE=1", "one by one"),
        ("ATI;", "one by one"),
        ("AT+CSQ;+CEREG?", "one by one"),
        ("AT+CMEE=2;+CFUN=0", "one by one"),
        ('AT+X="a;b";+Y', "one by one"),
        ("ATV0", "leave it"),
        ("ATV", "leave it"),
        ("ATQ1", "leave it"),
        ("atq2", "leave it"),
        ("ATS3=13", "leave it"),
        ("ATS4 = 10", "leave it"),
        ("ATD*99#", r"open_connection\(\)"),
        ("ATO", r"open_connection\(\)"),
        ("AT+CMUX=0", r"open_connection\(\)"),
        ('AT+CGDATA="PPP",1', r"open_connection\(\)"),
        ("AT+IPR=9600", r"pass it to open_modem\(\)"),
        ("AT+ICF=3,3", r"pass it to open_modem\(\)"),
    ],
)
@virtual
async def test_commands_that_change_how_answers_are_read(line: str, instead: str) -> None:
    """They are refused with what to do, and nothing is sent."""
    async with Bench() as bench:
        modem = await bench.open()
        bench.dialogue.clear()
        with pytest.raises(ValueError, match=instead):
            await modem.command(line)
        assert bench.dialogue == []
        assert await modem.command("AT+CSQ") == ["+CSQ: 20,0"]


@pytest.mark.parametrize(
    "line",
    [
        "AT",
        "ATI",
        "ATI9",
        "ATE1",
        "ATV1",
        "ATQ0",
        "ATQ",
        "ATX4",
        "AT&V",
        "AT&W",
        "ATS3?",
        "ATS0=0",
        "AT+IPR?",
        "AT+IPR=?",
        "AT+CMUX?",
        'AT+X="a;b"',
        'AT+CGDCONT=1,"IP","a.b"',
        "AT^SYSINFO",
        "AT$X=1",
    ],
)
def test_single_commands_that_change_nothing(line: str) -> None:
    """They pass, quoted semicolons and questions about the rest included."""
    check_form(line)


@given(text=st.text(alphabet='AaTtEVQZS&D+CSQ=?;"01 ,*#', max_size=40))
def test_no_line_raises_anything_else(text: str) -> None:
    """Whatever somebody writes is refused with a ValueError, or it is not."""
    with contextlib.suppress(ValueError):
        check_form("AT" + text)


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
