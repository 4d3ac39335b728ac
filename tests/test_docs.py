"""The pages do what they say: examples run, commands exist, links lead somewhere."""

import ast
import asyncio
import builtins
import errno
import inspect
import os
import re
import shlex
import socket
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, cast

import click
import pytest

import aiobc9x
from aiobc9x import errors
from aiobc9x.aio.queries.settings import COMMANDS
from aiobc9x.cli import main as cli
from aiobc9x.spec import ERR_TEXT, NTP_TEXT, PING_TEXT, ConfigKey
from aiobc9x.wire import urcs
from benchmarks import bench_soak
from benchmarks.harness import parser
from tests.fuzz import __main__ as fuzz
from tests.model.table import model_parser
from tests.reliability.table import reliability_parser
from tests.support.pages import (
    CLIENT_PAGES,
    DECISION_PAGES,
    DEVICE,
    PAGES,
    ROOT,
    SIMULATED,
    TUTORIAL,
    WAIT,
    Block,
    blocks,
)
from tests.support.realtime import PATIENCE_S

SHELLS: Final = {"sh", "shell", "bash", "console"}

PAGE: Final = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello from the loopback\n"


START_PAGES: Final = ["docs/start/without-a-module.md", "docs/start/real-module.md"]

NAMES: Final = {page: page.relative_to(ROOT).as_posix() for page in PAGES}

PYTHON: Final = [block for block in blocks(PAGES) if block.language == "python"]
FRAGMENTS: Final = [block for block in PYTHON if not block.is_program]
PROGRAMS: Final = [
    block
    for block in PYTHON
    if block.is_program and ROOT / block.page not in {*CLIENT_PAGES, TUTORIAL}
]


def commands() -> list[str]:
    """The command lines of all shell blocks, without prompts and comments."""
    lines = [
        line
        for block in blocks(PAGES)
        if block.language in SHELLS
        for line in block.text.splitlines()
    ]
    return [line.removeprefix("$ ") for line in lines if line.strip()]


class UdpEcho(asyncio.DatagramProtocol):
    """Send each datagram back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


@asynccontextmanager
async def echo_server() -> AsyncIterator[int]:
    """Send datagrams on loopback back; give the port."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(UdpEcho, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


@asynccontextmanager
async def web_server() -> AsyncIterator[int]:
    """Answer every request on loopback with one page; give the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PAGE)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
async def test_programs_run(block: Block, tmp_path: Path) -> None:
    """Each complete program runs as printed, the virtual module in the device's place."""
    imported = re.findall(r"^(?:import|from) (\w+)", block.text, re.MULTILINE)
    missing = [name for name in imported if find_spec(name) is None]
    if missing and "CI" not in os.environ:
        pytest.skip(f"not installed: {', '.join(missing)}")
    async with web_server() as http, echo_server() as echo:
        ports = f"remote_port=80:{http}&remote_port=7:{echo}"
        # Granted so, the module sleeps at once, without the two seconds of the least active time.
        address = f"sim://?host=example.com:127.0.0.1&granted_active=00000000&{ports}"
        await run_program(block, address, tmp_path)


async def run_program(block: Block, address: str, folder: Path) -> None:
    """Run a program as printed, with another address in the device's place, and a short wait."""
    program = folder / "program.py"
    text = block.text.replace(WAIT, "0.2")
    for printed in (DEVICE, SIMULATED):
        text = text.replace(printed, repr(address))
    program.write_text(text, "utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        str(program),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,  # where a program may leave its files
    )
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, output.decode()
    assert output, "the program printed nothing"
    assert b"Traceback" not in output


@pytest.mark.parametrize("page", ["README.md", *START_PAGES])
async def test_without_a_module(page: str, tmp_path: Path) -> None:
    """The address that a page gives for its program works as printed; only the port is ours."""
    block = next(block for block in PROGRAMS if block.page == page)
    text = (ROOT / page).read_text("utf-8")
    (address,) = re.findall(r"[`\"](sim://\?host=example\.com:[^`\"]*)[`\"]", text)
    assert "`python3 -m http.server 8000`" in text
    async with web_server() as port:
        assert address.endswith(":8000")
        await run_program(block, address.replace(":8000", f":{port}"), tmp_path)


