"""Bypass rules and routes by themselves."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, cast

import pytest

from aiobc9x.adapters.redirect.hosts import read_host
from aiobc9x.adapters.redirect.route import (
    LEARNED_S,
    Bypass,
    Route,
    enter,
    leave,
    route_on,
)

DEFAULT = ("localhost", "127.0.0.0/8", "::1")


def route(*, strict: bool = True, bypass: tuple[Any, ...] = DEFAULT) -> Route:
    """A route of no modem in particular."""
    return Route(cast(Any, None), cast(Any, object()), strict, Bypass(bypass), cast(Any, None))


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        (b"localhost", True),
        ("localhost.example", False),
        ("127.0.0.1", True),
        (b"127.9.9.9", True),
        ("127.1", True),
        ("0x7f000001", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("::", True),
        ("128.0.0.1", False),
        ("::2", False),
        ("fe80::1%lo", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_the_default(host: str | bytes, covered: bool) -> None:
    """This machine is bypassed, however it is spelled; as a destination, wildcards are it."""
    assert Bypass(DEFAULT).covers(read_host(host)) is covered


@pytest.mark.parametrize(
    ("entry", "covered", "not_covered"),
    [
        ("nas", ["nas", "NAS."], ["nas.lan", "xnas"]),
        (".lan", ["a.lan", "a.b.LAN."], ["lan", "alan", "a.lan.example"]),
        ("10.1.0.0/16", ["10.1.2.3"], ["10.2.0.1"]),
        ("10.1.2.3/16", ["10.1.0.0"], ["10.2.0.1"]),
        ("10.1.2.3", ["10.1.2.3"], ["10.1.2.4"]),
        ("fd00::/8", ["fd12::1", "fd12::1%eth0"], ["fe80::1", "10.0.0.1"]),
        (ipaddress.ip_address("10.1.2.3"), ["10.1.2.3"], ["10.1.2.4"]),
        (ipaddress.ip_network("10.1.0.0/16"), ["10.1.2.3"], ["10.2.0.1"]),
        ("0.0.0.0/0", ["10.1.2.3"], ["::1"]),
    ],
)
def test_entries(entry: Any, covered: list[str], not_covered: list[str]) -> None:
    """Names are exact, endings begin with a dot, addresses and networks are texts or objects."""
    bypass = Bypass([entry])
    assert [host for host in covered if not bypass.covers(read_host(host))] == []
    assert [host for host in not_covered if bypass.covers(read_host(host))] == []


def test_nothing_is_bypassed_unless_said() -> None:
    """Without entries, even this machine is reached through the modem."""
    assert not any(Bypass(()).covers(read_host(host)) for host in ("localhost", "127.0.0.1", "::1"))


def test_learned_addresses() -> None:
    """The addresses of a bypassed name are bypassed once they are known."""
    bypass = Bypass(("nas",))
    assert not bypass.covers(read_host("192.168.1.5"))
    bypass.learn(read_host("192.168.1.5"))
    bypass.learn(read_host("no address"))
    assert bypass.covers(read_host("192.168.1.5"))
    assert not bypass.covers(read_host("192.168.1.6"))


def test_learned_addresses_are_forgotten() -> None:
    """Later they may be another host's; asking again keeps them, and others are none of it."""
    now = 1000.0
    bypass = Bypass(("nas", "10.0.0.1"), clock=lambda: now)
    bypass.learn(read_host("10.0.0.1"))
    bypass.learn(read_host("192.168.1.5"))
    bypass.learn(read_host("192.168.1.6"))
    now += LEARNED_S - 1
    assert bypass.covers(read_host("192.168.1.5"))
    bypass.learn(read_host("192.168.1.6"))
    now += 2
    assert not bypass.covers(read_host("192.168.1.5"))
    assert bypass.covers(read_host("192.168.1.6"))
    assert bypass.covers(read_host("10.0.0.1"))
    bypass.learn(read_host("192.168.1.7"))
    assert len(bypass._learned) == 2


class TestSockets:
    """Whether a socket belongs to the ordinary network beyond the bypass."""

    def test_of_other_families(self) -> None:
        """Only IP leads anywhere."""
        one, other = socket.socketpair()
        with one, other:
            assert not route().is_foreign(one)

    def test_unconnected(self) -> None:
        """A socket that is bound nowhere could go anywhere."""
        with socket.socket() as sock:
            assert route().is_foreign(sock)

    def test_bound(self) -> None:
        """A listener counts by the address it is bound to; a wildcard is anywhere."""
        with socket.create_server(("127.0.0.1", 0)) as here, socket.create_server(("", 0)) as all_:
            assert not route().is_foreign(here)
            assert route(bypass=()).is_foreign(here)
            assert route().is_foreign(all_)

    def test_connected(self) -> None:
        """A connected socket counts by its peer."""
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as sock,
        ):
            assert not route().is_foreign(sock)
            assert route(bypass=()).is_foreign(sock)

    def test_check_raises_in_strict_mode_only(self) -> None:
        """The error says what was tried and what to do instead."""
        with socket.socket() as sock:
            route(strict=False).check(sock, "f()", "use g()")
            route().check(None, "f()", "use g()")
            with pytest.raises(OSError, match=r"f\(\) with .* through the modem; use g\(\)"):
                route().check(sock, "f()", "use g()")


def test_leaving_a_route_that_is_not_there() -> None:
    """Nothing happens, and what is there stays."""
    first, second = route(), route()
    enter(first)
    leave(second)
    assert route_on(first.loop) is first
    leave(first)
    assert route_on(first.loop) is None
