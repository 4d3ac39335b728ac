"""Make Sphinx's sources of the pages as they lie in the repository.

The pages stay plain Markdown, which a code host shows as it is. Three things are added here that
only a site needs: the tree of pages, made of the lists of links in ``README.md``; the pages of
the reference, made of docs/api.md; and a page for each program in examples/.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from docs.website import names

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"

_AT_THE_TOP: Final = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
}
"""Pages beside docs/, and where they are on the site. It has its own first page: docs/README.md."""

FIRST: Final = PurePosixPath("docs/README.md")

_FENCE: Final = re.compile(r"^(`{3,})[^\n]*\n.*?^\1`*$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
_ITEM: Final = re.compile(
    r"^(?:- |\| )\[([^\]]+)\]\(([^)#\s]+\.md)\)[: |]*(.*(?:\n  .*)*)", re.MULTILINE
)
_HEADING: Final = re.compile(r"^## (.+)$", re.MULTILINE)


class Astray(Exception):
    """A page links to a file that doesn't exist."""


class Item(NamedTuple):
    """A line of a list of pages."""

    section: str
    title: str
    page: str
    """Where it is on the site, without its suffix."""
    words: str


def place(path: PurePosixPath) -> PurePosixPath | None:
    """Say where a file of the repository is on the site, or None if it isn't there."""
    if str(path) in _AT_THE_TOP:
        return PurePosixPath(_AT_THE_TOP[str(path)])
    if path.parts[0] == "examples" and path.suffix == ".py":
        return path.with_suffix(".md")
    if path.parts[0] != "docs" or path.suffix not in {".md", ".svg", ".png"}:
        return None
    inside = path.relative_to("docs")
    return inside.with_name("index.md") if inside.name == "README.md" else inside


def sources() -> Iterator[PurePosixPath]:
    """Give the pages of the repository that are on the site."""
    yield PurePosixPath("CONTRIBUTING.md")
    yield PurePosixPath("CHANGELOG.md")
    for path in [*sorted(DOCS.rglob("*.md")), *sorted((ROOT / "examples").glob("*.py"))]:
        yield PurePosixPath(path.relative_to(ROOT).as_posix())


def text(page: PurePosixPath) -> str:
    """Read a page, or make one of a program: its first sentence is the title."""
    whole = (ROOT / page).read_text("utf-8")
    if page.suffix != ".py":
        return whole
    told = ast.get_docstring(ast.parse(whole)) or page.name
    title = told.partition("\n")[0].rstrip(".:")
    return f"# {title}\n\n`{page}`\n\n```python\n{whole}```\n"


def outside_fences(whole: str, change: Callable[[str], str]) -> str:
    """Change a page's text, and leave its code as it is."""
    done, begin = [], 0
    for fence in _FENCE.finditer(whole):
        done += [change(whole[begin : fence.start()]), fence[0]]
        begin = fence.end()
    return "".join([*done, change(whole[begin:])])


def relinked(page: PurePosixPath, whole: str) -> str:
    """Have a page's links lead to where their files are on the site."""
    home = place(page)
    assert home is not None

    def follow(match: re.Match[str]) -> str:
        target, mark, anchor = match[2].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        path = PurePosixPath(os.path.normpath(page.parent / target))
        if not (ROOT / path).is_file():
            raise Astray(f"{page} links to {target}, which doesn't exist")
        if (there := place(path)) is None:
            return match[1]  # a file of code, which a code host shows and the site doesn't
        return f"[{match[1]}]({os.path.relpath(there, home.parent)}{mark}{anchor})"

    return outside_fences(whole, lambda part: _LINK.sub(follow, part))


def items(page: PurePosixPath, whole: str) -> list[Item]:
    """Read the pages that a page lists, by lines or rows, with the section that each stands in."""
    home = place(page)
    assert home is not None
    found = []
    heads = [(match.start(), match[1]) for match in _HEADING.finditer(whole)]
    for match in _ITEM.finditer(whole):
        section = next((name for at, name in reversed(heads) if at < match.start()), "")
        path = PurePosixPath(os.path.normpath(home.parent / match[2])).with_suffix("")
        found.append(Item(section, match[1], str(path), " ".join(match[3].rstrip("| ").split())))
    return found


def _tree(caption: str, listed: list[Item]) -> str:
    head = f":caption: {caption}\n" if caption else ""
    lines = "".join(f"{item.title} </{item.page}>\n" for item in listed)
    return f"\n```{{toctree}}\n:hidden:\n{head}\n{lines}```\n"


def _trees(listed: list[Item], elsewhere: set[str]) -> str:
    """Make the tree of each section of a list, without the pages that a list below it has."""
    sections: dict[str, list[Item]] = {}
    for item in listed:
        if item.page not in elsewhere:
            sections.setdefault(item.section, []).append(item)
    return "".join(_tree(section, found) for section, found in sections.items())


def stage(target: Path) -> None:
    """Write Sphinx's sources.

    Args:
        target: An empty folder.

    Raises:
        Astray: A page links to a file that doesn't exist.

    """
    for picture in (DOCS / "pictures").iterdir():
        (target / "pictures").mkdir(exist_ok=True)
        shutil.copy(picture, target / "pictures")
    pages = {page: relinked(page, text(page)) for page in sources()}
    lists = {page: items(page, whole) for page, whole in pages.items() if page.name == "README.md"}
    for page, whole in pages.items():
        tree = ""
        if page == FIRST:
            below = [item.page for other in lists if other != FIRST for item in lists[other]]
            tree = _trees(lists[page], {*below})
        elif page in lists:
            tree = _tree("", lists[page])
        elif page == PurePosixPath("docs/api.md"):
            tree = _tree(
                "", [Item("", title, f"api/{names.slug(title)}", "") for title in names.rows()]
            )
        _write(target, place(page), whole + tree)
    for path, whole in names.pages():
        _write(target, path, whole)


def _write(target: Path, path: PurePosixPath | None, whole: str) -> None:
    assert path is not None
    file = target / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(whole, "utf-8")
