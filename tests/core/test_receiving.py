"""Receiving: what a read gives, and when a socket is empty."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.core.events import DatagramLost, DataReceived, Drained, Event, Failed, ReadRefused
from aiobc9x.core.exchange import Exchange
from aiobc9x.core.receiving import (
    REFUSALS_MAX,
    REFUSED_WAIT_S,
    Read,
    absorb,
    distrust,
    is_torn_empty,
    note_announced,
    note_refusal,
    refused_wait,
)
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import StreamBroken
from aiobc9x.spec import ServiceType
from aiobc9x.wire.commands.tcpip import Qird
from aiobc9x.wire.framer import Payload


def socket(service_type: ServiceType = ServiceType.TCP, state: SlotState = SlotState.OPEN) -> Slot:
    """Make a slot that is being read: the session clears ``readable`` as it asks."""
    return Slot(2, 1, service_type, state=state)


def answer(*payloads: Payload, lines: int = 0) -> Exchange:
    """Make an exchange with the parts of an answer that ends in OK."""
    exchange = Exchange(Qird(2), Read(socket()), 0.0, 2.0)
    for payload in payloads:
        exchange.on_payload(payload)
    for _ in range(lines):
        exchange.on_line(b"+QIRD: 0")
    exchange.on_line(b"OK")
    return exchange


class TestTrust:
    """Rule 6: an answer that may have lost a byte ends the connection."""

    @pytest.mark.parametrize("exchange", [answer(Payload(None, 0, b"a")), answer(lines=1)])
    def test_data_or_nothing_are_answers(self, exchange: Exchange) -> None:
        """One or the other."""
        assert distrust(exchange, length_shown=True) is None

    def test_ok_alone_is_none(self) -> None:
        """Bytes got lost: ``+QIRD: 0`` was due."""
        assert distrust(answer(), length_shown=True) == (
            "the module answered OK to AT+QIRD without a +QIRD line"
        )

    def test_both_are_none(self) -> None:
        """One of them belongs to another read."""
        exchange = answer(Payload(None, 0, b"a"), lines=1)
        assert "both with data and with +QIRD: 0" in str(distrust(exchange, length_shown=True))

    def test_data_and_error_are_none(self) -> None:
        """The bytes may be whole, or not."""
        exchange = Exchange(Qird(2), Read(socket()), 0.0, 2.0)
        exchange.on_payload(Payload(None, 0, b"a"))
        exchange.on_line(b"ERROR")
        assert "both with data and with an error" in str(distrust(exchange, length_shown=True))

    def test_damage_comes_first(self) -> None:
        """It says more than what follows from it."""
        exchange = answer()
        exchange.damage = "a byte is missing"
        assert distrust(exchange, length_shown=True) == "a byte is missing"

    def test_a_remaining_length_that_is_shown_must_be_there(self) -> None:
        """Else digits got lost in the header."""
        exchange = answer(Payload(None, None, b"a"))
        assert distrust(exchange, length_shown=True) == (
            "the +QIRD header lacks its remaining length"
        )
        assert distrust(exchange, length_shown=False) is None

    def test_a_negative_remaining_length_is_no_missing_one(self) -> None:
        """Relatives print it: it says nothing, but nothing got lost."""
        exchange = answer()
        exchange.on_payload(Payload(None, None, b"a"), negatives=1)
        assert distrust(exchange, length_shown=True) is None


class TestEdge:
    """Rule 5: a socket is empty only after ``+QIRD: 0``."""

    @pytest.mark.parametrize("remaining", [0, 7, None])
    def test_data_mean_that_there_may_be_more(self, remaining: int | None) -> None:
        """The remaining length is that of one node: only a hint (N26)."""
        slot = socket()
        assert absorb(slot, Payload(None, remaining, b"ab"), 5.0) == DataReceived(slot, b"ab")
        assert slot.readable
        assert slot.last_read == 5.0

    def test_nothing_means_nothing(self) -> None:
        """From now on the module announces again."""
        slot = socket()
        note_announced(slot, 9)
        slot.readable = False
        assert absorb(slot, None, 5.0) is None
        assert not slot.readable
        assert not slot.holds_data
        assert slot.last_read == 5.0

    def test_nothing_after_the_end_is_the_end(self) -> None:
        """§2.2.6: data may be read after ``"closed"``."""
        slot = socket(state=SlotState.REMOTE_CLOSED)
        assert absorb(slot, Payload(None, 0, b"ab"), 5.0) == DataReceived(slot, b"ab")
        slot.readable = False
        assert absorb(slot, None, 6.0) == Drained(slot)

    def test_what_is_announced_during_a_read_is_read_next(self) -> None:
        """It came behind ``+QIRD: 0``, and the module won't say it again (N28)."""
        slot = socket()
        note_announced(slot, 5)
        assert absorb(slot, None, 5.0) is None
        assert slot.readable
        assert slot.holds_data

    def test_an_end_during_a_read_is_no_end_yet(self) -> None:
        """Data may have come between ``+QIRD: 0`` and ``"closed"``."""
        slot = socket(state=SlotState.REMOTE_CLOSED)
        slot.readable = True
        assert absorb(slot, None, 5.0) is None
        assert slot.readable


