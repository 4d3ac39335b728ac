"""The fixtures that the package offers to other projects' tests, as these projects use them."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import aiobc9x
from tests.support.realtime import PATIENCE_S

pytest_plugins = ["pytester"]

INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
addopts = -p no:cacheprovider -p no:xdist -p no:cov --strict-markers
filterwarnings = error
"""


@pytest.fixture(scope="module")
def imported() -> None:
    """Have the library imported: what only a run of pytest within the test imports, it forgets."""
    for module in pkgutil.walk_packages(aiobc9x.__path__, "aiobc9x."):
        if module.name.startswith(("aiobc9x.sim.", "aiobc9x.aio.", "aiobc9x.trace.")):
            importlib.import_module(module.name)


@pytest.fixture
def project(pytester: pytest.Pytester, imported: None) -> pytest.Pytester:
    """A project of its own, whose tests run in this process: another one takes seconds to begin."""
    pytester.makefile(".ini", pytest=INI)
    return pytester


def ran(project: pytest.Pytester, text: str, *arguments: str, **outcomes: int) -> str:
    """Run a file of tests; return what pytest prints."""
    project.makepyfile(test_it=text)
    result = project.runpytest_inprocess(*arguments)
    result.assert_outcomes(**outcomes)
    return result.stdout.str()


def test_it_comes_with_the_package() -> None:
    """By its entry point, so that a project has nothing to set up."""
    (found,) = entry_points(group="pytest11", name="aiobc9x")
    assert found.value == "aiobc9x.pytest_plugin"


def test_it_costs_nothing_until_it_is_used(project: pytest.Pytester) -> None:
    """Neither the library nor the virtual module is imported for other tests."""
    text = """
        import sys

        def test_other():
            heavy = {"aiobc9x.open", "aiobc9x.modem", "aiobc9x.sim.module", "aiobc9x.trace"}
            assert not heavy & sys.modules.keys()
    """
    project.makepyfile(test_it=text)
    project.runpytest_subprocess(timeout=PATIENCE_S).assert_outcomes(passed=1)


def test_a_modem_reaches_its_peer(project: pytest.Pytester) -> None:
    """Over the virtual module and real sockets on loopback."""
    text = """
        async def test_echo(modem, modem_peer, virtual_modem):
            port = await modem_peer.echo()
            reader, writer = await modem.open_connection(modem_peer.host, port)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()
            assert "AT+QICLOSE=0" in virtual_modem.commands

        async def test_web(modem, modem_peer):
            port = await modem_peer.http({"/data": b"21.5"})
            reader, writer = await modem.open_connection(modem_peer.host, port)
            writer.write(b"GET /data HTTP/1.1\\r\\n\\r\\nHEAD /data HTTP/1.1\\r\\n\\r\\n")
            answer = b"HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\n"
            assert await reader.readexactly(2 * len(answer) + 4) == answer + b"21.5" + answer
            writer.write(b"GET /else HTTP/1.1\\r\\n\\r\\nPUT / HTTP/1.1\\r\\n\\r\\n")
            assert b"404" in await reader.readuntil(b"\\r\\n\\r\\n")
            assert b"405" in await reader.readuntil(b"\\r\\n\\r\\n")
            writer.close()
            await writer.wait_closed()
    """
    ran(project, text, passed=2)


def test_hours_take_no_time(project: pytest.Pytester) -> None:
    """Virtual time begins before the modem, wherever its fixture stands."""
    text = """
        import asyncio

        async def test_a_day(modem, modem_peer, modem_clock):
            port = await modem_peer.echo()
            began = asyncio.get_running_loop().time()
            for _ in range(24):
                await asyncio.sleep(3600)
                reader, writer = await modem.open_connection(modem_peer.host, port)
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
                writer.close()
                await writer.wait_closed()
            passed = asyncio.get_running_loop().time() - began
            assert 86400 < passed < 86500
            modem_clock.advance(5)
            assert asyncio.get_running_loop().time() - began >= passed + 5

        async def test_real_time_is_back():
            loop = asyncio.get_running_loop()
            began = loop.time()
            await asyncio.sleep(0.01)
            assert loop.time() - began < 10
    """
    ran(project, text, passed=2)


