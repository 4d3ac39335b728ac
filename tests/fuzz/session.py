"""One input for the session: a script of what the line says, what callers ask, and time.

A byte below 96 is followed by that many bytes and one more, which the line says as they are;
one below 144 says a line of :data:`WORDS`; any other does one of :data:`ACTIONS`, whose arguments
follow. :class:`Desk` does what the driver and the sockets above a session do: it writes what is
due, answers the events, and calls back in time. Whatever the line says in whatever state:

- nothing raises, and the session never asks to be called at a time that has passed;
- a job finishes once, and a socket says nothing more once it has failed or is free;
- what a stream delivers stood on the line, one piece behind the other, and a socket in buffer
  mode gets no more than what was asked for by AT+QIRD;
- no more is confirmed as sent than was written;
- what is kept does not grow with what the line says.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from aiobc9x.core.events import (
    DataReceived,
    Drained,
    Event,
    Failed,
    Finished,
    Job,
    Lane,
    Opened,
    OpenRefused,
    Orphaned,
    ReadRefused,
    SendOver,
    SendStalled,
    Sent,
    SwitchRefused,
)
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.session import Session
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import LinkLost, ModuleReset
from aiobc9x.spec import READ_MAX_BYTES, AccessMode, ConfigKey, ServiceType
from aiobc9x.wire.commands.base import Raw
from aiobc9x.wire.commands.radio import At
from aiobc9x.wire.commands.tcpip import (
    Qicfg,
    Qiclose,
    Qiopen,
    Qisend,
    Qistate,
)
from tests.support.words import (
    CLOSE_OK,
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

WORDS: Final = (
    *(OK, ERROR, EMPTY, PROMPT, SEND_OK, SEND_FAIL, CLOSE_OK),
    *(closed(n) for n in range(6)),
    *(line(b"+QIOPEN: %d,0" % n) for n in range(6)),
    *(announced(n, 5) for n in range(6)),
    *(pushed(n, b"pushed") for n in range(6)),
    *(line(b'+QIURC: "incoming",%d,0,"1.2.3.4",80' % n) for n in (1, 5)),
    line(b"+QIOPEN: 0,566"),
    received(b"some data"),
    received(b"6869", 2),
    explained(568),
    line(b"RDY"),
    line(b"AT"),
    line(b"+CME ERROR: 3"),
    line(b'+QIURC: "recv",0,"buff full"'),
    line(b'+QIURC: "pdpdeact",1'),
    line(b'+QNBIOTEVENT: "ENTER DEEPSLEEP"'),
    line(b'+QNBIOTEVENT: "EXIT DEEPSLEEP"'),
    b"\r\n+QIRD: 20,0\r\n",
    b'\r\n+QIURC: "recv",2,20\r\n',
)
"""What the line says by one byte of a script."""

HEARD, SPOKEN = 96, 96 + 48

FLOODS: Final = 165
"""What must follow the action of that name, which takes long, so that few scripts have it."""

FLOOD_BYTES: Final = 800_000
"""So many bytes are said at least, the last ones over and over, to see what is kept."""

KEPT_BYTES: Final = 450_000
"""The most that a session may keep of what the line has said: an answer that has not ended, an
incomplete line or payload, what is withheld in doubt, a datagram in pieces."""

KINDS = (
    (ServiceType.TCP, AccessMode.BUFFER),
    (ServiceType.UDP, AccessMode.BUFFER),
    (ServiceType.TCP, AccessMode.PUSH),
    (ServiceType.UDP, AccessMode.PUSH),
    (ServiceType.TCP_LISTENER, AccessMode.BUFFER),
)

WAITS_S: Final = (0.0, 0.001, 0.02, 0.1, 0.3, 1.0, 2.5, 5.0, 11.0, 30.0, 150.0)


class Script:
    """The bytes of an input that are still to be done."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        """Take bytes; fewer at the end."""
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def number(self) -> int:
        """Take a byte; 0 at the end."""
        return int.from_bytes(self.take(1), "big")


class Account:
    """What is known of one socket.

    Attributes:
        written: Bytes that were given to it.
        sent: Bytes that were confirmed.
        asked: Bytes that AT+QIRD has asked for.
        got: Bytes that it has delivered.
        at: Where on the line its last piece ended.
        may_push: It has been in push mode, or is to be.
        failed: It has failed.
        is_free: Its connect ID was given back.

    """

    def __init__(self, slot: Slot) -> None:
        self.written = self.sent = self.asked = self.got = self.at = 0
        self.may_push = slot.access_mode is AccessMode.PUSH
        self.failed = self.is_free = False


class Desk:
    """Drives a session, and checks what it promises."""

    def __init__(self, profile: ModuleProfile | None = None) -> None:
        self.session = Session(profile, poll_interval=10.0)
        self.now = 1000.0
        self.line = bytearray()
        self.said_last = b""
        self.jobs: list[Job] = []
        self.finished: Counter[Job] = Counter()
        self.accounts: dict[Slot, Account] = {}
        self.closes: dict[Job, Slot] = {}

    def account(self, slot: Slot) -> Account:
        """What is known of a socket; one that an incoming connection has made is new."""
        return self.accounts.setdefault(slot, Account(slot))

    def hear(self, data: bytes) -> None:
        """Let the line say something."""
        self.line += data
        self.said_last = data
        self.react(self.session.feed(data, self.now))

    def wait(self, seconds: float) -> None:
        """Let time pass, and call the session whenever it has asked for it."""
        end = self.now + seconds
        for _ in range(10_000):
            due = self.session.deadline()
            if due is None or due > end:
                break
            self.now = max(self.now, due) + 0.001
            self.react(self.session.advance(self.now))
            self.pump()
        else:
            raise AssertionError("it asks for time over and over")
        self.now = max(self.now, end)
        self.react(self.session.advance(self.now))
        self.pump()
        due = self.session.deadline()
        assert due is None or due > self.now, "the time that it asks for has passed"

    def pump(self) -> None:
        """Write what is due."""
        for _ in range(100):
            data = self.session.next_output(self.now)
            if data is None:
                break
            self.note_written(data)
        else:
            raise AssertionError("it writes without an answer")
        self.react(self.session.take_events())

    def note_written(self, data: bytes) -> None:
        """Count what a read asks for."""
        if data.startswith(b"AT+QIRD="):
            slot = self.session.sockets.get(data[8] - 48)
            assert slot is not None
            self.account(slot).asked += READ_MAX_BYTES

    def submit(self, job: Job) -> None:
        """Ask for a command, as the driver does."""
        self.jobs.append(job)
        if (data := self.session.submit(job, self.now)) is not None:
            self.note_written(data)

    def react(self, events: list[Event]) -> None:
        """Check events, then do what the layers above do at them."""
        for event in events:
            self.check(event)
        for event in events:
            match event:
                case Finished(job, _) if job in self.closes:
                    self.release(self.closes.pop(job))
                case Failed(slot, _) | Drained(slot) | OpenRefused(slot, _):
                    self.close(slot)
                case Opened(slot) if slot.is_abandoned:
                    self.close(slot)
                case SendStalled(slot, _) if slot.is_sendable:
                    self.session.retry_send(slot, self.now)
                case ReadRefused(slot, _) if slot.is_live:
                    self.session.retry_read(slot, self.now)
                case Orphaned(connect_id):
                    if (orphan := self.session.adopt_orphan(connect_id)) is not None:
                        self.close(orphan)

    def check(self, event: Event) -> None:
        """Check one event."""
        slot = getattr(event, "slot", None)
        if isinstance(event, Finished):
            self.finished[event.job] += 1
        elif slot is not None:
            account = self.account(slot)
            if not isinstance(event, SendOver):
                assert not account.is_free, f"{event} of a socket that is free"
                # A link that is lost fails what is left, this socket once more; a switch that
                # was asked for before ends with the socket.
                is_over = account.failed and not isinstance(event, Failed | SwitchRefused)
                assert not is_over, f"{event} behind a failure"
            account.failed |= isinstance(event, Failed)
        if isinstance(event, DataReceived):
            self.check_delivery(event.slot, event.data)
        elif isinstance(event, Sent):
            account = self.account(event.slot)
            account.sent += event.size_bytes
            assert account.sent <= account.written, "more is confirmed than was written"

    def check_delivery(self, slot: Slot, data: bytes) -> None:
        """Check that data stood on the line, and that somebody has asked for them."""
        account = self.account(slot)
        account.got += len(data)
        account.may_push |= slot.access_mode is AccessMode.PUSH
        if slot.is_datagram:  # its pieces are put together
            assert account.got <= len(self.line)
            return
        if account.may_push:
            # At a switch, what was pushed waits for what is older.
            account.at = 0
        else:
            assert account.got <= account.asked, "more came than was asked for"
        at = self.line.find(data, account.at)
        size = len(data)
        if at < 0:
            digits, size = data.hex().encode(), 2 * size
            at = self.line.lower().find(digits, account.at)
        assert at >= 0, f"socket {slot.connect_id} delivers what the line has not said: {data!r}"
        account.at = at + size

    def open(self, kind: int) -> None:
        """Begin to open a socket."""
        service_type, access_mode = KINDS[kind % len(KINDS)]
        slot = self.session.sockets.reserve(service_type, access_mode)
        if slot is not None:
            self.account(slot)
            port = 2020 if slot.is_listener else 0
            command = Qiopen(1, slot.connect_id, service_type, "1.2.3.4", 80, port, access_mode)
            self.submit(Job(command, slot=slot))
            self.session.want_reads(slot, not slot.is_listener, self.now)

    def close(self, slot: Slot) -> None:
        """Begin to close a socket."""
        if slot.state not in {SlotState.FREE, SlotState.CLOSING}:
            self.session.begin_close(slot)
            job = Job(Qiclose(slot.connect_id), Lane.CLOSE)
            self.closes[job] = slot
            self.submit(job)

    def release(self, slot: Slot) -> None:
        """Give a connect ID back."""
        if slot.state is SlotState.CLOSING:
            self.session.release(slot, self.now)
            self.account(slot).is_free = True

    def slot(self, number: int) -> Slot | None:
        """A socket that is in use."""
        in_use = self.session.sockets.in_use
        return in_use[number % len(in_use)] if in_use else None

    def write(self, slot: Slot, size: int) -> None:
        """Give a socket something to send."""
        if not slot.is_sendable or slot.is_listener:
            return
        self.account(slot).written += size
        if slot.is_datagram:
            self.session.send_datagram(slot, b"d" * size)
        else:
            self.session.write(slot, b"AT\r" * (size // 3) + b"s" * (size % 3))

    def switch(self, slot: Slot, mode: AccessMode) -> None:
        """Have the access mode switched."""
        if slot.is_live and not slot.is_listener:
            self.account(slot).may_push = True
            self.session.switch_mode(slot, mode)

    def end_link(self) -> None:
        """Lose the link, and go on with another one."""
        self.react(self.session.fail(lambda: LinkLost("unplugged"), self.now))
        self.session.begin_anew(115200)

    def flood(self) -> None:
        """Let the line say its last words again and again, with no time between."""
        said, self.said_last = self.said_last, b""
        if not said:
            return  # once is enough
        said *= -(-4096 // len(said))
        for _ in range(FLOOD_BYTES // len(said) + 1):
            self.hear(said)
            self.pump()
        kept = kept_bytes(self.session)
        # What programs have written, and pushed data that wait for the end of a read.
        for slot in self.session.sockets:
            kept -= 2 * slot.unsent + sum(map(len, slot.held or ())) + 8 * len(slot.held or ())
        assert kept <= KEPT_BYTES, f"{kept} bytes are kept"

    def end(self) -> None:
        """Lose the link for good, and check that every job has finished."""
        error = LinkLost("unplugged")
        self.react(self.session.fail(lambda: error, self.now, for_good=True))
        assert self.finished == Counter(self.jobs), "a job has not finished once"


def kept_bytes(thing: object) -> int:
    """Add up the bytes that something keeps, and eight for each item of what it keeps."""
    total, seen, left = 0, set(), deque([thing])
    while left:
        each = left.pop()
        if id(each) in seen or isinstance(each, type) or callable(each):
            continue
        seen.add(id(each))
        if isinstance(each, bytes | bytearray | str):
            total += len(each)
        elif isinstance(each, dict):
            total += 8 * len(each)
            left.extend(each.keys())
            left.extend(each.values())
        elif isinstance(each, list | tuple | set | frozenset | deque):
            total += 8 * len(each)
            left.extend(each)
        elif type(each).__module__.startswith("aiobc9x."):
            names = {*getattr(each, "__dict__", ())}
            for kind in type(each).__mro__:
                names.update(getattr(kind, "__slots__", ()))
            left.extend(getattr(each, name) for name in names if hasattr(each, name))
    return total


def _with_slot(do: Callable[[Desk, Slot, Script], object]) -> Callable[[Desk, Script], None]:
    """An action on a socket that the next byte chooses."""

    def action(desk: Desk, script: Script) -> None:
        if (slot := desk.slot(script.number())) is not None:
            do(desk, slot, script)

    return action


def _note_mode(desk: Desk, slot: Slot, script: Script) -> None:
    desk.account(slot).may_push = True
    desk.session.note_mode(slot, AccessMode(script.number() % 2))


def _answer_read(desk: Desk, script: Script) -> None:
    data = script.take(script.number())
    desk.hear(received(data, script.number()))


def _abandon(desk: Desk, slot: Slot, _script: Script) -> None:
    if slot.state is SlotState.OPENING:
        desk.session.abandon(slot)


def _note_drained(desk: Desk, slot: Slot, _script: Script) -> None:
    if slot.state is SlotState.REMOTE_CLOSED and slot.is_live and not slot.is_drained:
        desk.session.note_drained(slot)


def _note_opened(desk: Desk, slot: Slot, _script: Script) -> None:
    if slot.state is SlotState.OPENING and not slot.failed:
        desk.session.note_opened(slot)


def _note_closed(desk: Desk, slot: Slot, _script: Script) -> None:
    if slot.state is SlotState.OPEN and not slot.failed:
        desk.session.note_remote_closed(slot)


def _break_off(desk: Desk, slot: Slot, _script: Script) -> None:
    if slot.state is not SlotState.CLOSING:
        desk.session.break_off(slot, ModuleReset("it slept"))


ACTIONS: Final[tuple[Callable[[Desk, Script], Any], ...]] = (
    lambda desk, script: desk.wait(WAITS_S[script.number() % len(WAITS_S)]),
    lambda desk, script: desk.open(script.number()),
    _with_slot(lambda desk, slot, script: desk.write(slot, 1 + script.number())),
    _with_slot(lambda desk, slot, script: desk.write(slot, 1440)),
    _answer_read,
    _with_slot(lambda desk, slot, script: desk.close(slot)),
    _with_slot(lambda desk, slot, script: desk.switch(slot, AccessMode(script.number() % 2))),
    lambda desk, _: desk.submit(Job(Raw("AT+X"))),
    lambda desk, _: desk.submit(Job(Qistate())),
    lambda desk, _: desk.submit(Job(At(), Lane.RECOVERY)),
    lambda desk, _: desk.submit(Job(Qisend(5, 3), data=b"abc")),
    lambda desk, script: desk.submit(Job(Qicfg(ConfigKey.DATA_FORMAT, 0, script.number() % 2))),
    lambda desk, script: desk.submit(Job(Qicfg(ConfigKey.SHOW_LENGTH, script.number() % 2))),
    lambda desk, _: desk.submit(Job(Raw("ATE0"), Lane.RECOVERY)),
    lambda desk, _: desk.session.resume(),
    lambda desk, _: desk.react(desk.session.resync()),
    _with_slot(
        lambda desk, slot, script: desk.session.want_reads(
            slot, bool(script.number() % 2) and slot.is_live, desk.now
        )
    ),
    _with_slot(_note_mode),
    _with_slot(_abandon),
    _with_slot(_note_drained),
    _with_slot(_note_opened),
    _with_slot(_note_closed),
    _with_slot(_break_off),
    _with_slot(lambda desk, slot, _: desk.session.mark_checked(slot)),
    lambda desk, _: desk.session.write_raw(b"\x1b"),
    lambda desk, _: desk.session.doze(),
    lambda desk, _: desk.end_link(),
    lambda desk, script: setattr(desk.session, "idle_limit", 8.0),
    lambda desk, script: desk.flood() if script.number() == FLOODS else None,
)
"""What a byte from 144 on does."""


def one_input(data: bytes) -> None:
    """Do one script; raise if a promise is broken."""
    script = Script(data)
    traits = script.number()
    profile = ModuleProfile(
        command_gap_ms=20 * (traits & 1),
        suspect_after_send=not traits & 2,
        on_buffer_full="continue" if traits & 4 else "fail",
        send_fail_is_atomic=not traits & 8,
    )
    desk = Desk(profile)
    if traits & 16:
        desk.session.echo_expected = False
        desk.session.resume()
    while script:
        code = script.number()
        if code < HEARD:
            desk.hear(script.take(code + 1))
        elif code < SPOKEN:
            desk.hear(WORDS[(code - HEARD) % len(WORDS)])
        else:
            ACTIONS[(code - SPOKEN) % len(ACTIONS)](desk, script)
        desk.pump()
    desk.end()
