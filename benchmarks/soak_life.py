"""The lives of modems in a soak: each is opened, used, disturbed, and ended.

A module gets one to three modems, one after the other, over a pty or as a serial server.
Some modules are calm: nothing goes wrong there but the end of the line, and no operation
may fail before. At the others faults strike, and an operation may end with an exception.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, cast

import aiobc9x
from aiobc9x import ModemError, NoFreeSocket
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.network import LoopbackNetwork
from aiobc9x.sim.options import Host, SimOptions
from benchmarks.soak_peers import Peers
from benchmarks.soak_record import Holdings, Record, holdings, settled, stack_of
from benchmarks.soak_work import KINDS, BusyError, Operation, Work, echoes
from tests.support.loopback import LOOPBACK, NAME

LIMIT_S: Final = 150.0
"""What lasts longer hangs: a silent module may take two thirds of that for one step."""

FREE_S: Final = 200.0
"""Within so many seconds after the last operation, all connect IDs are free.

A lost ``+QIOPEN`` is awaited for 181 s, though nobody wants it any more (§2.2.1, note 2).
"""

WORKERS: Final = 3
"""Each operation takes two of the six connect IDs at most."""

PORTS: Final = range(20_000, 32_000)
"""Ports for the module to listen on, one after the other: a used one rests for 120 s."""

BAUD_RATES: Final = (0, 0, 115200, 460800)


@dataclass
class Soak:
    """What lasts as long as a run.

    Attributes:
        record: Counts.
        rng: Chooses.
        peers: The far side.
        is_brief: Whether there are only seconds: modems live shorter, and nothing goes wrong
            whose repair takes long.

    """

    record: Record
    rng: random.Random
    peers: Peers
    is_brief: bool = False

    def __post_init__(self) -> None:
        self.ports: Iterator[int] = (PORTS[number % len(PORTS)] for number in count())

    def session_s(self) -> tuple[float, float]:
        """Return the range of the time for which a modem is used."""
        return (0.5, 1.0) if self.is_brief else (1.0, 8.0)

    def options(self) -> SimOptions:
        """Choose how a module behaves."""
        return SimOptions(
            seed=self.rng.randrange(10**6),
            baud=self.rng.choice(BAUD_RATES),
            latency=self.rng.choice((0.0, 0.0, 0.01)),
            chunk=self.rng.choice((0, 0, 7, "random")),
            hosts={NAME: Host((LOOPBACK,))},
            listen_ports=dict.fromkeys(PORTS, 0),
            on_line=self.record.heard,
        )

    async def one_module(self, until: float) -> None:
        """Switch a module on, use it by one to three modems, and switch it off."""
        before = holdings()
        is_calm, over_tcp = self.rng.random() < 0.4, self.rng.random() < 0.3
        async with VirtualModule(self.options()) as virtual:
            if over_tcp:
                address = f"socket://{LOOPBACK}:{await virtual.start_tcp()}"
            else:
                address = await virtual.start_pty()
            faults = virtual.module.board.faults
            for _ in range(self.rng.randint(1, 3)):
                session = Session(self, virtual, is_calm=is_calm)
                if not await session.run(address, until) or _time() > until:
                    break
            self.record.faults["set: of these, struck"] += faults.struck
        self.report_leaks(before, await settled(before))

    def report_leaks(self, before: Holdings, after: Holdings) -> None:
        """Take for a breach whatever is left of a module that is switched off."""
        for what in after.beyond(before):
            self.record.breach(f"left behind: {what}")


class Session:
    """One modem, from its opening to its end."""

    def __init__(self, soak: Soak, virtual: VirtualModule, *, is_calm: bool) -> None:
        self.soak, self.record, self._rng = soak, soak.record, soak.rng
        self._virtual, self._is_calm = virtual, is_calm
        # A fault that an earlier modem of this module was spared may strike now.
        self._troubles, self._blackouts = int(not is_calm), 0
        self._is_over = False

    async def run(self, address: str, until: float) -> bool:
        """Open a modem, use it and end it; return whether the module can be used again."""
        early = None
        if not self._is_calm and self._rng.random() < 0.2:
            early = asyncio.get_running_loop().call_later(self._rng.random(), self.reset)
        try:
            await self.open(address)
        except Exception as exc:  # whatever it is, it is wrong
            self.record.breach(f"a modem can't be opened: {exc!r}")
            return False
        finally:
            if early is not None:
                early.cancel()
        return await self._used(min(self._rng.uniform(*self.soak.session_s()), until - _time()))

    async def open(self, address: str) -> None:
        """Open the modem."""
        self.record.heard("+", "a modem")
        tally = self.record.tally("modem opened")
        tally.begun += 1
        async with asyncio.timeout(LIMIT_S):
            # Each modem ends with its link: what a hang-up leaves behind is looked at.
            self.modem = await aiobc9x.open_modem(address, reconnect=None)
        tally.done += 1

    async def _used(self, seconds: float) -> bool:
        workers = [self._start(self._work(), "worker") for _ in range(WORKERS)]
        disturbing = None if self._is_calm else self._start(self._disturb(), "faults")
        await asyncio.sleep(max(seconds, 0.5))
        if disturbing is not None:
            disturbing.cancel()
            await asyncio.wait([disturbing])
        end = self._rng.choice((self.finish, self.finish, self._hang_up))
        can_go_on = await end(workers)
        try:
            async with asyncio.timeout(LIMIT_S):
                await self.modem.aclose()
        except Exception as exc:  # whatever it is, it is wrong
            self.record.breach(f"a modem can't be closed: {exc!r}")
        return can_go_on

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio.create_task(work, name=f"soak {name}")

    async def finish(self, workers: list[asyncio.Task[None]]) -> bool:
        """Let the operations come to their ends, and look whether all IDs are free."""
        self.record.heard("-", "no more operations")
        self._is_over = True
        await asyncio.gather(*workers)
        if not self._is_calm:
            await self._still_works()
        until = _time() + FREE_S
        while self._open_ids() and _time() < until:  # noqa: ASYNC110  # the module is no task
            await asyncio.sleep(0.05)
        if self._open_ids():
            self.record.breach(f"connect IDs {self._open_ids()} are open at the end")
        return True

    def _open_ids(self) -> list[int]:
        return sorted(self._virtual.module.sockets.by_id)

    async def _still_works(self) -> None:
        """Whatever went wrong, a fresh connection works within a while."""
        until = _time() + LIMIT_S
        while True:
            try:
                async with asyncio.timeout(LIMIT_S):
                    await echoes(self._operation("echo"))
            except (OSError, EOFError) as exc:
                if _time() > until:
                    self.record.breach(f"no connection works any more: {exc!r}")
                    return
                await asyncio.sleep(1)
            else:
                return

    async def _hang_up(self, workers: list[asyncio.Task[None]]) -> bool:
        """Break the line under the operations; return whether the module lives on."""
        self.record.heard("!", "hang-up")
        self._troubles += 1
        lives_on = self._virtual.tcp_link is not None
        if self._virtual.tcp_link is not None:
            self.record.faults["hang-up: line cut, module goes on"] += 1
            self._virtual.tcp_link.transport.abort()
        else:
            self.record.faults["hang-up: device vanishes"] += 1
            await self._virtual.aclose()
        await asyncio.sleep(self._rng.random() * 0.2)  # operations begin on what is lost
        self._is_over = True
        await asyncio.gather(*workers)
        return lives_on

    async def _work(self) -> None:
        kinds, weights = [*KINDS], [weight for _, weight in KINDS.values()]
        while not self._is_over:
            (kind,) = self._rng.choices(kinds, weights)
            await self.perform(kind, KINDS[kind][0])
            await asyncio.sleep(self._rng.expovariate(50))

    def _operation(self, kind: str) -> Operation:
        blackouts = self._blackouts
        return Operation(
            self.modem,
            self.soak.peers,
            lambda: next(self.soak.ports),
            self._real_port,
            random.Random(self._rng.random()),
            15.0 if self.soak.is_brief else 40.0,
            self.record.tally(kind),
            lambda: self._blackouts == blackouts,
        )

    def _real_port(self, port: int) -> int:
        network = cast(LoopbackNetwork, self._virtual.network)
        if port not in network.port_map:
            raise ConnectionRefusedError("the module has stopped listening")
        return network.port_map[port]

    async def perform(self, kind: str, work: Work) -> None:
        """Do one operation, and judge how it ends."""
        op, calm = self._operation(kind), not self._troubles
        op.tally.begun += 1
        self.record.heard("+", kind)
        doing = asyncio.create_task(work(op), name=f"soak {kind}")
        await asyncio.wait([doing], timeout=LIMIT_S)
        if not doing.done():
            self.record.breach(f"{kind} hangs:\n{stack_of(doing)}")
            doing.cancel()
            await asyncio.wait([doing], timeout=LIMIT_S)
            return
        exc = doing.exception()
        self.record.heard("-", f"{kind} {exc!r}" if exc else kind)
        if exc is None:
            op.tally.done += 1
        elif isinstance(exc, NoFreeSocket | BusyError):
            op.tally.busy += 1
        elif not isinstance(exc, OSError | EOFError | ModemError):
            self.record.breach(f"{kind}: {exc!r}")
        elif calm and not self._troubles:
            self.record.breach(f"{kind} ended without a fault: {exc!r}")
        else:
            op.tally.ended += 1

    async def _disturb(self) -> None:
        """Have something go wrong every other second."""
        faults: list[tuple[Callable[[], None], int]] = [(self.reset, 3), (self._fail_a_send, 3)]
        lasting: list[tuple[Callable[[], None], int]] = [
            (self._fall_silent, 4),
            (self._refuse, 3),
            (self._be_late, 3),
            (self._be_covered, 2),
        ]
        if not self.soak.is_brief:
            faults += lasting
        deeds, weights = zip(*faults, strict=True)
        try:
            while True:
                await asyncio.sleep(self._rng.expovariate(0.5))
                (deed,) = self._rng.choices(deeds, weights)
                deed()
                if deed == self._be_covered:
                    await asyncio.sleep(self._rng.uniform(0, 2))
                    self._virtual.set_coverage(True)
        finally:
            with suppress(RuntimeError):
                self._virtual.set_coverage(True)

    def reset(self) -> None:
        self._note("reset")
        self._virtual.reset()

    def _fall_silent(self) -> None:
        delay = 20.0 if self._rng.random() < 0.1 else self._rng.uniform(0.1, 3)
        self._set("silence", Fault(FaultKind.SILENCE, "AT", delay_s=delay))

    def _fail_a_send(self) -> None:
        self._set("SEND FAIL", Fault(FaultKind.SEND_FAIL))

    def _refuse(self) -> None:
        on = self._rng.choice(("AT+QIRD", "AT+QISEND", "AT+QIOPEN", "AT+QICLOSE", "AT+QISTATE"))
        self._set("ERROR", Fault(FaultKind.ERROR, on))

    def _be_late(self) -> None:
        on = self._rng.choice(("OK", "SEND OK", "CLOSE OK", "+QIOPEN", "+QIRD"))
        self._set("late answer", Fault(FaultKind.DELAY_LINE, on, delay_s=self._rng.uniform(0.1, 3)))

    def _be_covered(self) -> None:
        self._note("coverage lost")
        self._blackouts += 1
        self._virtual.set_coverage(False)

    def _set(self, kind: str, fault: Fault) -> None:
        self._note(f"set: {kind}")
        self.record.heard("!", repr(fault))
        self._virtual.module.board.faults.add(fault)

    def _note(self, kind: str) -> None:
        self._troubles += 1
        self.record.faults[kind] += 1
        self.record.heard("!", kind)


def _time() -> float:
    return asyncio.get_running_loop().time()
