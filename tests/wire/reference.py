"""The framer's contract a byte at a time, and dialogues to try it on.

Independent of the framer: it looks at the whole line again with each byte, so there
is nothing clever to get wrong. Reasons of damage are left empty.
"""

import re
import tracemalloc
from binascii import Error, hexlify, unhexlify
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hypothesis import strategies as st

from aiobc9x.wire.framer import Damage, Frame, Framer, Line, Payload, Prompt
from tests.support.chunks import bytewise

LONGEST = 4096
SHOWN = re.compile(rb"\+QIRD: {0,8}(\d{1,9})(?:[\r\n]|, {0,8}(-?\d{1,9})[\r\n,])")
HIDDEN = re.compile(rb"\+QIRD: {0,8}(\d{1,9})[\r\n,]")
PUSHED = re.compile(rb'\+QIURC: {0,8}"recv", {0,8}([0-5]), {0,8}(\d{1,9})[\r\n,]')
PUSHED_ID = re.compile(rb'\+QIURC: {0,8}"recv", {0,8}([0-5])(, {0,8}("|0{1,9}[\r\n,])?)?')


@dataclass
class Rules:
    """What the bytes don't say: the framer's attributes, by the same names."""

    push_sockets: set[int] = field(default_factory=set)
    prompt_due: bool = False
    hex_receive: bool = False
    length_shown: bool = True
    read_due: int = 1024

    def apply(self, framer: Framer) -> Framer:
        """Set the framer's attributes."""
        framer.push_sockets = set(self.push_sockets)
        framer.prompt_due = self.prompt_due
        framer.hex_receive = self.hex_receive
        framer.length_shown = self.length_shown
        framer.read_due = self.read_due
        return framer


