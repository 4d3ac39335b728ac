"""Record what a modem and a module say to each other; show it, replay it, capture it.

::

    async with aiobc9x.open_modem("/dev/ttyUSB0", trace="field.jsonl") as modem:
        ...

The names below are resolved when they are first used: whoever only records loads no more than
that takes. docs/traces.md has the how-to.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as typing has it

if TYPE_CHECKING:
    from aiobc9x.trace.capture import write_capture as write_capture
    from aiobc9x.trace.dialogue import Entry as Entry
    from aiobc9x.trace.dialogue import EntryKind as EntryKind
    from aiobc9x.trace.dialogue import decode as decode
    from aiobc9x.trace.options import Payloads as Payloads
    from aiobc9x.trace.options import Trace as Trace
    from aiobc9x.trace.records import Content as Content
    from aiobc9x.trace.records import Header as Header
    from aiobc9x.trace.records import Kind as Kind
    from aiobc9x.trace.records import Record as Record
    from aiobc9x.trace.records import files_of as files_of
    from aiobc9x.trace.records import follow_trace as follow_trace
    from aiobc9x.trace.records import read_trace as read_trace
    from aiobc9x.trace.replaying import Cassette as Cassette
    from aiobc9x.trace.replaying import RecordMode as RecordMode
    from aiobc9x.trace.replaying import cassette as cassette
    from aiobc9x.trace.showing import Selection as Selection
    from aiobc9x.trace.showing import rows as rows

_HOMES = {
    "capture": ("write_capture",),
    "dialogue": ("Entry", "EntryKind", "decode"),
    "records": (
        "Content",
        "Header",
        "Kind",
        "Record",
        "files_of",
        "follow_trace",
        "read_trace",
    ),
    "options": ("Payloads", "Trace"),
    "replaying": ("Cassette", "RecordMode", "cassette"),
    "showing": ("Selection", "rows"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [*_HOME_OF]  # noqa: PLE0604  (all of them are names)


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
