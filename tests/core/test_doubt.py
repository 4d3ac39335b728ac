"""Doubt: lines that may be the rest of a damaged payload."""

import pytest

from aiobc9x.core.doubt import Doubt, is_torn
from aiobc9x.wire.urcs import Closed, SendOk


class TestTorn:
    """An unknown line may be noise, or show that bytes got lost."""

    @pytest.mark.parametrize(
        "text",
        [
            b"+DBGINFO: 1",
            b"*MATREADY: 1",
            b"^DSCI",
            b"#x",
            b"%y",
            b"&z",
            b"+LOWVBAT:2987",
            b"+Q: x",
        ],
    )
    def test_what_vendors_print_is_whole(self, text: bytes) -> None:
        """Modules of the family say such things unasked."""
        assert not is_torn(text)

    @pytest.mark.parametrize(
        "text", [b"O", b'nsgip","220.1.2.3"', b"1234567890", b"AT+QIRD=0,1024", b"\x00\xfe", b"+"]
    )
    def test_other_lines_are_not(self, text: bytes) -> None:
        """Their beginning got lost, or they are data."""
        assert is_torn(text)

    @pytest.mark.parametrize("lost", range(len(b"+QIRD: 400,12")))
    def test_a_header_that_lost_a_byte_is_recognized(self, lost: int) -> None:
        """It looks like what a vendor prints, but isn't."""
        header = b"+QIRD: 400,12"
        assert is_torn(header[:lost] + header[lost + 1 :])


class TestDoubt:
    """URCs are kept back while they may be data."""

    def test_what_was_no_data_comes_back_in_order(self) -> None:
        """Once."""
        doubt = Doubt()
        doubt.withhold(Closed(1))
        doubt.withhold(SendOk())
        assert doubt.release(damaged=False) == [Closed(1), SendOk()]
        assert doubt.release(damaged=False) == []
        assert not doubt.persists

    def test_damage_forgets_them_and_stays(self) -> None:
        """The next lines may be data, too."""
        doubt = Doubt()
        doubt.withhold(Closed(1))
        assert doubt.release(damaged=True) == []
        assert doubt.persists
        assert doubt.release(damaged=False) == []
        assert doubt.persists

    def test_it_ends_when_the_line_has_been_silent(self) -> None:
        """Nothing of before comes back."""
        doubt = Doubt()
        doubt.withhold(Closed(1))
        doubt.release(damaged=True)
        doubt.withhold(Closed(2))
        doubt.clear()
        assert not doubt.persists
        assert doubt.release(damaged=False) == []
