"""Framer: one class per rule.

Properties, limits, rules that change, and examples have their own modules.
"""

import pytest

from aiobc9x.spec import LINE_MAX_BYTES
from aiobc9x.wire.framer import Damage, Frame, Framer, Line, Payload, Prompt
from tests.support.chunks import bytewise, pieces
from tests.wire.reference import fed, framer, frames, memory

TRAPS = [
    b"\r\nOK\r\n",
    b'\r\n+QIURC: "closed",0\r\n',
    b"+QIRD: 4,0\r\nabcd",
    b"> ",
    b"\x00\x1a\x1b",
    b"\r\n\r\n\r\n",
    bytes(range(256)),
]


class TestLines:
    """§2.1.2 and the lines that real modules print."""

    @pytest.mark.parametrize("stream", [b"\r\nOK\r\n", b"OK\n", b"\r\r\nOK\r\r\n", b"\n\rOK\n\r"])
    def test_a_line_ends_at_lf_and_loses_its_crs(self, stream: bytes) -> None:
        """CRs at both ends and empty lines leave no trace."""
        assert frames(stream) == [Line(b"OK")]

    def test_a_line_may_be_as_short_as_its_line_end(self) -> None:
        """One byte and LF are no CRLF."""
        assert frames(b"a\nb\n\nc\n") == [Line(b"a"), Line(b"b"), Line(b"c")]
        assert frames(b"+QIRD: 1,0\r\nx\r\n\r\na\n+QIRD: 1,0\r\n") == [
            Payload(None, 0, b"x"),
            Line(b"a"),
        ]

    def test_a_cr_inside_a_line_stays(self) -> None:
        """Only LF ends a line."""
        assert frames(b"a\rb\r\n") == [Line(b"a\rb")]

    def test_an_incomplete_line_gives_nothing_yet(self) -> None:
        """A line is told apart from its beginning by the LF alone."""
        made = Framer()
        assert made.feed(b"\r\nOK\r") == ()
        assert made.feed(b"") == ()
        assert made.feed(b"\n") == [Line(b"OK")]

    def test_memory_is_bounded(self) -> None:
        """Lines leave nothing behind."""
        made = Framer()
        made.feed(b'+QIURC: "closed",0\r\n')  # what measures coverage notes a line the first time
        with memory() as grown:
            for number in range(5000):
                made.feed(b'+QIURC: "closed",%d\r\n' % number)
                made.feed(b"x" * 1000 + b"%d\r\n" % number)
            assert grown() < 2000