class Reference:
    """Frames of a stream under one set of rules after another."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.line = b""
        self.optional = b""
        self.behind_read = b""
        self.behind_push: bytes | None = None
        self.push_ends: list[bool | None] = []
        self.negatives = 0
        self.skipping = False
        self.header: tuple[int | None, int | None, int] | None = None
        self.payload = b""

    def feed(self, rules: Rules, data: bytes) -> None:
        """Take bytes under the rules; the prompt rule lapses as in the framer."""
        self.rules = rules
        for value in data:
            self.take(bytes([value]))

    def take(self, byte: bytes) -> None:
        optional, self.optional = self.optional, b""
        if byte == optional:
            return
        if self.header:
            self.take_payload(byte)
        elif self.skipping:
            self.skipping = byte != b"\n"
        elif self.behind_read.startswith(byte):
            self.behind_read = self.behind_read[1:]
        else:
            if self.behind_read:
                self.frames.append(Damage("", b"\r\n\r\n"[: -len(self.behind_read)]))
                self.behind_read = b""
            if self.behind_push is not None:
                self.look_behind_push(byte)
            self.take_text(byte)

    def look_behind_push(self, byte: bytes) -> None:
        assert self.behind_push is not None
        self.behind_push += byte
        behind = self.behind_push
        if byte == b">" and self.rules.prompt_due:
            self.end_push(None, lost=False)
        elif behind[:1] not in {b"\r", b"\n"} or (behind[:1] == b"\n" and behind[1:2] not in b"\r"):
            self.end_push(None, lost=True)
        elif behind[:1] == b"\r" and behind[1:2] not in b"\n":
            self.end_push(None, lost=False)
        elif len(behind) == 3 and behind[:1] == b"\n":
            self.end_push(None, lost=byte == b"\n")
        elif len(behind) == 3:
            self.end_push(byte in {b"\r", b"\n"}, lost=False)

    def end_push(self, end: bool | None, *, lost: bool) -> None:
        self.behind_push = None
        self.push_ends.append(end)
        if lost:
            self.frames.append(Damage("", b""))

    def take_text(self, byte: bytes) -> None:
        text = self.line = (self.line + byte).lstrip(b"\r")
        echo = text[:2].upper() == b"AT" and text.endswith(b"\r>")
        if self.rules.prompt_due and (text == b">" or echo):
            self.end_line(text[:-1])
            self.frames.append(Prompt())
            self.rules.prompt_due = False
            self.optional = b" "
        elif header := self.find_header(text):
            self.header, self.line, self.hex = header, b"", self.rules.hex_receive
            self.optional = b"\n" if byte == b"\r" else b""
        elif len(text.rstrip(b"\r\n")) > LONGEST:
            self.frames.append(Damage("", text[:LONGEST]))
            self.line, self.skipping = b"", byte != b"\n"
        elif byte == b"\n":
            self.end_line(text)

    def end_line(self, text: bytes) -> None:
        self.line = b""
        line = text.strip(b"\r\n")
        if self.is_damaged(line):
            self.frames.append(Damage("", line))
        elif line:
            self.frames.append(Line(line))
            if line in {b"OK", b"ERROR"} or re.match(rb"\+CM[ES] ERROR {0,8}:", line):
                self.rules.prompt_due = False

    def find_header(self, text: bytes) -> tuple[int | None, int | None, int] | None:
        if match := (SHOWN if self.rules.length_shown else HIDDEN).fullmatch(text):
            remaining = match[2] if self.rules.length_shown else None
            size = int(match[1])
            if 0 < size <= min(self.rules.read_due, 1024):
                self.negatives += remaining is not None and b"-" in remaining
                return None, counted(remaining), size
        match = PUSHED.fullmatch(text) if self.rules.length_shown else None
        if match and int(match[1]) in self.rules.push_sockets and 0 < int(match[2]) <= 4096:
            return int(match[1]), None, int(match[2])
        return None

    def is_damaged(self, line: bytes) -> bool:
        if match := re.match(rb"\+QIRD: {0,8}(\d{1,9})", line):
            return int(match[1]) > 0 and self.rules.read_due > 0
        if match := PUSHED_ID.match(line + b"\n"):
            tame = match[3] == b'"' or (match[3] and self.rules.length_shown)
            return int(match[1]) in self.rules.push_sockets and not tame
        return False

    def take_payload(self, byte: bytes) -> None:
        assert self.header
        connect_id, remaining, size = self.header
        if self.hex and byte in b"\r\n":
            self.frames.append(Damage("", self.payload))
            self.header, self.payload = None, b""
            self.take_text(byte)
            return
        self.payload += byte
        if self.hex:
            size = size * 2 + 2 * self.payload.startswith(b'"')
        if len(self.payload) < size:
            return
        data, self.payload, self.header = self.payload, b"", None
        try:
            frame = Payload(connect_id, remaining, unquoted(data) if self.hex else data)
        except Error:
            self.frames.append(Damage("", data))
            return
        self.frames.append(frame)
        self.behind_read = b"\r\n\r\n" if connect_id is None else b""
        self.behind_push = None if connect_id is None else b""


def counted(number: bytes | None) -> int | None:
    """The remaining length, unless it is hidden or negative."""
    return None if number is None or b"-" in number else int(number)


def unquoted(data: bytes) -> bytes:
    """Decode hex digits with or without quotes."""
    quoted = data[:1] == data[-1:] == b'"'
    return unhexlify(data[1:-1] if quoted else data)


def without_reasons(frames: list[Frame]) -> list[Frame]:
    """Blank the reasons of damage, which are prose."""
    return [Damage("", f.data) if isinstance(f, Damage) else f for f in frames]


def framer(**attributes: object) -> Framer:
    """A framer with attributes set."""
    made = Framer()
    for name, value in attributes.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    return made


def fed(made: Framer, chunks: Iterable[bytes | bytearray | memoryview]) -> list[Frame]:
    """The frames of all chunks."""
    return [frame for chunk in chunks for frame in made.feed(chunk)]


def frames(data: bytes, **attributes: object) -> list[Frame]:
    """The frames of ``data``, which must be the same whole and byte by byte."""
    whole = fed(framer(**attributes), [data])
    assert fed(framer(**attributes), bytewise(data)) == whole
    return whole


@contextmanager
def memory() -> Iterator[Callable[[], int]]:
    """Give a function that tells how many bytes more are allocated than before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield lambda: tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


