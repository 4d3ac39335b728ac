"""Byte streams of a module and, for each, the frames that a right framer makes of it.

Every stream comes from a seed; two seeds give different bytes of the same kind. The
generator writes down the frames as it writes the bytes, so the oracle owes nothing to
any framer. A frame is a tuple: ``(text,)`` of a line, ``(connect_id, remaining, data)``
of a payload, ``(reason, data)`` of damage.
"""

import random
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

Line: TypeAlias = tuple[bytes]
Payload: TypeAlias = tuple[int | None, int | None, bytes]
Damage: TypeAlias = tuple[str, bytes]
Frame: TypeAlias = Line | Payload | Damage

PUSH_SOCKETS: Final = frozenset({0, 1, 2})
"""Connect IDs in direct push mode; the other three announce only."""

CHUNK_SIZES_BYTES: Final = (1, 16, 64, 256, 4096, 0)
"""How the streams are cut; 0 stands for not at all."""

LINE_MAX_BYTES: Final = 4096  # where a framer gives a line up, by its contract


class Part(NamedTuple):
    """Some bytes and the frames that they hold."""

    data: bytes
    frames: tuple[Frame, ...]


class Stream(NamedTuple):
    """A workload's bytes and its oracle."""

    name: str
    data: bytes
    frames: list[Frame]

    def chunks(self, size_bytes: int) -> list[bytes]:
        """Cut the bytes; 0 leaves them whole."""
        size = size_bytes or len(self.data)
        return [self.data[at : at + size] for at in range(0, len(self.data), size)]


Maker: TypeAlias = Callable[[random.Random], Part]


def lines(*texts: bytes) -> Part:
    """Lines as a module prints them: a line end before and behind each (§2.1.2)."""
    return Part(b"".join(b"\r\n%b\r\n" % text for text in texts), tuple((t,) for t in texts))


def push(dice: random.Random, data: bytes) -> Part:
    """Data of a socket in direct push mode (§2.3.2)."""
    connect_id = dice.choice(sorted(PUSH_SOCKETS))
    stream = b'\r\n+QIURC: "recv",%d,%d\r\n%b\r\n' % (connect_id, len(data), data)
    return Part(stream, ((connect_id, None, data),))


def read(data: bytes, remaining: int) -> Part:
    """An answer to AT+QIRD with its final result (§2.2.6)."""
    stream = b"\r\n+QIRD: %d,%d\r\n%b\r\n\r\nOK\r\n" % (len(data), remaining, data)
    return Part(stream, ((None, remaining, data), (b"OK",)))


RESULTS: Final = (
    b"OK",
    b"SEND OK",
    b"CLOSE OK",
    b"+QIOPEN: 0,0",
    b'+QIURC: "closed",3',
    b'+QIURC: "recv",3',
    b'+QIURC: "recv",4',
    b'+QIURC: "recv",5',
    b'+QIURC: "incoming full"',
)


def urc_small(dice: random.Random) -> Part:
    """Result codes and URCs that come again and again."""
    return lines(dice.choice(RESULTS))


def urc_unique(dice: random.Random) -> Part:
    """Lines that hardly ever repeat."""
    address = ".".join(str(dice.randrange(256)) for _ in range(4)).encode()
    return lines(b"+QPING: 0,%b,32,%d,255" % (address, dice.randrange(100, 999)))


def push_64(dice: random.Random) -> Part:
    """Pushed data of 64 random bytes each."""
    return push(dice, dice.randbytes(64))


def push_512(dice: random.Random) -> Part:
    """Pushed data of 512 random bytes each."""
    return push(dice, dice.randbytes(512))


def push_rnd(dice: random.Random) -> Part:
    """Pushed data of up to 1440 random bytes."""
    return push(dice, dice.randbytes(dice.randint(1, 1440)))


def qird_1024(dice: random.Random) -> Part:
    """Full answers to AT+QIRD."""
    return read(dice.randbytes(1024), dice.randrange(4096))


def mixed(dice: random.Random) -> Part:
    """A gateway with six sockets: announcements, reads, sends, some pushes."""
    kind = dice.randrange(20)
    if kind < 4:
        return lines(b'+QIURC: "recv",%d,%d' % (dice.randint(3, 5), dice.randint(1, 1440)))
    if kind < 8:
        return read(dice.randbytes(dice.randint(1, 256)), dice.choice((0, dice.randrange(1440))))
    if kind < 11:
        return push(dice, dice.randbytes(dice.randint(1, 256)))
    return lines(b"OK", b"SEND OK") if kind < 16 else urc_small(dice)


def announced(dice: random.Random) -> Part:
    """Announcements of buffer sockets with lengths: the commonest line of any gateway."""
    return lines(b'+QIURC: "recv",%d,%d' % (dice.randint(3, 5), dice.randint(1, 1440)))


