"""Faults at random moments: no byte is wrong, nothing hangs, the next connection works.

Each run opens three connections through the virtual module to an echo server, lets one
or two faults strike somewhere, and then asks for the only two outcomes there are: every
byte came back in order, or the connection ended with an exception that says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from aiobc9x import AccessMode, Modem, ModemError
from aiobc9x.sim.faults import LINE_KINDS, Fault, FaultKind
from tests.support.bench import ECHO_PORT, HOST, Bench
from tests.support.clock import virtual

SIZE_BYTES = 9000
PATIENCE_S = 400.0

LINES = ("OK", "+QIRD", '+QIURC: "recv"', '+QIURC: "closed"', "SEND OK", "CLOSE OK", "+QIOPEN", "")
COMMANDS = ("AT+QIRD", "AT+QISEND", "AT+QICLOSE", "AT+QIOPEN", "AT+QISTATE", "AT+CG", "AT")
GARBAGE = (
    b"\x00\xff\x00",
    b"\r\n+QIRD: 5\r\n",
    b"> ",
    b"\r\nOK\r\n",
    b"\r\nERROR\r\n",
    b"\xffAT\r\r\n",
)


def random_fault(rng: random.Random, mode: AccessMode) -> Fault:
    """Choose what goes wrong, where, and how late in the run.

    A pushed URC that never comes, or comes twice, leaves no trace: nobody can notice. Nor can
    anybody notice wrong bits of a payload without TLS, or that a send that has failed has gone out
    in part, which only a profile tells.
    """
    unfair = {FaultKind.STUCK, FaultKind.CORRUPT_BYTES, FaultKind.SEND_FAIL_PART}
    kind = rng.choice([kind for kind in FaultKind if kind not in unfair])
    untraceable = {"", '+QIURC: "recv"'} if mode is AccessMode.PUSH else set()
    on = rng.choice([line for line in LINES if line not in untraceable])
    if kind not in LINE_KINDS:
        on = rng.choice(COMMANDS)
    if kind in {FaultKind.LOSE_BYTES, FaultKind.RESET_IN_PAYLOAD, FaultKind.DROP_ON_FULL}:
        on = ""
    if kind is FaultKind.SWALLOW_RECV:
        return Fault(kind, times=None)
    return Fault(
        kind,
        on,
        after=rng.randrange(40),
        times=rng.choice([1, 1, 1, 2, 3]),
        delay_s=rng.choice([0.1, 1.0, 5.0, 13.0]),
        count=rng.choice([1, 2, 4, 20]),
        data=rng.choice(GARBAGE),
    )


async def converse(modem: Modem, seed: int, mode: AccessMode) -> None:
    """Send random bytes and check what comes back; an exception is a fair end."""
    data = random.Random(seed).randbytes(SIZE_BYTES)
    reader, writer = await modem.open_connection(HOST, ECHO_PORT, access_mode=mode)

    async def send() -> None:
        for start in range(0, SIZE_BYTES, 700):
            writer.write(data[start : start + 700])
            await writer.drain()

    sending = asyncio.create_task(send())
    try:
        got = b""
        while len(got) < SIZE_BYTES:
            piece = await reader.read(500)
            got += piece
            assert data.startswith(got)
            if not piece:
                raise ConnectionResetError("the stream ended early and said so")
        await sending
    finally:
        sending.cancel()
        await asyncio.wait([sending])
        if not sending.cancelled():
            sending.exception()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def usable_again(modem: Modem, bench: Bench) -> None:
    """A fresh connection carries bytes, once the faults are over."""
    for _ in range(20):
        try:
            reader, writer = await modem.open_connection(HOST, ECHO_PORT)
            writer.write(b"after all")
            assert await reader.readexactly(9) == b"after all"
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(10)
        else:
            return
    pytest.fail(f"no connection works any more: {bench.dialogue[-20:]}")


async def run(seed: int, mode: AccessMode) -> None:
    """Let faults strike while three connections talk."""
    rng = random.Random(seed)
    chunk, latency = rng.choice([0, 0, 1, "random"]), rng.choice([0, 0.02, 0.2])
    async with Bench(seed=seed, chunk=chunk, latency=latency) as bench:
        modem = await bench.open()
        await modem.wait_ready()
        for _ in range(rng.choice([1, 1, 2])):
            bench.virtual.module.board.faults.add(random_fault(rng, mode))
        async with asyncio.timeout(PATIENCE_S):
            ends = await asyncio.gather(
                *(converse(modem, seed * 10 + i, mode) for i in range(3)), return_exceptions=True
            )
        for end in ends:
            assert end is None or isinstance(end, ModemError | ConnectionError), repr(end)
        await usable_again(modem, bench)


@pytest.mark.parametrize("mode", AccessMode)
@pytest.mark.parametrize("seed", range(30))
@virtual
async def test_bytes_arrive_or_the_connection_says_why(seed: int, mode: AccessMode) -> None:
    """Whatever goes wrong, a stream never goes on with a hole, and the modem recovers."""
    await run(seed, mode)
