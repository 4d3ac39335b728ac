"""Make up the IP, TCP and UDP headers that a module never shows.

Layer: trace. Does no I/O, reads no clock.
"""

from __future__ import annotations

import enum
import ipaddress
import struct
from dataclasses import field
from itertools import count
from typing import Final, NamedTuple

from aiobc9x.slotted import slotted

__all__ = ["Address", "Endpoints", "Flags", "Packet", "TcpSide", "tcp", "udp"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TCP, _UDP = 6, 17
_TTL: Final = 64
_WINDOW: Final = 0xFFFF
_MASK: Final = 0xFFFFFFFF


class Flags(enum.IntFlag):
    """The flags of a TCP header that are used here."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10


class Packet(NamedTuple):
    """An IP packet.

    Attributes:
        data: Its bytes; without those of the payload that the trace lacks.
        size_bytes: How many it has with them.

    """

    data: bytes
    size_bytes: int


@slotted()
class TcpSide:
    """What one side of a connection has sent.

    Attributes:
        next_seq: The number of its next byte.
        is_over: It has sent its FIN.

    """

    next_seq: int = 0
    is_over: bool = False


@slotted()
class Endpoints:
    """The two ends of a connection, ours first.

    Attributes:
        local: The module's address.
        local_port: Its port.
        remote: The peer's address, of the same version.
        remote_port: Its port.

    """

    local: Address
    local_port: int
    remote: Address
    remote_port: int
    _numbers: count[int] = field(default_factory=count, repr=False)

    def ordered(self, *, is_outbound: bool) -> tuple[Address, int, Address, int]:
        """Return source and destination of a packet."""
        if is_outbound:
            return self.local, self.local_port, self.remote, self.remote_port
        return self.remote, self.remote_port, self.local, self.local_port

    def next_number(self) -> int:
        """Return the identification of the next IPv4 packet."""
        return next(self._numbers) & 0xFFFF


def tcp(
    ends: Endpoints,
    seq: int,
    ack: int,
    flags: Flags,
    data: bytes = b"",
    size_bytes: int | None = None,
    *,
    is_outbound: bool,
) -> Packet:
    """Return a TCP segment.

    Args:
        ends: Whose it is.
        seq: The number of its first byte.
        ack: The number of the byte that its sender expects; 0 without ``ACK``.
        flags: What it says.
        data: Its payload, or nothing if the trace lacks that.
        size_bytes: How many bytes of payload it has; ``None`` for those in ``data``.
        is_outbound: Whether the module sends it.

    """
    source, source_port, target, target_port = ends.ordered(is_outbound=is_outbound)
    size = len(data) if size_bytes is None else size_bytes
    ports = source_port, target_port
    words = (*ports, seq & _MASK, ack & _MASK, 5 << 4, flags, _WINDOW)
    header = struct.pack("!HHIIBBHHH", *words, 0, 0)
    check = _checksum(_pseudo(source, target, _TCP, len(header) + size) + header + data)
    header = struct.pack("!HHIIBBHHH", *words, check, 0)
    return _ip(ends, source, target, _TCP, header, data, size)


def udp(
    ends: Endpoints, data: bytes, size_bytes: int | None = None, *, is_outbound: bool
) -> Packet:
    """Return a UDP datagram; the arguments are those of :func:`tcp`."""
    source, source_port, target, target_port = ends.ordered(is_outbound=is_outbound)
    size = len(data) if size_bytes is None else size_bytes
    length = 8 + size
    header = struct.pack("!HHHH", source_port, target_port, length, 0)
    # A sum of 0 would say that there is none.
    check = _checksum(_pseudo(source, target, _UDP, length) + header + data) or 0xFFFF
    header = struct.pack("!HHHH", source_port, target_port, length, check)
    return _ip(ends, source, target, _UDP, header, data, size)


def _ip(
    ends: Endpoints,
    source: Address,
    target: Address,
    protocol: int,
    header: bytes,
    data: bytes,
    size: int,
) -> Packet:
    length = len(header) + size
    if source.version == 6:
        outer = struct.pack("!IHBB", 6 << 28, length, protocol, _TTL)
        outer += source.packed + target.packed
    else:
        number = ends.next_number()
        words = (4 << 4 | 5, 0, 20 + length, number, 0, _TTL, protocol)
        addresses = source.packed + target.packed
        check = _checksum(struct.pack("!BBHHHBBH", *words, 0) + addresses)
        outer = struct.pack("!BBHHHBBH", *words, check) + addresses
    return Packet(outer + header + data, len(outer) + length)


def _pseudo(source: Address, target: Address, protocol: int, length: int) -> bytes:
    """Return what stands in front of a segment when its checksum is computed."""
    addresses = source.packed + target.packed
    if source.version == 6:
        return addresses + struct.pack("!II", length, protocol)
    return addresses + struct.pack("!BBH", 0, protocol, length)


def _checksum(data: bytes) -> int:
    """Return the one's complement of the one's complement sum of 16-bit words (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
