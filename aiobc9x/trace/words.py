"""Say what a line of the dialogue means, in a few words and with the § of the note.

Layer: trace. Does no I/O, reads no clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from aiobc9x.spec import CME_TEXT, ERR_TEXT, NTP_TEXT, PING_TEXT

__all__ = ["decision_words", "meaning"]

_REGISTRATION: Final = {
    "0": "not registered, and not searching",
    "1": "registered with the home network",
    "2": "searching a network",
    "3": "the network denies registration",
    "4": "not known whether registered",
    "5": "registered, roaming",
}


def _with(words: str, texts: Mapping[int, str], group: int) -> Callable[[re.Match[str]], str]:
    """Return what words a pattern's match, with the description of the code in a group."""

    def say(match: re.Match[str]) -> str:
        code = int(match[group])
        known = f"{texts[code]} (error {code})" if code in texts else f"error {code}"
        return words.format(match[0], *match.groups(), code=known)

    return say


def _registration(match: re.Match[str]) -> str:
    return _REGISTRATION.get(match[1], "")


def _cme(match: re.Match[str]) -> str:
    code = match[1]
    return CME_TEXT.get(int(code), "refused") if code.isdigit() else "refused"


_Words = str | Callable[[re.Match[str]], str]

_MEANINGS: Final[list[tuple[str, _Words]]] = [
    (r"AT$", "is anyone there?"),
    (r"ATE0", "echo off"),
    (r"ATE1", "echo on"),
    (r"ATI", "who are you?"),
    (r"ATV1", "results in words"),
    (r"AT\+CMEE=", "errors with a number"),
    (r"AT\+CFUN\?", "is the radio on?"),
    (r"AT\+CFUN=", "switch the radio"),
    (r"AT\+(QSCLK|CPSMS|CEDRXS)=", "no sleep while we talk"),
    (r"AT\+CPSMS\?", "does it save power?"),
    (r"AT\+CSCON=", "report the radio connection"),
    (r"AT\+CGEREP=", "report the end of contexts"),
    (r"AT\+QNBIOTEVENT=", "report sleep"),
    (r"AT\+QATWAKEUP=", "report waking up"),
    (r"AT\+CPIN\?", "is the SIM ready?"),
    (r"AT\+CPIN=", "unlock the SIM"),
    (r"AT\+C(E|G)?REG\?", "registered with a network?"),
    (r"AT\+C(E|G)?REG=", "report changes of registration"),
    (r"AT\+CGATT\?", "attached?"),
    (r"AT\+CGATT=", "attach"),
    (r"AT\+CGPADDR", "which address have we got?"),
    (r"AT\+CGACT\?", "is the context active?"),
    (r"AT\+CGACT=", "activate the context"),
    (r"AT\+CSQ", "how strong is the signal?"),
    (r"AT\+QIDNSCFG", "name servers (§2.2.13)"),
    (r"AT\+QIDNSGIP", "look up a name (§2.2.10)"),
    (r"AT\+QPING", "echo requests (§2.2.8)"),
    (r"AT\+QNTP", "ask a time server (§2.2.9)"),
    (r"AT\+QIGETERROR", "why? (§2.2.12)"),
    (r'AT\+QICFG="(\w+)"$', r"{1}? (§2.2.11)"),
    (r'AT\+QICFG="(\w+)",', r"set {1} (§2.2.11)"),
    (r"AT\+QISTATE=1,(\d)", "how is socket {1}? (§2.2.3)"),
    (r"AT\+QISTATE", "which sockets are open? (§2.2.3)"),
    (r'AT\+QIOPEN=\d,(\d),"([\w ]+)"', "open socket {1}, {2} (§2.2.1)"),
    (r"AT\+QICLOSE=(\d)", "close socket {1} if open (§2.2.2)"),
    (r"AT\+QISEND=(\d),(\d+)", "socket {1}: send {2} bytes (§2.2.4)"),
    (r"AT\+QISENDEX=(\d),(\d+)", "socket {1}: send {2} bytes as hex"),
    (r"AT\+QIRD=(\d),", "socket {1}: read (§2.2.6)"),
    (r"AT\+QISWTMD=(\d),0", "socket {1}: buffer mode (§2.2.7)"),
    (r"AT\+QISWTMD=(\d),1", "socket {1}: push mode (§2.2.7)"),
    (r"\+QIOPEN: ?(\d),0$", "socket {1} is connected"),
    (r"\+QIOPEN: ?(\d),(\d+)", _with("socket {1}: {code}", ERR_TEXT, 2)),
    (r"\+QIGETERROR: ?(\d+)", _with("{code}", ERR_TEXT, 1)),
    (r'\+QIURC: ?"recv",(\d),"buff full"', "socket {1}: the module's buffer is full"),
    (r'\+QIURC: ?"recv",(\d)', "socket {1} has data (§2.3.2)"),
    (r'\+QIURC: ?"closed",(\d)', "socket {1}: the peer has closed"),
    (r'\+QIURC: ?"incoming full"', "an incoming connection found no free socket (§2.3.4)"),
    (r'\+QIURC: ?"incoming",(\d)', "socket {1}: an incoming connection (§2.3.5)"),
    (r'\+QIURC: ?"pdpdeact",(\d+)', "the network has ended context {1}"),
    (r'\+QIURC: ?"dnsgip",0,', "the name has addresses (§2.2.10)"),
    (r'\+QIURC: ?"dnsgip",(\d+)$', _with("{code}", ERR_TEXT, 1)),
    (r'\+QIURC: ?"dnsgip","', "an address of the name"),
    (r"\+QISTATE: ?(\d)", "a row of the table of sockets: socket {1}"),
    (r"\+QIRD: ?0\b", "nothing left"),
    (r"\+QIRD: ?(\d+)", "{1} bytes"),
    (r"\+QPING: ?(\d)", lambda match: PING_TEXT.get(int(match[1]), "")),
    (r"\+QNT[PF]: ?(\d)", lambda match: NTP_TEXT.get(int(match[1]), "")),
    (r"\+C(?:E|G)?REG: ?(?:\d,)?([0-5])(?![0-9])", _registration),
    (r"\+CPIN: ?READY", "the SIM is ready"),
    (r"\+CSCON: ?(?:\d,)?1", "the radio connection is up"),
    (r"\+CSCON: ?(?:\d,)?0", "the radio connection is down"),
    (r"\+CM[ES] ERROR: ?(\w+)", _cme),
    (r">\s*$", "now the bytes"),
    (r"\(\d+ bytes\)$", "the bytes"),
    (r"SEND OK", "the module has taken the bytes"),
    (r"SEND FAIL", "the module has not taken them"),
    (r"CLOSE OK", "closed"),
    (r"RDY$", "the module has started"),
]
"""The meaning of a line, by its beginning; ``{1}`` is the first group of the pattern."""


