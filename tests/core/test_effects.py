"""Effects: commands whose OK changes what later bytes mean."""

import pytest

from aiobc9x.core.effects import (
    EchoLines,
    Effect,
    Meaning,
    ReceiveHex,
    ShowLength,
    SwitchMode,
    effect_of,
    is_read,
    is_send,
    meaning_of,
    writes_nvram,
)
from aiobc9x.spec import AccessMode
from aiobc9x.wire.commands import Qicfg, Qiopen, Qiswtmd
from aiobc9x.wire.network import Echo

SETTINGS: list[tuple[str, Effect | None]] = [
    ('AT+QICFG="dataformat",0,1', ReceiveHex(True)),
    ('AT+QICFG="dataformat",0,0', ReceiveHex(False)),
    ('AT+QICFG="dataformat",1,0', ReceiveHex(False)),
    ('AT+QICFG="showlength",1', ShowLength(True)),
    ('AT+QICFG="showlength",0', ShowLength(False)),
    ("AT+QISWTMD=5,1", SwitchMode(5, AccessMode.PUSH)),
    ("AT+QISWTMD=0,0", SwitchMode(0, AccessMode.BUFFER)),
    ('AT+QICFG="viewmode",1', None),  # the bytes tell
]


@pytest.mark.parametrize(("text", "effect"), SETTINGS)
def test_a_setting_counts_and_is_a_flash_write(text: str, effect: Effect | None) -> None:
    """§2.2.7 and §2.2.11: the module keeps them."""
    assert effect_of(text) == effect
    assert writes_nvram(text)


@pytest.mark.parametrize("mode", list(AccessMode))
def test_an_open_decides_how_data_arrive(mode: AccessMode) -> None:
    """§2.2.1; from its OK on, not before: until then the ID may be another's."""
    text = Qiopen(1, 4, "TCP", "a.example", 80, 0, mode, 0).text
    assert effect_of(text) == effect_of(text[:-2]) == SwitchMode(4, mode)
    assert effect_of('AT+QIOPEN=1,4,"TCP","a.example",80') is None


@pytest.mark.parametrize(
    ("text", "on"), [("ATE0", False), ("ATE1", True), ("ATE", False), ("ate1 ", True)]
)
def test_echo_counts_but_is_no_flash_write(text: str, on: bool) -> None:
    """Without a number ATE means 0."""
    assert effect_of(text) == EchoLines(on)
    assert not writes_nvram(text)


@pytest.mark.parametrize(
    "text",
    ['at+qicfg="SHOWLENGTH",1', 'AT+QICFG = "showlength" , 1', 'AT+QICFG="showlength",1 '],
)
def test_spelling_makes_no_difference(text: str) -> None:
    """Whoever types a raw command may spell it as the module accepts it."""
    assert effect_of(text) == ShowLength(True)


@pytest.mark.parametrize(
    "text",
    [
        "AT",
        "ATI",
        "ATE2",
        'AT+QICFG="dataformat"',
        'AT+QICFG="showlength"',
        'AT+QICFG="showlength",2',
        'AT+QICFG="open_time",36',
        "AT+QISWTMD?",
        "AT+QISWTMD=?",
        "AT+QISWTMD=6,1",
        "AT+QISWTMD=0,2",
        'AT+QISEND=0,23,AT+QICFG="showlength",0',
        "AT+CEREG=1",
    ],
)
def test_everything_else_changes_nothing(text: str) -> None:
    """Queries, other keys, other values, and text that only holds such a command."""
    assert effect_of(text) is None
    assert not writes_nvram(text)


@pytest.mark.parametrize(
    ("text", "send", "read"),
    [
        ('AT+QISEND=0,1,"a"', True, False),
        ("at+qisendex = 0,1", True, False),
        ("AT+QISEND=?", False, False),
        ("AT+QIRD=0,1024", False, True),
        ("AT+QIRD=?", False, False),
        ("AT+QISTATE?", False, False),
        ("ATI", False, False),
    ],
)
def test_sends_and_reads_are_known_by_their_text(text: str, send: bool, read: bool) -> None:
    """One needs the place for sends, the other may be answered by a payload."""
    assert (is_send(text), is_read(text)) == (send, read)


def test_the_librarys_own_commands_count_alike() -> None:
    """What is recognized is the line, whoever made it."""
    assert effect_of(Qicfg("dataformat", 0, 1).text) == ReceiveHex(True)
    assert effect_of(Qicfg("showlength", 0).text) == ShowLength(False)
    assert effect_of(Qiswtmd(3, 1).text) == SwitchMode(3, AccessMode.PUSH)
    assert effect_of(Echo(False).text) == EchoLines(False)


@pytest.mark.parametrize(
    "text",
    [
        *(text for text, _ in SETTINGS),
        *("AT", "ATI", "ate0", "ATE", "AT+CEREG=1", "at+qisend=0,1", "AT+QIRD=0,9", "AT+QPING=1"),
    ],
)
def test_all_at_once(text: str) -> None:
    """Whoever wants to know everything about a command line asks once."""
    meaning = Meaning(effect_of(text), is_send(text), is_read(text), writes_nvram(text))
    assert meaning_of(text.encode() + b"\r") == meaning
