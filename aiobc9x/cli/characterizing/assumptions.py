"""Say what the figures of a module mean for what this package assumes of it.

Layer: cli. N… are the items of docs/spec-notes.md, F… those of docs/field-notes.md, § those of
the note itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace
from typing import Any, Final, Literal

from aiobc9x.cli.characterizing.measurements import (
    Announcements,
    Closes,
    Datagrams,
    Latency,
    LineRate,
    Opens,
    Outstanding,
    Overflow,
    Pushes,
    SendForms,
    Unread,
    Writes,
)
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted
from aiobc9x.spec import CONNECT_IDS, SEND_MAX_BYTES

Verdict = Literal["confirmed", "broken", "open"]

_ANSWER_MS: Final = 300
_CLOSE_MS: Final = 10_000
_CLEARLY_LESS: Final = 0.7

_PROMPT: Final = lazy_pattern(r"(?:\\r|\\n)*> ?(?:\\r\\n)?")
_ORDERS: Final = {"OK, SEND OK", "SEND OK, OK", "SEND OK"}


@slotted(frozen=True)
class Assumption:
    """What a module does about one assumption.

    Attributes:
        number: Which one.
        verdict: Whether the module is as assumed.
        text: What it does.

    """

    number: str
    verdict: Verdict
    text: str


@slotted()
class Measured:
    """Everything that was measured; ``None`` for what could not be.

    Attributes:
        module: The lines that the module answers to ATI.
        errors: Why a part is missing, by its name.

    """

    module: tuple[str, ...] = ()
    latency: Latency | None = None
    send_forms: SendForms | None = None
    line_rate: LineRate | None = None
    pushes: Pushes | None = None
    announcements: Announcements | None = None
    outstanding: Outstanding | None = None
    overflow: Overflow | None = None
    datagrams: Datagrams | None = None
    unread: Unread | None = None
    opens: Opens | None = None
    closes: Closes | None = None
    writes: Writes | None = None
    errors: dict[str, str] = field(default_factory=dict)


def profile_of(measured: Measured) -> ModuleProfile:
    """Make the profile; what was not measured has its default."""
    facts: dict[str, Any] = {}  # Any: each field has its own type
    if measured.latency is not None and measured.latency.gap_ms is not None:
        facts["command_gap_ms"] = measured.latency.gap_ms
    if (forms := measured.send_forms) is not None:
        facts["inline_limit_bytes"] = forms.inline_bytes
        facts["hex_inline_limit_bytes"] = forms.hex_bytes
    if measured.announcements is not None and measured.announcements.swallowed is not None:
        facts["suspect_after_send"] = measured.announcements.swallowed
    if measured.overflow is not None and measured.overflow.throttles:
        facts["on_buffer_full"] = "continue"
    if measured.overflow is not None and measured.overflow.sent_twice:
        facts["send_fail_is_atomic"] = False
    if measured.unread is not None and measured.unread.kept is False:
        facts["keeps_unread"] = False
    if measured.opens is not None and _one_at_a_time(measured.opens):
        facts["concurrent_opens"] = 1
    return replace(ModuleProfile(), **facts)


def findings(measured: Measured) -> list[Assumption]:
    """Compare what was measured with what is assumed, in one line each."""
    return [
        *_of_commands(measured.latency, measured.line_rate, measured.writes),
        *_of_sends(measured.send_forms, measured.outstanding),
        *_of_received(measured.announcements, measured.pushes),
        *_of_buffers(measured.overflow, measured.datagrams),
        *_of_sockets(measured.opens, measured.closes),
        _of_unread(measured.unread),
        *_LEFT_OPEN,
    ]


_LEFT_OPEN: Final = (
    Assumption("F34", "open", "IDs of incoming connections: an echo peer makes none"),
    Assumption("F49", "open", "sockets behind deep sleep: the module was kept awake"),
    Assumption("N9", "open", "AT+QISENDEX behind a prompt: not used for connections"),
)


def _told(number: str, is_so: bool | None, text: str) -> Assumption:
    return Assumption(number, "open" if is_so is None else "confirmed" if is_so else "broken", text)


def _open(number: str, what: str) -> Assumption:
    return Assumption(number, "open", f"{what}: not measured")


def _of_commands(
    latency: Latency | None, rate: LineRate | None, writes: Writes | None
) -> Iterator[Assumption]:
    if latency is None:
        yield _open("N4", "time of an answer")
        yield _open("F31", "commands that follow at once")
    else:
        times = f"{latency.min_ms:g} to {latency.max_ms:g} ms, median {latency.median_ms:g}"
        yield _told("N4", latency.max_ms <= _ANSWER_MS, f"AT is answered in {times}")
        gap = latency.gap_ms
        words = "whatever the gap" if gap is None else f"unless {gap} ms lie between"
        text = "commands may follow at once" if gap == 0 else f"commands get lost {words}"
        yield _told("F31", gap == 0, text)
    if rate is None:
        yield _open("F30", "speed of the line")
    else:
        speed, told = rate.bytes_per_s, rate.told_bytes_per_s
        words = "no limit of its own" if speed is None else f"{speed} bytes/s"
        is_so = speed is None or speed >= _CLEARLY_LESS * told
        yield _told("F30", is_so, f"the line has {words}; the baud rate says {told}")
    if writes is None:
        yield _open("F44", "writes of settings")
    else:
        words = f"{writes.lost} of 4 writes that follow at once are lost"
        yield _told("F44", writes.lost > 0, f"{words}; one takes {writes.write_ms:g} ms")


def _of_sends(forms: SendForms | None, outstanding: Outstanding | None) -> Iterator[Assumption]:
    if forms is None:
        yield _open("F29", "forms of a send")
        yield _open("F12", "the prompt")
        yield _open("N10", "order of OK and SEND OK")
    else:
        for what, size in (
            ("in quotes", forms.inline_bytes),
            ("as hex digits on the line", forms.hex_bytes),
            ("behind a prompt", forms.fixed_bytes),
        ):
            yield _told("F29", size == SEND_MAX_BYTES, f"takes {size} bytes {what}")
        known = None if forms.prompt is None else bool(_PROMPT.fullmatch(forms.prompt))
        shown = "missing" if forms.prompt is None else f"'{forms.prompt}'"
        yield _told("F12", known, f"the prompt is {shown}")
        ends = {order for order in forms.orders.values() if "SEND OK" in order}
        is_so = ends <= _ORDERS if ends else None
        words = " or ".join(sorted(ends)) if ends else "not seen"
        yield _told("N10", is_so, f"a send ends in: {words}")
    allowed = None if outstanding is None else outstanding.allowed
    words = {
        None: "whether sends may overlap: not seen",
        "none": "one send in all may wait for its SEND OK",
        "socket": "one send for each socket may wait for its SEND OK",
        "all": "several sends of one socket may wait for their SEND OK",
    }[allowed]
    yield _told("§4.1.2", None if allowed is None else allowed == "none", words)


def _of_received(found: Announcements | None, pushes: Pushes | None) -> Iterator[Assumption]:
    again = None if found is None else found.again
    words = {
        None: '"recv": not seen',
        "always": '"recv" comes for all that arrives',
        "drained": '"recv" comes again once all is read',
        "empty_read": '"recv" comes again once a read has found nothing',
        "never": '"recv" does not come again',
    }[again]
    yield _told("N28", None if again is None else again == "empty_read", words)
    swallowed = None if found is None else found.swallowed
    if swallowed is None:
        yield _open("F14", 'the "recv" of what arrives behind a prompt')
    else:
        some = "no" if swallowed else "its"
        yield _told("F14", swallowed, f'what arrives behind a prompt gets {some} "recv"')
    yield from _of_pushes(pushes)


def _of_pushes(pushes: Pushes | None) -> Iterator[Assumption]:
    if pushes is None or pushes.own_line_end is None:
        yield _open("F19", "the module's own line end behind pushed data")
    else:
        some = "a CRLF" if pushes.own_line_end else "no CRLF"
        # Either is right: a modem learns it from the first pushed data.
        yield _told("F19", True, f"prints {some} of its own behind pushed data")
    if pushes is None or pushes.length_shown is None:
        yield _open("N20", "the length of pushed data")
    else:
        words = "have" if pushes.length_shown else "lack"
        yield _told("N20", pushes.length_shown, f"pushed data {words} a length with showlength 1")
    if pushes is None or pushes.separator is None:
        yield _open("N19", "pushed data without their length")
    else:
        words = f"{pushes.separator} stands" if pushes.separator else "nothing stands"
        is_so = not pushes.separator
        yield _told("N19", is_so, f"without a length {words} before pushed data")


def _of_buffers(overflow: Overflow | None, datagrams: Datagrams | None) -> Iterator[Assumption]:
    if overflow is None:
        yield _open("N27", "a full buffer")
    elif overflow.full_at_bytes is None:
        yield Assumption("N27", "open", f'{overflow.sent_bytes} bytes bring no "buff full"')
    else:
        lost = overflow.lost_bytes
        fate = f"loses {lost} bytes" if lost else "throttles the peer and loses nothing"
        yield _told("N27", lost > 0, f"full at {overflow.full_at_bytes} bytes, and {fate}")
    yield _of_failed_sends(overflow)
    if datagrams is None:
        yield _open("N26", "the remaining length of a datagram")
    else:
        as_assumed = datagrams.whole and datagrams.remaining == datagrams.left
        told = "nothing" if datagrams.remaining is None else str(datagrams.remaining)
        text = f"{datagrams.left} bytes of a datagram are left; told: {told}"
        yield _told("N26", as_assumed, text)


def _of_failed_sends(overflow: Overflow | None) -> Assumption:
    if overflow is None or not overflow.send_fails:
        return Assumption("F26", "open", "what SEND FAIL means: it never came")
    often = "once" if overflow.send_fails == 1 else f"{overflow.send_fails} times"
    fate = "bytes of it had gone out" if overflow.sent_twice else "nothing of it had gone out"
    return _told("F26", not overflow.sent_twice, f"SEND FAIL came {often}, and {fate}")


def _of_unread(unread: Unread | None) -> Assumption:
    if unread is None:
        return Assumption("F21", "open", "unread data behind a close: needs --web")
    words = {
        None: "unread data behind a close: the web server sent none",
        True: "what the peer sent before it closed can be read",
        False: "a socket that the peer closes goes with its unread data",
    }[unread.kept]
    return _told("F21", unread.kept, words)


def _one_at_a_time(opens: Opens) -> bool | None:
    """Say whether opens exclude each other; ``None`` if they never were at once."""
    return None if opens.begun < 2 else opens.connected < len(CONNECT_IDS)


def _of_sockets(opens: Opens | None, closes: Closes | None) -> Iterator[Assumption]:
    if opens is None or (alone := _one_at_a_time(opens)) is None:
        yield _open("F38", "opens at once")
    else:
        yield _told("F38", not alone, f"{opens.connected} of 6 opens at once have connected")
    if closes is None or closes.max_ms is None:
        yield _open("N6", "time of a close")
    else:
        missing = f"; {closes.missing} never came" if closes.missing else ""
        is_so = not closes.missing and closes.max_ms <= _CLOSE_MS
        times = f"{closes.median_ms:g} ms, {closes.max_ms:g} at worst"
        yield _told("N6", is_so, f"CLOSE OK comes after {times}{missing}")
