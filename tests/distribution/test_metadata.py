"""What a package index and pip read of the package."""

import re
import subprocess
import sys
from email import message_from_string
from email.message import Message
from pathlib import Path
from typing import Final

import pytest

from tests.distribution.building import build, project

HARD: Final = {"anyio", "pyserial", "pyserial-asyncio"}
"""All that ``pip install aiobc9x`` brings."""

EXTRAS: Final = {"cli", "http", "metrics", "plot", "serialx"}
"""What users may ask for besides; what developers need are dependency groups."""

_TARGET: Final = re.compile(
    r"\]\(\s*([^)\s]+)|^ {0,3}\[[^\]]+\]:\s*(\S+)|(?:href|src|srcset)\s*=\s*[\"']([^\"']+)",
    re.MULTILINE,
)
_CODE: Final = re.compile(r"^(```+).*?^\1|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def metadata_of(folder: Path) -> Message:
    """Read what setuptools writes for a project's wheel."""
    out = folder / "metadata"
    out.mkdir()
    return message_from_string((build(folder, "metadata", out) / "METADATA").read_text("utf-8"))


def description(metadata: Message) -> str:
    """What an index shows on the package's page."""
    text = metadata.get_payload()
    assert isinstance(text, str)
    return text.strip()


def relative_targets(text: str) -> list[str]:
    """Targets of links and pictures that an index can't show: it has no files beside the text."""
    found = ["".join(groups) for groups in _TARGET.findall(_CODE.sub("", text))]
    return [target for target in found if not target.startswith(("https://", "http://", "mailto:"))]


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Message:
    """The package's own."""
    return metadata_of(project(tmp_path_factory.mktemp("project")))


def test_few_packages_are_needed(metadata: Message) -> None:
    """Each of the others belongs to an extra."""
    wanted = [each for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert {re.split(r"[<>=!~ ;\[]", each)[0] for each in wanted} == HARD


def test_extras_are_for_users(metadata: Message) -> None:
    """No extra is there for the tests or for work on the package."""
    assert set(metadata.get_all("Provides-Extra", [])) == EXTRAS


def test_who_and_what(metadata: Message) -> None:
    """Names, licence and classifiers are there, and no address that nobody answers at."""
    assert metadata["Author"] == "aiobc9x contributors"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["License-File"] == "LICENSE"
    assert "NB-IoT" in metadata["Keywords"].split(",")
    assert metadata["Description-Content-Type"] == "text/markdown"
    for absent in ("Author-email", "Maintainer-email", "Home-page", "Project-URL"):
        assert absent not in metadata
    heads = {each.partition(" :: ")[0] for each in metadata.get_all("Classifier", [])}
    assert heads >= {"Development Status", "Intended Audience", "Operating System", "Topic"}


def test_the_readme_shows_on_an_index(metadata: Message) -> None:
    """Its links have an address, or are none; setup.py takes Markdown's others out."""
    lost = relative_targets(description(metadata))
    assert not lost, f"README.md: {lost} would lead nowhere on a package index; see setup.py"


def test_links_into_the_repository_become_words(tmp_path: Path) -> None:
    """Pictures go; addresses and code stay."""
    folder = project(tmp_path)
    text = (
        "# Title\n\n![Curve](docs/a.svg)\n\nSee [how to](docs/howto.md#top) and [the top](#title), "
        "or [Python](https://www.python.org). `code[0](1)`\n"
    )
    (folder / "README.md").write_text(text, "utf-8")
    assert description(metadata_of(folder)) == (
        "# Title\n\nSee how to and the top, or [Python](https://www.python.org). `code[0](1)`"
    )


@pytest.mark.parametrize(
    "text",
    ["[a](docs/b.md)", "![a](b.svg)", "[a]: docs/b.md", '<img src="b.svg">', "[a](#b)"],
)
def test_the_check_sees_what_leads_nowhere(text: str) -> None:
    """In Markdown's three forms, and in HTML."""
    assert relative_targets(text)


def test_an_index_takes_them(sdist: Path, wheel: Path) -> None:
    """The index's own check finds nothing, not even to warn of."""
    command = [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
