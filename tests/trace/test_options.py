"""Options: what open_modem() takes as its trace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiobc9x.trace import Payloads, Trace
from aiobc9x.trace.options import trace_of


class TestArguments:
    """What open_modem() takes as its trace."""

    def test_a_path(self) -> None:
        """Of either kind."""
        for path in ("a", Path("a")):
            assert trace_of(path, {"AIOBC9X_TRACE": "b"}) == Trace(path)

    def test_the_environment(self) -> None:
        """Unless the program says otherwise."""
        environ = {"AIOBC9X_TRACE": "b", "AIOBC9X_TRACE_PAYLOADS": "length"}
        assert trace_of(None, environ) == Trace("b", Payloads.LENGTH)
        assert trace_of(None, {"AIOBC9X_TRACE": ""}) is None
        assert trace_of(None, {}) is None
        assert trace_of(False, environ) is None
        assert trace_of(Trace("c"), environ) == Trace("c")
        with pytest.raises(ValueError, match="payloads is 'some'"):
            trace_of(None, {**environ, "AIOBC9X_TRACE_PAYLOADS": "some"})

    @pytest.mark.parametrize("trace", [True, 7, b"x", object()])
    def test_what_is_none(self, trace: Any) -> None:
        """It is refused before anything is opened."""
        with pytest.raises(TypeError, match="trace must be"):
            trace_of(trace, {})

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"payloads": "all"}, "use 'whole', 'length' or 'none'"),
            ({"max_bytes": 100}, "max_bytes is 100"),
            ({"keep": -1}, "keep is -1"),
        ],
    )
    def test_values_out_of_range(self, settings: dict[str, Any], words: str) -> None:
        """The message names the argument."""
        with pytest.raises(ValueError, match=words):
            Trace("x", **settings)

    def test_wrong_types(self) -> None:
        """Likewise."""
        with pytest.raises(TypeError, match="keep must be an integer"):
            Trace("x", keep=True)
        with pytest.raises(TypeError):
            Trace(7)  # type: ignore[arg-type]  # that is what is tested

    def test_words_become_members(self) -> None:
        """So that a comparison holds."""
        assert Trace("x", "none").payloads is Payloads.NONE


def test_a_modem_without_a_trace_loads_no_recorder() -> None:
    """Most have none, and should not wait for what writes them."""
    code = "import sys, aiobc9x; aiobc9x.open_modem; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "aiobc9x.trace.options" in loaded
    assert not loaded & {"aiobc9x.trace.recording", "aiobc9x.trace.records"}
