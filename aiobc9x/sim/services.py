"""Answer AT+QPING, AT+QNTP and AT+QIDNSGIP, which ask the network (§2.2.8–§2.2.10).

Layer: sim. One command of each kind runs at a time; a second one is answered by ``ERROR``.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field

from aiobc9x.sim.board import Board
from aiobc9x.sim.interface import Resolution
from aiobc9x.sim.params import Command, Form, Refused, write_arguments
from aiobc9x.sim.sockets import Sockets
from aiobc9x.spec import (
    CONTEXT_IDS,
    PING_COUNTS,
    PING_SIZES,
    PING_TIMEOUTS_S,
    PORTS,
    Err,
    NtpErr,
    PingResult,
)

NTP_TIMEOUT_S = 10.0
"""How long the module waits for an NTP server. Ours: the note states no time."""

PING_TTL = 255
"""``<ttl>`` of each reply, as §4.4 prints it."""

FORM_OF_TIME = "%Y/%m/%d,%H:%M:%S"
"""How §4.5 prints the time, without the zone."""


@dataclass(slots=True)
class Ping:
    """An AT+QPING in progress."""

    address: str
    timeout: int
    count: int
    size: int
    times_ms: list[int] = field(default_factory=list)
    sent: int = 0

    def summary(self) -> str:
        """Write the final line; success means that one reply came."""
        received = len(self.times_ms)
        result = PingResult.SUCCESS if received else PingResult.TIMEOUT
        least, most = min(self.times_ms, default=0), max(self.times_ms, default=0)
        average = sum(self.times_ms) // received if received else 0
        lost = self.sent - received
        return f"+QPING: {int(result)},{self.sent},{received},{lost},{least},{most},{average}"


class Services:
    """The three commands that ask the network instead of a peer.

    Attributes:
        set_clock: Called with the time and zone to which AT+QNTP sets the clock.

    """

    def __init__(self, board: Board, sockets: Sockets, has_context: Callable[[int], bool]) -> None:
        self._board = board
        self._sockets = sockets
        self._has_context = has_context
        self._busy: set[str] = set()
        self.set_clock: Callable[[datetime.datetime], None] = lambda _time: None
        self.handlers: dict[str, Callable[[Command], None]] = {
            "+QPING": self._qping,
            "+QNTP": self._qntp,
            "+QNTF": self._qntp,  # as the body of §2.2.9 prints it
            "+QIDNSGIP": self._qidnsgip,
        }

    def reset(self) -> None:
        """Forget what was in progress."""
        self._busy.clear()

    def network_time(self) -> datetime.datetime:
        """Return what an NTP server would say now."""
        running = self._board.now - self._board.started
        return self._board.options.clock + datetime.timedelta(seconds=running)

    def _begin(self, kind: str, context_id: int) -> None:
        if kind in self._busy:
            raise Refused(Err.DNS_BUSY if kind == "dnsgip" else Err.BUSY)
        if not self._has_context(context_id):
            raise Refused(Err.OPEN_PDP_FAILED)
        self._busy.add(kind)
        self._board.answer()

    def _end(self, kind: str, *lines: str) -> None:
        self._busy.discard(kind)
        self._board.statistics.urcs += len(lines)
        self._board.lines(*lines)

    def _qping(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer('+QPING: (1-3),"<host>"[,(1-255)[,(1-10)[,(32-200)]]]')
            return
        given = write_arguments(command, 2, 5)
        context_id, host = given.number(0, CONTEXT_IDS), given.text(1)
        ping = Ping(
            "",
            given.number(2, PING_TIMEOUTS_S, 4),
            given.number(3, PING_COUNTS, 4),
            given.number(4, PING_SIZES, 32),
        )
        self._begin("ping", context_id)

        def found(resolution: Resolution | None) -> None:
            if resolution is None or not resolution.addresses:
                self._end("ping", f"+QPING: {int(PingResult.ADDRESS_NOT_FOUND)}")
                return
            ping.address = resolution.addresses[0]
            self._ping_once(ping)

        self._sockets.resolve(host, found)

    def _ping_once(self, ping: Ping) -> None:
        if ping.sent == ping.count:
            self._end("ping", ping.summary())
            return
        lead = b"" if ping.sent else b"\r\n"  # no blank line between the replies (§4.4)
        ping.sent += 1
        taken = self._board.network.ping(ping.address)
        if taken is None or taken > ping.timeout:
            delay, line = float(ping.timeout), f"+QPING: {int(PingResult.TIMEOUT)}"
        else:
            milliseconds = round(taken * 1000)
            ping.times_ms.append(milliseconds)
            delay = taken
            line = f"+QPING: 0,{ping.address},{ping.size},{milliseconds},{PING_TTL}"

        def replied() -> None:
            self._board.urc(line, lead=lead)
            self._ping_once(ping)

        self._board.later(delay, replied)

    def _qntp(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer(f'{command.name}: (1-3),"<server>"[,<port>[,(0,1)]]')
            return
        given = write_arguments(command, 2, 4)
        context_id, server = given.number(0, CONTEXT_IDS), given.text(1)
        given.number(2, PORTS, 123)
        sets_clock = given.number(3, (0, 1), 0) == 1
        self._begin("ntp", context_id)

        def found(resolution: Resolution | None) -> None:
            if resolution is None or not resolution.addresses:
                self._end("ntp", f"{command.name}: {int(NtpErr.DNS_ERROR)}")
            elif self._board.network.ping(resolution.addresses[0]) is None:
                failure = f"{command.name}: {int(NtpErr.NO_REPLY)}"
                self._board.later(NTP_TIMEOUT_S, lambda: self._end("ntp", failure))
            else:
                self._board.later(self._board.options.ntp_time, replied)

        def replied() -> None:
            time = self.network_time()
            if sets_clock:
                self.set_clock(time)
            self._end("ntp", f'{command.name}: 0,"{time:{FORM_OF_TIME}}{zone(time)}"')

        self._sockets.resolve(server, found)

    def _qidnsgip(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer('+QIDNSGIP: (1-3),"<hostname>"')
            return
        given = write_arguments(command, 2, 2)
        context_id, name = given.number(0, CONTEXT_IDS), given.text(1)
        self._begin("dnsgip", context_id)

        def found(resolution: Resolution | None) -> None:
            if resolution is None or not resolution.addresses:
                self._board.last_error = Err.DNS_FAILED
                self._end("dnsgip", f'+QIURC: "dnsgip",{int(Err.DNS_FAILED)}')
                return
            addresses = resolution.addresses
            self._end(
                "dnsgip",
                f'+QIURC: "dnsgip",0,{len(addresses)},{resolution.ttl_s}',
                *(f'+QIURC: "dnsgip","{address}"' for address in addresses),
            )

        self._sockets.resolve(name, found)


def zone(time: datetime.datetime) -> str:
    """Return the offset from UTC in signed quarters of an hour, two digits (§2.2.9)."""
    offset = time.utcoffset() or datetime.timedelta()
    return f"{round(offset.total_seconds() / 900):+03d}"
