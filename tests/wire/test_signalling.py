"""signalling: registration and timers, then the other lines, then the boot banners."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.wire.params import split_params
from aiobc9x.wire.signalling import (
    ACTIVE_TIME_UNITS_S,
    PERIODIC_TAU_UNITS_S,
    PREFIXES,
    AddressAssigned,
    PacketEvent,
    PowerDown,
    RadioState,
    Registration,
    RegistrationStatus,
    Restart,
    SignallingState,
    SimState,
    SleepEvent,
    Urc,
    Wakeup,
    edrx_bits,
    edrx_seconds,
    is_answer,
    parse_banner,
    parse_status,
    timer_bits,
    timer_seconds,
)
from tests.wire.lines import DAMAGED


def read(line: bytes) -> Urc | None:
    """Read a line as the caller does, who has cut it at the colon."""
    name, _, rest = line.partition(b":")
    return PREFIXES[name](rest.strip())


class TestRegistration:
    """+CEREG, +CGREG, +CREG (27.007)."""

    @pytest.mark.parametrize(
        ("line", "urc"),
        [
            (b"+CEREG: 2", Registration("CEREG", RegistrationStatus(2))),
            (b"+CGREG:5", Registration("CGREG", RegistrationStatus(5))),
            (
                b'+CREG: 1,"12AB","0A01"',
                Registration("CREG", RegistrationStatus(1, "12AB", "0A01")),
            ),
            (
                b'+CEREG: 3,"12AB","0A01B2C3",9,0,15',
                Registration("CEREG", RegistrationStatus(3, "12AB", "0A01B2C3", 9, 0, 15)),
            ),
            (
                b'+CEREG: 5,"12AB","0A01B2C3",9,,,"00000101","01000001"',
                Registration(
                    "CEREG",
                    RegistrationStatus(
                        5, "12AB", "0A01B2C3", 9, active_time_s=10, periodic_tau_s=36000
                    ),
                ),
            ),
            (b'+CEREG: "1"', Registration("CEREG", RegistrationStatus(1))),
            (
                b"+CEREG: 1,9129,00123456,9",
                Registration("CEREG", RegistrationStatus(1, "9129", "00123456", 9)),
            ),
            (b"+CEREG: 1,-,?", Registration("CEREG", RegistrationStatus(1))),
            (
                b'+CGREG: 3,"12AB","0A01",0,"01",0,15',
                Registration("CGREG", RegistrationStatus(3, "12AB", "0A01", 0, 0, 15)),
            ),
            (
                b"+CEREG: 3,,,,0,15",
                Registration("CEREG", RegistrationStatus(3, None, None, None, 0, 15)),
            ),
        ],
    )
    def test_urcs(self, line: bytes, urc: Urc) -> None:
        """Fields at the end may be missing, those between empty."""
        assert read(line) == urc

    @pytest.mark.parametrize("line", [b"+CEREG: 0,1", b"+CEREG:0,1", b'+CEREG: 2,1,"12AB","0A",9'])
    def test_an_answer_is_no_urc(self, line: bytes) -> None:
        """In an answer the second field is a bare number."""
        assert read(line) is None

    @pytest.mark.parametrize("line", [b"+CEREG:", b"+CEREG: x", b"+CEREG: (0-5)", b"+CEREG: 9129"])
    def test_no_number_is_no_urc(self, line: bytes) -> None:
        """Without a status there is none."""
        assert read(line) is None

    @pytest.mark.parametrize(
        ("stat", "registered"),
        [(0, False), (1, True), (2, False), (3, False), (4, False), (5, True)],
    )
    def test_home_and_roaming_are_registered(self, stat: int, registered: bool) -> None:
        """1 and 5, nothing else."""
        assert RegistrationStatus(stat).registered is registered

    @given(line=DAMAGED)
    def test_no_fields_raise(self, line: bytes) -> None:
        """An answer or not, a status or not."""
        fields = split_params(line)
        assert is_answer(fields) in (True, False)
        status = parse_status(fields)
        assert status is None or isinstance(status, RegistrationStatus)

    @pytest.mark.parametrize(
        ("line", "is_read"),
        [
            (b'2,"1"', True),
            (b'"2","1"', True),
            (b'2,"1","12AB","0012A4F1",9', True),
            (b'2,"12AB"', False),
            (b'5,"1","0A01"', False),
            (b'5,"1","0A01",9', False),
            (b'5,"1","0A01",9,,,"00000000","00111000"', False),
        ],
    )
    def test_a_short_field_in_quotes(self, line: bytes, *, is_read: bool) -> None:
        """A status, or an area code without its zeros: what follows shows which."""
        assert is_answer(split_params(line)) is is_read


class TestTimers:
    """Eight bits of 24.008."""

    @pytest.mark.parametrize(
        ("bits", "seconds"),
        [
            (b"00000001", 600),
            (b"00100001", 3600),
            (b'"01000001"', 36000),
            (b"01100011", 6),
            (b"10000001", 30),
            (b"10111111", 31 * 60),
            (b"11000001", 320 * 3600),
            (b"11100001", None),
            (b"01000000", 0),
            (b"0100001", None),
            (b"01000002", None),
            (b"", None),
        ],
    )
    def test_periodic_tau(self, bits: bytes, seconds: int | None) -> None:
        """T3412 extended."""
        assert timer_seconds(bits, PERIODIC_TAU_UNITS_S) == seconds

    @pytest.mark.parametrize(
        ("bits", "seconds"),
        [
            (b'"00000101"', 10),
            (b"00100001", 60),
            (b"01000010", 720),
            (b"01100001", 60),
            (b"11100000", None),
        ],
    )
    def test_active_time(self, bits: bytes, seconds: int | None) -> None:
        """T3324; units that aren't defined are minutes."""
        assert timer_seconds(bits, ACTIVE_TIME_UNITS_S) == seconds


