"""Examine a modem step by step, from the cold port to an open connection.

Layer: cli. Each step is told as it ends. A step that fails ends the examination, but for those
that the next ones may do without.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from aiobc9x.aio.bringup.readiness import in_words
from aiobc9x.aio.line.link import find_usb
from aiobc9x.aio.line.subscriptions import Progress
from aiobc9x.cli.holders import MANAGERS, holders, managers
from aiobc9x.cli.main import told
from aiobc9x.cli.opening import Port
from aiobc9x.cli.report import Report
from aiobc9x.cli.survey import signal_in_words
from aiobc9x.errors import (
    LinkTimeout,
    ModemError,
    PinRequired,
    PortBusy,
    PukRequired,
    SimError,
    SimLocked,
    WrongModule,
)
from aiobc9x.modem import Modem
from aiobc9x.open import open_modem
from aiobc9x.slotted import slotted

STEPS: Final = {
    "port": "plug the module in; 'aiobc9x ports' lists the ports of this machine",
    "access": "",
    "answer": "check power, wiring (TX to RX, ground) and speed; --baudrate auto tries the usual"
    " ones, and 'aiobc9x ports --probe' the other ports",
    "module": "choose another port; this package speaks to BC65, BC92 and their relatives",
    "radio": "switch it on by AT+CFUN=1; if it stays off, check the power supply",
    "SIM": "put a SIM in, the right way round, and restart the module",
    "signal": "connect an antenna, or move the one there is",
    "registration": "ask the operator whether this SIM may use NB-IoT here; look at the antenna",
    "attach": "ask the operator whether the SIM has a data plan; check the APN",
    "address": 'check the APN: \'aiobc9x info\' shows it, and AT+CGDCONT=1,"IP","APN" sets it',
    "DNS": "try an address in place of the name; AT+QIDNSCFG sets other name servers",
    "connection": "check host and port, and whether the operator lets this SIM reach them",
}
"""The steps in order, and what to do if one fails; '' where that depends."""

_OF_STAGES: Final = {
    "waiting for the SIM": "SIM",
    "registering on the network": "registration",
    "attaching to the packet service": "attach",
    "getting an address": "address",
}

_SYNC_S: Final = 10.0
_SCAN_S: Final = 30.0


@slotted(frozen=True)
class Finding:
    """What a step has come to.

    Attributes:
        name: One of :data:`STEPS`.
        ok: Whether it went well; ``None`` if it was not tried.
        detail: What was found.
        advice: What to do if it did not go well.

    """

    name: str
    ok: bool | None
    detail: str
    advice: str = ""


class Ended(Exception):
    """A step has failed, and none of the others can be tried."""


class Examination:
    """Go through the steps.

    Args:
        port: What is examined.
        to: A host and a port to connect to at the end; ``None`` for no connection.
        timeout: Seconds to wait for the network.
        report: Takes what the modem tells.
        on_step: Called with each step as it ends.
        on_progress: Called with words for what is being waited for.

    Attributes:
        steps: The steps so far.

    """

    def __init__(
        self,
        port: Port,
        to: tuple[str, int] | None,
        timeout: float,
        report: Report,
        on_step: Callable[[Finding], None],
        on_progress: Callable[[str], None],
    ) -> None:
        self.steps: list[Finding] = []
        self._port, self._to, self._timeout, self._report = port, to, timeout, report
        self._on_step, self._on_progress = on_step, on_progress

    async def run(self) -> None:
        """Do all of it; nothing is raised for what is wrong.

        Cancellation closes the modem.
        """
        with contextlib.suppress(Ended):
            await self._all()
        done = {step.name for step in self.steps}
        for name in STEPS:
            if name not in done:
                self._tell(Finding(name, None, "not reached"))

    async def _all(self) -> None:
        await self._find_device()
        modem = await self._open()
        try:
            self._good("module", ", ".join(modem.identification) or "tells no name")
            await self._look_at_radio(modem)
            await self._await_network(modem)
            await self._look_up(modem)
            await self._connect(modem)
        except ModemError as exc:
            # Not by a step's own fault, such as a port that goes in the middle.
            self._bad(self._next(), told(exc))
        finally:
            await self._report.about(modem)
            await modem.aclose()

    def _next(self) -> str:
        return next(name for name in STEPS if name not in {step.name for step in self.steps})

    def _tell(self, step: Finding) -> None:
        self.steps.append(step)
        self._on_step(step)

    def _good(self, name: str, detail: str) -> None:
        self._tell(Finding(name, True, self._report.masked(detail)))

    def _note(self, name: str, detail: str, advice: str = "") -> None:
        """Tell of a failure that the next steps may do without."""
        self._tell(Finding(name, False, self._report.masked(detail), advice or STEPS[name]))

    def _bad(self, name: str, detail: str, advice: str = "") -> None:
        self._note(name, detail, advice)
        raise Ended

    # -- the port ------------------------------------------------------------------------

    async def _find_device(self) -> None:
        address = self._port.address
        if address.startswith("usb:"):
            device = await asyncio.to_thread(find_usb, address)
            if device is None:
                self._bad("port", f"there is no device {address}")
            self._good("port", f"{address} is {device}")
        elif "://" in address or os.name != "posix":
            self._good("port", f"{address.partition('?')[0]} is no device of this machine")
            device = None
        else:
            device = address
            if not await asyncio.to_thread(Path(device).exists):
                self._bad("port", f"there is no {device}")
            self._good("port", f"{device} is there")
        if device is None:
            self._good("access", "needs none")
        else:
            await asyncio.to_thread(self._check_access, device)

    def _check_access(self, device: str) -> None:
        if found := holders(device):
            advice = next((MANAGERS[h.name] for h in found if h.name in MANAGERS), "")
            who = ", ".join(map(str, found))
            self._bad("access", f"{device} is held by {who}", advice or "end it first")
        if not os.access(device, os.R_OK | os.W_OK):
            group = group_of(device)
            advice = f"sudo usermod -aG {group} {user_name()}, then log in again"
            if group == "root" or not _is_for_group(device):  # which nobody should be put into
                advice = 'have udev give it to a group: GROUP="dialout", MODE="0660" in its rule'
            self._bad("access", f"this user may not open {device}: its group is {group}", advice)

    async def _open(self) -> Modem:
        self._on_progress("waiting for an answer")
        try:
            modem = await self._port.open(reconnect=None, sync_timeout=_SYNC_S)
        except PortBusy as exc:
            self._bad(self._next(), told(exc), self._who_may_hold_it())
        except WrongModule as exc:
            self._opened()
            self._good("answer", "something answers AT")
            self._bad("module", told(exc))
        except LinkTimeout as exc:
            self._opened()
            return await self._scan(exc)
        except (ModemError, OSError) as exc:
            self._bad(self._next(), told(exc))
        else:
            self._opened()
            self._good("answer", self._speed(modem))
            return modem
        raise AssertionError  # _bad() raises

    def _who_may_hold_it(self) -> str:
        """Say how to find a program that /proc does not show to this user."""
        if "://" in self._port.address:
            return "end the other client of the serial server"
        known = "; ".join(f"{name} runs here: {MANAGERS[name]}" for name in managers())
        return known or f"end it; 'sudo lsof {self._port.address}' names it"

    def _opened(self) -> None:
        if self._next() == "access":
            self._good("access", "it can be opened")

    def _speed(self, modem: Modem) -> str:
        rate = f"at {10 * modem.line.bytes_per_s:.0f} bit/s"
        return (
            f"{rate}, after {1000 * modem.line.latency_s:.0f} ms" if modem.line.latency_s else rate
        )

    async def _scan(self, silence: LinkTimeout) -> Modem:
        """Try other speeds than the one that was given."""
        given = self._port.settings["baudrate"]
        if given is not None and "://" not in self._port.address:
            self._on_progress("trying other speeds")
            settings = {**self._port.settings, "baudrate": None, "sync_timeout": _SCAN_S}
            with contextlib.suppress(LinkTimeout):
                modem = await open_modem(self._port.address, reconnect=None, **settings)
                speed = round(10 * modem.line.bytes_per_s)
                advice = f"use --baudrate {speed}, or set the module to {given} by AT+IPR={given}"
                self._note("answer", f"{self._speed(modem)}, not at {given}", advice)
                return modem
        self._bad("answer", told(silence))
        raise AssertionError  # _bad() raises

    # -- the network ---------------------------------------------------------------------

    async def _look_at_radio(self, modem: Modem) -> None:
        said = await modem.command("AT+CFUN?")
        if said == ["+CFUN: 1"]:
            self._good("radio", "is on")
        else:
            self._bad("radio", f"is not on: {' '.join(said)}")

    async def _await_network(self, modem: Modem) -> None:
        events = modem.subscribe()
        waiting = asyncio.create_task(modem.wait_ready(self._timeout))
        waiting.add_done_callback(lambda _: events.close())
        stage = "SIM"
        try:
            async for event in events:
                name = _OF_STAGES.get(event.stage, "") if isinstance(event, Progress) else ""
                if name and _place(name) > _place(stage):
                    await self._passed(modem, stage, name)
                    stage = name
                if isinstance(event, Progress):
                    self._on_progress(": ".join(filter(None, [event.stage, event.detail])))
            await waiting
        except (SimError, TimeoutError) as exc:
            if stage == "registration":
                await self._look_at_signal(modem)
            self._bad(stage, told(exc), _sim_advice(exc))
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await self._passed(modem, stage, "DNS")

    async def _passed(self, modem: Modem, first: str, end: str) -> None:
        """Tell of the stages from one up to another, which are all over."""
        for name in [*STEPS][_place(first) : _place(end)]:
            if name == "registration":
                # Not before: a module that is still searching hears nothing yet.
                await self._look_at_signal(modem)
            if name in _DETAILS:
                self._good(name, await _DETAILS[name](modem))

    async def _look_at_signal(self, modem: Modem) -> None:
        signal = await modem.signal()
        if signal.rssi_dbm is None and signal.rsrp_dbm is None:
            self._note("signal", signal_in_words(signal))
        else:
            self._good("signal", signal_in_words(signal))

    # -- beyond it -----------------------------------------------------------------------

    async def _look_up(self, modem: Modem) -> None:
        servers = ", ".join(filter(None, await modem.dns_servers())) or "no name server"
        host = None if self._to is None else self._to[0]
        if host is None:
            self._tell(Finding("DNS", None, f"{servers}; --to HOST:PORT asks for a name"))
            return
        if is_address(host):
            self._good("DNS", f"not needed for {host}; the name servers: {servers}")
            return
        self._on_progress(f"asking for {host}")
        try:
            found = await modem.resolve(host)
        except (ModemError, OSError) as exc:
            self._bad("DNS", f"{told(exc)}; the name servers: {servers}")
        else:
            self._good("DNS", f"{host} is {', '.join(found.addresses)}")

    async def _connect(self, modem: Modem) -> None:
        if self._to is None:
            self._tell(Finding("connection", None, "--to HOST:PORT tries one"))
            return
        host, number = self._to
        self._on_progress(f"connecting to {host}")
        began = time.monotonic()
        try:
            _, writer = await modem.open_connection(host, number)
        except (ModemError, OSError) as exc:
            self._bad("connection", told(exc))
        else:
            self._good("connection", f"open after {time.monotonic() - began:.1f} s")
            writer.close()
            await writer.wait_closed()


def _place(name: str) -> int:
    return [*STEPS].index(name)


async def _sim(modem: Modem) -> str:
    return " ".join(await modem.command("AT+CPIN?")).removeprefix("+CPIN: ").lower()


async def _registration(modem: Modem) -> str:
    return in_words(await modem.registration())


async def _attach(modem: Modem) -> str:
    apn = await modem.apn()
    return f"attached; the APN is {apn}" if apn else "attached; no APN is set"


async def _address(modem: Modem) -> str:
    return ", ".join(
        f"{' and '.join(found)} in context {context}"
        for context, found in await modem.addresses()
        if found
    )


_DETAILS: Final[dict[str, Callable[[Modem], Awaitable[str]]]] = {
    "SIM": _sim,
    "registration": _registration,
    "attach": _attach,
    "address": _address,
}


def _sim_advice(exc: Exception) -> str:
    return next((advice for kind, advice in _SIM_ADVICE.items() if isinstance(exc, kind)), "")


_SIM_ADVICE: Final = {
    PinRequired: "give the PIN by --pin or AIOBC9X_PIN; three wrong ones lock the SIM",
    PukRequired: "the letter that came with the SIM has the PUK; modem.unblock_sim() takes it",
    SimLocked: "use a SIM of the operator that the module is locked to",
}


def is_address(host: str) -> bool:
    """Whether a host is an IP address, and no name."""
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False


def _is_for_group(device: str) -> bool:
    """Whether the group of a device may read and write it."""
    return Path(device).stat().st_mode & 0o060 == 0o060


def group_of(device: str) -> str:
    """Return the name of a device's group, ``dialout`` on most systems."""
    with contextlib.suppress(OSError, KeyError, ImportError):
        return Path(device).group()
    return "dialout"


def user_name() -> str:
    """Return whose group it must be; ``$USER`` if the system has no name."""
    return os.environ.get("USER") or "$USER"


def as_object(steps: list[Finding], report: Report) -> dict[str, Any]:
    """Return the examination as one object."""
    return {
        "ok": all(step.ok is not False for step in steps),
        "steps": steps,
        "report": report.contents(),
    }
