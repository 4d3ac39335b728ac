"""The lives of modems in a soak: each is opened, used, disturbed, and ended.

A module gets one to three modems, one after the other, over a pty or as a serial server.
Some modules are calm: nothing goes wrong there but the end of the line, and no operation
may fail before. At the others faults strike, and an operation may end with an exception.

Half of the modems last: their line is cut, or their device is pulled out and plugged in again, and
the same modem goes on. The others end with their link, and what a hang-up leaves is looked at.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

import aiobc9x
from aiobc9x import ModemError, Reconnect
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.network import LoopbackNetwork
from aiobc9x.sim.options import Host, SimOptions
from benchmarks.soak_peers import Peers
from benchmarks.soak_record import Holdings, Record, holdings, settled
from benchmarks.soak_work import KINDS, Operation, Work, echoes, judged
from tests.support.loopback import LOOPBACK, NAME, Streams
from tests.support.tls import client_context

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

MOMENT_S: Final = 0.1
"""After how long something is broken off, on average."""

BAUD_RATES: Final = (0, 0, 115200, 460800)


RESTS_S: Final = (0.1, 1.5)
"""How long a device is pulled out."""

QUICK: Final = Reconnect(first_delay=0.2)


class Device:
    """A virtual module behind a name that stays when it is pulled out and plugged in again.

    Attributes:
        virtual: The module; a new one each time, as it has lost its power.
        address: What a modem opens.
        struck: How many faults have struck at modules before that one.

    """

    def __init__(self, options: SimOptions, folder: Path, *, over_tcp: bool) -> None:
        self._options, self._path, self._over_tcp = options, folder / "modem", over_tcp
        self.struck = 0

    async def __aenter__(self) -> Device:
        """Plug it in."""
        await self._plug()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Switch it off."""
        self.struck += self.virtual.module.board.faults.struck
        await self.virtual.aclose()

    async def _plug(self) -> None:
        self.virtual = VirtualModule(self._options)
        if self._over_tcp:
            self.address = f"socket://{LOOPBACK}:{await self.virtual.start_tcp()}"
        else:
            self._path.symlink_to(await self.virtual.start_pty())
            self.address = str(self._path)

    @property
    def has_line(self) -> bool:
        """Whether there is a line to cut while the module goes on."""
        return self.virtual.tcp_link is not None

    def cut(self) -> None:
        """Cut that line."""
        if self.virtual.tcp_link is not None:
            self.virtual.tcp_link.transport.abort()

    async def replug(self, seconds: float) -> None:
        """Pull it out for so long."""
        self.struck += self.virtual.module.board.faults.struck
        self._path.unlink()
        await self.virtual.aclose()
        await asyncio.sleep(seconds)
        await self._plug()


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
        with TemporaryDirectory() as folder:
            async with Device(self.options(), Path(folder), over_tcp=over_tcp) as device:
                for _ in range(self.rng.randint(1, 3)):
                    lasts = self.rng.random() < 0.5
                    session = Session(self, device, is_calm=is_calm, lasts=lasts)
                    if not await session.run(until) or _time() > until:
                        break
            self.record.faults["set: of these, struck"] += device.struck
        self.report_leaks(before, await settled(before))

    def report_leaks(self, before: Holdings, after: Holdings) -> None:
        """Take for a breach whatever is left of a module that is switched off."""
        for what in after.beyond(before):
            self.record.breach(f"left behind: {what}")


