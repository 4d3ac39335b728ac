"""Pieces that a program writes shortly after one another become one send."""

import asyncio
from collections.abc import Sequence

import pytest

from aiobc9x.aio.transports.gathering import MOST_ROUNDS, Gathering
from tests.support.bench import Bench
from tests.support.clock import virtual
from tests.support.recorders import recorded


async def rounds_until_ready(pieces: Sequence[int]) -> list[int]:
    """The rounds in which ``ready`` was called; a piece is added in each round of ``pieces``."""
    ready: list[int] = []
    number = 0
    gathering = Gathering(asyncio.get_running_loop(), lambda: ready.append(number))
    for number in range(40):
        if number in pieces:
            gathering.add()
        await asyncio.sleep(0)
    return ready


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        ([], []),
        ([0], [1]),
        ([0, 1], [2]),
        ([0, 1, 2, 3], [4]),
        ([0, 2], [1, 3]),
        ([0, 10, 11], [1, 12]),
    ],
)
async def test_it_is_ready_when_no_more_comes(pieces: Sequence[int], calls: Sequence[int]) -> None:
    """Once for each burst."""
    assert await rounds_until_ready(pieces) == calls


async def test_a_program_that_never_stops_is_not_waited_for() -> None:
    """One that writes in every round has each burst sent."""
    calls = await rounds_until_ready(range(40))
    assert calls[0] == MOST_ROUNDS - 1
    assert len(calls) == 2


async def test_what_was_ended_is_not_told() -> None:
    """Pieces that come behind the end are."""
    calls: list[str] = []
    gathering = Gathering(asyncio.get_running_loop(), lambda: calls.append("ready"))
    gathering.add()
    gathering.end()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not calls
    gathering.add()
    for _ in range(5):
        await asyncio.sleep(0)
    assert calls == ["ready"]


@virtual
async def test_pieces_with_a_checkpoint_between_are_one_send() -> None:
    """A head and a body, as HTTP libraries write them."""
    async with Bench() as bench:
        protocol, transport, peer = await recorded(bench)
        for piece in (b"head ", b"body ", b"more"):
            transport.write(piece)
            await asyncio.sleep(0)
        await asyncio.sleep(1)
        transport.write(b"next")
        transport.close()
        await protocol.lost
        assert peer.datagrams == [b"head body more", b"next"]


@virtual
async def test_a_full_send_waits_for_nothing() -> None:
    """Only what is left over is held back for more."""
    async with Bench() as bench:
        protocol, transport, peer = await recorded(bench)
        for _ in range(4):
            transport.write(bytes(720))
            await asyncio.sleep(0)
        transport.close()
        await protocol.lost
        assert [len(piece) for piece in peer.datagrams] == [1440, 1440]
