"""Write the pages as plain Markdown beside the site, and ``llms.txt``, which lists them.

``llms.txt`` is for programs that read documentation: a title, a summary, the pages by section.
``llms-full.txt`` is all of them in one file. Both are made of the same pages as the site.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from docs.website import staging


def _summary(text: str) -> str:
    """Give the first paragraph behind the title."""
    return " ".join(text.split("\n\n")[1].split())


def write(target: Path) -> None:
    """Write all of it.

    Args:
        target: The folder of the site.

    """
    texts = {page: staging.relinked(page, staging.text(page)) for page in staging.sources()}
    places = {str(staging.place(page)): text for page, text in texts.items()}
    for place, text in places.items():
        file = target / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    first = texts[staging.FIRST]
    lines = [f"# {first.partition(chr(10))[0].removeprefix('# ')}", "", f"> {_summary(first)}"]
    section = None
    for item in listed(texts):
        if item.section != section:
            section = item.section
            lines += ["", f"## {section}", ""]
        words = f": {item.words}" if item.words else ""
        lines.append(f"- [{item.title}]({item.page}.md){words}")
    (target / "llms.txt").write_text("\n".join([*lines, ""]), "utf-8")
    order = dict.fromkeys(["index.md", *(f"{item.page}.md" for item in listed(texts))])
    whole = "\n\n".join(places[place].rstrip() for place in order) + "\n"
    (target / "llms-full.txt").write_text(whole, "utf-8")


def listed(texts: dict[PurePosixPath, str]) -> list[staging.Item]:
    """Give each page once, as the lists have them; a list that is listed brings its own."""
    found: dict[str, staging.Item] = {}

    def follow(page: PurePosixPath, section: str) -> None:
        for item in staging.items(page, texts[page]):
            here = section or item.section
            found.setdefault(item.page, item._replace(section=here))
            below = PurePosixPath("docs") / PurePosixPath(item.page).parent / "README.md"
            if PurePosixPath(item.page).name == "index" and below != page:
                follow(below, here)

    follow(staging.FIRST, "")
    return list(found.values())
