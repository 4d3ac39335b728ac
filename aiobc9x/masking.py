"""Word lines of the dialogue for people to read, without secrets and payloads.

Layer: masking. Does no I/O, reads no clock.

Exceptions, logs and recordings get around further than a program's author thinks: into
tickets, e-mails, services that collect errors. What goes to the module is shown up to the
first parameter that may be a secret, by the table :data:`SHOWN_PARAMETERS`. What comes
from it may be the payload of some connection whenever bytes were lost on the line, so only
lines that begin with a name of :data:`KNOWN_NAMES`, and results, are shown whole.
"""

from __future__ import annotations

import re
from typing import Final

from aiobc9x.patterns import lazy_pattern

__all__ = [
    "KNOWN_NAMES",
    "SHOWN_PARAMETERS",
    "masked_command",
    "masked_secrets",
    "names_secret",
    "shown_address",
    "shown_line",
]

SHOWN_PARAMETERS: Final[dict[str, int]] = {
    "QISEND": 2,  # the payload of a connection
    "QISENDEX": 2,
    "CPIN": 0,  # PIN; PUK and the new PIN
    "CPIN2": 0,
    "CLCK": 2,  # the password of a lock
    "CPWD": 1,  # the old and the new password of a lock
    "CGAUTH": 2,  # user and password of an APN
    "QICSGP": 3,  # likewise, after the APN
    "QCGDEFCONT": 2,
    "NPIN": 1,  # what relatives have in place of +CPIN, +CLCK and +CPWD
    "QMTCONN": 2,  # user and password of a broker
    "QMTCFG": 2,
    "QHTTPCFG": 1,
    "QFTPCFG": 1,
    "QFTPOPEN": 0,
    "QSMTPCFG": 1,
    "QSSLCFG": 2,  # a pre-shared key
    "QSETPSK": 1,
}
"""How many parameters of a command may be shown; after them there is a secret or a payload."""

KNOWN_NAMES: Final = frozenset(
    {
        "CCLK",
        "CEDRXRDP",
        "CEDRXS",
        "CEREG",
        "CESQ",
        "CFUN",
        "CGACT",
        "CGATT",
        "CGDCONT",
        "CGEV",
        "CGMI",
        "CGMM",
        "CGMR",
        "CGPADDR",
        "CGREG",
        "CGSN",
        "CIMI",
        "CME ERROR",
        "CMEE",
        "CMS ERROR",
        "COPS",
        "CPIN",
        "CPINR",
        "CPSMS",
        "CREG",
        "CSCON",
        "CSQ",
        "IP",
        "IPR",
        "QATWAKEUP",
        "QCCID",
        "QICFG",
        "QIDNSCFG",
        "QIGETERROR",
        "QIOPEN",
        "QISTATE",
        "QNBIOTEVENT",
        "QNTF",
        "QNTP",
        "QPINC",
        "QPING",
    }
)
"""Whose lines never hold a payload. +QIRD and +QIURC, which may, are read more closely."""

_OF_PAYLOADS: Final = {"QISEND", "QISENDEX"}
_OF_SECRETS: Final = "|".join(name for name in SHOWN_PARAMETERS if name not in _OF_PAYLOADS)
_HIDING: Final = lazy_pattern(rf"\+({'|'.join(SHOWN_PARAMETERS)})\s*=", re.IGNORECASE)
_SECRET: Final = lazy_pattern(rf"\+({_OF_SECRETS})\s*=", re.IGNORECASE)
_SECRET_NAME: Final = lazy_pattern(rf"\+(?:{_OF_SECRETS})(?![A-Z0-9])", re.IGNORECASE)
_SEND: Final = lazy_pattern(r'AT\+QISEND=[0-9],([0-9]{1,4}),"', re.IGNORECASE)
_RESULT: Final = lazy_pattern(
    rb"OK|ERROR|SEND (?:OK|FAIL)|CLOSE OK|> ?|RDY|Neul|(?:NORMAL )?POWER(?:ED)? DOWN"
)
_NAMED: Final = lazy_pattern(rb"[+*^]([A-Z][A-Z0-9_]{1,15}(?: ERROR)?):")
_NOTICE: Final = lazy_pattern(
    rb'\+QIURC: ?"(?:recv",[0-9],"buff full"|(?:closed|incoming(?: full)?|dnsgip|pdpdeact)"[^+]*)'
)
_COUNTED: Final = lazy_pattern(
    rb'(\+QIRD: ?[0-9]+(?:,-?[0-9]+)?,?|\+QIURC: ?"recv",[0-9](?:,[0-9]+)?,?)(.*)', re.DOTALL
)
_OF_ADDRESS: Final = lazy_pattern(r"([?&](?:pin|puk|apn_login|key|noise_psk|password)=)[^&]*")
_ECHO: Final = lazy_pattern(rb"AT[+&]?[A-Z0-9]{0,15}[=?]?", re.IGNORECASE)

