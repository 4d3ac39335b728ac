"""Say which of the library's decisions stand in a trace, and what is told of each.

Layer: aio.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from aiobc9x.aio.line.subscriptions import Unknown
from aiobc9x.core.events import (
    Damaged,
    DatagramLost,
    Drained,
    Event,
    Failed,
    ModeSwitched,
    Opened,
    OpenRefused,
    Orphaned,
    ReadRefused,
    RemoteClosed,
    SendRefused,
    SendStalled,
    SwitchRefused,
    Woken,
)
from aiobc9x.core.slots import Slot
from aiobc9x.wire.urcs import Urc

DECISIONS: Final[tuple[type[Event], ...]] = (
    Opened,
    OpenRefused,
    ModeSwitched,
    SwitchRefused,
    SendStalled,
    SendRefused,
    DatagramLost,
    ReadRefused,
    RemoteClosed,
    Drained,
    Failed,
    Orphaned,
    Damaged,
    Woken,
)
"""The session's events that are decisions. A restart and a lost step come as events for users."""

UNTOLD: Final = (Urc, Unknown)
"""Events for users that are no decisions: the trace has their bytes."""


def facts_of(event: object) -> dict[str, object]:
    """Return the fields of an event, or of any dataclass, as plain values.

    Bytes are told by their length, because they may be the payload of a connection.
    """
    facts: dict[str, object] = {}
    for each in fields(event):  # type: ignore[arg-type]  # all of these are dataclasses
        match getattr(event, each.name):
            case Slot() as slot:
                facts.update(slot_facts(slot))
            case BaseException() as exc:
                facts[each.name] = f"{type(exc).__name__}: {exc}"
            case bytes() as data:
                facts["size_bytes"] = len(data)
            case value:
                facts[each.name] = value
    return facts


def slot_facts(slot: Slot) -> dict[str, object]:
    """Return what tells a socket from others, also from a former user of its connect ID."""
    return {"socket": slot.connect_id, "generation": slot.generation}
