"""refusals: what a module's "no" means, and what its SIM waits for."""

from __future__ import annotations

import pytest

from aiobc9x.aio.bringup.refusals import Refusal, concerns_sim, meaning_of, sim_trouble
from aiobc9x.errors import (
    CommandError,
    PinRequired,
    PukRequired,
    SimError,
    SimLocked,
    SimMissing,
    UnexpectedAnswer,
)


def refused(cme: str | None = None, err: int | None = None) -> CommandError:
    """A refusal with this code."""
    return CommandError("AT+X", err, cme)


class TestMeaning:
    """27.007, 9.2, as numbers and as words."""

    @pytest.mark.parametrize(
        "cme", [None, "3", "4", "50", "100", "unknown", "Operation not supported"]
    )
    def test_missing(self, cme: str | None) -> None:
        """A module that doesn't know a command says so in many ways."""
        assert meaning_of(refused(cme)) is Refusal.MISSING

    def test_answer_without_content(self) -> None:
        """OK alone to a question tells as little."""
        assert meaning_of(UnexpectedAnswer("AT+X?", [], "no state")) is Refusal.MISSING

    @pytest.mark.parametrize(
        "cme", ["14", "SIM busy", "(U)SIM busy", "30", "31", "no network service", "515", "oops"]
    )
    def test_passing(self, cme: str) -> None:
        """Busy, no network yet, and whatever else a vendor counts."""
        assert meaning_of(refused(cme)) is Refusal.PASSING

    @pytest.mark.parametrize("err", [551, 564, 568])
    def test_busy_by_table_2(self, err: int) -> None:
        """AT+QIGETERROR may have told so."""
        assert meaning_of(refused(err=err)) is Refusal.PASSING
        assert meaning_of(refused(err=552)) is Refusal.MISSING

    @pytest.mark.parametrize("cme", ["10", "11", "13", "SIM not inserted", "SIM PIN required"])
    def test_sim(self, cme: str) -> None:
        """The SIM may come, but not by asking again at once."""
        assert meaning_of(refused(cme)) is Refusal.SIM

    def test_whether_the_sim_is_concerned(self) -> None:
        """Busy is."""
        assert concerns_sim(refused("14"))
        assert concerns_sim(refused("SIM failure"))
        assert not concerns_sim(refused("30"))
        assert not concerns_sim(refused())


class TestSimTrouble:
    """What AT+CPIN? may say."""

    @pytest.mark.parametrize(
        ("said", "kind"),
        [
            ("SIM PIN", PinRequired),
            ("11", PinRequired),
            ("SIM PUK", PukRequired),
            ("SIM PUK required", PukRequired),
            ("12", PukRequired),
            ("PH-NET PIN", SimLocked),
            ("PH-SIM PIN", SimLocked),
            ("5", SimLocked),
            ("40", SimLocked),
            ("10", SimMissing),
            ("SIM not inserted", SimMissing),
            ("NOT INSERTED", SimMissing),
            ("13", SimError),
            ("SIM wrong", SimError),
            ("262", SimError),
            ("SIM FAILURE", SimError),
            ("BLOCKED", SimError),
        ],
    )
    def test_trouble(self, said: str, kind: type[SimError]) -> None:
        """Its class says what is to be done."""
        assert type(sim_trouble(said)) is kind

    @pytest.mark.parametrize("said", ["READY", "NOT READY", "14", "SIM busy", "SIM PIN2", "BUSY"])
    def test_none(self, said: str) -> None:
        """There is nothing to do but wait, if even that."""
        assert sim_trouble(said) is None
