"""Have aiomqtt 3 connect by the event loop, and so through ``modem.installed()``.

Layer: adapters. Needs aiomqtt 3 or newer, of which there are pre-releases only.

    with modem.installed():
        async with ModemClient(hostname="broker.example") as client:
            await client.publish("meters/17", b"21.5")

aiomqtt 3 reads and writes by asyncio, but it connects a socket of its own first, by a call that
blocks the event loop, and asks the system for the broker's name. Here that call only notes where
the socket is to be connected, as ``loop.sock_connect()`` does inside ``installed()``, and the
module connects and resolves. aiomqtt 1 and 2 use paho, whose sockets no event loop sees: see
docs/clients/mqtt.md.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

try:
    import aiomqtt
except ImportError as _exc:
    raise ImportError(f"{_exc}; install it with: pip install --pre 'aiomqtt>=3.0.0a1'") from _exc

if hasattr(aiomqtt, "ProxySettings"):  # paho's
    raise ImportError(
        "aiomqtt 3 is needed, and an older one is installed: let that one connect through"
        " serve_proxy(), or install: pip install --pre 'aiomqtt>=3.0.0a1'"
    )

from aiobc9x.adapters.redirect.streams import note

__all__ = ["ModemClient"]


class _NotedSocket(socket.socket):
    """A socket that the event loop connects, where it is routed through a modem."""

    __slots__ = ()

    def connect(self, address: Any) -> None:  # Any: each family has its own
        """Note where to connect to; outside of ``installed()``, connect as ever."""
        if not note(asyncio.get_running_loop(), self, address):
            super().connect(address)


class ModemClient(aiomqtt.Client):
    """The client of aiomqtt 3; its arguments, methods and exceptions are that one's.

    Outside of ``installed()`` it connects by the ordinary network, as aiomqtt's own does.
    """

    @property
    def _socket(self) -> socket.socket:
        """What aiomqtt connects, and then hands to :func:`asyncio.open_connection`."""
        made: socket.socket = vars(self)["_socket"]
        return made

    @_socket.setter
    def _socket(self, made: socket.socket) -> None:
        made.__class__ = _NotedSocket
        vars(self)["_socket"] = made