@pytest.mark.parametrize("block", FRAGMENTS, ids=str)
def test_fragments_compile(block: Block) -> None:
    """What is no program by itself is good Python all the same."""
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_there_are_examples() -> None:
    """The collection above finds something."""
    assert {block.page for block in PROGRAMS} >= {"README.md", *START_PAGES}
    assert {"make demo", "make test"} <= {line.partition("#")[0].strip() for line in commands()}


@pytest.mark.parametrize("line", commands())
def test_commands_exist(line: str) -> None:
    """Targets, subcommands with their options, benchmarks and extras are there."""
    words = [word for word in shlex.split(line, comments=True) if "=" not in word or "/" in word]
    match words:
        case ["echo", _, "|", *rest] | [*rest, "|", "jq", _]:
            test_commands_exist(shlex.join(rest))
        case [*rest, "|", "wireshark", "-k", "-i", "-"]:
            test_commands_exist(shlex.join(rest))
        case ["make", *targets]:
            makefile = (ROOT / "Makefile").read_text("utf-8")
            for target in targets:
                assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)
        case [".venv/bin/python", "-m", "pytest", *arguments]:
            for path in [each for each in arguments if each.startswith("tests/")]:
                assert path in known_tests() or (ROOT / path).exists()
        case ["python", "-m", "aiobc9x", *arguments] | ["aiobc9x", *arguments]:
            understand(cli.commands, arguments)
        case ["python", "-m", "benchmarks", "soak", *options]:
            assert vars(bench_soak.parser(["asyncio"]).parse_args(options))
        case ["python", "-m", "benchmarks", name, *options] if not name.startswith("-"):
            assert (ROOT / "benchmarks" / f"bench_{name}.py").is_file()
            assert vars(parser(None, 1).parse_args(options))
        case ["python", "-m", "benchmarks", *options]:
            assert options in ([], ["--smoke"])
        case ["python", "-m", "tests.model", *options]:
            assert vars(model_parser().parse_args(options))
        case ["python", "-m", "tests.reliability", *options]:
            assert vars(reliability_parser().parse_args(options))
        case ["python", "-m", "tests.fuzz", *options]:
            assert vars(fuzz.parser().parse_args(options))
        case ["python", "-m", module, *_]:
            assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()
        case ["export", variable]:
            assert re.match(r"[A-Z0-9_]+=", variable)
        case ["pip", "install", *what]:
            extras = ",".join(re.findall(r"\[(.+?)\]", " ".join(what)))
            settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
            known = settings["project"]["optional-dependencies"].keys()
            assert set(filter(None, extras.split(","))) <= known
            groups = re.findall(r"--group (\S+)", " ".join(what))
            assert set(groups) <= settings["dependency-groups"].keys()
        case _:
            pytest.fail(f"no check for {line!r}")


def understand(command: click.Command, arguments: list[str]) -> None:
    """Have a command read its arguments, and not run; raise UsageError if it can't."""
    if isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        _, inner, others = command.resolve_command(click.Context(command), arguments)
        assert inner is not None
        understand(inner, others)
    else:
        command.make_context(command.name, arguments)


@pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links name files that exist."""
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).is_file(), target


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as sites make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
def test_anchors_are_headings(page: Path) -> None:
    """A link into a page names a heading of it."""
    for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", page.read_text("utf-8")):
        if "://" not in target:
            assert anchor in anchors(page.parent / target if target else page), f"{target}#{anchor}"


def rows(page: str) -> list[list[str]]:
    """The table rows of a page, as stripped cells."""
    return rows_of((ROOT / "docs" / page).read_text("utf-8").splitlines())


def section(page: str, title: str) -> list[list[str]]:
    """The table rows of one section, without the headline and its rule."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    body = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return rows_of(body.splitlines())[2:]


