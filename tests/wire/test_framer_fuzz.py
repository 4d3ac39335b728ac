"""Framer: what modules say, damaged and cut at random, against the reference."""

import random
from collections.abc import Iterator
from copy import deepcopy

import pytest

from aiobc9x.wire.framer import Framer
from benchmarks import workloads
from tests.wire.reference import Reference, Rules, fed, without_reasons

MAKERS = (
    workloads.urc_small,
    workloads.urc_unique,
    workloads.push_64,
    workloads.adv_crlf,
    *[workloads.mixed] * 5,
)
INSERTED = (b"\r", b"\n", b"\r\n", b"+QI", b"> ", b",", b"+QIRD: 5,0\r\n")


def damaged(dice: random.Random, stream: bytes) -> bytes:
    """Lose, add or change a few bytes."""
    made = bytearray(stream)
    for _ in range(dice.choice((0, 0, 1, 2, 5))):
        at, what = dice.randrange(len(made)), dice.random()
        if what < 0.4:
            del made[at : at + dice.randint(1, 4)]
        elif what < 0.7:
            made[at:at] = dice.choice(INSERTED)
        else:
            made[at] = dice.choice(b"\r\n,+>Q0\0")
        made += b"\r\n"
    return bytes(made)


def rules_by(dice: random.Random) -> Rules:
    """Choose what the framer is to go by."""
    return Rules(
        push_sockets={number for number in range(6) if dice.random() < 0.6},
        prompt_due=dice.random() < 0.1,
        hex_receive=dice.random() < 0.05,
        length_shown=dice.random() < 0.9,
        read_due=dice.choice((1024, 1024, 2000, 0, 100)),
    )


def cuts(dice: random.Random, stream: bytes) -> Iterator[list[bytes]]:
    """Cut a stream: not at all, at every byte, and in pieces of up to some size, or of none."""
    yield [stream]
    for most in (1, 2, 5, 16, 64, 200, 600):
        pieces, at = [], 0
        while at < len(stream):
            size = dice.randint(0 if dice.random() < 0.1 else 1, most)
            pieces.append(stream[at : at + size])
            at += size
        yield pieces


@pytest.mark.parametrize("block", range(16))
def test_the_frames_are_those_of_the_reference(block: int) -> None:
    """Whatever got lost, and however the rest is cut."""
    for seed in range(block * 12, block * 12 + 12):
        dice = random.Random(seed)
        parts = [dice.choice(MAKERS)(dice).data for _ in range(dice.randint(1, 14))]
        stream, rules = damaged(dice, b"".join(parts)), rules_by(dice)
        reference = Reference()
        reference.feed(deepcopy(rules), stream)
        for chunks in cuts(dice, stream):
            made = rules.apply(Framer())
            assert without_reasons(fed(made, chunks)) == reference.frames, seed
            assert list(made.push_ends) == reference.push_ends, seed
            assert made.negative_remainings == reference.negatives, seed
            assert made.prompt_due == reference.rules.prompt_due, seed


@pytest.mark.parametrize("behind", [b"\n\n", b"\r\n\n", b"\n\r\n\r\n", b"\r\n\r\n", b"\r\r\n"])
def test_what_follows_pushed_data_byte_by_byte(behind: bytes) -> None:
    """The end of a push is told from the first bytes behind it, whichever they are."""
    stream = b'+QIURC: "recv",2,3\r\nabc' + behind + b"OK\r\n"
    rules, reference = Rules(push_sockets={2}), Reference()
    reference.feed(deepcopy(rules), stream)
    for size in (1, 2, 3):
        made = rules.apply(Framer())
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert without_reasons(fed(made, chunks)) == reference.frames
        assert list(made.push_ends) == reference.push_ends


def test_line_ends_alone_begin_no_line() -> None:
    """What follows them may be a header."""
    chunks = [b'+QIURC:"recv",1', b"\n", b"\n\n", b"+QIRD:5\r", b"\n12345\r\n\r\n"]
    rules, reference = Rules(push_sockets={1}), Reference()
    reference.feed(deepcopy(rules), b"".join(chunks))
    assert without_reasons(fed(rules.apply(Framer()), chunks)) == reference.frames


@pytest.mark.parametrize("size", [64, 700, 5000])
@pytest.mark.parametrize("name", workloads.NAMES)
def test_workloads_in_chunks(name: str, size: int) -> None:
    """Undamaged, in chunks that end anywhere: each workload has its oracle."""
    stream = workloads.stream(name, 3, 40_000)
    reference = Reference()
    rules = Rules(push_sockets=set(workloads.PUSH_SOCKETS))
    reference.feed(deepcopy(rules), stream.data)
    made = rules.apply(Framer())
    assert without_reasons(fed(made, stream.chunks(size))) == reference.frames
    assert list(made.push_ends) == reference.push_ends[-1024:]


@pytest.mark.parametrize("size", [1, 16, 64, 5000])
def test_no_read_is_larger_than_the_note_allows(size: int) -> None:
    """Whatever is said to be due; behind a payload too, where chunks go another way."""
    read = b"\r\n+QIRD: %d,0\r\n%b\r\n\r\nOK\r\n"
    stream = read % (3, b"abc") + read % (1025, b"x" * 1025) + b"\r\nOK\r\n"
    rules, reference = Rules(read_due=2000), Reference()
    reference.feed(deepcopy(rules), stream)
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert without_reasons(fed(rules.apply(Framer()), chunks)) == reference.frames
