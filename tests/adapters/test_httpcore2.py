"""Each adapter for HTTP is of its own library, and says what it lacks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aiobc9x.adapters import httpcore, httpx

pytest.importorskip("httpx2")

from aiobc9x.adapters import httpcore2, httpx2


@pytest.mark.parametrize(
    ("kind", "root"),
    [
        (httpcore.ModemBackend, "httpcore"),
        (httpcore.ModemNetworkStream, "httpcore"),
        (httpx.ModemTransport, "httpx"),
        (httpcore2.ModemBackend, "httpcore2"),
        (httpcore2.ModemNetworkStream, "httpcore2"),
        (httpx2.ModemTransport, "httpx2"),
    ],
)
def test_each_is_of_one_library(kind: type, root: str) -> None:
    """A type checker, and isinstance(), take it for that library's; of the other it has nothing."""
    roots = {each.__module__.partition(".")[0] for each in kind.__mro__}
    assert roots - {"typing", "builtins"} == {root, "aiobc9x"}


def test_the_defaults_are_the_same() -> None:
    """Limits and timeouts, each of its library's own class."""
    for name in ("LIMITS", "TIMEOUT"):
        values = [vars(getattr(each, name)) for each in (httpx, httpx2)]
        assert values[0] == values[1]


@pytest.mark.parametrize(
    ("module", "missing", "advice"),
    [
        ("httpcore", "httpcore", "pip install 'aiobc9x[http]'"),
        ("httpx", "httpx", "pip install 'aiobc9x[http]'"),
        ("httpx", "httpcore", "pip install 'aiobc9x[http]'"),
        ("httpcore2", "httpcore2", "pip install httpcore2"),
        ("httpx2", "httpx2", "pip install httpx2"),
        ("httpx2", "httpcore2", "pip install httpx2"),
    ],
)
def test_a_missing_library(module: str, missing: str, advice: str) -> None:
    """The error says how to get it: by the extra, where that has it."""
    code = f"import sys; sys.modules['{missing}'] = None; import aiobc9x.adapters.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert advice in done.stderr.splitlines()[-1]
