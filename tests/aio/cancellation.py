"""Cancel every public call at each of its steps while something goes wrong.

    python -m tests.aio.cancellation                       # everything, in virtual time
    python -m tests.aio.cancellation --fault replug        # one kind of trouble
    python -m tests.aio.cancellation --call Modem.ping --fault reset --step 3 --moment waiting

Behind each cancellation the same modem must do a fresh round trip, and nothing may be left: no
connect ID, no task, no command in the queue, no report in the loop's exception handler. Tests
run all of it without faults, and a sample with them. It ends with status 1 if anything failed.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiobc9x
from aiobc9x import ModemState, Reconnect
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.options import Host
from tests.aio.calls import CALLS, Call, Scene
from tests.support.bench import HOST, NAME, UDP_PORT, Bench, echoed, left_waiting
from tests.support.cancelling import Moment, TooLong, cancel_at
from tests.support.clock import no_task_left, other_tasks, run, take_errors

MOST_STEPS = 1000

LONGEST_S = 1500.0
"""Virtual seconds in which every call must have ended, whatever goes wrong."""

BACK_S = 600.0
"""Virtual seconds in which the modem must be in use again."""

SETTLED_S = 200.0
"""Virtual seconds in which everything that was under way has ended: an open with its 150 s."""

MAY_FAIL = (aiobc9x.ModemError, OSError, EOFError)
"""What a call may raise while something goes wrong."""


@dataclass(frozen=True)
class Trouble:
    """Something that goes wrong once.

    Attributes:
        strike: Makes it happen; called when the call begins.
        at_step: Whether that is called right before the cancellation instead.
        settings: Arguments of ``open_modem()``.

    """

    strike: Callable[[Scene], object]
    at_step: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


def fault(kind: FaultKind, on: str = "", **values: Any) -> Trouble:
    """Have the virtual module do something wrong once."""
    return Trouble(lambda scene: scene.bench.add_fault(Fault(kind, on=on, **values)))


def unplug(scene: Scene, seconds: float) -> None:
    """Pull the plug out with the next command, and put it in again."""
    with_next_command(scene, lambda: pull(scene, seconds))


def pull(scene: Scene, seconds: float) -> None:
    """Pull the plug out now."""
    bench = scene.bench
    if bench.line is None or bench.line.is_closing():
        return
    bench.is_plugged_in = False
    bench.cut()
    asyncio.get_running_loop().call_later(seconds, setattr, bench, "is_plugged_in", True)


def unplug_twice(scene: Scene) -> None:
    """Pull the plug out with the next command, and again while the modem comes back."""
    unplug(scene, 1.0)
    asyncio.get_running_loop().call_later(3.5, pull, scene, 1.0)


def wedge(scene: Scene) -> None:
    """Have the module hear nothing until the hook resets it."""
    with_next_command(scene, lambda: wedge_now(scene))


def wedge_now(scene: Scene) -> None:
    """Have the module hear nothing from now on."""
    if scene.bench.line is not None and not scene.bench.line.is_closing():
        scene.bench.silence(True)


def with_next_command(scene: Scene, action: Callable[[], None]) -> None:
    """Do something when the next command comes, or in a second, as some calls send none."""
    bench, loop = scene.bench, asyncio.get_running_loop()

    def once(_line: str = "") -> None:
        bench.on_command = lambda _line: None
        timer.cancel()
        loop.call_soon(action)

    timer = loop.call_later(1.0, once)
    bench.on_command = once
    scene.disarm = timer.cancel


def lose_coverage(scene: Scene) -> None:
    """Take the network away for a minute."""
    scene.bench.virtual.set_coverage(False)
    asyncio.get_running_loop().call_later(60.0, scene.bench.virtual.set_coverage, True)


def sleep_deeply(scene: Scene) -> None:
    """Send the module into deep sleep now."""
    scene.bench.virtual.deep_sleep()


TROUBLES: dict[str, Trouble] = {
    "none": Trouble(lambda scene: None),
    "reset": fault(FaultKind.RESET),
    "reset at line": fault(FaultKind.RESET_AT_LINE),
    "reset later": fault(FaultKind.RESET, after=2),
    "silence": fault(FaultKind.SILENCE, delay_s=8.0),
    "long silence": fault(FaultKind.SILENCE, delay_s=90.0),
    "replug": Trouble(partial(unplug, seconds=4.0)),
    "long replug": Trouble(partial(unplug, seconds=200.0)),
    "wedged": Trouble(wedge),
    "network loss": fault(FaultKind.NETWORK_DOWN, delay_s=30.0),
    "network loss later": fault(FaultKind.NETWORK_DOWN, after=2, delay_s=30.0),
    "deep sleep": Trouble(sleep_deeply, settings={"allow_sleep": True}),
    "unexpected deep sleep": Trouble(sleep_deeply),
    "dropped OK": fault(FaultKind.DROP_LINE, "OK"),
    "dropped line": fault(FaultKind.DROP_LINE),
    "later dropped line": fault(FaultKind.DROP_LINE, after=3),
    "delayed OK": fault(FaultKind.DELAY_LINE, "OK", delay_s=12.0),
    "delayed line": fault(FaultKind.DELAY_LINE, delay_s=4.0),
    "doubled line": fault(FaultKind.DUPLICATE_LINE),
    "corrupted line": fault(FaultKind.CORRUPT_LINE),
    "later corrupted line": fault(FaultKind.CORRUPT_LINE, after=2),
    "truncated line": fault(FaultKind.TRUNCATE_LINE, count=3),
    "interleaved line": fault(FaultKind.INTERLEAVE, data=b'+QIURC: "pdpdeact",2'),
    "garbage": fault(FaultKind.GARBAGE, data=b"\r\nOK\r\n\xff"),
    "error": fault(FaultKind.ERROR),
    "no answer": fault(FaultKind.IGNORE),
    "later no answer": fault(FaultKind.IGNORE, after=2),
    "lost payload bytes": fault(FaultKind.LOSE_BYTES),
    "failed send": fault(FaultKind.SEND_FAIL),
    "dropped +Q line": fault(FaultKind.DROP_LINE, "+Q"),
    "late +Q line": fault(FaultKind.DELAY_LINE, "+Q", delay_s=20.0),
    "dropped CLOSE OK": fault(FaultKind.DROP_LINE, "CLOSE OK"),
    "late CLOSE OK": fault(FaultKind.DELAY_LINE, "CLOSE OK", delay_s=13.0),
    "dropped SEND OK": fault(FaultKind.DROP_LINE, "SEND OK"),
    "refused socket command": fault(FaultKind.ERROR, "AT+QI"),
    "two plugs": Trouble(unplug_twice),
    "replug at the step": Trouble(partial(pull, seconds=4.0), at_step=True),
    "wedged at the step": Trouble(wedge_now, at_step=True),
    "reset at the step": Trouble(lambda scene: scene.bench.virtual.reset(), at_step=True),
    "no coverage at the step": Trouble(lose_coverage, at_step=True),
    "deep sleep at the step": Trouble(sleep_deeply, at_step=True, settings={"allow_sleep": True}),
}
"""What can go wrong, by name."""


@dataclass(frozen=True)
class Case:
    """One cancellation.

    Attributes:
        call: A name in :data:`CALLS`.
        trouble: A name in :data:`TROUBLES`.
        moment: When at the step it comes.
        step: Which step.

    """

    call: str
    trouble: str
    moment: Moment
    step: int

    def __str__(self) -> str:
        return (
            f"--call {self.call} --fault '{self.trouble}' --moment {self.moment.name.lower()}"
            f" --step {self.step}"
        )

    async def do(self) -> bool:
        """Do it and check what is left; return whether the call had so many steps."""
        random.seed(str(self))  # the pauses of the way back are drawn
        call, trouble = CALLS[self.call], TROUBLES[self.trouble]
        hosts = {NAME: Host((HOST,))}
        async with Bench(hosts=hosts, latency=0.01, **call.options) as bench:
            bench.network.serve_udp(UDP_PORT)

            async def reset(_modem: aiobc9x.Modem) -> None:
                bench.silence(False)

            scene = Scene(bench, Reconnect(reset=reset), trouble.settings)
            at_first = other_tasks()
            if call.opening is not None:
                await call.opening(scene)
            before = other_tasks()
            if call.prepare is not None:
                await call.prepare(scene)
            if not trouble.at_step:
                trouble.strike(scene)
            cancelled = await self._cancel(call, trouble, scene)
            scene.calm()
            await self._check(call, scene, before, at_first)
        if not cancelled and self.trouble == "none":
            assert self.step >= call.least, "the call has fewer steps than it should have"
        return cancelled

    async def _cancel(self, call: Call, trouble: Trouble, scene: Scene) -> bool:
        limit = LONGEST_S if call.ends else 60.0

        def at_step() -> None:
            if trouble.at_step:
                trouble.strike(scene)

        try:
            return await cancel_at(call.run(scene), self.step, self.moment, limit, at_step)
        except TooLong:
            if call.ends:
                raise
        except MAY_FAIL:
            if self.trouble == "none" and call.succeeds:
                raise
        return False

    async def _check(
        self,
        call: Call,
        scene: Scene,
        before: set[asyncio.Task[Any]],
        at_first: set[asyncio.Task[Any]],
    ) -> None:
        """Show that the call has left nothing behind, and that the modem goes on."""
        bench = scene.bench
        await scene.end()
        if self.call.endswith(".aclose"):
            async with asyncio.timeout(16):
                await (scene.pool or scene.modem).aclose()
        if bench._modem is None or bench.current.state is ModemState.CLOSED:
            assert bench._modem is None or self.call.endswith(".aclose"), "the modem has ended"
            await no_task_left(at_first)
            assert bench.line is None or bench.line.is_closing(), "the port is open"
            assert scene.pool is None or self.trouble != "none" or bench.open_ids == []
            bench.silence(False)
            bench.is_plugged_in, scene.pool = True, None
            await asyncio.sleep(100)  # a silence of the module is over
            await scene.open()
            before = other_tasks()
        modem = scene.modem
        async with asyncio.timeout(BACK_S):
            # What goes wrong may be noticed only now.
            while True:
                try:
                    if call.after is not None:
                        await call.after(scene)
                    await self._round_trip(modem)
                    break
                except MAY_FAIL:
                    if self.trouble == "none":
                        raise
                await asyncio.sleep(1)
        if self.trouble == "none":
            assert modem.statistics.recoveries == 0
        await asyncio.sleep(SETTLED_S)
        assert bench.open_ids == [], "a connect ID is left on the module"
        assert left_waiting(bench.driver) == []
        await no_task_left(before)
        bench.opened.clear()
        if scene.pool is not None:
            await scene.pool.aclose()
        await modem.aclose()
        assert (errors := take_errors()) == [], errors

    async def _round_trip(self, modem: aiobc9x.Modem) -> None:
        """Show that answers belong to their commands and that data gets through."""
        await modem.available()
        assert await modem.command("AT+CGMM") == ["BC65"]
        assert await modem.command("AT+CFUN?") == ["+CFUN: 1"]
        await echoed(modem)


def every_step(call: str, trouble: str, moment: Moment, steps: range = range(MOST_STEPS)) -> int:
    """Cancel a call at each of its steps, or at some; return how many runs that were.

    Raises:
        ExceptionGroup: Some of them failed; each note says how to do that one again.

    """
    failures: list[Exception] = []
    for number, step in enumerate(steps):
        one, cancelled = Case(call, trouble, moment, step), True
        try:
            cancelled = run(one.do())
        except Exception as exc:
            exc.add_note(f"again: python -m tests.aio.cancellation {one}")
            failures.append(exc)
        if not cancelled or len(failures) > 2 or len(steps) == 1:
            if failures:
                raise ExceptionGroup(f"{call} under {trouble}", failures)
            return number + 1
    raise AssertionError(f"{call} has more than {len(steps)} steps under {trouble}")


def sample(call: str, seed: int, share: float) -> Iterator[tuple[str, Moment, range]]:
    """Choose some troubles for a call, and for each a moment and steps."""
    dice = random.Random(f"{seed} {call}")
    for trouble in TROUBLES:
        if trouble != "none" and dice.random() < share:
            stride = dice.choice((3, 5, 7, 11))
            steps = range(dice.randrange(stride), MOST_STEPS, stride)
            yield trouble, dice.choice(list(Moment)), steps


def main() -> int:
    """Do all runs that the arguments choose; go on behind a failure, and tell of each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--call", choices=CALLS, help="one call alone")
    parser.add_argument("--fault", choices=TROUBLES, help="one kind of trouble alone")
    parser.add_argument("--moment", choices=[moment.name.lower() for moment in Moment])
    parser.add_argument("--step", type=int, help="one step alone")
    arguments = parser.parse_args()
    logging.disable()  # modems tell of what goes wrong
    moments = [Moment[arguments.moment.upper()]] if arguments.moment else list(Moment)
    step: int | None = arguments.step
    steps = range(MOST_STEPS) if step is None else range(step, step + 1)
    runs, failures = 0, 0
    for trouble in [arguments.fault] if arguments.fault else TROUBLES:
        for call in [arguments.call] if arguments.call else CALLS:
            for moment in moments:
                try:
                    runs += every_step(call, trouble, moment, steps)
                except ExceptionGroup as exc:
                    failures += len(exc.exceptions)
                    traceback.print_exception(exc)
        print(f"{trouble}: {runs} runs so far, {failures} failures", flush=True)
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
