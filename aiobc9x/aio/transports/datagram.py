"""A UDP socket of the module as an asyncio datagram transport.

Layer: aio.

The module's UDP sockets are connected: they send to one address and drop what comes
from any other. One node is one datagram, in both directions (§2.2.6, note 3).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from aiobc9x.aio.sockets.compare import Examiner
from aiobc9x.aio.sockets.lifetimes import SocketKeeper
from aiobc9x.aio.sockets.reopening import comes_back, open_again
from aiobc9x.aio.transports.base import ModuleTransport
from aiobc9x.aio.transports.socket_view import SocketView
from aiobc9x.core.slots import Slot
from aiobc9x.errors import StreamBroken
from aiobc9x.spec import SEND_MAX_BYTES, AccessMode

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

QUEUE_DATAGRAMS: Final = 256
"""The most datagrams that wait for the module. Ours: at 115200 baud, 256 of the longest take
about a minute.

A system's socket has such a limit too, and drops what is beyond it silently. Here,
``error_received`` is called for each.
"""


OpensAgain: TypeAlias = Callable[[int, AccessMode], Awaitable[tuple[Slot, dict[str, Any]]]]
"""Waits for the network and opens the socket again: is given the connect ID and the access mode
that it had; returns it with its extra info (``Any``: it has all types)."""


class DatagramTransport(ModuleTransport, asyncio.DatagramTransport):
    """Datagrams to and from one address."""

    def __init__(
        self,
        keeper: SocketKeeper,
        examiner: Examiner,
        slot: Slot,
        protocol: asyncio.DatagramProtocol,
        extra: dict[str, Any],
        opens: OpensAgain,
    ) -> None:
        self._opens = opens
        self._is_away = False
        self._peer: tuple[str, int] = extra["peername"]
        extra["socket"] = SocketView(socket.SOCK_DGRAM, extra["sockname"], self._peer)
        super().__init__(keeper, examiner, slot, protocol, extra)

    def sendto(
        self,
        data: bytes | bytearray | memoryview,
        addr: tuple[Any, ...] | str | Buffer | None = None,
    ) -> None:
        """Queue one datagram; it is copied at once.

        A datagram of over 1440 bytes is not sent, and ``error_received`` gets
        ``OSError(EMSGSIZE)`` (§2.2.4). If ``QUEUE_DATAGRAMS`` (256) wait already, it gets
        ``OSError(ENOBUFS)``.

        Args:
            data: 1–1440 bytes.
            addr: ``None``, or the address that the socket is connected to (``Any``: an
                IPv6 address may have more fields).

        Raises:
            TypeError: Not a bytes-like object.
            ValueError: The module can't send an empty datagram (§2.2.4, note 4), or the
                address is another one.
            RuntimeError: It is called from another thread or event loop; nothing is sent.

        """
        self._keeper.driver.home.check_thread()
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(
                f"data argument must be a bytes-like object, not {type(data).__name__!r}"
            )
        known = addr is None or (isinstance(addr, tuple) and addr[:2] in {self._peer, self._asked})
        if not known:
            raise ValueError(
                f"Invalid address: must be None or {self._peer}; the socket is connected"
            )
        datagram = bytes(data)
        if not datagram:
            raise ValueError("the module can't send an empty datagram (§2.2.4, note 4)")
        if self._closing:
            return
        if self._is_away:
            text = f"{os.strerror(errno.ENETDOWN)}: the module's socket is being opened again"
            self._report(OSError(errno.ENETDOWN, text))
            return
        if len(datagram) > SEND_MAX_BYTES:
            text = f"{os.strerror(errno.EMSGSIZE)}: {len(datagram)} bytes, the module sends 1440"
            self._report(OSError(errno.EMSGSIZE, text))
            return
        if len(self._slot.datagrams) >= QUEUE_DATAGRAMS:
            text = f"{os.strerror(errno.ENOBUFS)}: {QUEUE_DATAGRAMS} datagrams wait already"
            self._report(OSError(errno.ENOBUFS, text))
            return
        if (refusal := self._keeper.driver.ledger.refusal()) is not None:
            self._report(refusal)
            return
        self._keeper.session.send_datagram(self._slot, datagram)
        self._keeper.driver.kick()
        self._maybe_pause_protocol()

    @property
    def _asked(self) -> tuple[str, int]:
        """The address as it was asked for, which may have been a name."""
        asked: tuple[str, int] = self.get_extra_info("remote_addr", self._peer)
        return asked

    def on_data(self, data: bytes) -> None:
        """Take one datagram."""
        if not self._closing:
            self._call("datagram_received", self._protocol.datagram_received, data, self._peer)

    def on_datagram_lost(self, reason: str) -> None:
        """Report that a datagram is lost."""
        self._maybe_resume_protocol()
        self._report(OSError(errno.ENOBUFS, reason))
        self._flushed()

    def on_send_refused(self, error: OSError) -> None:
        """Report a datagram that the module did not take; the socket still stands."""
        self._maybe_resume_protocol()
        self._report(error)
        self._flushed()

    def _end_by(self, error: Exception) -> None:
        """Open the socket again if the module comes back; what waited to be sent is lost."""
        if self._closing or not comes_back(self._keeper, error):
            super()._end_by(error)
            return
        is_new, self._is_away = not self._is_away, True
        self._call("error_received", self._protocol.error_received, error)
        if is_new and not self.is_closing():  # which the protocol may have had done
            self._keeper.close(self._slot)
            self._maybe_resume_protocol()
            self._keeper.driver.spawn(self._open_again)

    def _on_peer_closed(self) -> None:
        """Open the socket again: no peer can close a datagram socket, so the module has."""
        self._end_by(StreamBroken("the module has closed the socket"))

    async def _open_again(self) -> None:
        before = self._slot
        made = await open_again(
            self._keeper,
            lambda: not self._closing,
            lambda: self._opens(before.connect_id, before.access_mode),
            self._force_close,
        )
        if made is None:
            return
        slot, extra = made
        if self._closing:
            self._keeper.close(slot)
            return
        self._slot, self._is_away = slot, False
        self._is_ending = self._has_ended = False
        for name in ("connect_id", "sockname"):
            self._extra[name] = extra[name]
        self._keeper.driver.adopt(slot, self)
        self._update_reading()

    def _report(self, error: OSError) -> None:
        self._call("error_received", self._protocol.error_received, error)

    def _update_reading(self) -> None:
        self._keeper.want_reads(self._slot, True)
