"""Run a scenario over both nets and compare."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conformance.differences import DIFFERENCES
from tests.conformance.nets import Module, Native, Net

Scenario = Callable[..., Awaitable[object]]


@dataclass
class Both:
    """Both nets on one loop.

    Attributes:
        runner: Runs the loop.
        module: The module on it.
        loop_name: ``asyncio`` or ``uvloop``.

    """

    runner: asyncio.Runner
    module: Module
    loop_name: str

    def compare(
        self, name: str, scenario: Callable[[Net], Awaitable[object]], *, tls: bool, alone: bool
    ) -> None:
        """Fail if a scenario's results differ, or don't differ as they should.

        With ``alone`` asyncio's own are left out: they can't do it on this loop.
        """
        ours = self.runner.run(Net(self.module, tls=tls).run(scenario))
        theirs = None if alone else self.runner.run(Net(Native(), tls=tls).run(scenario))
        difference = DIFFERENCES.get(name)
        seen = f"over the module: {_short(ours)}; asyncio's own: {_short(theirs)}"
        if difference is None or not difference.applies(tls=tls, loop_name=self.loop_name):
            assert ours == theirs, seen
            return
        assert ours != theirs, f"no difference any more: {difference.why}"
        if difference.ours is not None:
            assert ours == (difference.ours, difference.reports), seen


def _short(result: object) -> str:
    """Show a result without all its data."""
    return re.sub(r"(b[\"'].{20}).*?(?=[\"'][,)\]])", r"\1…", repr(result))


def conforms(
    *, tls: bool | None = None, loops: Collection[str] = ("asyncio", "uvloop")
) -> Callable[[Scenario], Callable[..., None]]:
    """Make a scenario a test that compares both nets.

    Args:
        tls: ``None``: in the clear and with TLS; else only the one.
        loops: Where asyncio's own transports can do it at all.

    """

    def decorate(scenario: Scenario) -> Callable[..., None]:
        def test(both: Both, tls: bool, **parameters: Any) -> None:
            name = "-".join(
                [scenario.__name__.removeprefix("test_"), *map(str, parameters.values())]
            )
            both.compare(
                name,
                lambda net: scenario(net, **parameters),
                tls=tls,
                alone=both.loop_name not in loops,
            )

        signature = inspect.signature(scenario)
        own = [p for p in signature.parameters.values() if p.name != "net"]
        fixtures = [
            inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY) for each in ("both", "tls")
        ]
        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        test.__signature__ = inspect.Signature([*fixtures, *keyword])  # type: ignore[attr-defined]
        test.__name__ = scenario.__name__
        test.__doc__ = scenario.__doc__
        test.pytestmark = getattr(scenario, "pytestmark", [])  # type: ignore[attr-defined]
        ways = [False, True] if tls is None else [tls]
        mark = pytest.mark.parametrize("tls", ways, ids=lambda on: "tls" if on else "plain")
        marked: Callable[..., None] = mark(test)
        return marked

    return decorate
