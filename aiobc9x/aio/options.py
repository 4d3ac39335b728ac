"""Check and keep the arguments of :func:`open_modem`.

Layer: aio.
"""

from __future__ import annotations

import math
from dataclasses import field
from typing import Final

from aiobc9x.aio.arguments import (
    check_flag,
    check_integer,
    check_positive_seconds,
    check_seconds,
    check_text,
)
from aiobc9x.aio.bringup.startup import Settings
from aiobc9x.aio.line.link import Create
from aiobc9x.aio.line.serial_settings import SerialSettings
from aiobc9x.aio.reconnecting import Reconnect
from aiobc9x.core.sending import permitted_forms
from aiobc9x.core.session import ANSWER_TIMEOUT_S
from aiobc9x.slotted import slotted
from aiobc9x.spec import CONTEXT_IDS, LOCAL_PORT_QUARANTINE_S
from aiobc9x.trace.options import Trace
from aiobc9x.wire.commands.radio import Cpin

ANSWER_TIMEOUT_MIN_S: Final = 2.0
"""The least ``answer_timeout``: the note's 300 ms with a margin. Less ends good connections."""

READ_AHEAD_BYTES: Final = 256 * 1024
"""Default of the bytes that a socket may hold here while its protocol has paused reading."""


@slotted(frozen=True)
class Options:
    """Everything that :func:`open_modem` takes, checked.

    Attributes:
        address: What to open.
        serial: How to open a serial device.
        settings: The settings that start-up makes.
        context_id: ``<contextID>`` of every socket, 1–3.
        pin: For a SIM that wants one.
        read_ahead_bytes: Bytes a socket may hold here while its protocol has paused.
        poll_interval: Seconds between reads of a silent socket; 0 for never.
        state_interval: Seconds between looks at the sockets, or at a silent line; 0 for never.
        answer_timeout: Seconds without a byte of an answer until it counts as lost.
        send_form: By which forms payloads may go, by name.
        timeout: Seconds for the whole opening; ``None`` for no limit but those of its parts.
        port_quarantine: Seconds that a fixed local port rests after AT+QICLOSE.
        reconnect: How the modem comes back; ``None``: it does not.
        trace: How its dialogue is recorded; ``None``: it is not.

    """

    address: str | Create
    serial: SerialSettings
    settings: Settings
    context_id: int = 1
    pin: str | None = field(default=None, repr=False)
    read_ahead_bytes: int = READ_AHEAD_BYTES
    poll_interval: float = 10.0
    state_interval: float = 30.0
    answer_timeout: float = ANSWER_TIMEOUT_S
    send_form: str = "auto"
    timeout: float | None = None
    port_quarantine: float = LOCAL_PORT_QUARANTINE_S
    reconnect: Reconnect | None = None
    trace: Trace | None = None

    def __post_init__(self) -> None:
        """Check all arguments, before anything is opened."""
        if not isinstance(self.address, str) and not callable(self.address):
            raise TypeError(
                "address must be a str or a callable create(protocol_factory), not "
                f"{type(self.address).__name__}"
            )
        if isinstance(self.address, str) and not self.address.strip():
            raise ValueError("address is empty: name a device, as /dev/ttyUSB0, or a URL")
        self._check_types()
        self.serial.check()
        self.settings.check()
        if self.context_id not in CONTEXT_IDS:
            raise ValueError(f"context_id is {self.context_id}: use 1-3 (§2.2.1)")
        if self.read_ahead_bytes < 1:
            raise ValueError(f"read_ahead_bytes is {self.read_ahead_bytes}: use at least 1")
        if min(self.poll_interval, self.state_interval) < 0:
            raise ValueError("poll_interval and state_interval can't be negative; 0 means never")
        check_seconds("answer_timeout", self.answer_timeout)
        if not self.answer_timeout >= ANSWER_TIMEOUT_MIN_S:  # nor NaN
            raise ValueError(
                f"answer_timeout is {self.answer_timeout}: use at least {ANSWER_TIMEOUT_MIN_S:g} s;"
                " a module takes 0.3 s (§2.1.2), and more when it is busy"
            )
        if self.timeout is not None:
            check_positive_seconds("timeout", self.timeout)
        if not 0 <= self.port_quarantine < math.inf:  # nor NaN
            raise ValueError(
                f"port_quarantine is {self.port_quarantine}: use seconds, or 0 for none (§2.2.1)"
            )
        if not isinstance(self.reconnect, Reconnect | None):
            raise TypeError(
                f"reconnect must be a Reconnect or None, not {type(self.reconnect).__name__}"
            )
        permitted_forms(self.send_form)  # a wrong one is a ValueError
        if self.pin is not None:
            Cpin(self.pin)  # a wrong one is a ValueError

    def _check_types(self) -> None:
        """Raise ``TypeError`` for what can't even be compared."""
        serial, settings = self.serial, self.settings
        if settings.baudrate is not None:
            check_integer("baudrate", settings.baudrate)
        check_integer("bytesize", serial.bytesize)
        for name in ("rtscts", "xonxoff", "dsrdtr", "exclusive"):
            check_flag(name, getattr(serial, name))
        for name in ("dtr", "rts"):
            if getattr(serial, name) is not None:
                check_flag(name, getattr(serial, name))
        check_integer("context_id", self.context_id)
        check_seconds("sync_timeout", settings.sync_timeout)
        check_integer("open_time", settings.open_time)
        check_flag("receive_hex", settings.hex_receive)
        check_flag("allow_sleep", settings.allow_sleep)
        check_integer("read_ahead_bytes", self.read_ahead_bytes)
        check_seconds("poll_interval", self.poll_interval)
        check_seconds("state_interval", self.state_interval)
        check_seconds("port_quarantine", self.port_quarantine)
        check_text("send_form", self.send_form)
        if self.pin is not None:
            check_text("pin", self.pin)
