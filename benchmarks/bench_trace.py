"""What does a trace cost, for the event loop and in all, and how large is it?

    python -m benchmarks trace          # one row per kind of payloads and of dialogue
    python -m benchmarks trace --smoke  # one round; CI runs this

A round records commands with their answers. ``loop_us_per_record`` is what the event loop
waits; ``all_us_per_record`` is the time of the processor for both threads, the masking and the
writing included. ``share_of_115200`` is that time for a line of 115200 bit/s that is never
silent, in per cent of a core. ``bytes_over`` is what a record takes in the file beyond the bytes
that it is about.
"""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import process_time, thread_time
from typing import Final

from aiobc9x.trace import Payloads, Trace
from aiobc9x.trace.recording import Recorder
from benchmarks.harness import Options, Table, run

ROUNDS: Final = 9
COMMANDS: Final = 2000
SMOKE_COMMANDS: Final = 50
BYTES_A_SECOND: Final = 11520
COLUMNS: Final = (
    "payloads",
    "dialogue",
    "loop_us_per_record",
    "all_us_per_record",
    "share_of_115200",
    "bytes_over",
)


def dialogues(seed: int) -> dict[str, tuple[bytes, bytes]]:
    """A command and its answer, of several kinds."""
    data = random.Random(seed).randbytes(1024)
    text = bytes(byte % 64 + 32 for byte in data)
    return {
        "questions": (b"AT+CSQ\r", b"\r\n+CSQ: 20,0\r\n\r\nOK\r\n"),
        "reads of text": (b"AT+QIRD=0,1024\r", b"\r\n+QIRD: 1024,0\r\n%s\r\n\r\nOK\r\n" % text),
        "reads of bytes": (b"AT+QIRD=0,1024\r", b"\r\n+QIRD: 1024,0\r\n%s\r\n\r\nOK\r\n" % data),
    }


def tables(options: Options) -> Iterator[Table]:
    """Each kind of dialogue, with all, some or none of its payloads."""
    yield Table(COLUMNS, _rows(options))


def _rows(options: Options) -> Iterator[tuple[object, ...]]:
    count = SMOKE_COMMANDS if options.smoke else COMMANDS
    for payloads in Payloads:
        for name, dialogue in dialogues(options.seed).items():
            found = [_record(payloads, dialogue, count) for _ in range(options.rounds)]
            loop, both, size = (median(column) for column in zip(*found, strict=True))
            records_a_second = 2 * BYTES_A_SECOND / sum(map(len, dialogue))
            share = 100 * both * 1e-6 * records_a_second
            kept = sum(map(len, dialogue)) / 2 if payloads is Payloads.WHOLE else 0
            yield payloads.value, name, loop, both, share, size - kept


def _record(payloads: Payloads, dialogue: tuple[bytes, bytes], count: int) -> tuple[float, ...]:
    """Record a dialogue; return both times of a record, in µs, and its size in the file."""
    command, answer = dialogue
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        began = process_time()
        recorder = Recorder(Trace(path, payloads))
        recorder.begin_link(0.0, {})
        loop = thread_time()
        for number in range(count):
            recorder.sent(command, float(number))
            recorder.received(answer, number + 0.5)
        loop = thread_time() - loop
        recorder.close()
        both = process_time() - began
        assert not recorder.lost
        size = path.stat().st_size
    records = 2 * count
    return loop / records * 1e6, both / records * 1e6, size / records


if __name__ == "__main__":
    run(__name__)
