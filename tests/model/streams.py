"""A conversation over a stream: the host's side, and what must come of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aiobc9x
from aiobc9x import AccessMode
from tests.model.limits import FAILURES, LIMIT_S, TICK_S, Wrong, bounded
from tests.model.peers import Peer, Script, payload

if TYPE_CHECKING:
    from tests.model.driver import Run

SHOWN_BYTES: Final = 60

PAUSES_S: Final = 60.0
"""Virtual seconds that a slow reader pauses in all, so that no wait for it looks endless."""


def first_difference(got: bytes | bytearray, sent: bytes | bytearray) -> str:
    """Say where received bytes differ from those sent."""
    at = next((i for i, (a, b) in enumerate(zip(got, sent, strict=False)) if a != b), len(sent))
    return (
        f"byte {at} of {len(got)} received, {len(sent)} sent: "
        f"got {bytes(got[at : at + SHOWN_BYTES])!r}, sent {bytes(sent[at : at + SHOWN_BYTES])!r}"
    )


class Conversation:
    """One connection as a program uses it: it reads, writes, switches modes, and ends.

    Attributes:
        got: What it has read.
        written: What it has written.
        eof: Whether an EOF was read; ``eof_first``: before we closed.
        failure: What reading raised; ``write_failure`` and ``closing_failure`` likewise.
        hasty: Whether it closes without waiting for what is under way.
        abort: Whether it ended by an abort.
        switched: Whether its access mode was switched.

    """

    def __init__(
        self,
        run: Run,
        peer: Peer,
        script: Script,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        mode: str = "buffer",
    ) -> None:
        self.run = run
        self.peer = peer
        self.script = script
        self.reader = reader
        self.writer = writer
        self.mode = mode
        self.got = bytearray()
        self.written = bytearray()
        self.eof = False
        self.failure: BaseException | None = None
        self.write_failure: BaseException | None = None
        self.hasty = run.rng.random() < 0.25
        self.abort = False
        self.switched = False
        self.eof_first = False
        self.closing_failure: BaseException | None = None

    @property
    def name(self) -> str:
        """Who it is, for messages."""
        connect_id = self.writer.get_extra_info("connect_id")
        extra = ", switched" if self.switched else ""
        return f"stream to port {self.peer.port} (connectID {connect_id}, {self.mode}{extra})"

    def wrong(self, text: str) -> Exception:
        """Return the error that says what is wrong."""
        return Wrong(f"{self.name}: {text}")

    async def hold(self) -> None:
        """Talk until the end, and judge."""
        self.run.tell(f"{self.name} is open")
        parts = [asyncio.ensure_future(part) for part in (self._read(), self._write())]
        if self.run.condition.push and self.run.rng.random() < 0.4:
            parts.append(asyncio.ensure_future(self._switch()))
        reading, others = parts[0], parts[1:]
        try:
            await self._talk(reading, others)
            await self._end()
        finally:
            for part in parts:
                part.cancel()
            ends = await asyncio.gather(*parts, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end
        self._judge()

    async def _talk(self, reading: asyncio.Task[None], others: list[asyncio.Task[None]]) -> None:
        if self.hasty:
            await asyncio.sleep(self.run.rng.choice((0.0, 0.5, 5.0)))
            for part in others:
                part.cancel()
            await asyncio.wait(others)
            return
        _, left = await asyncio.wait(others, timeout=LIMIT_S)
        if left:
            raise self.wrong(f"writing takes more than {LIMIT_S:g} s")
        for part in others:
            part.result()
        waited = 0.0
        while not self._complete() and not reading.done():
            await asyncio.sleep(TICK_S)
            waited += TICK_S
            if waited > LIMIT_S:
                raise self.wrong(
                    f"{len(self.got)} of {len(self.peer.sent)} bytes after {LIMIT_S:g} s"
                    + (", and no EOF" if self.peer.fin else "")
                )

    def _complete(self) -> bool:
        """Whether all that can come has come, in both directions."""
        peer = self.peer
        if self.write_failure is not None:
            return True
        if peer.fin or peer.over or not self.script.done:
            return False
        return len(self.got) >= len(peer.sent) and len(peer.received) >= len(self.written)

    async def _end(self) -> None:
        rng = self.run.rng
        self.abort = rng.random() < 0.1 and not self.eof
        self.eof_first = self.eof
        self.run.tell(f"{self.name}: {'abort' if self.abort else 'close'}")
        if self.abort:
            self.writer.transport.abort()
        else:
            self.writer.close()
        try:
            await bounded(self.writer.wait_closed(), f"{self.name}: wait_closed()")
        except FAILURES as exc:
            self.closing_failure = exc
        self.script.stop()

    # What goes on meanwhile.

    async def _read(self) -> None:
        rng = self.run.rng
        slow = rng.choice((0.0, 0.0, 0.05, 1.0))
        patience = PAUSES_S
        while True:
            try:
                data = await self._read_some(rng.choice((1, 100, 1024, 65536)))
            except (aiobc9x.ModemError, OSError) as exc:
                self.failure = exc
                return
            if data is None:
                continue
            if not data:
                self.eof = True
                return
            self.got += data
            if not self.peer.sent.startswith(self.got):
                raise self.wrong(f"wrong bytes: {first_difference(self.got, self.peer.sent)}")
            if slow and patience > 0 and rng.random() < 0.3:
                pause = rng.uniform(0, 15 if slow == 1.0 and rng.random() < 0.15 else slow)
                patience -= pause
                await asyncio.sleep(pause)

    async def _read_some(self, size: int) -> bytes | None:
        """Read, or cancel reading."""
        if self.run.rng.random() > 0.05:
            return await self.reader.read(size)
        try:
            async with asyncio.timeout(self.run.rng.uniform(0, 1)):
                return await self.reader.read(size)
        except TimeoutError as exc:
            if isinstance(exc, aiobc9x.ModemError):
                raise
            return None

    async def _write(self) -> None:
        rng = self.run.rng
        for _ in range(rng.choice((0, 1, 2, rng.randint(1, 10)))):
            data = payload(rng, rng.choice((1, 10, rng.randint(1, 200), rng.randint(1, 5000))))
            if self.writer.is_closing():
                return
            self.written += data
            self.writer.write(data)
            try:
                await self._drain()
            except (aiobc9x.ModemError, OSError) as exc:
                self.write_failure = exc
                return
            if rng.random() < 0.5:
                await asyncio.sleep(rng.choice((0.0, rng.uniform(0, 0.3), rng.uniform(0, 3))))

    async def _drain(self) -> None:
        """Drain, or cancel draining, or not."""
        choice = self.run.rng.random()
        if choice < 0.6:
            await self.writer.drain()
        elif choice < 0.7:
            try:
                async with asyncio.timeout(self.run.rng.choice((0.0, 0.01, 0.2))):
                    await self.writer.drain()
            except TimeoutError as exc:
                if isinstance(exc, aiobc9x.ModemError):
                    raise

    async def _switch(self) -> None:
        rng = self.run.rng
        for _ in range(rng.randint(1, 4)):
            await asyncio.sleep(rng.choice((0.0, rng.uniform(0, 1), rng.uniform(0, 4))))
            if self.writer.is_closing() or self.eof:
                return
            mode = AccessMode(rng.randrange(2))
            self.switched = True
            self.run.tell(f"{self.name}: set_access_mode({mode})")
            switching = self.run.modem.set_access_mode(self.writer.transport, mode)
            patience = rng.choice((0.0, 0.05, 0.5)) if rng.random() < 0.1 else LIMIT_S
            try:
                await asyncio.wait_for(switching, patience)
            except TimeoutError as exc:
                if patience == LIMIT_S and not self.run.excused():
                    raise self.wrong(f"set_access_mode() fails: {exc!r}") from exc
            except (*FAILURES, ValueError) as exc:
                if not (self.peer.fin or self.writer.is_closing() or self.run.excused()):
                    raise self.wrong(f"set_access_mode() fails: {exc!r}") from exc
                return

    # The oracle.

    def _judge(self) -> None:
        peer = self.peer
        if self.eof_first and not self.run.closing:
            if not peer.fin:
                raise self.wrong("EOF though the peer has not closed")
            if len(self.got) != len(peer.sent):
                raise self.wrong(f"EOF after {len(self.got)} of {len(peer.sent)} bytes")
        for failure in (self.failure, self.write_failure, self.closing_failure):
            if failure is not None and not self._may_fail():
                raise self.wrong(f"needless end: {failure!r}") from failure
        self._judge_sent()

    def _may_fail(self) -> bool:
        if self.run.excused() or self.abort:
            return True
        # Who writes to a peer that has closed, gets an error.
        return self.peer.fin and len(self.peer.received) < len(self.written)

    def _judge_sent(self) -> None:
        peer = self.peer
        failed = self.failure or self.write_failure or self.closing_failure
        if not self.written.startswith(peer.received):
            if not (peer.dirty and failed):
                raise self.wrong(
                    f"peer got wrong bytes: {first_difference(peer.received, self.written)}"
                )
            return
        if failed or self.abort or peer.fin or self.run.closing:
            return
        if len(peer.received) != len(self.written):
            raise self.wrong(
                f"close() without error, {len(peer.received)} of {len(self.written)} bytes sent"
            )
