"""Hosts as a program gives them to the system: what ``getaddrinfo()`` takes for an address.

Layer: adapters.

Each call of the redirection reads its host here, once; bypass rules, destinations and the
modem use the :class:`Host` that was made.
"""

from __future__ import annotations

import ipaddress
import socket

from aiobc9x.wire.host import Host, read_name
from aiobc9x.wire.params import IpAddress, ascii_text


def read_host(host: str | bytes) -> Host:
    """Read a host as ``getaddrinfo()`` does; libraries pass bytes too.

    Beyond the module's own forms of an address, ``getaddrinfo()`` takes short forms
    (``127.1``), addresses with a scope, and IPv4 mapped into IPv6. The encoded form is the plain
    one, which the module knows.
    """
    written = ascii_text(host) if isinstance(host, bytes) else host
    address = _address_or_none(written)
    return read_name(host) if address is None else Host(written, address, str(address))


def check_name(host: Host) -> None:
    """Refuse a host that can't be a name, as a resolver does.

    Raises:
        socket.gaierror: EAI_NONAME.

    """
    if host.fault:
        raise socket.gaierror(socket.EAI_NONAME, host.fault)


def _address_or_none(text: str) -> IpAddress | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return _short_form(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _short_form(text: str) -> IpAddress | None:
    """Read ``127.1`` and its like, which are no names: no top-level domain is a number."""
    last = text.rpartition(".")[2]
    if not last[:1].isdecimal():
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text))
    except (OSError, UnicodeError):
        return None