def meaning(text: str) -> str:
    """Return the meaning of a line in a few words; empty if it is not known."""
    for pattern, words in _MEANINGS:
        if match := re.match(pattern, text):
            return (
                words.format(match[0], *match.groups()) if isinstance(words, str) else words(match)
            )
    return ""


_DECISIONS: Final = {
    "LinkOpened": "the port is open",
    "LinkEnded": "the port is lost",
    "LinkDown": "every call and connection has failed",
    "LinkUp": "the modem is in use again",
    "ModemEnded": "the modem has ended",
    "Recovering": "coming back",
    "Progress": "start-up",
    "BudgetReached": "a share of the budget for bytes over the air is used up",
    "StepLost": "answers no longer match their commands",
    "StepRegained": "answers match their commands again",
    "Reset": "the module has restarted",
    "Woken": "the module was asleep",
    "Opened": "the socket is connected",
    "OpenRefused": "the socket could not be connected",
    "ModeSwitched": "the access mode has changed",
    "SwitchRefused": "the access mode has not changed",
    "SendStalled": "the module takes no bytes for now; they are sent again",
    "SendRefused": "the module refuses the bytes for good",
    "ReadRefused": "the module refused a read; it is read again",
    "DatagramLost": "a datagram is lost",
    "RemoteClosed": "the peer has closed",
    "Drained": "everything that the peer sent has been read",
    "Failed": "the connection can't go on",
    "ConnectionEnded": "the connection has ended",
    "Orphaned": "the module has a connection that nobody here knows",
    "Damaged": "these bytes can't be what the module meant to send",
    "RecordsLost": "records are missing here",
}
"""What the library's own decisions mean, by their names in a trace."""

_OF_RECORD: Final = frozenset({"socket", "generation"})
"""Facts that say where a decision belongs, and not what it was."""


def decision_words(event: str, facts: Mapping[str, object]) -> str:
    """Word a decision of the library, with its details behind a colon."""
    words = _DECISIONS.get(event, event)
    told = [
        str(value) if isinstance(value, str) else f"{name} {value}"
        for name, value in facts.items()
        if name not in _OF_RECORD and value not in (None, "")
    ]
    return f"{words}: {', '.join(told)}" if told else words
