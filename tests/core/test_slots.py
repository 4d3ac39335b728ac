"""The socket table: six connect IDs, states, generations, port quarantine."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.core.slots import CLOSED_POLL_S, TRANSITIONS, Slot, SlotState, SocketTable
from aiobc9x.spec import AccessMode, ServiceType

PUSH, TCP, UDP = AccessMode.PUSH, ServiceType.TCP, ServiceType.UDP


def taken(table: SocketTable, service_type: ServiceType = TCP, *, local_port: int = 0) -> Slot:
    """Reserve a slot that must be there."""
    slot = table.reserve(service_type, local_port=local_port)
    assert slot is not None
    return slot


def connected(service_type: ServiceType = TCP) -> Slot:
    """Make a slot that is open."""
    slot = Slot(0, 1, service_type)
    slot.move(SlotState.OPEN)
    return slot


class TestReserving:
    """§2.2.1: six IDs, shared by all."""

    def test_six_sockets_fit_and_a_seventh_does_not(self) -> None:
        """``None`` says that there is no room."""
        table = SocketTable()
        slots = [taken(table) for _ in range(6)]
        assert sorted(slot.connect_id for slot in slots) == [0, 1, 2, 3, 4, 5]
        assert len(table) == 6
        assert table.reserve(TCP) is None

    def test_the_id_that_rested_longest_is_next(self) -> None:
        """The longer an ID rests, the less a late URC can do."""
        table = SocketTable()
        first = taken(table)
        table.release(first, 0.0)
        assert [taken(table).connect_id for _ in range(6)] == [1, 2, 3, 4, 5, 0]

    def test_slots_are_listed_by_connect_id(self) -> None:
        """Whatever the order they were taken in."""
        table = SocketTable()
        table.adopt(4, ServiceType.TCP_INCOMING, AccessMode.BUFFER)
        taken(table)
        assert [slot.connect_id for slot in table] == [0, 4]

    def test_a_slot_knows_what_was_asked_for(self) -> None:
        """It starts without rights: the module has not opened it yet."""
        slot = SocketTable().reserve(UDP, PUSH, 7000)
        assert slot is not None
        assert (slot.service_type, slot.access_mode, slot.local_port) == (UDP, PUSH, 7000)
        assert slot.state is SlotState.OPENING
        assert not slot.is_live
        assert not slot.holds_data

    def test_an_incoming_connection_is_open_at_once(self) -> None:
        """§2.3.5: the module chose the ID and has connected it."""
        table = SocketTable()
        slot = table.adopt(5, ServiceType.TCP_INCOMING, AccessMode.BUFFER)
        assert table.get(5) is slot
        assert slot.is_live
        with pytest.raises(ValueError, match="connect ID 5 is in use"):
            table.adopt(5, ServiceType.TCP_INCOMING, AccessMode.BUFFER)


class TestReleasing:
    """Rule 7: an ID is free only once the module has confirmed its close."""

    def test_a_closing_socket_keeps_its_id(self) -> None:
        """But it will be free soon."""
        table = SocketTable()
        slots = [taken(table) for _ in range(6)]
        assert not table.is_closing
        slots[2].move(SlotState.CLOSING)
        assert table.is_closing
        assert table.reserve(TCP) is None
        table.release(slots[2], 0.0)
        assert not table.is_closing
        assert taken(table).connect_id == 2

    def test_an_abandoned_open_will_be_free_soon(self) -> None:
        """It is closed as soon as the module has said what became of it."""
        table = SocketTable()
        slots = [taken(table) for _ in range(6)]
        slots[4].is_abandoned = True
        assert table.is_closing
        table.release(slots[4], 0.0)
        assert not table.is_closing

    def test_an_old_slot_can_not_release_the_new_owners_id(self) -> None:
        """A second close of the same socket comes to nothing."""
        table = SocketTable()
        old = taken(table)
        table.release(old, 0.0)
        for _ in range(6):
            new = taken(table)
        assert new.connect_id == old.connect_id
        assert new.generation > old.generation
        table.release(old, 1.0)
        assert table.get(new.connect_id) is new
        assert new.state is SlotState.OPENING

    def test_a_released_slot_holds_nothing(self) -> None:
        """Its bytes are gone with it."""
        table = SocketTable()
        slot = taken(table, UDP)
        slot.outgoing += b"a"
        slot.queue_datagram(b"b")
        slot.fragments += b"c"
        slot.announced, slot.readable, slot.wants_read = 9, True, True
        table.release(slot, 0.0)
        assert slot.state is SlotState.FREE
        assert (slot.unsent, len(slot.fragments), slot.announced) == (0, 0, 0)
        assert not slot.readable
        assert not slot.wants_read
        assert table.get(0) is None

    @given(actions=st.lists(st.integers(-6, 5), max_size=60))
    def test_every_id_has_one_owner_or_none(self, actions: list[int]) -> None:
        """However sockets come and go, the six IDs are all there."""
        table, held = SocketTable(), list[Slot]()
        seen = set[int]()
        for action in actions:
            if action >= 0 and (slot := table.reserve(TCP)) is not None:
                assert slot.generation not in seen
                seen.add(slot.generation)
                held.append(slot)
            elif action < 0 and held:
                table.release(held.pop(action % len(held)), 0.0)
            assert [slot.connect_id for slot in table] == sorted(s.connect_id for s in held)
            assert len(table) == len(held)


class TestUsurping:
    """The module gives an ID to an incoming connection only if it is free there."""

    def test_the_old_slot_loses_id_and_bytes(self) -> None:
        """It can't touch the new owner's."""
        table = SocketTable()
        old = taken(table)
        old.outgoing += b"a"
        assert table.usurp(0) is old
        assert old.state is SlotState.FREE
        assert not old.unsent
        new = table.adopt(0, ServiceType.TCP_INCOMING, AccessMode.BUFFER)
        table.release(old, 0.0)
        assert table.get(0) is new

    def test_a_free_id_has_nobody_to_lose_it(self) -> None:
        """And stays free, once."""
        table = SocketTable()
        assert table.usurp(3) is None
        assert sum(table.reserve(TCP) is not None for _ in range(7)) == 6


class TestQuarantine:
    """§2.2.1, note 5: a fixed local port rests behind AT+QICLOSE, and behind nothing else."""

    def test_a_port_rests_from_its_release_on(self) -> None:
        """To the second."""
        table = SocketTable()
        table.release(taken(table, local_port=7000), 50.0, 120.0)
        assert table.resting_s(7000, 50.0) == 120
        assert table.resting_s(7000, 169.0) == 1
        assert table.resting_s(7000, 170.0) == 0

    def test_other_ports_may_be_used_at_once(self) -> None:
        """Also the one that the module chose by itself."""
        table = SocketTable()
        table.release(taken(table, local_port=7000), 50.0, 120.0)
        table.release(taken(table), 50.0, 120.0)
        assert table.resting_s(7001, 50.0) == 0
        assert table.resting_s(0, 50.0) == 0

    def test_a_second_use_starts_the_rest_anew(self) -> None:
        """The last release counts."""
        table = SocketTable()
        table.release(taken(table, local_port=7000), 0.0, 120.0)
        table.release(taken(table, local_port=7000), 150.0, 120.0)
        assert table.resting_s(7000, 160.0) == 110

    def test_a_socket_that_was_not_closed_leaves_its_port_free(self) -> None:
        """A restart, or the loss of the network, has ended it."""
        table = SocketTable()
        table.release(taken(table, local_port=7000), 50.0)
        assert table.resting_s(7000, 50.0) == 0

    def test_what_rests_is_forgotten(self) -> None:
        """A module that has restarted knows of no port."""
        table = SocketTable()
        table.release(taken(table, local_port=7000), 50.0, 120.0)
        table.forget_ports()
        assert table.resting_s(7000, 50.0) == 0


class TestStates:
    """The transition table."""

    @pytest.mark.parametrize(("old", "new"), list(product(SlotState, SlotState)))
    def test_a_step_that_the_table_lacks_is_a_bug(self, old: SlotState, new: SlotState) -> None:
        """It raises and names both states; the others are taken."""
        slot = Slot(3, 1, TCP, state=old)
        if new in TRANSITIONS[old]:
            slot.move(new)
            assert slot.state is new
        else:
            with pytest.raises(RuntimeError, match=f"socket 3 can't go from {old} to {new}"):
                slot.move(new)
            assert slot.state is old

    def test_a_closed_socket_never_comes_back(self) -> None:
        """The next use of the ID is a new slot."""
        assert TRANSITIONS[SlotState.FREE] == frozenset()
        assert TRANSITIONS[SlotState.CLOSING] == {SlotState.FREE}

    @pytest.mark.parametrize("state", SlotState)
    def test_only_an_open_or_ended_socket_gives_bytes(self, state: SlotState) -> None:
        """After ``"closed"`` what came before is still to be read (§2.3.1)."""
        live = state in {SlotState.OPEN, SlotState.REMOTE_CLOSED}
        assert Slot(0, 1, TCP, state=state).is_live == live

    def test_only_udp_keeps_boundaries_and_only_a_listener_listens(self) -> None:
        """Everything else is a stream."""
        kinds = [Slot(0, 1, kind) for kind in ServiceType]
        assert [s.service_type for s in kinds if s.is_datagram] == [UDP]
        assert [s.service_type for s in kinds if s.is_listener] == [ServiceType.TCP_LISTENER]


class TestOutgoing:
    """What waits for ``SEND OK``."""

    def test_a_quantum_is_at_most_1440_bytes(self) -> None:
        """§2.2.4; it stays until it is confirmed."""
        slot = connected()
        assert slot.next_quantum() == b""
        slot.outgoing += b"a" * 1440 + b"b"
        assert slot.next_quantum() == b"a" * 1440
        assert slot.unsent == 1441
        slot.confirm(1440)
        assert slot.next_quantum() == b"b"

    def test_a_datagram_goes_by_itself(self) -> None:
        """Datagrams are never joined."""
        slot = connected(UDP)
        slot.queue_datagram(b"one")
        slot.queue_datagram(b"two")
        assert slot.unsent == 6
        assert slot.next_quantum() == b"one"
        slot.confirm(3)
        assert slot.next_quantum() == b"two"

    def test_progress_ends_the_back_off(self) -> None:
        """The next ``SEND FAIL`` starts from the shortest wait."""
        slot = Slot(0, 1, TCP, backoff=5.0, retry_at=99.0, stalled_since=1.0)
        slot.outgoing += b"ab"
        slot.confirm(1)
        assert (slot.backoff, slot.retry_at, slot.stalled_since) == (0.0, 0.0, None)
        assert slot.outgoing == b"b"


class TestTurns:
    """When a socket wants the line."""

    @staticmethod
    def waiting(**changes: object) -> Slot:
        """Make an open socket that could read and send, with some things changed."""
        slot = connected()
        slot.outgoing += b"a"
        slot.wants_read = slot.readable = True
        for name, value in changes.items():
            setattr(slot, name, value)
        return slot

    @pytest.mark.parametrize(
        ("changes", "may"),
        [
            ({}, True),
            ({"state": SlotState.REMOTE_CLOSED}, True),
            ({"state": SlotState.CLOSING}, False),
            ({"failed": True}, False),
            ({"wants_read": False}, False),
            ({"readable": False}, False),
            ({"access_mode": PUSH}, False),
        ],
    )
    def test_reading(self, changes: dict[str, object], may: bool) -> None:
        """There may be bytes, and somebody wants them."""
        assert self.waiting(**changes).may_read == may

    @pytest.mark.parametrize(
        ("changes", "may"),
        [
            ({}, True),
            ({"access_mode": PUSH}, True),
            ({"state": SlotState.REMOTE_CLOSED}, False),
            ({"state": SlotState.OPENING}, False),
            ({"failed": True}, False),
            ({"outgoing": bytearray()}, False),
            ({"retry_at": 10.0}, True),
            ({"retry_at": 10.1}, False),
            ({"is_gathering": True}, False),
        ],
    )
    def test_sending(self, changes: dict[str, object], may: bool) -> None:
        """There are bytes, no more of the message comes, the peer is there, no back-off runs."""
        assert self.waiting(**changes).may_send(10.0) == may

    @pytest.mark.parametrize(
        ("changes", "due"),
        [
            ({}, 15.0),
            ({"readable": True}, None),
            ({"wants_read": False}, None),
            ({"failed": True}, None),
            ({"access_mode": PUSH}, None),
        ],
    )
    def test_polling(self, changes: dict[str, object], due: float | None) -> None:
        """A silent socket with a reader, so long after its last read."""
        slot = self.waiting(**{"readable": False, "last_read": 5.0, **changes})
        assert slot.poll_due(10.0) == due
        assert slot.poll_due(0) is None

    @pytest.mark.parametrize("interval", [0.0, 10.0])
    def test_one_that_the_peer_has_closed_is_always_polled(self, interval: float) -> None:
        """It must come to its end, whether or not silent sockets are polled."""
        changes = {"readable": False, "last_read": 5.0, "state": SlotState.REMOTE_CLOSED}
        assert self.waiting(**changes).poll_due(interval) == 5.0 + CLOSED_POLL_S
        assert self.waiting(**changes, is_drained=True).poll_due(interval) is None


class TestHolding:
    """What the module is known to hold."""

    @pytest.mark.parametrize(("announced", "holds"), [(0, False), (1, True), (None, True)])
    def test_some_is_as_good_as_a_number(self, announced: int | None, holds: bool) -> None:
        """With ``showlength`` 0 the module doesn't say how many."""
        slot = connected()
        slot.announced = announced
        assert slot.holds_data == holds


def test_a_preferred_id_is_taken_if_it_is_free() -> None:
    """As by a socket that is opened again; else any other."""
    table = SocketTable()
    first = table.reserve(ServiceType.UDP, preferred=3)
    second = table.reserve(ServiceType.UDP, preferred=3)
    assert first is not None
    assert second is not None
    assert (first.connect_id, second.connect_id) == (3, 0)