class TestRead:
    """§2.2.6, examples 4.1.3 and 4.3.3."""

    @pytest.mark.parametrize("data", TRAPS)
    @pytest.mark.parametrize("separator", [b"\r\n", b","])
    def test_a_payload_is_counted_and_never_scanned(self, data: bytes, separator: bytes) -> None:
        """Data that looks like an answer, a URC, a header or a prompt stays data."""
        stream = b"\r\n+QIRD: %d,7%s%s\r\n\r\nOK\r\n" % (len(data), separator, data)
        assert frames(stream) == [Payload(None, 7, data), Line(b"OK")]

    @pytest.mark.parametrize("separator", [b"\r\n", b"\r", b"\n", b","])
    def test_the_byte_behind_the_header_separates(self, separator: bytes) -> None:
        """The view mode in NVRAM may be another than was set."""
        assert frames(b"+QIRD: 5,2" + separator + b"hello\r\n\r\n") == [Payload(None, 2, b"hello")]

    def test_data_may_begin_with_lf(self) -> None:
        """CRLF is one separator, and what follows is data."""
        assert frames(b"+QIRD: 2,0\r\n\n\r\r\n\r\n") == [Payload(None, 0, b"\n\r")]

    @pytest.mark.parametrize("header", [b"+QIRD:5,2", b"+QIRD:   5, 2"])
    def test_spaces_are_tolerated(self, header: bytes) -> None:
        """Relatives print one too few or too many."""
        assert frames(header + b"\r\nhello\r\n\r\n") == [Payload(None, 2, b"hello")]

    @pytest.mark.parametrize(
        ("header", "negatives"),
        [(b"+QIRD: 5,-5,", 1), (b"+QIRD: 5, -1024\r\n", 1), (b"+QIRD: 5\r\n", 0)],
    )
    def test_a_negative_remaining_length_is_as_none(self, header: bytes, negatives: int) -> None:
        """A relative prints one; only a missing one is damage, so the session must know."""
        stream = header + b"hello\r\n\r\n"
        assert frames(stream) == [Payload(None, None, b"hello")]
        for chunks in ([stream * 3], bytewise(stream * 3)):
            made = Framer()
            fed(made, chunks)
            made.resync()
            assert made.negative_remainings == 3 * negatives

    @pytest.mark.parametrize(
        "line", [b"+QIRD: 5,-", b"+QIRD: 5,-5x", b"+QIRD: 6,-5", b"+QIRD: 0,-5", b"x+QIRD: 5,-5"]
    )
    def test_only_headers_of_payloads_are_counted(self, line: bytes) -> None:
        """Damaged ones and an empty read tell nothing of a payload."""
        made = framer(read_due=5)
        made.feed(line + b"\r\n")
        made.length_shown = False
        made.feed(b"+QIRD: 2,-5\r\n\r\n")
        assert made.negative_remainings == 0

    @pytest.mark.parametrize(("rest", "data"), [(b",2,34", b"2,34"), (b"\r\n2,34", b"2,34")])
    def test_hidden_length_makes_the_second_number_data(self, rest: bytes, data: bytes) -> None:
        """With showlength 0 no remaining length is printed (§2.2.11)."""
        stream = b"+QIRD: 4" + rest + b"\r\n\r\nOK\r\n"
        assert frames(stream, length_shown=False) == [Payload(None, None, data), Line(b"OK")]

    def test_a_rule_that_changes_within_a_header_is_damage(self) -> None:
        """The comma is no separator when it comes, and would be one afterwards."""
        made = Framer()
        assert made.feed(b"+QIRD: 5,2") == ()
        made.length_shown = False
        (damage, line) = made.feed(b"\r\nOK\r\n")
        assert isinstance(damage, Damage)
        assert line == Line(b"OK")

    @pytest.mark.parametrize("line", [b"+QIRD: 0", b"+QIRD: 0,0", b"+QIRD: (0-5),(1-1024)"])
    @pytest.mark.parametrize("length_shown", [False, True])
    def test_an_empty_read_is_a_line(self, line: bytes, length_shown: bool) -> None:
        """So is the answer to the test command."""
        stream = line + b"\r\n\r\nOK\r\n"
        assert frames(stream, length_shown=length_shown) == [Line(line), Line(b"OK")]

    def test_the_payload_comes_with_its_last_byte(self) -> None:
        """The line ends behind it are checked later."""
        made = Framer()
        assert made.feed(b"+QIRD: 5,0\r\nhell") == ()
        assert made.feed(b"o") == [Payload(None, 0, b"hello")]
        assert made.feed(b"\r\n\r") == ()
        assert made.resync() == ()

    @pytest.mark.parametrize(
        ("behind", "matched", "lines"),
        [
            (b"\r\nOK\r\n", b"\r\n", [Line(b"OK")]),
            (b"OK\r\n", b"", [Line(b"OK")]),
            (b"\n\r\nOK\r\n", b"", [Line(b"OK")]),
            (b"lo\r\n\r\nOK\r\n", b"", [Line(b"lo"), Line(b"OK")]),
            (b"\r\n\r+QIRD: 1,0\r\nx", b"\r\n\r", [Payload(None, 0, b"x")]),
        ],
    )
    def test_lost_or_surplus_bytes_are_damage(
        self, behind: bytes, matched: bytes, lines: list[Frame]
    ) -> None:
        """CRLF and CRLF must follow, and the line that breaks the rule is not lost."""
        payload, damage, *rest = frames(b"+QIRD: 3,0\r\nhel" + behind)
        assert payload == Payload(None, 0, b"hel")
        assert isinstance(damage, Damage)
        assert damage.data == matched
        assert rest == lines

    @pytest.mark.parametrize(
        ("header", "read_due"),
        [
            (b"+QIRD: 1025,0", 1024),
            (b"+QIRD: 11,0", 10),
            (b"+QIRD: 1025,0", 5000),
            (b"+QIRD: 99999999999999999999,0", 1024),
            (b"+QIRD: 5,", 1024),
            (b"+QIRD: 5,-", 1024),
            (b"+QIRD: 5,hello", 1024),
            (b"+QIRD: 5x", 1024),
        ],
    )
    def test_a_header_that_cannot_be_is_damage(self, header: bytes, read_due: int) -> None:
        """The next line is understood."""
        damage, line = frames(header + b"\r\nOK\r\n", read_due=read_due)
        assert isinstance(damage, Damage)
        assert damage.data == header
        assert line == Line(b"OK")

    @pytest.mark.parametrize("read_due", [0, -1])
    def test_without_a_read_the_header_is_a_line(self, read_due: int) -> None:
        """Nobody asked for data."""
        stream = b"+QIRD: 2,0\r\nhi\r\n"
        assert frames(stream, read_due=read_due) == [Line(b"+QIRD: 2,0"), Line(b"hi")]


