"""Link: devices, serial servers and sim://, opened and closed without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import random
import struct
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from unittest.mock import patch

import pytest
import serial

import aiobc9x
from aiobc9x.aio.line import link as link_module
from aiobc9x.aio.line.link import CONNECT_LIMIT_S, Link, open_link
from aiobc9x.aio.line.serial_settings import SerialSettings
from aiobc9x.sim.links import VirtualModule
from tests.support.bench import ADDRESS, plugged_in
from tests.support.clock import running, virtual
from tests.support.scripted import ScriptedDevice, parrot

SETTINGS = SerialSettings()

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ptys are POSIX's")


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    """The master of a raw pty, and the name of its device."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    yield master, os.ttyname(slave)
    for fd in (master, slave):
        os.close(fd)


@contextlib.contextmanager
def opening_slowly(wait: Callable[[], object]) -> Iterator[list[serial.Serial]]:
    """Have ports take their time to open; the ports that have, in order."""
    really_open = serial.Serial.open
    ports: list[serial.Serial] = []

    def slowly(port: serial.Serial) -> None:
        wait()
        really_open(port)
        ports.append(port)

    with patch.object(serial.Serial, "open", slowly):
        yield ports


class Taken:
    """What a link has handed over.

    Attributes:
        data: The bytes.
        lost: Why the link is gone; more than one reason would be a bug.

    """

    def __init__(self, link: Link) -> None:
        self.data = b""
        self.lost: list[str] = []
        self._came = asyncio.Event()
        link.start(self._on_data, self._on_lost)

    def _on_data(self, data: bytes) -> None:
        assert not self.lost
        self.data += data
        self._came.set()

    def _on_lost(self, reason: str) -> None:
        self.lost.append(reason)
        self._came.set()

    async def until(self, is_enough: Callable[[], bool]) -> None:
        """Wait for more until it is enough."""
        while not is_enough():
            self._came.clear()
            await self._came.wait()


async def written(master: int, size_bytes: int) -> bytes:
    """Take what a link writes until there are so many bytes."""
    received = b""
    while len(received) < size_bytes:
        with contextlib.suppress(BlockingIOError):
            received += os.read(master, 4096)
        await asyncio.sleep(0)
    return received


async def read(link: Link, size_bytes: int) -> bytes:
    """Take what comes until there are so many bytes."""
    taken = Taken(link)
    await taken.until(lambda: len(taken.data) >= size_bytes)
    return taken.data


async def read_ok(link: Link) -> None:
    """Take what comes until the module has said OK."""
    taken = Taken(link)
    await taken.until(lambda: b"OK" in taken.data)


async def read_end(link: Link) -> str:
    """Wait until the link is gone; return what it says."""
    taken = Taken(link)
    await taken.until(lambda: bool(taken.lost))
    return taken.lost[0]


class TestErrors:
    """What the system says, as one clear exception."""

    @pytest.mark.parametrize(
        ("exc", "error", "match"),
        [
            (OSError(errno.ENOENT, "x"), aiobc9x.PortNotFound, r"plugged in\?"),
            (OSError(errno.EACCES, "x"), aiobc9x.PortDenied, "add the user to the .* dialout"),
            (OSError(errno.EPERM, "x"), aiobc9x.PortDenied, "no permission"),
            (OSError(errno.EBUSY, "x"), aiobc9x.PortBusy, "close that one first"),
            (OSError(errno.EAGAIN, "x"), aiobc9x.PortBusy, "in use by another program"),
            (
                serial.SerialException(errno.EAGAIN, "Could not exclusively lock port"),
                aiobc9x.PortBusy,
                "in use",
            ),
            (serial.SerialException("Could not exclusively lock"), aiobc9x.PortBusy, "in use"),
            (termios.error(errno.ENOTTY, "ioctl"), aiobc9x.LinkLost, "as a serial port"),
            (OSError(errno.EIO, "Input/output error"), aiobc9x.LinkLost, "Input/output error"),
        ],
    )
    async def test_each_errno(self, exc: Exception, error: type[Exception], match: str) -> None:
        """The class is what asyncio callers catch; the message says what to do."""
        with (
            patch.object(serial.Serial, "open", side_effect=exc),
            pytest.raises(error, match=match) as caught,
        ):
            await open_link("/dev/tty", SETTINGS)
        assert type(caught.value) is error
        assert "/dev/tty" in str(caught.value)
        assert caught.value.__cause__ is exc

    async def test_bug_while_opening_is_not_disguised(self) -> None:
        """Only what the system says is translated."""
        with (
            patch.object(serial.Serial, "open", side_effect=ZeroDivisionError),
            pytest.raises(ZeroDivisionError),
        ):
            await open_link("/dev/tty", SETTINGS)

    @virtual
    async def test_serial_server_that_never_accepts(self) -> None:
        """The wait is bounded, and the message says so."""
        loop = running()
        began = loop.now
        never = loop.create_future()
        with (
            patch.object(loop, "create_connection", new=lambda *_: never),
            pytest.raises(aiobc9x.LinkLost, match=r"socket://192\.0\.2\.1:1: .*10 s"),
        ):
            await open_link("socket://192.0.2.1:1", SETTINGS)
        assert loop.now - began == pytest.approx(CONNECT_LIMIT_S, abs=0.1)


