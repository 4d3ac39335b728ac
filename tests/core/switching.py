"""What the tests of switching the access mode share (§2.2.7)."""

from __future__ import annotations

from aiobc9x.core.events import DataReceived
from aiobc9x.core.slots import Slot
from aiobc9x.spec import AccessMode, ServiceType
from tests.core.peer import Peer

BUFFER, PUSH = AccessMode.BUFFER, AccessMode.PUSH
TO_PUSH, TO_BUFFER = b"AT+QISWTMD=0,1", b"AT+QISWTMD=0,0"
EXPLAIN = b"AT+QIGETERROR"


def got(peer: Peer, slot: Slot) -> bytes:
    """What a socket delivered."""
    return b"".join(event.data for event in peer.kept(DataReceived) if event.slot is slot)


def switching(mode: AccessMode, service_type: ServiceType = ServiceType.TCP) -> tuple[Peer, Slot]:
    """Begin to switch a socket to a mode from the other one."""
    peer = Peer()
    slot = peer.open(service_type, PUSH if mode is BUFFER else BUFFER)
    peer.session.switch_mode(slot, mode)
    return peer, slot
