"""Effects: what a command changes, and what kind of answer it has."""

import pytest

from aiobc9x.spec import AccessMode
from aiobc9x.wire.commands.base import (
    PLAIN,
    Command,
    EchoLines,
    Effect,
    OpenSocket,
    Raw,
    ReceiveHex,
    ShowLength,
    SwitchMode,
)
from aiobc9x.wire.commands.radio import At, Echo
from aiobc9x.wire.commands.tcpip import (
    Qicfg,
    Qiclose,
    Qiopen,
    Qird,
    Qisend,
    Qisendex,
    Qistate,
    Qiswtmd,
)

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
    assert Raw(text).meaning.effect == effect
    assert Raw(text).meaning.writes_nvram


@pytest.mark.parametrize("mode", list(AccessMode))
def test_an_open_decides_how_data_arrive(mode: AccessMode) -> None:
    """§2.2.1; from when it is written: the peer may speak as soon as it is connected."""
    command = Qiopen(1, 4, "TCP", "a.example", 80, 0, mode, 0)
    assert command.meaning.effect == OpenSocket(4, mode)
    assert (
        Raw(command.text).meaning.effect
        == Raw(command.text[:-2]).meaning.effect
        == command.meaning.effect
    )


def test_an_open_without_access_mode_decides_nothing() -> None:
    """The module takes what its last user left (N2)."""
    command = Qiopen(1, 4, "TCP", "a.example", 80)
    assert command.meaning.effect is None
    assert Raw(command.text).meaning.effect is None


@pytest.mark.parametrize(
    ("text", "on"), [("ATE0", False), ("ATE1", True), ("ATE", False), ("ate1 ", True)]
)
def test_echo_counts_but_is_no_flash_write(text: str, on: bool) -> None:
    """Without a number ATE means 0."""
    assert Raw(text).meaning.effect == EchoLines(on)
    assert not Raw(text).meaning.writes_nvram


@pytest.mark.parametrize(
    "text",
    ['at+qicfg="SHOWLENGTH",1', 'AT+QICFG = "showlength" , 1', 'AT+QICFG="showlength",1 '],
)
def test_spelling_makes_no_difference(text: str) -> None:
    """Whoever types a raw command may spell it as the module accepts it."""
    assert Raw(text).meaning.effect == ShowLength(True)


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
    assert Raw(text).meaning.effect is None
    assert not Raw(text).meaning.writes_nvram


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
    assert (Raw(text).meaning.is_send, Raw(text).meaning.is_read) == (send, read)


@pytest.mark.parametrize(
    ("text", "line", "own"),
    [
        ("AT+CEREG?", b"+CEREG: 0,1", True),
        ("at+qird=0,9", b"+QIRD: 0", True),
        ("AT+CEREG?", b"+CSQ: 20,99", False),
        ("AT+CEREG?", b"+CEREGX: 1", False),
        ("AT+CGSN", b"490154203237518", False),
        ("ATI", b"I: 1", False),
        ("AT*MCGDEFCONT?", b"*MCGDEFCONT: 1", False),
        ("AT", b": 1", False),
    ],
)
def test_a_worded_command_owns_the_lines_under_its_name(text: str, line: bytes, own: bool) -> None:
    """Other lines among its answer may be received data."""
    assert Raw(text).owns(line) is own


OWN: list[Command[object]] = [
    Qicfg("dataformat", 0, 1),
    Qicfg("showlength", 0),
    Qicfg("viewmode", 1),
    Qicfg("open_time", 36),
    Qicfg("dataformat"),
    Qicfg("showlength"),
    Qiswtmd(3, 1),
    Qiswtmd(3, 0),
    Qiopen(1, 4, "TCP", "a.example", 80, 0, 1, 0),
    Qisend(0, 3),
    Qisend(0, 3, b"abc"),
    Qisendex(0, 3, b"abc"),
    Qird(0),
    Qiclose(0),
    Qistate(),
    At(),
    Echo(False),
    Echo(True),
]


@pytest.mark.parametrize("command", OWN, ids=lambda command: command.text)
def test_the_librarys_own_commands_say_what_their_text_says(command: Command[object]) -> None:
    """Whether a caller words a line or the library does, it means the same."""
    raw = Raw(command.text, command.needs_prompt)
    assert command.meaning == raw.meaning
    assert (command.meaning is PLAIN) == (raw.meaning is PLAIN) == (raw.meaning == PLAIN)


def test_a_command_with_a_prefix_owns_the_lines_that_begin_so() -> None:
    """The answer to AT+QICLOSE is its result alone."""
    assert Qird(0).owns(b"+QIRD: 0")
    assert not Qird(0).owns(b"QIRD: 0")
    assert not Qiclose(0).owns(b"+QICLOSE: 0")
