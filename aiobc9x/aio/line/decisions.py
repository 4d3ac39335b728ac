"""Say which of the library's decisions stand in a trace and in the log, and what is told of each.

Layer: aio.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields
from typing import Final, Literal, cast, get_args

from aiobc9x.aio.line.subscriptions import (
    BudgetReached,
    LinkDown,
    LinkUp,
    Progress,
    Recovering,
    Reset,
    StepLost,
    StepRegained,
    Unknown,
)
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
from aiobc9x.logs import Facts
from aiobc9x.wire.urcs import Urc

TOLD: Final[dict[type, tuple[Literal["wire", "core", "aio"], int]]] = {
    Damaged: ("wire", logging.WARNING),
    Opened: ("core", logging.DEBUG),
    OpenRefused: ("core", logging.DEBUG),
    ModeSwitched: ("core", logging.DEBUG),
    SwitchRefused: ("core", logging.DEBUG),
    SendStalled: ("core", logging.DEBUG),
    SendRefused: ("core", logging.INFO),
    DatagramLost: ("core", logging.INFO),
    ReadRefused: ("core", logging.DEBUG),
    RemoteClosed: ("core", logging.DEBUG),
    Drained: ("core", logging.DEBUG),
    Failed: ("core", logging.INFO),
    Orphaned: ("core", logging.DEBUG),
    Woken: ("core", logging.DEBUG),
    Reset: ("core", logging.WARNING),
    StepLost: ("core", logging.WARNING),
    StepRegained: ("core", logging.INFO),
    LinkDown: ("aio", logging.INFO),
    LinkUp: ("aio", logging.INFO),
    Recovering: ("aio", logging.INFO),
    Progress: ("aio", logging.INFO),
    BudgetReached: ("aio", logging.WARNING),
}
"""What is told of: the session's decisions, and the events for users; for each the logger and the
level. What a program gets as an exception is not said louder than that."""

DECISIONS: Final = tuple(kind for kind in TOLD if issubclass(kind, get_args(Event)))
"""The session's events among them. A restart and a lost step come as events for users."""

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


def log_facts(facts: Mapping[str, object]) -> Facts:
    """Return the same facts by the names that they have in the log."""
    return cast("Facts", {_IN_LOG.get(name, name): value for name, value in facts.items()})


_IN_LOG: Final = {"socket": "connect_id"}
