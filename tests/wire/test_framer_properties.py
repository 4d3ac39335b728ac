"""Framer: properties of any stream, against a byte-at-a-time reference."""

import sys
import tracemalloc
from binascii import hexlify
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aiobc9x.spec import PUSH_MAX_BYTES
from aiobc9x.wire.framer import COMPILED, Damage, Frame, Framer, Line, Payload, Prompt
from tests.support.chunks import bytewise, chunkings, pieces
from tests.wire.reference import (
    Reference,
    Rules,
    all_rules,
    contents,
    dialogues,
    fed,
    framer,
    frames,
    memory,
    without_reasons,
)


@contextmanager
def counted_work() -> Iterator[Callable[[], int]]:
    """Count what the framer in Python does: instructions run, and bytes that it copies.

    A copy is seen when it gets a name, as a chunk does of which the front is cut off.
    """
    count = 0
    seen: dict[int, bytes] = {}  # kept, so that no other object gets the same id

    def trace(frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.endswith("framer.py"):
            return None
        frame.f_trace_opcodes = True
        count += event == "opcode"
        for value in frame.f_locals.values() if event == "line" else ():
            if type(value) is bytes and id(value) not in seen:
                seen[id(value)] = value
                count += len(value)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lambda: count
    finally:
        sys.settrace(before)


class TestProperties:
    """What holds for any stream, cut anywhere, under any rules."""

    @given(rules=all_rules(), data=st.data())
    @settings(max_examples=400)
    def test_the_frames_are_those_of_the_reference(self, rules: Rules, data: st.DataObject) -> None:
        """However the stream is cut, the frames are those of one byte at a time."""
        stream = data.draw(dialogues(rules.hex_receive))
        reference = Reference()
        reference.feed(deepcopy(rules), stream)
        for chunks in ([stream], bytewise(stream), data.draw(chunkings(stream))):
            made = rules.apply(Framer())
            assert without_reasons(fed(made, chunks)) == reference.frames
            assert made.prompt_due == reference.rules.prompt_due
            assert made.negative_remainings == reference.negatives
            assert list(made.push_ends) == reference.push_ends

    @given(
        steps=st.lists(st.tuples(all_rules(), dialogues(), st.integers(0, 200)), max_size=5),
        data=st.data(),
    )
    @settings(max_examples=100)
    def test_rules_may_change_anywhere(
        self, steps: list[tuple[Rules, bytes, int]], data: st.DataObject
    ) -> None:
        """Also in mid-payload, mid-header or mid-line: cuts still change nothing."""
        whole, finely, freely = Framer(), Framer(), Framer()
        for rules, dialogue, end in steps:
            stream = dialogue[:end]
            cutting = data.draw(chunkings(stream))
            got = fed(rules.apply(whole), [stream])
            assert fed(rules.apply(finely), bytewise(stream)) == got
            assert fed(rules.apply(freely), cutting) == got

    @given(rules=all_rules(), hold=st.booleans(), stream=st.binary(max_size=300))
    @settings(max_examples=100)
    @example(Rules(), False, b"+QIRD: " + b"9" * 6000 + b"\r\n")
    def test_no_bytes_raise(self, rules: Rules, hold: bool, stream: bytes) -> None:
        """Damage is a frame, never an exception."""
        made = rules.apply(Framer())
        made.hold_after_final = hold
        for frame in [*made.feed(stream), *made.feed(b""), *made.resync()]:
            assert isinstance(frame, Line | Payload | Prompt | Damage)

    @given(data=contents, at=st.integers(0, 30), is_hex=st.booleans())
    @settings(max_examples=60)
    def test_a_lost_byte_is_seen(self, data: bytes, at: int, is_hex: bool) -> None:
        """A read that lacks one byte of its data gives damage or no payload at all."""
        raw = hexlify(data) if is_hex else data
        at %= len(raw)
        stream = b"+QIRD: %d,0\r\n%s\r\n\r\nOK\r\n" % (len(data), raw[:at] + raw[at + 1 :])
        made = framer(hex_receive=is_hex)
        got = [*made.feed(stream), *made.resync()]
        assert any(isinstance(frame, Damage) for frame in got)

    @given(stream=dialogues(), data=st.data())
    @settings(max_examples=60)
    def test_holding_changes_no_frame(self, stream: bytes, data: st.DataObject) -> None:
        """If no rule changes, only the moment differs, also if each answer is held."""
        made = Framer()
        got: list[Frame] = []
        for chunk in [*data.draw(chunkings(stream)), *[b""] * len(stream)]:
            made.hold_after_final = True
            got += made.feed(chunk)
        assert got == frames(stream)

    @given(rules=all_rules(), stream=dialogues())
    @settings(max_examples=60)
    def test_after_one_the_next_answer_is_understood(self, rules: Rules, stream: bytes) -> None:
        """Whatever came before."""
        made = rules.apply(Framer())
        made.feed(stream)
        made.resync()
        assert made.feed(b"\r\nOK\r\n") == [Line(b"OK")]

    @pytest.mark.parametrize("size_bytes", [1, 7, 1000])
    @pytest.mark.parametrize(
        "stream",
        [
            b"\x00" * 100_000,
            b"\r" * 100_000,
            b"x" + b"\r" * 100_000,
            b"+QIRD: " + b"1" * 100_000,
            b'+QIURC: "recv",0,4096,' + b"\r\n" * 50_000,
            b"AT" + b"\r\x00" * 50_000,
        ],
    )
    def test_memory_is_bounded(self, stream: bytes, size_bytes: int) -> None:
        """Nothing that never ends is kept: at most one longest payload or line."""
        made = framer(push_sockets={0}, prompt_due=True)
        chunks = pieces(stream, size_bytes)
        pointers = 10 * PUSH_MAX_BYTES  # to the bytes of a payload that come one by one
        with memory() as grown:
            for chunk in chunks:
                made.feed(chunk)
                assert grown() <= 2 * PUSH_MAX_BYTES + pointers

    @pytest.mark.skipif(COMPILED, reason="C tells nothing of what it does")
    @pytest.mark.parametrize("attributes", [{}, {"hex_receive": True}, {"prompt_due": True}])
    @pytest.mark.parametrize(
        "part",
        [
            b"\r\nOK\r\n",
            b"x" * 50,
            b"x\r",
            b"\r" * 9 + b"\n",
            b'+QIURC: "recv",0,2,4142',
            b'\r\n+QIURC: "recv",0,1\r\n41\r\n',
            b"+QIRD: 1,0\r\n41\r\n\r\n",
            b"+QIRD: 5000\r\n",
            b"AT\r+QIRD:",
        ],
    )
    def test_the_work_grows_with_the_bytes_only(
        self, part: bytes, attributes: dict[str, object]
    ) -> None:
        """A chunk eight times as long is eight times the work, not sixty-four times.

        The work is counted: instructions, and bytes that were copied to get another name. In C
        nothing can be counted; there ``python -m benchmarks framer_growth`` shows the time.
        """
        work = []
        for many in (50, 50, 400):
            made = framer(push_sockets={0}, **attributes)
            made.feed(b"+Q")
            made.feed(b"I\n" + part)
            chunk = part * many
            with counted_work() as done:
                made.feed(chunk)
            work.append(done())
        _, less, more = work  # the first time, Python 3.12.1 tells of no instruction
        assert 4 * less < more < 10 * less

    @pytest.mark.parametrize("attributes", [{}, {"hex_receive": True}])
    def test_a_byte_of_a_payload_that_comes_alone_copies_nothing(
        self, attributes: dict[str, object]
    ) -> None:
        """Behind 3000 bytes of it hardly one takes new memory for more than itself."""
        made = framer(push_sockets={0}, **attributes)
        made.feed(b'+QIURC: "recv",0,4096,' + b"A" * 3000)
        needed = []
        with memory():
            for _ in range(1000):
                tracemalloc.reset_peak()
                before, _ = tracemalloc.get_traced_memory()
                made.feed(b"A")
                _, peak = tracemalloc.get_traced_memory()
                needed.append(peak - before)
        assert sorted(needed)[len(needed) * 9 // 10] < 1000