def rows_of(lines: list[str]) -> list[list[str]]:
    """The table rows among these lines, as stripped cells."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]


def quoted(cell: str) -> list[str]:
    """The names in backticks of a cell, without what follows in brackets."""
    return re.findall(r"`(\w+)[^`]*`", cell)


def test_the_reference_has_every_method() -> None:
    """The public names of Modem are those of its table."""
    documented = {name for row in section("reference.md", "Modem") for name in quoted(row[0])}
    public = {name for name in dir(aiobc9x.Modem) if not name.startswith("_")}
    assert documented == public


def test_the_reference_has_every_method_of_a_pool() -> None:
    """The public names of ModemPool are those of its table."""
    documented = {name for row in section("reference.md", "Many modems") for name in quoted(row[0])}
    public = {name for name in dir(aiobc9x.ModemPool) if not name.startswith("_")}
    assert documented == public


def test_the_reference_has_every_parameter() -> None:
    """The parameters of open_modem are those of its table, with their defaults."""
    parameters = dict(inspect.signature(aiobc9x.open_modem).parameters)
    del parameters["address"]
    documented = {}
    for row in section("reference.md", "Opening a modem"):
        defaults = row[1].replace("`", "").split(", ")
        for index, name in enumerate(quoted(row[0])):
            documented[name] = defaults[min(index, len(defaults) - 1)]
    switch = {False: "off", True: "on"}
    expected = {
        name: switch[p.default]
        if isinstance(p.default, bool)
        else str(p.default).removesuffix(".0")
        for name, p in parameters.items()
    }
    assert {name: value.strip('"') for name, value in documented.items()} == expected


def test_the_reference_has_every_counter() -> None:
    """The counters of Modem.statistics are those of its table."""
    documented = [quoted(row[0])[0] for row in section("reference.md", "Statistics")]
    assert documented == [field.name for field in fields(aiobc9x.Statistics)]


def test_the_reference_has_every_field() -> None:
    """Results, events and profile have the fields of their tables, and their properties."""
    for kind, _, text in section("reference.md", "Results"):
        result = getattr(aiobc9x, quoted(kind)[0])
        properties = {n for n, v in vars(result).items() if isinstance(v, property)}
        assert set(quoted(text)) == {field.name for field in fields(result)} | properties
    for kind, _, text in section("reference.md", "Events"):
        event = getattr(aiobc9x, quoted(kind)[0])
        assert quoted(text) == [field.name for field in fields(event)]
    profile = section("reference.md", "What is known of a module")
    assert [quoted(row[0])[0] for row in profile] == [f.name for f in fields(aiobc9x.ModuleProfile)]


def test_the_reference_has_every_urc() -> None:
    """The classes of events that the module sends are listed."""
    text = (ROOT / "docs/reference.md").read_text("utf-8")
    listed = text.partition("Subclasses of `Urc`")[2].partition(".\n\n")[0]
    known = {n for n, v in vars(urcs).items() if inspect.isclass(v) and issubclass(v, urcs.Urc)}
    assert set(re.findall(r"`([A-Z]\w+)`", listed)) == known - {"Urc"}


def test_every_public_name_is_documented() -> None:
    """What ``aiobc9x`` exports stands in the reference or among the errors."""
    text = "".join(
        (ROOT / "docs" / page).read_text("utf-8") for page in ("reference.md", "errors.md")
    )
    missing = {name for name in aiobc9x.__all__ if not re.search(rf"\b{name}\b", text)}
    assert missing == {"__version__"}


def test_names_of_the_package_exist() -> None:
    """What a page calls aiobc9x.something is public."""
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    named = set(re.findall(r"\baiobc9x\.([A-Za-z]\w+)", text))
    layers = {path.stem for path in (ROOT / "aiobc9x").iterdir()}
    assert {"open_modem", "ModemError"} <= named
    assert named <= {*aiobc9x.__all__, *layers}


def described(exc: errors.CommandError) -> str:
    """An exception class as docs/errors.md writes it."""
    builtin = next(c for c in type(exc).__mro__ if c.__module__ in {"builtins", "socket"})
    extra = "" if builtin is OSError else f" ({builtin.__name__})"
    return f"`{type(exc).__name__}`{extra}"


def test_every_err_code_is_in_the_table() -> None:
    """docs/errors.md states text, errno and classes as the package has them."""
    documented = {row[0]: row[1:] for row in rows("errors.md") if row[0].isdigit()}
    expected = {}
    for code, text in list(ERR_TEXT.items())[1:]:
        to_connect = errors.connect_error("AT+QIOPEN", code)
        to_command = errors.command_error("AT+QISEND", code)
        expected[f"{code:d}"] = [text, described(to_connect), described(to_command)]
        symbols = documented[f"{code:d}"].pop(1).split(", ")
        values = [getattr(errno, name, None) or getattr(socket, name) for name in symbols]
        assert [to_connect.errno, to_command.errno] == [values[0], values[-1]]
    assert documented == expected


@cache
def known_tests() -> set[str]:
    """The node IDs of all tests, without their parameters."""
    found = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        name = file.relative_to(ROOT).as_posix()
        for node in ast.parse(file.read_text("utf-8")).body:
            inside = node.body if isinstance(node, ast.ClassDef) else []
            prefix = f"{name}::{node.name}" if isinstance(node, ast.ClassDef) else name
            for each in inside or [node]:
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.add(f"{prefix}::{each.name}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
def test_tests_that_a_page_names_exist(page: Path) -> None:
    """A test is named by its node ID."""
    named = set(re.findall(r"\btests/[\w/]+\.py::[\w:]+", page.read_text("utf-8")))
    assert named <= known_tests()


def test_every_failure_mode_has_its_row_and_its_test() -> None:
    """Fifty of them, each with what the program sees and a test; the names are checked above."""
    text = (ROOT / "docs/reliability.md").read_text("utf-8")
    lines = text.partition("## What breaks in the field, row by row\n")[2].splitlines()
    found = [row for row in rows_of(lines) if row[0].isdigit()]
    assert [int(row[0]) for row in found] == list(range(1, 51))
    assert all(len(row) == 4 and all(row) for row in found)
    assert all(re.search(r"`tests/[\w/]+\.py::\w+", row[3]) for row in found)


# What a program calls that is no method of Modem.
NAMESPACES: Final = (
    aiobc9x.Modem,
    aiobc9x.SocketTransport,
    aiobc9x.Server,
    asyncio.StreamWriter,
    asyncio.Protocol,
    asyncio.DatagramProtocol,
)


# What takes the keywords of another call.
HANDED_ON: Final[dict[str, Callable[..., object]]] = {
    "open_connection": aiobc9x.Modem.create_connection,
    "start_server": aiobc9x.Modem.create_server,
}


def check_call(text: str) -> None:
    """Fail unless a call, written as ``name(keyword=)``, can be made."""
    name, _, arguments = text.partition("(")
    function = getattr(aiobc9x, name, None) or next(
        (getattr(space, name) for space in NAMESPACES if hasattr(space, name)), None
    )
    assert callable(function), text
    parameters = {*inspect.signature(function).parameters}
    if (further := HANDED_ON.get(name)) is not None:
        parameters |= {*inspect.signature(further).parameters}
    assert {*re.findall(r"(\w+)=", arguments)} <= parameters, text


def check_name(text: str) -> None:
    """Fail unless a class, or an attribute of one, exists."""
    name, _, attribute = text.partition(".")
    kind = getattr(aiobc9x, name, None) or getattr(errors, name, None) or getattr(builtins, name)
    if attribute:
        documented = f"{attribute}:" in (inspect.getdoc(kind) or "")
        assert documented or hasattr(kind, attribute), text


def coverage_rows() -> list[list[str]]:
    """The rows of docs/note-coverage.md: item, §, call or refusal, test."""
    text = (ROOT / "docs/note-coverage.md").read_text("utf-8").partition("## Checklist")[0]
    return [row for row in rows_of(text.splitlines()) if row[0] not in {"item", "---"}]


def test_every_call_of_the_coverage_exists() -> None:
    """Calls, classes and attributes in the third column are public."""
    named = {text for row in coverage_rows() for text in re.findall(r"`([^`]+)`", row[2])}
    calls = {text for text in named if re.fullmatch(r"\w+\(.*\)", text)}
    names = {text for text in named if re.fullmatch(r"[A-Z]\w*[a-z]\w*(\.\w+)?", text)}
    assert {"resolve()", "open_modem(context_id=)"} <= calls
    assert {"CommandError", "SocketStatus.local_port"} <= names
    for text in calls:
        check_call(text)
    for text in names:
        check_name(text)


def test_every_row_of_the_coverage_is_full() -> None:
    """An item has its §, what becomes of it, and a test."""
    for row in coverage_rows():
        assert len(row) == 4, row
        assert all(row), row
        assert "tests/" in row[3], row


PARAMETERS: Final = """
contextID connectID service_type IP_address domain_name remote_port local_port access_mode
protocol_type err query_type socket_state send_length data hex_string read_length
actual_read_length remaining_length host time_out ping_num ping_size result finresult server port
auto_set_time time hostname IP_count DNS_ttl send_data_format recv_data_format view_mode
show_length_mode open_time errcode_description PrimaryDNS SecondaryDNS
"""


def test_every_item_of_the_note_is_covered() -> None:
    """Each command's test form, each parameter, URC and code has a row."""
    items = [row[0] for row in coverage_rows()]
    headings = re.findall(r"^## AT\+(\w+)$", (ROOT / "docs/note-coverage.md").read_text(), re.M)
    assert tuple(headings) == COMMANDS
    assert [item for item in items if item.endswith("=?`")] == [f"`AT+{n}=?`" for n in COMMANDS]
    heads = {name for item in items for name in re.findall(r"`<(\w+)>`", item)}
    assert heads >= set(PARAMETERS.split())
    for kind in ("closed", "recv", "incoming full", "incoming", "dnsgip"):
        assert any(item.startswith(f'`+QIURC: "{kind}"') for item in items)
    for key in ConfigKey:
        assert any(item.startswith(f'`AT+QICFG="{key}"') for item in items)
    for number, table in ((3, PING_TEXT), (4, NTP_TEXT)):
        for code, text in table.items():
            assert f"table {number}: {code:d} {text}" in items


