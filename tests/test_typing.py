"""The public signatures, as a type checker and a caller see them.

Each ``type: ignore`` below is an error that a checker must find: mypy itself complains about
one that it doesn't need.
"""

from __future__ import annotations

import asyncio
import inspect

import pytest

import aiobc9x
from aiobc9x import AccessMode, Modem


async def never_called(modem: Modem) -> None:
    """What is wrong here is wrong for the checker."""
    await modem.open_connection("example.com", 443, tls=True)  # type: ignore[call-arg]
    await modem.open_connection("example.com", "443")  # type: ignore[arg-type]
    await modem.create_connection(asyncio.Protocol, "a", 1, access_mode="push")  # type: ignore[arg-type]
    await modem.start_server(lambda _r, _w: None, 7000, tls=True)  # type: ignore[call-arg]
    await modem.open_connection(b"example.com", 443, ssl=True, access_mode=AccessMode.PUSH)
    await modem.start_server(lambda _r, _w: None, None, 7000)


PUBLIC = sorted(name for name in vars(Modem) if not name.startswith("_"))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_method_says_what_it_takes(name: str) -> None:
    """No ``**options``: completion and checkers see each keyword."""
    method = inspect.getattr_static(Modem, name)
    if isinstance(method, property):
        return
    kinds = {each.kind for each in inspect.signature(method).parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds
    assert method.__doc__


def test_every_method_stands_in_one_class() -> None:
    """A reader finds all of them in one file."""
    assert Modem.__bases__ == (object,)
    assert Modem.__module__ == "aiobc9x.modem"


@pytest.mark.parametrize("name", ["open_connection", "create_connection", "start_server"])
def test_connections_share_their_keywords(name: str) -> None:
    """What one call for connections knows, its neighbour knows too, under the same name."""
    pairs = {
        "open_connection": ("create_connection", {"protocol_factory"}, {"limit"}),
        "create_connection": ("open_connection", {"limit"}, {"protocol_factory"}),
        "start_server": ("create_server", {"protocol_factory"}, {"client_connected_cb", "limit"}),
    }
    other, only_other, only_own = pairs[name]
    own = set(inspect.signature(getattr(aiobc9x.Modem, name)).parameters)
    others = set(inspect.signature(getattr(aiobc9x.Modem, other)).parameters)
    assert own - others == only_own
    assert others - own == only_other
