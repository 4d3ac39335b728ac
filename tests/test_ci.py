"""The workflows, .ci/run, the hooks and the Makefile say the same; read as text, without YAML."""

import re
import tomllib
from typing import Final

from tests.support.pages import ROOT

WORKFLOWS: Final = {
    path.name: path.read_text("utf-8") for path in (ROOT / ".github/workflows").glob("*.yml")
}
RUN: Final = (ROOT / ".ci/run").read_text("utf-8")
MAKEFILE: Final = (ROOT / "Makefile").read_text("utf-8")
HOOKS: Final = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

MAKE: Final = re.compile(r"\bmake (?:--[\w-]+ )*((?:[a-z][a-z-]*(?: |$))+)", re.MULTILINE)


def targets(text: str) -> set[str]:
    """The targets that a script gives to make."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return {name for match in MAKE.finditer("\n".join(lines)) for name in match[1].split()}


def test_targets_exist() -> None:
    """Workflows and .ci/run call nothing that the Makefile lacks."""
    there = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
    for text in (*WORKFLOWS.values(), RUN):
        assert targets(text) <= there


def test_the_workflow_does_what_one_machine_does() -> None:
    """Each target of .ci/run is a job of its own on a hosted machine."""
    assert {"check", "check-sniffio", "check-lowest"} == targets(RUN) - {"make"}
    assert targets(RUN) <= targets(WORKFLOWS["check.yml"])


def test_the_site_is_built() -> None:
    """On one machine as a part of ``make check``, on hosted ones as a job of its own as well."""
    (inside,) = re.findall(
        r"^check: .*\n(?:\t.*\n)*?\t@\$\(MAKE\) \S+ (.+)$", MAKEFILE, re.MULTILINE
    )
    assert "docs" in inside.split()
    assert "docs" in targets(WORKFLOWS["check.yml"])


def test_the_same_servers_are_installed() -> None:
    """A server that one of them lacks would fail its tests there, as CI is set."""
    wanted = re.findall(r"^need 'command -v [^']*' (?:\\\n\s*)?([\w-]+)$", RUN, re.MULTILINE)
    installed = re.findall(r"apt-get install -qq -y (.+)$", WORKFLOWS["check.yml"], re.MULTILINE)
    assert wanted
    assert {frozenset(line.split()) for line in installed} == {frozenset(wanted)}


def test_every_python_is_tested_and_built() -> None:
    """The versions of pyproject.toml are those of both matrices."""
    classifiers = PROJECT["project"]["classifiers"]
    found = [re.fullmatch(r".* :: (3\.\d+)", each) for each in classifiers]
    versions = [match[1] for match in found if match]
    for name in ("check.yml", "wheels.yml"):
        listed = re.findall(r"python: \[(.+)\]", WORKFLOWS[name])
        assert ", ".join(f'"{version}"' for version in versions) in listed


def test_paths_of_tests_exist() -> None:
    """What a workflow names of the tests is there."""
    for text in WORKFLOWS.values():
        for path in re.findall(r"\btests/[\w./]+", "\n".join(_code(text))):
            assert (ROOT / path).exists(), path


def _code(text: str) -> list[str]:
    return [line.partition("#")[0] for line in text.splitlines()]


def test_what_is_installed_exists() -> None:
    """Groups and extras that they name are in pyproject.toml; pip only warns of others."""
    names = dict(re.findall(r"^(EXTRAS) := (.+)$", MAKEFILE, re.MULTILINE))
    for text in (*WORKFLOWS.values(), RUN, MAKEFILE.replace("$(EXTRAS)", names["EXTRAS"])):
        code = "\n".join(_code(text))
        assert set(re.findall(r"--group (\S+)", code)) <= PROJECT["dependency-groups"].keys()
        extras = {each for some in re.findall(r"'\.\[(.+?)\]'", code) for each in some.split(",")}
        assert extras <= PROJECT["project"]["optional-dependencies"].keys()


def test_hooks_need_no_other_repository() -> None:
    """They run what is installed, in the versions that make check has."""
    assert re.findall(r"- repo: (\S+)", HOOKS) == ["local"]
    assert re.findall(r"entry: \.venv/bin/python -m (\w+)", HOOKS) == [
        "ruff",
        "ruff",
        "mypy",
        "codespell_lib",
    ]
