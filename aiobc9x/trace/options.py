"""Say where and how a dialogue is recorded.

Layer: trace. Does no I/O, reads no clock. Whoever opens a modem loads this; what records is loaded
where a trace is wanted.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from aiobc9x.slotted import slotted

__all__ = ["PathLike", "Payloads", "Trace", "trace_of"]

PathLike: TypeAlias = str | os.PathLike[str]


class Payloads(enum.StrEnum):
    """What of the data of connections a trace holds."""

    WHOLE = "whole"
    """Every byte."""

    LENGTH = "length"
    """How many bytes there were."""

    NONE = "none"
    """Nothing; the module's own headers still say how long they were."""


@slotted(frozen=True)
class Trace:
    """Where and how a modem's dialogue is recorded.

    Attributes:
        path: The file; what is there stays, and is appended to. A second modem that records to
            the same path, in this program or another one, gets ``NAME-2``, and so on.
        payloads: What of the data of connections is recorded: ``"whole"``, ``"length"`` or
            ``"none"``. PINs, PUKs and passwords of SIM and network are never.
        max_bytes: The size at which the file is renamed to ``PATH.1`` and begun anew, at least
            4096.
        keep: How many of such older files stay, at least 0.

    """

    path: PathLike
    payloads: Payloads | Literal["whole", "length", "none"] = Payloads.WHOLE
    max_bytes: int = 16 * 1024 * 1024
    keep: int = 4

    def __post_init__(self) -> None:
        """Refuse what can't be."""
        os.fspath(self.path)  # TypeError
        try:
            object.__setattr__(self, "payloads", Payloads(self.payloads))
        except ValueError:
            raise ValueError(
                f"payloads is {self.payloads!r}: use 'whole', 'length' or 'none'"
            ) from None
        for name, least in (("max_bytes", 4096), ("keep", 0)):
            if type(value := getattr(self, name)) is not int:
                raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
            if value < least:
                raise ValueError(f"{name} is {value}: use at least {least}")


def trace_of(trace: Trace | PathLike | bool | None, environ: Mapping[str, str]) -> Trace | None:
    """Return how to record, by the argument and by the environment.

    Args:
        trace: A path, or how; ``None`` for what ``AIOBC9X_TRACE`` says, ``False`` for not at all.
        environ: ``AIOBC9X_TRACE`` is a path, ``AIOBC9X_TRACE_PAYLOADS`` as
            :attr:`Trace.payloads`.

    Raises:
        TypeError: It is none of these.
        ValueError: The environment has another word for the payloads.

    """
    if isinstance(trace, Trace):
        return trace
    if isinstance(trace, str | os.PathLike):
        return Trace(trace)
    if trace is not None and trace is not False:
        raise TypeError(f"trace must be a path or a Trace, not {type(trace).__name__}")
    if trace is False or not (path := environ.get("AIOBC9X_TRACE")):
        return None
    payloads: Any = environ.get("AIOBC9X_TRACE_PAYLOADS", Payloads.WHOLE)
    return Trace(path, payloads)  # which refuses another word
