"""``aiobc9x at``: AT commands by hand, or from a pipe.

Layer: cli. The modem behind it is a lasting one, so a device that is unplugged is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, TextIO

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

from aiobc9x.aio.queries.raw_command import asks_for_data
from aiobc9x.cli.happenings import Spelling, in_words
from aiobc9x.cli.main import told
from aiobc9x.cli.opening import Port, hush, runs, takes_port
from aiobc9x.cli.stdio import pieces
from aiobc9x.cli.terminal import Terminal, terminal
from aiobc9x.errors import ModemError
from aiobc9x.masking import masked_command
from aiobc9x.modem import Modem
from aiobc9x.patterns import lazy_pattern
from aiobc9x.wire.urcs import SendOk

_ENDS: Final = {"exit", "quit"}
_DUMPED_BYTES: Final = 16
_STYLES: Final = {"<": (), "*": ("yellow",), "!": ("red",), "=": ("dim",)}
"""Kinds of lines: an answer, an unasked one, a failure, news of the modem. ``>`` is our own."""


@click.command()
@click.option("--timestamps", is_flag=True, help="Put the time in front of each line.")
@click.option("--hex", "as_hex", is_flag=True, help="Show the bytes of the module's lines in hex.")
@click.option(
    "--log",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Append the dialogue to a file; PINs and passwords that you write are left out.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Time for an answer. Default: 15, or more where the network is waited for.",
)
@click.option(
    "--linger",
    type=click.FloatRange(min=0),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="From a pipe: go on after its end until nothing has come for so long.",
)
@takes_port
@runs
async def command(
    timestamps: bool,
    as_hex: bool,
    log: Path | None,
    timeout: float | None,
    linger: float,
    port: Port,
) -> int:
    """Talk to the module by AT commands, at a prompt or from a pipe, one a line.

    Lines that the module says unasked appear above the prompt. Up and down go through the
    history. A command that asks for data takes the next line. Ctrl-D, exit or quit end it.

    From a pipe, the exit code is 1 if the module has refused a command.
    """
    hush()
    with _appended(log) as file:
        paper = Paper(terminal(sys.stdout), file, timestamps=timestamps, as_hex=as_hex)
        async with port.open() as modem:
            talk = Talk(modem, paper, timeout)
            listening = asyncio.create_task(talk.listen())
            try:
                if sys.stdin.isatty() and sys.stdout.isatty():
                    await _at_a_prompt(talk, modem)
                else:
                    await _from_a_pipe(talk)
                    await talk.until_quiet(linger)
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
    return int(talk.has_failed and not sys.stdin.isatty())


@contextlib.contextmanager
def _appended(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
    else:
        with path.open("a", encoding="utf-8", buffering=1) as file:
            yield file


class Paper:
    """Where lines are shown and logged."""

    def __init__(
        self, screen: Terminal, log: TextIO | None, *, timestamps: bool, as_hex: bool
    ) -> None:
        self._screen, self._log = screen, log
        self._timestamps, self._as_hex = timestamps, as_hex

    def show(self, kind: str, text: str, raw: bytes | None = None) -> None:
        """Show a line of one of the kinds, and log it.

        Args:
            kind: One of :data:`_STYLES`.
            text: The line.
            raw: Its bytes, if the module has said it.

        """
        now = datetime.now().astimezone()
        self.log(kind, text, now)
        stamp = f"{now:%H:%M:%S}.{now.microsecond // 1000:03d} " if self._timestamps else ""
        mark = f"{kind} " if kind in "!=" else ""
        rows = dump(raw) if self._as_hex and raw is not None else [printable(text)]
        for row in rows:
            # Not to the stream that was there at the beginning: a prompt puts another in its place.
            shown = self._screen.paint(self._screen.spelled(mark + row), *_STYLES[kind])
            print(stamp + shown, flush=True)

    def log(self, kind: str, text: str, now: datetime | None = None) -> None:
        """Log a line, as ours (``>``) or as the module's."""
        if self._log is not None:
            now = now or datetime.now().astimezone()
            self._log.write(f"{now.isoformat(timespec='milliseconds')} {kind} {printable(text)}\n")


