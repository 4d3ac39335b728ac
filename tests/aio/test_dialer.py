"""Dialer: the four calls of a modem that adapters know."""

from __future__ import annotations

import inspect

import pytest

from aiobc9x import Modem, ModemPool
from aiobc9x.aio.dialer import Dialer

CALLS = ("create_connection", "create_datagram_endpoint", "create_server", "resolve")


def as_dialer(modem: Modem) -> Dialer:
    """A type checker says here that a modem is a dialer."""
    return modem


def test_it_has_four_calls() -> None:
    """What another dialer has to do is little; a fifth call must be worth it."""
    public = {name for name in vars(Dialer) if not name.startswith("_")}
    assert public == set(CALLS)


@pytest.mark.parametrize("kind", [Modem, ModemPool])
@pytest.mark.parametrize("name", CALLS)
def test_a_modem_takes_what_a_dialer_takes(name: str, kind: type) -> None:
    """Each keyword of the contract is one of the method of a modem, and of a pool, too."""
    wanted = inspect.signature(getattr(Dialer, name)).parameters.values()
    taken = inspect.signature(getattr(kind, name))
    by_position = [each.name for each in wanted if each.kind is each.POSITIONAL_ONLY]
    by_name = [each.name for each in wanted if each.kind is each.KEYWORD_ONLY]
    taken.bind(*by_position, **dict.fromkeys(by_name))  # raises for what it doesn't take
