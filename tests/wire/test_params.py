"""params: writing one rule per class, then reading, then properties over damage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.wire.params import (
    ascii_text,
    command_line,
    hex_text,
    inline_text_ok,
    int_or_none,
    integer,
    ip_or_none,
    is_quoted,
    maybe_integer,
    number_or_none,
    quoted,
    raw_line,
    split_params,
    unquote,
)
from tests.wire.lines import DAMAGED


class TestCommandLine:
    """§2.1.2."""

    def test_parameters_follow_the_name(self) -> None:
        """A write command joins its parameters with commas and ends with CR."""
        assert command_line("+QIRD", connect_id="0", read_length="512") == b"AT+QIRD=0,512\r"

    def test_without_parameters_there_is_no_equals_sign(self) -> None:
        """Execution and read commands are the name alone."""
        assert command_line("+QISTATE?") == b"AT+QISTATE?\r"

    def test_omitted_parameters_at_the_end_are_dropped(self) -> None:
        """``None`` after the last given parameter leaves no comma."""
        assert command_line("+X", a="1", b=None, c=None) == b"AT+X=1\r"

    def test_an_empty_position_stays(self) -> None:
        """The empty string is a position without a value."""
        assert command_line("+X", a="1", b="", c="2") == b"AT+X=1,,2\r"

    def test_a_gap_is_refused_by_name(self) -> None:
        """An omitted parameter before a given one is an error that names both."""
        with pytest.raises(ValueError, match=r"^b is needed, because c follows it"):
            command_line("+X", a="1", b=None, c="2")


class TestInteger:
    """Ranges are checked before anything is sent."""

    @pytest.mark.parametrize(("value", "text"), [(0, "0"), (5, "5")])
    def test_both_ends_of_the_range_are_allowed(self, value: int, text: str) -> None:
        """The range includes its first and last value."""
        assert integer("connect_id", value, range(6)) == text

    @pytest.mark.parametrize("value", [-1, 6, True, False, None, "1", 1.0, b"1", 10**30])
    def test_anything_else_is_refused_by_name(self, value: object) -> None:
        """Out of range, a bool, or no int: the message names argument and range."""
        with pytest.raises(ValueError, match=r"^connect_id must be an integer, 0 to 5, not "):
            integer("connect_id", value, range(6))

    def test_a_range_of_one_value_is_named_as_such(self) -> None:
        """The message says which value is the only one."""
        with pytest.raises(ValueError, match=r"^value must be an integer, 0, not 1"):
            integer("value", 1, range(1))

    def test_an_optional_integer_may_be_left_out(self) -> None:
        """``None`` stays ``None``; a value is checked."""
        assert maybe_integer("port", None, range(6)) is None
        assert maybe_integer("port", 1, range(6)) == "1"


class TestQuoted:
    """Strings stand in double quotes."""

    @pytest.mark.parametrize("text", ["internet", b"internet", bytearray(b"internet")])
    def test_text_and_bytes_are_quoted(self, text: str | bytes) -> None:
        """Bytes are taken as they are."""
        assert quoted("apn", text, 50) == '"internet"'

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "^apn is empty; give at least one character$"),
            ("a" * 51, "^apn has 51 bytes; shorten it to 50$"),
            ('a"b', "^apn holds a double quote, control or non-ASCII character"),
            ("a\rb", "^apn holds a double quote, control or non-ASCII character"),
            ("a\nb", "^apn holds a double quote, control or non-ASCII character"),
            ("a\x00b", "^apn holds a double quote, control or non-ASCII character"),
            ("a\x7fb", "^apn holds a double quote, control or non-ASCII character"),
            ("é", "^apn holds a double quote, control or non-ASCII character"),
            (b"\xff", "^apn holds a double quote, control or non-ASCII character"),
            (None, "^apn must be str or bytes, not NoneType$"),
        ],
    )
    def test_what_a_line_cannot_carry_is_refused_by_name(self, text: str, message: str) -> None:
        """The message names the argument, the cause and the fix."""
        with pytest.raises(ValueError, match=message):
            quoted("apn", text, 50)


class TestHexAndInlineText:
    """§2.2.4, §2.2.5."""

    def test_hex_as_the_example_has_it(self) -> None:
        """Example 4.1.2; letters are capitals."""
        assert hex_text(b"01234") == '"3031323334"'
        assert hex_text(b"\x00\xff") == '"00FF"'

    @given(data=st.binary(max_size=40))
    def test_hex_keeps_every_byte(self, data: bytes) -> None:
        """Decoding gives the bytes back."""
        assert bytes.fromhex(hex_text(data)[1:-1]) == data

    @pytest.mark.parametrize("byte", range(256))
    def test_which_bytes_stand_inline(self, byte: int) -> None:
        """Printable ASCII without the double quote."""
        assert inline_text_ok(bytes([byte])) == (0x20 <= byte <= 0x7E and byte != 0x22)

    def test_nothing_is_no_inline_text(self) -> None:
        """Empty data can't be sent (§2.2.4, note 4)."""
        assert not inline_text_ok(b"")


