"""What does a resumed TLS session save on a slow line?

    python -m benchmarks resuming          # one row per version of TLS and connection
    python -m benchmarks resuming --smoke  # the same

A server with a chain of two RSA certificates (2048 bits), as most have, answers at once; the
line has 9600 baud, the module takes 20 ms for a command, and time is virtual. So ``seconds``,
from the call of ``open_connection()`` to its return, are those of the line alone; a network adds
two round trips to a full handshake of TLS 1.2, and one to every other. ``payload_bytes`` went
through the socket, ``line_bytes`` over the line, commands included.
"""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

import trustme

import aiobc9x
from aiobc9x.sim.memory import Peer
from benchmarks.harness import Options, Table, run
from tests.support import clock
from tests.support.bench import HOST, NAME, Bench
from tests.support.tls import TLS_PORT, TlsPeer

BAUDRATE: Final = 9600
LATENCY_S: Final = 0.02
VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
COLUMNS: Final = (
    "tls",
    "connection",
    "payload_bytes",
    "line_bytes",
    "seconds",
    "percent_of_bytes",
    "percent_of_seconds",
)


@cache
def authority() -> trustme.CA:
    """Who has signed for the server's authority."""
    return trustme.CA(key_type=trustme.KeyType.RSA)


@cache
def server_context() -> ssl.SSLContext:
    """A server whose authority is not the client's own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    between = authority().create_child_ca(key_type=trustme.KeyType.RSA)
    between.issue_cert(NAME, key_type=trustme.KeyType.RSA).configure_cert(context)
    return context


def client_context(version: ssl.TLSVersion) -> aiobc9x.ResumingContext:
    """A client that speaks one version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    context.minimum_version = context.maximum_version = version
    return aiobc9x.resuming_context(context)


def serve(bench: Bench) -> None:
    """Have a server that greets."""

    def accept(peer: Peer) -> None:
        made = TlsPeer(peer, context=server_context())
        made.on_secured = lambda: made.send(b"hello")

    bench.network.serve_tcp(TLS_PORT, accept)


async def measure(version: ssl.TLSVersion, connections: int) -> list[tuple[int, int, float, bool]]:
    """Connect so many times; tell what each connection has taken, and whether it was resumed."""
    loop, taken = asyncio.get_running_loop(), []
    async with Bench(baud=BAUDRATE, latency=LATENCY_S, send_time=0.0) as bench:
        serve(bench)
        modem, context = await bench.open(baudrate=BAUDRATE), client_context(version)
        counted = modem.statistics
        for _ in range(connections):
            began, line, payload = loop.time(), counted.traffic_bytes, _payload(counted)
            reader, writer = await modem.open_connection(
                HOST, TLS_PORT, ssl=context, server_hostname=NAME
            )
            seconds = loop.time() - began
            await reader.readexactly(5)
            resumed = writer.get_extra_info("ssl_object").session_reused
            writer.close()
            await writer.wait_closed()
            taken.append(
                (_payload(counted) - payload, counted.traffic_bytes - line, seconds, resumed)
            )
    return taken


def _payload(counted: aiobc9x.Statistics) -> int:
    return counted.payload_bytes_sent + counted.payload_bytes_received


def rows(_options: Options) -> Iterator[Sequence[object]]:
    """The first connection, and the second, which is like all that follow."""
    for name, version in VERSIONS.items():
        first, second = clock.run(measure(version, 2))
        assert (first[3], second[3]) == (False, True), "the second connection was not resumed"
        for words, (payload, line, seconds, _) in (("first", first), ("next", second)):
            yield (
                name,
                words,
                payload,
                line,
                seconds,
                round(100 * payload / first[0]),
                round(100 * seconds / first[2]),
            )


def tables(options: Options) -> Iterator[Table]:
    """The one table."""
    yield Table(COLUMNS, rows(options))


if __name__ == "__main__":
    run(__name__)