class Session:
    """One modem, from its opening to its end."""

    def __init__(self, soak: Soak, device: Device, *, is_calm: bool, lasts: bool = False) -> None:
        self.soak, self.record, self._rng = soak, soak.record, soak.rng
        self.host, self.peers = LOOPBACK, soak.peers
        self._device, self._is_calm, self._lasts = device, is_calm, lasts
        # A fault that an earlier modem of this module was spared may strike now.
        self._troubles, self._blackouts = int(not is_calm), 0
        self._is_over = False

    async def run(self, until: float) -> bool:
        """Open a modem, use it and end it; return whether the module can be used again."""
        early = None
        if not self._is_calm and self._rng.random() < 0.2:
            early = asyncio.get_running_loop().call_later(self._rng.random(), self.reset)
        try:
            await self.open()
        except Exception as exc:  # whatever it is, it is wrong
            self.record.breach(f"a modem can't be opened: {exc!r}")
            return False
        finally:
            if early is not None:
                early.cancel()
        return await self._used(min(self._rng.uniform(*self.soak.session_s()), until - _time()))

    async def open(self) -> None:
        """Open the modem."""
        self.record.heard("+", "a modem")
        tally = self.record.tally("modem opened")
        tally.begun += 1
        async with asyncio.timeout(LIMIT_S):
            policy = QUICK if self._lasts else None
            self.modem = await aiobc9x.open_modem(self._device.address, reconnect=policy)
        tally.done += 1

    async def _used(self, seconds: float) -> bool:
        workers = [self._start(self._work(), "worker") for _ in range(WORKERS)]
        disturbing = None if self._is_calm else self._start(self._disturb(), "faults")
        await asyncio.sleep(max(seconds, 0.5))
        if self._lasts:
            for _ in range(self._rng.randint(1, 3)):
                await self.interrupt()
                await asyncio.sleep(self._rng.uniform(*self.soak.session_s()))
        if disturbing is not None:
            disturbing.cancel()
            await asyncio.wait([disturbing])
        ends = (self.finish,) if self._lasts else (self.finish, self.finish, self._hang_up)
        end = self._rng.choice(ends)
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
        return sorted(self._device.virtual.module.sockets.by_id)

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

    async def interrupt(self) -> None:
        """Break the line under the operations; the modem has to be back soon."""
        if self._device.has_line:
            self._note("interruption: line cut")
            self._device.cut()
        else:
            self._note("interruption: device replugged")
            await self._device.replug(self._rng.uniform(*RESTS_S))
        try:
            async with asyncio.timeout(LIMIT_S):
                await self.modem.available()
        except (OSError, ModemError) as exc:
            self.record.breach(f"a modem does not come back: {exc!r}")

    async def _hang_up(self, workers: list[asyncio.Task[None]]) -> bool:
        """Break the line under the operations for good; return whether the module lives on."""
        lives_on = self._device.has_line
        if lives_on:
            self._note("hang-up: line cut, module goes on")
            self._device.cut()
        else:
            self._note("hang-up: device vanishes")
            await self._device.virtual.aclose()
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
            self,
            KINDS,
            random.Random(self._rng.random()),
            15.0 if self.soak.is_brief else 40.0,
            MOMENT_S,
            self.record.tally(kind),
            lambda: self._blackouts == blackouts,
        )

    def next_port(self) -> int:
        """See :class:`benchmarks.soak_work.Far`."""
        return next(self.soak.ports)

    async def dial(self, port: int, *, is_secure: bool) -> Streams:
        """See :class:`benchmarks.soak_work.Far`."""
        network = cast(LoopbackNetwork, self._device.virtual.network)
        if port not in network.port_map:
            raise ConnectionRefusedError("the module has stopped listening")
        return await asyncio.open_connection(
            LOOPBACK,
            network.port_map[port],
            ssl=client_context() if is_secure else None,
            server_hostname=NAME if is_secure else None,
        )

    def has_echoed(self, data: bytes) -> bool:
        """See :class:`benchmarks.soak_work.Far`."""
        return False  # no fault changes what is sent

    async def perform(self, kind: str, work: Work) -> None:
        """Do one operation, and judge how it ends."""
        is_calm = not self._troubles
        await judged(
            kind,
            work,
            self._operation(kind),
            self.record,
            limit_s=LIMIT_S,
            is_calm=lambda: is_calm and not self._troubles,
        )

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
                    self._device.virtual.set_coverage(True)
        finally:
            with suppress(RuntimeError):
                self._device.virtual.set_coverage(True)

    def reset(self) -> None:
        self._note("reset")
        self._device.virtual.reset()

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
        self._device.virtual.set_coverage(False)

    def _set(self, kind: str, fault: Fault) -> None:
        self._note(f"set: {kind}")
        self.record.heard("!", repr(fault))
        self._device.virtual.module.board.faults.add(fault)

    def _note(self, kind: str) -> None:
        self._troubles += 1
        self.record.faults[kind] += 1
        self.record.heard("!", kind)


def _time() -> float:
    return asyncio.get_running_loop().time()
