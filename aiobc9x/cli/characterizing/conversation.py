"""Talk to a module line by line, and keep what it says with its time and its order.

Layer: cli. A modem would hide what is to be measured: it learns the module's habits and works
around them. So here is only a link and the framer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import field
from typing import Final, NamedTuple, TypeVar

from aiobc9x.aio.line.link import Link, open_link_apart
from aiobc9x.aio.line.serial_settings import SerialSettings
from aiobc9x.aio.line.trace import DialogueLog
from aiobc9x.cli.opening import Port
from aiobc9x.core.exchange import is_final
from aiobc9x.errors import LinkLost, LinkTimeout, ModemError, ModuleReset
from aiobc9x.logs import Logs
from aiobc9x.slotted import slotted
from aiobc9x.spec import CONNECT_IDS, ESC
from aiobc9x.trace.recording import Recorder
from aiobc9x.wire.framer import Framer
from aiobc9x.wire.frames import Damage, Frame, Line, Payload, Prompt
from aiobc9x.wire.urcs import CloseOk, Restart, Urc, parse_urc

T = TypeVar("T")
U = TypeVar("U", bound=Urc)

ANSWER_S: Final = 10.0
"""Seconds that an answer may take, as for a modem (N4)."""

CLOSE_S: Final = 12.0
"""Seconds that ``CLOSE OK`` may take (N6)."""

_GAP_S: Final = 0.1
"""Seconds in front of each command as long as nobody knows that the module needs none."""

_SYNC_TRIES: Final = 8
_SYNC_S: Final = 1.0
_ATTACH_S: Final = 60.0
_LEAVE_S: Final = 3.0
_FILL_BYTES: Final = 64
_FILL_GAP_S: Final = 0.05


class Said(NamedTuple):
    """What the module has said: its place among all that it says, the time, and the frame."""

    number: int
    at: float
    what: Frame


class SaidUrc(NamedTuple):
    """The same for a line that nobody asked for."""

    number: int
    at: float
    urc: Urc


@slotted()
class Response:
    """What a command has come to.

    Attributes:
        sent_at: When it was written.
        lines: The lines in front of the final result.
        payload: The data of a read.
        final: The final result; ``None`` if there was a prompt in its place, or nothing at all.
        prompted: Whether there was a prompt.
        number: The place of final result or prompt among all that the module says.
        ended_at: When that came.

    """

    sent_at: float
    lines: list[bytes] = field(default_factory=list)
    payload: Payload | None = None
    final: bytes | None = None
    prompted: bool = False
    number: int = 0
    ended_at: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the command was carried out."""
        return self.final == b"OK"

    @property
    def took_s(self) -> float:
        """Seconds from the command to the end of the answer."""
        return self.ended_at - self.sent_at


