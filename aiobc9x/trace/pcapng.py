"""Write pcapng, the file format of Wireshark.

Layer: trace. Does no I/O, reads no clock.

https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html has the blocks. Everything is
little-endian, which the first block says; times are in microseconds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = [
    "LINKTYPE_RAW",
    "LINKTYPE_UPPER_PDU",
    "interface",
    "names",
    "packet",
    "section_header",
    "tls_secrets",
]

LINKTYPE_RAW: Final = 101
"""Packets begin with an IP header, of whatever version it says."""

LINKTYPE_UPPER_PDU: Final = 252
"""Packets of a protocol without any below it; tags in front say which dissector takes them."""

_SECTION, _INTERFACE, _NAMES, _PACKET, _SECRETS = 0x0A0D0D0A, 1, 4, 6, 10
_BYTE_ORDER: Final = 0x1A2B3C4D
_TLS_KEYS: Final = 0x544C534B

_END, _COMMENT = 0, 1
_APPLICATION: Final = 4
_IF_NAME, _IF_DESCRIPTION = 2, 3
_FLAGS: Final = 2
_INBOUND, _OUTBOUND = 1, 2

_NAME_RECORDS: Final = {4: 1, 16: 2}
"""The type of a record of names, by the length of its address."""


def section_header(application: str, comment: str) -> bytes:
    """Return the first block of a file.

    Args:
        application: What has written it.
        comment: What a reader should know.

    """
    body = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1)
    options = {_COMMENT: comment.encode(), _APPLICATION: application.encode()}
    return _block(_SECTION, body + _options(options))


def interface(link_type: int, name: str, description: str) -> bytes:
    """Return the block of an interface; packets name it by its number, from 0 on."""
    body = struct.pack("<HHI", link_type, 0, 0)
    options = {_IF_NAME: name.encode(), _IF_DESCRIPTION: description.encode()}
    return _block(_INTERFACE, body + _options(options))


def packet(
    interface_id: int,
    wall: float,
    data: bytes,
    *,
    size_bytes: int | None = None,
    is_outbound: bool | None = None,
    comment: str = "",
) -> bytes:
    """Return the block of a packet.

    Args:
        interface_id: The number of its interface.
        wall: Seconds since 1970.
        data: Its bytes, or its first ones.
        size_bytes: How many it has; ``None`` if ``data`` are all.
        is_outbound: Whether it was sent; ``None`` if that has no meaning.
        comment: What a reader should know.

    """
    ticks = round(wall * 1_000_000)
    size = len(data) if size_bytes is None else size_bytes
    body = struct.pack("<IIIII", interface_id, ticks >> 32, ticks & 0xFFFFFFFF, len(data), size)
    options = {}
    if comment:
        options[_COMMENT] = comment.encode()
    if is_outbound is not None:
        options[_FLAGS] = struct.pack("<I", _OUTBOUND if is_outbound else _INBOUND)
    return _block(_PACKET, body + _padded(data) + _options(options))


def names(known: Mapping[bytes, str]) -> bytes:
    """Return a block that gives packed addresses their names."""
    records = b""
    for address, name in known.items():
        value = address + name.encode() + b"\0"
        records += struct.pack("<HH", _NAME_RECORDS[len(address)], len(value)) + _padded(value)
    return _block(_NAMES, records + struct.pack("<HH", 0, 0))


def tls_secrets(keys: bytes) -> bytes:
    """Return a block with the lines of an NSS key log, by which later packets are decrypted."""
    return _block(_SECRETS, struct.pack("<II", _TLS_KEYS, len(keys)) + _padded(keys))


def _block(kind: int, body: bytes) -> bytes:
    size = len(body) + 12
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def _options(options: Mapping[int, bytes]) -> bytes:
    if not options:
        return b""
    pairs: Iterable[tuple[int, bytes]] = [*options.items(), (_END, b"")]
    return b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in pairs)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
