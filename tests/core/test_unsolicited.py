"""Unsolicited: what URCs and pushed payloads mean for the sockets."""

from dataclasses import replace

import pytest

from aiobc9x.core.events import (
    DatagramLost,
    DataReceived,
    Drained,
    Event,
    Failed,
    Opened,
    OpenRefused,
    Orphaned,
    RemoteClosed,
)
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.slots import Slot, SlotState, SocketTable
from aiobc9x.core.statistics import Statistics
from aiobc9x.core.trust import Loss
from aiobc9x.core.unsolicited import HELD_MAX_BYTES, Unsolicited
from aiobc9x.errors import StreamBroken
from aiobc9x.spec import AccessMode, Err, ServiceType
from aiobc9x.wire.framer import Framer, Payload
from aiobc9x.wire.urcs import (
    BufferFull,
    Closed,
    CloseOk,
    Incoming,
    IncomingFull,
    OpenResult,
    Received,
    Urc,
)


class Desk:
    """What acts on URCs, with all that it works on."""

    def __init__(self) -> None:
        self.table, self.framer, self.statistics = SocketTable(), Framer(), Statistics()
        self.routing = Unsolicited(self.table, self.framer, self.statistics)

    def reserve(
        self, service_type: ServiceType = ServiceType.TCP, mode: AccessMode = AccessMode.BUFFER
    ) -> Slot:
        """Reserve the next ID, and let its AT+QIOPEN be written."""
        slot = self.table.reserve(service_type, mode)
        assert slot is not None
        slot.is_asked = True
        self.routing.set_access_mode(slot.connect_id, mode)
        return slot

    def open(
        self, service_type: ServiceType = ServiceType.TCP, mode: AccessMode = AccessMode.BUFFER
    ) -> Slot:
        """Open the next socket."""
        slot = self.reserve(service_type, mode)
        slot.move(SlotState.OPEN)
        return slot

    def hear(self, urc: Urc, profile: ModuleProfile | None = None) -> list[Event]:
        """Let the module say something."""
        return list(self.routing.on_urc(urc, profile or ModuleProfile()))


@pytest.fixture
def desk() -> Desk:
    """Make a desk without sockets."""
    return Desk()


class TestOpening:
    """§2.2.1."""

    def test_a_result_without_error_opens(self, desk: Desk) -> None:
        """From now on the socket gives bytes."""
        slot = desk.reserve()
        assert desk.hear(OpenResult(0, 0)) == [Opened(slot)]
        assert slot.state is SlotState.OPEN

    def test_an_error_leaves_it_to_whoever_opens(self, desk: Desk) -> None:
        """The ID stays reserved until it is closed."""
        slot = desk.reserve()
        assert desk.hear(OpenResult(0, 566)) == [OpenRefused(slot, 566)]
        assert slot.state is SlotState.OPENING

    def test_a_late_result_changes_nothing(self, desk: Desk) -> None:
        """The open was given up, or nobody asked."""
        slot = desk.reserve()
        slot.move(SlotState.CLOSING)
        assert desk.hear(OpenResult(0, 0)) == []
        assert desk.hear(OpenResult(5, 0)) == []
        assert slot.state is SlotState.CLOSING

    @pytest.mark.parametrize("urc", [Received(0, 7), Closed(0), BufferFull(0)])
    def test_what_only_an_open_socket_has_opens(self, desk: Desk, urc: Urc) -> None:
        """Its result is withheld, or got lost."""
        slot = desk.reserve(ServiceType.UDP)
        assert desk.hear(urc)[0] == Opened(slot)
        assert desk.hear(OpenResult(0, 0)) == []

    def test_pushed_data_open(self, desk: Desk) -> None:
        """They are delivered, as the first bytes of the connection."""
        slot = desk.reserve(mode=AccessMode.PUSH)
        assert list(desk.routing.on_push(Payload(0, None, b"220"), 1.0)) == [
            Opened(slot),
            DataReceived(slot, b"220"),
        ]
        assert desk.statistics.unowned_bytes == 0

    @pytest.mark.parametrize("urc", [Received(0, 7), Closed(0), BufferFull(0)])
    def test_one_that_nobody_has_asked_for_yet_is_not_opened(self, desk: Desk, urc: Urc) -> None:
        """Its AT+QIOPEN waits for the line: what comes was the old owner's."""
        slot = desk.table.reserve(ServiceType.TCP)
        assert slot is not None
        assert desk.hear(urc) == []
        assert (slot.state, slot.readable) == (SlotState.OPENING, False)

    @pytest.mark.parametrize("urc", [Received(0, 7), Closed(0), BufferFull(0)])
    def test_a_listener_is_opened_by_its_result_alone(self, desk: Desk, urc: Urc) -> None:
        """It carries no data: what comes was the old owner's."""
        slot = desk.reserve(ServiceType.TCP_LISTENER)
        desk.hear(urc)
        assert slot.state is SlotState.OPENING


