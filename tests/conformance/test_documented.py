"""Every difference is documented, and every documented one is shown."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conformance.differences import DIFFERENCES

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
HEADING = "### What differs from asyncio's own transports"


def test_docs_list_the_differences() -> None:
    """docs/reference.md has a row for each topic, and no other."""
    section = REFERENCE.read_text("utf-8").partition(HEADING)[2].partition("\n### ")[0]
    topics = re.findall(r"(?m)^\| ([^|]+) \|", section)[2:]
    assert sorted(topics) == sorted({difference.topic for difference in DIFFERENCES.values()})
