"""What happens to a modem, in words, and what the module says unasked, as it was spelled."""

import pytest

from aiobc9x.aio.line.subscriptions import (
    BudgetReached,
    Dropped,
    LinkDown,
    LinkUp,
    ModemEvent,
    Progress,
    Recovering,
    Reset,
    StepLost,
    StepRegained,
    Unknown,
)
from aiobc9x.cli.happenings import Spelling, in_words
from aiobc9x.wire.urcs import Restart, Urc, parse_urc


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (LinkDown("unplugged"), "away: unplugged"),
        (LinkUp(), "back, with its settings made again"),
        (Recovering("port", 2, 1.0, "busy"), "opening the port again: busy"),
        (Recovering("dance", 1, 1.0, "why not"), "dance: why not"),
        (Reset("RDY"), "the module has restarted: RDY"),
        (Reset(""), "the module has restarted: without a word"),
        (StepLost("noise"), "answers don't match their commands: noise"),
        (
            BudgetReached(0.8, 810, 1000, "day"),
            "80% of the budget of 1000 bytes for this day is used up",
        ),
        (StepRegained(), "answers match their commands again"),
        (Dropped(3), "3 lines came too fast to be shown"),
        (Progress("waiting"), None),
        (Unknown(b"+X"), None),
    ],
)
def test_words(event: ModemEvent, words: str | None) -> None:
    """Each state has some; what is a line of the module has none."""
    assert in_words(event) == words


@pytest.mark.parametrize("cut", [1, 3, 100])
def test_a_line_is_shown_as_it_was_spelled(cut: int) -> None:
    """However the bytes were cut."""
    spelling = Spelling()
    stream = b'\r\nOK\r\n+CEREG:5\r\n\r\n+QIURC: "closed",3\r\n+CEREG: 2'
    for at in range(0, len(stream), cut):
        spelling.hear(stream[at : at + cut])
    assert spelling.line(event_of(b"+CEREG: 5")) == b"+CEREG:5"
    assert spelling.line(event_of(b'+QIURC: "closed",3')) == b'+QIURC: "closed",3'
    assert spelling.line(Unknown(b"+VENDOR: 1")) == b"+VENDOR: 1"
    assert spelling.line(LinkUp()) is None
    # Not heard as a line: what is known of it is better than nothing.
    assert spelling.line(Restart("BOOT")) == b"Restart(text='BOOT')"


def test_it_remembers_the_last_ones_only() -> None:
    """A module that talks all day, or sends no line at all, fills no memory."""
    spelling = Spelling()
    for number in range(300):
        spelling.hear(b'+CEREG: 5,"%04X","00000001",9\r\n' % number)
    spelling.hear(b"x" * 100_000)
    first, last = event_of(b'+CEREG: 5,"0000","00000001",9'), b'+CEREG: 5,"012B","00000001",9'
    assert (spelling.line(first) or b"").startswith(b"Registration(")
    assert spelling.line(event_of(last)) == last


def event_of(line: bytes) -> Urc:
    """The event that the library makes of a line."""
    urc = parse_urc(line)
    assert urc is not None
    return urc