def test_every_ambiguity_has_a_line() -> None:
    """docs/spec-notes.md numbers its lines N1, N2, … without a gap; each has a test."""
    lines = rows("spec-notes.md")[2:]
    assert [line[0] for line in lines] == [f"N{n}" for n in range(1, len(lines) + 1)]
    assert len(lines) >= 38
    for line in lines:
        assert len(line) == 4, line
        assert "tests/" in line[3], line


FIELD_NOTE: Final = re.compile(
    r"^### (F\d+)\. (.+)\n\n\*\*Seen:\*\* (?:.+\n)+\n\*\*We do:\*\* (?:.+\n)+\n"
    r"\*\*Code:\*\* (.+)\n\n\*\*Test:\*\* `tests/.+$",
    re.MULTILINE,
)


def test_every_field_note_is_full() -> None:
    """Each habit has what was seen, what is done, its code, which exists, and a test."""
    text = (ROOT / "docs/field-notes.md").read_text("utf-8")
    notes = {match[1]: match for match in FIELD_NOTE.finditer(text)}
    assert len(notes) == text.count("\n### ")
    assert sorted(notes, key=lambda n: int(n[1:])) == [f"F{n}" for n in range(1, len(notes) + 1)]
    index = [row for row in rows("field-notes.md")[2:] if row[0].startswith("F")]
    assert [row[0] for row in index] == [f"F{n}" for n in range(1, len(notes) + 1)]
    for number, habit, code in index:
        assert [habit, code] == [notes[number][2], notes[number][3]], number
        for file in re.findall(r"`([^`]+)`", code):
            assert (ROOT / "aiobc9x" / file).is_file(), f"{number}: {file}"


