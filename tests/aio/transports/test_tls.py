"""TLS: the arguments, and what counts as a goodbye."""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from typing import Any
from unittest.mock import create_autospec

import pytest

from aiobc9x.aio.transports.tls import HANDSHAKE_TIMEOUT_S, is_only_goodbye, make_context
from tests.support.bench import HOST, PORT, Bench
from tests.support.clock import running, virtual


class TestContext:
    """``ssl=`` as asyncio reads it."""

    def test_none_and_false(self) -> None:
        """No TLS."""
        assert make_context(None, None) is None
        assert make_context(False, None) is None

    def test_true(self) -> None:
        """The default context, which checks certificates and names."""
        context = make_context(True, None)
        assert context is not None
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED

    def test_given(self) -> None:
        """A context is taken as it is."""
        context = ssl.create_default_context()
        assert make_context(context, "server.example") is context

    def test_name_without_tls(self) -> None:
        """asyncio's own error."""
        with pytest.raises(ValueError, match="only meaningful with ssl"):
            make_context(None, "server.example")

    @pytest.mark.parametrize("wrong", ["yes", 1, object()])
    def test_something_else(self, wrong: Any) -> None:
        """A TypeError that shows it."""
        with pytest.raises(TypeError, match=r"must be an ssl\.SSLContext or a bool"):
            make_context(wrong, None)


class TestGoodbye:
    """What may stay unsent without a loss."""

    ALERT = bytes([21, 3, 3, 0, 26]) + bytes(26)
    HIDDEN_ALERT = bytes([23, 3, 3, 0, 19]) + bytes(19)
    DATA = bytes([23, 3, 3, 0, 40]) + bytes(40)

    @pytest.mark.parametrize(
        ("unsent", "expected"),
        [
            (ALERT, True),
            (HIDDEN_ALERT, True),
            (DATA, False),
            (DATA + HIDDEN_ALERT, False),
            (ALERT[:-1], False),
            (ALERT[:5], False),
            (b"", False),
        ],
    )
    def test_records(self, unsent: bytes, expected: bool) -> None:
        """One alert and no more, behind TLS."""
        secured = create_autospec(SSLProtocol, instance=True)
        assert is_only_goodbye(secured, unsent) is expected

    def test_plain_protocol(self) -> None:
        """The same bytes without TLS are data."""
        assert not is_only_goodbye(asyncio.Protocol(), self.ALERT)


@virtual
async def test_handshake_has_time() -> None:
    """180 s, three times asyncio's default; then the socket is closed."""
    async with Bench() as bench:
        modem = await bench.open()
        began = running().now
        with pytest.raises(ConnectionAbortedError, match="handshake is taking longer"):
            await modem.open_connection(HOST, PORT, ssl=True)
        assert running().now - began == pytest.approx(HANDSHAKE_TIMEOUT_S, abs=1)
        await asyncio.sleep(1)
        assert bench.open_ids == []


@virtual
async def test_timeout_names_the_handshake() -> None:
    """The whole call's timeout covers TLS."""
    async with Bench() as bench:
        modem = await bench.open()
        with pytest.raises(TimeoutError, match="in the TLS handshake"):
            await modem.open_connection(HOST, PORT, ssl=True, timeout=10)
        await asyncio.sleep(1)
        assert bench.open_ids == []


@virtual
async def test_peer_that_speaks_no_tls() -> None:
    """An SSLError, and the socket is closed."""
    async with Bench() as bench:
        modem = await bench.open()
        bench.network.serve_tcp(443, lambda peer: peer.send(b"220 smtp.example ready\r\n"))
        with pytest.raises(ssl.SSLError):
            await modem.open_connection(HOST, 443, ssl=True)
        await asyncio.sleep(1)
        assert bench.open_ids == []


@virtual
async def test_peer_that_closes_in_the_handshake() -> None:
    """A ConnectionResetError, as asyncio gives it."""
    async with Bench() as bench:
        modem = await bench.open()
        bench.network.serve_tcp(443, lambda peer: peer.close())
        with pytest.raises(ConnectionResetError):
            await modem.open_connection(HOST, 443, ssl=True)
        await asyncio.sleep(1)
        assert bench.open_ids == []
