"""What docs/security.md says of hostile input, where no other test shows it."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import aiobc9x
from aiobc9x import AccessMode
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import ECHO_PORT, HOST, LISTEN_PORT, PORT, Bench, echoed
from tests.support.clock import virtual

Call = Callable[[aiobc9x.Modem], Awaitable[object]]

EVIL = 'a"\r\nAT+CFUN=0\r\n'

INJECTIONS: dict[str, Call] = {
    "open_connection": lambda modem: modem.open_connection(EVIL, 80),
    "bytes": lambda modem: modem.open_connection(EVIL.encode(), 80),
    "datagrams": lambda modem: modem.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(EVIL, 80)
    ),
    "resolve": lambda modem: modem.resolve(EVIL),
    "ping": lambda modem: modem.ping(EVIL),
    "ntp_time": lambda modem: modem.ntp_time(EVIL),
    "set_dns_servers": lambda modem: modem.set_dns_servers("1.1.1.1", EVIL),
    "apn": lambda modem: modem.set_apn(EVIL),
    "user": lambda modem: modem.set_apn("internet", user=EVIL, password="p"),
    "password": lambda modem: modem.set_apn("internet", user="u", password=EVIL),
    "pin": lambda modem: modem.set_pin(EVIL),
    "puk": lambda modem: modem.unblock_sim(EVIL, "1234"),
    "new pin": lambda modem: modem.unblock_sim("12345678", EVIL),
    "command": lambda modem: modem.command(f"AT+CGDCONT={EVIL}"),
}


@pytest.mark.parametrize("what", INJECTIONS)
@virtual
async def test_no_argument_adds_a_command(what: str) -> None:
    """Whatever takes text from a program, the module hears nothing of it."""
    async with Bench() as bench:
        modem = await bench.open()
        await modem.wait_ready()
        before = len(bench.commands)
        with pytest.raises(ValueError) as caught:
            await INJECTIONS[what](modem)
        assert "\r" not in str(caught.value)
        assert bench.commands[before:] == []


@pytest.mark.parametrize("mode", AccessMode)
@pytest.mark.parametrize("send_form", ["auto", "fixed", "inline", "hex"])
@virtual
async def test_no_payload_adds_a_command(send_form: str, mode: AccessMode) -> None:
    """Commands and URCs in what a peer or the program sends are bytes like all others."""
    evil = EVIL.encode() * 20 + b'\x1b\x1a\r\n+QIURC: "closed",0\r\nRDY\r\nERROR\r\n+++\r\nATH\r'
    async with Bench() as bench:
        modem = await bench.open(send_form=send_form)
        await echoed(modem, evil, access_mode=mode)
        assert not [line for line in bench.commands if line.startswith(("AT+CFUN=0", "ATH"))]
        assert (modem.statistics.resets, modem.statistics.recoveries) == (0, 0)


class TestStrangers:
    """Whoever can reach a listener's port."""

    @virtual
    async def test_they_can_take_every_id_and_no_more(self) -> None:
        """Own calls are told so at once, and go on when the program has closed the strangers."""
        async with Bench() as bench:
            modem = await bench.open()
            writers: list[asyncio.StreamWriter] = []
            async with await modem.start_server(lambda _, w: writers.append(w), LISTEN_PORT):
                strangers = [bench.network.dial(LISTEN_PORT) for _ in range(50)]
                await asyncio.sleep(5)
                assert sum(each is not None for each in strangers) == len(writers) == 5
                with pytest.raises(aiobc9x.NoFreeSocket):
                    await modem.open_connection(HOST, PORT)
                for writer in writers:
                    writer.transport.abort()
                await asyncio.sleep(1)
                await echoed(modem)

    @virtual
    async def test_an_id_that_is_kept_for_the_program(self) -> None:
        """A connection that is opened before the server can't be taken away."""
        async with Bench() as bench:
            modem = await bench.open()
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            async with await modem.start_server(lambda _r, _w: None, LISTEN_PORT) as server:
                for _ in range(50):
                    bench.network.dial(LISTEN_PORT)
                writer.write(b"still mine")
                assert await reader.readexactly(10) == b"still mine"
                server.abort_clients()


