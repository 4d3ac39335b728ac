"""Every parameter of the virtual module, and the ``sim://`` address.

Layer: sim.
"""

from __future__ import annotations

import datetime
import ipaddress
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from aiobc9x.sim.faults import Fault, parse_fault
from aiobc9x.spec import LOCAL_PORTS, PORTS

PROMPTS = {"space": b"\r\n> ", "bare": b"\r\n>", "crlf": b"\r\n>\r\n"}
"""Spellings of the prompt (§2.2.4 says only ``>``)."""

BLACK_HOLE = "192.0.2.1"
"""Never answers, nor do its neighbours in 192.0.2.0/24, which RFC 5737 keeps free of hosts."""


@dataclass(frozen=True, slots=True)
class Host:
    """What the host table says about a name, or about an address.

    Attributes:
        addresses: Where connections really go; :data:`BLACK_HOLE` never answers.
        ttl_s: ``<DNS_ttl>`` in seconds.

    """

    addresses: tuple[str, ...]
    ttl_s: int = 300


@dataclass(frozen=True, slots=True)
class SimOptions:
    """How the virtual module behaves; docs/virtual-module.md explains each.

    Times are in seconds. Every field is a parameter of a ``sim://`` address too,
    but for ``on_line``.
    """

    # the serial line
    link: Literal["pty", "memory"] = "pty"
    baud: int = 0
    latency: float = 0.0
    chunk: int | Literal["random"] = 0
    strict_baud: bool = False
    echo_data: bool = False
    prompt: Literal["space", "bare", "crlf"] = "space"
    line_limit: int = 4096
    deaf_time: float = 0.0
    seed: int = 0
    # life
    boot_time: float = 0.0
    banner: str = "RDY"
    nvram: Path | None = None
    sleep_after: float = 10.0
    wake_time: float = 0.0
    # radio
    cfun: Literal[0, 1, 4] = 1
    register_time: float = 0.0
    attach_time: float = 0.0
    reject_cause: int = 0
    pin: str = ""
    puk: str = "12345678"
    sim: bool = True
    ip: str = "100.127.243.105"
    apn: str = "internet"
    apn_login: str = ""
    rssi: int = 20
    granted_tau: str = ""
    granted_active: str = ""
    granted_edrx: str = ""
    # sockets
    send_time: float = 0.002
    pending: Literal["module", "socket"] = "module"
    close_time: float = 0.02
    node_bytes: int = 1360
    buffer_bytes: int = 4096
    buffer_nodes: int = 50
    rearm: Literal["empty_read", "drained"] = "empty_read"
    unread: Literal["kept", "freed"] = "kept"
    incoming_id: Literal["lowest", "highest"] = "lowest"
    incoming_rows: bool = True
    failed_open: Literal["keep", "free"] = "keep"
    timeout_err: Literal[566, 569] = 569
    port_quarantine: float = 120.0
    glued_push: bool = False
    push_end: bool = True
    # the network
    network_latency: float = 0.0
    dns_time: float = 0.0
    hosts: dict[str, Host] = field(default_factory=dict)
    system_dns: bool = False
    outside: bool = False
    listen_ports: dict[int, int] = field(default_factory=dict)
    listen_offset: int = 0
    remote_ports: dict[int, int] = field(default_factory=dict)
    send_buffer: int = 65536
    ping_ms: tuple[int, int] = (20, 60)
    ping_table: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    ntp_time: float = 0.0
    clock: datetime.datetime = datetime.datetime(
        2026, 1, 1, 8, tzinfo=datetime.timezone(datetime.timedelta(hours=8))
    )
    # in place of the module: a trace
    replay: Path | None = None
    record: Literal["once", "none", "new_episodes", "all"] = "once"
    # what goes wrong, and who watches
    faults: Sequence[Fault] = ()
    on_line: Callable[[str, str], None] | None = None


CHOICES: dict[str, tuple[object, ...]] = {
    "link": ("pty", "memory"),
    "prompt": tuple(PROMPTS),
    "cfun": (0, 1, 4),
    "pending": ("module", "socket"),
    "rearm": ("empty_read", "drained"),
    "unread": ("kept", "freed"),
    "incoming_id": ("lowest", "highest"),
    "failed_open": ("keep", "free"),
    "timeout_err": (566, 569),
    "record": ("once", "none", "new_episodes", "all"),
}
"""The values of the parameters that have a fixed set of them."""

AT_LEAST: dict[str, int] = {"node_bytes": 1, "buffer_bytes": 1, "buffer_nodes": 1, "line_limit": 64}
"""Lower bounds of the numbers that can't be 0; the rest can't be negative."""

BITS: dict[str, int] = {"granted_tau": 8, "granted_active": 8, "granted_edrx": 4}
"""The parameters that are timers of 24.008, with their lengths."""

_REPEATABLE = ("host", "listen_port", "remote_port", "fault", "ping")


