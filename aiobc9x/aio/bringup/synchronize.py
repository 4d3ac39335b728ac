"""Get an answer from a module in an unknown state.

Layer: aio. Plain coroutines over ``driver.run(command)`` in the recovery lane.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Final

from aiobc9x.aio.line.driver import Driver
from aiobc9x.core.events import Lane
from aiobc9x.errors import CommandError, LinkTimeout
from aiobc9x.spec import ESC
from aiobc9x.wire.commands.base import Command
from aiobc9x.wire.commands.radio import At, Results, Verbose

BAUDRATES: Final = (115200, 9600, 57600, 460800, 38400, 19200, 4800)
"""Speeds to try in this order when it is unknown; the defaults of relatives first (F47)."""

QUIET_S: Final = 0.3
"""Seconds of silence after which no late answer is expected. Ours."""

SETTLE_LIMIT_S: Final = 3.0
"""Seconds to wait for silence at most: a line that never falls silent is pushing data."""

SCAN_S: Final = 3.0
"""Seconds for each speed of a scan."""

_TRIES_S: Final = (0.3, 0.3, 0.5)
"""Seconds for the answers to the first commands; the first after sleep only wakes it (F48)."""

_IN_SILENCE: Final[tuple[Command[None], ...]] = (At(), Results(), Verbose())
"""Commands to try in turn on a silent line (F46).

If an earlier program has switched results off (ATQ1), or to numbers (ATV0), only the command that
undoes this gets an answer that can be read. Each has a line of its own, because not every module
takes both in one line.
"""

_BEHIND_BYTES: Final[tuple[Command[None], ...]] = (At(), Verbose(), Results())
"""Commands to try in turn if bytes have come after AT.