class Conversation:
    """Write commands, and take apart what comes.

    Attributes:
        framer: Takes the stream apart.
        raw: All that has come since it was last cleared.
        said: Lines, prompts, read data and damage that nobody has taken yet.
        urcs: The same for lines that nobody asked for.
        pushed: The same for pushed data.
        open_ids: The sockets that are to be closed at the end.
        owed: Bytes of a send that the module still waits for.
        gap_s: Seconds of silence that the module needs in front of a command (F31).
        close_times: Seconds from the ``OK`` of each close to its ``CLOSE OK``; ``None`` if that
            never came.

    """

    def __init__(self, link: Link, recorder: Recorder | None = None) -> None:
        self.framer: Framer = Framer()
        self.raw: bytearray = bytearray()
        self.said: list[Said] = []
        self.urcs: list[SaidUrc] = []
        self.pushed: list[Said] = []
        self.open_ids: set[int] = set()
        self.owed: int = 0
        self.gap_s = _GAP_S
        self.close_times: list[float | None] = []
        self._link, self._recorder = link, recorder
        self._logs = Logs(link.name)
        self._dialogue = DialogueLog(self._logs)
        self._number, self._lost, self._is_asked = 0, "", False
        self._is_set_up, self._reset = False, ""
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()

    def time(self) -> float:
        """Return the loop's clock."""
        return self._loop.time()

    def start(self) -> None:
        """Begin to listen."""
        self._logs.link += 1
        if self._recorder is not None:
            address = self._link.name.partition("?")[0]  # the rest may be a PIN
            self._recorder.begin_link(self.time(), {"address": address})
        self._link.start(self._hear, self._lose)

    def write(self, data: bytes, *, is_payload: bool = False) -> None:
        """Write bytes."""
        self._dialogue.sent(data, is_payload=is_payload)
        if self._recorder is not None:
            awaits = self.framer.prompt_due
            self._recorder.sent(data, self.time(), is_payload=is_payload, awaits_prompt=awaits)
        self._link.write(data)

    async def until(self, take: Callable[[], T | None], timeout: float) -> T | None:
        """Wait until a function finds what it looks for; ``None`` if it does not in time.

        Raises:
            LinkLost: The link failed.
            ModuleReset: The module restarted, so that what was measured is of two lives.

        """
        end = self.time() + timeout
        while (found := take()) is None:
            if self._lost:
                raise LinkLost(self._lost)
            if self._reset:
                raise ModuleReset(self._reset)
            if (left := end - self.time()) <= 0:
                return None
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._news.wait()
        return found

    async def command(
        self, text: str, timeout: float = ANSWER_S, *, prompts: bool = False
    ) -> Response:
        """Write a command; return its answer.

        Args:
            text: The line, without its ``<CR>``.
            timeout: Seconds for the answer.
            prompts: Whether a prompt is an answer to it.

        Raises:
            LinkLost: The link failed.
            LinkTimeout: There was no answer. The module listens to commands again.

        """
        if self.gap_s:
            await asyncio.sleep(self.gap_s)
        answer = await self.ask(text, timeout, prompts=prompts)
        if answer.final is None and not answer.prompted:
            await self.synchronize()
            raise LinkTimeout(f"no answer to {text[:40]!r} in {timeout:g} s")
        return answer

    async def ask(self, text: str, timeout: float, *, prompts: bool = False) -> Response:
        """Write a command at once; an answer without a final result means that none came.

        Raises:
            LinkLost: The link failed.

        """
        self.said.clear()
        self.framer.prompt_due = prompts
        answer = Response(self.time())
        self._is_asked = True
        self.write(text.encode("latin-1") + b"\r")
        if await self.until(lambda: self._answered(answer), timeout) is not None:
            self._is_asked = False
        return answer

    def _answered(self, answer: Response) -> Response | None:
        """Add to an answer what has come; return it once it has its end."""
        while self.said:
            number, at, frame = self.said.pop(0)
            match frame:
                case Payload():
                    answer.payload = frame
                case Prompt():
                    answer.prompted = True
                case Line(text) if is_final(text):
                    answer.final = text
                case Line(text) | Damage(_, text):
                    answer.lines.append(text)
                    continue
            if answer.prompted or answer.final is not None:
                answer.number, answer.ended_at = number, at
                return answer
        return None

    def take_urc(self, kind: type[U], connect_id: int | None = None) -> U | None:
        """Take the first unasked line of a kind, and of a socket; ``None`` if there is none."""
        for index, (_, _, urc) in enumerate(self.urcs):
            if isinstance(urc, kind) and connect_id in {None, getattr(urc, "connect_id", None)}:
                del self.urcs[index]
                return urc
        return None

    async def urc(self, kind: type[U], connect_id: int | None, timeout: float) -> U | None:
        """Wait for an unasked line of a kind, and of a socket; ``None`` if it does not come.

        Raises:
            LinkLost: The link failed.

        """
        return await self.until(lambda: self.take_urc(kind, connect_id), timeout)

    async def quiet(self, seconds: float) -> None:
        """Wait until nothing has come for some seconds, ten times as long at most.

        Raises:
            LinkLost: The link failed.

        """
        end, before = self.time() + 10 * seconds, -1
        while before != self._number and self.time() < end:
            before = self._number
            await self.until(lambda: None, seconds)

    async def close(self, connect_id: int) -> None:
        """Close a socket, and note how long that takes.

        Raises:
            LinkLost: The link failed.
            LinkTimeout: There was no answer.

        """
        self.take_urc(CloseOk)
        answer = await self.command(f"AT+QICLOSE={connect_id}")
        if answer.ok:
            began = self.time()
            came = await self.urc(CloseOk, None, CLOSE_S)
            self.close_times.append(self.time() - began if came else None)
        self.open_ids.discard(connect_id)

    async def synchronize(self) -> None:
        """Make the module listen to commands, whatever it waits for.

        Raises:
            LinkLost: The link failed.
            LinkTimeout: It does not answer AT.

        """
        await self._fill_up(self.owed)
        for attempt in range(_SYNC_TRIES):
            self.framer.resync()
            if (await self.ask("AT", _SYNC_S)).final is not None:
                await self.quiet(0.1)
                self.framer.resync()
                return
            if attempt:
                self.write(ESC)
        raise LinkTimeout(f"{self._link.name} does not answer AT any more")

    async def _fill_up(self, size: int) -> None:
        """Give the module the bytes that it waits for (F28)."""
        self.owed = 0
        for start in range(0, size, _FILL_BYTES):
            self.write(b"\r" * min(_FILL_BYTES, size - start), is_payload=True)
            await asyncio.sleep(_FILL_GAP_S)

    async def set_up(self) -> None:
        """Make the settings that the measurements need, as far as the module has them.

        Raises:
            LinkLost: The link failed.
            LinkTimeout: The module does not answer, or has no network.

        """
        await self.synchronize()
        for text in (
            "ATE0",
            "AT+CMEE=1",
            'AT+QICFG="dataformat",0,0',
            'AT+QICFG="viewmode",0',
            'AT+QICFG="showlength",1',
        ):
            await self.command(text)
            await asyncio.sleep(_FILL_GAP_S)  # behind a write to flash memory (F44)
        end = self.time() + _ATTACH_S
        while b"+CGATT: 1" not in (await self.command("AT+CGATT?")).lines:
            if self.time() > end:
                raise LinkTimeout("the module is not attached to the network any more")
            await asyncio.sleep(1)
        for connect_id in CONNECT_IDS:
            if (await self.command(f"AT+QICLOSE={connect_id}")).ok:
                await self.urc(CloseOk, None, CLOSE_S)
        self._is_set_up = True

    async def leave(self) -> None:
        """Close what is open, whatever was going on.

        Raises:
            LinkLost: The link failed.
            LinkTimeout: The module does not answer any more.

        """
        if self._reset:
            # Nothing of before is left on it.
            self.open_ids.clear()
            self.owed, self._is_asked, self._reset = 0, False, ""
        self._is_set_up = False
        if self._is_asked and not self.owed:
            answer = Response(self.time())
            await self.until(lambda: self._answered(answer), _LEAVE_S)
        await self.synchronize()
        for connect_id in sorted(self.open_ids):
            await self.close(connect_id)

    def _hear(self, data: bytes) -> None:
        now = self.time()
        if self._recorder is not None:
            self._recorder.received(data, now)
        self._dialogue.received(data, lambda: (self.framer.push_sockets, False))
        self.raw += data
        for frame in self.framer.feed(data):
            self._number += 1
            urc = parse_urc(frame.text) if isinstance(frame, Line) else None
            if isinstance(urc, Restart) and self._is_set_up:
                self._reset = f"the module restarted ({urc.text}) while it was measured"
            if urc is not None:
                self.urcs.append(SaidUrc(self._number, now, urc))
            elif isinstance(frame, Payload) and frame.connect_id is not None:
                self.pushed.append(Said(self._number, now, frame))
            else:
                self.said.append(Said(self._number, now, frame))
        self._news.set()

    def _lose(self, reason: str) -> None:
        self._lost = reason
        self._news.set()


@asynccontextmanager
async def conversation(port: Port, baudrate: int) -> AsyncIterator[Conversation]:
    """Open a port and talk to the module; all sockets are closed at the end.

    Args:
        port: Where the module is.
        baudrate: Bits per second.

    Raises:
        ModemError: The port can't be opened, or the module does not answer.

    Cancellation closes the sockets and the port.
    """
    link = await open_link_apart(port.address, SerialSettings(baudrate))
    recorder = port.recorder()
    talk = Conversation(link, recorder)
    try:
        talk.start()
        await talk.set_up()
        yield talk
    finally:
        try:
            with contextlib.suppress(ModemError):  # there is nobody to tidy up for
                await talk.leave()
        finally:
            await link.aclose()
            if recorder is not None:
                recorder.close()