LINES = [
    b"\r\nOK\r\n",
    b"\r\nERROR\r\n",
    b"\r\n+CME ERROR: 516\r\n",
    b"\r\n+CMS ERROR 5\r\n",
    b"\r\nSEND OK\r\n",
    b"\r\nSEND FAIL\r\n",
    b"\r\nCLOSE OK\r\n",
    b"\r\n+QIOPEN: 0,0\r\n",
    b'\r\n+QIURC: "closed",0\r\n',
    b'\r\n+QIURC: "recv",0\r\n',
    b'\r\n+QIURC: "recv",0,12\r\n',
    b'\r\n+QIURC: "recv",1,"buff full"\r\n',
    b'\r\n+QIURC: "incoming",1,0,"192.168.2.2",36566\r\n',
    b'\r\n+QIURC: "incoming full"\r\n',
    b"\r\n+QIRD: 0\r\n",
    b"\r\n+QIRD: 0,0\r\n",
    b"\r\n+QIRD: (0-5),(1-1024)\r\n",
    b"AT+QIRD=0,512\r\r\n",
    b"AT+QISEND=0,5\r",
    b"at\r\r\n",
    b"\n\rF1: 0000 0000\n\r",
    b"\x00\xff\x00RDY\r\n",
    b"x\n",
    b"\ny\n",
    b"lone\rreturn\nand feed\r\r\n",
    b'+QISTATE: 0,"TCP","220.18.39.22",8062,1234,2,1,0\r\n',
    b"\r\n\r\n",
    b"\r\r\r",
    b" ",
]
PROMPTS = [b">", b"> ", b"\r\n>\r\n", b"\r\n> ", b"\r\n>", b"\r> ", b"> \r\n", b"x>", b" > "]
ODD_HEADERS = [
    b"+QIRD: 1025\r\n",
    b"+QIRD: 99999999999,0\r\n",
    b"+QIRD: 5,",
    b"+QIRD: 5,-\r\n",
    b"+QIRD: -1\r\n",
    b"+QIRD: 5,2x\r\n",
    b"+QIRD: 000000000\r\n",
    b"+QIRD: 0x\r\n",
    b"+QIRD:" + b" " * 9 + b"5\r\n",
    b'+QIURC: "recv",9,5\r\n',
    b'+QIURC: "recv",0,-5\r\n',
    b'+QIURC: "recv",0,4097\r\n',
    b'+QIURC: "recv",0,0\r\n',
    b'+QIURC: "recv",0,0x\r\n',
    b'+QIURC: "recv",0x\r\n',
    b'+QIURC: "recv",0,\r\n',
    b'+QIURC: "recv",0hello\r\n',
    b'+QIURC: "recv",0,hello\r\n',
    b'+QIURC: "recv",0"\r\n',
    b'+QIURC: "recv",0,5"\r\n',
    b"+QI\r\n",
    b"+QIR",
    b"+QIU",
    b"+Q",
]

FRAGMENTS = [*LINES, *PROMPTS, *ODD_HEADERS, b"\x1a", b"\x1b", b"\x00", b'"', b"+QIRD: 3,0\r\nabc"]
contents = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=4).map(b"".join),
)


@st.composite
def all_rules(draw: st.DrawFn) -> Rules:
    """Draw any combination of the framer's attributes."""
    return Rules(
        draw(st.sets(st.integers(0, 5))),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sampled_from([1024, 1024, 1024, 20, 0, -1, 10**6])),
    )


def encoded(draw: st.DrawFn, data: bytes, is_hex: bool) -> bytes:
    """Write data as the module does; sometimes a byte gets lost."""
    if is_hex:
        digits = hexlify(data)
        data = draw(st.sampled_from([digits, digits.upper(), b'"' + digits + b'"']))
    return data[: draw(st.sampled_from([len(data), len(data), len(data) - 1]))]


@st.composite
def reads(draw: st.DrawFn, is_hex: bool) -> bytes:
    """Draw an answer to AT+QIRD in any spelling (§2.2.6)."""
    data = draw(contents)
    header = b"+QIRD:" + draw(st.sampled_from([b"", b" ", b"  "])) + b"%d" % len(data)
    header += draw(st.sampled_from([b"", b",2", b",0", b", 700", b",-512"]))
    header += draw(st.sampled_from([b"\r\n", b"\r\n", b"\r", b"\n", b","]))
    behind = draw(st.sampled_from([b"\r\n\r\nOK\r\n", b"\r\nOK\r\n", b"\r\n", b"x\r\n", b""]))
    return b"\r\n" + header + encoded(draw, data, is_hex) + behind


@st.composite
def pushes(draw: st.DrawFn, is_hex: bool) -> bytes:
    """Draw a URC with data in any spelling (§2.3.2)."""
    data = draw(contents)
    header = (
        b"+QIURC:" + draw(st.sampled_from([b"", b" "])) + b'"recv",%d' % draw(st.integers(0, 5))
    )
    header += draw(st.sampled_from([b",", b", "])) + b"%d" % len(data)
    header += draw(st.sampled_from([b"\r\n", b"\r\n", b"\r", b"\n", b","]))
    return b"\r\n" + header + encoded(draw, data, is_hex) + draw(st.sampled_from([b"\r\n", b""]))


@st.composite
def dialogues(draw: st.DrawFn, is_hex: bool | None = None) -> bytes:
    """Draw what a module might say, damaged now and then."""
    hexes = draw(st.booleans()) if is_hex is None else is_hex
    part = st.one_of(
        st.sampled_from(LINES),
        st.sampled_from(LINES),
        st.sampled_from(PROMPTS),
        st.sampled_from(ODD_HEADERS),
        reads(hexes),
        reads(hexes),
        pushes(hexes),
        pushes(hexes),
        st.binary(max_size=8),
    )
    return b"".join(draw(st.lists(part, min_size=1, max_size=10)))
