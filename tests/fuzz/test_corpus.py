"""The corpus of the fuzzers holds without them: each input keeps what the session promises."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from aiobc9x.core import exchange
from aiobc9x.spec import ServiceType
from aiobc9x.wire.framer import Framer
from tests.fuzz import __main__ as command
from tests.fuzz import framer, session
from tests.wire.fuzz import in_python

SCRIPTS = 300

INPUTS = {target: sorted((command.CORPUS / target).iterdir()) for target in command.TARGETS}


@pytest.mark.parametrize("path", INPUTS["session"], ids=lambda path: path.name)
def test_session(path: Path) -> None:
    """What has once reached something new, or broken something, breaks nothing now."""
    session.one_input(path.read_bytes())


@pytest.mark.parametrize("path", INPUTS["framer"], ids=lambda path: path.name)
def test_framer(path: Path) -> None:
    """The same, in both forms."""
    framer.one_input(path.read_bytes(), (Framer, in_python()))


def test_random_scripts() -> None:
    """Scripts that nobody has chosen."""
    for seed in range(SCRIPTS):
        dice = random.Random(seed)
        codes = [dice.randrange(dice.choice((96, 256, 256))) for _ in range(dice.randrange(100))]
        session.one_input(bytes([dice.randrange(256), *codes]))


def test_the_corpus_stays_small() -> None:
    """It is for reading and for replay; a fuzzer finds the rest again."""
    sizes = [path.stat().st_size for paths in INPUTS.values() for path in paths]
    assert len(sizes) <= 400
    assert max(sizes) <= command.MOST_BYTES
    assert all(INPUTS.values())


class TestOracle:
    """What a session must not do is noticed."""

    def test_memory(self) -> None:
        """An answer without an end, if nobody gave it up."""
        path = command.CORPUS / "session" / "flood"
        with (
            patch.object(exchange, "LINES_MAX", 1 << 30),
            pytest.raises(AssertionError, match="bytes are kept"),
        ):
            session.one_input(path.read_bytes())

    def test_delivery(self) -> None:
        """Bytes that the line has not said, or that nobody has asked for."""
        desk = session.Desk()
        slot = desk.session.sockets.reserve(ServiceType.TCP)
        assert slot is not None
        desk.hear(b"abcdefgh\r\n")
        with pytest.raises(AssertionError, match="more came than was asked for"):
            desk.check_delivery(slot, b"abc")
        desk.account(slot).asked = 100
        desk.check_delivery(slot, b"def")
        with pytest.raises(AssertionError, match="delivers what the line has not said"):
            desk.check_delivery(slot, b"abc")


class TestCommand:
    """python -m tests.fuzz"""

    def test_one_input_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It needs no fuzzer."""
        path = INPUTS["session"][0]
        monkeypatch.setattr(sys, "argv", ["fuzz", "session", "--input", str(path)])
        command.main()

    def test_without_the_fuzzer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It says what is missing."""
        monkeypatch.setitem(sys.modules, "atheris", None)
        monkeypatch.setattr(sys, "argv", ["fuzz", "session"])
        with pytest.raises(SystemExit, match="pip install atheris"):
            command.main()