SHOWN_BYTES: Final = 160
"""Where a long line is cut in logs."""


def masked_command(line: str) -> str:
    """Return a command line up to what may be a secret or a payload; ``...`` stands for that.

    Args:
        line: The line as written, compound or not, with or without its ``<CR>``.

    """
    return _masked(line, _HIDING)


def shown_address(address: str) -> str:
    """Return an address without the secrets that sim:// and esphome:// may have."""
    return _OF_ADDRESS.sub(r"\1...", address)


def masked_secrets(line: str) -> str:
    """Return a command line up to a PIN or a password, with the payload of a send, if it has one.

    Args:
        line: The line as written, compound or not, with or without its ``<CR>``.

    """
    return line if _is_a_send(line) else _masked(line, _SECRET)


def names_secret(line: str) -> bool:
    """Whether a command line writes or asks for something that its answer or echo must not show."""
    return _SECRET_NAME.search(line) is not None and not _is_a_send(line)


def _is_a_send(line: str) -> bool:
    """Whether a line is one send and nothing else: what looks like a command is its payload."""
    send = _SEND.match(line)
    return send is not None and line[send.end() + int(send[1]) :] in {'"', '"\r'}


def _masked(line: str, hiding: re.Pattern[str]) -> str:
    matches = list(hiding.finditer(line))
    ends = [*(match.start() for match in matches[1:]), len(line)]
    for match, end in zip(matches, ends, strict=False):
        count = SHOWN_PARAMETERS[match[1].upper()]
        # Not at commas outside quotes only: with a quote too few, none would be outside.
        parts = line[match.end() : end].split(",", count)
        if len(parts) > count and parts[count].strip() not in {"", "?"}:
            return f"{line[: match.end()]}{','.join([*parts[:count], '...'])}"
    return line


def shown_line(line: bytes, most_bytes: int = SHOWN_BYTES) -> str:
    """Return a line from the module as far as it can't be the payload of a connection.

    Args:
        line: Without its CRLF. Bytes outside ASCII come out as escapes.
        most_bytes: Where a long line is cut.

    Returns:
        The line if it is a result or begins with one of :data:`KNOWN_NAMES`, cut to
        ``most_bytes``; of other lines the name, and how many bytes it has.

    """
    counted = _COUNTED.fullmatch(line)
    match = _NAMED.match(line)
    if _RESULT.fullmatch(line) or _NOTICE.fullmatch(line) or (counted and not counted[2]):
        return _cut(line, most_bytes)
    if counted is not None:
        return f"{_text(counted[1])}({len(counted[2])} bytes)"
    if match is not None and _text(match[1]) in KNOWN_NAMES and b"+QI" not in line[1:]:
        return _cut(line, most_bytes)
    match = match or _ECHO.match(line)
    if match is None:
        return f"({len(line)} bytes)"
    return _text(line) if match[0] == line else f"{_text(match[0])} ({len(line)} bytes)"


def _cut(line: bytes, most_bytes: int) -> str:
    # A command with a secret may stand in the line where the line end between them got lost.
    shown = masked_command(_text(line[:most_bytes]))
    return shown if len(line) <= most_bytes else f"{shown}... ({len(line)} bytes)"


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "backslashreplace")
