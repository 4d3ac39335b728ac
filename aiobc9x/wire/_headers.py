"""Tell payload headers from lines, as early as the bytes allow.

Layer: wire. Pure functions; :mod:`aiobc9x.wire.framer` keeps the state.

Two headers announce counted bytes: ``+QIRD: <n>[,<remaining>]`` (§2.2.6) and
``+QIURC: "recv",<connectID>,<n>`` of a socket in direct push mode (§2.3.2). What
separates them from the data is looked up in the bytes (CR, LF or a comma), because
the view mode survives in NVRAM from the last user (§2.2.11).
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from aiobc9x.spec import PUSH_MAX_BYTES, READ_MAX_BYTES

LINE: Final = ""
"""The verdict on what is no payload header."""

MALFORMED: Final = "malformed payload header"
TOO_LONG: Final = "header announces more bytes than are due"
NO_LENGTH: Final = "pushed data without a length has no end"


class Header(NamedTuple):
    """What a header announces.

    Attributes:
        connect_id: The socket of a pushed payload; ``None`` for ``+QIRD``.
        remaining: ``<remaining_length>``, ``None`` if hidden, absent or negative.
        size: Payload bytes, 1 or more, before hex encoding.
        end: Offset behind the separator. A separator CR may have an LF to follow.
        negative: Whether the remaining length is negative.

    """

    connect_id: int | None
    remaining: int | None
    size: int
    end: int
    negative: bool = False


def _beginnings(*tokens: bytes) -> re.Pattern[bytes]:
    """Compile a pattern that matches as many of the tokens, in order, as there are.

    A header that is cut at a chunk's edge is then matched to its last byte; text that
    is no header is not. Every quantifier has a bound, so that this is decided early.
    """
    return re.compile(b"(?:".join(tokens) + b")?" * (len(tokens) - 1))


def _each(literal: bytes) -> list[bytes]:
    return [re.escape(literal[i : i + 1]) for i in range(len(literal))]


# Headers as the note prints them.
_USUAL: Final = re.compile(
    rb'\+QI(?:URC: "recv",([0-5]),([1-9]\d{0,3}+)[\r\n,]|'
    rb"RD: ([1-9]\d{0,3}+)(?:[\r\n]|,(\d{1,9}+)[\r\n,]))"
).match
# Nine digits never trouble int() and say enough about a length that is too long.
_SPACES: Final = rb" {0,8}"
_NUMBER: Final = rb"(\d{1,9})"
_READ_SHOWN: Final = _beginnings(
    *_each(b"+QIRD:"), _SPACES, _NUMBER, rb"(?:([\r\n])|, {0,8}(-?\d{0,9})([\r\n,])?)"
)
_READ_HIDDEN: Final = _beginnings(*_each(b"+QIRD:"), _SPACES, _NUMBER, rb"([\r\n,])")
_PUSH: Final = _beginnings(
    *_each(b"+QIURC:"),
    _SPACES,
    *_each(b'"recv",'),
    _SPACES,
    rb"([0-5])",
    b",",
    _SPACES,
    _NUMBER,
    rb"([\r\n,])",
)


HEADER_IN: Final = re.compile(rb'\+QI(?:RD: [1-9]|URC: "recv",[0-5],)').search
HEADER_LIKE: Final = re.compile(rb'\+QI(?:RD:|URC: {0,8}"recv",)').match


def read_header(
    text: bytes, push_sockets: AbstractSet[int], length_shown: bool, read_due: int
) -> Header | str | None:
    """Decide what a line that begins with ``text`` is.

    Args:
        text: The line from its first byte that is no CR, complete or not, with its LF.
        push_sockets: Connect IDs in direct push mode.
        length_shown: Whether ``showlength`` is 1 (§2.2.11).
        read_due: Largest payload of a ``+QIRD`` header; from 0 down it is a line.

    Returns:
        The header, if it is complete; ``None`` while more bytes are needed; else
        :data:`LINE` or the reason why the line is damaged. A verdict never changes
        with the bytes that follow.

    """
    if not text.startswith(b"+QI"):
        return None if b"+QI".startswith(text) else LINE
    if length_shown and (match := _USUAL(text)):
        connect_id, pushed, read, remaining = match.groups()
        if pushed:
            number, size, rest = int(connect_id), int(pushed), None
            is_good = number in push_sockets and size <= PUSH_MAX_BYTES
        else:
            number, size, rest = None, int(read), int(remaining) if remaining else None
            is_good = size <= min(read_due, READ_MAX_BYTES)
        if is_good:
            return Header(number, rest, size, match.end())
    kind = text[3:4]
    if not kind:
        return None
    if kind != b"R":
        return _pushed(text, push_sockets, length_shown)
    return _read(text, length_shown, read_due)


def _read(text: bytes, length_shown: bool, read_due: int) -> Header | str | None:
    remaining: bytes | None = None
    if length_shown:
        # Without a number in between, a comma can't be the separator (§2.2.6).
        match = _READ_SHOWN.match(text)
        assert match is not None
        number, line_end, remaining, behind = match.groups()
        separator = line_end or behind
    else:
        match = _READ_HIDDEN.match(text)
        assert match is not None
        number, separator = match.groups()
    if separator is None and match.end() == len(text):
        return None
    if read_due <= 0 or number is None or not int(number):
        return LINE
    if separator is None or remaining in {b"", b"-"}:
        return MALFORMED
    if int(number) > min(read_due, READ_MAX_BYTES):
        return TOO_LONG
    # Relatives print a negative remaining length, which says nothing.
    negative = remaining is not None and remaining.startswith(b"-")
    rest = None if remaining is None or negative else int(remaining)
    return Header(None, rest, int(number), match.end(), negative)


def _pushed(text: bytes, push_sockets: AbstractSet[int], length_shown: bool) -> Header | str | None:
    match = _PUSH.match(text)
    assert match is not None
    connect_id, number, separator = match.groups()
    end = match.end()
    if separator is None and end == len(text):
        return None
    if connect_id is None or int(connect_id) not in push_sockets:
        return LINE
    if number is None and end > match.end(1) and text[end : end + 1] == b'"':
        return LINE  # "buff full" (§2.3.3)
    if not length_shown or separator is None:
        return NO_LENGTH
    size = int(number)
    if size > PUSH_MAX_BYTES:
        return TOO_LONG
    return Header(int(connect_id), None, size, end) if size else LINE