class TestPush:
    """§2.3.2, example 4.2.3."""

    @pytest.mark.parametrize("data", TRAPS)
    @pytest.mark.parametrize("separator", [b"\r\n", b"\r", b"\n", b","])
    @pytest.mark.parametrize("behind", [b"", b"\r\n"])
    def test_pushed_data_is_counted(self, data: bytes, separator: bytes, behind: bytes) -> None:
        """A CRLF behind it is optional: firmware of the family prints one."""
        if separator == b"\r" and data.startswith(b"\n"):
            pytest.skip("one separator CRLF")
        stream = b'\r\n+QIURC: "recv",3,%d%s%s%s\r\nOK\r\n' % (len(data), separator, data, behind)
        assert frames(stream, push_sockets={3}) == [Payload(3, None, data), Line(b"OK")]

    def test_sockets_in_buffer_mode_announce_only(self) -> None:
        """The same bytes are two lines there."""
        stream = b'\r\n+QIURC: "recv",0,5\r\n12345\r\n'
        assert frames(stream, push_sockets={1}) == [Line(b'+QIURC: "recv",0,5'), Line(b"12345")]

    @pytest.mark.parametrize(
        "line",
        [b'+QIURC: "recv",0,0', b'+QIURC: "recv",7,5', b'+QIURC: "incoming full"', b"+QI"],
    )
    def test_other_urcs_are_lines(self, line: bytes) -> None:
        """Also where the socket pushes."""
        assert frames(line + b"\r\n", push_sockets={0, 7}) == [Line(line)]

    @pytest.mark.parametrize("shown", [False, True])
    def test_the_buffer_full_urc_is_always_a_line(self, shown: bool) -> None:
        """§2.3.3."""
        line = b'+QIURC: "recv",0,"buff full"'
        assert frames(line + b"\n", push_sockets={0}, length_shown=shown) == [Line(line)]

    @pytest.mark.parametrize("rest", [b"", b"hello", b",hello", b",-5", b",4097", b",5x", b'"'])
    def test_pushed_data_without_a_good_length_is_damage(self, rest: bytes) -> None:
        """Its end can't be known; framing goes on with the next line."""
        stream = b'+QIURC: "recv",0' + rest
        damage, line = frames(stream + b"\r\nOK\r\n", push_sockets={0})
        assert isinstance(damage, Damage)
        assert damage.data == stream
        assert line == Line(b"OK")

    @pytest.mark.parametrize("rest", [b",5\r\n", b",5,", b",0\r\n"])
    def test_pushed_data_with_hidden_length_is_damage(self, rest: bytes) -> None:
        """Then a number is data like any other."""
        stream = b'+QIURC: "recv",0' + rest + b"\n"
        (damage,) = frames(stream, push_sockets={0}, length_shown=False)
        assert isinstance(damage, Damage)


