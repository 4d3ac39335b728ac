"""A device that is missing, busy, forbidden, silent or no modem, and a line that breaks."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import socket
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import aiobc9x
from aiobc9x.sim.links import VirtualModule
from tests.conftest import new_tasks
from tests.support.bench import HOST, PORT, Bench
from tests.support.clock import running, virtual
from tests.support.loopback import LOOPBACK, echo, exchange, server

NOBODY = 65534


class Pty:
    """A pseudo terminal without a module; the master's end is ours."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)

    def close(self) -> None:
        """Close both ends."""
        for fd in (self.master, self._slave):
            os.close(fd)

    def __enter__(self) -> Pty:
        """Return the pty itself."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close both ends."""
        self.close()


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user who may open no device: root, who may open any, steps down for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


class TestBadInput:
    """One clear exception, and nothing left behind.

    How long each may take is tested under the virtual clock, in tests/aio/bringup.

    That no task and no file descriptor is left is checked behind each test here, as
    behind every asynchronous test.
    """

    async def refused(
        self, address: str, error: type[Exception], match: str, **settings: Any
    ) -> None:
        """Show that opening fails as it should, and leaves no task even for a moment."""
        before = asyncio.all_tasks()
        with pytest.raises(error, match=match) as caught:
            await aiobc9x.open_modem(address, **settings)
        assert isinstance(caught.value, aiobc9x.ModemError | ValueError)
        assert not new_tasks(before)

    async def test_missing_device(self) -> None:
        """The device is named, and the plug."""
        match = r"no serial device /dev/ttyNONE7; is the module plugged in\?"
        await self.refused("/dev/ttyNONE7", aiobc9x.PortNotFound, match)
        await self.refused("/dev/ttyNONE7", FileNotFoundError, match)

    async def test_file_that_is_no_device(self, tmp_path: Path) -> None:
        """A regular file is no serial port."""
        path = tmp_path / "file"
        path.touch()
        await self.refused(str(path), aiobc9x.LinkLost, "can't open .* as a serial port")
        await self.refused(str(tmp_path), aiobc9x.LinkLost, "can't open .* as a serial port")

    async def test_silent_device(self) -> None:
        """A device that never answers."""
        with Pty() as pty:
            match = "nothing came from .*; check that the module is powered"
            await self.refused(pty.path, aiobc9x.LinkTimeout, match, sync_timeout=1)

    async def test_noisy_device(self) -> None:
        """A device that says something, but nothing that a modem would."""
        with Pty() as pty:
            loop = asyncio.get_running_loop()

            def answer() -> None:
                os.read(pty.master, 4096)
                os.write(pty.master, bytes(range(128, 200)) + b"\r\n")

            loop.add_reader(pty.master, answer)
            match = "bytes came from .*, but no answer to AT; check the speed"
            await self.refused(pty.path, aiobc9x.LinkTimeout, match, sync_timeout=3)
            loop.remove_reader(pty.master)

    async def test_busy_port(self) -> None:
        """Another program has locked the device."""
        with Pty() as pty:
            fd = os.open(pty.path, os.O_RDWR | os.O_NOCTTY)
            fcntl.flock(fd, fcntl.LOCK_EX)
            match = f"{pty.path} is in use by another program; close that one first"
            await self.refused(pty.path, aiobc9x.PortBusy, match)
            os.close(fd)

    async def test_second_modem_on_one_port(self) -> None:
        """Our own lock keeps others out, and goes with the modem."""
        async with VirtualModule() as module:
            path = await module.start_pty()
            async with aiobc9x.open_modem(path) as modem:
                await self.refused(path, aiobc9x.PortBusy, "in use by another program")
                assert await modem.command("AT+CGMM") == ["BC65"]
            async with aiobc9x.open_modem(path) as modem:
                assert await modem.command("AT+CGMM") == ["BC65"]

    async def test_no_permission(self) -> None:
        """The device's group is the cure."""
        with Pty() as pty:
            await asyncio.to_thread(os.chmod, pty.path, 0)
            with nobody():
                await self.refused(pty.path, aiobc9x.PortDenied, "no permission .* dialout")

    @virtual
    async def test_no_network_in_time(self) -> None:
        """The stage is named, and what to check; no call takes longer than it may."""
        async with Bench(register_time=60) as bench:
            modem = await bench.open()
            began = running().now
            match = r"registering on the network: .*searching; check SIM, antenna, coverage"
            with pytest.raises(aiobc9x.StageTimeout, match=match):
                await modem.wait_ready(0.5)
            assert running().now - began == pytest.approx(0.5, abs=0.01)
            with pytest.raises(aiobc9x.StageTimeout, match="the network"):
                await modem.open_connection(HOST, PORT, timeout=0.5)
            assert running().now - began == pytest.approx(1, abs=0.02)

    async def test_port_closed_in_mid_transfer(self) -> None:
        """A pulled plug ends every connection and every call, at once."""
        async with server(echo) as port, VirtualModule() as module:
            path = await module.start_pty()
            async with aiobc9x.open_modem(path, reconnect=None) as modem:
                reader, writer = await modem.open_connection(LOOPBACK, port)
                writer.write(bytes(200_000))
                await reader.readexactly(1000)
                pending = asyncio.create_task(modem.wait_ready())
                reading = asyncio.create_task(reader.read())
                await module.aclose()
                with pytest.raises(aiobc9x.LinkLost, match="is lost"):
                    await reading
                with pytest.raises(aiobc9x.LinkLost, match="is lost"):
                    await writer.drain()
                with pytest.raises(aiobc9x.LinkLost, match="is lost"):
                    await modem.command("AT")
                await asyncio.wait([pending])

    async def test_dead_serial_server(self) -> None:
        """``socket://`` to a port where nobody listens."""
        with socket.socket() as bound:
            bound.bind((LOOPBACK, 0))
            address = f"socket://{LOOPBACK}:{bound.getsockname()[1]}"
            match = f"can't connect to the serial server {address}"
            await self.refused(address, aiobc9x.LinkLost, match)

    async def test_serial_server_that_hangs_up(self) -> None:
        """``socket://`` to something that closes at once."""

        async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            """Do nothing; the server closes then."""

        async with server(hang_up) as port:
            address = f"socket://{LOOPBACK}:{port}"
            await self.refused(address, aiobc9x.LinkLost, "the other end closed it")

    @pytest.mark.parametrize(
        ("address", "match"),
        [
            ("socket://", "lacks a host or a port; write socket://host:port"),
            ("socket://host", "lacks a host or a port"),
            ("socket://host:port", "write socket://host:port"),
            ("socket://host:99999", "write socket://host:port"),
            ("http://host:1", r"the scheme http:// is not supported; use a device"),
            ("telnet://host:1", "not supported"),
            ("rfc2217://host", "lacks a host or a port; write rfc2217://host:port"),
            ("sim://?latency=x", "bad parameter latency='x'"),
            ("sim://?colour=blue", "bad parameter colour='blue'.*known:.*latency"),
            ("sim://host", "expected sim://"),
            ("", "address"),
            ("192.0.2.1:3000", "for a serial server write socket://192.0.2.1:3000"),
            ("[::1]:3000", r"for a serial server write socket://\[::1\]:3000"),
        ],
    )
    async def test_malformed_addresses(self, address: str, match: str) -> None:
        """A ValueError says what an address looks like."""
        await self.refused(address, ValueError, match)

    async def test_serial_server(self) -> None:
        """``socket://`` to a serial server works as a device does."""
        async with server(echo) as port, VirtualModule() as module:
            address = f"socket://{LOOPBACK}:{await module.start_tcp()}"
            async with aiobc9x.open_modem(address) as modem:
                await exchange(modem, port, random.Random(5).randbytes(5000))