def test_the_marker_says_how_the_module_behaves(project: pytest.Pytester) -> None:
    """On a test or a class; the nearer one counts."""
    text = """
        import aiobc9x, pytest

        @pytest.mark.modem(ip="10.1.1.1", rssi=5)
        class TestIt:
            @pytest.mark.modem(ip="10.2.2.2", faults=["error;on=AT+QISTATE;times=1"])
            async def test_marked(self, modem):
                await modem.wait_ready()
                assert await modem.addresses() == ((1, ("10.2.2.2",)),)
                assert (await modem.signal()).rssi_dbm == -103

        @pytest.mark.modem(sleep=True)
        async def test_sleep(modem, modem_clock, virtual_modem):
            import asyncio
            before = len(virtual_modem.commands)
            await asyncio.sleep(600)
            assert len(virtual_modem.commands) == before, "a module that may sleep is let alone"
    """
    ran(project, text, passed=2)


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("@pytest.mark.modem(speed=9600)", "the marker 'modem' has no speed; it takes faults"),
        ("@pytest.mark.modem(9600)", "takes names alone"),
        ('@pytest.mark.modem(faults=["gremlin"])', "unknown fault 'gremlin'"),
    ],
)
def test_a_wrong_marker_is_named(project: pytest.Pytester, marker: str, words: str) -> None:
    """With what it could be."""
    text = f"import pytest\n{marker}\nasync def test_it(modem):\n    pass\n"
    assert words in ran(project, text, errors=1)


def test_what_a_test_leaves_behind_fails_it(project: pytest.Pytester) -> None:
    """Connections and tasks, and each by itself."""
    text = """
        import asyncio

        async def test_connection(modem, modem_peer):
            port = await modem_peer.echo()
            global kept
            kept = await modem.open_connection(modem_peer.host, port)

        async def test_task(modem):
            global task
            task = asyncio.create_task(asyncio.sleep(60), name="forgotten")

        async def test_clean(modem):
            await modem.command("AT")
    """
    said = ran(project, text, passed=3, errors=2)
    assert "the test has left connections open" in said
    assert "the test has left tasks" in said
    assert "forgotten" in said
    assert "pytest_plugin.py" not in said  # it is the test that must be looked at
    captures = re.findall(r"^for Wireshark: (.*)$", said, re.MULTILINE)
    assert [Path(each).exists() for each in captures] == [True, True]


def test_a_failed_test_is_not_blamed_for_what_it_leaves(project: pytest.Pytester) -> None:
    """It could not get to the lines that would have closed its connection."""
    text = """
        async def test_it(modem, modem_peer):
            port = await modem_peer.echo()
            reader, writer = await modem.open_connection(modem_peer.host, port)
            assert writer is None
    """
    assert "left connections" not in ran(project, text, failed=1)


def test_broken_rules_fail_a_test(project: pytest.Pytester) -> None:
    """As a program that writes to the line behind the library's back breaks them."""
    text = """
        async def test_it(modem, virtual_modem):
            virtual_modem.virtual.statistics.broken_rules += 1
    """
    assert "rules of the module's note were broken" in ran(project, text, passed=1, errors=1)


def test_faults_and_plugs(project: pytest.Pytester) -> None:
    """A module can be unplugged, be silent, and fail, in the midst of a test."""
    text = """
        import aiobc9x, asyncio, pytest

        async def test_unplug(virtual_modem, modem_clock):
            async with aiobc9x.open_modem(virtual_modem.create) as modem:
                virtual_modem.unplug()
                await asyncio.sleep(1)
                assert modem.state is aiobc9x.ModemState.AWAY
                virtual_modem.plug_in()
                await modem.available()
                virtual_modem.silence()
                with pytest.raises((aiobc9x.LinkLost, aiobc9x.LinkTimeout)):
                    await modem.command("AT")
                virtual_modem.silence(False)
                await modem.available()
                virtual_modem.add_fault("error;on=AT+CGMM")
                with pytest.raises(aiobc9x.CommandError):
                    await modem.command("AT+CGMM")
    """
    ran(project, text, passed=1)


