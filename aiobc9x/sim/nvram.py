"""Keep the settings that survive a restart (§2.2.1, §2.2.7, §2.2.11).

Layer: sim. Touches a file only if it was given one.
"""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from aiobc9x.spec import AccessMode, DataFormat, ViewMode


@dataclass(slots=True)
class Nvram:
    """What the module remembers without power.

    Attributes:
        send_format: ``<send_data_format>``; only text can be set (§2.2.11, note 1).
        receive_format: ``<recv_data_format>``.
        view_mode: ``<view_mode>``.
        show_length: ``<show_length_mode>``.
        access_mode: The last ``<access_mode>``: the default of an AT+QIOPEN without one.
        baud: The rate of AT+IPR, in bits a second; 0 stands for the link's own.
        path: The file that keeps the settings, or ``None`` for memory alone.

    """

    send_format: int = int(DataFormat.TEXT)
    receive_format: int = int(DataFormat.TEXT)
    view_mode: int = int(ViewMode.CRLF)
    show_length: int = 0
    access_mode: int = int(AccessMode.BUFFER)
    baud: int = 0
    path: Path | None = field(default=None, repr=False)

    @classmethod
    def load(cls, path: Path) -> Nvram:
        """Read a file that :meth:`save` wrote; take the defaults if it doesn't exist.

        The file is written again at once. If that fails, it fails here, and not later when the
        host changes a setting.

        Raises:
            ValueError: The file holds something else, or can't be read or written.

        """
        try:
            nvram = cls(**_stored(path), path=path) if path.exists() else cls(path=path)
            nvram.save()
        except OSError as error:
            reason = error.strerror or str(error)
            raise ValueError(f"nvram can't be kept in {str(path)!r}: {reason}") from error
        return nvram

    def save(self) -> None:
        """Write the settings to the file, if there is one."""
        if self.path is not None:
            values = asdict(self)
            del values["path"]
            self.path.write_text(json.dumps(values, indent=1), encoding="utf-8")


_ALLOWED: Final[dict[str, Container[int]]] = {
    "send_format": (int(DataFormat.TEXT),),
    "receive_format": tuple(DataFormat),
    "view_mode": tuple(ViewMode),
    "show_length": (0, 1),
    "access_mode": tuple(AccessMode),
    "baud": range(10_000_000),
}


def _stored(path: Path) -> dict[str, int]:
    """Read a file.

    Raises:
        OSError: It can't be read.
        ValueError: It holds something else.

    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not the NVRAM of a virtual module: {error}") from error
    if not isinstance(stored, dict) or not set(stored) <= set(_ALLOWED):
        raise ValueError(f"{path} is not the NVRAM of a virtual module")
    for name, value in stored.items():
        if not isinstance(value, int) or value not in _ALLOWED[name]:
            raise ValueError(f"{path} holds {name}={value!r}, which no module has")
    return stored
