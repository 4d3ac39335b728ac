"""Offer anyio's streams over the modem; import all public names from here."""

from __future__ import annotations

from aiobc9x.adapters.anyio.socket import ModemAttribute
from aiobc9x.adapters.anyio.streams import (
    ByteStream,
    ByteStreamConnectable,
    ConnectedUDPSocket,
    Listener,
    connect_tcp,
    connect_udp,
    create_listener,
)

__all__ = [
    "ByteStream",
    "ByteStreamConnectable",
    "ConnectedUDPSocket",
    "Listener",
    "ModemAttribute",
    "connect_tcp",
    "connect_udp",
    "create_listener",
]