class TestRawLine:
    """§2.1.2: ``AT`` or ``at`` begins a line, CR ends it."""

    @pytest.mark.parametrize("line", ["AT", "at+cgatt?", 'AT+QIDNSCFG="8.8.8.8"', "ATI"])
    def test_lines_pass_as_they_are(self, line: str) -> None:
        """CR is added, nothing else."""
        assert raw_line(line) == line.encode() + b"\r"

    @pytest.mark.parametrize("line", ["", "+CGATT?", " AT", "aT", "A"])
    def test_a_line_begins_with_at(self, line: str) -> None:
        """Both letters in one case, and nothing before them."""
        with pytest.raises(ValueError, match=r"^line must start with AT"):
            raw_line(line)

    @pytest.mark.parametrize(
        "line", ["AT\r", "AT\rAT", "AT\n", "AT\x1a", "AT\x7f", "ATé", "AT\ud800"]
    )
    def test_control_and_other_characters_are_refused(self, line: str) -> None:
        """A CR would be a second command."""
        with pytest.raises(ValueError, match=r"^line holds a control or non-ASCII character"):
            raw_line(line)

    @pytest.mark.parametrize("line", ["+CPIN=1234", 'AT+CPIN="1234"\r', 'AT+CSQ;+CPIN="1234"é'])
    def test_a_refused_line_keeps_its_secrets(self, line: str) -> None:
        """What is wrong with it can be said without them."""
        with pytest.raises(ValueError, match=r"\+CPIN=\.\.\.'$"):
            raw_line(line)

    def test_a_line_has_an_end(self) -> None:
        """With its CR it may have 4096 bytes."""
        assert len(raw_line("AT" + "1" * 4093)) == 4096
        with pytest.raises(ValueError, match=r"^line has 4096 bytes; shorten it to 4095$"):
            raw_line("AT" + "1" * 4094)


class TestSplit:
    """Commas outside quotes separate."""

    @pytest.mark.parametrize(
        ("text", "fields"),
        [
            (b"0,0", [b"0", b"0"]),
            (b" 1 , 2 ", [b"1", b"2"]),
            (b"", [b""]),
            (b",", [b"", b""]),
            (b'1,"a,b",2', [b"1", b'"a,b"', b"2"]),
            (b'1, "a" ,', [b"1", b'"a"', b""]),
            (b'"a"b,c', [b'"a"b', b"c"]),
            (b'1,"a,b', [b"1", b'"a,b']),
            (b'"', [b'"']),
            (b',"",', [b"", b'""', b""]),
        ],
    )
    def test_fields(self, text: bytes, fields: list[bytes]) -> None:
        """Quotes stay, spaces around go, an open quote reaches to the end."""
        assert split_params(text) == fields

    @given(text=DAMAGED)
    def test_splitting_loses_only_spaces_and_commas(self, text: bytes) -> None:
        """Joined again, the fields have every other byte of the text."""
        joined = b",".join(split_params(text))
        assert b"".join(joined.split()) == b"".join(text.split())

    def test_damage_costs_linear_time(self) -> None:
        """Two million open and closed quotes, for which square time would be hours."""
        many = 1_000_000
        assert len(split_params(b'"a"' * many + b'"' + b"a," * many)) == 1


class TestFields:
    """Reading one field never raises."""

    @pytest.mark.parametrize(
        ("field", "number"),
        [
            (b"0", 0),
            (b"007", 7),
            (b"-512", -512),
            (b"+8", 8),
            (b"9999999999", 9999999999),
            (b"99999999999", None),
            (b"9" * 10_000, None),
            (b"", None),
            (b"-", None),
            (b"1.5", None),
            (b'"1"', None),
            (b"1_0", None),
            ("١".encode(), None),
            (b"1\n", None),
        ],
    )
    def test_numbers(self, field: bytes, number: int | None) -> None:
        """Ten digits at most, ASCII only, nothing around them."""
        assert int_or_none(field) == number

    @pytest.mark.parametrize("field", [b"12", b'"12"', b'" 12 "', b'"12'])
    def test_numbers_in_quotes(self, field: bytes) -> None:
        """Some modules quote every field."""
        assert number_or_none(field) == 12
        assert number_or_none(b'"x"') is None

    @pytest.mark.parametrize(
        ("field", "text"),
        [
            (b'"TCP"', "TCP"),
            (b"TCP", "TCP"),
            (b'""', ""),
            (b"", ""),
            (b'"', ""),
            (b'"open', "open"),
            (b"\xff", "\\xff"),
        ],
    )
    def test_strings(self, field: bytes, text: str) -> None:
        """Quotes are optional; other bytes are escaped."""
        assert unquote(field) == text

    def test_quotes_tell_a_string_from_a_number(self) -> None:
        """What begins with a double quote is a string."""
        assert is_quoted(b'"1"')
        assert not is_quoted(b"1")

    def test_every_byte_can_be_shown(self) -> None:
        """Bytes outside ASCII come out as escapes."""
        assert ascii_text(b"a\x80\x00") == "a\\x80\x00"

    @pytest.mark.parametrize(
        ("field", "ip"),
        [
            (b"10.157.140.5", "10.157.140.5"),
            (b'"100.127.243.105"', "100.127.243.105"),
            (b'"32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1"', "2001:db8::1"),
            (b"2001:0DB8:0:0:0:0:0:1", "2001:db8::1"),
            (b"32.1.13.999.0.0.0.0.0.0.0.0.0.0.0.1", None),
            (b"1.2.3", None),
            (b"example.com", None),
            (b"", None),
        ],
    )
    def test_addresses(self, field: bytes, ip: str | None) -> None:
        """IPv6 has two spellings on the wire and one here."""
        assert ip_or_none(field) == ip

    @given(field=DAMAGED)
    def test_no_field_raises(self, field: bytes) -> None:
        """Whatever arrives, reading gives a value or ``None``."""
        assert isinstance(unquote(field), str)
        assert int_or_none(field) is None or len(field) <= 11
        assert ip_or_none(field) is None or b"." in field or b":" in field