class TestKnowing:
    """What the module is known to hold, so that a refusal can be judged."""

    def test_announcements_add_up_and_reads_take_away(self) -> None:
        """And never below what the last header said."""
        slot = socket()
        note_announced(slot, 5)
        note_announced(slot, 3)
        assert slot.announced == 8
        absorb(slot, Payload(None, 0, b"12345"), 0.0)
        assert slot.announced == 3
        absorb(slot, Payload(None, 0, b"12345"), 0.0)
        assert slot.announced == 0
        absorb(slot, Payload(None, 40, b"12345"), 0.0)
        assert slot.announced == 40

    def test_an_announcement_without_length_is_some(self) -> None:
        """With ``showlength`` 0; a later number can't tell how much it is in all."""
        slot = socket()
        note_announced(slot, None)
        note_announced(slot, 3)
        assert slot.announced is None
        assert slot.readable


class TestDatagrams:
    """§2.2.6, note 3: one node is one datagram, and may take several reads."""

    def test_pieces_make_one_datagram(self) -> None:
        """Boundaries are kept."""
        slot = socket(ServiceType.UDP)
        assert absorb(slot, Payload(None, 3, b"abc"), 0.0) is None
        assert absorb(slot, Payload(None, 0, b"def"), 0.0) == DataReceived(slot, b"abcdef")
        assert absorb(slot, Payload(None, 0, b"g"), 0.0) == DataReceived(slot, b"g")

    def test_a_datagram_without_its_end_is_lost(self) -> None:
        """Its beginning is not put in front of the next one."""
        slot = socket(ServiceType.UDP)
        absorb(slot, Payload(None, 3, b"abc"), 0.0)
        slot.readable = False
        event = absorb(slot, None, 0.0)
        assert isinstance(event, DatagramLost)
        assert slot.readable
        assert absorb(slot, Payload(None, 0, b"g"), 0.0) == DataReceived(slot, b"g")

    def test_a_stream_has_no_boundaries(self) -> None:
        """Each piece is delivered at once."""
        slot = socket()
        assert absorb(slot, Payload(None, 3, b"abc"), 0.0) == DataReceived(slot, b"abc")

    @given(sizes=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), max_size=6))
    def test_any_cutting_gives_the_same_datagrams(self, sizes: list[list[int]]) -> None:
        """However many reads each one takes."""
        slot, got, sent = socket(ServiceType.UDP), list[Event | None](), list[bytes]()
        for number, cut in enumerate(sizes):
            sent.append(bytes([number]) * sum(cut))
            for at, size in enumerate(cut):
                payload = Payload(None, sum(cut[at + 1 :]), bytes([number]) * size)
                got.append(absorb(slot, payload, 0.0))
        assert [event for event in got if event is not None] == [
            DataReceived(slot, data) for data in sent
        ]


