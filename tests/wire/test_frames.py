"""Frames: values like any other, in Python and in C."""

import copy
import pickle

import pytest

from aiobc9x.wire.frames import Damage, Frame, Line, Payload, Prompt

FRAMES: list[Frame] = [
    Line(b"OK"),
    Line(b"ERROR"),
    Payload(None, 5, b"OK"),
    Payload(None, None, b"OK"),
    Payload(3, None, b"OK"),
    Payload(3, None, b"KO"),
    Prompt(),
    Damage("odd", b"OK"),
    Damage("odd", b"KO"),
    Damage("even", b"OK"),
]


@pytest.mark.parametrize("frame", FRAMES, ids=repr)
def test_frames_are_equal_if_they_hold_the_same(frame: Frame) -> None:
    """And of one class: a line is no payload, nor its own text."""
    twin = copy.copy(frame)
    assert twin == frame
    assert hash(twin) == hash(frame)
    assert [other for other in FRAMES if other == frame] == [frame]
    assert len({*FRAMES, twin}) == len(FRAMES)
    assert frame != b"OK"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("frame", FRAMES, ids=repr)
def test_frames_pickle(frame: Frame, protocol: int) -> None:
    """Another process gets the same, whichever form of the framer it has."""
    assert pickle.loads(pickle.dumps(frame, protocol)) == frame
    assert copy.deepcopy(frame) == frame


@pytest.mark.parametrize("frame", FRAMES, ids=repr)
def test_a_repr_makes_the_frame_again(frame: Frame) -> None:
    """Each value stands behind its name."""
    names = {"Line": Line, "Payload": Payload, "Prompt": Prompt, "Damage": Damage}
    assert eval(repr(frame), names) == frame
    assert repr(Payload(1, None, b"a")) == "Payload(connect_id=1, remaining=None, data=b'a')"


def test_match_takes_frames_apart() -> None:
    """In the order of their attributes."""
    parts: list[object] = []
    for frame in (Line(b"a"), Payload(1, 2, b"b"), Prompt(), Damage("c", b"d")):
        match frame:
            case Line(text):
                parts += [text]
            case Payload(connect_id, remaining, data):
                parts += [connect_id, remaining, data]
            case Prompt():
                parts += ["prompt"]
            case Damage(reason, data):
                parts += [reason, data]
    assert parts == [b"a", 1, 2, b"b", "prompt", "c", b"d"]


@pytest.mark.parametrize("frame", FRAMES, ids=repr)
def test_a_frame_takes_no_more_attributes(frame: Frame) -> None:
    """A wrong name is an error."""
    with pytest.raises(AttributeError):
        frame.nothing = 1  # type: ignore[union-attr]  # that is what is tested
