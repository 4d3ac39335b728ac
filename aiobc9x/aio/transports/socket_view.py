"""Show a connection as a socket, as far as libraries use ``get_extra_info("socket")``.

Layer: aio.

anyio, hypercorn and others read addresses and set options through it. Options that change no
byte of the stream are accepted and do nothing; others are refused.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from typing import Final, NoReturn

_HARMLESS: Final = frozenset(
    (level, getattr(socket, name))
    for level, names in {
        socket.SOL_SOCKET: "SO_KEEPALIVE SO_PRIORITY SO_RCVBUF SO_REUSEADDR SO_REUSEPORT SO_SNDBUF",
        socket.IPPROTO_TCP: (
            "TCP_CORK TCP_KEEPALIVE TCP_KEEPCNT TCP_KEEPIDLE TCP_KEEPINTVL TCP_NODELAY"
            " TCP_QUICKACK TCP_USER_TIMEOUT"
        ),
        socket.IPPROTO_IP: "IP_TOS",
        socket.IPPROTO_IPV6: "IPV6_TCLASS",
    }.items()
    for name in names.split()
    if hasattr(socket, name)  # each system has others
)
"""Options that change no byte: timing, buffer sizes, and the sharing of addresses."""


class SocketView:
    """A socket of the module, seen as a socket of the system.

    Its file descriptor only tells whether there is something to read: httpcore polls it before
    it uses a connection again.

    Args:
        kind: TCP or UDP.
        sockname: The module's own address and port.
        peername: The peer's; ``None``: it listens.
        is_quiet: Tells whether it is open and has nothing to read; by default never.

    """

    def __init__(
        self,
        kind: socket.SocketKind,
        sockname: tuple[str, int],
        peername: tuple[str, int] | None,
        is_quiet: Callable[[], bool] = lambda: False,
    ) -> None:
        ipv6 = ":" in (peername or sockname)[0]
        self.family = socket.AF_INET6 if ipv6 else socket.AF_INET
        self.type = kind
        self.proto: int = socket.IPPROTO_TCP if kind is socket.SOCK_STREAM else socket.IPPROTO_UDP
        self._sockname, self._peername = sockname, peername
        self._is_quiet = is_quiet
        self._quiet: socket.socket | None = None
        self._options: dict[tuple[int, int], int] = {}

    def __repr__(self) -> str:
        whereto = f"to {self._peername}" if self._peername else f"listening at {self._sockname}"
        return f"<SocketView {self.type.name} {whereto} through the module>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a socket of the module can't be pickled")

    def fileno(self) -> int:
        """Return a file descriptor that is never readable, or -1.

        -1, which is what a closed socket gives, means that there is something to read, or that
        the connection has ended. Nothing can be read or written through the descriptor.
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
        """Return the peer's address and port.

        Raises:
            OSError: ENOTCONN: it listens.

        """
        if self._peername is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._peername

    def gettimeout(self) -> float:
        """Return 0: nothing here blocks."""
        return 0.0

    def settimeout(self, value: float | None) -> None:
        """Do nothing: nothing here blocks.

        Raises:
            ValueError: It is to block, which asyncio's own sockets refuse alike.

        """
        if value != 0:
            raise ValueError("settimeout(): only 0 timeout is allowed on transport sockets")

    def setblocking(self, flag: bool) -> None:
        """Do nothing: nothing here blocks.

        Raises:
            ValueError: It is to block, which asyncio's own sockets refuse alike.

        """
        if flag:
            raise ValueError("setblocking(): transport sockets cannot be blocking")

    def get_inheritable(self) -> bool:
        """Return ``False``: no other program can have it."""
        return False

    def setsockopt(self, level: int, option: int, *value: object) -> None:
        """Note an option that changes no byte, such as TCP_NODELAY; it does nothing.

        Raises:
            OSError: ENOPROTOOPT for any other option.

        """
        self._check(level, option)
        if value and isinstance(value[0], int):
            self._options[level, option] = int(value[0])

    def getsockopt(self, level: int, option: int, buflen: int = 0) -> int | bytes:
        """Return what :meth:`setsockopt` has noted, else 0; and SO_TYPE.

        Args:
            level: Of the option.
            option: The option.
            buflen: Bytes of the answer; 0: it is a number.

        Raises:
            OSError: ENOPROTOOPT: the module has no such option.

        """
        if (level, option) == (socket.SOL_SOCKET, socket.SO_TYPE):
            value = int(self.type)
        elif (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR):
            value = 0
        else:
            self._check(level, option)
            value = self._options.get((level, option), 0)
        if not buflen:
            return value
        return value.to_bytes(max(4, buflen), sys.byteorder, signed=True)[:buflen]

    def _check(self, level: int, option: int) -> None:
        if (level, option) not in _HARMLESS:
            text = f"{os.strerror(errno.ENOPROTOOPT)}: the module has none"
            raise OSError(errno.ENOPROTOOPT, text)
