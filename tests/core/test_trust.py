"""Trust: what shows that bytes were lost, whose they were, and what is not believed yet."""

import pytest

from aiobc9x.core.trust import LATE_OK_S, QUIET_S, WITHHELD_MAX, Loss, Trust, blame, judge
from aiobc9x.wire.framer import Damage, Framer, Line
from aiobc9x.wire.frames import NO_PUSH_END, NO_READ_END
from aiobc9x.wire.urcs import Closed, SendOk


def verdict(
    text: bytes,
    *,
    awaited: bool = False,
    reading: bool = False,
    emptied: bool = False,
    pushing: bool = False,
) -> Loss | None:
    """Judge a line that nobody knows; nothing is under way unless a test says so."""
    return judge(text, awaited=awaited, reading=reading, emptied=emptied, pushing=pushing)


@pytest.fixture
def trust() -> Trust:
    """Trust in a module that has said nothing yet."""
    return Trust(Framer())


WORDS = [b"RING", b"Call Ready", b"SMS Ready", b"NO CARRIER", b"\x00", b"\xff\x00", b"\xff"]

QUOTED = [
    b'+CRING: "x"',
    b'+CMTI: "SM",3',
    b'+CTZEU: "+8",1,"2026/10/02,23:50:20"',
    b'+CEDRXP: 5,"0011","0011","1111"',
    b'+CEREG: 1,"1A2B","01234567",9',
]

VENDOR = [
    b"+DBGINFO: 1",
    b"*MATREADY: 1",
    b"^DSCI",
    b"#x",
    b"%y",
    b"&z",
    b"+LOWVBAT:2987",
    *QUOTED,
]

TORN_HEADERS = [
    b'+QIUR: "recv",0,11',
    b'+QIURC: "recv",,11',
    b'+QIURC: "rev",0,2',
    b'+QIURC "recv",0,11',
    b'+QIURC: "recv"0,11',
    b'+QIURC: recv",0,11',
    b"+QABC: 1",
    b"+IURC: recv,0,11",
    b'+X: "y"',
]


class TestWords:
    """A module says things of its own accord that the note doesn't know (quirk 63)."""

    @pytest.mark.parametrize("text", WORDS)
    @pytest.mark.parametrize("reading", [True, False])
    @pytest.mark.parametrize("pushing", [True, False])
    def test_words_and_noise_show_nothing(
        self, text: bytes, *, reading: bool, pushing: bool
    ) -> None:
        """Whatever is under way."""
        assert verdict(text, reading=reading, pushing=pushing) is None

    @pytest.mark.parametrize("text", VENDOR)
    @pytest.mark.parametrize("pushing", [True, False])
    def test_what_vendors_print_shows_nothing(self, text: bytes, *, pushing: bool) -> None:
        """A sign and a letter."""
        assert verdict(text, pushing=pushing) is None

    def test_unknown_words_spare_the_read(self) -> None:
        """A header that lost its beginning leaves digits, signs or letters of ``+QIRD``."""
        loss = verdict(b"Bonjour le monde", reading=True, pushing=True)
        assert loss is not None
        assert loss.spares_read
        assert not loss.spares_pushes


class TestBehindAnEmptyAnswer:
    """``+QIRD: 0`` may be ``+QIRD: 10`` without its 1, and then its data follow."""

    @pytest.mark.parametrize("text", [b"plain text", b"xxx", b"12345", b"+TEMP: 21.5", b"\x01"])
    def test_any_line_may_be_its_data(self, text: bytes) -> None:
        """Which the stream must not go on without; pushed data are not concerned."""
        loss = verdict(text, emptied=True, pushing=True)
        assert loss is not None
        assert not loss.spares_read
        assert loss.spares_pushes

    @pytest.mark.parametrize("text", TORN_HEADERS)
    def test_a_torn_header_may_be_a_pushers(self, text: bytes) -> None:
        """Then both are concerned."""
        loss = verdict(text, emptied=True, pushing=True)
        assert loss is not None
        assert not loss.spares_read
        assert not loss.spares_pushes

    @pytest.mark.parametrize("text", [*WORDS, *QUOTED, b"+DBGINFO: 1"])
    def test_what_modules_are_known_to_say_is_none(self, text: bytes) -> None:
        """A module that rings has lost nothing."""
        assert verdict(text, emptied=True) is None

    @pytest.mark.parametrize("text", QUOTED)
    def test_nor_is_it_beside_sockets_in_push_mode(self, text: bytes) -> None:
        """Its quotes and numbers look like a header, its name does not."""
        assert verdict(text, pushing=True) is None


