"""Routing: what URCs and pushed payloads mean for the sockets."""

import pytest

from aiobc9x.core.events import DatagramLost, DataReceived, Drained, Event, Failed
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.slots import Slot, SlotState, SocketTable
from aiobc9x.core.statistics import Statistics
from aiobc9x.core.unsolicited import Routing
from aiobc9x.errors import StreamBroken
from aiobc9x.spec import AccessMode, ServiceType
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
    """A routing with all that it works on."""

    def __init__(self) -> None:
        self.table, self.framer, self.statistics = SocketTable(), Framer(), Statistics()
        self.routing = Routing(self.table, self.framer, self.statistics)

    def reserve(
        self, service_type: ServiceType = ServiceType.TCP, mode: AccessMode = AccessMode.BUFFER
    ) -> Slot:
        """Reserve the next ID."""
        slot = self.table.reserve(service_type, mode)
        assert slot is not None
        if mode is AccessMode.PUSH:
            self.framer.push_sockets.add(slot.connect_id)
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
        assert desk.hear(OpenResult(0, 0)) == []
        assert slot.state is SlotState.OPEN

    def test_an_error_leaves_it_to_whoever_opens(self, desk: Desk) -> None:
        """The ID stays reserved until it is closed."""
        slot = desk.reserve()
        desk.hear(OpenResult(0, 566))
        assert slot.state is SlotState.OPENING

    def test_a_late_result_changes_nothing(self, desk: Desk) -> None:
        """The open was given up, or nobody asked."""
        slot = desk.reserve()
        slot.move(SlotState.CLOSING)
        desk.hear(OpenResult(0, 0))
        desk.hear(OpenResult(5, 0))
        assert slot.state is SlotState.CLOSING


class TestReceived:
    """§2.3.2."""

    def test_an_announcement_makes_readable(self, desk: Desk) -> None:
        """And the module is known to hold so much."""
        slot = desk.open()
        assert desk.hear(Received(0, 7)) == []
        assert (slot.readable, slot.announced) == (True, 7)

    @pytest.mark.parametrize("state", [SlotState.CLOSING, SlotState.OPENING])
    def test_an_old_owners_announcement_reaches_nobody(self, desk: Desk, state: SlotState) -> None:
        """The ID is on its way from one owner to the next."""
        slot = desk.reserve()
        if state is SlotState.CLOSING:
            slot.move(state)
        desk.hear(Received(0, 7))
        desk.hear(Received(4, 7))
        assert not slot.readable
        assert not slot.holds_data


class TestClosed:
    """§2.3.1."""

    def test_what_came_before_is_still_to_be_read(self, desk: Desk) -> None:
        """The end comes behind it."""
        slot = desk.open()
        assert desk.hear(Closed(0)) == []
        assert (slot.state, slot.readable) == (SlotState.REMOTE_CLOSED, True)

    def test_pushed_data_have_all_come(self, desk: Desk) -> None:
        """So the end is now."""
        slot = desk.open(mode=AccessMode.PUSH)
        assert desk.hear(Closed(0)) == [Drained(slot)]

    def test_a_second_one_says_nothing_new(self, desk: Desk) -> None:
        """Some modules repeat it."""
        slot = desk.open(mode=AccessMode.PUSH)
        desk.hear(Closed(0))
        assert desk.hear(Closed(0)) == []
        assert slot.state is SlotState.REMOTE_CLOSED

    def test_an_old_owners_end_is_not_the_new_owners(self, desk: Desk) -> None:
        """An ID that is being opened, or that nobody has, can't be closed by the peer."""
        slot = desk.reserve()
        assert desk.hear(Closed(0)) == []
        assert desk.hear(Closed(3)) == []
        assert slot.state is SlotState.OPENING


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
        assert desk.hear(BufferFull(0)) == []
        assert desk.statistics.buffer_overflows == 1


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
        """Its own result tells it so."""
        for _ in range(6):
            slot = desk.reserve()
        assert desk.hear(self.URC) == []
        assert slot.state is SlotState.FREE

    def test_one_that_was_turned_away_is_counted(self, desk: Desk) -> None:
        """§2.3.4: there is no ID to tell."""
        assert desk.hear(IncomingFull()) == []
        assert desk.statistics.incoming_full == 1


class TestPush:
    """§2.3.2, direct push mode."""

    def test_data_go_to_the_owner(self, desk: Desk) -> None:
        """At once."""
        slot = desk.open(mode=AccessMode.PUSH)
        events = list(desk.routing.on_push(Payload(0, None, b"abc")))
        assert events == [DataReceived(slot, b"abc")]

    def test_data_for_nobody_are_counted(self, desk: Desk) -> None:
        """A late payload of the old owner doesn't reach the new one."""
        slot = desk.reserve(mode=AccessMode.PUSH)
        assert list(desk.routing.on_push(Payload(0, None, b"abc"))) == []
        assert list(desk.routing.on_push(Payload(4, None, b"abc"))) == []
        assert desk.statistics.unowned_bytes == 6
        assert slot.state is SlotState.OPENING

    def test_damage_ends_every_pushed_connection(self, desk: Desk) -> None:
        """Nobody knows whose bytes are missing; buffered ones are read again."""
        pushed = desk.open(mode=AccessMode.PUSH)
        desk.open()
        desk.reserve(mode=AccessMode.PUSH)
        events = list(desk.routing.break_pushes("a byte is missing"))
        assert [event.slot for event in events if isinstance(event, Failed)] == [pushed]
        assert "a byte is missing" in str(getattr(events[0], "error", ""))


def test_suspicion_concerns_what_may_have_been_announced(  # one of each kind
) -> None:
    """Open sockets in buffer mode: the others announce nothing, or will be drained anyway."""
    desk = Desk()
    buffered, pushed, ended, opening = (
        desk.open(),
        desk.open(mode=AccessMode.PUSH),
        desk.open(),
        desk.reserve(),
    )
    ended.move(SlotState.REMOTE_CLOSED)
    desk.routing.suspect()
    assert [s.readable for s in (buffered, pushed, ended, opening)] == [True, False, False, False]


def test_other_urcs_change_no_socket(desk: Desk) -> None:
    """Whoever waits for them sees them."""
    slot = desk.open()
    assert desk.hear(CloseOk()) == []
    assert slot.state is SlotState.OPEN
