"""Pages become Sphinx's sources: links are turned, lists become trees, code stays as it is."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

pytest.importorskip("sphinx")

from docs.website import llms, names, references, staging

PAGE = PurePosixPath("docs/howto/page.md")


@pytest.mark.parametrize(
    ("link", "turned"),
    [
        ("[a](tls.md)", "[a](tls.md)"),
        ("[a](README.md)", "[a](index.md)"),
        ("[a](../errors.md#the-tree)", "[a](../errors.md#the-tree)"),
        ("[a](../decisions/README.md)", "[a](../decisions/index.md)"),
        ("[a](../../CONTRIBUTING.md)", "[a](../contributing.md)"),
        ("[a](../../README.md)", "[a](../index.md)"),
        ("[a](../../examples/download.py)", "[a](../examples/download.md)"),
        ("[a](../../benchmarks/minimal.py)", "a"),
        ("[a](#here)", "[a](#here)"),
        ("[a](https://example.com/x.md)", "[a](https://example.com/x.md)"),
        ("![a](../pictures/line.svg)", "![a](../pictures/line.svg)"),
    ],
)
def test_a_link_leads_to_where_its_file_is(link: str, turned: str) -> None:
    """Also to pages beside docs/; a link to code is none on the site."""
    assert staging.relinked(PAGE, f"See {link}.") == f"See {turned}."


def test_a_link_to_nothing_ends_the_build() -> None:
    """The page and the link are named."""
    with pytest.raises(staging.Astray, match=r"page\.md links to nowhere\.md"):
        staging.relinked(PAGE, "[a](nowhere.md)")


def test_code_stays_as_it_is() -> None:
    """What looks like a link in a program is none."""
    text = "```python\nx = table[0](nowhere.md)\n```\n"
    assert staging.relinked(PAGE, text) == text


def test_lists_and_rows_are_read() -> None:
    """With the section that each item stands in, and its words, also over two lines."""
    text = (
        "## One\n\n- [A](a.md): first\n  of all\n- [B](b.md)\n\n## Two\n\n| [C](c.md) | words |\n"
    )
    assert staging.items(PurePosixPath("docs/howto/README.md"), text) == [
        staging.Item("One", "A", "howto/a", "first of all"),
        staging.Item("One", "B", "howto/b", ""),
        staging.Item("Two", "C", "howto/c", "words"),
    ]


def test_every_page_is_in_a_list() -> None:
    """A newcomer finds each from the first page; Sphinx says the same, minutes later."""
    texts = {page: staging.relinked(page, staging.text(page)) for page in staging.sources()}
    listed = {item.page for item in llms.listed(texts)}
    places = {str(staging.place(page)).removesuffix(".md") for page in texts}
    assert places - {"index"} == listed


def test_reasons_are_of_names_that_exist() -> None:
    """A name that has gone, or that the reference has by now, needs no reason."""
    for name in references.INTERNAL:
        assert names.find(name) is not None
        assert name not in names.documented()
