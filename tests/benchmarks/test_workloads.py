"""The benchmarks' workloads: the same for a seed, with an oracle that is right."""

from collections.abc import Callable
from contextlib import closing

import pytest

from aiobc9x.wire.framer import Damage, Framer, Line
from benchmarks.contenders import MAKERS, Ours, is_right, pure, right_percent
from benchmarks.workloads import (
    ADVERSARIAL,
    CHUNK_SIZES_BYTES,
    LINE_MAX_BYTES,
    NAMES,
    PUSH_SOCKETS,
    stream,
)

SIZE_BYTES = 6000
FRAME_BYTES = {"urc_small": 17, "urc_unique": 38, "push_64": 89, "push_512": 538, "mixed": 47}


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_bytes_and_frames(name: str) -> None:
    """Another gives others."""
    assert stream(name, 1, SIZE_BYTES) == stream(name, 1, SIZE_BYTES)
    assert stream(name, 1, SIZE_BYTES).data != stream(name, 2, SIZE_BYTES).data


@pytest.mark.parametrize("name", NAMES)
def test_it_is_as_long_as_asked(name: str) -> None:
    """The last part is whole."""
    assert SIZE_BYTES <= len(stream(name, 1, SIZE_BYTES).data) < SIZE_BYTES + 2 * LINE_MAX_BYTES


@pytest.mark.parametrize(("name", "frame_bytes"), FRAME_BYTES.items())
def test_frames_have_the_size_that_figures_are_quoted_for(name: str, frame_bytes: int) -> None:
    """On the average."""
    made = stream(name, 3, 100_000)
    assert len(made.data) / len(made.frames) == pytest.approx(frame_bytes, rel=0.12)


@pytest.mark.parametrize("size", CHUNK_SIZES_BYTES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("maker", [Ours, pure])
def test_the_framer_agrees_with_the_oracle(maker: Callable[[], Ours], name: str, size: int) -> None:
    """However the stream is cut, for a new framer and for one that knows the lines."""
    contender = maker()
    for seed in (1, 2, 2):
        made = stream(name, seed, SIZE_BYTES)
        assert b"".join(made.chunks(size)) == made.data
        assert is_right(made, contender.frames(made.chunks(size)))


@pytest.mark.parametrize("size", CHUNK_SIZES_BYTES)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "adv_endless"])
@pytest.mark.parametrize("contender", ["plain", "tokenizer", "streams"])
def test_who_counts_payloads_gets_them_right(contender: str, name: str, size: int) -> None:
    """So what is timed does the same work; only the endless line is beyond them.

    And asyncio's reader takes ``+QIRD: 0`` for a payload of no bytes.
    """
    made = stream(name, 4, SIZE_BYTES)
    with closing(MAKERS[contender]()) as maker:
        for _ in range(2):
            found = [frame for frame in maker.frames(made.chunks(size)) if frame[-1]]
            due = [frame for frame in made.frames if frame != (b"+QIRD: 0",)]
            assert is_right(
                made._replace(frames=due if contender == "streams" else made.frames), found
            )


@pytest.mark.parametrize("contender", MAKERS)
def test_all_get_lines_right(contender: str) -> None:
    """Also those that know nothing of payloads."""
    made = stream("urc_unique", 5, SIZE_BYTES)
    with closing(MAKERS[contender]()) as maker:
        assert is_right(made, maker.frames(made.chunks(64)))
        maker.run(made.chunks(64))


def test_splitting_at_line_ends_loses_payloads() -> None:
    """And is reported so."""
    made = stream("mixed", 6, SIZE_BYTES)
    found = MAKERS["line_reader"]().frames([made.data])
    assert not is_right(made, found)
    assert 20 < right_percent(made, found) < 100


def test_right_percent_counts_each_frame_once() -> None:
    """A frame that is found twice isn't right twice; order doesn't matter to it."""
    made = stream("urc_small", 7, 100)
    assert right_percent(made, reversed(made.frames)) == 100
    assert right_percent(made, [made.frames[0]] * 1000) < 100
    assert right_percent(made, []) == 0
    assert not is_right(made, [*made.frames, (b"more",)])


def test_the_oracle_knows_damage() -> None:
    """The endless line is given up at its limit."""
    made = stream("adv_endless", 8, SIZE_BYTES)
    damage, line = Framer().feed(made.data)
    assert isinstance(damage, Damage)
    assert [damage.data, line] == [made.frames[0][-1], Line(*made.frames[1])]


def test_adversarial_names_are_workloads() -> None:
    """And sockets push in all of them."""
    assert {*ADVERSARIAL} < {*NAMES}
    assert {*range(6)} > PUSH_SOCKETS