class TestRefusal:
    """``ERROR`` to AT+QIRD."""

    @pytest.mark.parametrize("announced", [1, None])
    def test_known_bytes_are_lost(self, announced: int | None) -> None:
        """The connection ends, and the error says why."""
        slot = socket(state=SlotState.REMOTE_CLOSED)
        slot.announced = announced
        event = note_refusal(slot, 567)
        assert isinstance(event, Failed)
        assert isinstance(event.error, StreamBroken)
        assert "lost received bytes" in str(event.error)
        assert "module error 567" in str(event.error)

    def test_half_a_datagram_is_known(self) -> None:
        """Its rest is lost; without a code there is none in the text."""
        slot = socket(ServiceType.UDP)
        slot.fragments += b"ab"
        event = note_refusal(slot, None)
        assert isinstance(event, Failed)
        assert str(event.error).endswith("ERROR to AT+QIRD")

    @pytest.mark.parametrize("state", [SlotState.OPEN, SlotState.REMOTE_CLOSED])
    @pytest.mark.parametrize("err", [None, 550, 552, 559, 567, 568])
    def test_it_never_proves_emptiness(self, state: SlotState, err: int | None) -> None:
        """The module is asked whether it still has the socket, at its end too."""
        slot = socket(state=state)
        slot.readable = True
        assert note_refusal(slot, err) == ReadRefused(slot, err)
        assert not slot.readable
        assert not slot.is_drained

    @pytest.mark.parametrize("err", [551, 553, 568])
    @pytest.mark.parametrize("announced", [1, None])
    def test_a_busy_module_still_has_what_it_announced(
        self, err: int, announced: int | None
    ) -> None:
        """Blocked, out of memory, busy: nothing has left its buffer."""
        slot = socket()
        slot.announced = announced
        assert note_refusal(slot, err) == ReadRefused(slot, err)

    def test_eight_in_a_row_are_enough(self) -> None:
        """A module that never reads a socket again has lost what it holds."""
        slot = socket()
        events = [note_refusal(slot, 568) for _ in range(REFUSALS_MAX + 1)]
        assert {type(event) for event in events[:-1]} == {ReadRefused}
        assert isinstance(events[-1], Failed)

    def test_an_answer_between_starts_the_count_anew(self) -> None:
        """A module that is busy now and then is no broken one."""
        slot = socket()
        for _ in range(REFUSALS_MAX):
            note_refusal(slot, 568)
        absorb(slot, None, 5.0)
        assert note_refusal(slot, 568) == ReadRefused(slot, 568)

    def test_each_wait_is_twice_the_last_within_limits(self) -> None:
        """From half a second to five."""
        slot, waits = socket(), []
        for _ in range(REFUSALS_MAX):
            note_refusal(slot, 568)
            waits.append(refused_wait(slot))
        assert (waits[0], waits[-1]) == REFUSED_WAIT_S
        assert waits[1:3] == [1.0, 2.0]


class TestTornEmpty:
    """``+QIRD: 0`` that has lost a few bytes is still known."""

    WHOLE = b"+QIRD: 0"

    @pytest.mark.parametrize("lost", range(7))
    def test_any_lost_byte(self, lost: int) -> None:
        """One, wherever it stood before the 0."""
        assert is_torn_empty(self.WHOLE[:lost] + self.WHOLE[lost + 1 :])

    @pytest.mark.parametrize(
        "text",
        [b"+QIRD: 0", b"+QI:", b"RD:0 ", b"+QIRD: 1", b"", b"+QIRD", b"+QIRD: "],
    )
    def test_other_lines_are_none(self, text: bytes) -> None:
        """Whole, too short, in another order, with another number, or with none.

        Of ``+QIRD: 1,0`` and its byte of data, ``+QIRD`` is left where the rest got lost.
        """
        assert not is_torn_empty(text)
