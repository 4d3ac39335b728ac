"""The six send forms of the note as commands of a caller's own, on a socket of his own."""

from __future__ import annotations

import pytest

import aiobc9x
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import HOST, PORT, Bench
from tests.support.clock import virtual

OPEN = f'AT+QIOPEN=1,5,"TCP","{HOST}",{PORT},0,0,0'

FORMS: list[tuple[str, bytes | None, bytes]] = [
    ('AT+QISEND=5,5,"plain"', None, b"plain"),
    ("AT+QISEND=5,6", b"\x00\x1a\x1b\r\n\xff", b"\x00\x1a\x1b\r\n\xff"),
    ("AT+QISEND=5", b"till Ctrl-Z", b"till Ctrl-Z"),
    ('AT+QISENDEX=5,3,"00FF1A"', None, b"\x00\xff\x1a"),
    ("AT+QISENDEX=5,3", b"00FF1A", b"\x00\xff\x1a"),
    ("AT+QISENDEX=5", b"00FF1A", b"\x00\xff\x1a"),
]
"""§2.2.4 and §2.2.5: inline, fixed and variable length; text and hex."""


async def opened(bench: Bench) -> aiobc9x.Modem:
    """Open a socket by a command."""
    modem = await bench.open()
    await modem.wait_ready()
    events = modem.subscribe()
    assert await modem.command(OPEN) == []
    assert "OpenResult(connect_id=5, err=0)" in repr(await anext(events))
    return modem


@pytest.mark.parametrize(("line", "data", "arrives"), FORMS)
@virtual
async def test_form(line: str, data: bytes | None, arrives: bytes) -> None:
    """The bytes arrive, and the result is the last line."""
    async with Bench() as bench:
        modem = await opened(bench)
        assert await modem.command(line, data=data) == ["SEND OK"]
        assert bench.peer.received == arrives
        assert modem.statistics.sends == 1


@pytest.mark.parametrize(("line", "data", "arrives"), FORMS)
@virtual
async def test_send_fail(line: str, data: bytes | None, arrives: bytes) -> None:
    """It is an error; the next send works."""
    async with Bench() as bench:
        modem = await opened(bench)
        bench.add_fault(Fault(FaultKind.SEND_FAIL, on="AT+QISEND"))
        with pytest.raises(aiobc9x.CommandError, match="SEND FAIL"):
            await modem.command(line, data=data)
        assert await modem.command(line, data=data) == ["SEND OK"]
        assert bench.peer.received == arrives


@pytest.mark.parametrize(
    ("line", "data"),
    [
        ("AT+QISEND=5,6", None),
        ("AT+QISEND=5", None),
        ("AT+QISEND=5,6", b"seven b"),
        ("AT+QISEND=5,6", b""),
        ("AT+QISENDEX=5,3", b"00FF1"),
        ("AT+QISEND=5", b"a\x1ab"),
        ("AT+QISEND=5", b"a\x1bb"),
    ],
)
@virtual
async def test_data_that_do_not_fit(line: str, data: bytes | None) -> None:
    """The module would wait for more, or take the rest for commands: nothing is sent."""
    async with Bench() as bench:
        modem = await opened(bench)
        bench.dialogue.clear()
        with pytest.raises(ValueError, match="data"):
            await modem.command(line, data=data)
        assert bench.commands == []


@virtual
async def test_empty_send() -> None:
    """§2.2.4, note 4: Ctrl-Z alone is SEND FAIL."""
    async with Bench() as bench:
        modem = await opened(bench)
        with pytest.raises(aiobc9x.CommandError, match="SEND FAIL"):
            await modem.command("AT+QISEND=5", data=b"")


@virtual
async def test_reading_back() -> None:
    """What AT+QIRD reads comes as two lines, header and data."""
    async with Bench() as bench:
        modem = await opened(bench)
        bench.peer.send(b"1234567890")
        assert await modem.command("AT+QIRD=5,8") == ["+QIRD: 8,2", "12345678"]
        assert await modem.command("AT+QIRD=5,8") == ["+QIRD: 2,0", "90"]
        assert await modem.command("AT+QIRD=5,8") == ["+QIRD: 0"]


@virtual
async def test_a_listener_sends_nothing() -> None:
    """§2.2.4, note 3: ERROR, with the module's code."""
    async with Bench() as bench:
        modem = await bench.open()
        await modem.wait_ready()
        await modem.command('AT+QIOPEN=1,4,"TCP LISTENER","0.0.0.0",1,2020,0,0')
        with pytest.raises(aiobc9x.CommandError) as caught:
            await modem.command('AT+QISEND=4,1,"x"')
        assert caught.value.err is not None
