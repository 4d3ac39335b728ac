"""What goes wrong in a simulated soak, and when: a script, drawn from a seed or read from a file.

One line for each fault: the second at which it begins, its kind, and fields behind semicolons::

    35.2 drop-line;on=+QIURC: "recv";lasts=60
    120 unplug;lasts=30

The kinds of :class:`aiobc9x.sim.faults.FaultKind` take its fields, and strike where the text
fits, until they have struck ``times`` or ``lasts`` seconds are over. The kinds of :data:`DEEDS`
happen at that second. A line that begins with ``#`` says nothing. Take lines away from the script
of a run that has failed until it fails no more, and what is left is the cause.
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Final

from aiobc9x.sim.faults import Fault, FaultKind, parse_fault

LASTS_S: Final = 60.0
"""Seconds until a fault that has found nothing to strike at is over."""

GAP_S: Final = 90.0
"""Seconds between the end of one fault and the next one, on average."""

CROWD: Final = 0.2
"""How many faults don't wait for the end of the one before."""

DEEDS: Final = {
    "restart": "the module restarts, as by its RESET pin",
    "boot-loop": "it restarts again and again, every few seconds",
    "wedged": "it neither hears nor speaks until the user's hook resets it",
    "deep-sleep": "it sleeps, and the next line only wakes it",
    "unplug": "the port goes, and is back later; the module has lost its power meanwhile",
    "hang-up": "the line breaks, and can be opened again at once; the module goes on",
    "half-open": "the line carries nothing any more and doesn't say so; it can be opened again",
    "no-network": "coverage is lost",
    "denied": "the network denies registration",
}
"""What can be done to the module and to its line from outside."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that goes wrong.

    Attributes:
        at: Seconds since the beginning of the run.
        kind: A kind of fault, or a deed.
        lasts: Seconds until it is over at the latest.
        fault: What the virtual module is told, for its own kinds.

    """

    at: float
    kind: str
    lasts: float = LASTS_S
    fault: Fault | None = None

    def __str__(self) -> str:
        return ";".join((f"{self.at:.3f} {self.kind}", *self._fields(), f"lasts={self.lasts:.10g}"))

    def _fields(self) -> Iterator[str]:
        for each in fields(Fault) if self.fault is not None else ():
            value = getattr(self.fault, each.name)
            if each.name == "kind" or value == each.default:
                continue
            if isinstance(value, bytes):
                value = value.decode("latin-1").encode("unicode_escape").decode("ascii")
            yield f"{each.name}={'all' if value is None else value}"


def parse(text: str) -> Happening:
    """Read one line of a script.

    Raises:
        ValueError: It is none; the message says why.

    """
    at, _, rest = text.strip().partition(" ")
    kind, *settings = rest.strip().split(";")
    lasts = [each for each in settings if each.startswith("lasts=")]
    others = [each for each in settings if not each.startswith("lasts=")]
    try:
        begins = float(at)
        seconds = float(lasts[-1].removeprefix("lasts=")) if lasts else LASTS_S
        if kind not in DEEDS:
            fault = parse_fault(";".join((kind, *others)))
            return Happening(begins, kind, seconds, fault)
    except ValueError as error:
        raise ValueError(f"{text.strip()!r}: {error}; or one of {', '.join(DEEDS)}") from error
    if others:
        raise ValueError(f"{text.strip()!r}: {kind} has no field but lasts")
    return Happening(begins, kind, seconds)


def read_script(lines: Iterable[str]) -> list[Happening]:
    """Read a script, in whatever order its lines stand.

    Raises:
        ValueError: A line can't be read.

    """
    said = (line.strip() for line in lines)
    found = [parse(line) for line in said if line and not line.startswith("#")]
    return sorted(found, key=lambda each: each.at)


Draw = Callable[[random.Random], Happening]

_RESULTS: Final = ("OK", "SEND OK", "CLOSE OK", "+QIOPEN", "+QIRD", "+QISTATE", "+CEREG")
_LOST: Final = (*_RESULTS, "> ", '+QIURC: "recv"', '+QIURC: "closed"', '+QIURC: "incoming"', "RDY")
_COMMANDS: Final = ("AT+QIRD", "AT+QISEND", "AT+QIOPEN", "AT+QICLOSE", "AT+QISTATE", "AT+C", "AT")


