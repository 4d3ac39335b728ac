"""The site has every page and every public name, and asks nobody for anything."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Final

import pytest

import aiobc9x
from tests.support.browser import Browser, needs_browser
from tests.support.pages import ROOT

# The first of them builds the site, which takes two free processors ten seconds.
pytestmark = pytest.mark.timeout(300)

LOOKED_AT: Final = [
    "index.html",
    "start/real-module.html",
    "reference.html",
    "design.html",
    "api/modem.html",
]


def listed(site: Path) -> dict[str, str]:
    """The names that the site has, and where: Sphinx's inventory."""
    data = (site / "objects.inv").read_bytes()
    head = data.index(b"zlib.\n") + len(b"zlib.\n")
    lines = zlib.decompress(data[head:]).decode().splitlines()
    return {line.split(" ")[0]: line.split(" ")[3] for line in lines if " py:" in line}


def test_every_public_name_has_its_place(site: Path) -> None:
    """What ``aiobc9x`` exports is in the reference, with its docstring."""
    found = listed(site)
    homes = {name: getattr(aiobc9x, name) for name in aiobc9x.__all__ if name != "__version__"}
    missing = {
        name
        for name, value in homes.items()
        if f"aiobc9x.{name}" not in found and f"{value.__module__}.{name}" not in found
    }
    assert missing == set()


def test_every_method_of_a_modem_has_its_place(site: Path) -> None:
    """Each with its signature."""
    found = listed(site)
    public = {name for name in vars(aiobc9x.Modem) if not name.startswith("_")}
    assert {f"aiobc9x.Modem.{name}" for name in public} <= found.keys()


def test_submodules_have_their_place(site: Path) -> None:
    """All of what they offer."""
    found = listed(site)
    for module in ("trace", "adapters.anyio", "adapters.httpcore", "adapters.httpx"):
        names = __import__(f"aiobc9x.{module}", fromlist=["*"]).__all__
        assert {f"aiobc9x.{module}.{name}" for name in names} <= found.keys(), module
    for fixture in ("modem", "modem_clock", "modem_peer", "modem_budget", "virtual_modem"):
        assert f"aiobc9x.pytest_plugin.{fixture}" in found


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    """No address of another machine stands where a browser fetches by itself."""
    fetching = re.compile(
        r"<(?:script|img|iframe|source|object)\b[^>]*?\b(?:src|data)=\"((?:https?:)?//[^\"]+)\""
        r"|<link\b(?![^>]*rel=\"(?:canonical|next|prev)\")[^>]*\bhref=\"((?:https?:)?//[^\"]+)\""
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    for page in pages:
        assert fetching.findall(page.read_text("utf-8")) == [], page
    for sheet in site.rglob("*.css"):
        assert (
            re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheet.read_text("utf-8")) == []
        )


def test_every_page_is_there_as_markdown(site: Path) -> None:
    """Beside each page for people lies the same for programs, and llms.txt names all of them."""
    names = re.findall(r"^- \[[^\]]+\]\(([^)]+)\)", (site / "llms.txt").read_text("utf-8"), re.M)
    own = {path.relative_to(site).as_posix() for path in site.rglob("*.md")}
    assert set(names) | {"index.md"} == own
    whole = (site / "llms-full.txt").read_text("utf-8")
    for name in names:
        assert (site / name).with_suffix(".html").is_file(), name
        assert (site / name).read_text("utf-8").rstrip() in whole, name


@needs_browser
@pytest.mark.parametrize("columns", [390, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_fit_and_are_whole(site: Path, browser: Browser, *, dark: bool, columns: int) -> None:
    """In a real browser: nothing is too wide, missing, wrong, or fetched from elsewhere."""
    for name in LOOKED_AT:
        look = browser.look(site / name, columns=columns, dark=dark)
        assert look.width <= look.room, name
        assert (look.missing, look.complaints, look.requests) == ([], [], []), name
        is_dark = (
            browser.run("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        )
        assert is_dark == dark, name


def test_the_makefile_builds_it() -> None:
    """``make docs`` and the tests build the same."""
    assert "-m docs.website build/site" in (ROOT / "Makefile").read_text("utf-8")
