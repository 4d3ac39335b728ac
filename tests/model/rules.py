"""What the host may write, by the note, seen from what it has heard."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.model.conditions import Condition

if TYPE_CHECKING:
    from tests.model.module import Module

PATIENCE_S: Final = 1.9
"""After so many seconds without an answer the host may believe that none will come."""


PROBES = frozenset({b"AT\r", b"ATQ0\r", b"ATV1\r"})
"""What a host may write without an answer to its last command, to find out what keeps it away."""


class Rules:
    """Watches over the host.

    Attributes:
        broken: The rules that the host has broken, as text.
        awaiting: Whether the host has not heard the final result of its last command.
        payload_due: Bytes that the host still has to write, since it has heard the prompt.
        send_out: Whether the host has not heard SEND OK or SEND FAIL of its last send.

    """

    def __init__(self, module: Module, condition: Condition) -> None:
        self._module = module
        self._condition = condition
        self._since = 0.0
        self._asked = 0
        self._is_unsure = False
        self.broken: list[str] = []
        self.awaiting = False
        self.payload_due = 0
        self.send_out = False

    # What the host has heard.

    def heard_final(self) -> None:
        """Note that the host has heard a final result."""
        self.awaiting = False

    def heard_outcome(self) -> None:
        """Note that the host has heard what became of a send."""
        self.awaiting = self.send_out = False

    def heard_banner(self) -> None:
        """Note that the host knows of the restart, or may know."""
        self.awaiting = self.send_out = False
        self.payload_due = 0

    def cut_off(self) -> None:
        """Note that a restart has cut off what was on the line.

        The host has the beginning. If that is an answer, the line end in front of the banner may
        end it. If it is received data, the banner may be the rest of them, so that the host can't
        tell whether a prompt that it awaits has got lost.
        """
        self.awaiting = self.send_out = False
        self._is_unsure = True

    # What it writes.

    def wrote(self, data: bytes) -> None:
        """Look at what the host writes, unless lost bytes may have led it astray."""
        if not self._condition.whole:
            return
        if self.payload_due:
            self.payload_due -= len(data)
            if self.payload_due < 0 and data.strip(b"\r\x1b"):
                self._break(f"{-self.payload_due} bytes more than the length: {data!r}")
            self.payload_due = max(0, self.payload_due)
        elif data.endswith(b"\r") and data.startswith(b"AT"):
            self._command(data)
        elif self._is_prompt_overdue() and len(data) == self._asked:
            self._asked = 0  # the prompt may have been lost: the module waits for just this
        elif data.strip(b"\r\x1b") or self._condition.name == "clean":
            self._break(f"neither a command line nor a payload that is due: {data!r}")

    def _is_prompt_overdue(self) -> bool:
        return (self.awaiting or self._is_unsure) and self._overdue()

    def _overdue(self) -> bool:
        return self._module.loop.time() - self._since > PATIENCE_S

    def _command(self, line: bytes) -> None:
        probe = line in PROBES  # after silence, to find out whether anybody is there
        if self.awaiting and not self._overdue() and not probe:
            self._break(f"a command before the last one's final result: {line!r}")
        opening = re.match(rb"AT\+QIOPEN=\d,(\d),", line)
        used = self._module.socks.get(int(opening[1])) if opening else None
        if used is not None and (used.kind != "TCP INCOMING" or used.told):
            self._break(f"AT+QIOPEN of connectID {used.connect_id}, which is in use: {line!r}")
        if line.startswith(b"AT+QISEND") and self.send_out:
            self._break(f"a send before SEND OK of the last one: {line!r}")
        asked = re.match(rb"AT\+QISEND=\d,(\d+)\r$", line)
        self._asked = int(asked[1]) if asked else 0
        self.awaiting, self._is_unsure = True, False
        self._since = self._module.loop.time()

    def wrong(self, text: str) -> None:
        """Note what the module makes of a command, unless the line may have spoilt it."""
        if self._condition.whole:
            self._break(text)

    def _break(self, text: str) -> None:
        if self._module.faulty:  # while it starts up, the host may not know where the module is
            self.broken.append(f"{self._module.loop.time():.6f}: {text}")
