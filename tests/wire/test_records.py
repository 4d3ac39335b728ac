"""What is known of lines: shared, bounded, and true under all rules."""

import random
from collections.abc import Iterator

import pytest

from aiobc9x.spec import LINE_MAX_BYTES
from aiobc9x.wire._records import RECORDS, learn, look, recall
from aiobc9x.wire.framer import Damage, Framer, Line, Payload
from tests.wire.reference import Reference, Rules, fed, frames, without_reasons

KNOWN = 1024
PUSHED = b'\r\n+QIURC: "recv",1,3\r\nabc\r\n'
READ = b"\r\n+QIRD: 3,0\r\nabc\r\n\r\nOK\r\n"


@pytest.fixture(autouse=True)
def nothing_is_known() -> Iterator[None]:
    """Whatever other tests have fed is forgotten."""
    RECORDS.clear()
    yield
    RECORDS.clear()


def test_a_line_is_made_once() -> None:
    """Whichever framer sees it."""
    (one,) = Framer().feed(b"\r\nSEND OK\r\n")
    (other,) = Framer().feed(b"\r\nSEND OK\r\n")
    assert one is other


@pytest.mark.parametrize("size", [1, 5, 30, 100, 5000])
def test_what_is_known_is_bounded(size: int) -> None:
    """Lines and headers that never come again push each other out."""
    dice = random.Random(size)
    framer = Framer()
    framer.push_sockets |= {0, 1, 2}
    for _ in range(3000):
        text = b"%d" % dice.randrange(10 ** min(size, 40)) + b"x" * (size - 40)
        framer.feed(b'\r\n+X: %b\r\n\r\n+QIURC: "recv",%b\r\n' % (text, text))
        framer.feed(b'\r\n+QIURC: "recv",%d,1\r\nx\r\n' % dice.randrange(6))
        framer.feed(b"\r\n+QIRD: 1,%d\r\nx\r\n\r\nOK\r\n" % dice.randrange(10**9))
        framer.resync()
    assert len(RECORDS) <= KNOWN
    assert max(map(len, RECORDS)) <= 32


def test_what_comes_again_and_again_is_known() -> None:
    """Among lengths that never repeat too."""
    framer = Framer()
    framer.push_sockets.add(1)
    for number in range(60):
        fed(framer, [PUSHED, b"\r\n+QIRD: 1,%d\r\nx\r\n\r\nOK\r\n" % number, READ])
    assert recall(PUSHED[: PUSHED.index(b"abc")]) is not None
    assert recall(READ[: READ.index(b"abc")]) is not None


@pytest.mark.parametrize("stream", [PUSHED, READ, b'\r\n+QIURC: "recv",1\r\n'])
@pytest.mark.parametrize(
    "rules",
    [
        Rules(),
        Rules(push_sockets={0}),
        Rules(push_sockets={1}, read_due=2),
        Rules(push_sockets={1}, length_shown=False),
        Rules(push_sockets={1}, hex_receive=True),
        Rules(read_due=0),
    ],
)
def test_rules_decide_what_is_made_of_it(stream: bytes, rules: Rules) -> None:
    """A header that is known from one framer is a line, or damage, for another."""
    usual = Framer()
    usual.push_sockets.add(1)
    fed(usual, [PUSHED, READ] * 20)
    reference = Reference()
    reference.feed(rules, stream + b"\r\n+CSQ: 1,2\r\n")
    chunks = [stream, b"\r\n+CSQ: 1,2\r\n"]
    for cut in ([b"".join(chunks)], chunks, [stream[:5], stream[5:], chunks[1]]):
        assert without_reasons(fed(rules.apply(Framer()), cut)) == reference.frames


@pytest.mark.parametrize("number", [b"03", b"+3", b"3_0", b" 3", b"3 ", b"3x", b"-3", b"", b"3,3"])
def test_numbers_are_spelled_as_in_the_note(number: bytes) -> None:
    """Or else a closer look is taken."""
    rules = Rules(push_sockets={1})
    for text in (b'+QIURC: "recv",1,' + number, b"+QIRD: " + number, b"+QIRD: 3," + number):
        stream = b"\r\n%b\r\nabc\r\n\r\nOK\r\n" % text
        reference = Reference()
        reference.feed(rules, stream)
        assert without_reasons(fed(rules.apply(Framer()), [stream])) == reference.frames, text


def test_a_long_line_that_looks_like_a_header_is_damage() -> None:
    """Also where its socket doesn't push."""
    line = b'+QIURC: "recv",4,' + b"1" * LINE_MAX_BYTES
    (damage, ok) = frames(b"\r\n%b\r\n\r\nOK\r\n" % line, push_sockets={1})
    assert isinstance(damage, Damage)
    assert damage.data == line[:LINE_MAX_BYTES]
    assert ok == Line(b"OK")


def test_a_remaining_length_of_nine_digits_is_read() -> None:
    """More than any look-up holds; ten are damage."""
    data = b"\r\n+QIRD: 1,%b\r\nx\r\n\r\nOK\r\n"
    assert frames(data % b"123456789")[0] == Payload(None, 123456789, b"x")
    assert isinstance(frames(data % b"1234567890")[0], Damage)


@pytest.mark.parametrize("record", [b"", b"\r\n\r\n", b"A\r\nB\r\n", b'+QIURC: "recv",1,"x"\r\n'])
def test_what_needs_a_closer_look(record: bytes) -> None:
    """No line, several lines, and other forms of a header."""
    assert look(record) is learn(record) is None
    assert record not in RECORDS
