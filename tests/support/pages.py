"""The fenced blocks of the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]

CLIENT_PAGES: Final = sorted((ROOT / "docs/clients").glob("*.md"))
"""Their programs want real servers; tests/clients runs them."""

TUTORIAL: Final = ROOT / "docs/tutorial.md"
"""Its programs want a broker; tests/examples runs them."""

DECISION_PAGES: Final = sorted((ROOT / "docs/decisions").glob("*.md"))
"""Why it is built as it is, one page each, and their index."""

PAGES: Final = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]

DEVICE: Final = '"/dev/ttyUSB0"'
"""What programs open; a test puts the virtual module in its place."""

SIMULATED: Final = '"sim://?host=example.com:127.0.0.1&remote_port=80:8000"'
"""What a program opens that runs without a module; a test puts its own server's port in it."""

WAIT: Final = "15 * 60"
"""How long programs sleep between two readings; a test puts some seconds in its place."""


class Block(NamedTuple):
    """One fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_program(self) -> bool:
        """Whether it is complete."""
        return self.language == "python" and "async def main(" in self.text


def blocks(pages: list[Path]) -> list[Block]:
    """All fenced blocks of some pages."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    found = []
    for page in pages:
        text = page.read_text("utf-8")
        for match in fence.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(str(page.relative_to(ROOT)), line, match[1], match[2]))
    return found
