"""The pages of docs/clients/ are all run."""

from __future__ import annotations

import re
from pathlib import Path

from tests.clients.programs import all_programs


def test_every_program_is_run() -> None:
    """Each program of each page is named by a test of this folder."""
    named = {
        (page, heading)
        for file in Path(__file__).parent.glob("test_*.py")
        for page, heading in re.findall(
            r'\b(?:output|running)\(\s*"(\w+)", "([^"]+)"', file.read_text("utf-8")
        )
    }
    assert named == all_programs().keys()
