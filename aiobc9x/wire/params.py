"""Write and read the parameter lists of AT commands.

Layer: wire. Does no I/O, reads no clock.

"The note", here and in the other modules of this folder, is Quectel's BC65&BC92 TCP/IP
application note; § cites it, N… cites docs/spec-notes.md and F… docs/field-notes.md.

This module alone builds command text (§2.1.2). Whatever a caller passes as host, APN or
raw line, the result holds exactly one ``<CR>``, at its end, so nobody can smuggle in a
second command. The functions that read fields never raise, because a field may be damaged.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final, TypeAlias

from aiobc9x.errors import quoted_command
from aiobc9x.patterns import lazy_pattern
from aiobc9x.spec import LINE_MAX_BYTES

__all__ = [
    "IpAddress",
    "ascii_text",
    "command_line",
    "hex_text",
    "inline_text_ok",
    "int_or_none",
    "integer",
    "ip_address_or_none",
    "ip_or_none",
    "is_quoted",
    "maybe_integer",
    "number_or_none",
    "quoted",
    "raw_line",
    "split_params",
    "text_bytes",
    "unquote",
]

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_PRINTABLE: Final = bytes(range(0x20, 0x7F))
# The note defines no escape for a quote inside quotes (§2.2.4, F29).
_INLINE: Final = _PRINTABLE.replace(b'"', b"")
# The quantifiers are possessive (++, *+), so that a long damaged line costs linear time.
_FIELD: Final = lazy_pattern(rb'(?:[^,"]++|"[^"]*+(?:"|\Z))*+')
# Ten digits are more than any field has. int() of thousands is slow, and beyond 4300 raises.
_INTEGER: Final = lazy_pattern(rb"[+-]?[0-9]{1,10}")
# 27.007, 10.1.23, prints an IPv6 address as 16 decimal numbers with dots.
_DOTTED_IPV6: Final = lazy_pattern(r"[0-9]{1,3}(?:\.[0-9]{1,3}){15}")


def command_line(name: str, /, **params: str | None) -> bytes:
    """Join encoded parameters into a command line (§2.1.2).

    Args:
        name: What follows ``AT``, such as ``+QIOPEN``, ``+QISTATE?`` or ``E0``.
        params: Parameters in order, by argument name. ``None`` at the end is left
            out, ``""`` is an empty position.

    Returns:
        The line with its ``<CR>``.

    Raises:
        ValueError: A parameter is ``None`` and a later one is not.

    """
    # Positions count, so a gap can't be closed up: only trailing parameters may be missing.
    given = [text for text in params.values() if text is not None]
    if len(given) < len(params):
        _check_gaps(params)
    body = f"={','.join(given)}" if given else ""
    return f"AT{name}{body}\r".encode("ascii")


def _check_gaps(params: Mapping[str, str | None]) -> None:
    """Raise ``ValueError`` if a parameter is left out and a later one is not."""
    missing = ""
    for name, text in params.items():
        if text is None:
            missing = missing or name
        elif missing:
            raise ValueError(f"{missing} is needed, because {name} follows it; give both")


def integer(argument: str, value: object, allowed: range) -> str:
    """Encode an integer parameter.

    Raises:
        ValueError: The value is no integer, or outside the range.

    """
    # bool is a subclass of int, and True as a connect ID is a caller's mistake.
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        bounds = f"{allowed[0]} to {allowed[-1]}" if len(allowed) > 1 else f"{allowed[0]}"
        raise ValueError(f"{argument} must be an integer, {bounds}, not {value!r}")
    # int() first: str() of a member of an (int, Enum) class is its name.
    return str(int(value))


def maybe_integer(argument: str, value: object, allowed: range) -> str | None:
    """Encode an integer parameter that may be left out; see :func:`integer`."""
    return None if value is None else integer(argument, value, allowed)


def quoted(argument: str, text: str | bytes, max_bytes: int, *, secret: bool = False) -> str:
    """Encode a string parameter in double quotes.

    The note defines no way to escape a quote or a control character, so a text
    that holds one can't be sent.

    Args:
        argument: Name of the argument, for the message.
        text: The text.
        max_bytes: The most that it may have.
        secret: Leave the text out of the message.

    Raises:
        ValueError: The text is empty, too long, or holds a double quote, a control
            character or anything outside ASCII.

    """
    plain = text_bytes(argument, text)
    if not plain:
        raise ValueError(f"{argument} is empty; give at least one character")
    if len(plain) > max_bytes:
        raise ValueError(f"{argument} has {len(plain)} bytes; shorten it to {max_bytes}")
    if not inline_text_ok(plain):
        raise ValueError(
            f"{argument} holds a double quote, control or non-ASCII character, which a command"
            f" line can't carry; remove it{'' if secret else f': {text!r}'}"
        )
    return f'"{plain.decode("ascii")}"'


def text_bytes(argument: str, text: object) -> bytes:
    """Return text, or bytes, as bytes.

    Raises:
        ValueError: It is neither.

    """
    if isinstance(text, str):
        # A lone surrogate is refused later, as non-ASCII, in words of the argument.
        return text.encode("utf-8", "surrogatepass")
    if isinstance(text, (bytes, bytearray)):
        return bytes(text)
    raise ValueError(f"{argument} must be str or bytes, not {type(text).__name__}")


def hex_text(data: bytes) -> str:
    """Encode bytes as upper-case hex digits in double quotes (§2.2.5)."""
    return f'"{data.hex().upper()}"'


def inline_text_ok(data: bytes) -> bool:
    """Tell whether data may stand in quotes on a command line as it is (§2.2.4).

    Only printable ASCII without a double quote may; empty data may not.
    """
    return bool(data) and not data.translate(None, _INLINE)


def raw_line(line: str) -> bytes:
    """Encode a command line that a caller wrote (§2.1.2).

    Args:
        line: The whole line, with ``AT`` or ``at`` and without ``<CR>``.

    Raises:
        ValueError: The line doesn't start so, is too long, or holds a control or
            non-ASCII character.

    """
    plain = text_bytes("line", line)
    # The standard allows AT and at, but not At (27.007, V.250).
    if not plain.startswith((b"AT", b"at")):
        raise ValueError(f"line must start with AT (§2.1.2): {quoted_command(line)}")
    # One byte is left for the <CR>.
    if len(plain) >= LINE_MAX_BYTES:
        raise ValueError(f"line has {len(plain)} bytes; shorten it to {LINE_MAX_BYTES - 1}")
    # A <CR> or Ctrl-Z inside would begin a second command, or end a send (N37).
    if plain.translate(None, _PRINTABLE):
        raise ValueError(
            f"line holds a control or non-ASCII character; remove it: {quoted_command(line)}"
        )
    return plain + b"\r"


def split_params(text: bytes) -> list[bytes]:
    """Split a parameter list at the commas outside quotes; never raise.

    Fields keep their quotes (see :func:`is_quoted`) and lose the spaces around them. A
    quote that is never closed reaches to the end of the text.
    """
    # Most lines have no quotes, and split() is much faster than the expression.
    if b'"' not in text:
        return [part.strip() for part in text.split(b",")]
    fields, start = [], 0
    while True:
        match = _FIELD.match(text, start)
        end = match.end() if match else start
        fields.append(text[start:end].strip())
        if end >= len(text):
            return fields
        # One past the comma.
        start = end + 1


def int_or_none(field: bytes) -> int | None:
    """Read a decimal number of at most 10 digits; give ``None`` for anything else."""
    return int(field) if _INTEGER.fullmatch(field) else None


def number_or_none(field: bytes) -> int | None:
    """Read a decimal number, with or without quotes; see :func:`int_or_none`."""
    return int_or_none(unquote(field).strip().encode())


def is_quoted(field: bytes) -> bool:
    """Tell whether a field is a string in double quotes."""
    return field.startswith(b'"')


def unquote(field: bytes) -> str:
    """Read a string field, with or without quotes; bytes outside ASCII are escaped."""
    if field.startswith(b'"'):
        # The closing quote may be missing: the line may have lost bytes (F5).
        field = field[1:-1] if len(field) > 1 and field.endswith(b'"') else field[1:]
    return ascii_text(field)


def ascii_text(raw: bytes) -> str:
    """Decode ASCII; bytes outside it come out as escapes, so nothing raises."""
    return raw.decode("ascii", "backslashreplace")


def ip_or_none(field: bytes) -> str | None:
    """Read an IP address in its usual spelling; see :func:`ip_address_or_none`."""
    found = ip_address_or_none(field)
    return None if found is None else str(found)


def ip_address_or_none(field: bytes) -> IpAddress | None:
    """Read an IP address, quoted or not.

    27.007 also spells IPv6 as 16 decimal numbers with dots. Quotes are optional, because
    firmwares differ (F9, N18, N35).
    """
    text = unquote(field).strip()
    try:
        if _DOTTED_IPV6.fullmatch(text):
            return ipaddress.IPv6Address(bytes(map(int, text.split("."))))
        return ipaddress.ip_address(text)
    except ValueError:
        return None
