"""What :func:`open_modem` takes, checked.

Layer: aio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from aiobc9x.aio.link import Create, SerialSettings
from aiobc9x.aio.startup import Settings
from aiobc9x.core.forms import permitted_forms
from aiobc9x.spec import CONTEXT_IDS, LOCAL_PORT_QUARANTINE_S
from aiobc9x.wire.network import Cpin

READ_AHEAD_BYTES: Final = 256 * 1024
"""Bytes a socket that may wait here for a protocol that has paused reading."""


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that :func:`open_modem` takes, checked.

    Attributes:
        address: What to open.
        serial: How to open a serial device.
        settings: What start-up brings about.
        context_id: ``<contextID>`` of every socket, 1–3.
        pin: For a SIM that wants one.
        read_ahead_bytes: Bytes a socket may hold here while its protocol has paused.
        poll_interval: Seconds between reads of a silent socket; 0 for never.
        state_interval: Seconds between looks at the sockets, or at a silent line; 0 for never.
        send_form: By which forms payloads may go, by name.
        port_quarantine: Seconds that a fixed local port rests behind AT+QICLOSE.

    """

    address: str | Create
    serial: SerialSettings
    settings: Settings
    context_id: int = 1
    pin: str | None = None
    read_ahead_bytes: int = READ_AHEAD_BYTES
    poll_interval: float = 10.0
    state_interval: float = 30.0
    send_form: str = "auto"
    port_quarantine: float = LOCAL_PORT_QUARANTINE_S

    def __post_init__(self) -> None:
        """Refuse what can't work, before anything is opened."""
        if not isinstance(self.address, str) and not callable(self.address):
            raise TypeError(
                "address must be a str or a callable create(protocol_factory), not "
                f"{type(self.address).__name__}"
            )
        self.serial.check()
        self.settings.check()
        if self.context_id not in CONTEXT_IDS:
            raise ValueError(f"context_id is {self.context_id}: use 1-3 (§2.2.1)")
        if self.read_ahead_bytes < 1:
            raise ValueError(f"read_ahead_bytes is {self.read_ahead_bytes}: use at least 1")
        if min(self.poll_interval, self.state_interval) < 0:
            raise ValueError("poll_interval and state_interval can't be negative; 0 means never")
        if not 0 <= self.port_quarantine < math.inf:  # nor NaN
            raise ValueError(
                f"port_quarantine is {self.port_quarantine}: use seconds, or 0 for none (§2.2.1)"
            )
        permitted_forms(self.send_form)  # a wrong one is a ValueError
        if self.pin is not None:
            Cpin(self.pin)  # a wrong one is a ValueError
