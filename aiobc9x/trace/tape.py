"""Cut a trace into episodes, so that they can be played again.

Layer: trace. Does no I/O, reads no clock.

An episode is a command with its answer, up to ``OK``, ``ERROR`` or ``+CME ERROR``, and with what
the module printed unasked until the next command. ``SEND OK`` and prompts are taken out: they are
made anew, where the sends of the program that is replayed to want them.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import field
from typing import Final

from aiobc9x.masking import masked_command
from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted
from aiobc9x.trace.decoding import Decoder, Placed
from aiobc9x.trace.options import Payloads
from aiobc9x.trace.records import Kind, Record
from aiobc9x.wire.framer import Line, Payload, Prompt
from aiobc9x.wire.urcs import SendFail, SendOk

__all__ = [
    "Episode",
    "EpisodeKind",
    "Reel",
    "command_key",
    "kind_of",
    "reels",
    "send_size",
    "socket_of",
]

_SEND: Final = lazy_pattern(r"AT\+QISEND(?:EX)?\s*=\s*([0-5])\s*,\s*([0-9]{1,4})", re.IGNORECASE)
_SOCKET: Final = lazy_pattern(r"AT\+QI\w+\s*=\s*(?:[0-9]\s*,\s*)??([0-5])(?![0-9])", re.IGNORECASE)
_OPEN: Final = lazy_pattern(r"AT\+QIOPEN\s*=\s*[0-9]\s*,\s*([0-5])", re.IGNORECASE)
_QUESTION: Final = lazy_pattern(r"AT|ATI|AT\+(?:QIRD|QISTATE|CSQ|CESQ)\b.*|AT\+.*\?", re.IGNORECASE)
_CONTROLS: Final = lazy_pattern(rb"[\r\n\x1a\x1b]*")


class EpisodeKind(enum.Enum):
    """What an episode does."""

    QUESTION = "question"
    """It changes nothing: it may be left out, or come once more."""
    READ = "read"
    """AT+QIRD: likewise, but what it gave belongs to its place."""
    SEND = "send"
    CHANGE = "change"
    """Anything else."""


@slotted(eq=False)
class Episode:
    """One command and what it led to.

    Attributes:
        line: The command line, without its ``<CR>``, its secrets and its payload.
        kind: What it does.
        connect_id: The socket that it is about, if it names one.
        size_bytes: For a send, how many bytes of payload it has.
        answer: What came up to the final result; empty if none came.
        after: What came unasked from then on, until the next command; for a send, what came so
            within its answer as well.
        is_ok: The final result was ``OK``.
        sent: The result that followed: ``True`` for ``SEND OK``, ``False`` for ``SEND FAIL``.

    """

    line: str
    kind: EpisodeKind
    connect_id: int | None
    size_bytes: int = 0
    answer: bytes = b""
    after: bytes = b""
    is_ok: bool = False
    sent: bool | None = None

    @property
    def is_taken(self) -> bool:
        """For a send: the module has taken the bytes."""
        return self.is_ok and self.sent is not False


@slotted()
class Reel:
    """One link of a trace.

    Attributes:
        first: What came before any command.
        episodes: The episodes, in order.
        is_cut: The link was lost, and not closed.

    """

    first: bytes = b""
    episodes: list[Episode] = field(default_factory=list)
    is_cut: bool = False


def command_key(line: str) -> str:
    """Return a command line as it is compared: without secrets, payload and capitals."""
    return masked_command(line.strip()).upper()


def kind_of(line: str) -> EpisodeKind:
    """Return what a command line does."""
    if _SEND.match(line):
        return EpisodeKind.SEND
    if line.upper().startswith("AT+QIRD"):
        return EpisodeKind.READ
    return EpisodeKind.QUESTION if _QUESTION.fullmatch(line) else EpisodeKind.CHANGE


def send_size(line: str) -> int:
    """Return how many bytes of payload a send has; 0 for another command."""
    match = _SEND.match(line)
    return int(match[2]) if match else 0


def socket_of(line: str) -> int | None:
    """Return the socket that a command line names, if it names one."""
    match = _OPEN.match(line) or _SOCKET.match(line)
    return int(match[1]) if match else None


def reels(records: Iterable[Record], name: str) -> list[Reel]:
    """Return the links of the last modem that a trace is of.

    Args:
        records: The trace.
        name: Of the trace, for messages.

    Raises:
        ValueError: There is no command in it, or it lacks the payloads.

    """
    found: list[Reel] = []
    session, link, cutter = "", 0, _Cutter()
    for record in records:
        if record.header.payloads is not Payloads.WHOLE:
            raise ValueError(
                f"{name} was recorded without payloads; a replay needs payloads='whole'"
            )
        if record.header.session != session:
            found, session, link = [], record.header.session, 0
        if record.link != link:
            link, cutter = record.link, _Cutter()
            found.append(cutter.reel)
        cutter.take(record)
    if not any(reel.episodes for reel in found):
        raise ValueError(f"{name} has no command that could be replayed")
    return found


class _Cutter:
    def __init__(self) -> None:
        self.reel = Reel()
        self._decoder = Decoder()
        self._is_open = False
        self._last_send: Episode | None = None
        self._framed = 0  # bytes of the open episode's answer that were complete frames

    def take(self, record: Record) -> None:
        if record.kind is Kind.DECISION:
            self.reel.is_cut = self.reel.is_cut or record.event == "LinkEnded"
        elif record.kind is Kind.RECEIVED:
            for piece in record.content.data.splitlines(keepends=True):
                self._piece(piece)
        elif not record.content.is_payload and not _CONTROLS.fullmatch(record.content.data):
            data = record.content.data
            self._decoder.command_sent(data, awaits_prompt=record.content.awaits_prompt)
            self._begin(data.decode("ascii", "backslashreplace").strip("\r"))

    def _begin(self, line: str) -> None:
        episode = Episode(command_key(line), kind_of(line), socket_of(line), send_size(line))
        self.reel.episodes.append(episode)
        self._is_open, self._framed = True, 0
        if episode.kind is EpisodeKind.SEND:
            self._last_send = episode

    def _drop_empty_line(self, episode: Episode) -> None:
        """Forget the CRLF in front of a line that is taken out."""
        if self._is_open:
            episode.answer = episode.answer.removesuffix(b"\r\n")
        else:
            episode.after = episode.after.removesuffix(b"\r\n")

    def _piece(self, piece: bytes) -> None:
        """Take bytes that end at a line end, if the chunk has one."""
        placed = list(self._decoder.received(piece))
        for each in placed:
            if isinstance(each.urc, SendOk | SendFail) and self._last_send is not None:
                self._last_send.sent = isinstance(each.urc, SendOk)
                self._drop_empty_line(self.reel.episodes[-1])
                return
            if isinstance(each.frame, Prompt):
                return
        if not self.reel.episodes:
            self.reel.first += piece
            return
        episode = self.reel.episodes[-1]
        if not self._is_open:
            episode.after += piece
            return
        episode.answer += piece
        if placed:
            self._take_unasked(episode, placed)
        for each in placed:
            if each.is_final and isinstance(each.frame, Line):
                episode.is_ok = each.frame.text == b"OK"
                self._is_open = False

    def _take_unasked(self, episode: Episode, placed: list[Placed]) -> None:
        """Put what came unasked within a send behind it: the answer of a send is made anew."""
        is_unasked = any(each.urc is not None or isinstance(each.frame, Payload) for each in placed)
        if is_unasked and episode.kind is EpisodeKind.SEND:
            episode.after += episode.answer[self._framed :]
            episode.answer = episode.answer[: self._framed]
        self._framed = len(episode.answer)
