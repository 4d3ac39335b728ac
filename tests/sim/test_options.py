"""The ``sim://`` address."""

import dataclasses
import datetime
from pathlib import Path

import pytest

from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.options import BLACK_HOLE, Host, SimOptions, parse_address


@pytest.mark.parametrize("address", ["sim://", "sim:", "sim:///", "sim://?"])
def test_no_parameters_are_the_defaults(address: str) -> None:
    assert parse_address(address) == SimOptions()


def test_the_example_of_the_architecture() -> None:
    options = parse_address("sim://?latency=0.02&baud=9600&seed=1&host=name:127.0.0.1")
    assert options == SimOptions(
        latency=0.02, baud=9600, seed=1, hosts={"name": Host(("127.0.0.1",))}
    )


def test_everything_at_once() -> None:
    """Numbers, choices, switches, and what may be repeated."""
    options = parse_address(
        "sim://?link=memory&chunk=random&prompt=bare&banner=&nvram=x/y.json&cfun=0"
        "&register_time=2&pin=1234&sim=0&strict_baud=1&network_latency=0.1"
        "&host=Two.Example:127.0.0.1,::1@60&host=dead:blackhole"
        "&listen_port=2020:0&listen_port=80:8080&remote_port=443:8443&ping_ms=5-9"
        "&ping=1.2.3.4:100,-,200&clock=2018-04-20T11:08:20+08:00"
        "&fault=drop-line;on=+QIURC:%20&fault=error;times=all&replay=a%26b&record=none"
    )
    assert options == SimOptions(
        link="memory",
        chunk="random",
        prompt="bare",
        banner="",
        nvram=Path("x/y.json"),
        cfun=0,
        register_time=2.0,
        pin="1234",
        sim=False,
        strict_baud=True,
        network_latency=0.1,
        hosts={"two.example": Host(("127.0.0.1", "::1"), 60), "dead": Host((BLACK_HOLE,))},
        listen_ports={2020: 0, 80: 8080},
        remote_ports={443: 8443},
        ping_ms=(5, 9),
        ping_table={"1.2.3.4": (0.1, None, 0.2)},
        clock=datetime.datetime(
            2018, 4, 20, 11, 8, 20, tzinfo=datetime.timezone(datetime.timedelta(hours=8))
        ),
        replay=Path("a&b"),
        record="none",
        faults=(Fault(FaultKind.DROP_LINE, on="+QIURC: "), Fault(FaultKind.ERROR, times=None)),
    )


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("colour=red", "colour.*unknown; known:.*latency"),
        ("hosts=a", "hosts.*unknown"),
        ("on_line=x", "on_line.*unknown"),
        ("baud=fast", "baud"),
        ("baud=-1", "baud.*less than 0"),
        ("latency=-0.1", "latency.*less than 0"),
        ("node_bytes=0", "node_bytes.*less than 1"),
        ("chunk=some", "chunk"),
        ("link=radio", "link.*pty, memory"),
        ("cfun=2", "cfun.*0, 1, 4"),
        ("sim=yes", "sim.*0 or 1"),
        ("host=name", "host.*name:address"),
        ("host=:127.0.0.1", "host.*name:address"),
        ("listen_port=80", "listen_port.*port:port"),
        ("clock=2018-04-20T11:08:20", "clock.*offset"),
        ("fault=explode", "fault.*explode"),
        ("nvram=", "nvram.*expected a file"),
        ("replay=", "replay.*expected a file"),
        ("record=twice", "record.*once, none, new_episodes, all"),
        ("latency=nan", "latency.*not a finite number"),
        ("boot_time=inf", "boot_time.*not a finite number"),
        ("pin=12", "pin.*4 to 8 digits"),
        ("granted_tau=0101", "granted_tau.*8 bits"),
        ("granted_edrx=2222", "granted_edrx.*4 bits"),
        ("puk=1234", "puk.*8 digits"),
        ("ip=here", "ip.*expected an IP address, not 'here'"),
        ("host=a:localhost", "host.*expected an IP address, not 'localhost'"),
        ("host=a:1.1.1.1@-1", "host.*time to live"),
        ("listen_port=65536:1", "listen_port.*a port is 1 to 65535, the real one 0"),
        ("remote_port=80:0", "remote_port.*the real one 1 to 65535"),
        ("baud=1&baud=2", "baud.*twice"),
        ("baud", "bad query field"),
    ],
)
def test_refused_by_name(query: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_address(f"sim://?{query}")


@pytest.mark.parametrize("address", ["/dev/ttyUSB0", "socket://x", "sim://host", "sim:///path"])
def test_other_addresses(address: str) -> None:
    with pytest.raises(ValueError, match="not a virtual module"):
        parse_address(address)


def test_every_parameter_is_documented() -> None:
    """docs/virtual-module.md has a row for each."""
    text = (Path(__file__).parents[2] / "docs" / "virtual-module.md").read_text(encoding="utf-8")
    renamed = {
        "hosts": "host",
        "listen_ports": "listen_port",
        "remote_ports": "remote_port",
        "ping_table": "ping",
        "faults": "fault",
    }
    names = {renamed.get(field.name, field.name) for field in dataclasses.fields(SimOptions)}
    assert [name for name in sorted(names) if f"| `{name}` |" not in text] == []
    assert [kind for kind in FaultKind if f"| `{kind}` |" not in text] == []