SECRETS = ["s3cret-user", "s3cret-word", "97531", "86420864", "s3cret-data"]
DATA = b"s3cret-data\r\n+CSQ: s3cret-data\r\nAT s3cret-data\r" * 3


async def send(modem: aiobc9x.Modem, mode: AccessMode) -> None:
    """Send what nobody else should read, and receive it."""
    reader, writer = await modem.open_connection(HOST, ECHO_PORT, access_mode=mode)
    writer.write(DATA)
    await asyncio.wait_for(reader.readexactly(len(DATA)), 60)
    writer.close()


TELLING: dict[str, Call] = {
    "pin": lambda modem: modem.wait_ready(20),
    "puk": lambda modem: modem.unblock_sim("86420864", "97531"),
    "apn": lambda modem: modem.set_apn("net", user=SECRETS[0], password=SECRETS[1]),
    "raw": lambda modem: modem.command(f'AT+CGAUTH=1,1,"{SECRETS[0]}","{SECRETS[1]}"'),
    "payload": lambda modem: send(modem, AccessMode.BUFFER),
    "pushed": lambda modem: send(modem, AccessMode.PUSH),
}

TROUBLE: dict[str, Fault | None] = {
    "none": None,
    "refused pin": Fault(FaultKind.ERROR, on="AT+CPIN=", times=9),
    "refused login": Fault(FaultKind.ERROR, on="AT+CGAUTH=", times=9),
    "lost answers": Fault(FaultKind.DROP_LINE, on="OK", after=24, times=4),
    "silence": Fault(FaultKind.IGNORE, on="AT+CGAUTH=", times=9),
    "lost bytes": Fault(FaultKind.LOSE_BYTES, count=5),
    "lost on the way": Fault(FaultKind.LOSE_SENT, count=5),
    "cut header": Fault(FaultKind.TRUNCATE_LINE, on="+QIRD", count=3),
    "restart": Fault(FaultKind.RESET_IN_PAYLOAD, count=5),
}


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("what", TELLING)
@pytest.mark.parametrize("send_form", ["auto", "fixed"])
@virtual
async def test_secrets_stay_out_of_everything(
    send_form: str, what: str, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Logs at DEBUG, errors with their tracebacks, events, counters, and what has a repr."""
    caplog.set_level(logging.DEBUG, "aiobc9x")
    fault = TROUBLE[trouble]
    options: dict[str, Any] = {"pin": "97531"} if what == "pin" else {}
    told: list[str] = []
    async with Bench(*[fault] if fault else [], **options) as bench:
        modem = await bench.open_lasting(send_form=send_form, **options)
        events = modem.subscribe()
        try:
            await TELLING[what](modem)
        except (aiobc9x.ModemError, TimeoutError) as exc:
            told += [repr(exc), *traceback.format_exception(exc)]
        await asyncio.sleep(20)
        told += map(repr, (modem, modem.statistics, *asyncio.all_tasks()))
        await modem.aclose()
        told += [repr(event) async for event in events]
    told += [record.getMessage() for record in caplog.records]
    assert [text for text in told for secret in SECRETS if secret in text] == []


@pytest.mark.parametrize("target", ["127.0.0.1", "10.0.0.1", "169.254.169.254"])
@virtual
async def test_no_target_is_this_machine(target: str) -> None:
    """It is the module's loopback or network, for every adapter: they dial by the modem alone."""
    async with Bench() as bench:
        modem = await bench.open()
        with pytest.raises(OSError):
            await modem.open_connection(target, 22, timeout=200)
        assert [line for line in bench.commands if f'"{target}",22' in line]
