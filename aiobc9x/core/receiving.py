"""What a read of the module's buffer gives, and when a socket is empty (§2.2.6).

Layer: core. Does no I/O; time comes in as ``now``.

``recv`` is edge-triggered: a socket is empty only after ``+QIRD: 0``. A read whose
answer can't be trusted ends the connection, because a stream must not go on with a
hole.
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

_GONE: Final = {Err.INVALID_PARAMETERS, Err.SOCKET_CLOSED}


@dataclass(eq=False, slots=True)
class Read:
    """One AT+QIRD."""

    slot: Slot


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
    if payload is None:
        return _absorb_nothing(slot)
    left = max(payload.remaining or 0, 0)
    slot.announced = max((slot.announced or 0) - len(payload.data), left)
    slot.readable = True
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
    slot.announced = 0
    return Drained(slot) if slot.state is SlotState.REMOTE_CLOSED else None


def announce(slot: Slot, length: int | None) -> None:
    """Note a ``"recv"`` URC (§2.3.2)."""
    slot.readable = True
    if length is None or slot.announced is None:
        slot.announced = None
    else:
        slot.announced += length


def refuse(slot: Slot, err: int | None) -> Event:
    """Say what ``ERROR`` to a read means.

    A socket that is known to hold data has lost them. One that the peer has closed, and
    that isn't, is at its end if the code is one of a socket that is gone; with another one
    it may hold more.
    """
    slot.readable = False
    ended = slot.state is SlotState.REMOTE_CLOSED
    if slot.holds_data or slot.fragments or (ended and err not in _GONE):
        code = "" if err is None else f" (modem error {err})"
        return Failed(slot, StreamBroken(f"the module lost received bytes: ERROR to AT+QIRD{code}"))
    if ended:
        return Drained(slot)
    return ReadRefused(slot, err)
