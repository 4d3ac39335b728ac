"""Resolve names, ping hosts and ask for the time: their results come as URCs.

Layer: aio.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Final

from aiobc9x.aio.bringup.readiness import READY_TIMEOUT_S, Readiness
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.line.urc_inbox import Inbox, detached
from aiobc9x.aio.queries.results import PingReply, PingReport, Resolution
from aiobc9x.core.air import ntp_cost, ping_cost
from aiobc9x.errors import (
    CommandError,
    ConnectFailed,
    LinkTimeout,
    UnexpectedAnswer,
    connect_error,
)
from aiobc9x.spec import NAME_RESOLUTION_S, PING_SIZES, Err, NtpErr, PingResult
from aiobc9x.wire.commands.base import Command
from aiobc9x.wire.commands.tcpip import Qidnsgip, Qntp, Qping
from aiobc9x.wire.host import Host
from aiobc9x.wire.urcs import (
    DnsAnswer,
    NtpResult,
    PingCode,
    PingResultLine,
    PingSummary,
    parse_ntp_time,
)

DNS_LIMIT_S: Final = NAME_RESOLUTION_S + 5.0
"""Seconds for the resolution of a name. Ours: the note states none (§2.2.10)."""

DNS_QUIET_S: Final = 2.0
"""Seconds of silence that end an answer which has fewer addresses than it announced (N35).