class TestOthers:
    """One line each."""

    @pytest.mark.parametrize(
        ("line", "urc"),
        [
            (b"+CSCON: 1", SignallingState(connected=True)),
            (b"+CSCON:0", SignallingState(connected=False)),
            (b"+CGEV: NW DETACH", PacketEvent("NW DETACH")),
            (b"+CGEV: ME PDN DEACT 1", PacketEvent("ME PDN DEACT 1")),
            (b"+IP: 100.127.243.105", AddressAssigned("100.127.243.105")),
            (b'+IP: "2001:DB8::1"', AddressAssigned("2001:db8::1")),
            (b"+CPIN: READY", SimState("READY")),
            (b"+CPIN: NOT READY", SimState("NOT READY")),
            (b"+CPIN: SIM PIN2", SimState("SIM PIN2")),
            (b"+CPIN: PH-NET PIN", SimState("PH-NET PIN")),
            (b"+CFUN: 1", RadioState(1)),
            (b'+QNBIOTEVENT: "ENTER PSM"', SleepEvent("ENTER PSM")),
            (b"+QNBIOTEVENT: EXIT DEEPSLEEP", SleepEvent("EXIT DEEPSLEEP")),
        ],
    )
    def test_urcs(self, line: bytes, urc: Urc) -> None:
        """Quotes and the space behind the colon are optional."""
        assert read(line) == urc

    @pytest.mark.parametrize(
        ("text", "is_end"),
        [
            ("NW DETACH", True),
            ("ME PDN DEACT 1", True),
            ('nw deact "IP","10.0.0.1",1', True),
            ("ME PDN ACT 1", False),
            ("EPS PDN ACT 1", False),
        ],
    )
    def test_ends_of_contexts(self, text: str, is_end: bool) -> None:
        """Whether the module or the network has ended it."""
        assert PacketEvent(text).is_end is is_end

    @pytest.mark.parametrize(
        ("text", "context_ids"),
        [
            ("NW DETACH", [1, 2]),
            ("ME PDN DEACT 1", [1]),
            ("NW PDN DEACT 2,0", [2]),
            ('NW DEACT "IP","10.0.0.1",1', [1, 2]),
            ("ME PDN ACT 1", []),
        ],
    )
    def test_which_contexts(self, text: str, context_ids: list[int]) -> None:
        """All of them, where it isn't said of one alone."""
        assert [n for n in (1, 2) if PacketEvent(text).ends(n)] == context_ids

    @pytest.mark.parametrize(
        "line",
        [
            b"+CSCON: 0,1",
            b"+CSCON: (0,1)",
            b"+CGEV:",
            b"+IP: none",
            b"+CPIN:",
            b"+CPIN: 1",
            b"+CFUN: (0,1,4),(0,1)",
            b"+QNBIOTEVENT: 1,1",
        ],
    )
    def test_answers_and_damage_are_no_urcs(self, line: bytes) -> None:
        """Read answers and test forms of the same commands are left alone."""
        assert read(line) is None

    @pytest.mark.parametrize("prefix", PREFIXES)
    @given(rest=DAMAGED)
    def test_no_line_raises(self, prefix: bytes, rest: bytes) -> None:
        """Whatever follows a prefix is a URC or it isn't."""
        urc = PREFIXES[prefix](rest)
        assert urc is None or isinstance(urc, Urc)


