"""``aiobc9x ports``: the serial ports of this machine, and which of them is a module.

Layer: cli. Only ``--probe`` opens a port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
from serial.tools import list_ports

from aiobc9x.aio.line.link import Link, open_link_apart
from aiobc9x.aio.line.serial_settings import SerialSettings
from aiobc9x.cli.holders import holders
from aiobc9x.cli.main import told
from aiobc9x.cli.opening import runs
from aiobc9x.cli.output import AS_JSON, print_json, print_rows
from aiobc9x.errors import ModemError
from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted

BY_ID: Final = Path("/dev/serial/by-id")
BY_PATH: Final = Path("/dev/serial/by-path")

ANSWER_S: Final = 0.7
"""Seconds that a port has to answer AT; twice, because the first may only wake a module."""

_LOOK_S: Final = 0.02


@slotted(frozen=True)
class Found:
    """A serial port.

    Attributes:
        device: What to give ``--port``.
        description: What the device says that it is.
        usb: The ``usb:…`` address of a USB device, which stays when the name changes.
        by_id: A name by maker and serial number that stays.
        by_path: A name by the socket that it is plugged into.
        topology: The USB path: bus, hub and port.
        since: When the device appeared, in seconds since 1970; ``None`` if unknown.
        in_use_by: The programs that hold it, as far as this user may see them.
        answers: What it answered to AT and ATI, nothing if it is no module; ``None`` if it was
            not asked.
        why_not: Why it was not asked, or what went wrong.

    """

    device: str
    description: str
    usb: str | None
    by_id: str | None
    by_path: str | None
    topology: str | None
    since: float | None
    in_use_by: tuple[str, ...]
    answers: tuple[str, ...] | None = None
    why_not: str | None = None


@click.command()
@click.option(
    "--probe",
    is_flag=True,
    help="Write AT to each port that nobody else holds. Other devices than modems get that too.",
)
@click.option(
    "--baudrate",
    default=115200,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="Bits per second of the probe.",
)
@AS_JSON
@runs
async def command(probe: bool, baudrate: int, as_json: bool) -> None:
    """List the serial ports of this machine, the newest last.

    Without --probe no port is opened, so that nothing is disturbed.
    """
    found = await asyncio.to_thread(ports)
    if probe:
        found = [await probed(each, baudrate) for each in found]
    if as_json:
        print_json({"ports": found})
        return
    for each in found:
        print_rows(_rows(each), title=each.device)
    if not found:
        click.echo("this machine has no serial port; --port sim:// is a virtual module")


def ports() -> list[Found]:
    """Return the ports of this machine, the newest last."""
    by_id, by_path = links(BY_ID), links(BY_PATH)
    found = [_found(port, by_id, by_path) for port in list_ports.comports()]
    return sorted(found, key=lambda each: (each.since or 0.0, each.device))


def _found(port: Any, by_id: dict[str, str], by_path: dict[str, str]) -> Found:
    device = str(port.device)
    real = str(Path(device).resolve())
    return Found(
        device,
        port.description if port.description != "n/a" else "no description",
        _usb(port),
        by_id.get(real),
        by_path.get(real),
        port.location,
        _since(device),
        tuple(map(str, holders(device))),
    )


def _usb(port: Any) -> str | None:
    if port.vid is None:
        return None
    return ":".join(
        ["usb", f"{port.vid:04X}", f"{port.pid:04X}", *filter(None, [port.serial_number])]
    )


def _since(device: str) -> float | None:
    try:
        return Path(device).stat().st_ctime
    except OSError:  # a port of Windows, or one that has just gone
        return None


def links(folder: Path) -> dict[str, str]:
    """Return the names that a folder has for devices, by device."""
    entries: Iterable[Path] = folder.iterdir() if folder.is_dir() else ()
    return {str(each.resolve()): str(each) for each in sorted(entries, reverse=True)}


async def probed(port: Found, baudrate: int) -> Found:
    """Ask a port for AT, unless a program holds it.

    Cancellation closes the port.
    """
    if port.in_use_by:
        return replace(port, why_not="not asked, because it is in use")
    try:
        link = await open_link_apart(port.device, SerialSettings(baudrate))
    except (ModemError, OSError) as exc:
        return replace(port, why_not=told(exc))
    try:
        return replace(port, answers=await answers(link))
    except ConnectionError as exc:
        return replace(port, why_not=str(exc))
    finally:
        await link.aclose()


async def answers(link: Link) -> tuple[str, ...]:
    """Write AT, then ATI; return the lines of the answer, none if no module answers.

    Raises:
        ConnectionError: The port has gone.

    """
    heard, lost = bytearray(), ""

    def on_lost(why: str) -> None:
        nonlocal lost
        lost = why

    link.start(heard.extend, on_lost)
    for _ in range(2):  # the first may only wake the module
        if not _OK.search(heard):
            await _ask(link, b"AT\r", heard)
    if _OK.search(heard):
        await _ask(link, b"ATI\r", heard)
    if lost:
        raise ConnectionError(lost)
    return tuple(_lines(bytes(heard)) or ["OK"]) if _OK.search(heard) else ()


_OK: Final = lazy_pattern(rb"OK\r\n")


async def _ask(link: Link, line: bytes, heard: bytearray) -> None:
    before = len(heard)
    link.write(line)
    for _ in range(int(ANSWER_S / _LOOK_S)):
        if heard[before:].endswith((b"OK\r\n", b"ERROR\r\n")):
            return
        await asyncio.sleep(_LOOK_S)


def _lines(heard: bytes) -> list[str]:
    lines = [line.strip() for line in heard.decode("ascii", "replace").splitlines()]
    return [line for line in lines if line and line not in _ROUTINE and line.isprintable()]


_ROUTINE: Final = {"AT", "ATI", "OK", "RDY"}


def _rows(port: Found) -> list[tuple[str, object]]:
    rows = [
        ("what", port.description),
        ("address", port.usb),
        ("by id", port.by_id),
        ("by path", port.by_path),
        ("USB path", port.topology),
        ("in use by", ", ".join(port.in_use_by)),
        ("answers", _answer(port)),
    ]
    return [(f"  {name}", value) for name, value in rows if value]


def _answer(port: Found) -> str:
    if port.answers is None:
        return port.why_not or ""
    return ", ".join(port.answers) or "nothing to AT"
