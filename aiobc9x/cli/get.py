"""``aiobc9x get``: fetch a file by HTTP, and go on after whatever interrupts it.

Layer: cli. Needs the extra ``http`` too.
"""

from __future__ import annotations

import asyncio
import enum
import json
import ssl
import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from aiobc9x.cli.main import told as worded
from aiobc9x.cli.opening import Port, hush, runs, takes_port
from aiobc9x.cli.output import AS_JSON, as_line
from aiobc9x.cli.stdio import apart
from aiobc9x.errors import ConnectRefused, ModemError, NameNotFound
from aiobc9x.modem import Modem
from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted

if TYPE_CHECKING:
    import httpx2

_TRIES: Final = 10
"""Interruptions in a row, without a byte between them, after which it is given up."""

_PAUSE_S: Final = 2.0
_OK, _PARTIAL, _NOT_SATISFIABLE = 200, 206, 416
_RANGE: Final = lazy_pattern(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_FINAL_OF_TLS: Final = {"CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER"}
"""What OpenSSL calls a peer that is another one than was meant, or that speaks no TLS."""

_STDOUT: Final = Path("-")
_UNFIT: Final = lazy_pattern(r"[^\w.-]+")


@click.command()
@click.argument("url")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to write; - for stdout. Default: the last part of the URL.",
)
@AS_JSON
@takes_port
@runs
async def command(url: str, output: Path | None, as_json: bool, port: Port) -> None:
    """Fetch URL by HTTP or HTTPS through the module.

    A connection that breaks, a module that restarts or a port that goes is no end: the rest is
    asked for by a Range request where the server has such, and else the file once more. What was
    received is in FILE.part until it is whole; a later call goes on from there. What goes to
    stdout, to a device or a pipe goes there once it is whole.
    """
    hush()
    try:
        adapter = _adapter()
    except ImportError as exc:
        raise click.ClickException(
            "get needs one more package: pip install 'aiobc9x[cli,http]'"
        ) from exc
    name = _UNFIT.sub("_", _name_in(url)) or "index.html"
    target = output or Path(name)
    # A device must not be replaced by a file, which root could do.
    is_stream = target == _STDOUT or (target.exists() and not target.is_file())
    with TemporaryDirectory(prefix="aiobc9x-") if is_stream else nullcontext() as folder:
        place = target if folder is None else Path(folder) / name
        told = await _fetch(adapter, url, place, port)
        if is_stream:
            await apart(lambda: _pour(place, target))
    told["file"] = str(target)
    if as_json:
        click.echo(as_line(told), err=target == _STDOUT)
        return
    rate = f"{told['bytes_per_s']:.0f} bytes/s" if told["bytes_per_s"] else "at once"
    often = "once" if told["resumed"] == 1 else f"{told['resumed']} times"
    text = f"{target}: {told['bytes']} bytes, {rate}, resumed {often}"
    click.echo(text, err=target == _STDOUT)


