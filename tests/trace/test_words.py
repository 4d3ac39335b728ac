"""Words: what lines and decisions mean."""

from typing import get_args

import pytest

from aiobc9x.aio.line.decisions import DECISIONS, UNTOLD
from aiobc9x.aio.line.subscriptions import ModemEvent
from aiobc9x.trace.words import decision_words, meaning


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("AT", "is anyone there?"),
        ('AT+QIOPEN=1,3,"TCP","a.example",80,0,0,0', "open socket 3, TCP (§2.2.1)"),
        ('AT+QICFG="showlength",1', "set showlength (§2.2.11)"),
        ('AT+QICFG="showlength"', "showlength? (§2.2.11)"),
        ("AT+QISWTMD=2,1", "socket 2: push mode (§2.2.7)"),
        ("+QIOPEN: 3,0", "socket 3 is connected"),
        ("+QIOPEN: 3,566", "socket 3: Socket connect failed (error 566)"),
        ("+QIOPEN: 3,999", "socket 3: error 999"),
        ("+QIGETERROR: 565,DNS parse failed", "DNS parse failed (error 565)"),
        ('+QIURC: "recv",1,"buff full"', "socket 1: the module's buffer is full"),
        ('+QIURC: "dnsgip",565', "DNS parse failed (error 565)"),
        ("+QIRD: 0", "nothing left"),
        ("+QIRD: 10,2", "10 bytes"),
        ("+QPING: 1", "PING_TIMEOUT"),
        ("+QPING: 9", ""),
        ('+QNTP: 0,"26/01/01,08:00:00+32"', "APP_NTP_OK"),
        ("+CEREG: 0,2", "searching a network"),
        ('+CEREG: 1,"00AB","01CD0203",9', "registered with the home network"),
        ("+CEREG: 3", "the network denies registration"),
        ("+CEREG: 80", ""),
        ("+CME ERROR: 10", "SIM not inserted"),
        ("+CME ERROR: 9999", "refused"),
        ("+CME ERROR: SIM failure", "refused"),
        ("OK", ""),
    ],
)
def test_lines_have_meanings(text: str, words: str) -> None:
    """Numbers of the line appear in its meaning, and codes in the note's words."""
    assert meaning(text) == words


@pytest.mark.parametrize(
    ("event", "facts", "words"),
    [
        ("LinkDown", {"reason": "gone"}, "every call and connection has failed: gone"),
        ("Opened", {"socket": 0, "generation": 1}, "the socket is connected"),
        ("OpenRefused", {"socket": 0, "err": 566}, "the socket could not be connected: err 566"),
        ("Progress", {"stage": "attaching", "detail": ""}, "start-up: attaching"),
        ("SendStalled", {"err": None}, "the module takes no bytes for now; they are sent again"),
        ("Novelty", {"x": 1}, "Novelty: x 1"),
    ],
)
def test_decisions_have_words(event: str, facts: dict[str, object], words: str) -> None:
    """With their details; a later release may have others."""
    assert decision_words(event, facts) == words


def test_every_decision_has_words() -> None:
    """A name alone would be a riddle to whoever reads the trace."""
    events = {kind.__name__ for kind in DECISIONS}
    events |= {kind.__name__ for kind in get_args(ModemEvent) if not issubclass(kind, UNTOLD)}
    events -= {"Dropped"}  # which a slow subscriber gets, and nobody decides
    assert [event for event in sorted(events) if decision_words(event, {}) == event] == []
