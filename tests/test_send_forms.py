"""The six send forms of the note as commands of a caller's own, on a socket of his own."""

from __future__ import annotations

import asyncio

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


class TestChoice:
    """What a connection's bytes go as: the cheapest form on this line."""

    @staticmethod
    async def send(bench: Bench, *payloads: bytes) -> list[str]:
        """Send payloads one by one; the names of the commands that took them."""
        _, writer = await bench.streams()
        writer.transport.set_write_buffer_limits(0)
        bench.dialogue.clear()
        for data in payloads:
            writer.write(data)
            await writer.drain()
        assert bench.peer.received == b"".join(payloads)
        return [text.partition("=")[0] for text in bench.commands if text.startswith("AT+QISEND")]

    @virtual
    async def test_latency_decides(self) -> None:
        """At 20 ms hex pays up to 229 bytes; text goes inline."""
        async with Bench(baud=115200, latency=0.02) as bench:
            modem = await bench.open()
            names = await self.send(bench, bytes(100), b"text", bytes(600))
            assert names == ["AT+QISENDEX", "AT+QISEND", "AT+QISEND"]
            assert modem.line.latency_s == pytest.approx(0.02, abs=0.001)
            counted = modem.statistics
            assert (counted.sends_inline, counted.sends_hex, counted.sends_fixed) == (1, 1, 1)

    @pytest.mark.parametrize(
        ("form", "names"),
        [
            ("inline", ["AT+QISEND", "AT+QISEND"]),
            ("hex", ["AT+QISENDEX", "AT+QISENDEX"]),
            ("fixed", ["AT+QISEND", "AT+QISEND"]),
        ],
    )
    @virtual
    async def test_pinned(self, form: str, names: list[str]) -> None:
        """Whatever it costs."""
        async with Bench(latency=0.02) as bench:
            modem = await bench.open(send_form=form)
            assert await self.send(bench, bytes(100), b"text") == names
            assert modem.statistics.sends_inline == (form == "inline")

    @virtual
    async def test_a_refused_form_is_not_tried_again(self) -> None:
        """The bytes arrive all the same; the next connection knows it too."""
        refusal = Fault(FaultKind.ERROR, on="AT+QISENDEX", times=None)
        async with Bench(refusal, latency=0.02) as bench:
            modem = await bench.open()
            names = await self.send(bench, bytes(100), bytes(50), bytes(1))
            assert names == ["AT+QISENDEX", *["AT+QISEND"] * 3]
            assert modem.profile.hex_inline_limit_bytes == 0
            assert await self.send(bench, bytes(100)) == ["AT+QISEND"]

    @virtual
    async def test_a_refusal_outlives_a_restart(self) -> None:
        """The module is the same one."""
        refusal = Fault(FaultKind.ERROR, on="AT+QISENDEX", times=None)
        async with Bench(refusal, latency=0.02) as bench:
            modem = await bench.open()
            await self.send(bench, bytes(100))
            bench.virtual.reset()
            await asyncio.sleep(10)
            assert modem.statistics.resets == 1
            assert await self.send(bench, bytes(100)) == ["AT+QISEND"]

    def test_an_unknown_form_is_refused(self) -> None:
        """At the call."""
        with pytest.raises(ValueError, match="send_form is 'quick'"):
            aiobc9x.open_modem("sim://", send_form="quick")  # type: ignore[arg-type]  # the point
