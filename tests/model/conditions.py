"""What can go wrong in a run: one :class:`Condition` for each row of the table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Condition:
    """Chances of each fault, 0 to 1, and what may follow from them.

    Attributes:
        name: As on the command line.
        send_fail: That a send is answered with SEND FAIL, nothing taken.
        lost_urc: That the line of a URC is lost whole.
        doubled: That the line of a URC or SEND OK comes twice.
        late: That an answer as a whole comes 0.5 to 5 s late.
        omitted: That the OK of an answer is omitted.
        resets: Restarts of the module in a run, at most.
        lost_down: That a block from the module loses bytes.
        lost_up: That a write of the host loses bytes.
        noise: That there is noise in front of a block.
        busy: That AT+QIRD is refused because the module is busy, or has no memory.
        outages: Losses of the network in a run, at most: all sockets are closed.
        push: Whether push mode is used.
        udp: Whether there are datagrams.
        errors: Whether connections may end by an exception, and calls fail.

    """

    name: str
    send_fail: float = 0
    lost_urc: float = 0
    doubled: float = 0
    late: float = 0
    omitted: float = 0
    resets: int = 0
    lost_down: float = 0
    lost_up: float = 0
    noise: float = 0
    busy: float = 0
    outages: int = 0
    push: bool = True
    udp: bool = True
    errors: bool = False

    @property
    def whole(self) -> bool:
        """Whether no byte is lost on the line."""
        return not (self.lost_down or self.lost_up)


_LOST: Final = Condition("lost_bytes", lost_down=0.01, lost_up=0.006, errors=True)

CONDITIONS: Final = {
    condition.name: condition
    for condition in (
        Condition("clean"),
        Condition("clean_buffer", push=False, udp=False),
        Condition("send_fail", send_fail=0.15),
        Condition("lost_urcs", lost_urc=0.2),
        Condition("doubled_urcs", doubled=0.3),
        Condition("late", late=0.03),
        Condition("omitted", omitted=0.01, errors=True),
        Condition("resets", resets=3, errors=True),
        replace(_LOST, name="lost_bytes_buffer", push=False, udp=False),
        _LOST,
        Condition("noise", noise=0.1),
        Condition("busy", busy=0.1),
        Condition("outages", outages=2, errors=True),
        Condition(
            "all",
            send_fail=0.05,
            lost_urc=0.05,
            doubled=0.1,
            late=0.01,
            omitted=0.003,
            resets=1,
            lost_down=0.005,
            lost_up=0.003,
            noise=0.03,
            errors=True,
        ),
    )
}
"""All conditions, by name."""
