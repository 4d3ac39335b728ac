"""What holds for every example."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from tests.examples.running import EXAMPLES, example

MOST_LINES: Final = 145
"""An example is read whole."""

WAITS: Final = {"proxy_pool"}
"""It is there before its devices are, and says which ones it opens."""

SIGNS: Final = {
    "coap_telemetry": "the network grants",
    "download": "interrupted at 0 bytes",
    "https_post": "trying again in 5 s",
    "modbus_server": "listening at",
    "mqtt_gateway": "getting an address",
    "proxy_pool": "SOCKS5 and HTTP at",
}
"""What each says when its module is in use, though nobody is there whom it could reach."""


NOBODY: Final = {
    "502:5020": "502:0",
    "8080:web.example": "0:web.example",
    "web.example:8000/": "web.example:1/",
    "1883": "1",
    "system_dns=1&outside=1": "seed=1",
}
"""Ports and a network that may be in use on this machine, and what a test takes for them."""


def alone(words: list[str]) -> list[str]:
    """Have a program listen where it is in nobody's way, and reach nobody."""
    for theirs, ours in NOBODY.items():
        words = [word.replace(theirs, ours) for word in words]
    return [*words, "--listen", "0"] if "--forward" in words else words


ARGUMENTS: Final = {"download": ["http://web.example/x"], "https_post": ["https://web.example/x"]}


def docstring(path: Path) -> str:
    """What an example says of itself."""
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""


def test_there_are_six() -> None:
    """The parameters below are not empty."""
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
class TestEach:
    """Each of them."""

    def test_is_short_and_says_how_to_try_it(self, path: Path) -> None:
        """Its docstring names what to install and a way without hardware."""
        text, said = path.read_text("utf-8"), docstring(path)
        assert text.count("\n") <= MOST_LINES
        assert "Try it without a module" in said
        assert f"python examples/{path.name} --port 'sim://" in said
        assert "pip install" in said or "import aiobc9x\n" in text

    async def test_can_be_tried_as_it_says(self, path: Path, tmp_path: Path) -> None:
        """The command of its docstring is understood, and opens the virtual modules in it."""
        (line,) = re.findall(rf"python examples/{path.name} .*", docstring(path))
        async with example(path.stem, *alone(shlex.split(line)[2:]), folder=tmp_path) as it:
            await it.line(SIGNS[path.stem])

    async def test_explains_itself(self, path: Path, tmp_path: Path) -> None:
        """``--help`` has every option; without a port it says what is missing."""
        async with example(path.stem, "--help", folder=tmp_path) as program:
            said = await program.end()
            assert program.process.returncode == 0
            assert "--port" in said
        async with example(path.stem, *ARGUMENTS.get(path.stem, []), folder=tmp_path) as program:
            said = await program.end()
            assert program.process.returncode == 2
            assert "required: --port" in said

    async def test_without_the_module(self, path: Path, tmp_path: Path) -> None:
        """A device that is not there is named, in one line."""
        arguments = ["--port", "/dev/does-not-exist", *ARGUMENTS.get(path.stem, [])]
        async with example(path.stem, *arguments, folder=tmp_path) as program:
            if path.stem in WAITS:
                await program.line("opening /dev/does-not-exist")
                return
            said = await program.end()
            assert program.process.returncode == 1, said
            assert "/dev/does-not-exist" in said
            assert said.count("\n") == 1, said
