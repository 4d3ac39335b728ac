"""Leave out of a trace what must not stand there: secrets always, payloads if that is wanted.

Layer: trace. Does no I/O, reads no clock.

PINs, PUKs and passwords go to the module in command lines, which come whole. They come back in
an echo, or in an answer, cut into chunks anywhere: from a command that names a secret until its
final result, what comes is looked at a line at a time. Without payloads everything that comes is
framed, and only what can't be a payload is kept, by the rules of :mod:`aiobc9x.masking`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Protocol

from aiobc9x.masking import masked_command, masked_secrets, names_secret, shown_line
from aiobc9x.patterns import lazy_pattern
from aiobc9x.spec import LINE_MAX_BYTES
from aiobc9x.trace.decoding import Decoder
from aiobc9x.trace.options import Payloads
from aiobc9x.trace.records import Content
from aiobc9x.wire.framer import Damage, Frame, Line, Payload

__all__ = ["Redactor", "redactor"]

_LINE: Final = lazy_pattern(rb"([^\r\n]*)([\r\n]+)")
_FINAL: Final = lazy_pattern(rb"OK|ERROR|\+CM[ES] ERROR:.*", re.DOTALL)
# ESC, Ctrl-Z and CRs, by which a module is freed from a data mode.
_CONTROLS: Final = lazy_pattern(rb"[\r\n\x1a\x1b]*")


class Redactor(Protocol):
    """Bytes of both directions in, what a trace may hold of them out."""

    def sent(self, data: bytes, *, is_payload: bool, awaits_prompt: bool) -> Iterator[Content]:
        """Take what is written in one go: a command line, or data behind a prompt."""

    def received(self, data: bytes) -> Iterator[Content]:
        """Take received bytes, cut anywhere."""

    def rest(self) -> Iterator[Content]:
        """Give what was kept back, because the link, or the trace, ends."""


def redactor(payloads: Payloads) -> Redactor:
    """Return one for a trace that holds so much of the payloads."""
    if payloads is Payloads.WHOLE:
        return _Secrets()
    return _Payloads(tells_length=payloads is Payloads.LENGTH)


def _command(data: bytes, shown: str, *, awaits_prompt: bool) -> Content:
    """Return a command line as far as it is shown."""
    text = data.decode("ascii", "backslashreplace")
    if shown == text:
        return Content(data, len(data), awaits_prompt=awaits_prompt)
    masked = shown.removesuffix("\r").encode("ascii") + b"\r"
    # How long a secret is says something about it.
    size = len(masked if names_secret(text) else data)
    return Content(masked, size, is_masked=True, awaits_prompt=awaits_prompt)


def _line(text: bytes, end: bytes, *, is_alert: bool) -> Content:
    """Return a line of the module as far as it can't be a payload, nor a secret."""
    shown = shown_line(text, LINE_MAX_BYTES).encode("ascii")
    if shown == text:
        return Content(text + end, len(text) + len(end))
    if is_alert:
        return Content(b"..." + end, 3 + len(end), is_masked=True)
    return Content(shown + end, len(text) + len(end), is_masked=True)


class _Secrets:
    """Keeps every byte but those of secrets."""

    def __init__(self) -> None:
        self._is_alert = False
        self._held = b""

    def sent(self, data: bytes, *, is_payload: bool, awaits_prompt: bool) -> Iterator[Content]:
        if is_payload:
            yield Content(data, len(data), is_payload=True)
            return
        yield from self.rest()
        text = data.decode("ascii", "backslashreplace")
        self._is_alert = self._is_alert or names_secret(text)
        yield _command(data, masked_secrets(text), awaits_prompt=awaits_prompt)

    def received(self, data: bytes) -> Iterator[Content]:
        if self._is_alert:
            self._held += data
            yield from self._by_lines()
        else:
            yield Content(data, len(data))

    def _by_lines(self) -> Iterator[Content]:
        """Yield the lines that are complete; behind the final result, the rest as it is."""
        while self._is_alert and (match := _LINE.match(self._held)):
            text, end = match.groups()
            self._held = self._held[match.end() :]
            yield _line(text, end, is_alert=True) if text else Content(end, len(end))
            self._is_alert = not _FINAL.fullmatch(text)
        if self._held and (not self._is_alert or len(self._held) > LINE_MAX_BYTES):
            yield from self.rest()

    def rest(self) -> Iterator[Content]:
        held, self._held = self._held, b""
        if held and self._is_alert:
            # The beginning of an echo would show the beginning of the secret.
            yield Content(b"...", 3, is_masked=True)
        elif held:
            yield Content(held, len(held))


class _Payloads:
    """Keeps command lines and answers, each as one frame; of payloads their length at most."""

    def __init__(self, *, tells_length: bool) -> None:
        self._tells_length = tells_length
        self._is_alert = False
        self._decoder = Decoder()

    def sent(self, data: bytes, *, is_payload: bool, awaits_prompt: bool) -> Iterator[Content]:
        if is_payload:
            connect_id = self._decoder.connect_id
            yield from self._told(Content(b"", len(data), is_payload=True, connect_id=connect_id))
            return
        if _CONTROLS.fullmatch(data):
            yield Content(data, len(data))
            return
        text = data.decode("ascii", "backslashreplace")
        self._is_alert = self._is_alert or names_secret(text)
        self._decoder.command_sent(data, awaits_prompt=awaits_prompt)
        yield _command(data, masked_command(text), awaits_prompt=awaits_prompt)

    def received(self, data: bytes) -> Iterator[Content]:
        for placed in self._decoder.received(data):
            yield from self._content(placed.frame, placed.connect_id)
            self._is_alert = self._is_alert and not placed.is_final

    def rest(self) -> Iterator[Content]:
        for placed in self._decoder.rest():
            yield from self._content(placed.frame, placed.connect_id)
        self._decoder.begin_link()

    def _content(self, frame: Frame, connect_id: int | None) -> Iterator[Content]:
        match frame:
            case Line(text):
                # Where an LF got lost, the echo of a secret may stand behind a CR.
                for part in filter(None, text.split(b"\r")):
                    yield _line(part, b"\r\n", is_alert=self._is_alert)
            case Payload(_, remaining, data):
                told = Content(b"", len(data), is_payload=True, connect_id=connect_id)
                yield from self._told(replace(told, remaining=remaining))
            case Damage(_, data):
                size = 1 if self._is_alert else len(data)
                if size:
                    yield Content(b"", size, is_masked=True)
            case _:
                yield Content(b"> ", 2)

    def _told(self, content: Content) -> Iterator[Content]:
        if self._tells_length and content.size_bytes:
            yield content
