"""Hold sockets to an echo peer: open, send in each form, read, compare.

Layer: cli.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiobc9x.cli.characterizing.conversation import ANSWER_S, Conversation
from aiobc9x.core.exchange import is_final
from aiobc9x.core.sending import SendForm
from aiobc9x.errors import ConnectFailed, LinkTimeout
from aiobc9x.slotted import slotted
from aiobc9x.spec import READ_MAX_BYTES, AccessMode
from aiobc9x.wire.frames import Line
from aiobc9x.wire.urcs import OpenResult, Received, SendFail, SendOk

OPEN_S: Final = 60.0
"""Seconds that a socket may take to open."""

SEND_S: Final = 30.0
"""Seconds that ``SEND OK`` may take."""

_LATE_OK_S: Final = 0.3


def pattern(size: int) -> bytes:
    """Return text of which every part shows where it belongs; it has no quotes."""
    text = "".join(f"{number:07d}." for number in range(size // 8 + 1))
    return text[:size].encode("ascii")


@slotted(frozen=True)
class Peer:
    """An echo server, by TCP and by UDP."""

    host: str
    port: int


@slotted(frozen=True)
class SendOutcome:
    """What a send has come to.

    Attributes:
        taken: Whether ``SEND OK`` came.
        order: What came, in order, such as ``"OK, SEND OK"``.

    """

    taken: bool
    order: str


class EchoSocket:
    """One socket to the echo peer.

    Args:
        talk: The module.
        peer: The peer.
        connect_id: The socket.
        service: ``"TCP"`` or ``"UDP"``.
        access_mode: Whether data are read or pushed.

    """

    talk: Conversation
    peer: Peer
    connect_id: int

    def __init__(
        self,
        talk: Conversation,
        peer: Peer,
        connect_id: int,
        service: str = "TCP",
        access_mode: AccessMode = AccessMode.BUFFER,
    ) -> None:
        self.talk, self.peer, self.connect_id = talk, peer, connect_id
        self._service, self._access_mode = service, access_mode

    async def begin_open(self) -> bool:
        """Ask for the connection; return whether the module has taken the command.

        Raises:
            LinkTimeout: It does not answer.

        """
        self.talk.open_ids.add(self.connect_id)
        return (
            await self.talk.command(
                f'AT+QIOPEN=1,{self.connect_id},"{self._service}","{self.peer.host}",'
                f"{self.peer.port},0,{int(self._access_mode)}"
            )
        ).ok

    async def opened(self) -> int | None:
        """Wait for the result of an open; ``None`` if there is none.

        Raises:
            LinkLost: The link failed.

        """
        result = await self.talk.urc(OpenResult, self.connect_id, OPEN_S)
        return None if result is None else result.err

    async def open(self) -> None:
        """Connect.

        Raises:
            ConnectFailed: The peer can't be reached.
            LinkTimeout: The module does not answer.

        """
        err = await self.opened() if await self.begin_open() else None
        if err != 0:
            raise ConnectFailed("AT+QIOPEN", err, target=(self.peer.host, self.peer.port))

    async def close(self) -> None:
        """Close the socket.

        Raises:
            LinkTimeout: The module does not answer.

        """
        await self.talk.close(self.connect_id)

    async def reopen(self) -> None:
        """Begin a new connection, behind a send that nobody knows the end of.

        Raises:
            ConnectFailed: The peer can't be reached.
            LinkTimeout: The module does not answer.

        """
        await self.close()
        self.talk.urcs.clear()
        await self.open()

    def line(self, data: bytes, form: SendForm) -> str:
        """Return the command line of a send."""
        head = f"{self.connect_id},{len(data)}"
        if form is SendForm.INLINE:
            return f'AT+QISEND={head},"{data.decode("ascii")}"'
        if form is SendForm.HEX:
            return f'AT+QISENDEX={head},"{data.hex().upper()}"'
        return f"AT+QISEND={head}"

    async def send(
        self,
        data: bytes,
        form: SendForm,
        before_data: Callable[[], Awaitable[None]] | None = None,
    ) -> SendOutcome:
        """Send, and wait for the result.

        Args:
            data: What to send; printable.
            form: In which form.
            before_data: Awaited between the prompt and the data.

        Raises:
            LinkTimeout: The module does not answer at all, even to AT.

        """
        talk = self.talk
        talk.take_urc(SendOk)
        talk.take_urc(SendFail)
        if talk.gap_s:
            await talk.quiet(talk.gap_s)
        if form is SendForm.FIXED:
            talk.owed = len(data)
            answer = await talk.ask(self.line(data, form), ANSWER_S, prompts=True)
            if not answer.prompted:
                talk.owed = 0 if answer.final is not None else talk.owed
                return await self._silent() if answer.final is None else SendOutcome(False, "ERROR")
            if before_data is not None:
                await before_data()
            talk.said.clear()
            talk.write(data, is_payload=True)
            talk.owed = 0
        else:
            talk.said.clear()
            talk.write(self.line(data, form).encode("ascii") + b"\r")
        seen: list[str] = []
        await talk.until(lambda: self._ended(seen), SEND_S)
        if not seen:
            return await self._silent()
        if "SEND OK" in seen and "OK" not in seen:
            await talk.until(lambda: self._late_ok(seen), _LATE_OK_S)
        return SendOutcome("SEND OK" in seen, ", ".join(seen))

    async def _silent(self) -> SendOutcome:
        await self.talk.synchronize()
        return SendOutcome(False, "no answer")

    def _ended(self, seen: list[str]) -> bool | None:
        """Note what has come, in order; return ``True`` once it is all that comes."""
        talk = self.talk
        found = [(s.number, s.what.text) for s in talk.said if isinstance(s.what, Line)]
        results = {SendOk: b"SEND OK", SendFail: b"SEND FAIL"}
        found += [(s.number, results[type(s.urc)]) for s in talk.urcs if type(s.urc) in results]
        talk.said.clear()
        talk.urcs[:] = [s for s in talk.urcs if type(s.urc) not in results]
        known = [t for _, t in sorted(found) if is_final(t) or t in results.values()]
        seen.extend(text.decode("latin-1") for text in known)
        return True if any(text != "OK" for text in seen) else None

    def _late_ok(self, seen: list[str]) -> bool | None:
        self._ended(seen)
        return True if "OK" in seen else None

    async def read(self, most: int = READ_MAX_BYTES) -> tuple[bytes | None, int | None]:
        """Read once; return the data, and the remaining length.

        No data are ``b""``; ``None`` stands for a refusal.

        Raises:
            LinkTimeout: The module does not answer.

        """
        answer = await self.talk.command(f"AT+QIRD={self.connect_id},{most}")
        if answer.payload is not None:
            return answer.payload.data, answer.payload.remaining
        return (b"" if answer.ok else None), None

    async def receive(self, size: int, patience: float) -> bytes:
        """Read until so many bytes have come, or none for some seconds.

        Raises:
            LinkTimeout: The module does not answer.

        """
        data, last = b"", self.talk.time()
        while len(data) < size and self.talk.time() - last < patience:
            more, _ = await self.read()
            if more is None:
                break
            data += more
            if more:
                last = self.talk.time()
            else:
                # Not for ever, because a "recv" may never come (F14).
                await self.talk.urc(Received, self.connect_id, min(1.0, patience / 4))
        return data

    async def empty(self) -> None:
        """Read what there is, and forget what was said of it.

        Raises:
            LinkTimeout: The module does not answer.

        """
        while (await self.read())[0]:
            pass
        while self.talk.take_urc(Received, self.connect_id) is not None:
            pass

    async def comes_back(self, data: bytes, form: SendForm, patience: float) -> bool:
        """Send data, and say whether exactly these come back; the socket is in order behind it.

        Raises:
            LinkTimeout: The module does not answer at all.
            ConnectFailed: The peer can't be reached any more.

        """
        try:
            sent = await self.send(data, form)
            same = sent.taken and await self.receive(len(data), patience) == data
        except LinkTimeout:
            await self.talk.synchronize()
            sent, same = SendOutcome(False, "no answer"), False
        if not same and sent.order != "ERROR":
            await self.reopen()
        return same
