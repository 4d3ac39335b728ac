"""The settings that survive a restart (§2.2.1, §2.2.7, §2.2.11).

Layer: sim. Touches a file only if it was given one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

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
        path: The file behind it, or ``None``.

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
        """Read a file that :meth:`save` wrote; defaults if it doesn't exist.

        Raises:
            ValueError: The file holds something else.

        """
        if not path.exists():
            return cls(path=path)
        stored = json.loads(path.read_text(encoding="utf-8"))
        known = set(cls.__dataclass_fields__) - {"path"}
        if not isinstance(stored, dict) or not set(stored) <= known:
            raise ValueError(f"{path} is not the NVRAM of a virtual module")
        if not all(isinstance(value, int) for value in stored.values()):
            raise ValueError(f"{path} holds a value that is no number")
        return cls(**stored, path=path)

    def save(self) -> None:
        """Write the settings to the file, if there is one."""
        if self.path is not None:
            values = asdict(self)
            del values["path"]
            self.path.write_text(json.dumps(values, indent=1), encoding="utf-8")
