"""Decide what the answer to a read means, and when a socket is empty (§2.2.6).

Layer: core. Does no I/O; time comes in as ``now``.

The module announces data once, by a ``"recv"`` URC, and is then silent until the socket has
been read empty (F13). A socket is empty only after ``+QIRD: 0``; an ``ERROR`` does not prove
that it is (F22). If the answer to a read can't be trusted, the connection ends, because a
stream must never skip data silently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiobc9x.core.events import DatagramLost, DataReceived, Drained, Event, Failed, ReadRefused
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import StreamBroken
from aiobc9x.slotted import slotted
from aiobc9x.spec import Err

if TYPE_CHECKING:
    from aiobc9x.core.exchange import Exchange
    from aiobc9x.wire.framer import Payload

REFUSALS_MAX: Final = 8
"""Reads in a row that may be refused before the connection ends. Ours."""

REFUSED_WAIT_S: Final = (0.5, 5.0)
"""First and longest wait before a read that was refused is tried again. Ours."""

_PASSING: Final = {Err.BLOCKED, Err.NO_MEMORY, Err.BUSY}
"""Codes of a module that is busy just now; the received bytes are still in its buffer (F22)."""

_EMPTY: Final = b"+QIRD: 0"
_EMPTY_LEFT: Final = 5
"""How many characters of a torn ``+QIRD: 0`` must be left to recognize it, the 0 among them.

Without the 0, the line may as well be the header of data that has lost its length.
"""


@slotted(eq=False)
class Read:
    """One AT+QIRD."""

    slot: Slot


def is_torn_empty(text: bytes) -> bool:
    """Whether a line is ``+QIRD: 0`` that has lost a few bytes on the line."""
    if not (_EMPTY_LEFT <= len(text) < len(_EMPTY) and text.endswith(b"0")):
        return False
    # Each character in order, with any number missing between: "in" consumes the iterator.
    rest = iter(_EMPTY)
    return all(byte in rest for byte in text)


def distrust(exchange: Exchange, *, length_shown: bool) -> str | None:
    """Return why the answer to a read can't be trusted; ``None`` if it can.

    Args:
        exchange: The exchange, with its final result.
        length_shown: Headers must carry the remaining length (``showlength`` is 1).

    """
    payload = exchange.payload
    if exchange.damage is not None:
        return exchange.damage
    # One relative answers so after its UART overflowed: the data are gone (F17).
    if payload is None:
        return None if exchange.lines else "the module answered OK to AT+QIRD without a +QIRD line"
    if exchange.lines:
        return "the module answered one AT+QIRD both with data and with +QIRD: 0"
    if not exchange.succeeded:
        return "the module answered one AT+QIRD both with data and with an error"
    # "+QIRD: 10,2" that lost a byte can be "+QIRD: 10" or "+QIRD: 12": then the framer counted a
    # wrong length. A negative one is a habit of relatives, and no loss (F16, N26).
    if length_shown and payload.remaining is None and not exchange.negative:
        return "the +QIRD header lacks its remaining length"
    return None


def absorb(slot: Slot, payload: Payload | None, now: float) -> Event | None:
    """Note in the slot what a read gave whose answer can be trusted.

    Args:
        slot: The socket that was read; ``readable`` was cleared when the read began.
        payload: What the read gave, ``None`` for ``+QIRD: 0``.
        now: The time.

    Returns:
        Bytes, a whole datagram, the end of a socket that the peer has closed, or a lost
        datagram; ``None`` if there is nothing to report.

    """
    slot.last_read = now
    slot.refusals = 0
    if payload is None:
        return _absorb_nothing(slot)
    left = max(payload.remaining or 0, 0)
    # The remaining length is that of one packet in some firmwares and of the buffer in others, so
    # the larger number counts, and only "+QIRD: 0" says that the socket is empty (N26, F13).
    slot.announced = max((slot.announced or 0) - len(payload.data), left)
    slot.readable, slot.found_empty = True, False
    if not slot.is_datagram:
        return DataReceived(slot, payload.data)
    # A datagram without its beginning is dropped: to deliver a part would be a forgery.
    if slot.rest_due:
        slot.rest_due = left > 0
        return None if left else DatagramLost(slot, "the beginning of a datagram was lost")
    slot.fragments += payload.data
    # On UDP, a remaining length says that the datagram goes on (§2.2.6, note 3; N26).
    if left:
        return None
    datagram = bytes(slot.fragments)
    slot.fragments.clear()
    return DataReceived(slot, datagram)


def _absorb_nothing(slot: Slot) -> Event | None:
    slot.rest_due = False
    # The header before had promised more of this datagram.
    if slot.fragments:
        slot.fragments.clear()
        slot.readable = True
        return DatagramLost(slot, "the module lost the end of a datagram")
    # A "recv" or "closed" arrived between the +QIRD: 0 and its OK. The module won't repeat it,
    # so the socket stays readable (N28).
    if slot.readable:
        return None
    slot.announced, slot.found_empty = 0, True
    return Drained(slot) if slot.state is SlotState.REMOTE_CLOSED else None


def note_announced(slot: Slot, length: int | None) -> None:
    """Note that a ``"recv"`` URC has announced data (§2.3.2).

    Args:
        slot: The socket.
        length: How many bytes it announced; ``None`` if it didn't say (F8).

    """
    slot.readable, slot.found_empty = True, False
    if length is None or slot.announced is None:
        slot.announced = None
    else:
        slot.announced += length


def is_passing(slot: Slot, err: int | None) -> bool:
    """Whether a refused read is to be repeated: the module is busy, and was not too often."""
    return err in _PASSING and slot.refusals < REFUSALS_MAX


def note_refusal(slot: Slot, err: int | None) -> Event:
    """Note in the slot that a read was refused with ``ERROR``, and return what that means.

    If the socket was known to hold data, those data are lost, unless the code says that the
    module was busy. If not, the ``ERROR`` proves nothing: AT+QISTATE shows whether the socket
    is still there, and the socket is read again.

    Args:
        slot: The socket.
        err: The code that AT+QIGETERROR gave; ``None`` if it gave none.

    """
    slot.readable = False
    slot.refusals += 1
    # Fragments prove that the module holds the rest of a datagram.
    known = slot.holds_data or bool(slot.fragments)
    if (known and err not in _PASSING) or slot.refusals > REFUSALS_MAX:
        code = "" if err is None else f" (module error {err})"
        return Failed(slot, StreamBroken(f"the module lost received bytes: ERROR to AT+QIRD{code}"))
    return ReadRefused(slot, err)


def refused_wait(slot: Slot) -> float:
    """Return the seconds until a read that was refused is tried again."""
    first, longest = REFUSED_WAIT_S
    return min(first * 2.0 ** max(slot.refusals - 1, 0), longest)
