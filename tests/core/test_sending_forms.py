"""Forms: by which of them a payload goes, and what each costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.core.line_timing import LineTiming
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.sending import (
    ANY_FORM,
    SendForm,
    choose_form,
    permitted_forms,
    send_time,
)
from aiobc9x.wire.commands.base import Command
from aiobc9x.wire.commands.tcpip import Qisend, Qisendex

INLINE, HEX, FIXED = SendForm.INLINE, SendForm.HEX, SendForm.FIXED

QUICK = LineTiming(11520.0)

sizes = st.integers(1, 1440)
lines = st.builds(
    LineTiming,
    st.sampled_from([960.0, 5760.0, 11520.0, 92160.0]),
    st.floats(0, 2),
    st.floats(0, 0.1),
)


def binary(size: int) -> bytes:
    """Bytes that may not stand in quotes."""
    return bytes(size)


class TestTextAndBytes:
    """§2.2.4: inline saves one turnaround, fixed length carries any byte."""

    @pytest.mark.parametrize("data", [b"a", b"GET / HTTP/1.1", b"a,b 'c' >~", b"x" * 1440])
    def test_plain_text_goes_inline(self, data: bytes) -> None:
        """Printable ASCII without a double quote."""
        assert choose_form(data, QUICK, ModuleProfile()) is INLINE

    @pytest.mark.parametrize("byte", [0, 0x0A, 0x0D, 0x1A, 0x1B, 0x1F, 0x22, 0x7F, 0x80, 0xFF])
    def test_one_odd_byte_makes_it_binary(self, byte: int) -> None:
        """What it does inside quotes is undocumented."""
        assert choose_form(b"ab" + bytes([byte]), QUICK, ModuleProfile()) is FIXED

    @given(size=sizes, line=lines)
    def test_text_is_always_cheapest_inline(self, size: int, line: LineTiming) -> None:
        """On any line."""
        assert choose_form(b"a" * size, line, ModuleProfile()) is INLINE


class TestCrossover:
    """Hex costs a byte more for each byte and saves a turnaround of each side."""

    @pytest.mark.parametrize(
        ("baudrate", "latency_ms", "longest"),
        [
            (9600, 5, 3), (9600, 20, 18), (9600, 50, 46), (9600, 100, 94),
            (57600, 5, 27), (57600, 20, 114), (57600, 50, 286), (57600, 100, 574),
            (115200, 5, 56), (115200, 20, 229), (115200, 50, 574), (115200, 100, 1150),
            (230400, 20, 459), (460800, 5, 229), (460800, 20, 920), (921600, 5, 459),
            (921600, 20, 1440), (921600, 100, 1440), (115200, 0, 0), (9600, 1500, 1438),
        ],
    )  # fmt: skip
    def test_table(self, baudrate: int, latency_ms: int, longest: int) -> None:
        """n < B(L + h) - 1, at every rate and latency: the longest that goes as hex."""
        line = LineTiming(baudrate / 10, latency_ms / 1000)
        forms = {n: choose_form(binary(n), line, ModuleProfile()) for n in range(1, 1441)}
        assert [n for n, form in forms.items() if form is HEX] == list(range(1, longest + 1))
        assert {forms[n] for n in range(longest + 1, 1441)} <= {FIXED}

    def test_the_hosts_own_time_counts(self) -> None:
        """A host that is slow to answer the prompt had better not be asked."""
        assert choose_form(binary(50), LineTiming(11520.0, 0.001), ModuleProfile()) is FIXED
        line = LineTiming(11520.0, 0.001, turnaround_s=0.01)
        assert choose_form(binary(50), line, ModuleProfile()) is HEX

    @given(size=sizes, line=lines)
    def test_nothing_cheaper_was_left(self, size: int, line: LineTiming) -> None:
        """The choice is the minimum of the cost model."""
        chosen = choose_form(binary(size), line, ModuleProfile())
        cheapest = min(send_time(form, size, line) for form in (HEX, FIXED))
        assert send_time(chosen, size, line) == cheapest


class TestCostModel:
    """The costs are the bytes of the lines that are really sent."""

    @pytest.mark.parametrize("size", [1, 9, 10, 99, 100, 999, 1000, 1440])
    def test_bytes_on_the_line(self, size: int) -> None:
        """Command, prompt, payload and OK, at a byte a second."""
        data = b"a" * size
        assert cost(INLINE, size) == wire(Qisend(0, size, data)) + len(b"\r\nOK\r\n")
        assert cost(HEX, size) == wire(Qisendex(0, size, data)) + len(b"\r\nOK\r\n")
        prompted = len(b"\r\n> ") + size + len(b"\r\nOK\r\n")
        assert cost(FIXED, size) == wire(Qisend(0, size)) + prompted

    def test_turnarounds(self) -> None:
        """One for a command line, two and the host's for a prompt."""
        line = LineTiming(1e12, 1.0, 0.25)
        times = [send_time(form, 100, line) for form in (INLINE, HEX, FIXED)]
        assert times == pytest.approx([1.0, 1.0, 2.25])


def cost(form: SendForm, size: int) -> float:
    return send_time(form, size, LineTiming(1.0))


def wire(command: Command[None]) -> int:
    return len(command.encode())


class TestLimits:
    """What the module is known not to take, or nobody wants."""

    LINE = LineTiming(11520.0, 0.02)

    def test_inline_limit(self) -> None:
        """The profile knows how long a line the module takes; text may go as hex then."""
        profile = ModuleProfile(inline_limit_bytes=3)
        assert choose_form(b"abc", self.LINE, profile) is INLINE
        assert choose_form(b"abcd", self.LINE, profile) is HEX

    def test_hex_limit(self) -> None:
        """The same for AT+QISENDEX."""
        profile = ModuleProfile(hex_inline_limit_bytes=3)
        assert choose_form(binary(3), self.LINE, profile) is HEX
        assert choose_form(binary(4), self.LINE, profile) is FIXED

    @pytest.mark.parametrize(
        ("name", "text", "short", "long"),
        [
            ("auto", INLINE, HEX, FIXED),
            ("inline", INLINE, FIXED, FIXED),
            ("hex", HEX, HEX, HEX),
            ("fixed", FIXED, FIXED, FIXED),
        ],
    )
    def test_pinned(self, name: str, text: SendForm, short: SendForm, long: SendForm) -> None:
        """Only forms that may be used are."""
        forms = permitted_forms(name)
        data = [b"abc", binary(100), binary(1000)]
        chosen = [choose_form(d, self.LINE, ModuleProfile(), forms) for d in data]
        assert chosen == [text, short, long]

    def test_a_pinned_form_that_was_refused_gives_way(self) -> None:
        """Fixed length is what remains."""
        profile = ModuleProfile(hex_inline_limit_bytes=0)
        assert choose_form(b"abc", self.LINE, profile, permitted_forms("hex")) is FIXED

    def test_an_unknown_name(self) -> None:
        """The error lists those that there are."""
        with pytest.raises(ValueError, match="'auto', 'inline', 'hex', 'fixed'"):
            permitted_forms("quick")

    def test_nothing_pinned(self) -> None:
        """All forms may be used."""
        assert permitted_forms("auto") == ANY_FORM
