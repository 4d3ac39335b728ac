"""identity: other modules are told by their names, and named."""

from __future__ import annotations

import errno
import pickle

import pytest

import aiobc9x
from aiobc9x.aio.bringup.identity import foreign_model, is_ours
from aiobc9x.core.profile import ModuleProfile
from tests.support.answering import AnsweringModule, opened
from tests.support.clock import running, virtual


@pytest.mark.parametrize(
    "lines",
    [
        ("Quectel", "BC65", "Revision: BC65NAR01A01"),
        ("Quectel_Ltd", "Quectel_BC92", "Revision: BC92RBR01A01"),
        ("Quectel_Ltd", "Quectel_BC66", "Revision: BC66NBR01A01"),
        ("Quectel_Ltd", "Quectel_BC660K-GL", "Revision: BC660KGLAAR01A05"),
        ("Quectel", "BC26"),
        ("VER_BC25",),
        ("Quectel", "BC65", "Revision: BC65VIRTUAL01"),
    ],
)
def test_ours(lines: tuple[str, ...]) -> None:
    """BC65, BC92, and the relatives that speak alike."""
    assert is_ours(lines)
    assert foreign_model(lines) is None


@pytest.mark.parametrize(
    ("lines", "model"),
    [
        (("SIM7000E R1529",), "SIM7000E"),
        (("SIMCOM_SIM7600E-H",), "SIM7600E-H"),
        (("SIM800 R14.18",), "SIM800"),
        (("Manufacturer: SIMCOM INCORPORATED", "Model: A7670E-LASE"), "A7670E-LASE"),
        (("Quectel", "BG96", "Revision: BG96MAR02A07M1G"), "BG96"),
        (("Quectel", "EC21", "Revision: EC21EFAR06A01M4G"), "EC21"),
        (("Quectel", "EC200U", "Revision: EC200UCNAAR02A01M08"), "EC200U"),
        (("Quectel_Ltd", "Quectel_M66", "Revision: M66FAR01A12BT"), "M66"),
        (("Quectel", "BC95", "Revision: BC95-G"), "BC95"),
        (("Quectel", "BC28"), "BC28"),
        (("SARA-R410M-02B",), "SARA-R410M-02B"),
        (("332", "ME910C1-E1", "Telit"), "ME910C1-E1"),
        (("Sierra Wireless", "HL7802"), "HL7802"),
        (("Cinterion", "EHS6", "REVISION 03.001"), "EHS6"),
        (("nRF9160-SICA", "Nordic Semiconductor ASA"), "nRF9160-SICA"),
        (("Manufacturer: HUAWEI TECHNOLOGIES", "MU509"), "Manufacturer: HUAWEI TECHNOLOGIES"),
    ],
)
def test_others(lines: tuple[str, ...], model: str) -> None:
    """The model if its family is known, else the maker's line."""
    assert not is_ours(lines)
    assert foreign_model(lines) == model


@pytest.mark.parametrize("lines", [(), ("",), ("Acme", "NB-1", "Revision: A01"), ("OK",)])
def test_nobody_knows(lines: tuple[str, ...]) -> None:
    """A name that is not known, or none, is no reason to refuse a module."""
    assert not is_ours(lines)
    assert foreign_model(lines) is None


def unknown_one(cgmm: bytes) -> AnsweringModule:
    """A module of a maker that nobody has heard of."""
    module = AnsweringModule()
    module.on("ATI", b"Acme\nRevision: A01\nOK")
    module.on(r"AT\+CGMM", cgmm)
    module.on(r"AT\+CGMI", b"ERROR")
    return module


class TestOpening:
    """open_modem() names the stranger at once."""

    @pytest.mark.parametrize(
        ("answers", "model"),
        [
            ({"ATI": b"SIM7000E R1529\nOK"}, "SIM7000E"),
            ({"ATI": b"ERROR", r"AT\+CGMM": b"nRF9160-SICA\nOK"}, "nRF9160-SICA"),
            ({"ATI": b"332\nOK", r"AT\+CGMI": b"Telit\nOK"}, "Telit"),
            ({"ATI": b"Telit Cinterion\nME310G1-WW\nOK"}, "ME310G1-WW"),
            ({"ATI": b"ML307A-DSLN\nOK"}, "ML307A-DSLN"),
            ({"ATI": b"AirM2M_780E_V1124_LTE_AT\nOK", r"AT\+CGMM": b"AIR780E\nOK"}, "AIR780E"),
        ],
    )
    @virtual
    async def test_it_is_named(self, answers: dict[str, bytes], model: str) -> None:
        """Nothing is configured on it, and leaving takes no time."""
        module = AnsweringModule()
        for pattern, answer in answers.items():
            module.on(pattern, answer)
        began = running().now
        with pytest.raises(
            aiobc9x.WrongModule,
            match=f"{model} answers on .*, not a BC65/BC92; profile=",
        ):
            async with opened(module):
                pass
        assert running().now - began < 3
        assert module.told("AT+QI") == module.told("AT+QSCLK") == []
        assert module.is_closing()

    @pytest.mark.parametrize(("cgmm", "model"), [(b"ERROR", "Acme"), (b"NB-1\nOK", "NB-1")])
    @pytest.mark.parametrize("receive_hex", [False, True])
    @virtual
    async def test_a_name_that_nobody_knows(
        self, cgmm: bytes, model: str, receive_hex: bool
    ) -> None:
        """It is another module if it lacks what nothing works without."""
        module = unknown_one(cgmm)
        module.on(r"AT\+QICFG.*", b"ERROR")
        began = running().now
        with pytest.raises(
            aiobc9x.WrongModule,
            match=f"{model} answers on .*, not a BC65/BC92; profile=",
        ):
            async with opened(module, receive_hex=receive_hex):
                pass
        assert running().now - began < 8

    @virtual
    async def test_a_name_that_nobody_knows_and_a_busy_module(self) -> None:
        """It is asked again for a while."""
        module = unknown_one(b"NB-1\nOK")
        module.on(r"AT\+QICFG.*", b"ERROR", seconds=3)
        async with opened(module) as modem:
            assert modem.identification == ("Acme", "Revision: A01")

    @virtual
    async def test_a_profile_overrides(self) -> None:
        """Whoever gives one knows what is there."""
        module = AnsweringModule()
        module.on("ATI", b"SIM7000E R1529\nOK")
        async with opened(module, profile=ModuleProfile()) as modem:
            assert modem.identification == ("SIM7000E R1529",)
            began = running().now
        assert running().now - began < 1

    @virtual
    async def test_silence_about_itself(self) -> None:
        """A module that answers no such question is taken as it is."""
        module = AnsweringModule()
        module.on(r"ATI|AT\+CGM[MI]", b"ERROR")
        async with opened(module) as modem:
            assert modem.identification == ()


def test_the_error() -> None:
    """It is an OSError, names the model, and survives pickling."""
    error = pickle.loads(pickle.dumps(aiobc9x.WrongModule("SIM7000E", "/dev/ttyUSB0")))
    assert error.model == "SIM7000E"
    assert (error.errno, isinstance(error, OSError)) == (errno.ENODEV, True)
