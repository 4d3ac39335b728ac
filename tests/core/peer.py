"""The module's side of a session, written from the note by hand.

It shares no parser with the library (rule 11): lines are compared and cut as text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from aiobc9x.core.events import Event, Job, Lane
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.sending import permitted_forms
from aiobc9x.core.session import Session
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.spec import AccessMode, ServiceType
from aiobc9x.wire.commands.base import Raw
from tests.support.words import (
    EMPTY,
    ERROR,
    OK,
    PROMPT,
    SEND_FAIL,
    SEND_OK,
    announced,
    closed,
    explained,
    line,
    pushed,
    received,
)

# The words that a script needs which drives a session by a Peer stand here too.
__all__ = [
    "EMPTY",
    "ERROR",
    "OK",
    "PROMPT",
    "SEND_FAIL",
    "SEND_OK",
    "Line",
    "Peer",
    "announced",
    "ask",
    "closed",
    "explained",
    "line",
    "of",
    "pushed",
    "received",
]

E = TypeVar("E")

READ = b"AT+QIRD=0,1024"
"""How a session reads its first socket."""


class Peer:
    """Talks to a session that is in step, and keeps what came of it.

    Attributes:
        session: The session under test.
        now: The time, which only :meth:`wait` changes.
        events: Everything that the session has reported.

    """

    def __init__(
        self,
        profile: ModuleProfile | None = None,
        *,
        poll_interval: float = 0,
        send_form: str = "auto",
    ) -> None:
        forms = permitted_forms(send_form)
        self.session = Session(profile, poll_interval=poll_interval, send_forms=forms)
        self.session.echo_expected = False
        self.session.resume()
        self.now = 1000.0
        self.events: list[Event] = []

    def open(
        self,
        service_type: ServiceType = ServiceType.TCP,
        access_mode: AccessMode = AccessMode.BUFFER,
        *,
        wants_read: bool = True,
    ) -> Slot:
        """Give the session a connected socket."""
        slot = self.session.sockets.reserve(service_type, access_mode)
        assert slot is not None
        self.session.set_access_mode(slot.connect_id, access_mode)
        slot.move(SlotState.OPEN)
        slot.wants_read = wants_read
        slot.last_read = self.now
        return slot

    def written(self) -> list[bytes]:
        """Take everything that the session writes now."""
        return list(iter(lambda: self.session.next_output(self.now), None))

    def expect(self, *written: bytes) -> None:
        """Check what the session writes now; it must be exactly this."""
        assert self.written() == list(written)

    def say(self, *data: bytes) -> list[Event]:
        """Let bytes arrive, in one chunk; return what they mean."""
        return self._keep(self.session.feed(b"".join(data), self.now))

    def wait(self, seconds: float) -> list[Event]:
        """Let time pass; return what it means."""
        self.now += seconds
        return self._keep(self.session.advance(self.now))

    def turn(self, command: bytes, *answer: bytes) -> list[Event]:
        """Let the session write one command, and answer it."""
        self.expect(command + b"\r")
        return self.say(*answer)

    def prompted(self, slot: Slot, data: bytes) -> None:
        """Let a data-mode send run up to its data."""
        self.turn(b"AT+QISEND=%d,%d" % (slot.connect_id, len(data)), PROMPT)
        self.expect(data)

    def kept(self, kind: type[E]) -> list[E]:
        """Pick the events of one kind among all."""
        return [event for event in self.events if isinstance(event, kind)]

    def _keep(self, events: list[Event]) -> list[Event]:
        self.events += events
        return events


def of(kind: type[E], events: Sequence[object]) -> list[E]:
    """Pick the events of one kind."""
    return [event for event in events if isinstance(event, kind)]


class Line:
    """A serial line between a session and a module that obeys the note.

    The module refuses nothing and loses nothing; it checks that the session obeys the
    note too. What it says waits in :attr:`talk` until somebody delivers it.

    Attributes:
        talk: Bytes on their way to the session.
        nodes: What the peers have sent, by connect ID, one segment or datagram each.
        taken: What the module has accepted, by connect ID.
        commands: Every command line, in order.

    """

    def __init__(self) -> None:
        self.talk = bytearray()
        self.nodes: dict[int, deque[bytes]] = {i: deque() for i in range(6)}
        self.taken: dict[int, list[bytes]] = {i: [] for i in range(6)}
        self.commands: list[bytes] = []
        self.push: set[int] = set()
        self._quiet: set[int] = set()
        self._answer: list[bytes] = []
        self._data_for: tuple[int, int] | None = None
        self._sending = False
        self._switch: tuple[int, bool] | None = None

    def arrive(self, connect_id: int, data: bytes) -> None:
        """Let a peer send one node."""
        if connect_id in self.push:
            self.talk += pushed(connect_id, data)
            return
        self.nodes[connect_id].append(data)
        if connect_id not in self._quiet:  # §1.2, note 1: once, until it has been read empty
            self._quiet.add(connect_id)
            self.talk += announced(connect_id, len(data))

    def receive(self, data: bytes) -> None:
        """Take what the session writes: one command line, or the data of a send."""
        if self._data_for is not None:
            connect_id, size = self._data_for
            assert len(data) == size, "a payload of another length than promised"
            self._data_for = None
            self._take(connect_id, data)
            return
        assert not self._answer, "a command before the final result of the last"
        assert data.endswith(b"\r")
        assert data.count(b"\r") == 1
        self.commands.append(data[:-1])
        self._answer += self._answer_to(data[:-1])

    def answer(self) -> None:
        """Say the next piece of the answer that is due, or the result of a send."""
        if self._answer:
            self.talk += self._answer.pop(0)
            if self._switch is not None:
                connect_id, pushes = self._switch
                (self.push.add if pushes else self.push.discard)(connect_id)
                self._switch = None
        elif self._sending and self._data_for is None:
            self._sending = False
            self.talk += SEND_OK

    @property
    def is_busy(self) -> bool:
        """Whether anything is still to be said."""
        return bool(self._answer or self.talk or (self._sending and self._data_for is None))

    def _answer_to(self, command: bytes) -> Iterator[bytes]:
        name, _, rest = command.partition(b"=")
        if name == b"AT+QIRD":
            return iter(self._read(int(rest.split(b",")[0]), int(rest.split(b",")[1])))
        if name in {b"AT+QISEND", b"AT+QISENDEX"}:
            assert not self._sending, "a second send before SEND OK (§4.1.2)"
            self._sending = True
            connect_id, size, *text = rest.split(b",", 2)
            if not text:
                self._data_for = int(connect_id), int(size)
                return iter([PROMPT])
            assert text[0][:1] == text[0][-1:] == b'"'
            data = text[0][1:-1]
            data = bytes.fromhex(data.decode()) if name == b"AT+QISENDEX" else data
            assert len(data) == int(size)
            self._take(int(connect_id), data)
            return iter(())
        if name == b"AT+QISWTMD":  # §2.2.7: from its OK on
            connect_id, mode = rest.split(b",")
            self._switch = int(connect_id), mode == b"1"
        return iter([OK])

    def _take(self, connect_id: int, data: bytes) -> None:
        self.taken[connect_id].append(data)
        self._answer.append(OK)

    def _read(self, connect_id: int, length: int) -> list[bytes]:
        nodes = self.nodes[connect_id]
        if not nodes:
            self._quiet.discard(connect_id)
            return [line(b"+QIRD: 0"), OK]
        node = nodes.popleft()
        data, rest = node[:length], node[length:]
        if rest:
            nodes.appendleft(rest)
        # One piece: a module prints a payload in one go.
        return [received(data, len(rest))[: -len(OK)], OK]


def ask(text: str = "AT", lane: Lane = Lane.COMMAND, **more: Any) -> Job:
    """Make a job of a plain command (``Any``: the fields of :class:`Job`)."""
    return Job(Raw(text), lane, **more)