def _of_module(kind: FaultKind, *on: str, **more: Callable[[random.Random], object]) -> Draw:
    def draw(rng: random.Random) -> Happening:
        values = {name: choose(rng) for name, choose in more.items()}
        times = rng.choice((1, 1, 1, 2, 4))
        after = rng.choice((0, 0, 1, 5))
        # Any: by the field's name.
        fault = Fault(kind, rng.choice(on or ("",)), after, times, **values)  # type: ignore[arg-type]
        return Happening(0.0, kind, fault=fault)

    return draw


def _deed(kind: str, least: float, most: float) -> Draw:
    """Make a deed that lasts between these seconds, short ones as likely as long ones."""
    low, high = math.log(least), math.log(most)
    return lambda rng: Happening(0.0, kind, round(math.exp(rng.uniform(low, high)), 3))


def _noise(rng: random.Random) -> bytes:
    """Bytes as a wrong level makes them: not one of them is a digit or a letter."""
    return bytes(rng.randrange(0x80, 0x100) for _ in range(rng.randint(1, 8)))


def _for(least: float, most: float) -> Callable[[random.Random], object]:
    return lambda rng: round(rng.uniform(least, most), 3)


def _up_to(most: int) -> Callable[[random.Random], object]:
    return lambda rng: rng.randint(1, most)


MIX: Final[tuple[tuple[float, Draw], ...]] = (
    (10, _of_module(FaultKind.DROP_LINE, *_LOST)),
    (6, _of_module(FaultKind.DUPLICATE_LINE, *_LOST)),
    (4, _of_module(FaultKind.DELAY_LINE, *_LOST, delay_s=_for(0.1, 3))),
    (2, _of_module(FaultKind.DELAY_LINE, *_RESULTS, delay_s=_for(9, 15))),
    (4, _of_module(FaultKind.GARBAGE, *_LOST, data=_noise)),
    (5, _of_module(FaultKind.CORRUPT_LINE, *_LOST, count=_up_to(8))),
    (5, _of_module(FaultKind.TRUNCATE_LINE, *_LOST, count=_up_to(12))),
    (4, _of_module(FaultKind.INTERLEAVE, *_LOST, data=lambda _rng: b"+CSCON: 1")),
    (6, _of_module(FaultKind.ERROR, *_COMMANDS)),
    (4, _of_module(FaultKind.IGNORE, *_COMMANDS)),
    (6, _of_module(FaultKind.SILENCE, *_COMMANDS, delay_s=_for(0.1, 25))),
    (3, _of_module(FaultKind.RESET, *_COMMANDS)),
    (3, _of_module(FaultKind.RESET_AT_LINE, *_LOST)),
    (3, _of_module(FaultKind.RESET_IN_PAYLOAD, count=_up_to(500))),
    (5, _of_module(FaultKind.SEND_FAIL)),
    (3, _of_module(FaultKind.LOSE_SENT, count=_up_to(100))),
    (5, _of_module(FaultKind.LOSE_BYTES, count=_up_to(200))),
    (2, _of_module(FaultKind.NETWORK_DOWN, *_COMMANDS, delay_s=_for(1, 60))),
    (3, _of_module(FaultKind.SWALLOW_RECV)),
    (4, _deed("restart", 1, 2)),
    (1, _deed("boot-loop", 5, 90)),
    (2, _deed("wedged", 600, 601)),
    (3, _deed("deep-sleep", 1, 2)),
    (4, _deed("unplug", 0.5, 1800)),
    (4, _deed("hang-up", 1, 2)),
    (3, _deed("half-open", 1, 2)),
    (3, _deed("no-network", 1, 3 * 3600)),
    (1, _deed("denied", 10, 1800)),
)
"""How often each kind comes, and how it is drawn."""


def random_script(seed: int, seconds: float) -> list[Happening]:
    """Draw what goes wrong in so many seconds; the last tenth of a day, or less, stays calm."""
    rng = random.Random(f"script {seed}")
    weights, draws = zip(*MIX, strict=True)
    script: list[Happening] = []
    at, until = rng.expovariate(1 / GAP_S), seconds - min(900.0, seconds / 10)
    while at < until:
        (draw,) = rng.choices(draws, weights)
        drawn = draw(rng)
        lasts = round(min(drawn.lasts, until - at), 3)
        script.append(Happening(round(at, 3), drawn.kind, lasts, drawn.fault))
        if rng.random() >= CROWD:
            # A fault of the module itself is over when it has struck, which is soon.
            at += min(lasts, 5.0) if drawn.fault is not None or drawn.kind == "wedged" else lasts
        at += rng.expovariate(1 / GAP_S)
    return script
