"""Measure one habit each: a function that talks to the module, and what it has found.

Layer: cli. Each function leaves the sockets that it was given in order, and closes its own.
The module is long because the habits are many: each has its function, which is read by itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from statistics import median
from typing import Final, Literal

from aiobc9x.cli.characterizing.conversation import Conversation
from aiobc9x.cli.characterizing.echoing import EchoSocket, Peer, SendOutcome, pattern
from aiobc9x.core.sending import SendForm
from aiobc9x.slotted import slotted
from aiobc9x.spec import CONNECT_IDS, READ_MAX_BYTES, SEND_MAX_BYTES, AccessMode
from aiobc9x.wire.frames import Payload
from aiobc9x.wire.urcs import BufferFull, Closed, OpenResult, Received, SendFail, SendOk

_ANSWERS: Final = 20
_GAPS_MS: Final = (0, 5, 10, 20, 50, 100)
_GAP_TRIES: Final = 8
_GAP_WAIT_S: Final = 2.0

_RATE_TRIES: Final = 3
_FASTEST_BYTES_S: Final = 1_000_000
"""A line that is faster than this has no speed of its own."""

_PROMPT_S: Final = 0.3
"""Seconds that a prompt has to show all of its bytes."""

_PATIENCE_S: Final = 2.0
"""Seconds beyond a few round trips after which data count as lost."""

_SHORT: Final = 16
_SEND_TRIES: Final = 5
_SWALLOW_TRIES: Final = 3
_FILL_BLOCK: Final = 1024
_FILL_BLOCKS: Final = 24
_FILL_MORE: Final = 4
_WEB_S: Final = 20.0
"""Seconds that a web server has to answer, and as many to close."""

_FAILS_MOST: Final = 20
_FAIL_PAUSE_S: Final = 1.0
_CELL: Final = 8
"""Bytes of :func:`pattern` that say by themselves where they belong."""
_WRITE_GAP_S: Final = 0.1


@slotted(frozen=True)
class Latency:
    """How long the module takes to answer AT, and how soon it hears the next command.

    Attributes:
        min_ms: Of twenty answers.
        median_ms: Of the same.
        max_ms: Of the same.
        gap_ms: Silence behind an answer, in which the next command is not heard; ``None`` if
            commands get lost whatever the gap.

    """

    min_ms: float
    median_ms: float
    max_ms: float
    gap_ms: int | None


async def latency(talk: Conversation) -> Latency:
    """Ask AT again and again, with as short a gap as the module hears.

    Raises:
        LinkTimeout: The module does not answer any more.

    """
    gap_ms = None
    for tried_ms in _GAPS_MS:
        talk.gap_s = tried_ms / 1000
        if await _all_heard(talk):
            gap_ms = tried_ms
            break
    times = sorted([(await talk.command("AT")).took_s * 1000 for _ in range(_ANSWERS)])
    return Latency(round(times[0], 1), round(median(times), 1), round(times[-1], 1), gap_ms)


async def _all_heard(talk: Conversation) -> bool:
    for _ in range(_GAP_TRIES):
        await asyncio.sleep(talk.gap_s)
        if (await talk.ask("AT", _GAP_WAIT_S)).final is None:
            await asyncio.sleep(_GAPS_MS[-1] / 1000)
            await talk.synchronize()
            return False
    return True


@slotted(frozen=True)
class SendForms:
    """Which forms of a send the module takes, and up to which length.

    Attributes:
        inline_bytes: Longest payload in quotes on the command line; 0 if it takes none.
        fixed_bytes: The same behind a prompt.
        hex_bytes: The same as hex digits on the command line (AT+QISENDEX).
        prompt: The prompt as it is printed; ``None`` if there is none.
        orders: What ends a send, in order, by its form.
        round_trip_ms: From a send to ``"recv"``; ``None`` if it was never seen.

    """

    inline_bytes: int
    fixed_bytes: int
    hex_bytes: int
    prompt: str | None
    orders: dict[str, str]
    round_trip_ms: float | None

    @property
    def best(self) -> tuple[SendForm, int]:
        """The form that takes most, and how much; one without a prompt, if they take the same."""
        sizes = (
            (SendForm.HEX, self.hex_bytes),
            (SendForm.INLINE, self.inline_bytes),
            (SendForm.FIXED, self.fixed_bytes),
        )
        return max(sizes, key=lambda each: each[1])

    @property
    def in_one_line(self) -> SendForm | None:
        """A form without a prompt, for short data."""
        if self.inline_bytes >= _SHORT:
            return SendForm.INLINE
        return SendForm.HEX if self.hex_bytes >= _SHORT else None

    @property
    def patience_s(self) -> float:
        """Seconds after which data count as lost."""
        return _PATIENCE_S + 4 * (self.round_trip_ms or 0) / 1000


async def send_forms(echo: EchoSocket) -> SendForms:
    """Send in each form, and find the longest payload that comes back whole.

    Raises:
        LinkTimeout: The module does not answer any more.
        ConnectFailed: The peer can't be reached any more.

    """
    prompt = await _prompt(echo)
    orders, round_trips = {}, []
    for form in SendForm:
        began = echo.talk.time()
        sent = await echo.send(pattern(_SHORT), form)
        orders[form.value] = sent.order
        if sent.taken and await echo.talk.urc(Received, echo.connect_id, _PATIENCE_S) is not None:
            round_trips.append(echo.talk.time() - began)
        await echo.reopen() if sent.order == "no answer" else await _settle(echo, sent.taken)
    round_trip_ms = round(1000 * median(round_trips), 1) if round_trips else None
    found = SendForms(0, 0, 0, prompt, orders, round_trip_ms)
    longest = {form: await _longest(echo, form, found.patience_s) for form in SendForm}
    return replace(
        found,
        inline_bytes=longest[SendForm.INLINE],
        fixed_bytes=longest[SendForm.FIXED],
        hex_bytes=longest[SendForm.HEX],
    )


async def _prompt(echo: EchoSocket) -> str | None:
    """Return the prompt as the module prints it."""
    talk, shown = echo.talk, b""

    async def look() -> None:
        nonlocal shown
        await talk.quiet(_PROMPT_S)
        shown = bytes(talk.raw)

    talk.raw.clear()
    sent = await echo.send(pattern(_SHORT), SendForm.FIXED, look)
    await _settle(echo, sent.taken)
    return repr(shown)[2:-1] if b">" in shown else None


async def _settle(echo: EchoSocket, times: int, patience: float = _PATIENCE_S) -> None:
    """Read what comes back for some short sends, so that the next measurement begins empty."""
    await echo.receive(times * _SHORT, patience)
    await echo.empty()


async def _longest(echo: EchoSocket, form: SendForm, patience: float) -> int:
    """Find the longest payload by halving."""
    taken, refused = 0, SEND_MAX_BYTES + 1
    tried = SEND_MAX_BYTES
    while refused - taken > 1:
        if await _is_taken(echo, tried, form, patience):
            taken = tried
        else:
            refused = tried
        tried = (taken + refused) // 2
    return taken


async def _is_taken(echo: EchoSocket, size: int, form: SendForm, patience: float) -> bool:
    """Say whether so much comes back, at the second try if not at the first.

    What goes wrong once says nothing of the length.
    """
    data = pattern(size)
    first = await echo.comes_back(data, form, patience)
    return first or await echo.comes_back(data, form, patience)


@slotted(frozen=True)
class LineRate:
    """How fast the line is.

    Attributes:
        bytes_per_s: As long answers show; ``None`` if the line has no speed of its own.
        told_bytes_per_s: What the baud rate says.

    """

    bytes_per_s: int | None
    told_bytes_per_s: int


async def line_rate(echo: EchoSocket, forms: SendForms, baudrate: int) -> LineRate:
    """Read few bytes and many, and compare the times.

    Raises:
        LinkTimeout: The module does not answer any more.

    """
    form, size = forms.best
    slopes = []
    for _ in range(_RATE_TRIES):
        await echo.send(pattern(size), form)
        await echo.talk.urc(Received, echo.connect_id, forms.patience_s)
        await echo.talk.quiet(forms.patience_s / 10)
        times = []
        for most in (1, READ_MAX_BYTES):
            answer = await echo.talk.command(f"AT+QIRD={echo.connect_id},{most}")
            length = len(answer.payload.data) if answer.payload is not None else 0
            times.append((length, answer.took_s))
        (few, soon), (many, late) = times
        if many > few:
            slopes.append((late - soon) / (many - few))
        await echo.receive(size - few - many, forms.patience_s)
        await echo.empty()
    # Delays only make a line seem slower.
    best = min(slopes, default=0.0)
    rate = round(1 / best) if best * _FASTEST_BYTES_S > 1 else None
    return LineRate(rate, baudrate // 10)


@slotted(frozen=True)
class Pushes:
    """What stands around pushed data.

    Attributes:
        own_line_end: Whether a CRLF of the module's own follows the data; ``None``: not seen.
        length_shown: Whether the header has the length while ``showlength`` is 1.
        separator: What stands between header and data where it has none.

    """

    own_line_end: bool | None
    length_shown: bool | None
    separator: str | None


async def pushes(talk: Conversation, peer: Peer, forms: SendForms) -> Pushes:
    """Let data be pushed, with their length and without.

    Raises:
        LinkTimeout: The module does not answer any more.
        ConnectFailed: The peer can't be reached any more.

    """
    echo = EchoSocket(talk, peer, 1, access_mode=AccessMode.PUSH)
    await echo.open()
    try:
        own, whole = await _with_length(echo, forms)
        separator = await _without_length(echo, forms)
    finally:
        await echo.close()
    return Pushes(own, whole if whole or separator is not None else None, separator)


async def _with_length(echo: EchoSocket, forms: SendForms) -> tuple[bool | None, bool]:
    """Return whether pushed data have a line end of their own, and whether they came whole."""
    talk, data = echo.talk, pattern(_SHORT)
    talk.framer.push_sockets = {echo.connect_id}
    try:
        talk.pushed.clear()
        await echo.send(data, forms.best[0])
        await talk.until(lambda: talk.pushed or None, forms.patience_s)
        whole = any(isinstance(s.what, Payload) and s.what.data == data for s in talk.pushed)
        await talk.command("AT")  # what comes next shows whether the data had a line end
    finally:
        talk.framer.push_sockets = set()
    ends = talk.framer.push_ends
    return (ends[-1] if ends and whole else None), whole


async def _without_length(echo: EchoSocket, forms: SendForms) -> str | None:
    """Return what stands in front of pushed data whose length is hidden."""
    talk, data = echo.talk, pattern(_SHORT)
    await talk.command('AT+QICFG="showlength",0')
    try:
        talk.raw.clear()
        await echo.send(data, forms.best[0])
        await talk.until(lambda: True if data in _behind_header(talk) else None, forms.patience_s)
        behind = _behind_header(talk)
    finally:
        await talk.command('AT+QICFG="showlength",1')
    return repr(behind.partition(data)[0])[2:-1] if data in behind else None


def _behind_header(talk: Conversation) -> bytes:
    return bytes(talk.raw).partition(b'"recv",1')[2]


@slotted(frozen=True)
class Announcements:
    """When ``"recv"`` comes.

    Attributes:
        again: ``"always"``: for all that arrives. ``"drained"``: once all is read.
            ``"empty_read"``: once a read has found nothing. ``"never"``: not even then.
        swallowed: Whether none comes for what arrives while a send waits for its data.

    """

    again: Literal["always", "drained", "empty_read", "never"] | None
    swallowed: bool | None


async def announcements(echo: EchoSocket, forms: SendForms) -> Announcements:
    """Let data arrive on a socket that is unread, drained and found empty.

    Raises:
        LinkTimeout: The module does not answer any more.

    """
    form = forms.in_one_line
    if form is None:
        return Announcements(None, None)
    return Announcements(await _again(echo, form, forms), await _swallowed(echo, form, forms))


async def _again(
    echo: EchoSocket, form: SendForm, forms: SendForms
) -> Literal["always", "drained", "empty_read", "never"] | None:
    patience = forms.patience_s
    await echo.empty()
    if not await _announced(echo, form, patience):
        return None
    if await _announced(echo, form, patience):
        return "always"
    await _drain(echo, 2 * _SHORT)
    if await _announced(echo, form, patience):
        return "drained"
    await echo.empty()
    return "empty_read" if await _announced(echo, form, patience) else "never"


async def _announced(echo: EchoSocket, form: SendForm, patience: float) -> bool:
    """Send, and say whether ``"recv"`` comes for what comes back."""
    await echo.send(pattern(_SHORT), form)
    return await echo.talk.urc(Received, echo.connect_id, patience) is not None


async def _drain(echo: EchoSocket, size: int) -> None:
    """Read so many bytes, without a read that finds nothing."""
    while size > 0:
        data, _ = await echo.read()
        if not data:
            return
        size -= len(data)


async def _swallowed(echo: EchoSocket, form: SendForm, forms: SendForms) -> bool | None:
    """Let data arrive between a prompt and its data, a few times."""
    if forms.fixed_bytes < _SHORT:
        return None
    wait_s, talk, heard = forms.patience_s / 2, echo.talk, 0
    too_early = False

    async def wait() -> None:
        nonlocal too_early
        too_early = talk.take_urc(Received, echo.connect_id) is not None
        await asyncio.sleep(0 if too_early else wait_s)

    for _ in range(_SWALLOW_TRIES):
        await echo.empty()
        await echo.send(pattern(_SHORT), form)
        await echo.send(pattern(_SHORT), SendForm.FIXED, wait)
        if too_early:
            await _settle(echo, 2, forms.patience_s)
            continue  # the peer was too quick for this try
        if await talk.urc(Received, echo.connect_id, wait_s) is None:
            swallowed = bool(await echo.receive(2 * _SHORT, forms.patience_s))
            await echo.empty()
            return swallowed
        heard += 1
        await _settle(echo, 2, forms.patience_s)
    # The profile would switch a precaution off, so that one such try is not enough.
    return False if heard == _SWALLOW_TRIES else None


@slotted(frozen=True)
class Outstanding:
    """Whether a send may begin before ``SEND OK`` of the one before.

    Attributes:
        allowed: ``"none"``: never. ``"socket"``: on another socket. ``"all"``: on the same too.
            ``None``: it can't be told, because ``SEND OK`` comes too soon.

    """

    allowed: Literal["none", "socket", "all"] | None


async def outstanding(echo: EchoSocket, forms: SendForms) -> Outstanding:
    """Send on two sockets, and on one, without waiting.

    Raises:
        LinkTimeout: The module does not answer any more.
        ConnectFailed: The peer can't be reached any more.

    """
    form = forms.in_one_line
    if form is None:
        return Outstanding(None)
    other = EchoSocket(echo.talk, echo.peer, 1)
    await other.open()
    try:
        across = await _both_taken(echo, other, form, forms.patience_s)
        same = await _both_taken(echo, echo, form, forms.patience_s) if across else False
    finally:
        await other.close()
    await echo.empty()
    if across is None:
        return Outstanding(None)
    return Outstanding("all" if same else "socket" if across else "none")


async def _both_taken(
    first: EchoSocket, second: EchoSocket, form: SendForm, patience: float
) -> bool | None:
    """Send twice at once; ``None`` if the first was done before the second was answered."""
    talk, data = first.talk, pattern(_SHORT)
    for _ in range(_SEND_TRIES):
        talk.urcs.clear()
        if not (await talk.command(first.line(data, form))).ok:
            return None
        answer = await talk.command(second.line(data, form))
        ends = [s.number for s in talk.urcs if isinstance(s.urc, SendOk | SendFail)]
        too_soon = bool(ends) and ends[0] < answer.number
        for _ in range(1 + answer.ok):
            await talk.until(lambda: talk.take_urc(SendOk) or talk.take_urc(SendFail), 5.0)
        for echo in {first, second}:
            times = (echo is first) + (echo is second and answer.ok)
            await _settle(echo, times, patience)
        if not too_soon:
            return answer.ok
    return None


@slotted(frozen=True)
class Overflow:
    """What becomes of data for which there is no room.

    Attributes:
        full_at_bytes: Bytes that were on their way when ``"buff full"`` came; ``None``: it never
            came.
        sent_bytes: Sent in all.
        lost_bytes: Of these, what never came back.
        send_fails: How often ``SEND FAIL`` came; the same bytes were then sent again.
        sent_twice: Whether bytes of a send that had failed came back nevertheless.

    """

    full_at_bytes: int | None
    sent_bytes: int
    lost_bytes: int
    send_fails: int = 0
    sent_twice: bool = False

    @property
    def throttles(self) -> bool | None:
        """Whether the module holds its peer back, and loses nothing; ``None``: not seen."""
        return None if self.full_at_bytes is None else self.lost_bytes == 0


async def overflow(echo: EchoSocket, forms: SendForms) -> Overflow:
    """Send and don't read until the buffer is full, and some more; then read all of it.

    A slow network fills the buffer for sends, too: then ``SEND FAIL`` comes, and the text that
    comes back shows whether a part of those bytes had gone out.

    Raises:
        LinkTimeout: The module does not answer any more.
        ConnectFailed: The peer can't be reached any more.

    """
    form, most = forms.best
    size, talk = min(most, _FILL_BLOCK), echo.talk
    await echo.empty()
    talk.take_urc(BufferFull, echo.connect_id)
    text = pattern(size * (_FILL_BLOCKS + _FILL_MORE))
    sent, full_at, more, fails = 0, None, _FILL_MORE, 0
    while sent < len(text) and more:
        outcome: SendOutcome = await echo.send(text[sent : sent + size], form)
        if "SEND FAIL" in outcome.order and fails < _FAILS_MOST:
            fails += 1
            await asyncio.sleep(_FAIL_PAUSE_S)  # the network takes some of what is in there
            continue
        if not outcome.taken:
            break
        sent += size
        if full_at is None:
            full = await talk.urc(BufferFull, echo.connect_id, (forms.round_trip_ms or 0) / 1000)
            full_at = sent if full is not None else None
        else:
            more -= 1
    await talk.quiet(forms.patience_s / 2)
    # What has failed may come as well.
    came = await echo.receive(sent + fails * size, forms.patience_s)
    if full_at is None and talk.take_urc(BufferFull, echo.connect_id) is not None:
        full_at = sent
    await echo.reopen()
    twice = fails > 0 and _goes_back(came, text)
    return Overflow(full_at, sent, _missing(came, text[:sent], twice), fails, twice)


def _missing(came: bytes, text: bytes, twice: bool) -> int:
    """Count what has not come; others than were sent count, too."""
    if twice:
        return sum(text[at : at + _CELL] not in came for at in range(0, len(text), _CELL)) * _CELL
    missing = len(text) - len(came)
    return missing if text.startswith(came) else max(1, missing)


def _goes_back(came: bytes, text: bytes) -> bool:
    """Say whether what came goes on, after some time, with what it had before.

    Each eight bytes of the text say where they belong; behind a loss it goes on further down.
    """
    pairs = zip(came, text, strict=False)
    differs = next((at for at, (one, other) in enumerate(pairs) if one != other), None)
    if differs is None:
        return False
    behind = came[differs + _CELL : differs + 3 * _CELL]
    found = text.find(behind)
    return 0 <= found < differs + _CELL


@slotted(frozen=True)
class Datagrams:
    """How a datagram is read in two parts.

    Attributes:
        whole: Whether both parts together are what was sent.
        remaining: What the first read says is left; ``None`` if nothing, or a negative number.
        left: What was left.

    """

    whole: bool
    remaining: int | None
    left: int


async def datagrams(talk: Conversation, peer: Peer, forms: SendForms) -> Datagrams:
    """Send one datagram, and read it in two parts.

    Raises:
        LinkTimeout: The module does not answer any more.
        ConnectFailed: The socket can't be opened.

    """
    echo = EchoSocket(talk, peer, 2, "UDP")
    await echo.open()
    try:
        form, most = forms.best
        data = pattern(min(most, 512))
        await echo.send(data, form)
        await talk.urc(Received, echo.connect_id, forms.patience_s)
        first, remaining = await echo.read(len(data) // 4)
        rest, _ = await echo.read()
    finally:
        await echo.close()
    parts = (first or b"", rest or b"")
    return Datagrams(b"".join(parts) == data, remaining, len(data) - len(parts[0]))


@slotted(frozen=True)
class Unread:
    """What becomes of data that nobody has read when the peer closes.

    Attributes:
        kept: Whether they can still be read; ``None`` if the peer did not send or not close.

    """

    kept: bool | None


async def unread(talk: Conversation, closing: Peer, forms: SendForms) -> Unread:
    """Have a server answer and close, and only then read its answer.

    Raises:
        LinkTimeout: The module does not answer any more.
        ConnectFailed: The server can't be reached.

    """
    request = f"GET / HTTP/1.0\r\nHost: {closing.host}\r\n\r\n".encode("ascii")
    form = SendForm.FIXED if forms.fixed_bytes >= len(request) else SendForm.HEX
    if form is SendForm.HEX and forms.hex_bytes < len(request):
        return Unread(None)  # in quotes it would be two lines
    socket = EchoSocket(talk, closing, 3)
    await socket.open()
    try:
        await socket.send(request, form)
        if await talk.urc(Received, socket.connect_id, _WEB_S) is None:
            return Unread(None)
        if await talk.urc(Closed, socket.connect_id, _WEB_S) is None:
            return Unread(None)
        data, _ = await socket.read()
    finally:
        await socket.close()
    return Unread(None if data == b"" else data is not None)


@slotted(frozen=True)
class Opens:
    """How many opens may be under way at once.

    Attributes:
        begun: How many of six were begun before the first had its result.
        connected: How many of six have connected.

    """

    begun: int
    connected: int


async def opens(talk: Conversation, peer: Peer) -> Opens:
    """Open all six sockets at once.

    Raises:
        LinkTimeout: The module does not answer any more.

    """
    talk.urcs.clear()
    sockets = [EchoSocket(talk, peer, connect_id) for connect_id in CONNECT_IDS]
    begun = connected = 0
    try:
        taken = []
        for socket in sockets:
            waiting = not any(isinstance(s.urc, OpenResult) for s in talk.urcs)
            if await socket.begin_open():
                taken.append(socket)
            begun += waiting
        for socket in taken:
            connected += await socket.opened() == 0
    finally:
        for socket in sockets:
            await socket.close()
    return Opens(begun, connected)


@slotted(frozen=True)
class Closes:
    """How long sockets take to close.

    Attributes:
        count: How many were closed.
        median_ms: From ``OK`` to ``CLOSE OK``.
        max_ms: The same, at worst.
        missing: How often ``CLOSE OK`` never came.

    """

    count: int
    median_ms: float | None
    max_ms: float | None
    missing: int


def closes(talk: Conversation) -> Closes:
    """Sum up all closes of the other measurements."""
    times = [1000 * each for each in talk.close_times if each is not None]
    middle = round(median(times), 1) if times else None
    worst = round(max(times), 1) if times else None
    return Closes(len(talk.close_times), middle, worst, talk.close_times.count(None))


@slotted(frozen=True)
class Writes:
    """How the module takes settings that it keeps without power.

    Attributes:
        read_ms: How long it takes to tell one.
        write_ms: How long it takes to change one.
        lost: How many of those that followed each other at once were not made.

    """

    read_ms: float
    write_ms: float
    lost: int


async def writes(talk: Conversation) -> Writes:
    """Change two settings at once, there and back, and ask for them.

    Raises:
        LinkTimeout: The module does not answer any more.

    """
    reads, changes, lost = [], [], 0
    try:
        for view, length in ((1, 0), (0, 1)):
            changes.append(await talk.command(f'AT+QICFG="viewmode",{view}'))
            changes.append(await talk.command(f'AT+QICFG="showlength",{length}'))
            await asyncio.sleep(_WRITE_GAP_S)
            for name, value in (("viewmode", view), ("showlength", length)):
                reads.append(await talk.command(f'AT+QICFG="{name}"'))
                lost += f'+QICFG: "{name}",{value}'.encode() not in reads[-1].lines
    finally:
        for text in ('AT+QICFG="viewmode",0', 'AT+QICFG="showlength",1'):
            await talk.command(text)
            await asyncio.sleep(_WRITE_GAP_S)
    times = [median(1000 * each.took_s for each in answers) for answers in (reads, changes)]
    return Writes(round(times[0], 1), round(times[1], 1), lost)