class TestSerial:
    """A real tty."""

    async def test_both_directions(self, pty: tuple[int, str]) -> None:
        """Any byte, unchanged."""
        master, path = pty
        link = await open_link(path, SETTINGS)
        link.write(bytes(range(256)))
        assert await written(master, 256) == bytes(range(256))
        os.write(master, bytes(range(256)))
        assert await read(link, 256) == bytes(range(256))
        await link.aclose()

    async def test_what_comes_early_is_kept(self, pty: tuple[int, str]) -> None:
        """Bytes that nobody takes yet are handed over, in order, when somebody does."""
        master, path = pty
        link = await open_link(path, SETTINGS)
        for data in (b"abc", b"def"):
            os.write(master, data)
            await asyncio.sleep(0.02)
        assert await read(link, 6) == b"abcdef"
        await link.aclose()

    async def test_much_at_once(self, pty: tuple[int, str]) -> None:
        """What the port does not take at once follows when it can, in order."""
        master, path = pty
        link = await open_link(path, SETTINGS)
        sent = random.Random(1).randbytes(100_000)
        for start in range(0, len(sent), 7_000):
            link.write(sent[start : start + 7_000])
        assert await written(master, len(sent)) == sent
        await link.aclose()

    async def test_speed_can_be_changed(self, pty: tuple[int, str]) -> None:
        """For a module whose speed is unknown."""
        _, path = pty
        link = await open_link(path, SerialSettings(baudrate=9600))
        assert link.has_speed
        await link.set_baudrate(57600)
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        assert termios.tcgetattr(fd)[5] == termios.B57600
        os.close(fd)
        await link.aclose()

    @pytest.mark.parametrize("level", [True, False])
    async def test_control_lines(self, pty: tuple[int, str], level: bool) -> None:
        """The system is asked for the levels of DTR and RTS."""
        set_or_clear = termios.TIOCMBIS if level else termios.TIOCMBIC
        asked: list[bytes] = []

        def ioctl(_fd: int, request: int, argument: bytes) -> None:
            assert request == set_or_clear
            asked.append(argument)

        with patch.object(fcntl, "ioctl", ioctl):
            link = await open_link(pty[1], SerialSettings(dtr=level, rts=level))
        assert asked == [
            struct.pack("I", which) for which in (termios.TIOCM_DTR, termios.TIOCM_RTS)
        ]
        await link.aclose()

    async def test_control_lines_that_a_device_lacks(self, pty: tuple[int, str]) -> None:
        """A pty has none, and is opened."""
        link = await open_link(pty[1], SerialSettings(dtr=True, rts=True))
        await link.aclose()

    async def test_hang_up(self) -> None:
        """What came before is handed over; then the reason, also to whoever comes later."""
        master, slave = os.openpty()
        tty.setraw(slave)
        link = await open_link(os.ttyname(slave), SETTINGS)
        os.close(slave)
        os.write(master, b"last")
        assert await read(link, 4) == b"last"
        os.close(master)
        for _ in range(2):
            assert "is lost" in await read_end(link)
        link.write(b"into the void")
        await link.aclose()

    @pytest.mark.parametrize("number", [errno.EIO, errno.ENODEV, errno.ENXIO])
    @pytest.mark.parametrize("call", ["read", "write"])
    async def test_an_unplug_is_told_in_one_way(
        self, pty: tuple[int, str], call: str, number: int
    ) -> None:
        """Whichever call meets it, and by whichever number the driver tells it."""
        link = await open_link(pty[1], SETTINGS)
        with patch.object(os, call, side_effect=OSError(number, os.strerror(number))):
            if call == "read":
                os.write(pty[0], b"x")
            else:
                link.write(b"x")
            reason = await read_end(link)
        assert f"the device is disconnected ({os.strerror(number)})" in reason
        await link.aclose()

    async def test_hang_up_while_writing(self) -> None:
        """Bytes that can't be written any more end the link, without a traceback in the log."""
        master, slave = os.openpty()
        tty.setraw(slave)
        link = await open_link(os.ttyname(slave), SETTINGS)
        os.close(slave)
        link.write(bytes(200_000))
        await asyncio.sleep(0.05)
        os.close(master)
        assert "is lost" in await read_end(link)
        await link.aclose()

    async def test_close_is_bounded(self, pty: tuple[int, str]) -> None:
        """A device that takes nothing doesn't hold the close up."""
        link = await open_link(pty[1], SETTINGS)
        link.write(bytes(500_000))
        await asyncio.sleep(0.05)
        with patch.object(link_module, "CLOSE_LIMIT_S", 0.2):
            await link.aclose()
        await link.aclose()

    async def test_cancelled_close_closes(self, pty: tuple[int, str]) -> None:
        """The port is closed and its lock gone, whatever becomes of the caller."""
        link = await open_link(pty[1], SETTINGS)
        link.write(bytes(500_000))
        await asyncio.sleep(0.05)
        with patch.object(link_module, "CLOSE_LIMIT_S", 0.2):
            closing = asyncio.create_task(link.aclose())
            await asyncio.sleep(0.05)
            closing.cancel()
            await asyncio.wait([closing])
            while True:
                try:
                    again = await open_link(pty[1], SETTINGS)
                    break
                except aiobc9x.PortBusy:  # it is still closed behind our back
                    await asyncio.sleep(0.01)
        await again.aclose()

    async def test_close_drops_what_the_device_has_not_sent(self, pty: tuple[int, str]) -> None:
        """Or the system would wait for a UART inside ``close()``, and the loop with it."""
        calls: list[tuple[int, bool]] = []
        link = await open_link(pty[1], SETTINGS)

        def flush(fd: int, queue: int) -> None:
            calls.append((queue, os.ttyname(fd) == pty[1]))  # it is open yet

        with patch.object(termios, "tcflush", flush):
            await link.aclose()
        assert calls == [(termios.TCOFLUSH, True)]

    async def test_close_of_a_device_that_is_gone(self) -> None:
        """It can't be flushed, and is closed all the same."""
        master, slave = os.openpty()
        link = await open_link(os.ttyname(slave), SETTINGS)
        os.close(slave)
        os.close(master)
        with patch.object(termios, "tcflush", side_effect=termios.error(errno.EIO, "gone")):
            await link.aclose()

    async def test_cancelled_opening_waits_for_the_device(self, pty: tuple[int, str]) -> None:
        """A port that opens a moment later is closed before the cancellation passes."""
        may_open = threading.Event()
        with opening_slowly(may_open.wait) as ports:
            opening = asyncio.create_task(open_link(pty[1], SETTINGS))
            await asyncio.sleep(0.05)
            opening.cancel()
            await asyncio.sleep(0)
            may_open.set()
            with pytest.raises(asyncio.CancelledError):
                await opening
        assert [port.is_open for port in ports] == [False]
        again = await open_link(pty[1], SETTINGS)
        await again.aclose()

    async def test_cancelled_while_the_device_opens(self, pty: tuple[int, str]) -> None:
        """A driver that takes its time: the port that comes too late is closed again."""
        may_open = threading.Event()
        with opening_slowly(may_open.wait) as ports:
            opening = asyncio.create_task(open_link(pty[1], SETTINGS))
            await asyncio.sleep(0.05)
            opening.cancel()
            with (
                patch.object(link_module, "CLOSE_LIMIT_S", 0.05),
                pytest.raises(asyncio.CancelledError),
            ):
                await opening
            assert ports == []
            may_open.set()
            while not ports or ports[0].is_open:  # noqa: ASYNC110  (a thread closes it)
                await asyncio.sleep(0.01)


