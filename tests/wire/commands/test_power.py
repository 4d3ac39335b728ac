"""power: PSM, eDRX and sleep."""

import pytest

from aiobc9x.errors import UnexpectedAnswer
from aiobc9x.wire.commands.power import (
    Cedrxrdp,
    Cedrxs,
    Cpsms,
    EdrxGrant,
    EdrxSetting,
    PsmSetting,
    Qrellock,
)


class TestPowerSaving:
    """AT+CPSMS, AT+CEDRXS."""

    @pytest.mark.parametrize(
        ("line", "setting"),
        [
            (b'+CPSMS: 1,,,"01000001","00000101"', PsmSetting(True, 36000, 10)),
            (b"+CPSMS:0", PsmSetting(False, None, None)),
            (b'+CPSMS: 1,"","","11100000","11100000"', PsmSetting(True, None, None)),
        ],
    )
    def test_power_saving(self, line: bytes, setting: PsmSetting) -> None:
        """The timers are in seconds."""
        assert Cpsms().parse([line]) == setting

    def test_after_a_write_the_request(self) -> None:
        """The module answers nothing, so what was asked for is given."""
        assert Cpsms(1, "01000001", "00000101").parse([]) == PsmSetting(True, 36000, 10)
        assert Cpsms(0).parse([]) == PsmSetting(False, None, None)

    @pytest.mark.parametrize("lines", [[], [b"+CPSMS: on"]])
    def test_no_mode(self, lines: list[bytes]) -> None:
        """An answer without a mode is none."""
        with pytest.raises(UnexpectedAnswer, match=r"no mode"):
            Cpsms().parse(lines)

    def test_edrx(self) -> None:
        """A row per technology; off is an answer without rows, or without value."""
        lines = [b'+CEDRXS: 5,"0011"', b"+CEDRXS: 4"]
        assert Cedrxs().parse(lines) == (EdrxSetting(5, "0011"), EdrxSetting(4, None))
        assert Cedrxs().parse([]) == ()

    def test_no_technology(self) -> None:
        """A row without a number is damage."""
        with pytest.raises(UnexpectedAnswer, match=r"no technology"):
            Cedrxs().parse([b"+CEDRXS: x"])

    @pytest.mark.parametrize(
        ("line", "grant"),
        [
            (b'+CEDRXRDP: 5,"0010","0011","0011"', EdrxGrant(5, "0010", "0011")),
            (b"+CEDRXRDP: 0", EdrxGrant(0, None, None)),
        ],
    )
    def test_granted_edrx(self, line: bytes, grant: EdrxGrant) -> None:
        """What is asked for, and what the network makes of it."""
        assert Cedrxrdp().encode() == b"AT+CEDRXRDP\r"
        assert Cedrxrdp().parse([b"+CEDRXRDP: x", line]) == grant

    @pytest.mark.parametrize("lines", [[], [b"+CEDRXRDP: none"]])
    def test_no_granted_edrx(self, lines: list[bytes]) -> None:
        """An answer without a technology is none."""
        with pytest.raises(UnexpectedAnswer, match=r"no technology"):
            Cedrxrdp().parse(lines)

    def test_lock(self) -> None:
        """Its answer is OK alone."""
        assert Qrellock().encode() == b"AT+QRELLOCK\r"
        assert not Qrellock().claims(b"+QRELLOCK: 1")