def incoming(dice: random.Random) -> Part:
    """Peers that connect to a listener."""
    address = ".".join(str(dice.randrange(256)) for _ in range(4)).encode()
    port = dice.randint(1024, 65535)
    return lines(b'+QIURC: "incoming",%d,3,"%b",%d' % (dice.randint(3, 5), address, port))


def clock(dice: random.Random) -> Part:
    """The time, asked again and again."""
    day, hour = (dice.randint(1, 28), dice.randrange(24))
    minute, second = dice.randrange(60), dice.randrange(60)
    time = b"26/%02d/%02d,%02d:%02d:%02d+08" % (dice.randint(1, 12), day, hour, minute, second)
    return lines(b'+CCLK: "%b"' % time, b"OK")


def cell(dice: random.Random) -> Part:
    """Registration, with the cell it is in (27.007)."""
    area, number = dice.randrange(1 << 16), dice.randrange(1 << 28)
    return lines(b'+CEREG: %d,"%04X","%08X",9' % (dice.choice((1, 5)), area, number))


def telemetry_bytes(dice: random.Random) -> int:
    """How much a device has to say: log-normal, 60 bytes in the middle, 1024 at most."""
    return max(1, min(1024, round(dice.lognormvariate(4.1, 0.9))))


def gateway(dice: random.Random) -> Part:
    """A gateway's day: six sockets, telemetry, reads, pushes, sends and queries."""
    kind = dice.randrange(100)
    size = telemetry_bytes(dice)
    if kind < 30:  # without the empty read behind it, which asyncio's streams contender can't tell
        announcement = lines(b'+QIURC: "recv",%d,%d' % (dice.randint(3, 5), size))
        return join(announcement, read(dice.randbytes(size), 0))
    if kind < 55:
        return push(dice, dice.randbytes(size))
    if kind < 85:
        return lines(b"OK", b"SEND OK")
    if kind < 93:
        return clock(dice) if kind < 88 else cell(dice)
    return incoming(dice) if kind < 95 else urc_small(dice)


def all_unique(dice: random.Random) -> Part:
    """No line and no length that came before: the worst of any cache."""
    kind = dice.randrange(6)
    if kind < 3:
        return (incoming, clock, cell)[kind](dice)
    if kind == 3:
        return lines(b"+CGSN: %015d" % dice.randrange(10**15))
    if kind == 4:
        return read(dice.randbytes(dice.randint(1, 1024)), dice.randrange(10**9))
    return urc_unique(dice)


def join(*parts: Part) -> Part:
    """One part behind the other."""
    return Part(b"".join(p.data for p in parts), tuple(f for p in parts for f in p.frames))


def adv_crlf(dice: random.Random) -> Part:
    """Payloads of line ends."""
    return push(dice, b"\r\n" * dice.randint(1, 700))


def adv_protocol(dice: random.Random) -> Part:
    """Payloads that look like answers, URCs and headers."""
    inner = b"".join(mixed(dice).data for _ in range(30))
    start = dice.randrange(200)
    return push(dice, inner[start : start + dice.randint(1, 1440)])


NORMAL: Final[Sequence[Maker]] = (
    urc_small,
    urc_unique,
    push_64,
    push_512,
    push_rnd,
    qird_1024,
    mixed,
    announced,
    incoming,
    clock,
    cell,
    gateway,
    all_unique,
)
ADVERSARIAL: Final[Sequence[str]] = ("adv_crlf", "adv_protocol", "adv_endless")
NAMES: Final = (*(maker.__name__ for maker in NORMAL), *ADVERSARIAL)

_MAKERS: Final = {maker.__name__: maker for maker in (*NORMAL, adv_crlf, adv_protocol)}


def stream(name: str, seed: int, size_bytes: int) -> Stream:
    """Make a workload.

    Args:
        name: One of :data:`NAMES`.
        seed: The same seed gives the same bytes.
        size_bytes: Least length; the last part is whole.

    """
    dice = random.Random(f"{name} {seed}")
    if name == "adv_endless":
        return _endless(dice, size_bytes)
    maker = _MAKERS[name]
    data: list[bytes] = []
    frames: list[Frame] = []
    length = 0
    while length < size_bytes:
        part = maker(dice)
        data.append(part.data)
        frames += part.frames
        length += len(part.data)
    return Stream(name, b"".join(data), frames)


def _endless(dice: random.Random, size_bytes: int) -> Stream:
    """One line without an end, until at last it has one; a framer gives up on it long before."""
    noise = bytes(byte for byte in dice.randbytes(256) if byte not in b"\r\n>+AaTt")
    length = max(size_bytes, 2 * LINE_MAX_BYTES)
    line = (noise * (length // len(noise) + 1))[:length]
    damage = ("line too long", line[:LINE_MAX_BYTES])
    return Stream("adv_endless", line + b"\r\nOK\r\n", [damage, (b"OK",)])