class TestOthers:
    """sim:// and socket://."""

    @virtual
    async def test_memory(self) -> None:
        """Bytes go both ways, and the end is seen."""
        device = ScriptedDevice(parrot)
        with plugged_in(lambda _: device):
            link = await open_link(ADDRESS, SETTINGS)
        assert not link.has_speed
        link.write(b"hello\r")
        assert await read(link, 7) == b"hello\r\n"
        device.lose(OSError(5, "gone"))
        assert "gone" in await read_end(link)
        await link.aclose()

    async def test_system_without_ptys(self) -> None:
        """There sim:// uses a link in memory."""
        with patch.object(os, "name", "nt"), patch.object(VirtualModule, "start_pty") as start_pty:
            link = await open_link("sim://", SETTINGS)
        start_pty.assert_not_called()
        link.write(b"AT\r")
        await read_ok(link)
        await link.aclose()

    async def test_pty_of_the_virtual_module(self) -> None:
        """The default of sim:// is a pty, at the speed of its address."""
        link = await open_link("sim://?baud=9600", SETTINGS)
        assert link.baudrate == 9600
        assert not link.has_speed
        link.write(b"AT\r")
        await read_ok(link)
        await link.aclose()

    async def test_serial_server(self) -> None:
        """socket:// reaches a module behind a TCP port."""
        async with VirtualModule() as virtual:
            port = await virtual.start_tcp()
            link = await open_link(f"socket://127.0.0.1:{port}", SETTINGS)
            link.write(b"AT\r")
            await read_ok(link)
            await link.aclose()

    async def test_large_file_descriptors(self, pty: tuple[int, str]) -> None:
        """Programs with more than 1024 open files can use it."""
        held: list[int] = []
        try:
            while not held or held[-1] < 1030:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pytest.skip("the system allows fewer files")
        else:
            link = await open_link(pty[1], SETTINGS)
            os.write(pty[0], b"abc")
            assert await read(link, 3) == b"abc"
            await link.aclose()
        finally:
            for fd in held:
                os.close(fd)