def _pour(source: Path, target: Path) -> None:
    """Write a file to what is no file.

    Raises:
        OSError: It can't be written.

    """
    with source.open("rb") as data:
        if target == _STDOUT:
            copyfileobj(data, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            with target.open("wb") as stream:
                copyfileobj(data, stream)


async def _fetch(
    adapter: ModuleType, url: str, target: Path, port: Port
) -> dict[str, str | int | float]:
    library = adapter.ModemTransport.library
    async with port.open() as modem:
        client: httpx2.AsyncClient = library.AsyncClient(
            transport=adapter.ModemTransport(modem), timeout=adapter.TIMEOUT, follow_redirects=True
        )
        async with client:
            progress = _progress()
            # One that shows nothing isn't started: older versions of rich print an empty line.
            with nullcontext() if progress.disable else progress:
                download = Download(modem, client, library.TransportError, url, target, progress)
                await download.run()
    return download.told()


def _adapter() -> ModuleType:
    """Return the adapter for httpx2, or for httpx where that one is installed alone.

    Raises:
        ImportError: Neither is installed; they are another extra than the command line's.

    """
    try:
        from aiobc9x.adapters import httpx2  # noqa: PLC0415  # another extra
    except ImportError:
        from aiobc9x.adapters import httpx  # noqa: PLC0415  # another extra

        return httpx
    return httpx2


def _name_in(url: str) -> str:
    """Return the last part of a URL's path.

    Raises:
        UsageError: It is no URL of HTTP.

    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise click.UsageError(
            f"{url!r} is no URL of HTTP: use http://HOST/... or https://HOST/..."
        )
    return parts.path.rpartition("/")[2]


def _progress() -> Progress:
    screen = Console(file=sys.stderr, highlight=False)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=screen,
        disable=not screen.is_terminal,
    )


@slotted()
class Version:
    """Which version of the file the bytes are of.

    Attributes:
        url: Where they come from.
        validator: What the server calls it: a strong ETag or a date; empty if it says nothing.
        total: Bytes of the whole file, if the server says.

    """

    url: str
    validator: str = ""
    total: int | None = None


class Place(enum.Enum):
    """What the bytes of a response are to those of the file."""

    HERE = "they go on where the file ends"
    END = "there are none: the file is whole"
    ELSEWHERE = "they are of another place, or of another version"


class Download:
    """One file on its way."""

    def __init__(
        self,
        modem: Modem,
        client: httpx2.AsyncClient,
        broken: type[Exception],
        url: str,
        target: Path,
        progress: Progress,
    ) -> None:
        self._modem, self._client, self._target, self._progress = modem, client, target, progress
        self._broken = broken  # what the client raises where a request breaks off
        self._part = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")
        self._version = Version(url)
        self._began, self._received, self._resumed = time.monotonic(), 0, 0
        self._task = progress.add_task(target.name, total=None)

    async def run(self) -> None:
        """Fetch the file; the target is there, and whole, when this returns.

        Raises:
            ClickException: The server has no such file, or nothing comes any more.
            OSError: The file can't be written.

        """
        try:
            with self._opened() as file:
                await self._fill(file)
        except BaseException:
            if not self._part.stat().st_size:
                self._part.unlink()
                self._note.unlink(missing_ok=True)
            raise
        self._part.replace(self._target)
        self._note.unlink(missing_ok=True)

    async def _fill(self, file: BinaryIO) -> None:
        tries = 0
        while (broken := await self._attempt(file)) is not None:
            tries = tries + 1 if broken.was_in_vain else 1
            if tries >= _TRIES:
                kept = f"; {self._part} has what came, call again to go on" if file.tell() else ""
                raise click.ClickException(
                    f"{self._version.url}: given up after {tries} interruptions in a row:"
                    f" {broken.reason}{kept}"
                )
            self._say(f"interrupted at {file.tell()} bytes: {broken.reason}")
            await self._wait()

    def told(self) -> dict[str, str | int | float]:
        """What is said in the end."""
        seconds = time.monotonic() - self._began
        return {
            "url": self._version.url,
            "file": str(self._target),
            "bytes": self._target.stat().st_size,
            "received": self._received,
            "resumed": self._resumed,
            "seconds": round(seconds, 3),
            "bytes_per_s": round(self._received / seconds, 1) if seconds else 0.0,
        }

    def _opened(self) -> BinaryIO:
        """Open the part; what an earlier call has left there counts if its version is known."""
        known = None
        with suppress(OSError, ValueError, TypeError):
            known = Version(**json.loads(self._note.read_text("utf-8")))
        is_usable = known is not None and known.url == self._version.url and known.validator
        if known is not None and is_usable and self._part.exists():
            self._version = known
            file = self._part.open("r+b")
            file.seek(0, 2)
            return file
        return self._part.open("wb")

    async def _attempt(self, file: BinaryIO) -> Broken | None:
        """Ask for what is missing; return why it broke off, ``None`` if all is there."""
        before = file.tell()
        try:
            request = self._client.stream("GET", self._version.url, headers=self._headers(before))
            async with request as response:
                place = self._place(response, file)
                if place is Place.ELSEWHERE:
                    return Broken("the server has other bytes than were asked for", True)
                if place is Place.HERE:
                    self._remember(response)
                    await self._copy(response, file)
        except (self._broken, ModemError) as exc:
            if not file.tell() and _is_final(exc):
                raise click.ClickException(worded(exc)) from exc
            return Broken(worded(exc), file.tell() <= before)
        finally:
            file.flush()
        if self._version.total is not None and file.tell() < self._version.total:
            return Broken("the connection ended early", file.tell() <= before)
        return None

    def _headers(self, start: int) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}  # a range is one of what is stored
        if start:
            headers["Range"] = f"bytes={start}-"
            if self._version.validator:
                headers["If-Range"] = self._version.validator
        return headers

    def _place(self, response: httpx2.Response, file: BinaryIO) -> Place:
        """Set the file to where the response goes on, and say whether it does.

        Raises:
            ClickException: The server has no such file.

        """
        at, found = file.tell(), _RANGE.fullmatch(response.headers.get("content-range", ""))
        total = int(found[2]) if found and found[2] != "*" else None
        if response.status_code == _OK:
            if at:
                self._start_over(file)
            length = response.headers.get("content-length", "")
            self._version.total = int(length) if length.isdecimal() else None
            return Place.HERE
        if at and response.status_code == _NOT_SATISFIABLE and total == at:
            return Place.END
        if at and response.status_code in {_PARTIAL, _NOT_SATISFIABLE}:
            is_same = self._version.validator or self._version.total in {None, total}
            if found and found[1] == str(at) and is_same:
                self._resumed += 1
                self._version.total = total
                self._say(f"resumed at {at} of {total or '?'} bytes")
                return Place.HERE
            self._start_over(file)
            return Place.ELSEWHERE
        reason = f"{response.status_code} {response.reason_phrase}"
        raise click.ClickException(f"the server answers {reason}: {response.url}")

    def _start_over(self, file: BinaryIO) -> None:
        self._say(f"the server can't go on at {file.tell()} bytes: once more from the start")
        file.seek(0)
        file.truncate()
        self._version = Version(self._version.url)

    def _remember(self, response: httpx2.Response) -> None:
        tag = response.headers.get("etag", "")
        strong = tag if not tag.startswith("W/") else ""
        self._version.validator = strong or response.headers.get("last-modified", "")
        self._note.write_text(json.dumps(asdict(self._version)), "utf-8")

    async def _copy(self, response: httpx2.Response, file: BinaryIO) -> None:
        async for data in response.aiter_raw():
            file.write(data)
            self._received += len(data)
            self._progress.update(
                self._task, completed=file.tell(), total=self._version.total, refresh=False
            )

    async def _wait(self) -> None:
        """Wait until the modem is there again, and a moment longer."""
        await self._modem.available()
        await asyncio.sleep(_PAUSE_S)

    def _say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _is_final(error: BaseException | None) -> bool:
    """Tell whether an error, or a cause of it, will be the same at the next try."""
    while error is not None:
        if isinstance(error, NameNotFound | ConnectRefused):
            return True
        if isinstance(error, ssl.SSLError) and error.reason in _FINAL_OF_TLS:
            return True
        error = error.__cause__
    return False


@slotted(frozen=True)
class Broken:
    """An attempt that has broken off.

    Attributes:
        reason: Why.
        was_in_vain: Whether it has brought nothing.

    """

    reason: str
    was_in_vain: bool
