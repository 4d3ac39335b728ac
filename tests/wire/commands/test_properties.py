"""commands: what holds for any argument and any answer."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.errors import UnexpectedAnswer
from aiobc9x.wire.commands.tcpip import (
    Command,
    Qicfg,
    Qidnscfg,
    Qidnsgip,
    Qiopen,
    Qisend,
    Qisendex,
    Qntp,
    Qping,
    Raw,
    TestForm,
)
from tests.wire.commands.test_tcpip import EXAMPLES, FORMS
from tests.wire.lines import DAMAGED, EVIL, is_one_clean_line, outcome

# Any: the results differ in type, and these tests look at lines alone.
AnyCommand = Command[Any]

INJECTABLE: list[Callable[[Any], AnyCommand]] = [
    lambda text: Qiopen(1, 0, "TCP", text, 1),
    lambda text: Qiopen(1, 0, text, "h", 1),
    lambda text: Qping(1, text),
    lambda text: Qntp(1, text),
    lambda text: Qidnsgip(1, text),
    lambda text: Qicfg(text, 1),
    Qidnscfg,
    lambda text: Qidnscfg("8.8.8.8", text),
    lambda text: Qisend(0, data=text.encode("utf-8", "surrogatepass")),
    lambda text: Qisendex(0, data=text.encode("utf-8", "surrogatepass")),
    TestForm,
    lambda text: Raw("AT" + text),
]
"""Everything that takes text from a caller."""


@given(make=st.sampled_from(INJECTABLE), text=EVIL)
def test_no_text_adds_a_command(make: Callable[[str], AnyCommand], text: str) -> None:
    """Whatever is passed, it is refused, or there is one CR, at the end."""
    try:
        line = make(text).encode()
    except ValueError:
        line = b"\r"
    assert is_one_clean_line(line)


@given(
    command=st.sampled_from([command for _, command in EXAMPLES + FORMS]),
    lines=st.lists(DAMAGED, max_size=4),
)
def test_no_answer_raises_anything_else(command: AnyCommand, lines: list[bytes]) -> None:
    """Whatever arrives is claimed or not, and is read or is an UnexpectedAnswer."""
    claimed = [line for line in lines if command.claims(line)]
    for answer in (lines, claimed):
        result = outcome(command, answer)
        assert not isinstance(result, UnexpectedAnswer) or result.lines == tuple(answer)