class TestPushEnd:
    """What follows pushed data begins with a line end (§2.1.2), or is a prompt."""

    PUSH = b'\r\n+QIURC: "recv",0,2\r\nAB'
    DATA = Payload(0, None, b"AB")

    @pytest.mark.parametrize(
        ("behind", "rest"),
        [
            (b"CD\r\nOK\r\n", [Line(b"CD"), Line(b"OK")]),
            (b" \r\n", [Line(b" ")]),
            (b"> \r\n", [Line(b"> ")]),
            (b"\x00", []),
            (b"+QIRD: 2,0\r\nAB\r\n\r\nOK\n", [Payload(None, 0, b"AB"), Line(b"OK")]),
            (b'+QIURC: "recv",0,2,AB\r\nOK\r\n', [DATA, Line(b"OK")]),
            (b'+QIURC: "closed",0\r\n\r\nOK\r\n', [Line(b'+QIURC: "closed",0'), Line(b"OK")]),
        ],
    )
    @pytest.mark.parametrize("is_hex", [False, True])
    def test_another_byte_is_damage(self, behind: bytes, rest: list[Frame], is_hex: bool) -> None:
        """Bytes of the data were lost; the byte in question begins the next line."""
        stream = b"\r\nOK\r\n" + self.PUSH + behind
        stream = stream.replace(b"AB", b"4142") if is_hex else stream
        attributes = {"push_sockets": {0}, "hex_receive": is_hex}
        line, data, damage, *others = frames(stream, **attributes)
        assert [line, data] == [Line(b"OK"), self.DATA]
        assert isinstance(damage, Damage)
        assert "pushed data" in damage.reason
        assert damage.data == b""
        assert others == rest
        for size in (5, 7):
            assert fed(framer(**attributes), pieces(stream, size))[2:] == [damage, *rest]

    def test_the_damage_comes_with_the_byte(self) -> None:
        """Nobody waits for the line that it begins, and one is enough."""
        made = framer(push_sockets={0})
        assert made.feed(self.PUSH) == [self.DATA]
        assert made.feed(b"") == ()
        assert [type(frame) for frame in made.feed(b"C")] == [Damage]
        assert made.feed(b"D") == ()

    @pytest.mark.parametrize("behind", [b"\r", b"\r\n", b"\n\r"])
    def test_one_line_end_will_do(self, behind: bytes) -> None:
        """The CRLF that ends the data is optional."""
        stream = self.PUSH + behind + b"> \r\n"
        assert frames(stream, push_sockets={0}) == [self.DATA, Line(b"> ")]

    def test_a_prompt_may_follow_while_it_is_due(self) -> None:
        """Some modules print nothing in front of it."""
        made = framer(push_sockets={0}, prompt_due=True)
        assert made.feed(self.PUSH + b"> ") == [self.DATA, Prompt()]
        data, damage = made.feed(self.PUSH + b"> ")
        assert data == self.DATA
        assert isinstance(damage, Damage)

    def test_nothing_is_pending_at_the_end(self) -> None:
        """A stream may end behind the data, and start afresh with any byte."""
        made = framer(push_sockets={0})
        assert made.feed(self.PUSH) == [self.DATA]
        assert made.resync() == ()
        assert made.feed(b"OK\r\n") == [Line(b"OK")]

    def test_damaged_digits_are_damaged_once(self) -> None:
        """What follows them proves nothing more."""
        stream = self.PUSH.replace(b"AB", b"414x") + b"x\r\n"
        damage, line = frames(stream, push_sockets={0}, hex_receive=True)
        assert isinstance(damage, Damage)
        assert damage.data == b"414x"
        assert line == Line(b"x")


class TestHex:
    """§2.2.11: received data as hex digits, two a byte."""

    @pytest.mark.parametrize("digits", [b"0d0A4f4B", b'"0d0A4f4B"'])
    @pytest.mark.parametrize("separator", [b"\r\n", b","])
    def test_digits_are_decoded(self, digits: bytes, separator: bytes) -> None:
        """Quoted or bare: the note doesn't say which."""
        read = b"+QIRD: 4,0" + separator + digits + b"\r\n\r\nOK\r\n"
        push = b'+QIURC: "recv",2,4' + separator + digits + b"\r\n"
        assert frames(read + push, hex_receive=True, push_sockets={2}) == [
            Payload(None, 0, b"\r\nOK"),
            Line(b"OK"),
            Payload(2, None, b"\r\nOK"),
        ]

    @pytest.mark.parametrize("digits", [b"", b"30", b"303132", b'"', b'"3031323'])
    def test_missing_digits_are_seen_at_the_line_end(self, digits: bytes) -> None:
        """The answer behind them isn't taken for data."""
        damage, line = frames(b"+QIRD: 4,0\r\n" + digits + b"\r\nOK\r\n", hex_receive=True)
        assert isinstance(damage, Damage)
        assert damage.data == digits
        assert line == Line(b"OK")

    @pytest.mark.parametrize("digits", [b"303x", b"3 30", b'"3031x', b'30"1', b"303\xff"])
    def test_other_bytes_are_damage(self, digits: bytes) -> None:
        """Whitespace is no digit either."""
        damage, line = frames(b"+QIRD: 2,0\r\n" + digits + b"\r\nOK\r\n", hex_receive=True)
        assert isinstance(damage, Damage)
        assert damage.data == digits
        assert line == Line(b"OK")