class TestReceived:
    """§2.3.2."""

    def test_an_announcement_makes_readable(self, desk: Desk) -> None:
        """And the module is known to hold so much."""
        slot = desk.open()
        assert desk.hear(Received(0, 7)) == []
        assert (slot.readable, slot.announced) == (True, 7)

    def test_an_old_owners_announcement_reaches_nobody(self, desk: Desk) -> None:
        """The ID is on its way from one owner to the next."""
        slot = desk.reserve()
        slot.move(SlotState.CLOSING)
        assert desk.hear(Received(0, 7)) == []
        assert not slot.readable
        assert not slot.holds_data

    @pytest.mark.parametrize("urc", [Received(4, 7), Closed(4), BufferFull(4)])
    def test_an_id_that_nobody_owns_has_a_connection(self, desk: Desk, urc: Urc) -> None:
        """Its ``"incoming"`` got lost; somebody has to close it."""
        assert desk.hear(urc) == [Orphaned(4)]


class TestClosed:
    """§2.3.1."""

    def test_what_came_before_is_still_to_be_read(self, desk: Desk) -> None:
        """The end comes behind it."""
        slot = desk.open()
        assert desk.hear(Closed(0)) == [RemoteClosed(slot)]
        assert (slot.state, slot.readable) == (SlotState.REMOTE_CLOSED, True)

    def test_pushed_data_have_all_come(self, desk: Desk) -> None:
        """So the end is now."""
        slot = desk.open(mode=AccessMode.PUSH)
        assert desk.hear(Closed(0)) == [RemoteClosed(slot), Drained(slot)]

    def test_a_second_one_says_nothing_new(self, desk: Desk) -> None:
        """Some modules repeat it."""
        slot = desk.open(mode=AccessMode.PUSH)
        desk.hear(Closed(0))
        assert desk.hear(Closed(0)) == []
        assert slot.state is SlotState.REMOTE_CLOSED

    def test_an_end_of_a_socket_that_is_closing_says_nothing(self, desk: Desk) -> None:
        """Both ends close at once."""
        slot = desk.reserve()
        slot.move(SlotState.CLOSING)
        assert desk.hear(Closed(0)) == []
        assert slot.state is SlotState.CLOSING

    def test_a_listener_is_at_its_end_at_once(self, desk: Desk) -> None:
        """It has no data to be read."""
        slot = desk.open(ServiceType.TCP_LISTENER)
        assert desk.hear(Closed(0)) == [RemoteClosed(slot), Drained(slot)]

    def test_a_listener_that_is_opening_is_left_alone(self, desk: Desk) -> None:
        """Nothing but its result opens it, and it has to be open to be closed."""
        slot = desk.reserve(ServiceType.TCP_LISTENER)
        assert desk.hear(Closed(0)) == []
        assert slot.state is SlotState.OPENING

    def test_one_that_is_switching_to_push_mode_is_read_first(self, desk: Desk) -> None:
        """Its buffer may have a rest."""
        slot = desk.open(mode=AccessMode.PUSH)
        slot.wanted_mode = AccessMode.BUFFER
        assert desk.hear(Closed(0)) == [RemoteClosed(slot)]
        assert slot.readable


