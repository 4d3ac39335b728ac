"""What holds for every example."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

from tests.examples.running import EXAMPLES, example

MOST_LINES: Final = 135
"""An example is read whole."""

WAITS: Final = {"proxy_pool"}
"""It is there before its devices are, and says which ones it opens."""

ARGUMENTS: Final = {"download": ["http://web.example/x"], "https_post": ["https://web.example/x"]}


def test_there_are_six() -> None:
    """The parameters below are not empty."""
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
class TestEach:
    """Each of them."""

    def test_is_short_and_says_how_to_try_it(self, path: Path) -> None:
        """Its docstring names what to install and a way without hardware."""
        text = path.read_text("utf-8")
        said = ast.get_docstring(ast.parse(text)) or ""
        assert text.count("\n") <= MOST_LINES
        assert "Try it without a module" in said
        assert f"python examples/{path.name} --port 'sim://" in said
        assert "pip install" in said or "import aiobc9x\n" in text

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