class TestPrompt:
    """§2.2.4: ``>`` asks for the data of a send."""

    @pytest.mark.parametrize("spelling", [b">", b"> ", b"\r\n>\r\n", b"\r\n> ", b"\r\n> \r\n"])
    def test_every_spelling_is_one_prompt(self, spelling: bytes) -> None:
        """A space or CRLF behind it is swallowed, even if it comes with the answer."""
        made = framer(prompt_due=True)
        assert fed(made, bytewise(spelling)) == [Prompt()]
        assert not made.prompt_due
        assert bool(Prompt())
        assert made.feed(b"\r\nSEND OK\r\n") == [Line(b"SEND OK")]

    def test_the_space_may_come_with_the_answer(self) -> None:
        """A relative holds it back until then."""
        assert frames(b"\r\n> \r\nSEND OK\r\n", prompt_due=True) == [Prompt(), Line(b"SEND OK")]

    def test_the_prompt_comes_at_its_first_byte(self) -> None:
        """The data needn't wait for a space."""
        assert framer(prompt_due=True).feed(b"\r\n>") == [Prompt()]

    @pytest.mark.parametrize("echo", [b"AT+QISEND=0,5\r", b"at+qisend=0,5\r\r\n", b"AT\r\r"])
    def test_the_prompt_may_follow_the_echo(self, echo: bytes) -> None:
        """Also where no LF ends the echo."""
        assert frames(echo + b"> ", prompt_due=True) == [Line(echo.rstrip()), Prompt()]

    @pytest.mark.parametrize("text", [b"+QIGETERROR: 552,a\r> b", b" >", b"\x00>", b"AT>"])
    def test_elsewhere_in_a_line_it_is_text(self, text: bytes) -> None:
        """Only an echo ends without LF."""
        made = framer(prompt_due=True)
        assert fed(made, [text, b"\r\n"]) == [Line(text)]
        assert made.prompt_due

    def test_without_a_send_it_is_text(self) -> None:
        """Nobody asked for it."""
        assert frames(b"\r\n> \r\nOK\r\n") == [Line(b"> "), Line(b"OK")]

    def test_lines_may_come_before_it(self) -> None:
        """URCs keep coming between the command and its prompt."""
        stream = b'\r\n+QIURC: "closed",1\r\n\r\n+QIRD: 2,0\r\n> \r\n\r\n> '
        assert frames(stream, prompt_due=True) == [
            Line(b'+QIURC: "closed",1'),
            Payload(None, 0, b"> "),
            Prompt(),
        ]

    @pytest.mark.parametrize(
        "final", [b"OK", b"ERROR", b"+CME ERROR: 516", b"+CMS ERROR:5", b"+CME ERROR : x"]
    )
    def test_a_final_result_takes_its_place(self, final: bytes) -> None:
        """The send was refused; a later ``>`` is text."""
        made = framer(prompt_due=True)
        assert made.feed(final + b"\r\n> \r\n") == [Line(final), Line(b"> ")]
        assert not made.prompt_due

    @pytest.mark.parametrize("line", [b"SEND OK", b"NO CARRIER"])
    def test_other_results_do_not(self, line: bytes) -> None:
        """They belong to an earlier command."""
        assert frames(line + b"\r\n> ", prompt_due=True) == [Line(line), Prompt()]

    def test_an_echo_that_is_too_long_has_no_prompt(self) -> None:
        """The limit of a line holds for echoes, too."""
        echo = b"AT" + b"x" * (LINE_MAX_BYTES - 2)
        assert frames(echo + b"\r\r> ", prompt_due=True) == [Line(echo), Prompt()]
        stream = echo + b"x\r>y\n> \nz\n"
        for chunks in ([stream], bytewise(stream), pieces(stream, 4000)):
            _, *rest = fed(framer(prompt_due=True), chunks)
            assert rest == [Prompt(), Line(b"z")]