class TestTornLines:
    """An unknown line may be a header that lost a byte; its payload is framed as lines."""

    @pytest.mark.parametrize("text", TORN_HEADERS)
    def test_a_header_of_pushed_data_is_recognized(self, text: bytes) -> None:
        """It looks like a vendor's line, but push sockets are open."""
        loss = verdict(text, pushing=True)
        assert loss is not None
        assert loss.spares_read
        assert not loss.spares_pushes

    @pytest.mark.parametrize("text", TORN_HEADERS)
    def test_it_spares_a_read_unless_it_may_be_the_reads(self, text: bytes) -> None:
        """Nothing says that ``+QABC`` was no ``+QIRD``."""
        loss = verdict(text, reading=True, pushing=True)
        assert loss is not None
        assert loss.spares_read == (text != b"+QABC: 1")
        assert not loss.spares_pushes

    @pytest.mark.parametrize("text", TORN_HEADERS)
    def test_without_push_sockets_it_is_a_vendors_line(self, text: bytes) -> None:
        """Nothing can be pushed."""
        assert verdict(text) is None

    @pytest.mark.parametrize("text", [b'"recv",0,11', b'IURC: "recv",0,11', b"URC:"])
    @pytest.mark.parametrize("reading", [True, False])
    def test_the_rest_of_one_spares_the_read(self, text: bytes, *, reading: bool) -> None:
        """Its words are not those of a read."""
        loss = verdict(text, reading=reading, pushing=True)
        assert loss is not None
        assert loss.spares_read

    @pytest.mark.parametrize("lost", range(len(b"+QIRD: 400,12")))
    def test_a_header_of_a_read_that_lost_a_byte_is_recognized(self, lost: int) -> None:
        """It looks like what a vendor prints, but isn't; pushed data are not concerned."""
        header = b"+QIRD: 400,12"
        torn = header[:lost] + header[lost + 1 :]
        loss = verdict(torn, reading=True, pushing=True)
        assert loss is not None
        assert not loss.spares_read
        assert loss.spares_pushes

    @pytest.mark.parametrize(
        "text", [b"O", b'nsgip","220.1.2.3"', b"1234567890", b"AT+QIRD=0,1024", b"\x00\xfe", b"+"]
    )
    def test_other_lines_may_be_anybodys_data(self, text: bytes) -> None:
        """Their beginning got lost, or they are data."""
        loss = verdict(text, reading=False, pushing=True)
        assert loss is not None
        assert not loss.spares_pushes

    def test_the_reason_tells_nothing_of_the_line(self) -> None:
        """It may be what a peer has sent, and ends up in exceptions of others."""
        loss = verdict(b"password=secret", pushing=True)
        assert loss is not None
        assert loss.reason == "a line of 15 bytes that can't be read"

    @pytest.mark.parametrize("text", [b"K", b"O", b"EROR", b"ERRO"])
    def test_a_torn_final_result_is_the_commands(self, text: bytes) -> None:
        """Pushed data are not concerned while one is awaited."""
        awaited = verdict(text, awaited=True, pushing=True)
        assert awaited is not None
        assert awaited.spares_pushes
        unasked = verdict(text, pushing=True)
        assert unasked is not None
        assert not unasked.spares_pushes


class TestBlame:
    """Whose bytes a damaged stretch holds, as far as it can be told."""

    def test_a_swallowed_line_end_is_the_last_pushers(self) -> None:
        """No other socket is concerned, nor a read."""
        loss = blame(Damage(NO_PUSH_END, b"x"), {1, 2}, 2)
        assert (loss.spares_read, loss.connect_id) == (True, 2)
        assert not loss.spares_pushes

    def test_a_header_that_names_a_push_socket_is_its_own(self) -> None:
        """It can't be framed, but says whose data follow."""
        loss = blame(Damage("too long", b'+QIURC: "recv",1,9999'), {1, 2}, 2)
        assert (loss.spares_read, loss.connect_id) == (True, 1)

    def test_a_header_that_names_another_may_be_anybodys(self) -> None:
        """Its number may have been lost."""
        loss = blame(Damage("too long", b'+QIURC: "recv",3,9999'), {1, 2}, None)
        assert loss == Loss("too long")

    def test_a_header_of_a_read_spares_the_pushers(self) -> None:
        """A read is answered to whoever asked."""
        assert blame(Damage("odd", b"+QIRD: 9999,0"), {1}, None) == Loss("odd", spares_pushes=True)

    def test_what_follows_the_data_of_a_read_is_the_reads(self) -> None:
        """They have swallowed what should stand there."""
        loss = blame(Damage(NO_READ_END, b"\r\nxy"), {1}, 1)
        assert loss == Loss(NO_READ_END, spares_pushes=True)

    def test_anything_else_may_be_anybodys(self) -> None:
        """A read, and every push socket."""
        assert blame(Damage("a line that is too long", b"xyz"), {1}, 1) == Loss(
            "a line that is too long"
        )


