"""Ports that serialx opens: devices of this machine, and what it can't open."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any

import pytest

import aiobc9x
from aiobc9x.aio.line import link as link_module
from aiobc9x.aio.line.link import is_there, open_link
from aiobc9x.aio.line.serial_settings import SerialSettings
from aiobc9x.sim.links import VirtualModule
from tests.support.loopback import echo, exchange, server

serialx = pytest.importorskip("serialx")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ptys are POSIX's")

DATA = bytes(range(256)) * 40


@pytest.mark.parametrize("named", [True, False], ids=["serialx://", "as on Windows"])
async def test_a_device(named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte value, both ways; by its scheme, or where pyserial-asyncio is no good."""
    monkeypatch.setattr(link_module, "SERIALX_OPENS_DEVICES", not named)
    async with VirtualModule() as module, server(echo) as port:
        device = await module.start_pty()
        async with aiobc9x.open_modem(f"serialx://{device}" if named else device) as modem:
            transport = modem._driver.link._transport
            assert isinstance(transport, serialx.BaseSerialTransport)
            await exchange(modem, port, DATA)
            assert modem.statistics.damages == modem.statistics.recoveries == 0


async def test_the_speed_of_a_device() -> None:
    """It is that of the settings, and can be changed, so that speeds can be tried."""
    async with VirtualModule() as module:
        address = f"serialx://{await module.start_pty()}"
        link = await open_link(address, SerialSettings(baudrate=9600))
        assert link.has_speed
        assert link.hangs_up
        assert link._transport.baudrate == 9600
        await link.set_baudrate(57600)
        assert link._transport.baudrate == 57600
        await link.aclose()


async def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    """It is waited for as any other."""
    address = f"serialx://{tmp_path}/tty"
    assert not await is_there(address)
    with pytest.raises(aiobc9x.PortNotFound, match="is the module plugged in"):
        await open_link(address, SerialSettings())


async def test_a_device_that_ends() -> None:
    """The loss is reported, so that the modem can come back."""
    async with VirtualModule() as module:
        device = await module.start_pty()
        modem = await aiobc9x.open_modem(f"serialx://{device}", reconnect=None)
        await module.aclose()
        with pytest.raises(aiobc9x.LinkLost):
            await modem.command("AT")
        await modem.aclose()


async def test_settings_that_a_port_can_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the caller's mistake."""

    async def refused(*_arguments: Any, **_options: Any) -> Any:
        raise serialx.UnsupportedSetting("no such parity")

    monkeypatch.setattr(serialx, "create_serial_connection", refused)
    with pytest.raises(ValueError, match="can't be set like this: no such parity"):
        await open_link("rfc2217://192.0.2.1:2000", SerialSettings(parity="S"))


@pytest.mark.parametrize("address", ["rfc2217://gateway.example:2000", "serialx://COM3"])
async def test_without_serialx(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setitem(sys.modules, "serialx", None)
    monkeypatch.delitem(sys.modules, "aiobc9x.aio.line.serialx_port", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'aiobc9x\[serialx\]'") as caught:
        await aiobc9x.open_modem(address)
    assert address in str(caught.value)


async def test_without_the_package_of_a_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """serialx knows ESPHome only with another package; it says what to install."""
    unknown_scheme = type("UnknownUriScheme", (serialx.SerialException,), {})

    async def unknown(*_arguments: Any, **_options: Any) -> Any:
        raise unknown_scheme("esphome://")

    monkeypatch.setattr(serialx, "create_serial_connection", unknown)
    with pytest.raises(ImportError, match=r"pip install 'serialx\[esphome\]'"):
        await aiobc9x.open_modem("esphome://192.0.2.1:6053/")


async def test_what_serialx_says_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and the device is tried again like any that can't be reached."""

    async def refused(*_arguments: Any, **_options: Any) -> Any:
        raise serialx.SerialException("Server refused COM-PORT-OPTION")

    monkeypatch.setattr(serialx, "create_serial_connection", refused)
    with pytest.raises(aiobc9x.LinkLost, match="Server refused COM-PORT-OPTION"):
        await aiobc9x.open_modem("rfc2217://192.0.2.1:2000")


@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        OSError(errno.EIO, "RFC 2217 connection closed by server"),
        RuntimeError("Transport not connected"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_server_that_sends_everybody_away(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of the two is quicker, it is told in the same words."""

    async def ended(*_arguments: Any, **_options: Any) -> Any:
        raise error

    monkeypatch.setattr(serialx, "create_serial_connection", ended)
    with pytest.raises(aiobc9x.LinkLost, match="ended the connection while it was set up"):
        await aiobc9x.open_modem("rfc2217://192.0.2.1:2000")


async def test_a_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of an ESPHome device has its key, and no message has."""

    async def refused(*_arguments: Any, **_options: Any) -> Any:
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(serialx, "create_serial_connection", refused)
    address = "esphome://192.0.2.1:6053/?port_name=modem&key=c2VjcmV0&password=hidden"
    with pytest.raises(aiobc9x.LinkLost) as caught:
        await aiobc9x.open_modem(address)
    assert "port_name=modem" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("c2VjcmV0", "hidden"))