class Talk:
    """Commands and their answers on one modem.

    Attributes:
        has_failed: Whether a command was refused, or got no answer.

    """

    def __init__(self, modem: Modem, paper: Paper, timeout: float | None) -> None:
        self.has_failed: bool = False
        self._modem, self._paper, self._timeout = modem, paper, timeout
        self._spelling = Spelling()
        modem._driver.on_received = self._spelling.hear
        self._events = modem.subscribe()
        self._heard = 0

    async def listen(self) -> None:
        """Show what the module says unasked, and what happens to the modem, until it ends."""
        shown = None
        async for event in self._events:
            if isinstance(event, SendOk):
                continue  # the answer to a command of ours, and shown as such
            self._heard += 1
            raw, words = self._spelling.line(event), in_words(event)
            if raw is not None:
                self._paper.show("*", raw.decode("ascii", "backslashreplace"), raw)
            elif words is not None and words != shown:
                self._paper.show("=", words)
                shown = words

    async def until_quiet(self, seconds: float) -> None:
        """Wait until nothing has happened for so long."""
        heard = -1
        while heard != self._heard:
            heard = self._heard
            await asyncio.sleep(seconds)

    async def obey(self, line: str, data: str | None = None) -> None:
        """Send a command; show the answer, or why there is none."""
        self._paper.log(">", masked_command(line))
        payload = None if data is None else data.encode()
        try:
            answer = await self._modem.command(line, data=payload, timeout=self._timeout)
        except (ModemError, ValueError) as exc:
            self.has_failed = True
            self._paper.show("!", told(exc))
            return
        for said in answer:
            self._paper.show("<", said, bytes_of(said))
        if not answer or answer[-1] != "SEND OK":
            self._paper.show("<", "OK", b"OK")


async def _at_a_prompt(talk: Talk, modem: Modem) -> None:
    name = " ".join(modem.identification) or "a module without a name"
    print(f"{name} answers. Ctrl-D ends this.")
    session: PromptSession[str] = PromptSession(history=_history())
    with patch_stdout(raw=True):
        while True:
            try:
                line = (await session.prompt_async("AT> ", handle_sigint=False)).strip()
                if line in _ENDS:
                    return
                data = None
                if asks_for_data(line):
                    data = await PromptSession[str]().prompt_async("data> ", handle_sigint=False)
            except EOFError:
                return
            except KeyboardInterrupt:
                raise click.Abort from None
            if line:
                await talk.obey(line, data)


async def _from_a_pipe(talk: Talk) -> None:
    lines = _lines()
    async for line in lines:
        command_line = line.strip()
        if command_line in _ENDS:
            return
        data = await anext(lines, "") if asks_for_data(command_line) else None
        if command_line:
            await talk.obey(command_line, data)


async def _lines() -> AsyncIterator[str]:
    rest = b""
    async for piece in pieces():
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace").rstrip("\r")
    if rest:
        yield rest.decode("utf-8", "replace")


def bytes_of(line: str) -> bytes:
    """Return the bytes of a line that has escapes for those outside ASCII."""
    return _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), line.encode())


_ESCAPE: Final = lazy_pattern(rb"\\x([89a-f][0-9a-f])")


def dump(raw: bytes) -> list[str]:
    """Return rows of bytes in hex, with what is printable of them behind."""
    pieces = [raw[at : at + _DUMPED_BYTES] for at in range(0, len(raw), _DUMPED_BYTES)]
    width = 3 * min(len(raw), _DUMPED_BYTES)
    return [f"{piece.hex(' ').upper():<{width}} {printable(piece)}" for piece in pieces]


def printable(text: str | bytes) -> str:
    """Return a text with an escape for each character that a terminal could obey."""
    if isinstance(text, bytes):
        return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in text)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _history() -> History:
    """Return the history of earlier talks; of this one alone where no file can be kept."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    file = Path(state) / "aiobc9x" / "at-history"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return _Discreet(str(file))


class _Discreet(FileHistory):
    """A history that keeps no PIN and no password."""

    def store_string(self, string: str) -> None:
        """Append a line to the file, unless it has a secret."""
        if masked_command(string) == string:
            super().store_string(string)
