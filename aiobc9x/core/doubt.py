"""Lines that may be the rest of a damaged payload, and so are not acted on (rule 6).

Layer: core. Does no I/O, reads no clock.

A payload whose header got lost is framed as lines, and may hold anything. So a URC that
comes during a read counts once the read has its data; behind an answer that can't be
trusted, no line counts until the line has been silent.
"""

from __future__ import annotations

import re

from aiobc9x.wire.urcs import Urc

_VENDOR_LINE = re.compile(rb"[+*^#%&][A-Z]", re.IGNORECASE)
_TORN_HEADER = re.compile(rb"\+?Q?I?R?D?:? ?[0-9]*,?-?[0-9]*")


def is_torn(text: bytes) -> bool:
    """Whether an unknown line shows that bytes got lost."""
    return _VENDOR_LINE.match(text) is None or _TORN_HEADER.fullmatch(text) is not None


class Doubt:
    """Keeps URCs back while they may be data.

    Attributes:
        persists: An answer could not be trusted, and the line has not been silent since.
        withheld: URCs that are kept back.

    """

    def __init__(self) -> None:
        self.persists = False
        self.withheld: list[Urc] = []

    def withhold(self, urc: Urc) -> None:
        """Keep a URC back."""
        self.withheld.append(urc)

    def release(self, *, damaged: bool) -> list[Urc]:
        """Give back what was kept, or forget it for good if the answer is damaged."""
        if not self.withheld and not damaged:
            return []
        urcs, self.withheld = self.withheld, []
        self.persists = self.persists or damaged
        return [] if damaged else urcs

    def clear(self) -> None:
        """Start afresh: the line has been silent, or the module has restarted."""
        self.withheld.clear()
        self.persists = False