The name is then asked for once more.
"""

PING_MARGIN_S: Final = 10.0
"""Seconds added to the time of one request. Ours: the note states no limit (§2.2.8)."""

NTP_LIMIT_S: Final = 125.0
"""Seconds for the answer of a time server. Ours: the note states none (§2.2.9)."""

CACHED_NAMES: Final = 256
"""The most names that are remembered."""

_NTP_ERR: Final[dict[int, int]] = {
    NtpErr.ERROR: Err.UNKNOWN,
    NtpErr.NO_REPLY: Err.TIMEOUT,
    NtpErr.BUSY: Err.BUSY,
    NtpErr.DNS_ERROR: Err.DNS_FAILED,
    NtpErr.BEARER_FAIL: Err.OPEN_PDP_FAILED,
}
_PING_ERR: Final[dict[int, int]] = {
    PingResult.TCPIP_ERROR: Err.UNKNOWN,
    PingResult.ADDRESS_NOT_FOUND: Err.DNS_FAILED,
    PingResult.PDP_ACT_FAIL: Err.OPEN_PDP_FAILED,
}


class Resolver:
    """Resolve names on the module, one at a time, and remember the answers for their TTL."""

    def __init__(self, driver: Driver, readiness: Readiness, context_id: int) -> None:
        self._driver, self._readiness, self._context_id = driver, readiness, context_id
        self._one_name = asyncio.Lock()
        self._cache: dict[str, tuple[float, Resolution]] = {}

    async def resolve(self, host: Host) -> Resolution:
        """Resolve a name; see :meth:`Modem.resolve`."""
        command = Qidnsgip(self._context_id, host)  # a wrong host is a ValueError
        if host.address is not None:
            return Resolution((str(host.address),), 0)
        name = host.text.lower()
        expiry, known = self._cache.get(name, (0.0, None))
        if known is not None and self._driver.time() < expiry:
            return known
        await self._readiness.wait(READY_TIMEOUT_S)
        found = await detached(self._driver, self._resolve, command)
        if found.ttl_s:
            if len(self._cache) >= CACHED_NAMES:
                self._cache.clear()
            self._cache[name] = (self._driver.time() + found.ttl_s, found)
        return found

    async def _resolve(self, command: Qidnsgip) -> Resolution:
        async with self._one_name:
            end = self._driver.time() + DNS_LIMIT_S
            found, announced = await self._ask(command, end)
            # The module has no more, or a line got lost: the longer of two answers counts (N35).
            if len(found.addresses) < announced:
                try:
                    again, _ = await self._ask(command, end)
                except ConnectFailed:
                    again = found
                found = max(found, again, key=lambda one: len(one.addresses))
        if not found.addresses:
            raise connect_error(command.text, Err.DNS_FAILED)
        return found

    async def _ask(self, command: Qidnsgip, end: float) -> tuple[Resolution, int]:
        """Ask once; return the answer, and how many addresses it announced."""
        inbox = Inbox(self._driver, DnsAnswer)
        try:
            await _begin(self._driver, command)
            # Lines of an earlier answer, which had more than it announced, may still arrive.
            inbox.skip(lambda answer: answer.err is None)
            limit = max(DNS_QUIET_S, end - self._driver.time())
            answers = 0
            try:
                found, announced = await _collect_addresses(inbox, command.text, limit)
                answers = len(found.addresses)
                return found, announced
            finally:
                self._driver.ledger.resolved(Host.read(command.host).text, answers)
        finally:
            inbox.close()


class NetworkQueries:
    """Pings hosts and asks for the time; the contracts stand at :class:`~aiobc9x.Modem`.

    Each waits for the network first. One operation of a kind runs at a time; others queue. A
    cancelled one finishes on the module by itself.
    """

    def __init__(self, driver: Driver, readiness: Readiness, context_id: int) -> None:
        self._driver, self._readiness, self._context_id = driver, readiness, context_id
        self._one_ping, self._one_time = asyncio.Lock(), asyncio.Lock()

    async def ping(
        self, host: str | bytes, timeout: int, count: int, size_bytes: int
    ) -> PingReport:
        """Ping a host.

        Raises:
            ModemError: As :meth:`Modem.ping`.

        """
        command = Qping(self._context_id, host, timeout, count, size_bytes)
        replies: asyncio.Queue[PingReply | None] = asyncio.Queue()
        await self._readiness.wait(READY_TIMEOUT_S)
        return await detached(self._driver, self._ping, command, timeout, count, replies)

    async def ping_replies(
        self, host: str | bytes, timeout: int, count: int, size_bytes: int
    ) -> AsyncGenerator[PingReply, None]:
        """Ping a host; yield each request's outcome as it comes.

        Raises:
            ModemError: As :meth:`Modem.ping`.

        """
        command = Qping(self._context_id, host, timeout, count, size_bytes)
        replies: asyncio.Queue[PingReply | None] = asyncio.Queue()
        await self._readiness.wait(READY_TIMEOUT_S)
        report = asyncio.create_task(
            detached(self._driver, self._ping, command, timeout, count, replies)
        )
        report.add_done_callback(lambda _: replies.put_nowait(None))
        try:
            while (reply := await replies.get()) is not None:
                yield reply
            await report
        finally:
            report.cancel()
            # A caller who has left the loop early doesn't want to know how the ping ended.
            await asyncio.gather(report, return_exceptions=True)

    async def ntp_time(self, server: str | bytes, port: int, set_clock: bool) -> datetime:
        """Ask an NTP server for the time.

        Raises:
            ModemError: As :meth:`Modem.ntp_time`.

        """
        command = Qntp(self._context_id, server, port, int(set_clock))
        await self._readiness.wait(READY_TIMEOUT_S)
        return await detached(self._driver, self._ntp_time, command)

    async def _ping(
        self, command: Qping, timeout: int, count: int, replies: asyncio.Queue[PingReply | None]
    ) -> PingReport:
        async with self._one_ping:
            inbox: Inbox[PingResultLine | PingSummary | PingCode] = Inbox(
                self._driver, PingResultLine, PingSummary, PingCode
            )
            sent, received = count, 0
            try:
                await _begin(self._driver, command)
                report = await _collect_pings(inbox, command.text, timeout, count, replies)
                sent, received = report.sent, report.received
                return report
            finally:
                cost = ping_cost(command.size_bytes or PING_SIZES.start, sent, received)
                self._driver.ledger.spend(Host.read(command.host).text, cost)
                inbox.close()

    async def _ntp_time(self, command: Qntp) -> datetime:
        async with self._one_time:
            inbox = Inbox(self._driver, NtpResult)
            try:
                await _begin(self._driver, command)
                result = await inbox.get(NTP_LIMIT_S, command.text)
            finally:
                self._driver.ledger.spend(Host.read(command.server).text, ntp_cost())
                inbox.close()
        if result.err:
            raise connect_error(command.text, _NTP_ERR.get(result.err, result.err))
        try:
            return parse_ntp_time(result.time or "")
        except ValueError as exc:
            line = repr(result).encode()
            raise UnexpectedAnswer(command.text, [line], str(exc)) from exc


async def _begin(driver: Driver, command: Command[None]) -> None:
    try:
        await driver.run(command)
    except CommandError as exc:
        raise connect_error(command.text, exc.err, exc.cme) from exc


async def _collect_addresses(
    inbox: Inbox[DnsAnswer], command: str, limit: float
) -> tuple[Resolution, int]:
    """Read the lines of one answer in every shape that modules print (N35).

    Args:
        inbox: Collects the lines.
        command: The command, for error messages.
        limit: Seconds for the first line.

    Returns:
        The addresses, and how many the answer announced.

    """
    addresses: dict[str, None] = {}
    expected, ttl_s = 1, 0
    head = False
    while not head or len(addresses) < expected:
        try:
            answer = await inbox.get(limit, command)
        except LinkTimeout:
            if addresses or head:
                break
            raise
        limit = DNS_QUIET_S
        if answer.err is not None:
            if answer.err:
                raise connect_error(command, answer.err)
            head = True
            # A head begins an answer, so lines before it belong to an earlier one.
            addresses.clear()
            # A head without a count has lost its end, as a name without an address has a count.
            expected = 1 if answer.count is None else answer.count
            ttl_s = answer.ttl_s or 0
        addresses.update(dict.fromkeys(answer.addresses))
    return Resolution(tuple(addresses), ttl_s), expected


async def _collect_pings(
    inbox: Inbox[PingResultLine | PingSummary | PingCode],
    command: str,
    timeout: int,
    count: int,
    replies: asyncio.Queue[PingReply | None],
) -> PingReport:
    seen: list[PingReply] = []
    limit = timeout + PING_MARGIN_S + NAME_RESOLUTION_S
    while True:
        try:
            urc = await inbox.get(limit, command)
        except LinkTimeout:
            # Every request has its outcome, so only the summary got lost.
            if len(seen) == count:
                return _report(seen)
            raise
        limit = timeout + PING_MARGIN_S
        if isinstance(urc, PingSummary):
            return _counted(seen, urc)
        code = urc.result if isinstance(urc, PingResultLine) else urc.code
        if isinstance(urc, PingResultLine) and code == PingResult.ECHO:
            reply = PingReply(urc.ip, urc.size_bytes, urc.time_ms, urc.ttl)
        elif code == PingResult.TIMEOUT and len(seen) < count:
            reply = PingReply()
        elif code in {PingResult.TIMEOUT, PingResult.SUCCESS}:
            return _report(seen)
        else:
            raise connect_error(command, _PING_ERR.get(code, code))
        seen.append(reply)
        replies.put_nowait(reply)


def _counted(replies: list[PingReply], summary: PingSummary) -> PingReport:
    """Make a report from the module's summary; without a reply its times mean nothing."""
    times = (summary.min_ms, summary.max_ms, summary.avg_ms) if summary.received else (None,) * 3
    return PingReport(tuple(replies), summary.sent, summary.received, summary.lost, *times)


def _report(replies: list[PingReply]) -> PingReport:
    """Make a report from the replies, because the module gave no summary."""
    times = [reply.time_ms for reply in replies if reply.time_ms is not None]
    return PingReport(
        tuple(replies),
        len(replies),
        len(times),
        len(replies) - len(times),
        min(times, default=None),
        max(times, default=None),
        sum(times) // len(times) if times else None,
    )
