"""How close does a connection come to what the serial line can carry?

    python -m benchmarks line          # every rate, latency, size and way
    python -m benchmarks line --smoke  # one rate and latency

Virtual lines under a virtual clock (see benchmarks/line_runs.py): the figures are the
protocol's, and the same on every machine. ``possible`` is the arithmetic of
benchmarks/line_model.py. In the second table small writes are not waited for, so that they
join to 1440 bytes while a send is outstanding.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from aiobc9x.spec import AccessMode
from benchmarks.harness import Options, Plot, Table, run
from benchmarks.line_model import Line
from benchmarks.line_runs import Transfer, receive, send

BAUDRATES: Final = (9600, 115200, 921600)
LATENCIES_MS: Final = (0, 5, 20, 100)
SIZES_BYTES: Final = (16, 64, 256, 1440)
MESSAGE_BYTES: Final = 16
# So many that the end of the transfer, which is waited for, weighs little.
RECEIVED_BYTES: Final = 60_000

COLUMNS: Final = (
    "baudrate",
    "latency_ms",
    "way",
    "payload_bytes",
    "connections",
    "bytes_per_s",
    "percent_of_possible",
    "percent_of_line",
    "sends_inline",
    "sends_hex",
    "sends_fixed",
)
PLOTS: Final = tuple(
    Plot(
        x="latency_ms",
        y="percent_of_line",
        series="way",
        x_label="module latency in ms",
        y_label="payload, as % of the line",
        title=title,
        only={"baudrate": 115200, "payload_bytes": size, "connections": 1},
    )
    for title, size in (("full payloads at 115200 baud", 1440), ("64 bytes at a time", 64))
)


def lines(options: Options) -> Iterator[tuple[Line, int]]:
    """The lines to ask about, and how many payloads each carries."""
    if options.smoke:
        yield Line(115200, 0.005), 12
        return
    for baudrate in BAUDRATES:
        for latency_ms in LATENCIES_MS:
            yield Line(baudrate, latency_ms / 1000), 60


def rows(options: Options) -> Iterator[Sequence[object]]:
    """One row for each way to use each line."""
    for line, count in lines(options):
        for size in SIZES_BYTES:
            for writers in (1, 6):
                for text in (True, False):
                    way = f"send {'text' if text else 'bytes'}"
                    made = send(line, size, options.seed, writers=writers, text=text, count=count)
                    yield row(line, way, size, writers, made)
        for size in SIZES_BYTES:
            for mode in AccessMode.BUFFER, AccessMode.PUSH:
                enough = count if options.smoke else max(count, RECEIVED_BYTES // size)
                made = receive(line, size, options.seed, mode=mode, count=enough)
                yield row(line, f"receive, {mode.name.lower()} mode", size, 1, made)


def row(line: Line, way: str, size: int, connections: int, made: Transfer) -> Sequence[object]:
    """Word one transfer."""
    counted = made.statistics
    return (
        line.baudrate,
        round(line.latency_s * 1000),
        way,
        size,
        connections,
        round(made.bytes_per_s),
        100 * made.share,
        100 * made.bytes_per_s / line.bytes_per_s,
        counted.sends_inline,
        counted.sends_hex,
        counted.sends_fixed,
    )


def joined_rows(options: Options) -> Iterator[Sequence[object]]:
    """Messages a second, one send each or joined."""
    for line, count in lines(options):
        size, seed = MESSAGE_BYTES, options.seed
        one = send(line, size, seed, count=count).bytes_per_s / size
        many = send(line, size, seed, count=20 * count, joined=True).bytes_per_s / size
        yield line.baudrate, round(line.latency_s * 1000), one, many, many / one


def tables(options: Options) -> Iterator[Table]:
    """Everything that there is to say."""
    yield Table(COLUMNS, rows(options), "share of the line")
    columns = ("baudrate", "latency_ms", "one_send_each_per_s", "joined_per_s", "times")
    yield Table(columns, joined_rows(options), f"messages of {MESSAGE_BYTES} bytes a second")


if __name__ == "__main__":
    run(__name__)
