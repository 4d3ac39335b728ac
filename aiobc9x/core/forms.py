"""By which form a payload goes to the module, and what each form costs.

Layer: core. Does no I/O, reads no clock.

The costs are counted from the note's byte formats (§2.2.4, §2.2.5), with the echo off:
a command line and its answer cross the line once, and each turnaround waits for the
module, or for us. What follows ``OK`` is the same for every form, so it is left out.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Final, NamedTuple

from aiobc9x.core.profile import ModuleProfile
from aiobc9x.wire.params import inline_text_ok


class SendForm(enum.StrEnum):  # whose members hash as fast as strings
    """How a payload goes to the module (§2.2.4, §2.2.5)."""

    INLINE = "inline"
    HEX = "hex"
    FIXED = "fixed"


# To look an attribute of an enum up takes its time.
_INLINE, _HEX, _FIXED = SendForm.INLINE, SendForm.HEX, SendForm.FIXED

ANY_FORM: Final = frozenset(SendForm)
"""What may be chosen from if nobody has pinned a form."""


class LineTiming(NamedTuple):  # one is made a send, and a frozen dataclass takes twice as long
    """What the line and its two ends take.

    Attributes:
        bytes_per_s: Rate of the serial line: as told, or as measured if that is clearly less.
        latency_s: From the last byte of a command to the first of its answer.
        turnaround_s: From the prompt to the payload: the host's own time.

    """

    bytes_per_s: float
    latency_s: float = 0.0
    turnaround_s: float = 0.0


def send_time(form: SendForm, size_bytes: int, line: LineTiming) -> float:
    """Return the seconds from the first byte of a send to the last of its ``OK``.

    Args:
        form: How the payload goes.
        size_bytes: Of the payload, 1–1440.
        line: What the line takes.

    """
    digits = len(str(size_bytes))
    if form is _INLINE:  # AT+QISEND=0,n,"data" CR, CR LF OK CR LF
        return (22 + digits + size_bytes) / line.bytes_per_s + line.latency_s
    if form is _HEX:  # AT+QISENDEX=0,n,"hex" CR, CR LF OK CR LF
        return (24 + digits + 2 * size_bytes) / line.bytes_per_s + line.latency_s
    # AT+QISEND=0,n CR, CR LF > SP, data, CR LF OK CR LF
    wire = (23 + digits + size_bytes) / line.bytes_per_s
    return wire + 2 * line.latency_s + line.turnaround_s


def choose_form(
    data: bytes,
    line: LineTiming,
    profile: ModuleProfile,
    permitted: Collection[SendForm] = ANY_FORM,
) -> SendForm:
    """Choose the cheapest form that can carry a payload.

    What quotes, control characters and bytes above 0x7E do inside quotes is undocumented,
    so only plain text goes inline. Fixed length takes any bytes, and is what remains.

    Args:
        data: 1–1440 bytes.
        line: What the line takes.
        profile: Gives the longest payloads that the module takes on a command line.
        permitted: Forms that may be used; fixed length always may.

    """
    size = len(data)
    if _INLINE in permitted and size <= profile.inline_limit_bytes and inline_text_ok(data):
        return _INLINE  # a byte and a turnaround less than fixed length, on any line
    if _HEX not in permitted or size > profile.hex_inline_limit_bytes:
        return _FIXED
    if _FIXED not in permitted or send_time(_HEX, size, line) < send_time(_FIXED, size, line):
        return _HEX
    return _FIXED


def permitted_forms(name: str) -> frozenset[SendForm]:
    """Return the forms that ``open_modem(send_form=…)`` names.

    Args:
        name: ``"auto"``: all. ``"inline"``: plain text inline, the rest by fixed length.
            ``"hex"``: everything as hex. ``"fixed"``: everything by fixed length.

    Raises:
        ValueError: Another name.

    """
    if name not in _NAMED:
        raise ValueError(f"send_form is {name!r}: use {', '.join(map(repr, _NAMED))}")
    return _NAMED[name]


_NAMED: Final[dict[str, frozenset[SendForm]]] = {
    "auto": ANY_FORM,
    "inline": frozenset({SendForm.INLINE, SendForm.FIXED}),
    "hex": frozenset({SendForm.HEX}),
    "fixed": frozenset({SendForm.FIXED}),
}
