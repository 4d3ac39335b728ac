"""Endings with all that they work on, for tests that let exchanges end."""

from aiobc9x.core.endings import Consequence, Endings, Purpose
from aiobc9x.core.events import Job
from aiobc9x.core.exchange import Exchange
from aiobc9x.core.line_timing import LineTiming
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.receiving import Read
from aiobc9x.core.sending import Send, Sender, SendStep
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.core.statistics import Statistics
from aiobc9x.spec import ServiceType
from aiobc9x.wire.commands.base import Raw
from aiobc9x.wire.commands.tcpip import Command, Qird
from aiobc9x.wire.framer import Payload


class Desk:
    """Endings with all that they work on."""

    def __init__(self) -> None:
        self.sender, self.statistics = Sender(ModuleProfile()), Statistics()
        self.endings = Endings(self.sender, self.statistics)

    def answer(
        self,
        command: Command[object],
        purpose: Purpose,
        *lines: bytes | Payload,
        lost: bool = False,
        length_shown: bool = True,
    ) -> list[Consequence]:
        """End an exchange with an answer, at 10 s."""
        exchange = Exchange(command, purpose, 0.0, 2.0)
        for item in lines:
            if isinstance(item, Payload):
                exchange.on_payload(item)
            else:
                exchange.on_line(item)
        return list(self.endings.answered(exchange, 10.0, lost=lost, length_shown=length_shown))

    def expire(self, command: Command[object], purpose: Purpose) -> list[Consequence]:
        """End an exchange without one."""
        return list(self.endings.expired(Exchange(command, purpose, 0.0, 2.0), 10.0))

    def read(self, slot: Slot, *lines: bytes | Payload, shown: bool = True) -> list[Consequence]:
        """End a read."""
        return self.answer(Qird(2), Read(slot), *lines, length_shown=shown)

    def begin(self, slot: Slot, data: bytes = b"abc") -> Send:
        """Begin a send."""
        if slot.is_datagram:
            slot.queue_datagram(data)
        else:
            slot.outgoing += data
        return self.sender.begin(slot, LineTiming(11520.0), 0.0)

    def accept(self) -> None:
        """Let the module take the data of the send, as the session does at its ``OK``."""
        send = self.sender.outstanding
        assert send is not None
        for step in (SendStep.PROMPT, SendStep.WRITE, SendStep.ACCEPT):
            send.step(step)

    def begin_job(self) -> Job:
        """Begin a send that a caller has worded."""
        job = Job(Raw("AT+QISEND=0,3", True), data=b"abc")
        self.sender.begin_job(job, 0.0)
        return job


def socket(state: SlotState = SlotState.OPEN, kind: ServiceType = ServiceType.TCP) -> Slot:
    """Make a socket."""
    return Slot(2, 1, kind, state=state)
