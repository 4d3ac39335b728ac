"""Mistakes in calls: each is refused before anything is sent, and named."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import aiobc9x
from aiobc9x.aio.arguments import (
    check_callable,
    check_flag,
    check_integer,
    check_positive_seconds,
    check_seconds,
    check_text,
    member,
)
from aiobc9x.spec import AccessMode
from tests.support.bench import ADDRESS, HOST, PORT, Bench
from tests.support.clock import virtual

NAN = math.nan

OF_OPEN_MODEM: list[tuple[str, Any, str]] = [
    ("baudrate", "115200", "must be an integer, not '115200'"),
    ("baudrate", 9600.0, "must be an integer, not 9600.0"),
    ("baudrate", True, "must be an integer, not True"),
    ("bytesize", "8", "must be an integer, not '8'"),
    ("rtscts", "no", "must be True or False, not 'no'"),
    ("xonxoff", "no", "must be True or False, not 'no'"),
    ("dsrdtr", None, "must be True or False, not None"),
    ("exclusive", 2, "must be True or False, not 2"),
    ("dtr", "up", "must be True or False, not 'up'"),
    ("rts", 1.0, "must be True or False, not 1.0"),
    ("context_id", "1", "must be an integer, not '1'"),
    ("context_id", 1.0, "must be an integer, not 1.0"),
    ("sync_timeout", "5", "must be a number of seconds, not '5'"),
    ("sync_timeout", None, "must be a number of seconds, not None"),
    ("timeout", "5", "must be a number of seconds, not '5'"),
    ("pin", 1234, "must be str, not int"),
    ("pin", b"1234", "must be str, not bytes"),
    ("receive_hex", "yes", "must be True or False, not 'yes'"),
    ("open_time", "5", "must be an integer, not '5'"),
    ("allow_sleep", "no", "must be True or False, not 'no'"),
    ("read_ahead_bytes", "1", "must be an integer, not '1'"),
    ("poll_interval", "1", "must be a number of seconds, not '1'"),
    ("poll_interval", None, "must be a number of seconds, not None"),
    ("state_interval", [1], "must be a number of seconds, not list"),
    ("send_form", ["auto"], "must be str, not list"),
]
"""Arguments of another type, and what is said."""


@pytest.mark.parametrize(("name", "value", "said"), OF_OPEN_MODEM)
def test_types_of_open_modem(name: str, value: object, said: str) -> None:
    """The first word is the argument's name; a PIN isn't repeated."""
    arguments: dict[str, Any] = {name: value}
    with pytest.raises(TypeError) as caught:
        aiobc9x.open_modem(ADDRESS, **arguments)
    assert str(caught.value) == f"{name} {said}"


@pytest.mark.parametrize("timeout", [0, -1, NAN])
def test_an_opening_takes_time(timeout: float) -> None:
    """0 s would never do."""
    with pytest.raises(ValueError, match=r"^timeout is "):
        aiobc9x.open_modem(ADDRESS, timeout=timeout)


Call = Callable[[Any], Awaitable[Any]]
"""A call of a modem (``Any``: it has arguments that its types forbid)."""

TCP = (asyncio.Protocol, HOST, PORT)
UDP = (asyncio.DatagramProtocol, None, (HOST, PORT))

_HANDSHAKE: dict[str, Any] = {"ssl_handshake_timeout": "5"}
_SHUTDOWN: dict[str, Any] = {"ssl_shutdown_timeout": "5"}

OF_METHODS: list[tuple[str, Call]] = [
    ("timeout must", lambda m: m.open_connection(HOST, PORT, timeout="5")),
    ("timeout is nan", lambda m: m.open_connection(HOST, PORT, timeout=NAN)),
    ("host must", lambda m: m.open_connection(5, PORT)),
    ("port must", lambda m: m.open_connection(HOST, "80")),
    ("limit must", lambda m: m.open_connection(HOST, PORT, limit="5")),
    ("limit is 0", lambda m: m.open_connection(HOST, PORT, limit=0)),
    ("local_port must", lambda m: m.open_connection(HOST, PORT, local_port="5")),
    ("local_addr must", lambda m: m.open_connection(HOST, PORT, local_addr=("", "5"))),
    ("ssl must", lambda m: m.open_connection(HOST, PORT, ssl="yes")),
    ("server_hostname must", lambda m: m.create_connection(*TCP, ssl=True, server_hostname=5)),
    ("ssl_handshake_timeout must", lambda m: m.create_connection(*TCP, ssl=True, **_HANDSHAKE)),
    ("ssl_shutdown_timeout must", lambda m: m.create_connection(*TCP, ssl=True, **_SHUTDOWN)),
    ("protocol_factory must", lambda m: m.create_connection(asyncio.Protocol(), HOST, PORT)),
    ("protocol_factory must", lambda m: m.create_datagram_endpoint(None, None, (HOST, PORT))),
    ("remote_addr must", lambda m: m.create_datagram_endpoint(*UDP[:2], (HOST, "80"))),
    ("remote_addr must", lambda m: m.create_datagram_endpoint(*UDP[:2], (None, PORT))),
    ("timeout must", lambda m: m.create_datagram_endpoint(*UDP, timeout="5")),
    ("protocol_factory must", lambda m: m.create_server(None, PORT)),
    ("port must", lambda m: m.create_server(asyncio.Protocol, "80")),
    ("timeout must", lambda m: m.create_server(asyncio.Protocol, PORT, timeout="5")),
    ("client_connected_cb must", lambda m: m.start_server(None, PORT)),
    ("limit must", lambda m: m.start_server(print, PORT, limit=1.5)),
    ("timeout must", lambda m: m.wait_ready("5")),
    ("timeout must", lambda m: m.wait_ready(None)),
    ("line must", lambda m: m.command(b"AT")),
    ("data must", lambda m: m.command("AT+QISEND=5,2", data="xx")),
    ("timeout must", lambda m: m.command("AT", timeout="5")),
    ("timeout is 0", lambda m: m.command("AT", timeout=0)),
    ("host must", lambda m: m.resolve(None)),
    ("timeout must", lambda m: m.ping(HOST, timeout="4")),
    ("count must", lambda m: m.ping(HOST, count="4")),
    ("size_bytes must", lambda m: m.ping(HOST, size_bytes="32")),
    ("server must", lambda m: m.ntp_time(5)),
    ("port must", lambda m: m.ntp_time(HOST, port="123")),
    ("set_clock must", lambda m: m.ntp_time(HOST, set_clock="yes")),
    ("pin must", lambda m: m.set_pin(1234)),
    ("pin must", lambda m: m.set_pin(None)),
    ("apn must", lambda m: m.set_apn(None)),
    ("pdp_type must", lambda m: m.set_apn("internet", pdp_type=4)),
    ("context_id must", lambda m: m.socket_states(context_id="1")),
    ("connect_id must", lambda m: m.socket_states(connect_id=9)),
    ("primary must", lambda m: m.set_dns_servers(None)),
    ("secondary must", lambda m: m.set_dns_servers("1.1.1.1", 5)),
    ("receive_hex must", lambda m: m.configure(receive_hex="yes")),
    ("show_length must", lambda m: m.configure(show_length="no")),
    ("view_mode is 'x'", lambda m: m.configure(view_mode="x")),
    ("open_time must", lambda m: m.configure(open_time=2.0)),
    ("transport must", lambda m: m.set_access_mode(None, AccessMode.PUSH)),
    ("host must", lambda m: m.serve_proxy(5)),
    ("port must", lambda m: m.serve_proxy(port="1080")),
    ("forwards must", lambda m: m.serve_proxy(forwards=5)),
    ("forwards must", lambda m: m.serve_proxy(forwards={80: "x"})),
    ("each of forwards must", lambda m: m.serve_proxy(forwards=[5])),
    ("allow_remote must", lambda m: m.serve_proxy(allow_remote="no")),
    ("handshake_timeout must", lambda m: m.serve_proxy(handshake_timeout=None)),
    ("connect_timeout must", lambda m: m.serve_proxy(connect_timeout="5")),
    ("linger must", lambda m: m.serve_proxy(linger=None)),
    ("health_path must", lambda m: m.serve_proxy(health_path=5)),
]
"""How a message begins, and the call that it is for."""


@virtual
async def test_arguments_of_every_method() -> None:
    """The argument is named, nothing is sent, and the modem goes on."""
    async with Bench() as bench:
        modem = await bench.open()
        await modem.wait_ready()
        sent = len(bench.commands)
        for said, call in OF_METHODS:
            with pytest.raises((TypeError, ValueError), match=f"^{said} ?"):
                await call(modem)
            assert len(bench.commands) == sent, said
        assert await modem.command("AT+CGMM") == ["BC65"]


@pytest.mark.parametrize("value", ["push", 9, None])
@virtual
async def test_access_modes_are_listed(value: Any) -> None:
    """Wherever one may be given."""
    match = rf"is {value!r}: use AccessMode\.BUFFER or AccessMode\.PUSH$"
    async with Bench() as bench:
        modem = await bench.open()
        _, writer = await bench.streams()
        with pytest.raises(ValueError, match=f"^access_mode {match}"):
            await modem.open_connection(HOST, PORT, access_mode=value)
        with pytest.raises(ValueError, match=f"^access_mode {match}"):
            await modem.create_datagram_endpoint(*UDP, access_mode=value)
        with pytest.raises(ValueError, match=f"^mode {match}"):
            await modem.set_access_mode(writer.transport, value)


@virtual
async def test_what_installed_takes() -> None:
    """Entries of ``bypass`` have their own tests."""
    async with Bench() as bench:
        modem: Any = await bench.open()  # whose types forbid these
        with pytest.raises(TypeError, match=r"^strict must be True or False, not 'no'$"):
            modem.installed(strict="no")
        with pytest.raises(TypeError, match=r"^bypass must be several entries, not 5$"):
            modem.installed(bypass=5)


class TestChecks:
    """What fits passes."""

    @pytest.mark.parametrize("value", [0, -1, 0.5, math.inf])
    def test_seconds(self, value: float) -> None:
        """Time that is up at once is time."""
        check_seconds("timeout", value)

    def test_positive_seconds(self) -> None:
        """More than none."""
        check_positive_seconds("timeout", 0.001)
        with pytest.raises(ValueError, match=r"^timeout is -1: use more than 0 s$"):
            check_positive_seconds("timeout", -1)

    def test_integers(self) -> None:
        """From the least on."""
        check_integer("count", -5)
        check_integer("count", 3, 3)
        with pytest.raises(ValueError, match=r"^count is 2: use at least 3$"):
            check_integer("count", 2, 3)

    @pytest.mark.parametrize("value", [True, False, 0, 1])
    def test_flags(self, value: int) -> None:
        """1 and 0 are what they mean."""
        check_flag("strict", value)

    def test_texts_and_callables(self) -> None:
        """Any of them."""
        check_text("apn", "")
        check_callable("protocol_factory", asyncio.Protocol)

    def test_members(self) -> None:
        """By themselves, or by their numbers."""
        assert member("mode", AccessMode, AccessMode.PUSH) is AccessMode.PUSH
        assert member("mode", AccessMode, 0) is AccessMode.BUFFER

    def test_long_values_are_not_shown(self) -> None:
        """Their type is enough."""
        with pytest.raises(TypeError, match=r"^timeout must be a number of seconds, not str$"):
            check_seconds("timeout", "5" * 100)
