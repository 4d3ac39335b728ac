"""getaddrinfo() and getnameinfo() inside installed(): the module's names, the system's rows."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aiobc9x.adapters.redirect.route import LEARNED_S
from aiobc9x.sim.options import Host
from tests.support.bench import Bench
from tests.support.clock import virtual
from tests.support.ordinary import Ordinary, nothing_leaves

NAME, BOTH, SIX = "server.example", "both.example", "six.example"
FOUR_A, FOUR_B, SIX_A = "220.18.39.22", "220.18.39.23", "2001:db8::1"
LONG = "x" * 60 + ".example"

HOSTS = {
    NAME: Host((FOUR_A, FOUR_B)),
    BOTH: Host((SIX_A, FOUR_A)),
    SIX: Host((SIX_A,)),
    LONG: Host((FOUR_A,)),
    "xn--mnchen-3ya.example": Host((FOUR_B,)),
}


@asynccontextmanager
async def routed(**options: Any) -> AsyncIterator[Bench]:
    """A bench whose modem is installed, where nothing may leave."""
    async with Bench(hosts=HOSTS) as bench:
        with (await bench.open()).installed(**options), nothing_leaves():
            yield bench


async def ask(host: Any, port: Any = 80, **options: Any) -> list[tuple[Any, ...]]:
    """Ask the running loop."""
    found: list[tuple[Any, ...]] = await asyncio.get_running_loop().getaddrinfo(
        host, port, **options
    )
    return found


def addresses(rows: list[tuple[Any, ...]]) -> list[str]:
    """The addresses of some rows, in order, each once."""
    return list(dict.fromkeys(row[4][0] for row in rows))


NUMERIC: list[tuple[Any, Any, dict[str, Any]]] = [
    ("1.2.3.4", 80, {}),
    ("1.2.3.4", "80", {"type": socket.SOCK_STREAM}),
    ("1.2.3.4", "http", {"type": socket.SOCK_STREAM}),
    ("1.2.3.4", None, {"type": socket.SOCK_DGRAM}),
    (b"1.2.3.4", 80, {"proto": socket.IPPROTO_TCP}),
    ("127.1", 80, {"type": socket.SOCK_STREAM}),
    ("::1", 80, {"family": socket.AF_INET6, "type": socket.SOCK_STREAM}),
    ("::ffff:1.2.3.4", 80, {"type": socket.SOCK_STREAM}),
    ("1.2.3.4", 80, {"flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV}),
    ("1.2.3.4", 80, {"flags": socket.AI_CANONNAME}),
    ("1.2.3.4", 80, {"family": socket.AF_INET6, "flags": socket.AI_V4MAPPED}),
    (None, 80, {"type": socket.SOCK_STREAM}),
    (None, 80, {"type": socket.SOCK_STREAM, "flags": socket.AI_PASSIVE}),
]


class TestNumbers:
    """What needs no DNS is exactly the system's."""

    @pytest.mark.parametrize(("host", "port", "options"), NUMERIC)
    def test_rows(self, host: Any, port: Any, options: dict[str, Any]) -> None:
        """The rows are those of socket.getaddrinfo(), and the module is not asked."""

        @virtual
        async def check() -> None:
            async with routed() as bench:
                expected = socket.getaddrinfo(host, port, **options)
                assert await ask(host, port, **options) == expected
                assert not any("QIDNSGIP" in line for line in bench.commands)

        check()

    @pytest.mark.parametrize(
        ("host", "port", "options", "code"),
        [
            (NAME, 80, {"flags": socket.AI_NUMERICHOST}, socket.EAI_NONAME),
            (NAME, "nosuchservice", {"type": socket.SOCK_STREAM}, socket.EAI_SERVICE),
            ("1.2.3.4", "nosuchservice", {"type": socket.SOCK_STREAM}, socket.EAI_SERVICE),
            ("1.2.3.4", 80, {"family": socket.AF_INET6}, socket.EAI_ADDRFAMILY),
            ("1.2.3.4", "http", {"flags": socket.AI_NUMERICSERV}, socket.EAI_NONAME),
            (NAME, 80, {"family": 999}, socket.EAI_FAMILY),
            (NAME, 80, {"type": 99}, socket.EAI_SOCKTYPE),
            (None, None, {}, socket.EAI_NONAME),
        ],
    )
    def test_errors(self, host: Any, port: Any, options: dict[str, Any], code: int) -> None:
        """Errors have the system's codes, and come before the module is asked."""

        @virtual
        async def check() -> None:
            async with routed() as bench:
                with pytest.raises(socket.gaierror) as raised:
                    await ask(host, port, **options)
                assert raised.value.errno == code
                assert not any("QIDNSGIP" in line for line in bench.commands)

        check()


