"""Feed both forms of the framer, and the reference, what no module would say.

    python -m tests.wire.fuzz --seconds 600            # whatever seeds come
    python -m tests.wire.fuzz --seed 17 --seconds 0    # one again

Streams of fragments, damaged at random, under rules that change between chunks, with holds and
resyncs; and bytes without sense. Where the rules stay, the frames must be those of the
reference too. It ends with status 1 at the first difference, and names its seed.
"""

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from time import monotonic
from typing import Final

from aiobc9x.wire import framer as usual
from aiobc9x.wire.framer import Frame, Framer
from tests.wire.reference import FRAGMENTS, Reference, Rules, without_reasons

MOST_BYTES: Final = 6000


def in_python() -> type[Framer]:
    """The framer of the Python file, whichever form is imported as usual."""
    path = Path(str(usual.__file__)).with_name("framer.py")
    loader = SourceFileLoader("tests.wire.framer_in_python", str(path))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    made: type[Framer] = module.Framer
    return made


def stream(dice: random.Random) -> bytes:
    """Fragments of what modules say, in no order, with bytes lost, added and changed."""
    if dice.random() < 0.1:
        return dice.randbytes(dice.randrange(MOST_BYTES))
    parts = [_part(dice) for _ in range(dice.randrange(1, 30))]
    made = bytearray(b"".join(parts))
    for _ in range(dice.choice((0, 0, 1, 3, 20))):
        if made:
            at = dice.randrange(len(made))
            made[at : at + dice.choice((0, 0, 1, 4))] = dice.choice(
                (b"", b"\r", b"+QI", b">", b"\n")
            )
    return bytes(made[:MOST_BYTES])


def _part(dice: random.Random) -> bytes:
    kind, size = dice.randrange(8), dice.choice((1, 2, 9, 64, 1024, 1500, 4096))
    data = dice.randbytes(size)
    if dice.random() < 0.3:
        data = data.hex().encode() if dice.random() < 0.5 else b'"%b"' % data.hex().encode()
    separator = dice.choice((b"\r\n", b"\r\n", b"\r", b"\n", b","))
    if kind == 0:
        behind = dice.choice((b"\r\n\r\n", b"\r\n\r\n", b"\r\n", b""))
        remaining = dice.choice((b",0", b",1440", b"", b",-5", b", 7"))
        return b"\r\n+QIRD: %d%b%b%b%b" % (size, remaining, separator, data, behind)
    if kind == 1:
        behind = dice.choice((b"\r\n", b"", b"\n\r", b"\n"))
        head = b'\r\n+QIURC: "recv",%d,%d' % (dice.randrange(7), size)
        return b"%b%b%b%b" % (head, separator, data, behind)
    if kind == 2:
        return dice.choice((b"x", b"\r", b"\x00", b"AT\r", b"+QIRD:", b"1")) * dice.randrange(3000)
    return dice.choice(FRAGMENTS)


def rules(dice: random.Random) -> Rules:
    """What a framer may be told at any moment."""
    return Rules(
        {number for number in range(7) if dice.random() < 0.5},
        dice.random() < 0.3,
        dice.random() < 0.2,
        dice.random() < 0.8,
        dice.choice((1024, 1024, 0, -1, 100, 10**9)),
    )


def chunks(dice: random.Random, data: bytes) -> Iterator[bytes]:
    """Cut a stream in some way."""
    most, at = dice.choice((1, 2, 7, 64, 600, MOST_BYTES)), 0
    while at < len(data):
        size = dice.randint(0 if dice.random() < 0.1 else 1, most)
        yield data[at : at + size]
        at += size


def state(framer: Framer) -> tuple[object, ...]:
    """What a framer shows of itself."""
    return (
        repr(framer),
        framer.is_cut,
        framer.behind_push,
        [*framer.push_ends],
        framer.negative_remainings,
        framer.prompt_due,
        framer.hold_after_final,
    )


def changing(dice: random.Random, makers: Sequence[Callable[[], Framer]], data: bytes) -> None:
    """Change the rules between chunks, hold, and give up."""
    framers = [make() for make in makers]
    for chunk in chunks(dice, data):
        if dice.random() < 0.1:
            new = rules(dice)
            for framer in framers:
                new.apply(framer)
        hold, gives_up = dice.random() < 0.05, dice.random() < 0.01
        got: list[list[Frame]] = []
        for framer in framers:
            framer.hold_after_final |= hold
            got.append([*framer.feed(chunk), *(framer.resync() if gives_up else ())])
        assert all(frames == got[0] for frames in got), (chunk, got)
        states = [state(framer) for framer in framers]
        assert all(each == states[0] for each in states), (chunk, states)


def steady(
    dice: random.Random, makers: Sequence[Callable[[], Framer]], data: bytes, rule: Rules
) -> None:
    """Leave the rules alone, and compare with the reference."""
    reference = Reference()
    reference.feed(deepcopy(rule), data)
    for make in makers:
        framer = rule.apply(make())
        got = [frame for chunk in chunks(dice, data) for frame in framer.feed(chunk)]
        assert without_reasons(got) == reference.frames
        assert [*framer.push_ends] == reference.push_ends[-1024:]
        assert framer.negative_remainings == reference.negatives
        assert framer.prompt_due == reference.rules.prompt_due


def trial(seed: int, makers: Sequence[Callable[[], Framer]]) -> None:
    """Do one of each."""
    dice = random.Random(seed)
    changing(dice, makers, stream(dice))
    steady(dice, makers, stream(dice), rules(dice))


def main() -> None:
    """Go on until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, help="where to begin; at random if it isn't given")
    arguments = parser.parse_args()
    first = random.randrange(10**9) if arguments.seed is None else arguments.seed
    makers = (Framer, in_python())
    print(f"compiled: {usual.COMPILED}; first seed {first}", flush=True)
    start, seed = monotonic(), first
    while seed == first or monotonic() - start < arguments.seconds:
        try:
            trial(seed, makers)
        except BaseException:
            print(f"seed {seed}", file=sys.stderr)
            raise
        seed += 1
    print(f"{seed - first} trials, no difference")


if __name__ == "__main__":
    main()
