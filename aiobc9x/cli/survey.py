"""Ask a module for all that there is to know, as far as it answers.

Layer: cli.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import field
from typing import Any, Final

from aiobc9x.aio.bringup.readiness import in_words
from aiobc9x.aio.queries.results import Signal
from aiobc9x.cli.main import told
from aiobc9x.cli.output import plain
from aiobc9x.errors import CommandError, LinkLost, ModemError
from aiobc9x.modem import Modem
from aiobc9x.slotted import slotted


@slotted()
class Survey:
    """What a module has answered.

    Attributes:
        parts: Each part by its name; ``None`` for one that the module did not tell.
        errors: Why, by the name of the part; ``"network"`` if there is no network.

    """

    parts: dict[str, Any] = field(default_factory=dict)  # Any: each part is of its own class
    errors: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return all of it, with ``errors`` if there are any."""
        return {**self.parts, "errors": self.errors} if self.errors else self.parts

    async def ask(self, name: str, answer: Awaitable[object]) -> None:
        """Take a part, or why there is none.

        Raises:
            LinkLost: There is nobody to ask any more.

        """
        self.parts[name] = None
        try:
            self.parts[name] = await answer
        except LinkLost:
            raise
        except ModemError as exc:
            self.errors[name] = told(exc)


async def survey(modem: Modem, wait: float) -> Survey:
    """Ask for everything, whether there is a SIM and a network or not.

    Args:
        modem: The modem.
        wait: Seconds to wait for the network first.

    Raises:
        LinkLost: The link failed.

    """
    found = Survey()
    try:
        await modem.wait_ready(wait)
    except LinkLost:
        raise
    except (ModemError, TimeoutError) as exc:
        found.errors["network"] = told(exc)
    await found.ask("identity", modem.identity())
    await found.ask("registration", registration(modem))
    await found.ask("signal", modem.signal())
    await found.ask("addresses", addresses(modem))
    await found.ask("sockets", modem.socket_states())
    await found.ask("settings", settings(modem))
    found.parts["usage"] = modem.usage.summary()
    return found


async def registration(modem: Modem) -> dict[str, Any]:
    """Ask for the registration; its words are added.

    Raises:
        ModemError: As :meth:`Modem.registration`.

    """
    status = await modem.registration()
    return {"registered": status.registered, "text": in_words(status), **plain(status)}


async def addresses(modem: Modem) -> list[dict[str, object]]:
    """Ask for the addresses of every context.

    Raises:
        ModemError: As :meth:`Modem.addresses`.

    """
    return [
        {"context_id": context_id, "addresses": list(found)}
        for context_id, found in await modem.addresses()
    ]


async def settings(modem: Modem) -> dict[str, Any]:
    """Ask for the settings of the sockets, the access point and the name servers.

    Raises:
        ModemError: As :meth:`Modem.settings`.

    """
    return {
        **plain(await modem.settings()),
        "apn": await _optional(modem.apn()),
        "dns_servers": await _optional(modem.dns_servers()),
    }


async def _optional(answer: Awaitable[object]) -> object:
    """Return an answer; ``None`` if the module refuses it, as one without a network does."""
    try:
        return await answer
    except CommandError:
        return None


def signal_in_words(signal: Signal) -> str:
    """Say how well the module hears the network."""
    pieces = []
    if signal.rssi_dbm is not None:
        pieces.append(f"{signal.rssi_dbm} dBm, {strength(signal.rssi_dbm)}")
    if signal.rsrp_dbm is not None:
        pieces.append(f"RSRP {signal.rsrp_dbm} dBm")
    if signal.rsrq_db is not None:
        pieces.append(f"RSRQ {signal.rsrq_db:g} dB")
    return ", ".join(pieces) or "the module hears no network"


def strength(rssi_dbm: int) -> str:
    """Say what a received power is good for, in one word."""
    return next((word for least, word in _STRENGTHS if rssi_dbm >= least), "hardly usable")


_STRENGTHS: Final = ((-75, "very good"), (-89, "good"), (-99, "fair"), (-107, "weak"))
