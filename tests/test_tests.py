"""What holds for the tests themselves: where they lie, and that no clock bounds them."""

import ast
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = ROOT / "aiobc9x"

NO_MODULE_OF_THEIR_OWN: Final = {
    "adapters/anyio/test_cancellation": "every call of the wing",
    "adapters/anyio/test_connect": "what the wing's package itself offers",
    "adapters/anyio/test_datagrams": "the same",
    "adapters/anyio/test_listener": "the same",
    "adapters/anyio/test_properties": "what holds for all of its streams",
    "adapters/anyio/test_real": "the wing in real time",
    "adapters/proxy/test_names": "both protocols and the server",
    "adapters/proxy/test_properties": "what holds for all that is relayed",
    "adapters/redirect/test_callbacks": "callbacks of all kinds",
    "adapters/redirect/test_real": "the wing in real time",
    "adapters/test_dialers": "every adapter, on the four calls of a Dialer",
    "aio/connections/test_local_ports": "connecting and listening",
    "aio/line/test_logs": "whoever logs",
    "aio/test_cancellation": "every call of a modem",
    "aio/test_foreign_packages": "what the environment must not change",
    "cli/test_questions": "the commands that ask one thing",
    "sim/test_transcripts": "the note's chapter 4 against the whole module",
    "trace/test_hostile": "whoever reads a trace",
    "wire/commands/test_properties": "what holds for every command",
    "wire/test_former_names": "modules that moved",
    "wire/test_fuzz": "tests/wire/fuzz.py",
}
"""Tests in a folder of the package's tree that have no one module as subject, and their subject."""


def test_tests_lie_where_their_subject_lies() -> None:
    """tests/a/test_b*.py tests aiobc9x/a/b.py, so that nobody has to search for either."""
    astray = set()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        folder = path.parent.relative_to(ROOT / "tests")
        if folder == Path() or not (PACKAGE / folder).is_dir():
            continue  # a test of the whole, or of something else than the package
        subject = path.stem.removeprefix("test_") + "_"
        beside = [each.stem.removeprefix("_") for each in (PACKAGE / folder).iterdir()]
        if not any(subject.startswith(f"{name}_") for name in beside if name):
            astray.add((folder / path.stem).as_posix())
    assert astray == NO_MODULE_OF_THEIR_OWN.keys()


CLOCKS: Final = {"monotonic", "perf_counter", "process_time", "thread_time"}

MAY_READ_A_CLOCK: Final = {
    "tests/conftest.py": "transports and threads have a moment to end in",
    "tests/model/table.py": "says how long the runs took",
    "tests/wire/fuzz.py": "runs for as long as it is told to",
}
"""Nothing else measures real time: a busy machine would fail it, and prove nothing."""


def test_no_test_is_bound_by_the_wall_clock() -> None:
    """Waits are tested under the virtual clock, and pytest's timeout ends what hangs."""
    reading = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
            names = (
                {name.name for name in node.names} if isinstance(node, ast.ImportFrom) else set()
            )
            attribute = node.attr if isinstance(node, ast.Attribute) else ""
            if not CLOCKS.isdisjoint({*names, attribute}):
                reading.add(path.relative_to(ROOT).as_posix())
    assert reading == MAY_READ_A_CLOCK.keys()


REAL_WAITS: Final = {
    "communicate": "",
    "create_connection": "socket",
    "join": "",
    "run": "subprocess",
    "runpytest_subprocess": "",
    "settimeout": "",
    "urlopen": "",
    "wait": "",
}
"""Calls that wait in real time, and the module that has them, where others have the name too."""

AT_ONCE: Final = {
    "tests/test_end_to_end.py": "asks whether there is something, and waits for nothing"
}


NO_REAL_TIME: Final = {"core", "model", "sim", "wire"}
"""Folders whose own calls have some of these names, and where nothing takes real time."""


def test_what_is_waited_for_in_real_time_has_one_limit() -> None:
    """A busy machine breaks a limit that a test has chosen: all have that of tests/support."""
    limited = set()
    for path in (ROOT / "tests").rglob("*.py"):
        parts = path.relative_to(ROOT).parts
        if parts[1] in NO_REAL_TIME:
            continue
        calls = (
            node
            for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path)))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        )
        if any(_has_a_limit_of_its_own(call) for call in calls):
            limited.add("/".join(parts))
    assert limited == AT_ONCE.keys()


def _has_a_limit_of_its_own(call: ast.Call) -> bool:
    function = call.func
    assert isinstance(function, ast.Attribute)
    owner = function.value.id if isinstance(function.value, ast.Name) else ""
    expected = REAL_WAITS.get(function.attr)
    if expected is None or owner == "asyncio" or (expected and owner != expected):
        return False
    given = [*call.args, *(each.value for each in call.keywords if each.arg == "timeout")]
    numbers = [each.value for each in given if isinstance(each, ast.Constant)]
    return any(type(number) in {int, float} and number for number in numbers)
