"""Settings of a module, and the files that keep them."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from aiobc9x.cli.opening import Port
from aiobc9x.cli.stored import (
    SETTINGS,
    Values,
    as_it_is,
    as_text,
    differences,
    read_file,
    toml,
)
from tests.support.clock import virtual

ALL: Values = {
    "receive_format": "hex",
    "view_mode": "comma",
    "show_length": True,
    "sleep": 2,
    "psm": {"on": True, "period_s": 86400, "active_s": 4},
    "edrx_s": 81.92,
    "context_1": {"type": "IPV6", "apn": 'a "quoted" ä'},
    "context_2": {"type": "IP", "apn": ""},
    "context_3": {"type": "IPV4V6", "apn": "iot"},
}


def port(query: str = "") -> Port:
    return Port(
        f"sim://?{query or 'link=memory'}", {"baudrate": 115200, "pin": None, "trace": None}
    )


def test_every_setting_has_an_example() -> None:
    """Those below are all."""
    assert ALL.keys() == SETTINGS.keys()


@pytest.mark.parametrize("name", ["settings.toml", "settings.json", "settings"])
def test_a_file_brings_back_what_was_written(tmp_path: Path, name: str) -> None:
    """Whatever characters a name has."""
    file = tmp_path / name
    values = {**ALL, "context_1": {"type": "IP", "apn": "a.example"}}
    file.write_text(as_text(values, file), encoding="utf-8")
    assert read_file(file) == values


def test_toml_quotes_as_toml_does() -> None:
    """Read by the standard library."""
    text = "\n".join(f"{name} = {toml(value)}" for name, value in ALL.items())
    assert tomllib.loads(text) == ALL


@virtual
async def test_what_is_made_is_told(tmp_path: Path) -> None:
    """Each setting, on a module that has the opposite."""
    wanted = {**ALL, "context_1": {"type": "IPV6", "apn": "a.example"}}
    async with as_it_is(port()) as module:
        before = await module.values()
        assert differences(before, wanted) == [*wanted]
        for name, value in wanted.items():
            assert await module.make(name, value) is None
        assert await module.values() == wanted


@virtual
async def test_opening_changes_nothing() -> None:
    """Not even what a modem must have: lengths are off on a new module, and stay so."""
    for _ in range(2):
        async with as_it_is(port()) as module:
            assert (await module.values())["show_length"] is False


@virtual
async def test_what_the_module_lacks_is_left_out() -> None:
    """And a refusal to set it is told in words."""
    lacking = "link=memory&fault=error;on=AT%2BCPSMS;times=100&fault=error;on=AT%2BQSCLK;times=100"
    async with as_it_is(port(lacking)) as module:
        values = await module.values()
        assert not {"psm", "sleep"} & values.keys()
        assert "AT+QSCLK=1" in (await module.make("sleep", 1) or "")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dance": 1}, "there is no setting 'dance'; known: receive_format"),
        ({"receive_format": "binary"}, '\'binary\'; expected "text" or "hex"'),
        ({"show_length": 2}, "expected false or true"),
        ({"sleep": 7}, "expected 0 (none)"),
        ({"sleep": True}, "expected 0 (none)"),
        ({"edrx_s": 100000}, "seconds up to"),
        ({"edrx_s": True}, "seconds up to"),
        ({"psm": {"on": True, "period_s": 5}}, "{on, period_s, active_s}"),
        ({"psm": {"on": 1}}, "{on, period_s, active_s}"),
        ({"psm": True}, "{on, period_s, active_s}"),
        ({"context_1": {"type": "IP"}}, 'apn = "…"'),
        ({"context_1": {"type": "IP", "apn": "a\r\nAT"}}, 'apn = "…"'),
        ([], "holds no settings"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, values: Any, words: str) -> None:
    """Before anything is sent; the message says what is expected."""
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(values))
    with pytest.raises(ValueError) as caught:
        read_file(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    """Such as JSON under another name."""
    file = tmp_path / "settings.toml"
    file.write_text('{"sleep": 1}')
    with pytest.raises(ValueError, match="can't be read"):
        read_file(file)
