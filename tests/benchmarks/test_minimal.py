"""The minimal driver does what it is compared for."""

import pytest

from benchmarks.minimal import MinimalDriver
from benchmarks.script import PAYLOADS, Script
from tests.support.scripted import ScriptedDevice
from tests.support.words import ERROR

BINARY = bytes(range(256))


@pytest.mark.parametrize("pushes", [False, True])
async def test_it_receives_whole_payloads(pushes: bool) -> None:
    """Pushed, or announced and read."""
    script, driver = Script(), MinimalDriver(pushes=pushes)
    script.connect_memory(driver)
    for payload in (BINARY, b"\r\nOK\r\n"):
        (script.push if pushes else script.offer)(payload)
        assert [await driver.receive() for _ in range(PAYLOADS)] == [payload] * PAYLOADS


async def test_it_sends_and_asks() -> None:
    """Each waits for its own end."""
    script, driver = Script(), MinimalDriver()
    script.connect_memory(driver)
    assert await driver.ask(b"AT\r") == b"OK"
    await driver.send_text(b"text")
    await driver.send_bytes(BINARY)
    assert await driver.ask(b"AT\r") == b"OK"


async def test_a_refusal_raises() -> None:
    """Whatever was awaited."""
    device, driver = ScriptedDevice(lambda device, _: device.say(ERROR)), MinimalDriver()
    device.connect_memory(driver)
    with pytest.raises(OSError, match="ERROR"):
        await driver.ask(b"AT\r")