class TestResync:
    """What can't be completed is given up."""

    def test_nothing_in_progress_gives_nothing(self) -> None:
        """Line ends on their own are nothing."""
        made = Framer()
        assert made.resync() == ()
        made.feed(b"\r\nOK\r\n\r")
        assert made.resync() == ()

    @pytest.mark.parametrize(
        ("stream", "data"),
        [
            (b"OK\r\n+QIUR", b"+QIUR"),
            (b"half a line\r", b"half a line"),
            (b"+QIRD: 10,0\r\n1234", b"1234"),
            (b"+QIRD: 10,0\r", b""),
        ],
    )
    def test_what_is_in_progress_is_damage(self, stream: bytes, data: bytes) -> None:
        """The next answer is understood."""
        made = Framer()
        made.feed(stream)
        (damage,) = made.resync()
        assert isinstance(damage, Damage)
        assert damage.data == data
        assert made.feed(b"\r\nOK\r\n") == [Line(b"OK")]

    def test_the_rest_of_a_long_line_is_not_damage_again(self) -> None:
        """It was reported when it grew too long."""
        made = Framer()
        made.feed(b"x" * 5000)
        assert made.resync() == ()
        assert made.feed(b"OK\r\n") == [Line(b"OK")]

    def test_held_bytes_are_framed_first(self) -> None:
        """They arrived before, and nothing of them is lost."""
        made = framer(hold_after_final=True)
        made.feed(b"OK\r\nERROR\r\nSEND O")
        made.hold_after_final = True
        line, damage = made.resync()
        assert line == Line(b"ERROR")
        assert isinstance(damage, Damage)
        assert damage.data == b"SEND O"
        assert made.feed(b"") == ()

    def test_it_leaves_the_settings_alone(self) -> None:
        """They mirror the module; what was due is off."""
        settings = {"push_sockets": {1}, "hex_receive": True, "length_shown": False, "read_due": 7}
        made = framer(**settings, prompt_due=True, hold_after_final=True)
        assert made.resync() == ()
        assert {name: getattr(made, name) for name in settings} == settings
        assert (made.prompt_due, made.hold_after_final) == (False, False)


class TestBytesLike:
    """What a link hands over need not be bytes."""

    STREAM = b"\r\nOK\r\n+QIRD: 5,0\r\nhello\r\n\r\nERROR\r\nSEND"

    @pytest.mark.parametrize("kind", [bytearray, memoryview])
    def test_other_buffers_give_the_same_frames(
        self, kind: type[bytearray] | type[memoryview]
    ) -> None:
        """The frames hold bytes."""
        got = fed(Framer(), [kind(chunk) for chunk in pieces(self.STREAM, 9)])
        assert got == frames(self.STREAM)
        assert {type(frame.text) for frame in got if isinstance(frame, Line)} == {bytes}
        assert {type(frame.data) for frame in got if isinstance(frame, Payload)} == {bytes}

    def test_a_buffer_may_be_used_again(self) -> None:
        """What is in progress or held was copied."""
        made = framer(hold_after_final=True)
        buffer = bytearray(self.STREAM)
        got = [*made.feed(memoryview(buffer))]
        buffer[:] = bytes(len(buffer))
        assert [*got, *made.feed(b"")] == frames(self.STREAM)
        assert made.feed(b" OK\r\n") == [Line(b"SEND OK")]


class TestRepr:
    """A framer shows its state in one line."""

    def test_it_names_what_is_in_progress(self) -> None:
        """For logs of a link that got stuck."""
        made = Framer()
        assert repr(made) == "<Framer in lines, 0 held>"
        made.feed(b"+QIRD: 10,0\r\n123")
        assert repr(made) == "<Framer in a payload, 7 bytes due>"
        made.resync()
        made.feed(b"x" * 5000)
        assert repr(made) == "<Framer skipping, 0 held>"