def parse_address(address: str) -> SimOptions:
    """Read ``sim://?name=value&…``.

    ``host=name:address[,address…][@ttl]``, ``listen_port=module:real``,
    ``remote_port=module:real``, ``ping=address:ms,ms,…`` and ``fault=kind;field=value``
    may come more than once.

    A plus sign stands for itself; a space may be written ``%20``.

    Raises:
        ValueError: Not a ``sim://`` address, an unknown or repeated parameter, or
            a value that doesn't fit; the message names it.

    """
    parts = urlsplit(address)
    if parts.scheme != "sim" or parts.netloc or parts.path not in ("", "/") or parts.fragment:
        raise ValueError(f"not a virtual module: {address!r}; expected sim://?name=value&…")
    options, seen = SimOptions(), set()
    # A plus sign is itself here, as in +QIURC and +08:00, not a space.
    query = parts.query.replace("+", "%2B")
    for name, value in parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)):
        if name in seen and name not in _REPEATABLE:
            raise ValueError(f"parameter {name!r} is given twice")
        seen.add(name)
        try:
            options = _with_parameter(options, name, value)
        except ValueError as error:
            raise ValueError(f"bad parameter {name}={value!r}: {error}") from error
    return options


def _with_parameter(options: SimOptions, name: str, value: str) -> SimOptions:
    if name == "host":
        key, host = _host(value)
        return replace(options, hosts={**options.hosts, key: host})
    if name == "listen_port":
        return replace(options, listen_ports={**options.listen_ports, **_pair(value, LOCAL_PORTS)})
    if name == "remote_port":
        return replace(options, remote_ports={**options.remote_ports, **_pair(value, PORTS)})
    if name == "ping":
        key, _, times = value.rpartition(":")
        entry = tuple(None if ms == "-" else float(ms) / 1000 for ms in times.split(","))
        return replace(options, ping_table={**options.ping_table, key: entry})
    if name == "fault":
        return replace(options, faults=(*options.faults, parse_fault(value)))
    return replace(options, **{name: _plain_value(name, value)})  # type: ignore[arg-type]  # by name


def _host(value: str) -> tuple[str, Host]:
    name, colon, target = value.partition(":")
    if not (name and colon and target):
        raise ValueError("expected name:address")
    addresses, at, ttl = target.partition("@")
    targets = [BLACK_HOLE if target == "blackhole" else target for target in addresses.split(",")]
    for address in targets:
        _check_address(address)
    ttl_s = int(ttl) if at else 300
    if ttl_s < 0:
        raise ValueError("a time to live is at least 0 s")
    return name.lower(), Host(tuple(targets), ttl_s)


def _check_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError(f"expected an IP address, not {text!r}") from error


def _pair(value: str, allowed: range) -> dict[int, int]:
    """Read a port of the module and a real one, which may be 0 for any in ``LOCAL_PORTS``."""
    module, colon, real = value.partition(":")
    if not colon:
        raise ValueError("expected port:port")
    if int(module) not in PORTS or int(real) not in allowed:
        raise ValueError(f"a port is 1 to 65535, the real one {allowed[0]} to 65535")
    return {int(module): int(real)}


def _plain_value(name: str, value: str) -> object:
    defaults = {f.name: f.default for f in fields(SimOptions)}
    special = ("on_line", "hosts", "listen_ports", "remote_ports", "ping_table", "faults")
    if name not in defaults or name in special:
        known = sorted((*(set(defaults) - set(special)), *_REPEATABLE))
        raise ValueError(f"unknown; known: {', '.join(known)}")
    found = _convert(name, defaults[name], value)
    if name in CHOICES and found not in CHOICES[name]:
        raise ValueError(f"expected one of {', '.join(map(str, CHOICES[name]))}")
    if isinstance(found, int | float) and not math.isfinite(found):
        raise ValueError("not a finite number")
    if isinstance(found, int | float) and found < AT_LEAST.get(name, 0):
        raise ValueError(f"less than {AT_LEAST.get(name, 0)}")
    if name == "pin" and not re.fullmatch("([0-9]{4,8})?", value):
        raise ValueError("expected 4 to 8 digits, or nothing")
    if name == "puk" and not re.fullmatch("[0-9]{8}", value):
        raise ValueError("expected 8 digits")
    if name in BITS and not re.fullmatch(f"([01]{{{BITS[name]}}})?", value):
        raise ValueError(f"expected {BITS[name]} bits, or nothing")
    if name == "ip" and value:
        _check_address(value)
    return found


def _convert(name: str, default: object, value: str) -> object:
    if name in {"nvram", "replay"}:
        if not value:
            raise ValueError("expected a file")
        return Path(value)
    if name == "chunk" and value == "random":
        return value
    if name == "ping_ms":
        low, _, high = value.partition("-")
        return int(low), int(high or low)
    if isinstance(default, datetime.datetime):
        return _zoned(value)
    if isinstance(default, bool):
        if value not in ("0", "1"):
            raise ValueError("expected 0 or 1")
        return value == "1"
    if isinstance(default, int | float):
        return type(default)(value)
    return value


def _zoned(value: str) -> datetime.datetime:
    found = datetime.datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError("expected an offset such as +08:00")
    return found
