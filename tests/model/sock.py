"""One socket of the module."""

from __future__ import annotations

from collections import deque
from typing import Final

from tests.model.peers import Peer

CLOSING: Final = 6
"""A state of our own: AT+QICLOSE has come, CLOSE OK has not gone. It shows as 3."""

ROOM_BYTES: Final = 3000
"""Bytes that a buffer holds; the network keeps what does not fit."""

ROOM_NODES: Final = 40


class Sock:
    """A socket of the module.

    Attributes:
        nodes: What has come and was not read: segments, datagrams.
        armed: Whether data that come now are announced.
        told: Whether the host has been told of it, if it is an incoming one.
        waits: Whether its peer waits for the line.

    """

    def __init__(self, connect_id: int, kind: str, peer: Peer | None) -> None:
        self.connect_id = connect_id
        self.kind = kind
        self.peer = peer
        self.host = peer.host if peer else "0.0.0.0"
        self.port = peer.port if peer else 0
        self.local_port = 0
        self.state = 1
        self.mode = 0
        self.nodes: deque[bytes] = deque()
        self.armed = True
        self.context = 1
        self.told = False
        self.waits = False

    def has_room(self, size: int) -> bool:
        """Whether the buffer takes a node of this size."""
        if not self.nodes:
            return True
        return sum(map(len, self.nodes)) + size <= ROOM_BYTES and len(self.nodes) < ROOM_NODES
