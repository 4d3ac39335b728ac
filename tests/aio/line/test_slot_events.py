"""Owners: a socket's events reach whoever has it, and wait for whoever will."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aiobc9x.aio.line.slot_events import SLOT_EVENTS, Owners, owner_of
from aiobc9x.core.events import (
    DatagramLost,
    DataReceived,
    Drained,
    Failed,
    ModeSwitched,
    Opened,
    OpenRefused,
    ReadRefused,
    RemoteClosed,
    SendOver,
    SendRefused,
    SendStalled,
    Sent,
    SlotEvent,
    SwitchRefused,
)
from aiobc9x.core.session import Session
from aiobc9x.core.slots import Slot
from aiobc9x.errors import StreamBroken
from aiobc9x.spec import ServiceType
from tests.support.clock import virtual

SLOT = Slot(0, 1, ServiceType.TCP)
ERROR = StreamBroken("why")
REFUSED = SendRefused(SLOT, 3)
CALLS: list[tuple[SlotEvent, str, tuple[Any, ...]]] = [
    (DataReceived(SLOT, b"data"), "on_data", (b"data",)),
    (Sent(SLOT, 7), "on_sent", (7,)),
    (RemoteClosed(SLOT), "on_remote_closed", ()),
    (Drained(SLOT), "on_drained", ()),
    (Failed(SLOT, ERROR), "on_failed", (ERROR,)),
    (DatagramLost(SLOT, "why"), "on_datagram_lost", ("why",)),
    (SendStalled(SLOT, 3), "on_refused", (SendStalled(SLOT, 3),)),
    (REFUSED, "on_refused", (REFUSED,)),
    (ReadRefused(SLOT, 3), "on_refused", (ReadRefused(SLOT, 3),)),
]


class Told:
    """An owner that notes what it is told.

    Attributes:
        calls: The methods and their arguments, in order.

    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, method: str) -> Callable[..., None]:
        return lambda *arguments: self.calls.append((method, arguments))


@pytest.fixture(autouse=True)
def nobody() -> None:
    """The socket is nobody's."""
    SLOT.owner = None


@pytest.mark.parametrize(("event", "method", "arguments"), CALLS)
def test_each_event_has_its_method(event: SlotEvent, method: str, arguments: tuple[Any]) -> None:
    """One call, and no other."""
    owners, owner = Owners(Session()), Told()
    owners.adopt(SLOT, owner)
    assert owner_of(SLOT) is owner
    owners.tell(event)
    assert owner.calls == [(method, arguments)]


def test_every_event_is_covered() -> None:
    """A class that is added wants a row above, or concerns only whoever awaits it."""
    awaited = {SendOver, Opened, OpenRefused, ModeSwitched, SwitchRefused}
    assert {type(event) for event, _, _ in CALLS} | awaited == set(SLOT_EVENTS)


class TestAwaited:
    """Whoever waits for something of a socket gets the first event of those kinds."""

    @virtual
    async def test_the_first_of_the_kinds(self) -> None:
        """Others pass, and a later one changes nothing."""
        owners = Owners(Session())
        future = owners.expect(SLOT, Opened, OpenRefused)
        owners.tell(ModeSwitched(SLOT))
        assert not future.done()
        owners.tell(OpenRefused(SLOT, 566))
        owners.tell(Opened(SLOT))
        assert await future == OpenRefused(SLOT, 566)

    @virtual
    async def test_the_end_of_the_socket_is_an_error_for_each(self) -> None:
        """Each has an exception of its own."""
        owners = Owners(Session())
        futures = [owners.expect(SLOT, SendOver), owners.expect(SLOT, Opened)]
        owners.tell(Failed(SLOT, ERROR))
        errors = [future.exception() for future in futures]
        assert [str(error) for error in errors] == [str(ERROR)] * 2
        assert errors[0] is not errors[1]

    @virtual
    async def test_whoever_stops_waiting_is_forgotten(self) -> None:
        """The others go on waiting, and another socket's events are nobody's."""
        owners = Owners(Session())
        first, second = owners.expect(SLOT, Opened), owners.expect(SLOT, Opened)
        first.cancel()
        await asyncio.sleep(0)
        owners.tell(Opened(Slot(1, 2, ServiceType.TCP)))
        assert not second.done()
        owners.tell(Opened(SLOT))
        assert await second == Opened(SLOT)


def test_what_comes_early_waits() -> None:
    """Data and ends are kept in order; what only concerns an owner is not."""
    owners, owner = Owners(Session()), Told()
    for event, _, _ in CALLS:
        owners.tell(event)
    owners.adopt(SLOT, owner)
    assert [method for method, _ in owner.calls] == [
        "on_data",
        "on_remote_closed",
        "on_drained",
        "on_failed",
    ]


@pytest.mark.parametrize("forget", [lambda o: o.disown(SLOT), lambda o: o.clear()])
def test_what_nobody_wants_is_forgotten(forget: Any) -> None:  # Any: two lambdas
    """A later owner of the connect ID gets nothing of it."""
    owners, owner = Owners(Session()), Told()
    owners.tell(DataReceived(SLOT, b"old"))
    forget(owners)
    owners.adopt(SLOT, owner)
    assert owner.calls == []
