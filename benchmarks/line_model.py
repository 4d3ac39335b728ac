"""What a serial line can carry at most, counted from the bytes of the note's formats.

8N1: a byte takes ten bits. The module answers one latency after the last byte of a command
or payload; the host takes no time. What rule 5 of docs/design.md demands is counted in.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from aiobc9x.core.line_timing import LineTiming
from aiobc9x.core.sending import BURST_S, SendForm, send_time
from aiobc9x.spec import READ_MAX_BYTES
from aiobc9x.wire.commands.tcpip import Qird

SEND_OK_BYTES: Final = len(b"\r\nSEND OK\r\n")
EMPTY_BYTES: Final = len(b"\r\n+QIRD: 0\r\n\r\nOK\r\n")
READ_BYTES: Final = len(Qird(0).encode())


class Line(NamedTuple):
    """A serial line with a module at its end.

    Attributes:
        baudrate: Bits a second.
        latency_s: Of the module.

    """

    baudrate: int
    latency_s: float

    @property
    def bytes_per_s(self) -> float:
        """Bytes a second, each way."""
        return self.baudrate / 10

    def seconds(self, size_bytes: int) -> float:
        """How long so many bytes take."""
        return size_bytes / self.bytes_per_s


def sends_s(line: Line, size_bytes: int, forms: Collection[SendForm], sockets: int) -> float:
    """Seconds a send until its ``SEND OK``, by the best of some forms, in a long burst."""
    timing = LineTiming(line.bytes_per_s, line.latency_s)
    best = min(forms, key=lambda form: send_time(form, size_bytes, timing))
    each = send_time(best, size_bytes, timing) + line.seconds(SEND_OK_BYTES)
    if best is not SendForm.FIXED:
        return each
    # Once a second, or once a send if that takes longer, each socket is read in vain.
    reads = sockets * (line.seconds(READ_BYTES + EMPTY_BYTES) + line.latency_s)
    return each + reads * each / max(each, BURST_S)


def reads_s(line: Line, node_bytes: int) -> float:
    """Seconds until all bytes of a node have been read, and ``OK`` behind them."""
    sizes = [READ_MAX_BYTES] * (node_bytes // READ_MAX_BYTES)
    sizes += [node_bytes % READ_MAX_BYTES] if node_bytes % READ_MAX_BYTES else []
    total, left = 0.0, node_bytes
    for size in sizes:
        left -= size
        answer = b"\r\n+QIRD: %d,%d\r\n\r\n\r\nOK\r\n" % (size, left)
        total += line.seconds(READ_BYTES + len(answer) + size) + line.latency_s
    return total


def push_s(line: Line, size_bytes: int) -> float:
    """Seconds that a push takes; the module's latency is in the network's shadow."""
    return line.seconds(len(b'\r\n+QIURC: "recv",0,%d\r\n\r\n' % size_bytes) + size_bytes)
