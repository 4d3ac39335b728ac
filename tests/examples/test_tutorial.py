"""docs/tutorial.md: each step is run as printed, and what it shows is what comes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiomqtt
import pytest

from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.options import Host, SimOptions
from aiobc9x.sim.peers import reserved_port
from tests.clients.conftest import Site
from tests.clients.programs import Program
from tests.clients.servers import LOOPBACK, Certificates, mosquitto
from tests.examples.running import FOLDER, example, interrupt
from tests.support.pages import ROOT, TUTORIAL, Block, blocks

TEXT: Final = TUTORIAL.read_text("utf-8")
GATEWAY: Final = (FOLDER / "mqtt_gateway.py").read_text("utf-8")
SELDOM: Final = ("--measure", "5", "--post", "5")
"""So that a broker ends between two messages: a confirmation that is cut off is waited for 40 s."""

ADDRESS: Final = f"sim://?host=broker.example:{LOOPBACK}"


def step(number: int) -> list[Block]:
    """The blocks of a step, in order."""
    first = TEXT[: TEXT.index(f"\n## {number}. ")].count("\n")
    end = TEXT.find("\n## ", TEXT.index(f"\n## {number}. ") + 1)
    return [each for each in blocks([TUTORIAL]) if first < each.line <= TEXT[:end].count("\n")]


def of(number: int, language: str) -> list[str]:
    """The texts of a step's blocks in one language."""
    return [each.text for each in step(number) if each.language == language]


@asynccontextmanager
async def running(
    text: str, *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """Run a program of the page."""
    program = folder / "gateway.py"
    program.write_text(text, "utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", str(program), *arguments),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def port(tmp_path: Path, certificates: Certificates) -> AsyncIterator[int]:
    """The port of a broker without TLS."""
    async with mosquitto(tmp_path, certificates) as (port, _):
        yield port


async def test_step_1(port: int, tmp_path: Path) -> None:
    """The broker gets the message, and the program prints what the page shows."""
    (program,), (shown,) = of(1, "python"), of(1, "text")
    assert f'"{ADDRESS}"' in program
    program = program.replace(ADDRESS, f"{ADDRESS}&remote_port=1883:{port}")
    async with aiomqtt.Client(LOOPBACK, port) as client:
        await client.subscribe("meters/#", qos=1)
        async with running(program, folder=tmp_path) as step_1:
            assert await step_1.end() == shown
        message = await anext(aiter(client.messages))
    assert f"`{message.topic} 21.5`" in TEXT
    assert message.payload == b"21.5"


async def test_step_2(port: int, tmp_path: Path) -> None:
    """A SIM that wants its PIN gets it from the environment; the signal is as shown."""
    (program,), (shown,) = of(2, "python"), of(2, "text")
    assert f"`--port '{ADDRESS}&pin=1234'`" in TEXT
    address = f"{ADDRESS}&pin=1234&remote_port=1883:{port}"
    arguments = ("--port", address, "--apn", "iot.example")
    async with running(
        program, *arguments, folder=tmp_path, environment={"AIOBC9X_PIN": "1234"}
    ) as step_2:
        assert await step_2.end() == shown


@pytest.mark.usefixtures("broker", "trusting")
@pytest.mark.parametrize("more", [[], ["--plain", "--mqtt-port", "1883"]], ids=["tls", "plain"])
async def test_step_3(site: Site, tmp_path: Path, more: list[str]) -> None:
    """It posts over one connection, with TLS and without, until Ctrl-C, which closes its socket."""
    (program,) = of(3, "python")
    arguments = ("--port", site.device, "--post", "0.1", *more)
    async with running(program, *arguments, folder=tmp_path) as step_3:
        for _ in range(3):
            await step_3.line("posted {'time': ")
        step_3.process.send_signal(signal.SIGINT)
        said = await step_3.end()
        assert step_3.process.returncode == -signal.SIGINT, said
    assert site.virtual.statistics.opens == 1
    assert site.virtual.module.sockets.by_id == {}


def test_the_whole_program_is_the_example() -> None:
    """The end of the page has the file, and the steps before have pieces of it."""
    *_, whole = [each for each in blocks([TUTORIAL]) if each.language == "python"]
    assert whole.text == GATEWAY
    assert len(of(4, "python")) == 2
    for piece in "\n\n\n".join(of(4, "python")).split("\n\n\n"):
        assert piece in GATEWAY
    client = of(3, "python")[0].partition("def client")[2].partition("async def main")[0]
    assert client.strip()
    assert client.strip() in GATEWAY


async def test_step_4(tmp_path: Path, certificates: Certificates) -> None:
    """What the gateway says of an outage of the broker, and of the module, is as shown."""
    (shown,) = of(4, "text")
    lines = shown.splitlines()
    ports: dict[int, int] = {}
    options = SimOptions(hosts={"broker.example": Host((LOOPBACK,))}, remote_ports=ports)
    with reserved_port() as line:
        arguments = ("--port", f"socket://{LOOPBACK}:{line}", "--plain", "--mqtt-port", "1883")
        async with contextlib.AsyncExitStack() as stack:
            virtual = VirtualModule(options)
            await virtual.start_tcp(LOOPBACK, line)
            broker = contextlib.AsyncExitStack()
            ports[1883], _ = await broker.enter_async_context(mosquitto(tmp_path, certificates))
            gateway = await stack.enter_async_context(
                example("mqtt_gateway", *arguments, *SELDOM, folder=tmp_path)
            )
            await gateway.line("getting an address")
            await gateway.line("posted")  # which it says when the broker has confirmed it
            await broker.aclose()
            for text in lines[:3]:
                await gateway.line(text)
            async with mosquitto(tmp_path, certificates) as (ports[1883], _):
                await gateway.line("posted")
                await virtual.aclose()
                for text in lines[3:5]:
                    await gateway.line(text.replace(":7000", f":{line}"))
                async with VirtualModule(options) as again:
                    await again.start_tcp(LOOPBACK, line)
                    for text in lines[5:]:
                        await gateway.line(text)
                    await interrupt(gateway)


def test_step_6(tmp_path: Path) -> None:
    """The test passes with the settings of the page, and without a warning."""
    (text,), (settings, _) = of(6, "python"), of(6, "ini")
    (tmp_path / "pytest.ini").write_text(settings, "utf-8")
    (tmp_path / "mqtt_gateway.py").write_text(GATEWAY, "utf-8")
    (tmp_path / "test_gateway.py").write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_the_unit_file_starts_it() -> None:
    """By options that the program has, in variables that it reads."""
    _, unit = of(6, "ini")
    (line,) = re.findall("^ExecStart=(.*)$", unit, re.MULTILINE)
    words = shlex.split(line)
    assert words[1].endswith("/mqtt_gateway.py")
    for option in words[2::2]:
        assert f'"{option}"' in GATEWAY
    for name in ("AIOBC9X_PIN", "MQTT_USER", "MQTT_PASSWORD"):
        assert f"`{name}=`" in TEXT
        assert f'"{name}"' in GATEWAY