class TestBanners:
    """What a module says when it starts, stops or wakes."""

    @pytest.mark.parametrize(
        "text",
        [
            "RDY",
            "F1: 0000 0000",
            "Leaving the BROM",
            "Neul",
            "REBOOT_CAUSE_SECURITY_PMU_POWER_ON_RESET",
            "*MATREADY: 1",
        ],
    )
    def test_boot_banners(self, text: str) -> None:
        """Each shows that the module restarted."""
        assert parse_banner(text.encode()) == Restart(text)

    @pytest.mark.parametrize("text", ["POWERED DOWN", "NORMAL POWER DOWN"])
    def test_going_down(self, text: str) -> None:
        """The module is about to be gone."""
        assert parse_banner(text.encode()) == PowerDown(text)

    def test_waking_up_is_no_restart(self) -> None:
        """UDP sockets live on (§2.2.1, note 3)."""
        assert parse_banner(b"+QATWAKEUP") == Wakeup()

    @pytest.mark.parametrize("line", [b"RDYX", b"", b"Neulich", b"OK", b"+QATWAKEUP: 1", b"F1"])
    def test_other_lines(self, line: bytes) -> None:
        """A line that only begins alike is none."""
        assert parse_banner(line) is None


class TestWrittenTimers:
    """Seconds to the bits of 24.008, rounded up to what they can say."""

    @pytest.mark.parametrize(
        ("seconds", "bits", "written"),
        [
            (0, "00000000", 0),
            (1, "00000001", 2),
            (10, "00000101", 10),
            (62, "00011111", 62),
            (63, "00100010", 120),
            (31 * 60, "00111111", 1860),
            (1861, "01000110", 2160),
            (11160, "01011111", 11160),
        ],
    )
    def test_active_time(self, seconds: float, bits: str, written: int) -> None:
        """Steps of 2 s, a minute and six minutes."""
        assert timer_bits("active_s", seconds, ACTIVE_TIME_UNITS_S) == bits
        assert timer_seconds(bits.encode(), ACTIVE_TIME_UNITS_S) == written

    @pytest.mark.parametrize(
        ("seconds", "bits", "written"),
        [
            (900, "10011110", 900),
            (3600, "00000110", 3600),
            (86400, "00111000", 86400),
            (35712000, "11011111", 35712000),
        ],
    )
    def test_periodic_tau(self, seconds: float, bits: str, written: int) -> None:
        """Whatever unit comes nearest."""
        found = timer_bits("period_s", seconds, PERIODIC_TAU_UNITS_S)
        assert timer_seconds(found.encode(), PERIODIC_TAU_UNITS_S) == written
        assert timer_seconds(bits.encode(), PERIODIC_TAU_UNITS_S) == written

    @pytest.mark.parametrize("units", [ACTIVE_TIME_UNITS_S, PERIODIC_TAU_UNITS_S])
    @given(st.floats(0, 11160))
    def test_never_less(self, units: tuple[int | None, ...], seconds: float) -> None:
        """And nothing that could be written is nearer."""
        written = timer_seconds(timer_bits("x", seconds, units).encode(), units)
        known = [unit * count for unit in units if unit for count in range(32)]
        assert written == min(value for value in known if value >= seconds)

    @pytest.mark.parametrize("seconds", [-1, 11161, float("nan"), float("inf")])
    def test_what_can_not_be_written(self, seconds: float) -> None:
        """Named, with the range."""
        with pytest.raises(ValueError, match=r"^active_s must be 0 to 11160 s"):
            timer_bits("active_s", seconds, ACTIVE_TIME_UNITS_S)

    @pytest.mark.parametrize(
        ("seconds", "bits", "cycle"),
        [
            (1, "0010", 20.48),
            (20.48, "0010", 20.48),
            (41, "0101", 81.92),
            (10485.76, "1111", 10485.76),
        ],
    )
    def test_edrx(self, seconds: float, bits: str, cycle: float) -> None:
        """The cycles of NB-IoT."""
        assert edrx_bits("edrx_s", seconds) == bits
        assert edrx_seconds(bits) == cycle

    @pytest.mark.parametrize("bits", [None, "", "0000", "x"])
    def test_no_cycle(self, bits: str | None) -> None:
        """What NB-IoT has no cycle for."""
        assert edrx_seconds(bits) is None

    @pytest.mark.parametrize("seconds", [0, -1, 10486, float("nan")])
    def test_edrx_that_can_not_be_written(self, seconds: float) -> None:
        """Named, with the range."""
        with pytest.raises(ValueError, match=r"^edrx_s must be above 0 and at most 10485\.76 s"):
            edrx_bits("edrx_s", seconds)