class TestBufferFull:
    """§2.3.3."""

    def test_it_ends_a_stream_with_advice(self, desk: Desk) -> None:
        """Relatives drop bytes that they have acknowledged."""
        slot = desk.open()
        (event,) = desk.hear(BufferFull(0))
        assert isinstance(event, Failed)
        assert isinstance(event.error, StreamBroken)
        assert "on_buffer_full" in str(event.error)
        assert "AccessMode.PUSH" in str(event.error)
        assert event.slot is slot

    def test_it_is_no_error_where_the_module_throttles(self, desk: Desk) -> None:
        """But there are data to read, nobody knows how many."""
        slot = desk.open()
        assert desk.hear(BufferFull(0), ModuleProfile(on_buffer_full="continue")) == []
        assert (slot.readable, slot.announced) == (True, None)

    def test_it_loses_a_datagram(self, desk: Desk) -> None:
        """The socket goes on."""
        slot = desk.open(ServiceType.UDP)
        (event,) = desk.hear(BufferFull(0))
        assert isinstance(event, DatagramLost)
        assert event.slot is slot

    def test_it_is_counted_also_for_nobody(self, desk: Desk) -> None:
        """The socket may be closing."""
        desk.reserve().move(SlotState.CLOSING)
        assert desk.hear(BufferFull(0)) == []
        assert desk.statistics.buffer_overflows == 1

    def test_what_finds_a_hole_by_itself_goes_on(self, desk: Desk) -> None:
        """TLS does; a plain stream would go on with a hole."""
        slot = desk.open()
        slot.is_checked = True
        assert desk.hear(BufferFull(0)) == []
        assert slot.readable


class TestIncoming:
    """§2.3.5."""

    URC = Incoming(connect_id=5, server_id=0, remote_ip="1.2.3.4", remote_port=80)

    def test_the_module_chooses_the_id(self, desk: Desk) -> None:
        """The socket is open at once, in buffer mode."""
        desk.framer.push_sockets.add(5)
        assert desk.hear(self.URC) == []
        slot = desk.table.get(5)
        assert slot is not None
        assert slot.service_type is ServiceType.TCP_INCOMING
        assert (slot.state, slot.access_mode) == (SlotState.OPEN, AccessMode.BUFFER)
        assert desk.framer.push_sockets == set()
        assert desk.statistics.incoming == 1

    def test_an_owner_that_is_in_its_way_has_lost_its_socket(self, desk: Desk) -> None:
        """The module gives an ID away only if it is free there."""
        desk.hear(self.URC)
        old = desk.table.get(5)
        (event,) = desk.hear(self.URC)
        assert isinstance(event, Failed)
        assert event.slot is old
        assert desk.table.get(5) is not old

    def test_an_open_that_is_in_its_way_has_no_socket_yet(self, desk: Desk) -> None:
        """Whoever opens tries another ID."""
        for _ in range(6):
            slot = desk.reserve()
        assert desk.hear(self.URC) == [OpenRefused(slot, Err.IDENTITY_IN_USE)]
        assert slot.state is SlotState.FREE

    def test_one_that_was_closing_has_been_closed(self, desk: Desk) -> None:
        """Its ``CLOSE OK`` got lost; nobody is told twice."""
        for _ in range(6):
            slot = desk.open()
        slot.move(SlotState.CLOSING)
        assert desk.hear(self.URC) == []
        assert slot.state is SlotState.FREE

    def test_a_doubled_one_is_known(self, desk: Desk) -> None:
        """The same ID, address and port, while the connection lives."""
        assert not desk.routing.is_doubled(self.URC)
        desk.hear(self.URC)
        assert desk.routing.is_doubled(self.URC)
        assert not desk.routing.is_doubled(Closed(5))

    @pytest.mark.parametrize("change", [{"remote_ip": "1.2.3.5"}, {"remote_port": 81}])
    def test_one_of_another_peer_is_no_double(
        self, desk: Desk, change: dict[str, str | int]
    ) -> None:
        """The module has given the ID to somebody else."""
        desk.hear(self.URC)
        assert not desk.routing.is_doubled(replace(self.URC, **change))  # type: ignore[arg-type]

    def test_the_same_peer_may_come_again(self, desk: Desk) -> None:
        """After its connection has been closed here too."""
        desk.hear(self.URC)
        desk.hear(Closed(5))
        assert desk.routing.is_doubled(self.URC)
        slot = desk.table.get(5)
        assert slot is not None
        desk.table.release(slot, 0.0)
        assert not desk.routing.is_doubled(self.URC)

    def test_one_that_was_turned_away_is_counted(self, desk: Desk) -> None:
        """§2.3.4: there is no ID to tell."""
        assert desk.hear(IncomingFull()) == []
        assert desk.statistics.incoming_full == 1