def test_every_decision_is_full() -> None:
    """Each has the situation, the choice, what it costs and its tests, and stands in the index."""
    index = next(page for page in DECISION_PAGES if page.name == "README.md")
    linked = re.findall(r"\]\(([\w-]+\.md)\)", index.read_text("utf-8"))
    assert sorted(linked) == [page.name for page in DECISION_PAGES if page != index]
    for page in DECISION_PAGES:
        text = page.read_text("utf-8")
        for title in ("Situation", "Choice", "What it costs", "Enforced by"):
            assert page == index or f"\n## {title}\n" in text, f"{page.name}: {title}"
        assert page == index or "`tests/" in text, page.name


def test_code_that_a_page_names_exists() -> None:
    """A file of the package is named by its path below it."""
    pattern = re.compile(r"`(?:aiobc9x/)?((?:wire|core|aio|adapters|sim|trace|cli)/[\w/]+\.\w+)`")
    for page in PAGES:
        named = set(pattern.findall(page.read_text("utf-8")))
        assert {name for name in named if not (ROOT / "aiobc9x" / name).is_file()} == set(), page


def test_cited_lines_exist() -> None:
    """What cites N…, F… or C… cites a line of the spec notes, field notes or checklist."""
    known = {row[0] for page in ("spec-notes.md", "field-notes.md") for row in rows(page)}
    known |= {row[0] for row in section("note-coverage.md", "Checklist")}
    files = [*(ROOT / "aiobc9x").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *PAGES]
    pattern = re.compile(r"\b(?:[NC]\d+|F\d{1,2})\b")  # F821 is a rule of ruff
    cited = {n for file in files for n in pattern.findall(file.read_text("utf-8"))}
    assert cited <= known
