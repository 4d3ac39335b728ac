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


ALL_UNIQUE: Final = (
    b"+X: %d",
    b'+QIURC: "pdpdeact",%d',
    b"+QPING: 0,%d,32,100,255",
    b"+CSQ: %d,99",
    b'+COPS: 0,2,"%d",9',
    b"%d",
)


def urc_small(dice: random.Random) -> Part:
    """Result codes and URCs that come again and again."""
    return lines(dice.choice(RESULTS))


def urc_unique(dice: random.Random) -> Part:
    """Lines that hardly ever repeat."""
    address = ".".join(str(dice.randrange(256)) for _ in range(4)).encode()
    return lines(b"+QPING: 0,%b,32,%d,255" % (address, dice.randrange(100, 999)))


def announce(dice: random.Random) -> Part:
    """Announcements with lengths, of sockets in buffer mode: the commonest line of a gateway."""
    return lines(b'+QIURC: "recv",%d,%d' % (dice.randint(3, 5), dice.randint(1, 1440)))


def status(dice: random.Random) -> Part:
    """The clock, cells, peers that connect: lines with quotes and commas that change slowly."""
    cell = (dice.randrange(8), dice.randrange(16))
    address = b'"10.0.%d.%d",%d' % (
        dice.randrange(4),
        dice.randrange(256),
        dice.randrange(1024, 65536),
    )
    time = b"%02d:%02d:%02d" % (dice.randrange(24), dice.randrange(60), dice.randrange(60))
    return lines(
        dice.choice(
            (
                b'+CCLK: "26/11/29,%b+04"' % time,
                b'+QIURC: "incoming",%d,0,%b' % (dice.randint(3, 5), address),
                b'+CEREG: 5,"12A%X","0A01B2%02X",9' % cell,
                b'+CEREG: 5,1,"12A%X","0A01B2%02X",9,,,"00000101","01000001"' % cell,
            )
        )
    )


def all_unique(dice: random.Random) -> Part:
    """Lines of many kinds and lengths, no two alike."""
    number = dice.randrange(10**12)
    return lines(
        dice.choice(ALL_UNIQUE) % number + b"x" * dice.choice((0, 0, 0, dice.randrange(90)))
    )


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


def gateway(dice: random.Random) -> Part:
    """A gateway's day: six sockets, telemetry of log-normal sizes, all that goes with it."""
    size = min(1440, max(1, round(dice.lognormvariate(4, 1))))
    kind = dice.randrange(100)
    if kind < 25:
        announced = lines(b'+QIURC: "recv",%d,%d' % (dice.randint(3, 5), size))
        got = read(dice.randbytes(min(size, 1024)), max(0, size - 1024))
        return Part(announced.data + got.data, announced.frames + got.frames)
    if kind < 35:
        return lines(b"+QIRD: 0", b"OK")  # nothing is left
    if kind < 50:
        return push(dice, dice.randbytes(size))
    if kind < 80:
        return lines(b"OK", b"SEND OK")
    if kind < 90:
        signal = b"+CSQ: %d,99" % dice.randint(5, 25)
        return lines(dice.choice((signal, b"+QISEND: %d,0,%d" % (size * 40, size * 40))), b"OK")
    return status(dice) if kind < 97 else urc_small(dice)


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
    all_unique,
    announce,
    status,
    push_64,
    push_512,
    push_rnd,
    qird_1024,
    mixed,
    gateway,
)
ENDLESS: Final = "adv_endless"
ADVERSARIAL: Final[Sequence[str]] = ("adv_crlf", "adv_protocol", ENDLESS)
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
    if name == ENDLESS:
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
    line = (noise * (size_bytes // len(noise) + 1))[: max(size_bytes, 2 * LINE_MAX_BYTES)]
    damage = ("line too long", line[:LINE_MAX_BYTES])
    return Stream(ENDLESS, line + b"\r\nOK\r\n", [damage, (b"OK",)])