class TestDoubt:
    """Lines behind a loss may be data of a peer."""

    def test_it_ends_with_a_silence(self, trust: Trust) -> None:
        """The rest of a payload comes at once."""
        trust.begin_doubt()
        trust.note_silence(QUIET_S - 0.01)
        assert trust.in_doubt
        trust.note_silence(QUIET_S)
        assert not trust.in_doubt

    def test_it_forgets_what_was_withheld(self, trust: Trust) -> None:
        """That may have been data, too."""
        trust.withhold(Closed(1))
        trust.begin_doubt()
        assert trust.release() == []

    def test_it_ends_in_step(self, trust: Trust) -> None:
        """Commands and answers match again; nothing of before comes back."""
        trust.begin_doubt()
        trust.withhold(Closed(2))
        trust.end_doubt()
        assert not trust.in_doubt
        assert trust.release() == []

    def test_what_was_no_data_comes_back_in_order(self, trust: Trust) -> None:
        """Once."""
        trust.withhold(Closed(1))
        trust.withhold(SendOk())
        assert trust.release() == [Closed(1), SendOk()]
        assert trust.release() == []

    def test_a_module_that_babbles_takes_no_memory(self, trust: Trust) -> None:
        """What is too many is forgotten."""
        for _ in range(2 * WITHHELD_MAX):
            trust.withhold(Closed(1))
        assert len(trust.release()) == WITHHELD_MAX


class TestBehindARead:
    """A CRLF ends the payload of a read; another belongs to ``OK``."""

    def test_noise_explains_that_the_next_is_missing(self, trust: Trust) -> None:
        """A module that wakes up makes some; nothing was swallowed."""
        damage = Damage(NO_READ_END, b"\r\n")
        assert trust.defer(damage)
        assert trust.settle_deferred(Line(b"\x00\xff")) is None
        assert trust.deferred is None

    def test_any_other_frame_shows_a_loss(self, trust: Trust) -> None:
        """The damage counts, a moment later."""
        damage = Damage(NO_READ_END, b"\r\n")
        assert trust.defer(damage)
        assert trust.settle_deferred(Line(b"K")) == damage

    @pytest.mark.parametrize(
        "damage", [Damage(NO_READ_END, b"\r"), Damage(NO_READ_END, b"OK"), Damage("odd", b"\r\n")]
    )
    def test_damage_that_no_noise_can_explain_counts_at_once(
        self, trust: Trust, damage: Damage
    ) -> None:
        """The payload has lost bytes."""
        assert not trust.defer(damage)

    def test_a_restart_forgets_it(self, trust: Trust) -> None:
        """The read is history."""
        trust.defer(Damage(NO_READ_END, b"\r\n"))
        trust.clear()
        assert trust.deferred is None


class TestBlankLines:
    """What stands between ``+QIRD: 0`` and the next line."""

    @pytest.mark.parametrize("blanks", [b"\r\n", b"\r", b"", b"\x00\r\n", b"\r\n\xff"])
    def test_one_line_end_is_no_data(self, trust: Trust, blanks: bytes) -> None:
        """Noise aside, and whether or not a byte of it got lost."""
        assert not trust.check_blanks(b"\r\n")
        assert not trust.check_blanks(blanks)

    @pytest.mark.parametrize("blanks", [b"\r\r\n", b"\n\r\n", b"\x00\r\n\r\n"])
    def test_more_is_data(self, trust: Trust, blanks: bytes) -> None:
        """Of a module that has printed just one, also before a restart."""
        trust.check_blanks(b"\r\n")
        trust.clear()
        assert trust.check_blanks(blanks)

    @pytest.mark.parametrize("first", [None, b"\r\n\r\n", b"\r"])
    def test_a_way_of_its_own(self, trust: Trust, first: bytes | None) -> None:
        """A module that has never printed just one may print more."""
        assert first is None or not trust.check_blanks(first)
        assert not trust.check_blanks(b"\r\n\r\n")


class TestLateOk:
    """``OK`` of a send that has ended without it."""

    def test_it_is_awaited_for_a_while(self, trust: Trust) -> None:
        """Only OK, and only so long."""
        assert not trust.awaits_late_ok
        trust.note_omitted_ok("inline", 10.0)
        assert trust.awaits_late_ok
        assert trust.is_late_ok(b"OK", 10.0 + LATE_OK_S)
        assert not trust.is_late_ok(b"OK", 10.1 + LATE_OK_S)
        assert not trust.is_late_ok(b"ERROR", 10.0)

    def test_there_is_one_for_each_send(self, trust: Trust) -> None:
        """The next OK is somebody's own."""
        trust.note_omitted_ok("inline", 10.0)
        trust.take_late_ok()
        assert not trust.awaits_late_ok
        assert not trust.is_late_ok(b"OK", 10.0)

    def test_a_restart_ends_the_wait_but_not_the_habit(self, trust: Trust) -> None:
        """The module words its answers as before."""
        trust.note_omitted_ok("inline", 10.0)
        habits = dict(trust.ok_habits)
        trust.clear()
        assert not trust.awaits_late_ok
        assert trust.ok_habits == habits
