"""Terminal: colour only where it is wanted, nothing wider than it should be."""

import io

import pytest

from aiobc9x.cli.terminal import Terminal, terminal


class Tty(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # StringIO has None
        return "utf-8"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the caller's shell counts."""
    for name in ("NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_a_tty_gets_colour() -> None:
    """Escape sequences go around the text and end behind it."""
    assert terminal(Tty()).paint("x", "bold", "red") == "\x1b[1;31mx\x1b[0m"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_tty_that_wants_none_gets_none(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """NO_COLOR and TERM=dumb are respected."""
    monkeypatch.setenv(name, value)
    assert terminal(Tty()).paint("x", "bold") == "x"


def test_a_file_gets_no_colour() -> None:
    """What is not a terminal gets text alone."""
    assert terminal(io.StringIO()).paint("x", "bold") == "x"


def test_an_empty_no_color_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """As no-color.org has it: present and not empty."""
    monkeypatch.setenv("NO_COLOR", "")
    assert terminal(Tty()).colour


@pytest.mark.parametrize(("given", "used"), [("30", 60), ("80", 80), ("300", 100)])
def test_the_width_has_bounds(monkeypatch: pytest.MonkeyPatch, given: str, used: int) -> None:
    """Narrow terminals wrap, wide ones are not filled."""
    monkeypatch.setenv("COLUMNS", given)
    assert terminal(Tty()).columns == used


@pytest.mark.parametrize(
    ("encoding", "mark"), [("utf-8", "…"), ("ascii", "..."), ("no-such-encoding", "...")]
)
def test_text_that_does_not_fit_is_marked(encoding: str, mark: str) -> None:
    """The mark is within the width, and within the encoding."""

    class Stream(Tty):
        @property
        def encoding(self) -> str:  # type: ignore[override]  # StringIO has None
            return encoding

    screen = terminal(Stream())
    assert screen.fit("0123456789", 10) == "0123456789"
    assert screen.fit("0123456789a", 10) == "0123456789"[: 10 - len(mark)] + mark


@pytest.mark.parametrize(("unicode", "rule"), [(True, "─"), (False, "-")])
def test_a_title_fills_its_line(unicode: bool, rule: str) -> None:
    """A title stands behind an empty line and is as wide as the terminal."""
    stream = io.StringIO()
    Terminal(stream, columns=20, unicode=unicode).title("Title")
    assert stream.getvalue() == f"\n{rule * 2} Title {rule * 11}\n"


def test_a_text_is_folded_behind_a_margin() -> None:
    """No line is wider than the terminal; an option is not cut at its hyphen."""
    stream = io.StringIO()
    screen = Terminal(stream, columns=60)
    screen.folded("word " * 20 + "--a-long-option", "    ")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert all(line.startswith("    word") for line in lines[:2])
    assert max(map(len, lines)) <= 60
    assert lines[-1].endswith(" --a-long-option")


@pytest.mark.parametrize(("unicode", "arrows"), [(True, "→←"), (False, "-><-")])
def test_arrows(unicode: bool, arrows: str) -> None:
    """In ASCII where there is nothing else."""
    screen = Terminal(io.StringIO(), unicode=unicode)
    assert screen.arrow(to_module=True) + screen.arrow(to_module=False) == arrows
