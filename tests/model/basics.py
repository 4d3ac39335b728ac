"""Shapes that answers of many commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.model.module import Answer

if TYPE_CHECKING:
    from tests.model.module import Module


def unknown(module: Module) -> Answer:
    """Answer what is no command of the module."""
    module.final(b"ERROR")
    return
    yield 0.0


def accepted(module: Module, delay: float, action: Callable[[], None]) -> Answer:
    """Answer OK, and do the rest later."""
    module.final()
    module.after(delay, action)
    return
    yield 0.0


def rows(module: Module, lines: list[bytes]) -> Answer:
    """Answer with these information lines."""
    for line in lines:
        module.out(b"\r\n" + line + b"\r\n")
        yield module.gap()
    module.final()
