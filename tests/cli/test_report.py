"""What goes into an issue: enough to find a fault, and nobody's numbers."""

import json
import logging

import pytest

from aiobc9x.cli.report import Listening, Report

NUMBERS = {
    "IMEI": "866425033210987",
    "IMSI": "460001234567890",
    "ICCID": "8986001234567890123F",
    "PIN": "4711",
}


def written(report: Report) -> str:
    return json.dumps(report.contents())


def test_no_number_of_a_person_gets_through() -> None:
    """Neither in the dialogue nor in the address; what else stands there stays."""
    report = Report(f"sim://?pin={NUMBERS['PIN']}", 115200)
    report.hear(f"+CGSN: {NUMBERS['IMEI']}")
    report.hear(NUMBERS["IMSI"])
    report.hear(f'+QCCID: "{NUMBERS["ICCID"]}"')
    report.hear(f"nothing came from sim://?pin={NUMBERS['PIN']} in 30 s")
    report.hear('+CEREG: 5,1,"1A2B","01A2B3C4",9')
    text = written(report)
    assert [name for name, number in NUMBERS.items() if number in text] == []
    contents = report.contents()
    assert contents["port"] == "sim://"
    assert contents["dialogue"][0] == "+CGSN: (15 digits)"
    assert contents["dialogue"][2] == '+QCCID: "(20 digits)"'
    assert contents["dialogue"][-1] == '+CEREG: 5,1,"1A2B","01A2B3C4",9'
    assert contents["versions"]["aiobc9x"].startswith("aiobc9x ")


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (logging.WARNING, ["! lost", "! later"]),
        (logging.INFO, ["= news", "! lost", "! later"]),
        (logging.DEBUG, ["> AT", "= news", "! lost", "! later"]),
    ],
)
def test_it_listens_and_leaves_the_log_as_it_was(level: int, shown: list[str]) -> None:
    """What was shown is shown on, and no more."""
    logger, told = logging.getLogger("aiobc9x"), list[str]()

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    report = Report("/dev/ttyUSB0", None)
    logger.setLevel(level)
    logger.addHandler(handler := Shown())
    below = logging.getLogger("aiobc9x.aio")
    try:
        with Listening(report):
            below.debug("> AT")
            below.info("= news")
            below.warning("! lost")
        below.warning("! later")
    finally:
        logger.removeHandler(handler)
    assert told == shown
    assert logger.level == level
    dialogue = report.contents()["dialogue"]
    assert [line[9:] for line in dialogue] == ["> AT", "= news", "! lost"]


def test_only_the_last_lines_are_kept() -> None:
    """A modem that is examined for hours gives no report of hours."""
    report = Report("/dev/ttyUSB0", None)
    for number in range(1000):
        report.hear(str(number))
    lines = report.contents()["dialogue"]
    assert len(lines) == 400
    assert lines[-1] == "999"
