"""Everything about a module at a glance, as far as it tells."""

import json
from typing import Any

import pytest

from aiobc9x.cli.main import main
from tests.support.terminals import COLUMNS, ended, in_terminal, screen

pytestmark = pytest.mark.usefixtures("virtual_time")

KEYS = ["identity", "registration", "signal", "addresses", "sockets", "settings", "usage"]


def as_json(capsys: pytest.CaptureFixture[str], query: str = "", *arguments: str) -> Any:
    """The object that the command prints."""
    assert main(["info", "--json", "--wait", "0.5", "--port", f"sim://?{query}", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def test_json_has_each_part(capsys: pytest.CaptureFixture[str]) -> None:
    """Seven keys, and no errors where nothing is wrong."""
    found = as_json(capsys)
    assert [*found] == KEYS
    assert found["identity"]["model"] == "BC65"
    assert found["registration"]["registered"] is True
    assert found["registration"]["text"].startswith("registered at home; cell")
    assert found["signal"]["rssi_dbm"] == -73
    assert found["addresses"] == [{"context_id": 1, "addresses": ["100.127.243.105"]}]
    assert found["sockets"] == []
    assert found["settings"]["show_length"] is True
    assert found["settings"]["apn"] == "internet"
    assert found["usage"]["total"]["sent_bytes"] == 0


def test_the_cause_of_a_refused_registration_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """With its meaning; what the module still knows stands beside it."""
    found = as_json(capsys, "reject_cause=11")
    assert [*found] == [*KEYS, "errors"]
    assert found["registration"]["reject_cause"] == 11
    assert "cause 11, PLMN not allowed" in found["registration"]["text"]
    assert "cause 11" in found["errors"]["network"]
    assert found["addresses"] == [{"context_id": 1, "addresses": []}]


@pytest.mark.parametrize(
    ("query", "words"),
    [("sim=0", "waiting for the SIM"), ("pin=1234", "use --pin or AIOBC9X_PIN; 3 tries")],
)
def test_without_a_usable_sim_the_rest_is_told(
    capsys: pytest.CaptureFixture[str], query: str, words: str
) -> None:
    """The module answers all the same; what to do is said in terms of the command line."""
    found = as_json(capsys, query)
    assert found["identity"]["imei"] == "866425033210987"
    assert found["identity"]["imsi"] is None
    assert words in found["errors"]["network"]


def test_a_pin_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    """As everywhere, by an option or by the environment."""
    assert "errors" not in as_json(capsys, "pin=1234", "--pin", "1234")


def test_a_part_that_fails_is_null_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """And the others are there."""
    found = as_json(capsys, "fault=error;on=AT%2BQISTATE;times=100")
    assert found["sockets"] is None
    assert list(found["errors"]) == ["sockets"]
    assert "AT+QISTATE" in found["errors"]["sockets"]
    assert found["settings"]["open_time"] == 36


def test_a_failure_is_told_in_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    """One row for each part, in the same order as without a failure."""
    query = "sim://?sim=0&fault=error;on=AT%2BCESQ&fault=error;on=AT%2BQISTATE;times=100"
    assert main(["info", "--wait", "0.2", "--port", query]) == 0
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert rows["SIM"].strip() == "tells nothing"
    assert "waiting for the SIM" in rows["no network"]
    assert rows["signal"].strip() == "the module hears no network"
    assert "AT+QISTATE" in rows["sockets"]


@COLUMNS
def test_it_fits_a_terminal(columns: int) -> None:
    """Long rows go on below themselves."""
    lines = screen("info", "--port", "sim://", columns=columns)
    assert lines[0].startswith("module        Quectel, BC65")
    assert sum(line.startswith(" ") for line in lines) == 1
    assert not any(line.endswith(" ") for line in lines)


def test_no_colour() -> None:
    """``NO_COLOR`` is obeyed in a terminal; a pipe gets none anyway."""
    child = in_terminal("info", "--port", "sim://", env={"NO_COLOR": "1"})
    assert ended(child) == 0
    assert "\x1b[3" not in child.before


@pytest.mark.parametrize("moment", ["> AT", r"QICFG=\"showlength\",1", r"AT\+CEREG\?", r"AT\+CGSN"])
def test_control_c_at_any_moment(moment: str) -> None:
    """Exit code 130 and no traceback: while it starts, waits and asks."""
    wait = "0.5" if "CGSN" in moment else "60"
    # It never ends by itself: an interrupt that comes late would find nothing to interrupt.
    address = "sim://?register_time=60&latency=0.05&fault=stuck;on=AT%2BQIDNSCFG"
    child = in_terminal("info", "--wait", wait, "-vv", "--port", address, columns=120)
    child.expect(moment)
    child.sendintr()
    assert ended(child) == 130
    assert "Traceback" not in child.before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--wait", "soon"], "'soon' is not a number"),
        (["--wait", "-1"], "-1.0 is not in the range"),
        (["extra"], "unexpected extra argument (extra)"),
    ],
)
def test_wrong_arguments(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    """One line on stderr."""
    assert main(["info", "--port", "sim://", *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
