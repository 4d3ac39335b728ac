"""What a read of the module's buffer gives, and when a socket is empty (§2.2.6).

Layer: core. Does no I/O; time comes in as ``now``.

``recv`` is edge-triggered: a socket is empty only after ``+QIRD: 0``. An ``ERROR`` never
proves that. A read whose answer can't be trusted ends the connection, because a stream
must not go on with a hole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiobc9x.core.events import DatagramLost, DataReceived, Drained, Event, Failed, ReadRefused
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import StreamBroken
from aiobc9x.spec import Err

if TYPE_CHECKING:
    from aiobc9x.core.exchange import Exchange
    from aiobc9x.wire.framer import Payload

REFUSALS_MAX: Final = 8
"""Reads in a row that may be refused before the connection ends. Ours."""

REFUSED_WAIT_S: Final = (0.5, 5.0)
"""First and longest wait before a read that was refused is tried again. Ours."""

_PASSING: Final = {Err.BLOCKED, Err.NO_MEMORY, Err.BUSY}
"""Codes of a module that has no time now: nothing has left its buffer."""

_EMPTY: Final = b"+QIRD: 0"
_EMPTY_LEFT: Final = 5
"""Characters of that which must be left to know it, the 0 among them. Without the 0, the
header of data may have lost its length and all that stood behind it."""


@dataclass(eq=False, slots=True)
class Read:
    """One AT+QIRD."""

    slot: Slot


def is_torn_empty(text: bytes) -> bool:
    """Whether a line is ``+QIRD: 0`` that has lost a few bytes on the line."""
    if not (_EMPTY_LEFT <= len(text) < len(_EMPTY) and text.endswith(b"0")):
        return False
    rest = iter(_EMPTY)
    return all(byte in rest for byte in text)


def distrust(exchange: Exchange, *, length_shown: bool) -> str | None:
    """Say why the answer to a read can't be trusted, if so."""
    payload = exchange.payload
    if exchange.damage is not None:
        return exchange.damage
    if payload is None:
        return None if exchange.lines else "the module answered OK to AT+QIRD without a +QIRD line"
    if exchange.lines:
        return "the module answered one AT+QIRD both with data and with +QIRD: 0"
    if not exchange.succeeded:
        return "the module answered one AT+QIRD both with data and with an error"
    if length_shown and payload.remaining is None and not exchange.negative:
        return "the +QIRD header lacks its remaining length"
    return None


def absorb(slot: Slot, payload: Payload | None, now: float) -> Event | None:
    """Account for a read that can be trusted.

    Args:
        slot: The socket that was read; ``readable`` was cleared when the read began.
        payload: What it gave, ``None`` for ``+QIRD: 0``.
        now: The time.

    Returns:
        The event that it makes: bytes, a whole datagram, or the end of a closed socket.

    """
    slot.last_read = now
    slot.refusals = 0
    if payload is None:
        return _absorb_nothing(slot)
    left = max(payload.remaining or 0, 0)
    slot.announced = max((slot.announced or 0) - len(payload.data), left)
    slot.readable, slot.found_empty = True, False
    if not slot.is_datagram:
        return DataReceived(slot, payload.data)
    if slot.rest_due:
        slot.rest_due = left > 0
        return None if left else DatagramLost(slot, "its beginning was lost")
    slot.fragments += payload.data
    if left:  # the datagram goes on (§2.2.6, note 3)
        return None
    datagram = bytes(slot.fragments)
    slot.fragments.clear()
    return DataReceived(slot, datagram)


def _absorb_nothing(slot: Slot) -> Event | None:
    slot.rest_due = False
    if slot.fragments:
        slot.fragments.clear()
        slot.readable = True
        return DatagramLost(slot, "the module lost the end of a datagram")
    if slot.readable:  # announced or closed behind the +QIRD: 0, and never again (N28)
        return None
    slot.announced, slot.found_empty = 0, True
    return Drained(slot) if slot.state is SlotState.REMOTE_CLOSED else None


def announce(slot: Slot, length: int | None) -> None:
    """Note a ``"recv"`` URC (§2.3.2)."""
    slot.readable, slot.found_empty = True, False
    if length is None or slot.announced is None:
        slot.announced = None
    else:
        slot.announced += length


def is_passing(slot: Slot, err: int | None) -> bool:
    """Whether ``ERROR`` to a read says that the module has no time now, and not too often."""
    return err in _PASSING and slot.refusals < REFUSALS_MAX


def refuse(slot: Slot, err: int | None) -> Event:
    """Say what ``ERROR`` to a read means.

    A socket that is known to hold data has lost them, unless the code says that the module
    was busy. Anything else proves nothing: the module is asked about the socket, and the
    socket is read again.
    """
    slot.readable = False
    slot.refusals += 1
    known = slot.holds_data or bool(slot.fragments)
    if (known and err not in _PASSING) or slot.refusals > REFUSALS_MAX:
        code = "" if err is None else f" (module error {err})"
        return Failed(slot, StreamBroken(f"the module lost received bytes: ERROR to AT+QIRD{code}"))
    return ReadRefused(slot, err)


def refused_wait(slot: Slot) -> float:
    """Return the seconds until a read that was refused is tried again."""
    first, longest = REFUSED_WAIT_S
    return min(first * 2.0 ** max(slot.refusals - 1, 0), longest)
