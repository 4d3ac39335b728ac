"""Run cells: one fault at one position, with one seed or many."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import aiobc9x
from tests.reliability.positions import POSITIONS, Position
from tests.reliability.strikes import STRIKES, Strike
from tests.reliability.world import PATIENCE_S, Broken, World, until
from tests.support.clock import run as run_virtually
from tests.support.clock import running

MOMENT_S: Final = 2.0
"""Seconds in which a program notices that its modem has been closed; it may be pausing itself."""

ROUNDS: Final = 3
"""Fresh connections after which a fault that has not struck yet never will."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one run.

    Attributes:
        saw: The class of the program's exception; empty if it saw nothing.
        back_s: Seconds from the end of the fault until a fresh connection carried bytes.
        all_back_s: The same until a client of the listener was served and a datagram came back.
        hooks: How often the hook was called.
        close_s: Seconds that :meth:`Modem.aclose` took then.
        hook_s: Seconds from the first command without an answer to the call of the hook.

    """

    saw: str
    back_s: float
    all_back_s: float
    close_s: float
    hook_s: float | None
    hooks: int


async def life(position: Position, strike: Strike, seed: str) -> Outcome | None:
    """Run one seed; ``None`` if the fault found nothing to strike at."""
    form = strike.send_form or random.Random(seed).choice(position.send_forms)
    async with World(seed, send_form=form, **strike.settings) as world:
        world.fire = lambda: strike.strike(world, position)
        async with asyncio.timeout(PATIENCE_S):
            saw = ""
            try:
                await position.act(world)
            except (OSError, aiobc9x.ModemError) as exc:
                saw = type(exc).__name__
            world.fire_once()
            for _ in range(ROUNDS):
                if world.struck_at is None:
                    await world.good_byte()
            if world.struck_at is None:
                return None
            back_at = await over(world)
            all_back_at = max(await asyncio.gather(world.good_client(), world.good_datagram()))
            if not world.server.is_serving() or world.serving.done():
                raise Broken("the listener has stopped serving")
            began = running().now
            await world.modem.aclose()
            took = running().now - began
        return Outcome(
            saw,
            max(0.0, back_at - world.over_at),
            max(0.0, all_back_at - world.over_at),
            took,
            hook_s(world),
            len(world.hook_calls),
        )


async def closed_amid(position: Position, strike: Strike, seed: str) -> tuple[str, float]:
    """Close the modem a while after the fault; return its state then, and how long that took.

    Raises:
        Broken: The program still waits for a modem that is closed.

    """
    form = strike.send_form or random.Random(seed).choice(position.send_forms)
    async with World(seed, send_form=form, **strike.settings) as world:
        world.fire = lambda: strike.strike(world, position)
        acting = world.spawn(position.act(world))
        await until(lambda: world.struck_at is not None, 60.0)
        await asyncio.sleep(world.rng.choice([0.0, 0.1, 1.0, 12.0, 30.0, 55.0]))
        state, began = world.modem.state.value, running().now
        await world.modem.aclose()
        took = running().now - began
        _, waiting = await asyncio.wait([acting], timeout=MOMENT_S)
        if waiting and position.name != "listening":  # whose client waits for no modem
            raise Broken(f"{position.name} still waits for a modem that is closed")
        if not acting.cancelled() and acting.done():
            acting.exception()
        return state, took


def hook_s(world: World) -> float | None:
    """Return how long the hook was not called after the first command without an answer."""
    if not world.hook_calls or world.unanswered_at is None:
        return None
    return world.hook_calls[0] - world.unanswered_at


async def over(world: World) -> float:
    """Return when a fresh connection carried bytes, once the fault is over."""
    while True:
        at = await world.good_byte()
        if at >= world.over_at:
            return at


@dataclass(slots=True)
class Cell:
    """What came of one fault at one position, over all seeds.

    Attributes:
        saw: How many runs ended with which exception; the empty name is none.
        first: A seed of each of these.
        failures: The seeds that broke what holds always, and how.

    """

    position: str
    fault: str
    saw: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    back_s: float = 0.0
    all_back_s: float = 0.0
    close_s: float = 0.0
    hook_s: float = 0.0
    hooks: int = 0
    missed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    worst: dict[str, str] = field(default_factory=dict)

    def add(self, seed: str, outcome: Outcome | None) -> None:
        """Take one run."""
        if outcome is None:
            self.missed += 1
            return
        self.saw[outcome.saw] += 1
        self.first.setdefault(outcome.saw, seed)
        for name in ("back_s", "all_back_s", "close_s", "hook_s", "hooks"):
            value = getattr(outcome, name) or 0.0
            if value > getattr(self, name):
                setattr(self, name, value)
                self.worst[name] = seed

    def add_cell(self, other: Cell) -> None:
        """Take the runs of another one of the same fault and position."""
        self.saw += other.saw
        self.first = {**other.first, **self.first}
        self.missed += other.missed
        self.failures += other.failures
        for name, seed in other.worst.items():
            if getattr(other, name) > getattr(self, name):
                setattr(self, name, getattr(other, name))
                self.worst[name] = seed


def run_cell(position: Position, strike: Strike, seeds: list[int]) -> Cell:
    """Run all seeds of a cell."""
    cell = Cell(position.name, strike.name)
    for number in seeds:
        seed = f"{position.name}/{strike.name}/{number}"
        try:
            cell.add(seed, run_virtually(life(position, strike, seed)))
        except BaseException as exc:
            if isinstance(exc, KeyboardInterrupt):
                raise
            cell.failures.append((seed, f"{type(exc).__name__}: {exc}"))
    return cell


def cells() -> list[tuple[Position, Strike]]:
    """Every cell of the table."""
    return [
        (position, strike)
        for strike in STRIKES
        for position in POSITIONS
        if position.name not in strike.not_at
    ]
