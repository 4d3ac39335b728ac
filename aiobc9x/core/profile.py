"""Describe how a particular module behaves where modules differ from the note.

Layer: core. Reads no clock, and does no I/O but for :meth:`ModuleProfile.load` and
:meth:`ModuleProfile.save`, which read and write a file that their caller names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from os import PathLike
from typing import Any, Final, Literal

from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted
from aiobc9x.spec import SEND_MAX_BYTES

FILE_FORMAT: Final = "aiobc9x module profile"
"""What a file of a profile calls itself."""

FILE_VERSION: Final = 1
"""The version of that format; it changes when an older reader would misread a file."""

_VIRTUAL = lazy_pattern(r"virtual|simulat", re.IGNORECASE)


@slotted(frozen=True)
class ModuleProfile:
    """Facts about a module that the bytes on the line don't carry.

    Attributes:
        on_buffer_full: ``"fail"``: ``"buff full"`` on a TCP socket ends the connection,
            because relatives (BC660K, BC25) drop bytes that they have acknowledged.
            ``"continue"``: the module throttles its peer and loses nothing.
        send_fail_is_atomic: ``SEND FAIL`` means that no byte was taken (§2.2.4: the send
            buffer is full), so the same bytes may be sent again. ``False`` ends the
            connection with :class:`BrokenPipeError`.
        concurrent_opens: Opens that may be under way at once, 1–6. A relative (BC25) has
            one watchdog for all opens: 1 serializes them.
        command_gap_ms: Pause between a final result and the next command, in milliseconds.
            Drivers of relatives needed 4–20 (F31).
        inline_limit_bytes: Longest payload that goes inside quotes on the command line.
            Learned downwards when the module refuses one (F29).
        hex_inline_limit_bytes: Longest payload that goes as hex digits on the command line
            (AT+QISENDEX). Learned downwards like the other.
        keeps_unread: The data of a socket that the peer has closed can be read until we close
            the socket (§2.3.1). ``False``: the module frees the socket and its unread data at
            once, and refuses to read, as a relative does (BC25, F21). The connection then
            ends with an EOF if its last read found nothing, else with an error.
        suspect_after_send: A send after a prompt may swallow ``"recv"`` URCs (BC25, F14), so
            sockets are read once after a burst of such sends.

    """

    # Every default is what the note says. This is the exception: the note says only that the
    # buffer is full (§2.3.3), and the relatives that were measured lose bytes (N27, F20).
    on_buffer_full: Literal["fail", "continue"] = "fail"
    send_fail_is_atomic: bool = True
    concurrent_opens: int = 6
    command_gap_ms: float = 0
    inline_limit_bytes: int = SEND_MAX_BYTES
    hex_inline_limit_bytes: int = SEND_MAX_BYTES
    keeps_unread: bool = True
    suspect_after_send: bool = True

    def __post_init__(self) -> None:
        """Refuse values that no module can have."""
        if self.on_buffer_full not in {"fail", "continue"}:
            raise ValueError(f"on_buffer_full is {self.on_buffer_full!r}: use 'fail' or 'continue'")
        if not 1 <= self.concurrent_opens <= 6:
            raise ValueError(f"concurrent_opens is {self.concurrent_opens}: use 1-6")
        if not 0 <= self.command_gap_ms < math.inf:
            raise ValueError(f"command_gap_ms is {self.command_gap_ms}: use 0 or more")
        for name in ("inline_limit_bytes", "hex_inline_limit_bytes"):
            if not 0 <= getattr(self, name) <= SEND_MAX_BYTES:
                raise ValueError(f"{name} is {getattr(self, name)}: use 0-{SEND_MAX_BYTES}")

    def save(self, path: str | PathLike[str], *, measured: Mapping[str, Any] | None = None) -> None:
        """Write the profile to a file, which :meth:`load` reads.

        The file is JSON, and what it held before is replaced. The call blocks.

        Args:
            path: The file.
            measured: What else is known of the module, as JSON has it. It stands in the file
                for people, and :meth:`load` ignores it.

        Raises:
            OSError: The file can't be written.

        """
        content = {
            "format": FILE_FORMAT,
            "version": FILE_VERSION,
            "profile": asdict(self),
            **({} if measured is None else {"measured": measured}),
        }
        import json  # noqa: PLC0415  (few programs keep profiles in files)
        from pathlib import Path  # noqa: PLC0415

        text = json.dumps(content, indent=2) + "\n"
        Path(path).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> ModuleProfile:
        """Read a profile from a file that :meth:`save` or ``aiobc9x characterize`` has written.

        A field that the file does not name has its default. The call blocks.

        Args:
            path: The file.

        Raises:
            OSError: The file can't be read.
            ValueError: It holds no profile, one of another version, an unknown field, or a value
                that no module can have; the message names the file, the cause and the fix.

        """
        import json  # noqa: PLC0415  (as above)
        from pathlib import Path  # noqa: PLC0415

        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as exc:
            raise ValueError(
                f"{path} is no profile, because it is no JSON ({exc}): {_MAKE_ONE}"
            ) from exc
        if not isinstance(content, dict) or content.get("format") != FILE_FORMAT:
            raise ValueError(
                f'{path} is no profile, because it lacks "format": "{FILE_FORMAT}": {_MAKE_ONE}'
            )
        version = content.get("version")
        if version is True or version != FILE_VERSION:
            raise ValueError(
                f"{path} is a profile of version {version!r}, and this package reads"
                f" version {FILE_VERSION}: {_MAKE_ONE}, or use the aiobc9x that wrote it"
            )
        try:
            return cls(**_checked(content.get("profile")))
        except ValueError as exc:
            raise ValueError(f"{path}: {exc}") from exc


_MAKE_ONE: Final = "write one by 'aiobc9x characterize' or ModuleProfile.save()"

_KINDS: Final[dict[type, str]] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def _checked(values: object) -> dict[str, Any]:
    """Return the fields of a profile as a file has them, once each is known and of its kind.

    Raises:
        ValueError: There is none of that name, or its value is of another kind.

    """
    if not isinstance(values, dict):
        raise ValueError(f'"profile" is {values!r}: use an object of fields')  # noqa: TRY004  (of the file)
    # A default shows the kind of its field.
    kinds = {each.name: type(each.default) for each in fields(ModuleProfile)}
    kinds["command_gap_ms"] = float
    for name, value in values.items():
        if name not in kinds:
            raise ValueError(f"{name!r} is no field of a profile: use {', '.join(kinds)}")
        # true and false are numbers to Python, and 5 is a float to people.
        fits = type(value) is kinds[name] or (kinds[name] is float and type(value) is int)
        if not fits:
            raise ValueError(f"{name} is {value!r}: use {_KINDS[kinds[name]]}")
    return values


def profile_for(identity: Sequence[str]) -> ModuleProfile:
    """Choose the profile of a module by its answer to ATI.

    Args:
        identity: The information lines, for example ``("Quectel", "BC65", "Revision: …")``.

    """
    # No real module is told apart: none of the family has been seen to need another default.
    if _VIRTUAL.search("\n".join(identity)):
        return replace(ModuleProfile(), on_buffer_full="continue")
    return ModuleProfile()
