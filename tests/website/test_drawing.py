"""The pictures of states and ways are those of the code and of the page, and the modem obeys."""

from __future__ import annotations

import asyncio
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

import aiobc9x
from aiobc9x.aio.reconnecting import ModemState
from aiobc9x.core import sending, slots
from aiobc9x.sim.memory import MemoryNetwork
from aiobc9x.sim.virtual_clock import VirtualClock
from aiobc9x.sim.virtual_modem import VirtualModem
from docs.website.drawing import MODEM, PICTURES, drawings, ways
from tests.support.pages import ROOT


@pytest.mark.parametrize("name", drawings())
def test_pictures_are_up_to_date(name: str) -> None:
    """``python -m docs.website.drawing`` would draw the same."""
    assert (PICTURES / name).read_text("utf-8") == drawings()[name]


def test_the_design_shows_all_of_them() -> None:
    """Each picture stands on the page, and no other of their kind lies about."""
    shown = re.findall(
        r"\]\(pictures/((?:way|states)-\w+\.svg)\)", (ROOT / "docs/design.md").read_text()
    )
    assert sorted(shown) == sorted(drawings())
    assert {each.name for each in PICTURES.glob("[ws]*-*.svg")} == set(drawings())


def test_ways_name_files_that_exist() -> None:
    """Five ways, each through several rooms."""
    found = [*ways()]
    assert len(found) == 5
    for _, title, files in found:
        assert len(files) >= 3, title
        for _, file in files:
            assert (ROOT / "aiobc9x" / file).is_file(), file


def words(name: str) -> set[str]:
    """The texts of a picture."""
    root = ET.fromstring(drawings()[name])
    return {each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")}


def arrows(name: str) -> int:
    """How many arrows a picture has."""
    return drawings()[name].count("marker-end")


def test_every_state_and_step_is_drawn() -> None:
    """A state or a step that is added to a table comes into its picture."""
    assert {state.value for state in slots.SlotState} <= words("states-socket.svg")
    assert arrows("states-socket.svg") == sum(map(len, slots.TRANSITIONS.values()))
    told = ", ".join(words("states-send.svg"))
    assert {state.value for state in sending.SendState} <= words("states-send.svg")
    assert all(step.value in told for step in sending.SendStep)
    assert {state.value for state in ModemState} <= words("states-modem.svg")


async def test_a_modem_takes_no_other_steps() -> None:
    """Through a restart, a lost port, and its end."""
    seen = []
    with VirtualClock():
        async with VirtualModem(network=MemoryNetwork()) as virtual:
            modem = await aiobc9x.open_modem(virtual.create)

            async def watch() -> None:
                while True:
                    seen.append(modem.state)
                    await asyncio.sleep(0.01)

            watching = asyncio.create_task(watch())
            await modem.available(60)
            await asyncio.sleep(1)
            virtual.add_fault("reset;on=AT+CSQ")
            with pytest.raises(aiobc9x.ModuleReset):
                await modem.signal()
            await modem.available(120)
            await asyncio.sleep(1)
            virtual.unplug()
            await asyncio.sleep(60)
            virtual.plug_in()
            await modem.available(120)
            await asyncio.sleep(1)
            await modem.aclose()
            watching.cancel()
            seen.append(modem.state)
    steps = {(a, b) for a, b in pairwise(seen) if a is not b}
    allowed = {(start, end) for (start, _), end in MODEM.items()}
    assert steps <= allowed
    up, recovering, away = ModemState.UP, ModemState.RECOVERING, ModemState.AWAY
    assert {(up, recovering), (recovering, up), (up, away), (away, up)} <= steps
    assert seen[-1] is ModemState.CLOSED


def test_the_paper_is_light_or_dark() -> None:
    """A picture brings both, because a page is read in both."""
    for picture in drawings().values():
        assert "prefers-color-scheme: dark" in picture
        assert 'class="paper"' in picture
