"""What one more chunk, one more frame and one more command cost, up to each layer.

The same pushed payloads come as one chunk and as one chunk each: the difference is what
chunks cost, the rest what frames cost. Each layer is measured with all those below it. The
least of all rounds counts: whatever else the machine has to do only adds to it.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, NamedTuple

from aiobc9x import AccessMode
from aiobc9x.core.events import Job
from aiobc9x.core.session import Session
from aiobc9x.core.slots import SlotState
from aiobc9x.spec import ServiceType
from aiobc9x.wire.commands.base import Raw
from aiobc9x.wire.framer import Framer
from benchmarks.harness import Options, Run, in_turns
from benchmarks.script import Script, open_modem
from tests.support.words import NEXT, OK

TURN_S: Final = 0.0005  # shorter than the slices of a busy machine
FRAMES: Final = 32
PAYLOAD: Final = bytes(64)
FRAME: Final = b'\r\n+QIURC: "recv",0,64\r\n' + PAYLOAD + b"\r\n"
CHUNKED: Final = (*[FRAME] * FRAMES, NEXT)
WHOLE: Final = (b"".join(CHUNKED),)
COLUMNS: Final = (
    "up_to",
    "us_per_frame",
    "us_per_chunk",
    "us_per_command",
    "frame_over_framer",
    "command_over_framer",
)

Take = Callable[[bytes], object]


class Layer(NamedTuple):
    """One layer with all below it.

    Attributes:
        name: What to call it.
        take: Takes received bytes.
        after: Done when all bytes of a turn are in.
        command: Carries out a command, answer included; ``None`` if it has none.

    """

    name: str
    take: Take
    after: Run = lambda: None
    command: Run | None = None


def framer() -> Layer:
    """The framer alone."""
    made = Framer()
    made.push_sockets.add(0)
    answers = Framer()
    return Layer("framer", made.feed, command=lambda: answers.feed(OK))


def session() -> Layer:
    """The session with its framer."""
    made = Session()
    made.resume()
    slot = made.sockets.reserve(ServiceType.TCP, AccessMode.PUSH)
    assert slot is not None
    slot.move(SlotState.OPEN)
    made.set_access_mode(0, AccessMode.PUSH)

    def take(data: bytes) -> None:
        made.feed(data, 0.0)
        made.next_output(0.0)
        made.deadline()

    other, order = Session(), Raw("AT")
    other.resume()

    def command() -> None:
        other.queue.add(Job(order))
        other.next_output(0.0)
        other.feed(OK, 0.0)
        other.next_output(0.0)
        other.deadline()

    return Layer("session", take, command=command)


class _Sink(asyncio.Protocol):
    """Takes data, and does nothing with them."""

    def data_received(self, data: bytes) -> None:
        pass


async def upper_layers(loop: asyncio.AbstractEventLoop, stack: AsyncExitStack) -> list[Layer]:
    """The layers that need a loop; the stack closes their modems."""
    sinking, streaming = Script(), Script()
    one, other, quiet = [
        await stack.enter_async_context(await open_modem(script))
        for script in (sinking, streaming, Script())
    ]
    await one.create_connection(_Sink, "192.0.2.1", 80, access_mode=AccessMode.PUSH)
    streams = await other.open_connection("192.0.2.1", 80, access_mode=AccessMode.PUSH)
    order = Raw("AT")

    def ask(make: Callable[[], Any]) -> Run:  # Any: coroutines of two types
        async def repeat() -> None:
            for _ in range(FRAMES):
                await make()

        return lambda: loop.run_until_complete(repeat())

    size = FRAMES * len(PAYLOAD)
    return [
        Layer(
            "driver and transport",
            sinking.say_now,
            command=ask(lambda: quiet._driver.run(order)),
        ),
        Layer(
            "streams, Modem.command",
            streaming.say_now,
            after=lambda: loop.run_until_complete(streams[0].readexactly(size)),
            command=ask(lambda: quiet.command("AT")),
        ),
    ]


def rows(options: Options) -> Iterator[Sequence[object]]:
    """One row per layer, with all below it."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        lower = [framer(), session()]
        stack = AsyncExitStack()
        layers = [*lower, *runner.run(upper_layers(loop, stack))]
        runs: dict[str, Run] = {}
        for layer in layers:
            runs[f"{layer.name} whole"] = _feeding(layer, WHOLE)
            runs[f"{layer.name} chunked"] = _feeding(layer, CHUNKED)
            assert layer.command is not None
            runs[f"{layer.name} command"] = (
                _repeated(layer.command) if layer in lower else layer.command
            )
        times = in_turns(runs, rounds=options.rounds, round_seconds=TURN_S)
        runner.run(stack.aclose())
    least = {name: min(took) for name, took in times.items()}
    for layer in layers:
        whole, chunked, command = (
            least[f"{layer.name} {kind}"] for kind in ("whole", "chunked", "command")
        )
        yield (
            layer.name,
            whole / FRAMES * 1e6,
            (chunked - whole) / (len(CHUNKED) - 1) * 1e6,
            command / FRAMES * 1e6,
            whole / least["framer whole"],
            command / least["framer command"],
        )


def _feeding(layer: Layer, chunks: Sequence[bytes]) -> Run:
    def feed() -> None:
        for chunk in chunks:
            layer.take(chunk)
        layer.after()

    return feed


def _repeated(command: Run) -> Run:
    def repeat() -> None:
        for _ in range(FRAMES):
            command()

    return repeat
