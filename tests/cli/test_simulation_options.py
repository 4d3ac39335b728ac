"""Flags of the virtual module mean what a sim:// address means."""

from pathlib import Path

import click
import pytest

from aiobc9x.cli.simulation_options import takes_simulation
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.options import Host, SimOptions, parse_address


def options(*arguments: str) -> SimOptions:
    """The options that these arguments give."""
    found: list[SimOptions] = []

    @click.command()
    @takes_simulation
    def command(options: SimOptions) -> None:
        found.append(options)

    command.main([*arguments], standalone_mode=False)
    return found[0]


def test_no_argument_means_the_defaults() -> None:
    """The module is quick and healthy."""
    assert options() == SimOptions()


def test_a_flag_is_a_parameter() -> None:
    """Underscores become hyphens; values are read as in an address."""
    assert options("--baud", "9600", "--network-latency", "0.5", "--nvram", "a b&c") == SimOptions(
        baud=9600, network_latency=0.5, nvram=Path("a b&c")
    )


def test_flags_come_on_top_of_the_address() -> None:
    """A flag replaces the address's value of that name alone."""
    assert options("sim://?baud=9600&seed=4", "--baud", "115200") == SimOptions(baud=115200, seed=4)


def test_repeatable_flags_add_up() -> None:
    """Those of the address come first."""
    given = options(
        "sim://?host=a:1.1.1.1",
        *("--host", "b:127.0.0.1,::1@60", "--remote-port", "80:8080"),
        *("--fault", "error;on=AT+QIRD;after=2", "--fault", "drop-line;times=all"),
    )
    assert given == SimOptions(
        hosts={"a": Host(("1.1.1.1",)), "b": Host(("127.0.0.1", "::1"), 60)},
        remote_ports={80: 8080},
        faults=(
            Fault(FaultKind.ERROR, on="AT+QIRD", after=2),
            Fault(FaultKind.DROP_LINE, times=None),
        ),
    )


def test_every_plain_parameter_has_a_flag() -> None:
    """What an address takes, a flag takes."""
    flags = ["--strict-baud", "1", "--prompt", "crlf", "--ping-ms", "1-2", "--banner", "Hello +"]
    address = "sim://?strict_baud=1&prompt=crlf&ping_ms=1-2&banner=Hello%20%2B"
    assert options(*flags) == parse_address(address)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--baud", "fast"], "baud='fast'"),
        (["--prompt", "long"], "space, bare, crlf"),
        (["--fault", "gremlin"], "unknown fault 'gremlin'"),
        (["sim://?nonsense=1"], "nonsense"),
        (["/dev/ttyUSB0"], "not a virtual module"),
    ],
)
def test_bad_values_are_named(arguments: list[str], complaint: str) -> None:
    """The message says which value, and what would fit."""
    with pytest.raises(ValueError, match=complaint):
        options(*arguments)
