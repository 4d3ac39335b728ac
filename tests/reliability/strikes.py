"""What goes wrong: each fault of the table, and how it strikes."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiobc9x
from aiobc9x.sim.faults import Fault, FaultKind
from tests.reliability.positions import Position
from tests.reliability.world import PAUSE_S, World
from tests.support.clock import running

URCS: Final = (b"+CSCON: 1", b"+CEREG: 5", b'+QIURC: "recv",4', b"+CSQ: 20,0", b"RING")
"""What modules print unasked, at any moment."""

BRIEF_S: Final = (0.5, 2.0, 8.0)
"""Silences that are shorter than what a module is given to come back in step (30 s)."""

LONG_S: Final = (45.0, 90.0, 300.0)
"""Silences that are longer."""

OUTAGES_S: Final = (3.0, 40.0, 600.0)
"""How long a device is unplugged, a serial server gone, or the network away."""

BURST_BYTES: Final = 12_000
"""What a peer sends at once; the module's buffer has 4096 bytes."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault.

    Attributes:
        name: As in the page.
        meaning: What happens, for the page.
        strike: Lets it happen.
        send_form: By which form payloads have to go for it; empty for any.
        settings: With what the modem is opened for it.
        not_at: The positions that it can't strike at, as it concerns none of their connections.

    """

    name: str
    meaning: str
    strike: Callable[[World, Position], None]
    send_form: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    not_at: frozenset[str] = frozenset()


def at_line(kind: FaultKind) -> Callable[[World, Position], None]:
    """Strike at a line that the module says there, or at the next one of any kind."""

    def strike(world: World, position: Position) -> None:
        rng = world.rng
        world.bench.add_fault(
            Fault(
                kind,
                on=rng.choice((*position.lines, "")),
                count=rng.choice([1, 2, 3, 6]),
                delay_s=rng.choice([0.2, 1.0, 5.0, 13.0]),
                data=rng.choice(URCS),
            )
        )

    return strike


def at_command(kind: FaultKind) -> Callable[[World, Position], None]:
    """Strike at a command that is on its way there, or at the next one of any kind."""

    def strike(world: World, position: Position) -> None:
        on = world.rng.choice((*position.commands, ""))
        times = world.rng.choice([1, 1, 2])
        world.bench.add_fault(Fault(kind, on=on, times=times))

    return strike


def payload_lost(world: World, _position: Position) -> None:
    """Lose bytes of the next payload that the module says."""
    count = world.rng.choice([1, 2, 3, 4, 20])
    world.bench.add_fault(Fault(FaultKind.LOSE_BYTES, count=count))


def sent_lost(world: World, _position: Position) -> None:
    """Lose bytes of the next payload that the module is given."""
    count = world.rng.choice([1, 3, 20])
    world.bench.add_fault(Fault(FaultKind.LOSE_SENT, count=count))


def send_fails(world: World, _position: Position) -> None:
    """Have sends fail, as with a full send buffer."""
    world.bench.add_fault(Fault(FaultKind.SEND_FAIL, times=world.rng.choice([1, 2, 5])))


def restart(world: World, position: Position) -> None:
    """Restart the module: now, at a line, at a command, or in a payload."""
    rng, bench = world.rng, world.bench
    boot = world.line.boot_time
    module = bench.virtual.module
    restarts = module._restart

    def restarted() -> None:
        world.note_strike(boot)
        restarts()

    module._restart = module.board.restart = restarted  # type: ignore[method-assign]
    match rng.choice(["now", "line", "command", "payload"]):
        case "now":
            bench.virtual.reset()
        case "line":
            bench.add_fault(Fault(FaultKind.RESET_AT_LINE, on=rng.choice((*position.lines, ""))))
        case "command":
            bench.add_fault(Fault(FaultKind.RESET, on=rng.choice((*position.commands, ""))))
        case _:
            bench.add_fault(Fault(FaultKind.RESET_IN_PAYLOAD, count=rng.choice([1, 20])))


def mute(world: World, seconds: float) -> None:
    """Have the module neither hear nor speak for so long."""
    module = world.bench.virtual.module
    feed = module.feed

    def noted(data: bytes, now: float) -> None:
        if module.board.mute and world.unanswered_at is None:
            world.unanswered_at = now
        feed(data, now)

    module.feed = noted  # type: ignore[method-assign]
    if module._busy or module._sends.in_data_mode:
        world.unanswered_at = running().now  # the answer under way is lost
    module.board.mute_until = running().now + seconds


def brief_silence(world: World, _position: Position) -> None:
    """Be silent for less than a recovery lasts."""
    seconds = world.rng.choice(BRIEF_S)
    world.note_strike(seconds)
    mute(world, seconds)


def long_silence(world: World, _position: Position) -> None:
    """Be silent for longer; the hook has no effect."""
    seconds = world.rng.choice(LONG_S)
    world.note_strike(seconds)
    mute(world, seconds)


def wedged(world: World, _position: Position) -> None:
    """Be silent until the hook resets the module."""
    world.begin_trouble()
    world.resets_by_hook = True
    mute(world, math.inf)


def hang_up(world: World, _position: Position) -> None:
    """Break the line, which can be opened again at once."""
    world.note_strike()
    world.bench.cut()


def unplugged(world: World, _position: Position) -> None:
    """Take a USB device away for a while; it has its power from the port."""
    bench = world.bench

    async def is_there() -> bool:
        return bench.is_plugged_in

    async def plug_in() -> None:
        await asyncio.sleep(world.rng.choice(OUTAGES_S))
        bench.is_plugged_in, bench.refusal = True, None
        bench.virtual.reset()
        world.end_trouble(world.line.boot_time)

    world.modem._life._is_there = is_there
    bench.is_plugged_in = False
    bench.refusal = aiobc9x.PortNotFound("there is no /dev/ttyUSB0")
    world.begin_trouble()
    bench.cut()
    world.spawn(plug_in())


def server_gone(world: World, _position: Position) -> None:
    """Have a serial server break the line, and refuse to be connected to for a while."""
    bench = world.bench

    async def come_back() -> None:
        await asyncio.sleep(world.rng.choice(OUTAGES_S))
        bench.is_plugged_in = True
        world.end_trouble()

    bench.is_plugged_in = False
    world.begin_trouble()
    bench.cut()
    world.spawn(come_back())


def asleep(world: World, _position: Position) -> None:
    """Send the module into deep sleep, which ends TCP and says nothing."""
    module = world.bench.virtual.module
    if module._busy or module._sends.pending or module._sends.in_data_mode:
        running().call_later(0.01, asleep, world, _position)  # it falls asleep between commands
        return
    world.note_strike()
    world.bench.virtual.deep_sleep()
    world.spawn(ask_each_minute(world))


async def ask_each_minute(world: World) -> None:
    """Ask something: nobody polls a module that may sleep, so only a command finds out."""
    while True:
        await asyncio.sleep(60.0)
        with contextlib.suppress(aiobc9x.ModemError):
            await world.modem.signal()


def overrun(world: World, _position: Position) -> None:
    """Lose received bytes for lack of room, as several firmwares do in spite of TCP."""
    world.note_strike()
    world.bench.add_fault(Fault(FaultKind.DROP_ON_FULL, times=None))
    world.burst(BURST_BYTES)


def throttled(world: World, _position: Position) -> None:
    """Send more than the buffer holds to a module that holds the peer back."""
    world.note_strike()
    world.burst(BURST_BYTES)


def context_ended(world: World, _position: Position) -> None:
    """Have the network end the context; a new one is there at once."""
    world.note_strike(world.line.register_time)
    virtual = world.bench.virtual
    virtual.set_coverage(False)
    if world.rng.random() < 0.5:
        virtual.say('+QIURC: "pdpdeact",1')
    virtual.set_coverage(True)


def radio_off(world: World, _position: Position) -> None:
    """Have the program switch the radio off for a while."""

    async def switch() -> None:
        await told(world, "AT+CFUN=0")
        await asyncio.sleep(world.rng.choice(OUTAGES_S))
        await told(world, "AT+CFUN=1")
        world.end_trouble(world.line.register_time)

    world.begin_trouble()
    world.spawn(switch())


async def told(world: World, line: str) -> None:
    """Give the module a command until it obeys."""
    while True:
        try:
            await world.modem.command(line)
        except aiobc9x.ModemError:
            await asyncio.sleep(PAUSE_S)
        else:
            return


def no_coverage(world: World, _position: Position) -> None:
    """Take the network away for a while."""
    seconds = world.rng.choice(OUTAGES_S)

    def come_back() -> None:
        world.bench.virtual.set_coverage(True)
        world.end_trouble(world.line.register_time)

    world.begin_trouble()
    world.bench.virtual.set_coverage(False)
    running().call_later(seconds, come_back)


def twice(world: World, position: Position) -> None:
    """Let two faults strike, the second while the modem comes back from the first."""
    first, second = world.rng.choices((restart, hang_up, brief_silence, context_ended), k=2)

    def strike_again() -> None:
        second(world, position)
        world.end_trouble()

    world.begin_trouble()
    first(world, position)
    running().call_later(world.rng.uniform(0.05, 12.0), strike_again)


NO_CONNECTION: Final = frozenset({"opening", "resolving"})

STRIKES: Final = (
    Strike(
        "a line is lost",
        "one line of the module never comes: a URC, `OK`, `SEND OK`, `CLOSE OK`, the prompt",
        at_line(FaultKind.DROP_LINE),
    ),
    Strike("a line comes twice", "the same line again", at_line(FaultKind.DUPLICATE_LINE)),
    Strike("a line is late", "by 0.2 to 13 s", at_line(FaultKind.DELAY_LINE)),
    Strike(
        "a line is corrupt",
        "1 to 6 wrong bits in a line, not in a payload",
        at_line(FaultKind.CORRUPT_LINE),
    ),
    Strike(
        "a line is cut off",
        "1 to 6 bytes are missing at its end, or at the end of a payload",
        at_line(FaultKind.TRUNCATE_LINE),
    ),
    Strike(
        "a URC in a line",
        "a URC stands in the middle of another line, or of a payload",
        at_line(FaultKind.INTERLEAVE),
    ),
    Strike("received bytes are lost", "1 to 20 bytes of a payload on the line", payload_lost),
    Strike(
        "sent bytes are lost",
        "1 to 20 bytes of a payload on the line to the module",
        sent_lost,
        send_form="fixed",
    ),
    Strike("a command is lost", "the module does not get it", at_command(FaultKind.IGNORE)),
    Strike("a command is refused", "`ERROR` without a reason", at_command(FaultKind.ERROR)),
    Strike("sends fail", "`SEND FAIL`, 1 to 5 times", send_fails),
    Strike(
        "the module restarts",
        "at any moment, in mid-line or mid-payload, with its banner or without",
        restart,
    ),
    Strike("silent for a moment", "0.5 to 8 s without a byte, in both directions", brief_silence),
    Strike("silent for long", "45 to 300 s, whatever the hook does", long_silence),
    Strike("wedged", "silent until the `reset` hook resets the module", wedged),
    Strike("the port hangs up", "the port is there again at once", hang_up),
    Strike("unplugged", "a USB device is gone for 3 to 600 s, and boots then", unplugged),
    Strike("the serial server is gone", "nobody answers for 3 to 600 s", server_gone),
    Strike(
        "deep sleep",
        "with `allow_sleep`; the program asks for the signal every minute",
        asleep,
        settings={"allow_sleep": True},
    ),
    Strike(
        "buffer overrun",
        "a peer sends 12 000 bytes at once, and the module drops what has no room",
        overrun,
        settings={"profile": aiobc9x.ModuleProfile()},
        not_at=NO_CONNECTION,
    ),
    Strike(
        "buffer full",
        "the same, and the module holds the peer back",
        throttled,
        not_at=NO_CONNECTION,
    ),
    Strike("the context ends", "by the network, which has another one at once", context_ended),
    Strike("the radio is off", "AT+CFUN=0, and AT+CFUN=1 after 3 to 600 s", radio_off),
    Strike("no coverage", "for 3 to 600 s", no_coverage),
    Strike(
        "two in a row",
        "a restart, a hang-up, a silence or the end of the context, and within 12 s another",
        twice,
    ),
)
"""Every fault, in the order of the page."""