class TestModuleNames:
    """Names are the module's."""

    @virtual
    async def test_rows_are_those_of_the_addresses(self) -> None:
        """Each address gives the rows that the system gives for it."""
        async with routed():
            expected = socket.getaddrinfo(FOUR_A, "http") + socket.getaddrinfo(FOUR_B, "http")
            assert await ask(NAME, "http") == expected
            assert await ask(NAME.encode(), "http") == expected

    @virtual
    async def test_families(self) -> None:
        """Only addresses of the family asked for come back, or mapped ones."""
        async with routed():
            assert addresses(await ask(BOTH)) == [SIX_A, FOUR_A]
            assert addresses(await ask(BOTH, family=socket.AF_INET)) == [FOUR_A]
            assert addresses(await ask(BOTH, family=socket.AF_INET6)) == [SIX_A]
            mapped = await ask(NAME, family=socket.AF_INET6, flags=socket.AI_V4MAPPED)
            assert addresses(mapped) == [f"::ffff:{FOUR_A}", f"::ffff:{FOUR_B}"]
            with pytest.raises(socket.gaierror) as raised:
                await ask(SIX, family=socket.AF_INET)
            assert raised.value.errno == socket.EAI_NODATA

    @virtual
    async def test_flags(self) -> None:
        """The canonical name is the one asked for; this machine's own addresses don't matter."""
        async with routed():
            rows = await ask(NAME, flags=socket.AI_CANONNAME, type=socket.SOCK_STREAM)
            assert [row[3] for row in rows] == [NAME, ""]
            assert addresses(await ask(SIX, flags=socket.AI_ADDRCONFIG)) == [SIX_A]

    @virtual
    async def test_long_and_international_names(self) -> None:
        """A name of over 50 bytes resolves, and one that is not ASCII goes out in IDNA."""
        async with routed() as bench:
            assert addresses(await ask(LONG)) == [FOUR_A]
            assert addresses(await ask("münchen.example")) == [FOUR_B]
            assert any('"xn--mnchen-3ya.example"' in line for line in bench.commands)

    @virtual
    async def test_unknown_names(self) -> None:
        """A name without an address, and what can't be a name, is EAI_NONAME."""
        async with routed():
            for host in ("nobody.example", "two words", 'quo"te', "x" * 300, "ü" * 80):
                with pytest.raises(socket.gaierror) as raised:
                    await ask(host)
                assert raised.value.errno == socket.EAI_NONAME

    @virtual
    async def test_bypassed_names(self) -> None:
        """A bypassed name is asked of the ordinary network, and its addresses are bypassed."""
        async with Bench() as bench:
            modem, ordinary = await bench.open(), Ordinary()
            loop = asyncio.get_running_loop()

            async def nas(*_args: Any, **_options: Any) -> Any:
                ordinary.calls.append(("getaddrinfo", ()))
                return socket.getaddrinfo("192.168.1.5", 80, type=socket.SOCK_STREAM)

            loop.getaddrinfo = nas  # type: ignore[method-assign]
            with modem.installed(bypass=(".lan",)), nothing_leaves():
                assert addresses(await ask("nas.lan")) == ["192.168.1.5"]
                made: Any = await loop.create_connection(asyncio.Protocol, "192.168.1.5", 80)
                assert made == "ordinary create_connection"
                await asyncio.sleep(LEARNED_S + 1)  # by now it may be another host's
                with pytest.raises(ConnectionError):
                    await loop.create_connection(asyncio.Protocol, "192.168.1.5", 80)
            assert ordinary.names == ["getaddrinfo", "create_connection"]


class TestNamesOfAddresses:
    """getnameinfo() asks nobody."""

    @virtual
    async def test_numbers(self) -> None:
        """An address stands for itself; services have names."""
        loop = asyncio.get_running_loop()
        async with routed(bypass=()):
            assert await loop.getnameinfo((FOUR_A, 80)) == (FOUR_A, "http")
            assert await loop.getnameinfo((SIX_A, 80, 0, 0), socket.NI_NUMERICSERV) == (
                SIX_A,
                "80",
            )

    @virtual
    async def test_a_name_is_required(self) -> None:
        """The module has no question for the name of an address."""
        async with routed():
            with pytest.raises(socket.gaierror, match="can't look up"):
                await asyncio.get_running_loop().getnameinfo((FOUR_A, 80), socket.NI_NAMEREQD)

    @virtual
    async def test_bypassed_addresses(self) -> None:
        """What is bypassed, or asked for as numbers, is the loop's own business."""
        async with Bench() as bench:
            modem, ordinary = await bench.open(), Ordinary()
            with modem.installed():
                loop = asyncio.get_running_loop()
                await loop.getnameinfo(("127.0.0.1", 80))
                await loop.getnameinfo((FOUR_A, 80), socket.NI_NUMERICHOST)
            assert ordinary.names == ["getnameinfo"] * 2
