"""Look up names, addresses and round trip times of the simulated network.

Layer: sim.
"""

from __future__ import annotations

import ipaddress
import random

from aiobc9x.sim.interface import Resolution
from aiobc9x.sim.options import BLACK_HOLE, Host, SimOptions
from aiobc9x.sim.params import maybe_ip

LOCALHOST = Host(("127.0.0.1",))

_BLACK_HOLES = ipaddress.ip_network(f"{BLACK_HOLE}/24", strict=False)


class HostTable:
    """Answer for names and addresses, as the options say."""

    def __init__(self, options: SimOptions) -> None:
        self._hosts = {"localhost": LOCALHOST, **options.hosts}
        self._outside = options.outside
        self._ping_table = options.ping_table
        self._ping_ms = options.ping_ms
        self._pings: dict[str, int] = {}
        self._random = random.Random(options.seed)

    def lookup(self, name: str) -> Resolution | None:
        """Return the addresses of a name; an address stands for itself."""
        if maybe_ip(name) is not None:
            return Resolution((name,), 0)
        host = self._hosts.get(name.lower().rstrip("."))
        return Resolution(host.addresses, host.ttl_s) if host is not None else None

    def target(self, address: str) -> str:
        """Return where a connection to ``address`` really goes."""
        host = self._hosts.get(address)
        return host.addresses[0] if host is not None else address

    def is_black_hole(self, address: str) -> bool:
        """Tell whether ``address`` never answers."""
        literal = maybe_ip(self.target(address))
        return literal is not None and literal.version == 4 and literal in _BLACK_HOLES

    def is_reachable(self, address: str) -> bool:
        """Tell whether a real connection to ``address`` may be tried."""
        literal = maybe_ip(self.target(address))
        return literal is not None and (self._outside or literal.is_loopback)

    def ping(self, address: str) -> float | None:
        """Return a round trip time in seconds; ``None`` for no answer.

        An address in the options' table gives its times in turn, others a random one that
        depends on the seed.
        """
        if address in self._ping_table:
            times = self._ping_table[address]
            turn = self._pings.get(address, 0)
            self._pings[address] = turn + 1
            return times[turn % len(times)]
        if self.is_black_hole(address):
            return None
        return self._random.randint(*self._ping_ms) / 1000
