"""Answer as a module answered in a trace: by the order of commands, and not by time.

Layer: trace. Does no I/O, reads no clock.

What a program does again is not the same to the byte: it is quicker, so it asks less often, and
cuts what it sends in other places. So these rules hold:

- A command gets the answer of the first equal one that was not played yet. Secrets and payloads
  aren't compared.
- Questions (``AT``, those with ``?`` …) may be left out, and may come once more: they get the last
  answer again. AT+QIRD then finds nothing, and AT+QISTATE what is open by then.
- What the module printed unasked comes behind the command before it. While the program waits,
  questions that it does not ask are passed over, so that what came behind those comes too.
- Sends of one socket are one stream: however it is cut, what followed a recorded send comes
  once as many bytes were sent. A send may go by another form than the recorded one.
- Anything else is a new command. The replay ends there. With ``new_episodes`` another module
  answers it; behind a new command for sockets that module goes on alone.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypedDict

from aiobc9x.patterns import lazy_pattern
from aiobc9x.spec import SocketState
from aiobc9x.trace.options import PathLike, Trace
from aiobc9x.trace.records import read_trace
from aiobc9x.trace.tape import (
    Episode,
    EpisodeKind,
    Reel,
    command_key,
    kind_of,
    reels,
    send_size,
    socket_of,
)

__all__ = ["Cassette", "Player", "RecordMode", "cassette", "open_player"]

IDLE_S: Final = 0.2
"""Seconds of silence after which questions that the program does not ask are passed over. Ours."""

_PROMPT: Final = b"\r\n> "
_OK, _SEND_OK, _SEND_FAIL = b"\r\nOK\r\n", b"\r\nSEND OK\r\n", b"\r\nSEND FAIL\r\n"
_NOTHING: Final = b"\r\n+QIRD: 0\r\n\r\nOK\r\n"
_OPEN: Final = lazy_pattern(
    r'AT\+QIOPEN=(\d),([0-5]),("[^"]*"),("[^"]*"),(\d+),(\d*),([01])', re.IGNORECASE
)
_SWITCH: Final = lazy_pattern(r"AT\+QISWTMD=([0-5]),([01])", re.IGNORECASE)
_STATES: Final = lazy_pattern(
    r'\+QIOPEN: ?([0-5]),0\r|"closed",([0-5])\r'
    r'|"incoming",([0-5]),([0-5]),"([^"]*)",(\d+)|\n(RDY)\r'
)
_CONNECTED: Final = str(SocketState.CONNECTED.value)
_FINAL: Final = lazy_pattern(rb"\r\n(?:OK|ERROR|\+CM[ES] ERROR[^\r\n]*)\r\n\Z")
_INLINE: Final = lazy_pattern(r'AT\+QISEND(?:EX)?\s*=\s*[0-5]\s*,\s*[0-9]+\s*,\s*"', re.IGNORECASE)
# The socket commands: another module that is to go on must not do them too.
_OF_SOCKETS: Final = lazy_pattern(r"AT\+QI(?!CFG)|AT\+QPING|AT\+QNTP", re.IGNORECASE)


class RecordMode(enum.StrEnum):
    """What may be recorded; the words, and their meaning, are those of vcrpy."""

    ONCE = "once"
    """Replay the file, and refuse new commands; without a file record one."""

    NONE = "none"
    """Replay the file, and refuse new commands; without a file fail."""

    NEW_EPISODES = "new_episodes"
    """Replay the file, and have the virtual module answer new commands."""

    ALL = "all"
    """Replay nothing, and record."""


class Cassette(TypedDict):
    """Arguments of ``open_modem()``: what to open, and whether to record."""

    address: str
    trace: Trace | Literal[False]


def cassette(
    path: PathLike, mode: RecordMode | str = RecordMode.ONCE, *, address: str = "sim://"
) -> Cassette:
    """Return arguments by which ``open_modem()`` replays a trace, or records it.

    ::

        async with aiobc9x.open_modem(**cassette("field.jsonl", "none"), reconnect=None) as modem:

    Args:
        path: The trace.
        mode: When to record.
        address: What to open while recording: a device, or anything else that is an address.

    Raises:
        FileNotFoundError: There is no trace, and ``mode`` is ``none``.
        ValueError: There is no such mode; or ``new_episodes`` is to have a real module answer.

    """
    mode, file = RecordMode(mode), Path(path)
    if mode is RecordMode.NEW_EPISODES and not address.startswith("sim:"):
        raise ValueError(f"new_episodes has the virtual module answer new commands, not {address}")
    if mode is RecordMode.NONE and not file.exists():
        raise FileNotFoundError(2, "there is no trace to replay", os.fspath(path))
    if mode is RecordMode.ALL:
        file.unlink(missing_ok=True)
    if not file.exists():
        return {"address": address, "trace": Trace(path)}
    if mode is RecordMode.NEW_EPISODES:
        joint = "&" if "?" in address else "?"
        # The old and the new commands become one more session of the same file.
        return {"address": f"{address}{joint}{_query(file, mode)}", "trace": Trace(path)}
    return {"address": f"sim://?{_query(file, mode)}", "trace": False}


def _query(file: Path, mode: RecordMode) -> str:
    name = os.fspath(file).replace("%", "%25").replace("&", "%26").replace("#", "%23")
    return f"replay={name}&record={mode.value}"


class Board(Protocol):
    """What tells the speed of the line."""

    baud: int


class OtherModule(Protocol):
    """The module that answers new commands."""

    @property
    def board(self) -> Any:
        """Settings."""

    def power_on(self, now: float) -> None:
        """Switch it on."""

    def feed(self, data: bytes, now: float) -> None:
        """Take bytes of the program."""

    def tick(self, now: float) -> None:
        """Do what is due."""

    def deadline(self) -> float | None:
        """Return when something is due."""

    @property
    def output_pending(self) -> int:
        """Bytes that wait."""

    @property
    def input_pending(self) -> int:
        """Bytes that wait for earlier commands to end."""

    def take_output(self, most: int | None = None) -> bytes:
        """Take bytes for the program."""


_GOES_ON: Final[dict[Path, int]] = {}
"""The link that a trace goes on with, where the replay of the one before it has ended as lost."""


def open_player(path: Path, mode: str, other: OtherModule) -> Player | None:
    """Return what replays a trace; ``None`` if nothing is to be replayed.

    A trace whose link was lost goes on with the next link when it is opened again.

    Raises:
        OSError: The trace can't be read.
        ValueError: It is none, or it can't be replayed.

    """
    strictness = RecordMode(mode)
    if strictness is RecordMode.ALL:
        return None
    if strictness is not RecordMode.NONE and not path.exists():
        return None
    links = reels(read_trace(path), os.fspath(path))
    number = _GOES_ON.pop(path.resolve(), 0)
    is_last = number >= len(links) - 1

    def on_cut() -> None:
        if not is_last:
            _GOES_ON[path.resolve()] = number + 1

    takes_new = strictness is RecordMode.NEW_EPISODES
    reel = links[min(number, len(links) - 1)]
    return Player(reel, os.fspath(path), other if takes_new else None, on_cut)


class Player:
    """A module that says what one said before: bytes in, bytes out, ``now`` passed in.

    Attributes:
        board: Where the speed of the line stands.
        wake: Called when something has happened that no call has caused; never, here.
        on_end: Called when the line is to be lost, with the reason.

    """

    def __init__(
        self,
        reel: Reel,
        name: str,
        other: OtherModule | None = None,
        on_cut: Callable[[], None] = lambda: None,
    ) -> None:
        self.wake: Callable[[], None] = lambda: None
        self.on_end: Callable[[str], None] = lambda _reason: None
        self._reel, self._name, self._other, self._on_cut = reel, name, other, on_cut
        self._places = {episode: number for number, episode in enumerate(reel.episodes)}
        self._played: set[Episode] = set()
        self._passed: set[Episode] = set()
        self._told: set[Episode] = set()  # what came behind them
        self._input, self._output = b"", bytearray()
        self._payload_due = 0
        self._send: tuple[str, int] | None = None
        self._sent: dict[int, int] = {}
        self._last_answer: dict[str, bytes] = {}
        self._rows: dict[int, list[str]] = {}
        self._opening: dict[int, list[str]] = {}
        self._active_at = 0.0
        self._is_new = self._is_asked = False
        self._has_ended = False

    # -- as a module ---------------------------------------------------------------------

    @property
    def board(self) -> Any:
        """Where the speed of the line stands: with the other module, or nowhere."""
        return self._other.board if self._other is not None else _NoBoard

    def power_on(self, now: float) -> None:
        """Say what the module said before any command."""
        self._active_at = now
        if self._other is not None:
            self._other.power_on(now)
            self._other.take_output()
        self._say(self._reel.first)

    def feed(self, data: bytes, now: float) -> None:
        """Take bytes of the program, cut anywhere."""
        self._active_at = now
        if self._is_new and self._other is not None:
            self._other.feed(data, now)
            self._hear_other()
            return
        self._input += data
        while self._input and not self._has_ended and self._take_one(now):
            pass

    def tick(self, now: float) -> None:
        """Pass over questions that the program does not ask; lose a line that was lost."""
        if self._other is not None:
            self._other.tick(now)
            self._hear_other()
        due = self._idle_at()
        if due is None or now < due:
            return
        self._active_at = now
        if self._ahead() is None and self._reel.is_cut:
            self._on_cut()
            self._end("the line was lost here")
        for episode in self._questions_ahead():
            self._pass(episode)
            if self._output:
                return

    def deadline(self) -> float | None:
        """Return when :meth:`tick` is due next, or ``None``."""
        times = [self._idle_at(), self._other.deadline() if self._other is not None else None]
        return min((time for time in times if time is not None), default=None)

    @property
    def output_pending(self) -> int:
        """Bytes that wait for :meth:`take_output`."""
        return len(self._output)

    @property
    def input_pending(self) -> int:
        """Bytes of the program that wait: none."""
        return 0

    def take_output(self, most: int | None = None) -> bytes:
        """Take up to ``most`` bytes of what the module says."""
        taken = bytes(self._output[:most])
        del self._output[:most]
        if self._other is not None:
            self._hear_other()
        return taken

    # -- what is played ------------------------------------------------------------------

    @property
    def unplayed(self) -> list[str]:
        """The commands that were not asked for, questions aside."""
        return [
            episode.line
            for episode in self._reel.episodes
            if episode not in self._played and episode.kind is not EpisodeKind.QUESTION
        ]

    def _take_one(self, now: float) -> bool:
        """Take a payload or a line, if all of it is there; return whether to go on."""
        if self._payload_due:
            if len(self._input) < self._payload_due:
                return False
            self._input = self._input[self._payload_due :]
            self._payload_due = 0
            assert self._send is not None
            self._finish_send(*self._send)
            return True
        stripped = self._input.lstrip(b"\r\n\x1a\x1b")
        self._input = stripped
        line, end, rest = stripped.partition(b"\r")
        if not end:
            return False
        self._input = rest
        self._answer(line.decode("ascii", "backslashreplace"), now)
        return True

    def _answer(self, line: str, now: float) -> None:
        kind = kind_of(line)
        if kind is EpisodeKind.SEND:
            self._begin_send(line)
            return
        key = command_key(line)
        episode = self._find(key, kind, socket_of(line))
        if episode is not None:
            self._play(episode)
        elif kind is EpisodeKind.READ and self._knows_socket(socket_of(line)):
            self._say(_NOTHING)
        elif key.startswith("AT+QISTATE"):
            self._say(self._states(key))
        elif kind is EpisodeKind.QUESTION and (key == "AT" or key in self._last_answer):
            self._say(self._last_answer.get(key) or _OK)
        else:
            self._take_new(line, now)
            return
        if self._other is not None and not _OF_SOCKETS.match(line):
            # So that it echoes, and spells, as the program expects when it has to go on.
            self._other.feed(line.encode("ascii", "replace") + b"\r", now)
            self._other.take_output()

    def _find(self, key: str, kind: EpisodeKind, connect_id: int | None) -> Episode | None:
        """Return the episode whose answer a command gets."""
        changed = False
        for episode in self._reel.episodes:
            if episode in self._played or episode in self._passed:
                continue
            is_question = episode.kind in {EpisodeKind.QUESTION, EpisodeKind.READ}
            if episode.line == key and not (changed and kind is not EpisodeKind.CHANGE):
                return episode
            # What a question finds depends on the commands before it, of its own socket at least.
            is_near = connect_id is None or episode.connect_id in {None, connect_id}
            changed = changed or (not is_question and is_near)
        return None

    def _knows_socket(self, connect_id: int | None) -> bool:
        return any(each.connect_id == connect_id for each in self._reel.episodes)

    def _play(self, episode: Episode) -> None:
        for earlier in [*self._questions_ahead()]:
            if self._places[earlier] < self._places[episode]:
                self._pass(earlier)
        self._played.add(episode)
        self._say(episode.answer)
        self._keep(episode)
        if match := _OPEN.match(episode.line):
            context_id, number, service, host, port, local_port, mode = match.groups()
            self._sent[int(number)] = 0
            row = [number, service, host, port, local_port or "0", _CONNECTED, context_id, mode]
            self._opening[int(number)] = row
        elif episode.line.startswith("AT+QICLOSE") and episode.is_ok:
            self._rows.pop(-1 if episode.connect_id is None else episode.connect_id, None)
        elif match := _SWITCH.match(episode.line):
            self._rows.get(int(match[1]), [""])[-1] = match[2]
        if episode.kind is not EpisodeKind.READ:
            self._note_states(episode.answer)
        self._tell(episode)

    def _pass(self, episode: Episode) -> None:
        """Leave a question out, but not what the module printed behind it."""
        self._passed.add(episode)
        self._keep(episode)
        self._tell(episode)

    def _keep(self, episode: Episode) -> None:
        """Keep an answer for when the question comes once more; without its echo."""
        if episode.kind is EpisodeKind.QUESTION:
            echo = episode.line.encode("ascii", "replace") + b"\r"
            answer = episode.answer
            is_echoed = answer.upper().startswith(echo)
            self._last_answer[episode.line] = answer[len(echo) :] if is_echoed else answer

    def _tell(self, episode: Episode) -> None:
        if episode not in self._told:
            self._told.add(episode)
            self._note_states(episode.after)
            self._say(episode.after)

    def _note_states(self, said: bytes) -> None:
        """Follow which sockets are open."""
        for match in _STATES.finditer(said.decode("ascii", "backslashreplace")):
            opened, closed, incoming, server_id, address, port, restart = match.groups()
            if opened and (row := self._opening.pop(int(opened), None)) is not None:
                self._rows[int(opened)] = row
            elif closed:
                self._rows.pop(int(closed), None)
            elif incoming:
                local_port = self._rows.get(int(server_id), [""] * 5)[4]
                row = [incoming, '"TCP INCOMING"', f'"{address}"', port, local_port, _CONNECTED]
                self._rows[int(incoming)] = [*row, "1", "0"]
            elif restart:
                self._rows.clear()

    def _states(self, key: str) -> bytes:
        """Return an answer to AT+QISTATE (§2.2.3)."""
        one = re.fullmatch(r"AT\+QISTATE=1,([0-5])", key)
        rows = [
            row for number, row in sorted(self._rows.items()) if one is None or row[0] == one[1]
        ]
        lines = "".join(f"\r\n+QISTATE: {','.join(row)}\r\n" for row in rows)
        return lines.encode("ascii", "replace") + _OK

    def _ahead(self) -> Episode | None:
        """Return the first episode that was neither played nor passed over."""
        for episode in self._reel.episodes:
            if episode not in self._played and episode not in self._passed:
                return episode
        return None

    def _questions_ahead(self) -> Iterator[Episode]:
        """Iterate over the questions up to the next command that changes something."""
        for episode in self._reel.episodes:
            if episode in self._played or episode in self._passed:
                continue
            is_question = episode.kind is EpisodeKind.QUESTION
            is_empty = episode.kind is EpisodeKind.READ and b"+QIRD: 0\r\n" in episode.answer
            if not (is_question or is_empty):
                return
            yield episode

    # -- sends ---------------------------------------------------------------------------

    def _begin_send(self, line: str) -> None:
        self._send = line, send_size(line)
        if _INLINE.match(line):
            self._finish_send(*self._send)
        else:
            self._payload_due = send_size(line)
            self._say(_PROMPT)

    def _finish_send(self, line: str, size: int) -> None:
        connect_id = socket_of(line)
        waiting = [
            episode
            for episode in self._reel.episodes
            if episode not in self._played
            and episode.kind is EpisodeKind.SEND
            and episode.connect_id == connect_id
        ]
        if not waiting or connect_id is None:
            self._take_new_send(line)
            return
        first = waiting[0]
        if not first.is_taken:
            self._played.add(first)
            self._say(first.answer + (_SEND_FAIL if first.sent is False else b""))
            self._tell(first)
            return
        self._sent[connect_id] = self._sent.get(connect_id, 0) + size
        covered = self._covered(waiting, connect_id)
        if covered is None:
            self._take_new_send(line)
            return
        self._say(_OK + _SEND_OK)
        for episode in covered:
            self._sent[connect_id] -= episode.size_bytes
            self._played.add(episode)
            for earlier in [*self._questions_ahead()]:
                if self._places[earlier] < self._places[episode]:
                    self._pass(earlier)
            self._tell(episode)

    def _covered(self, waiting: list[Episode], connect_id: int) -> list[Episode] | None:
        """Return the recorded sends whose bytes have all been sent now.

        ``None``: more was sent than the trace has.
        """
        left = self._sent[connect_id]
        covered: list[Episode] = []
        for episode in waiting:
            if not episode.is_taken or left < episode.size_bytes:
                return covered
            left -= episode.size_bytes
            covered.append(episode)
        return covered if not left else None

    # -- new commands, and the end -------------------------------------------------------

    def _take_new(self, line: str, now: float) -> None:
        if self._other is None:
            self._refuse(command_key(line))
            return
        self._is_asked = True
        data = line.encode("ascii", "replace") + b"\r"
        if _OF_SOCKETS.match(line):
            self._is_new = True
            data, self._input = data + self._input, b""
        self._other.feed(data, now)
        self._hear_other()

    def _hear_other(self) -> None:
        """Take what the other module says: its answer to a new command, or all of it."""
        assert self._other is not None
        said = self._other.take_output()
        if self._is_new or self._is_asked:
            self._say(said)
            self._is_asked = not _FINAL.search(said)

    def _take_new_send(self, line: str) -> None:
        # Another module does not have the socket, so it could only refuse.
        self._refuse(f"{command_key(line)}, or not that many bytes")

    def _refuse(self, what: str) -> None:
        ahead = self._ahead()
        following = f"what comes next is {ahead.line}" if ahead is not None else "it has ended"
        self._end(f"the trace {self._name} has no {what} here; {following}")

    def _end(self, reason: str) -> None:
        self._has_ended = True
        self.on_end(reason)

    def _say(self, data: bytes) -> None:
        self._output += data

    def _idle_at(self) -> float | None:
        """Return when the program counts as waiting; ``None`` if nothing would follow."""
        if self._has_ended or self._is_new or self._output or self._payload_due:
            return None
        is_over = self._ahead() is None and self._reel.is_cut
        if is_over or any(episode.after for episode in self._questions_ahead()):
            return self._active_at + IDLE_S
        return None


class _NoBoard:
    baud: Final = 0
