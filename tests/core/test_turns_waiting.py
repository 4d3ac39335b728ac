"""Turns: who waits for the line, and until when."""

import math

import pytest

from aiobc9x.core.events import Job, Lane
from aiobc9x.core.line_timing import LineTiming
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.sending import Sender
from aiobc9x.core.slots import Slot, SlotState, SocketTable
from aiobc9x.core.turns import SMALL_SEND_BYTES, JobQueue, TurnKind, Turns
from aiobc9x.spec import ServiceType
from aiobc9x.wire.commands.base import Raw

LINE = LineTiming(11520.0)


class Line:
    """A scheduler and those that it asks."""

    def __init__(self) -> None:
        self.sockets, self.queue = SocketTable(), JobQueue()
        self.sender = Sender(ModuleProfile())
        self.scheduler = Turns(self.sockets, self.queue, self.sender)

    def open(self, unsent: int = 0, *, readable: bool = False) -> Slot:
        slot = self.sockets.reserve(ServiceType.TCP)
        assert slot is not None
        slot.move(SlotState.OPEN)
        slot.outgoing += bytes(unsent)
        slot.wants_read, slot.readable = True, readable
        return slot

    def next(self, now: float = 0.0) -> tuple[TurnKind, int] | None:
        turn = self.scheduler.next(now)
        return None if turn is None else (turn.kind, turn.connect_id)


@pytest.fixture
def line() -> Line:
    """A line that nobody waits for."""
    return Line()


class TestTurns:
    """Who is asked."""

    def test_nobody_waits(self, line: Line) -> None:
        """An open socket that has nothing to do needs no turn."""
        line.open()
        assert line.next() is None

    def test_a_close_goes_first(self, line: Line) -> None:
        """Then a command, then a read, then a send."""
        line.open(readable=True)
        line.open(unsent=1)
        line.queue.add(Job(Raw("AT+CSQ"), Lane.COMMAND))
        line.queue.add(Job(Raw("AT+QICLOSE=5"), Lane.CLOSE))
        assert line.next() == (TurnKind.CLOSE, -1)
        line.queue.take(Lane.CLOSE)
        assert line.next() == (TurnKind.COMMAND, -1)
        line.queue.take(Lane.COMMAND)
        assert line.next() == (TurnKind.READ, 0)
        assert line.next() == (TurnKind.SEND, 1)

    def test_announced_data_are_read_first(self, line: Line) -> None:
        """Before sockets that are only looked after."""
        for _ in range(3):
            line.open(readable=True)
        line.open(readable=True).announced = 3
        assert [line.next() for _ in range(4)] == [(TurnKind.READ, i) for i in (3, 0, 1, 2)]

    def test_nobody_sends_while_a_send_is_outstanding(self, line: Line) -> None:
        """§4.1.2; reads go on."""
        sending, reading = line.open(unsent=1), line.open()
        line.sender.begin(sending, LINE, 0.0)
        assert line.next() is None
        reading.readable = True
        assert line.next() == (TurnKind.READ, 1)

    def test_a_stalled_socket_waits(self, line: Line) -> None:
        """Until its back-off is over."""
        line.open(unsent=1).retry_at = 5.0
        assert line.next(4.9) is None
        assert not line.scheduler.sends_wait(4.9)
        assert line.scheduler.sends_wait(5.0)
        assert line.next(5.0) == (TurnKind.SEND, 0)

    def test_a_short_message_overtakes_bulk_writers(self, line: Line) -> None:
        """At most one of them goes in front of it, however many there are."""
        for _ in range(5):
            line.open(unsent=10_000)
        assert [line.next(), line.next()] == [(TurnKind.SEND, 0), (TurnKind.SEND, 1)]
        line.open(unsent=SMALL_SEND_BYTES)
        assert line.next() == (TurnKind.SEND, 5)
        assert line.next() == (TurnKind.SEND, 2)
        assert line.next() == (TurnKind.SEND, 5)

    def test_one_byte_more_is_no_short_message(self, line: Line) -> None:
        """It has its turn with the others."""
        line.open(unsent=10_000)
        line.open(unsent=SMALL_SEND_BYTES + 1)
        assert [line.next() for _ in range(4)] == [(TurnKind.SEND, i) for i in (0, 1, 0, 1)]


class TestTimes:
    """Silent sockets are read, stalled ones try again."""

    def test_a_silent_socket_is_read(self, line: Line) -> None:
        """In case an announcement got lost (rule 5)."""
        slot = line.open()
        slot.last_read = 100.0
        assert line.scheduler.deadline(10.0, math.inf) == 110.0
        line.scheduler.mark_due(109.9, 10.0)
        assert line.next() is None
        line.scheduler.mark_due(110.0, 10.0)
        assert line.next() == (TurnKind.READ, 0)

    def test_polling_can_be_off(self, line: Line) -> None:
        """Then nobody is ever due."""
        line.open()
        assert line.scheduler.deadline(0, math.inf) == math.inf
        line.scheduler.mark_due(1e9, 0)
        assert line.next() is None

    def test_a_stalled_socket_is_waited_for(self, line: Line) -> None:
        """Only while it has something to send."""
        slot = line.open(unsent=1)
        slot.retry_at = 5.0
        assert line.scheduler.deadline(0, math.inf) == 5.0
        line.scheduler.mark_due(5.0, 0)
        assert slot.retry_at == 0.0
