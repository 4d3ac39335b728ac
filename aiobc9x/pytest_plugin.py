"""Fixtures for tests of programs that use a modem; docs/testing.md is the tutorial.

pytest loads this with the package. It costs nothing until a test asks for one of its fixtures:
``virtual_modem``, ``modem``, ``modem_clock``, ``modem_peer``, ``modem_budget``. Those that run in
the test's event loop need pytest-asyncio.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pytest

try:
    import pytest_asyncio
except ImportError:
    pytest_asyncio = None  # type: ignore[assignment]  # as the import would have

if TYPE_CHECKING:
    from aiobc9x import Modem, SocketStatus
    from aiobc9x.sim.peers import ModemPeer
    from aiobc9x.sim.virtual_clock import VirtualClock
    from aiobc9x.sim.virtual_modem import VirtualModem

__all__ = ["modem", "modem_budget", "modem_clock", "modem_peer", "virtual_modem"]

CASSETTES: Final = "cassettes"
"""The folder beside a test's file in which traces are kept."""

_MODES: Final = ("once", "none", "all")
_FAILED: Final = pytest.StashKey[bool]()
_TRACE: Final = pytest.StashKey[Path]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    group = parser.getgroup("aiobc9x", "modems (aiobc9x)")
    group.addoption(
        "--aiobc9x-port",
        metavar="ADDRESS",
        help="run the tests of the fixture 'modem' on the module at this address instead of the"
        " virtual one",
    )
    group.addoption(
        "--aiobc9x-record",
        choices=_MODES,
        help="keep the dialogue of each test in cassettes/ beside its file, and replay it: 'once'"
        " records where there is none, 'none' never records, 'all' records anew",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "modem(**parameters): how the virtual modem of a test behaves: baud=9600, latency=0.1,"
        " faults=['reset;on=AT+QIRD'], any other parameter of a sim:// address, and sleep=True"
        " for open_modem(allow_sleep=True)",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have virtual time begin before anything that reads a clock."""
    for item in items:
        names = getattr(item, "fixturenames", [])
        if "modem_clock" in names:
            names.remove("modem_clock")
            names.insert(0, "modem_clock")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Note whether a test has failed, for the fixture that keeps its trace."""
    report: Any = yield  # what the other hooks have made
    if call.when != "setup" and _TRACE in item.stash:
        is_first = not item.stash.get(_FAILED, False)
        item.stash[_FAILED] = report.failed
        if report.failed and is_first:
            trace = item.stash[_TRACE]
            told = f"trace: {trace}\nfor Wireshark: {_capture_of(trace)}"
            report.sections.append(("modem", told))
    return report  # type: ignore[no-any-return]  # a wrapper gives what it was given


if pytest_asyncio is not None:
    _in_the_loop = pytest_asyncio.fixture
else:

    def _in_the_loop(function: Callable[..., Any]) -> Any:
        """Stand in for a fixture that runs in the loop, and say what it needs."""

        @pytest.fixture(name=function.__name__)
        def missing() -> None:
            name = function.__name__
            pytest.fail(f"the fixture {name!r} needs: pip install pytest-asyncio", False)

        return missing


@_in_the_loop
async def modem_clock() -> AsyncIterator[VirtualClock]:
    """Virtual time for one test: waits of hours take no time.

    The virtual modem then has a network in memory. Real sockets, threads and other processes
    don't fit.
    """
    from aiobc9x.sim.virtual_clock import VirtualClock

    with VirtualClock() as clock:
        yield clock


@_in_the_loop
async def virtual_modem(request: pytest.FixtureRequest) -> AsyncIterator[VirtualModem]:
    """A virtual module: ``commands``, ``dialogue``, ``add_fault()``, ``unplug()``, ``silence()``.

    ``@pytest.mark.modem(…)`` says how it behaves. ``open_modem(virtual_modem.create)`` opens it,
    as often as a test likes.
    """
    from aiobc9x.sim.memory import MemoryNetwork
    from aiobc9x.sim.virtual_modem import VirtualModem

    options = _options(request.node)
    is_virtual_time = "modem_clock" in request.fixturenames
    network = MemoryNetwork(options) if is_virtual_time else None
    async with VirtualModem(options, network) as virtual:
        yield virtual


@_in_the_loop
async def modem(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    virtual_modem: VirtualModem,
) -> AsyncIterator[Modem]:
    """A modem that is open: on the virtual module, or on that of ``--aiobc9x-port``.

    The test fails if it leaves a connection or a task behind, or if a rule of the module's note
    was broken on the way; one that has failed already is not blamed for that. The trace of a
    failed test, and the same for Wireshark, are named in its report.
    """
    import aiobc9x
    from aiobc9x.spec import CONNECT_IDS

    address, trace = _address_and_trace(request, tmp_path_factory, virtual_modem)
    settings = _settings(request.node)
    if trace is not None:
        request.node.stash[_TRACE] = trace
    before = asyncio.all_tasks()
    async with aiobc9x.open_modem(address, trace=trace or False, **settings) as opened:
        yield opened
        is_left = opened.free_sockets < len(CONNECT_IDS)
        sockets = await opened.socket_states() if is_left else ()
    await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - before - {asyncio.current_task()}
    has_failed = request.node.stash.get(_FAILED, False)
    left = None if has_failed else _left(sockets, tasks, virtual_modem.broken_rules)
    if trace is not None and (has_failed or left):
        _write_capture(trace)
    if left:
        pytest.fail(left, pytrace=False)


def _left(sockets: Iterable[SocketStatus], tasks: Iterable[object], broken: int) -> str:
    """Word what a test has left behind; empty if nothing."""
    connections = ", ".join(
        f"{each.service_type} to {each.ip_address}, port {each.remote_port}" for each in sockets
    )
    told = {
        f"the test has left connections open: {connections};"
        " close each writer, and await its wait_closed()": connections,
        f"the test has left tasks: {', '.join(map(repr, tasks))}": tasks,
        f"rules of the module's note were broken {broken} times; see the trace": broken,
    }
    return "\n".join(text for text, is_so in told.items() if is_so)


@_in_the_loop
async def modem_peer(
    request: pytest.FixtureRequest, virtual_modem: VirtualModem, tmp_path: Path
) -> AsyncIterator[ModemPeer]:
    """A machine that the virtual module reaches: ``echo()``, ``http(pages)``, ``mqtt()``.

    Each starts a server and returns its port; ``modem_peer.host`` is the name to connect to. With
    ``--aiobc9x-record`` the ports are the same in each run, and lead there from the module alone.
    """
    from aiobc9x.sim.peers import ModemPeer

    is_recorded = request.config.getoption("--aiobc9x-record") is not None
    peer = ModemPeer(virtual_modem, tmp_path, numbered=is_recorded)
    try:
        yield peer
    finally:
        await peer.aclose()


@pytest.fixture
def modem_budget(request: pytest.FixtureRequest) -> Callable[..., AbstractContextManager[None]]:
    """Make the price of a piece of code a test, by a ``with`` block that has a limit.

    ``with modem_budget(bytes=900, commands=12, air_bytes=700):`` fails the test if the block takes
    more.

    ``bytes`` are those on the serial line, both ways; ``commands`` are AT commands; ``air_bytes``
    are those over the air, as :attr:`aiobc9x.Modem.usage` estimates them. What a modem does by
    itself meanwhile, as its polls, counts too.
    """

    @contextlib.contextmanager
    def budget(
        *, bytes: int | None = None, commands: int | None = None, air_bytes: int | None = None
    ) -> Iterator[None]:
        opened = request.node.funcargs.get("modem")
        if opened is None:
            pytest.fail("modem_budget counts what the fixture 'modem' does: use it too", False)
        before = _spent(opened)
        yield
        spent = [now - then for now, then in zip(_spent(opened), before, strict=True)]
        limits, names = (bytes, commands, air_bytes), ("bytes", "commands", "bytes over the air")
        over = [
            f"{used} {what} instead of at most {limit}"
            for used, what, limit in zip(spent, names, limits, strict=True)
            if limit is not None and used > limit
        ]
        if over:
            pytest.fail(f"over budget: {' and '.join(over)}", pytrace=False)

    return budget


def _spent(modem: Modem) -> tuple[int, int, int]:
    counted = modem.statistics
    return counted.traffic_bytes, counted.commands, modem.usage.total.total_bytes


def _options(item: pytest.Item) -> Any:
    """Read the marker into the virtual module's options."""
    from dataclasses import fields, replace

    from aiobc9x.sim.faults import parse_fault
    from aiobc9x.sim.options import Host, SimOptions
    from aiobc9x.sim.peers import HOST

    given = _marked(item)
    given.pop("sleep", None)
    faults = given.pop("faults", ())
    known = {each.name for each in fields(SimOptions)} - {"link", "on_line", "faults"}
    if unknown := sorted(given.keys() - known):
        raise pytest.UsageError(
            f"{item.nodeid}: the marker 'modem' has no {', '.join(unknown)}; it takes faults,"
            f" sleep, {', '.join(sorted(known))}"
        )
    read = [parse_fault(each) if isinstance(each, str) else each for each in faults]
    hosts = {HOST: Host(("127.0.0.1",)), **given.pop("hosts", {})}
    return replace(SimOptions(), faults=tuple(read), hosts=hosts, **given)


def _marked(item: pytest.Item) -> dict[str, Any]:
    """All keyword arguments of the test's markers; the nearest one counts."""
    found: dict[str, Any] = {}
    for mark in item.iter_markers("modem"):
        if mark.args:
            raise pytest.UsageError(f"{item.nodeid}: the marker 'modem' takes names alone")
        found = {**mark.kwargs, **found}
    return found


def _settings(item: pytest.Item) -> dict[str, Any]:
    """What the marker says of open_modem()."""
    return {"allow_sleep": True} if _marked(item).get("sleep") else {}


def _address_and_trace(
    request: pytest.FixtureRequest, folders: pytest.TempPathFactory, virtual: VirtualModem
) -> tuple[Any, Path | None]:
    """What a test's modem is opened on, and where its dialogue is recorded."""
    address = request.config.getoption("--aiobc9x-port") or virtual.create
    mode = request.config.getoption("--aiobc9x-record")
    name = re.sub(r"[^\w.-]+", "-", request.node.name).strip("-")
    if mode is None:
        return address, folders.mktemp("modem") / f"{name}.jsonl"
    cassette = request.node.path.parent / CASSETTES / request.node.path.stem / f"{name}.jsonl"
    if mode == "all" or (mode == "once" and not cassette.exists()):
        cassette.parent.mkdir(parents=True, exist_ok=True)
        cassette.unlink(missing_ok=True)
        return address, cassette
    if not cassette.exists():
        pytest.fail(f"nothing is recorded in {cassette}: use --aiobc9x-record once", False)
    return f"sim://?replay={quote(str(cassette))}", None


def _write_capture(trace: Path) -> None:
    from aiobc9x.trace import read_trace, write_capture

    with _capture_of(trace).open("wb") as stream:
        write_capture(read_trace(trace), stream)


def _capture_of(trace: Path) -> Path:
    return trace.with_suffix(".pcapng")