class TestPush:
    """§2.3.2, direct push mode."""

    def test_data_go_to_the_owner(self, desk: Desk) -> None:
        """At once; when they came is noted."""
        slot = desk.open(mode=AccessMode.PUSH)
        events = list(desk.routing.on_push(Payload(0, None, b"abc"), 7.0))
        assert events == [DataReceived(slot, b"abc")]
        assert slot.pushed_at == 7.0

    def test_data_for_nobody_are_counted(self, desk: Desk) -> None:
        """A late payload of the old owner doesn't reach the new one."""
        slot = desk.reserve(mode=AccessMode.PUSH)
        slot.move(SlotState.CLOSING)
        assert list(desk.routing.on_push(Payload(0, None, b"abc"), 0.0)) == []
        assert list(desk.routing.on_push(Payload(4, None, b"abc"), 0.0)) == [Orphaned(4)]
        assert desk.statistics.unowned_bytes == 6

    def test_data_for_a_listener_are_nobodys(self, desk: Desk) -> None:
        """It carries none."""
        desk.reserve(ServiceType.TCP_LISTENER, AccessMode.PUSH)
        assert list(desk.routing.on_push(Payload(0, None, b"abc"), 0.0)) == []
        assert desk.statistics.unowned_bytes == 3

    def test_they_wait_for_what_the_buffer_still_holds(self, desk: Desk) -> None:
        """While a switch to push mode is being completed."""
        slot = desk.open(mode=AccessMode.PUSH)
        slot.held = []
        assert list(desk.routing.on_push(Payload(0, None, b"abc"), 0.0)) == []
        assert slot.held == [b"abc"]

    def test_not_more_than_so_much_waits(self, desk: Desk) -> None:
        """A switch that never comes to its end takes no memory for ever."""
        slot = desk.open(mode=AccessMode.PUSH)
        slot.held = [bytes(HELD_MAX_BYTES)]
        (failed,) = desk.routing.on_push(Payload(0, None, b"a"), 0.0)
        assert isinstance(failed, Failed)
        assert failed.slot is slot

    def test_damage_ends_every_pushed_connection(self, desk: Desk) -> None:
        """Nobody knows whose bytes are missing; one that opens may have got its first ones."""
        pushed = desk.open(mode=AccessMode.PUSH)
        desk.open()
        opening = desk.reserve(mode=AccessMode.PUSH)
        desk.reserve(mode=AccessMode.PUSH).move(SlotState.CLOSING)
        events = list(desk.routing.break_pushes(Loss("a byte is missing")))
        assert [event.slot for event in events if isinstance(event, Failed)] == [pushed, opening]
        assert "a byte is missing" in str(getattr(events[0], "error", ""))

    def test_damage_loses_a_datagram(self, desk: Desk) -> None:
        """Which ends nothing."""
        slot = desk.open(ServiceType.UDP, AccessMode.PUSH)
        (event,) = desk.routing.break_pushes(Loss("a byte is missing"))
        assert isinstance(event, DatagramLost)
        assert event.slot is slot

    def test_damage_that_has_an_owner_ends_that_alone(self, desk: Desk) -> None:
        """Its header tells whose bytes are missing."""
        desk.open(mode=AccessMode.PUSH)
        second = desk.open(mode=AccessMode.PUSH)
        (event,) = desk.routing.break_pushes(Loss("a byte is missing", connect_id=1))
        assert isinstance(event, Failed)
        assert event.slot is second

    def test_whoever_got_data_since_then_may_have_swallowed_an_answer(self, desk: Desk) -> None:
        """The others are as whole as before."""
        quiet, loud = (desk.open(mode=AccessMode.PUSH) for _ in range(2))
        list(desk.routing.on_push(Payload(0, None, b"abc"), 4.9))
        list(desk.routing.on_push(Payload(1, None, b"abc"), 5.0))
        (event,) = desk.routing.break_pushes(Loss("no answer"), since=5.0)
        assert isinstance(event, Failed)
        assert event.slot is loud
        assert quiet.is_live


def test_suspicion_concerns_what_may_have_been_announced() -> None:
    """Live sockets in buffer mode, also at their end: the others announce nothing."""
    desk = Desk()
    buffered, pushed, ended, opening = (
        desk.open(),
        desk.open(mode=AccessMode.PUSH),
        desk.open(),
        desk.reserve(),
    )
    ended.move(SlotState.REMOTE_CLOSED)
    desk.routing.read_all_once()
    assert [s.readable for s in (buffered, pushed, ended, opening)] == [True, False, True, False]


def test_other_urcs_change_no_socket(desk: Desk) -> None:
    """Whoever waits for them sees them."""
    slot = desk.open()
    assert desk.hear(CloseOk()) == []
    assert slot.state is SlotState.OPEN