Results in numbers are more likely then, and a scan of speeds has time for two commands only.
"""

_PATIENT_S: Final = 1.7
_LATE_S: Final = 2.0
_LOOK_S: Final = 0.1
_ESC_WAIT_S: Final = 0.5
_FILL_BYTES: Final = 64
_FILL_MAX_BYTES: Final = 2880
_FILL_GAP_S: Final = 0.05


async def synchronize(driver: Driver, timeout: float, *, scan: bool = False) -> None:
    """Send AT, ATQ0 and ATV1 until the module answers, whatever state it was left in.

    Raises:
        LinkTimeout: No answer in ``timeout`` seconds.

    """
    end = driver.time() + timeout
    received = driver.session.statistics.bytes_received
    if scan and driver.link.has_speed:
        answered = await _scan(driver, end)
    else:
        answered = await _synchronize(driver, end)
    if not answered:
        got = driver.session.statistics.bytes_received - received
        raise LinkTimeout(_silence(driver, timeout, got))


def _silence(driver: Driver, timeout: float, received: int) -> str:
    name = driver.link.name
    if received:
        return (
            f"{received} bytes came from {name} in {timeout:g} s, but no answer to AT; check the "
            "speed (baudrate=None tries the usual ones) and that it is a modem"
        )
    return (
        f"nothing came from {name} in {timeout:g} s; check that the module is powered, awake and "
        "wired, and the speed (baudrate=None tries the usual ones)"
    )


async def _scan(driver: Driver, end: float) -> bool:
    rates = [driver.link.baudrate, *(r for r in BAUDRATES if r != driver.link.baudrate)]
    while driver.time() < end:
        for rate in rates:
            await driver.link.set_baudrate(rate)
            driver.session.baudrate = rate
            if await _synchronize(driver, min(end, driver.time() + SCAN_S)):
                return True
    return False


async def _synchronize(driver: Driver, end: float) -> bool:
    began, asked, boots = driver.time(), 0, driver.session.boots
    # A module that waits for data would send our commands to a peer (F27, F28).
    if driver.session.data_due:
        await _fill_up(driver, driver.session.data_due, end, b"\r" * _FILL_BYTES)
    order = _IN_SILENCE
    for unanswered, limit in enumerate(_limits()):
        turn, received = unanswered % len(order), driver.session.statistics.bytes_received
        left = end - driver.time()
        if left <= 0:
            return False
        if driver.session.boots != boots:
            # A module that has restarted owes no answer to what it was asked before.
            began, asked, boots = driver.time(), unanswered, driver.session.boots
        if await _answers(driver, order[turn], limit, end):
            await _await_late_answers(driver, unanswered - asked, driver.time() - began)
            return True
        if turn == 0 and driver.session.statistics.bytes_received > received:
            order = _BEHIND_BYTES
        if turn == len(order) - 1:
            order = _IN_SILENCE
        # Once all have been tried, behind each: a module that was silent may listen again, and
        # still wait for data.
        if unanswered >= len(order) - 1:
            await _leave_data_mode(driver, end)
        await asyncio.sleep(max(0.0, min(0.1, end - driver.time())))
    return False


def _limits() -> Iterator[float]:
    yield from _TRIES_S
    while True:
        yield _PATIENT_S


async def _answers(driver: Driver, command: Command[None], limit: float, end: float) -> bool:
    limit = max(0.0, min(limit, end - driver.time()))
    try:
        # Noise on the line prolongs an exchange beyond its limit, but not beyond the end.
        async with asyncio.timeout_at(end):
            await driver.run(command, lane=Lane.RECOVERY, limit=limit)
    except TimeoutError:
        return False
    except CommandError:
        # ERROR to a line that began with the rest of another one; it is an answer.
        return True
    return True


async def _await_late_answers(driver: Driver, unanswered: int, waited: float) -> None:
    """Wait for late answers to earlier ATs, which would be taken for those of later commands.

    Each of them makes the wait begin again. What the module prints unasked doesn't: one that boots
    prints for seconds.
    """
    quiet = min(max(QUIET_S, waited), _LATE_S) if unanswered else 0.0
    began = since = driver.time()
    answers = driver.session.stray_answers
    while (left := min(since + quiet, began + 2 * quiet) - driver.time()) > 0:
        await asyncio.sleep(min(left, _LOOK_S))
        if driver.session.stray_answers != answers:
            since, answers = driver.time(), driver.session.stray_answers
    await settle(driver, QUIET_S / 3)


async def settle(driver: Driver, quiet: float = QUIET_S) -> None:
    """Wait until the line has been silent for ``quiet`` seconds, three at most."""
    end = driver.time() + max(SETTLE_LIMIT_S, 2 * quiet)
    while (now := driver.time()) < end:
        silent = now - driver.last_input
        if silent >= quiet:
            return
        await asyncio.sleep(quiet - silent)


async def wait_for_line(driver: Driver) -> None:
    """Wait until the command in flight has its answer, or has been given up."""
    while (due := driver.session.answer_due) < math.inf:  # noqa: ASYNC110  (nothing tells)
        await asyncio.sleep(max(0.0, min(due - driver.time(), _LOOK_S)))


async def _leave_data_mode(driver: Driver, end: float) -> None:
    """End a send that an earlier program left half done (F28).

    ESC ends the form without a length. The form with a length ignores ESC, so carriage returns
    are written until it has its bytes. To a module that only sleeps, both are harmless.
    """
    session = driver.session
    answers = session.stray_answers
    session.write_raw(ESC)
    driver.kick()
    await asyncio.sleep(min(_ESC_WAIT_S, max(0.0, end - driver.time())))
    if session.stray_answers != answers or await _answers(driver, At(), _TRIES_S[0], end):
        return
    # If the send was ours, we know how many bytes the module still wants, or may want at most. If
    # it was that of an earlier program, we don't; and a module that was merely silent may begin to
    # listen meanwhile, and answers the AT.
    if session.data_due:
        await _fill_up(driver, session.data_due, end, b"\r" * _FILL_BYTES)
    else:
        most = _FILL_MAX_BYTES if session.data_due is None else session.data_doubtful
        await _fill_up(driver, most, end, (b"\r" * _FILL_BYTES + b"AT\r")[-_FILL_BYTES:])


async def _fill_up(driver: Driver, due: int, end: float, filler: bytes) -> None:
    """Write a filler as data until the module answers or restarts, or has the bytes due."""
    session = driver.session
    answers, boots, written = session.stray_answers, session.boots, 0
    while written < due and driver.time() < end:
        size = min(_FILL_BYTES, due - written)
        session.write_raw(filler[:size])
        driver.kick()
        written += size
        await asyncio.sleep(_FILL_GAP_S + _FILL_BYTES * 10 / session.baudrate)
        if session.stray_answers != answers or session.boots != boots:
            return
