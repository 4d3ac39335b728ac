"""sim: what the SIM waits for, and how many tries are left."""

import pytest

from aiobc9x.errors import UnexpectedAnswer
from aiobc9x.wire.commands.sim import Cpin, Cpinr, Qpinc, SimTries


class TestCpin:
    """The SIM."""

    @pytest.mark.parametrize("state", ["READY", "SIM PIN", "NOT READY"])
    def test_state(self, state: str) -> None:
        """The text behind the prefix, of the last line."""
        line = b"+CPIN: " + state.encode()
        assert Cpin().claims(line)
        assert Cpin().parse([b"+CPIN: BUSY", line]) == state
        assert Cpin().parse([b'+CPIN: "' + state.lower().encode() + b'",3']) == state

    def test_a_pin_is_sent_in_quotes_and_never_shown(self) -> None:
        """It is in neither the text, which messages use, nor the repr."""
        command = Cpin("1234")
        assert command.encode() == b'AT+CPIN="1234"\r'
        assert command.text == 'AT+CPIN="****"'
        assert "1234" not in repr(command)

    def test_neither_is_a_puk(self) -> None:
        """With a new PIN, the first is the PUK."""
        command = Cpin("12345678", "4321")
        assert command.encode() == b'AT+CPIN="12345678","4321"\r'
        assert command.text == 'AT+CPIN="****"'
        assert "4321" not in repr(command)

    @pytest.mark.parametrize(
        ("puk", "pin", "message"),
        [
            ("123", None, r"^pin must have 4 to 8 digits"),
            ("1234567", "1234", r"^puk must have 8 digits"),
            ("12345678", "123", r"^new_pin must have 4 to 8 digits"),
        ],
    )
    def test_wrong_digits(self, puk: str, pin: str | None, message: str) -> None:
        """They are refused before anything is sent, and not shown."""
        with pytest.raises(ValueError, match=message) as caught:
            Cpin(puk, pin)
        assert puk not in str(caught.value)

    def test_after_a_pin_the_state_is_a_urc(self) -> None:
        """Only the question claims the answer."""
        assert not Cpin("1234").claims(b"+CPIN: READY")
        assert Cpin("1234").parse([]) == ""

    @pytest.mark.parametrize("lines", [[], [b"+CPIN:"]])
    def test_no_state(self, lines: list[bytes]) -> None:
        """An answer without state is none."""
        with pytest.raises(UnexpectedAnswer, match=r"no SIM state"):
            Cpin().parse(lines)


class TestTries:
    """AT+CPINR, AT+QPINC."""

    def test_lines(self) -> None:
        """Both may have to wait for the SIM."""
        assert (Cpinr().encode(), Cpinr().time_limit) == (b"AT+CPINR\r", 5)
        assert (Qpinc().encode(), Qpinc().time_limit) == (b"AT+QPINC?\r", 5)

    @pytest.mark.parametrize(
        ("lines", "tries"),
        [
            ([b"+CPINR: SIM PIN,3,3", b"+CPINR: SIM PUK,10,10"], SimTries(3, 10)),
            ([b'+CPINR:"SIM PUK",9', b"+CPINR: SIM PIN2,1"], SimTries(None, 9)),
            ([b"+CPINR: SIM PIN", b"+CPINR:"], SimTries(None, None)),
            ([], SimTries(None, None)),
        ],
    )
    def test_those_of_27007(self, lines: list[bytes], tries: SimTries) -> None:
        """A row for each code."""
        assert Cpinr().parse(lines) == tries

    @pytest.mark.parametrize(
        ("lines", "tries"),
        [
            ([b'+QPINC: "P2",1,2', b'+QPINC: "SC",3,10'], SimTries(3, 10)),
            ([b"+QPINC:SC,0"], SimTries(0, None)),
            ([b"+QPINC: 99"], SimTries(None, None)),
            ([], SimTries(None, None)),
        ],
    )
    def test_those_of_the_vendor(self, lines: list[bytes], tries: SimTries) -> None:
        """A row for each lock; the SIM's own counts."""
        assert Qpinc().parse(lines) == tries