def test_a_budget(project: pytest.Pytester) -> None:
    """It fails the test that spends more, and says how much."""
    text = """
        async def test_within(modem, modem_budget):
            with modem_budget(bytes=100, commands=2):
                await modem.command("AT")

        async def test_beyond(modem, modem_budget):
            with modem_budget(commands=1):
                await modem.command("AT")
                await modem.command("AT")

        async def test_over_the_air(modem, modem_peer, modem_budget):
            port = await modem_peer.echo()
            with modem_budget(air_bytes=288 + 2 * 85):
                with modem_budget(air_bytes=100):
                    reader, writer = await modem.open_connection("127.0.0.1", port)
                    writer.write(b"hello")
                    await reader.readexactly(5)
                    writer.close()
                    await writer.wait_closed()

        async def test_without(modem_budget):
            with modem_budget(commands=1):
                pass
    """
    said = ran(project, text, passed=1, failed=3)
    assert "over budget: 458 bytes over the air instead of at most 100" in said
    assert "over budget: 2 commands instead of at most 1" in said
    assert "use it too" in said


def test_a_failed_test_names_its_trace(project: pytest.Pytester) -> None:
    """And the same for Wireshark; a test that passes says nothing of it."""
    text = """
        async def test_it(modem):
            await modem.command("AT+CGMM")
            assert False

        async def test_other(modem):
            pass
    """
    said = ran(project, text, passed=1, failed=1)
    (trace,) = re.findall(r"^trace: (.*)$", said, re.MULTILINE)
    (capture,) = re.findall(r"^for Wireshark: (.*)$", said, re.MULTILINE)
    assert "AT+CGMM" in Path(trace).read_text("utf-8")
    assert Path(capture).read_bytes().startswith(b"\x0a\x0d\x0d\x0a")


@pytest.mark.skipif(sys.platform == "win32", reason="no ptys on Windows")
def test_the_same_tests_on_another_module(project: pytest.Pytester) -> None:
    """``--aiobc9x-port`` names hardware; here another virtual module."""
    text = """
        async def test_it(modem):
            await modem.wait_ready()
            assert modem.address == "sim://?ip=10.9.9.9"
            assert await modem.addresses() == ((1, ("10.9.9.9",)),)
    """
    ran(project, text, "--aiobc9x-port", "sim://?ip=10.9.9.9", passed=1)


def test_other_loops_have_no_virtual_time(project: pytest.Pytester) -> None:
    """The error names the loop."""
    text = """
        import asyncio, pytest, uvloop
        from aiobc9x.sim.virtual_clock import VirtualClock

        def test_it():
            loop = uvloop.new_event_loop()
            with pytest.raises(TypeError, match="Loop can't be given virtual time"):
                VirtualClock(loop)
            loop.close()
    """
    ran(project, text, passed=1)


def test_a_dialogue_is_recorded_once_and_replayed(project: pytest.Pytester) -> None:
    """The second run talks to the record: it hears what was changed there, and sends the same."""
    text = """
        async def test_it(modem):
            print("the model is", await modem.command("AT+CGMM"))
    """
    once = ("--aiobc9x-record", "once", "-s")
    assert "the model is ['BC65']" in ran(project, text, *once, passed=1)
    (cassette,) = (project.path / "cassettes" / "test_it").iterdir()
    recorded = cassette.read_text("utf-8")
    cassette.write_text(recorded.replace("BC65", "BC92"), "utf-8")
    assert "the model is ['BC92']" in ran(project, text, *once, passed=1)
    assert "the model is ['BC92']" in ran(project, text, "--aiobc9x-record", "none", "-s", passed=1)
    assert "the model is ['BC65']" in ran(project, text, "--aiobc9x-record", "all", "-s", passed=1)
    assert "BC92" not in cassette.read_text("utf-8")


def test_what_was_not_recorded_is_missing(project: pytest.Pytester) -> None:
    """With ``none`` nothing is recorded, and the test says what to do."""
    text = """
        async def test_it(modem):
            pass
    """
    said = ran(project, text, "--aiobc9x-record", "none", errors=1)
    assert "use --aiobc9x-record once" in said
    assert not (project.path / "cassettes").exists()


def test_a_dialogue_that_has_changed_fails_the_test(project: pytest.Pytester) -> None:
    """A command that was not recorded is refused, so that nobody believes an old record."""
    ask = """
        async def test_it(modem):
            await modem.command("AT+{}")
    """
    ran(project, ask.format("CGMM"), "--aiobc9x-record", "once", passed=1)
    ran(project, ask.format("CGMR"), "--aiobc9x-record", "once", failed=1)
