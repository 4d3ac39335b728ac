"""What ``get_extra_info("socket")`` gives: enough of a socket for libraries that ask.

Layer: aio.

anyio, hypercorn and others read addresses and set options through it. Options that a
module can't honour but that change no byte are accepted in silence, as documented.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Final

_HARMLESS: Final = {
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    (socket.SOL_SOCKET, socket.SO_RCVBUF),
    (socket.SOL_SOCKET, socket.SO_SNDBUF),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY),
}
_HARMLESS_TCP: Final = {"TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT"}


class SocketView:
    """A socket of the module, seen as a socket of the system.

    Its file descriptor tells whether there is something to read, and is good for nothing
    else: httpcore polls it before it uses a connection again.

    Args:
        kind: TCP or UDP.
        sockname: The module's own address and port.
        peername: The peer's.
        is_quiet: Tells whether it is open and has nothing to read; by default never.

    """

    def __init__(
        self,
        kind: socket.SocketKind,
        sockname: tuple[str, int],
        peername: tuple[str, int],
        is_quiet: Callable[[], bool] = lambda: False,
    ) -> None:
        ipv6 = ":" in peername[0]
        self.family = socket.AF_INET6 if ipv6 else socket.AF_INET
        self.type = kind
        self.proto = socket.IPPROTO_TCP if kind is socket.SOCK_STREAM else socket.IPPROTO_UDP
        self._sockname, self._peername = sockname, peername
        self._is_quiet = is_quiet
        self._quiet: socket.socket | None = None

    def __repr__(self) -> str:
        return f"<SocketView {self.type.name} to {self._peername} through the module>"

    def fileno(self) -> int:
        """Return a descriptor on which nothing ever comes, while nothing has come here.

        With something to read, or after the end, return -1, as a closed socket does: who
        asks then finds out by reading. Nothing can be read or written through it.
        """
        if not self._is_quiet():
            return -1
        if self._quiet is None:
            # Without an address no datagram reaches it; a pipe would need two descriptors.
            self._quiet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._quiet.setblocking(False)
        return self._quiet.fileno()

    def end(self) -> None:
        """Free the descriptor; the connection has ended."""
        self._is_quiet = lambda: False
        if self._quiet is not None:
            self._quiet.close()
            self._quiet = None

    def getsockname(self) -> tuple[str, int]:
        """Return the module's own address and port; port 0 if the module chose it (§2.2.3)."""
        return self._sockname

    def getpeername(self) -> tuple[str, int]:
        """Return the peer's address and port."""
        return self._peername

    def gettimeout(self) -> float:
        """Return 0: nothing here blocks."""
        return 0.0

    def setsockopt(self, level: int, option: int, *value: object) -> None:
        """Accept the options that change no byte, such as TCP_NODELAY; they do nothing.

        Raises:
            OSError: ENOPROTOOPT for any other option.

        """
        tcp = {getattr(socket, name, None) for name in _HARMLESS_TCP}
        if (level, option) in _HARMLESS or (level == socket.IPPROTO_TCP and option in tcp):
            return
        raise OSError(errno.ENOPROTOOPT, f"{os.strerror(errno.ENOPROTOOPT)}: the module has none")

    def getsockopt(self, level: int, option: int, buflen: int = 0) -> int:
        """Return 0 for the options that :meth:`setsockopt` accepts, and for SO_ERROR."""
        if (level, option) != (socket.SOL_SOCKET, socket.SO_ERROR):
            self.setsockopt(level, option)
        return 0
