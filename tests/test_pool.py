"""ModemPool: a call goes to the best modem, and to the next one when the modem fails."""

from __future__ import annotations

import asyncio
import errno
import gc
import inspect
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import aiobc9x
from aiobc9x import (
    ConnectRefused,
    LinkLost,
    Modem,
    ModemPool,
    ModemState,
    NameNotFound,
    NoFreeSocket,
    PortNotFound,
    Reconnect,
    StageTimeout,
    open_modem,
    open_pool,
)
from aiobc9x.aio.dialer import Dialer
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.options import Host, SimOptions
from tests.adapters.proxy.test_server import health
from tests.support.bench import ECHO_PORT, HOST, LISTEN_PORT, NAME, PORT, Bench, Plug, plugged_in
from tests.support.clock import running, virtual
from tests.support.recorders import DatagramRecorder

MISSING = "no such device"

START = 1000.0
"""What the virtual clock shows at first."""

KEPT: list[object] = []
"""Both ends of what a test leaves open, because a writer that is dropped says so."""


def as_dialer(pool: ModemPool) -> Dialer:
    """A type checker says here that a pool is a dialer."""
    return pool


@asynccontextmanager
async def pooled(*benches: Bench, **settings: Any) -> AsyncIterator[ModemPool]:
    """Open a pool over some virtual modules, and switch them off at the end."""
    try:
        async with open_pool([each.create for each in benches], **settings) as pool:
            yield pool
    finally:
        for each in benches:
            await each.virtual.aclose()
        await asyncio.sleep(0)
        KEPT.clear()


def modem_of(writer: asyncio.StreamWriter) -> Modem:
    """Return the modem that a connection is on."""
    modem: Modem = writer.get_extra_info("modem")
    return modem


async def connected(pool: ModemPool, **options: Any) -> asyncio.StreamWriter:
    """Open a connection that stays."""
    reader, writer = await pool.open_connection(HOST, PORT, **options)
    KEPT.append((reader, writer))
    return writer


async def ready(pool: ModemPool) -> None:
    """Wait until all modems have a network."""
    await asyncio.gather(*(each.wait_ready() for each in pool.modems))


class TestArguments:
    """What can't be meant is refused before anything is opened or sent."""

    @pytest.mark.parametrize(
        ("addresses", "kind", "text"),
        [
            ("sim://", TypeError, "addresses must be several"),
            ([], ValueError, "addresses is empty"),
            (["sim://?a", "sim://?a"], ValueError, "twice"),
            ([7], TypeError, "address must be"),
            (["sim://", ""], ValueError, "address is empty"),
        ],
    )
    def test_addresses(self, addresses: Any, kind: type[Exception], text: str) -> None:
        with pytest.raises(kind, match=text):
            open_pool(addresses)

    def test_keywords_are_those_of_open_modem(self) -> None:
        """With the same defaults; a wrong value is refused by the call itself."""
        one, many = (dict(inspect.signature(f).parameters) for f in (open_modem, open_pool))
        del one["address"], many["addresses"]
        assert {n: (p.default, p.annotation) for n, p in one.items()} == {
            n: (p.default, p.annotation) for n, p in many.items()
        }
        with pytest.raises(ValueError, match="context_id"):
            open_pool(["sim://"], context_id=4)
        with pytest.raises(TypeError, match="reconnect must be"):
            open_pool(["sim://"], reconnect=1)  # type: ignore[arg-type]

    @virtual
    async def test_every_keyword_reaches_every_modem(self) -> None:
        """What is given to the pool is what each opening has."""
        given: dict[str, Any] = {
            "baudrate": 9600, "bytesize": 7, "parity": "E", "stopbits": 2, "rtscts": True,
            "xonxoff": True, "dsrdtr": True, "exclusive": False, "dtr": True, "rts": False,
            "context_id": 2, "sync_timeout": 11, "timeout": 12, "pin": "1234",
            "receive_hex": True, "open_time": 9, "allow_sleep": True, "read_ahead_bytes": 1000,
            "poll_interval": 5, "state_interval": 6, "answer_timeout": 7, "send_form": "hex",
            "port_quarantine": 8, "reconnect": None, "trace": False,
            "profile": aiobc9x.ModuleProfile(concurrent_opens=1),
        }  # fmt: skip
        assert given.keys() == inspect.signature(open_modem).parameters.keys() - {"address"}
        pool = open_pool(["sim://"], **given)
        assert pool._openings["sim://"]._options == open_modem("sim://", **given)._options

    @pytest.mark.parametrize("name", ["open_connection", "create_connection", "ping", "resolve",
                                      "create_datagram_endpoint", "start_server", "create_server",
                                      "installed", "serve_proxy", "aclose"])  # fmt: skip
    def test_calls_are_those_of_a_modem(self, name: str) -> None:
        """With the same arguments, but for ``modem=`` of a listener."""
        own, other = (
            dict(inspect.signature(getattr(kind, name)).parameters) for kind in (ModemPool, Modem)
        )
        assert (own.pop("modem", None) is not None) == name.endswith("_server")
        assert own == other

    @virtual
    async def test_arguments_of_calls(self) -> None:
        """A wrong one is told at once, also while no modem has a network."""
        async with pooled(Bench(register_time=1e6)) as pool:
            began = running().time()
            with pytest.raises(ValueError, match="port"):
                await pool.open_connection(HOST, 0)
            with pytest.raises(TypeError, match="host"):
                await pool.create_connection(asyncio.Protocol, 7, 80)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="protocol_factory"):
                await pool.create_connection(None, HOST, 80)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="server_hostname"):
                await pool.open_connection(HOST, 80, server_hostname="a")
            with pytest.raises(ValueError, match="sock"):
                await pool.open_connection(HOST, 80, sock=socket.socket.__new__(socket.socket))
            with pytest.raises(ValueError, match="remote_addr"):
                await pool.create_datagram_endpoint(DatagramRecorder)
            with pytest.raises(TypeError, match="port"):
                await pool.start_server(lambda _r, _w: None)
            with pytest.raises(ValueError, match="modem is"):
                await pool.create_server(asyncio.Protocol, 2020, modem=object())  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="count"):
                await pool.ping(HOST, count=0)
            with pytest.raises(ValueError, match="host"):
                await pool.resolve("http://a/")
            with pytest.raises(TypeError, match="timeout"):
                await pool.open_connection(HOST, 80, timeout="1")  # type: ignore[arg-type]
            assert running().time() == began


class TestChoice:
    """The modem that is up, has a network, and has most free sockets."""

    @virtual
    async def test_connections_are_spread(self) -> None:
        """Twelve at once fill two modules; a thirteenth finds no socket, at once."""
        a, b = Bench(), Bench()
        async with pooled(a, b) as pool:
            await ready(pool)
            writers = await asyncio.gather(*(connected(pool) for _ in range(12)))
            assert [each.free_sockets for each in pool.modems] == [0, 0]
            began = running().time()
            with pytest.raises(NoFreeSocket):
                await connected(pool)
            assert running().time() - began < 1
            writers[3].close()
            await writers[3].wait_closed()
            assert modem_of(await connected(pool)) is modem_of(writers[3])

    @virtual
    async def test_a_modem_without_a_network_is_passed_over(self) -> None:
        """Though it is up and is the first one."""
        a, b = Bench(register_time=1e6), Bench()
        async with pooled(a, b) as pool:
            for _ in range(6):
                assert modem_of(await connected(pool, timeout=30)) is pool.modems[1]

    @virtual
    async def test_the_first_network_is_waited_for(self) -> None:
        a, b = Bench(register_time=1e6), Bench(register_time=40)
        async with pooled(a, b) as pool:
            assert modem_of(await connected(pool)) is pool.modems[1]
            assert 30 < running().time() - START < 60

    @virtual
    async def test_no_network_at_all(self) -> None:
        """The timeout is the whole call's, and says how the modems are."""
        async with pooled(Bench(register_time=1e6), Bench(register_time=1e6)) as pool:
            began = running().time()
            with pytest.raises(
                StageTimeout, match=r"create\(\) 1 is registering on the network: the module"
            ):
                await connected(pool, timeout=20)
            assert running().time() - began == pytest.approx(20)
            with pytest.raises(StageTimeout):
                await connected(pool)
            assert running().time() - began == pytest.approx(200, abs=1)

    @virtual
    async def test_cancelled(self) -> None:
        """A call that waits, or is being made, leaves nothing behind on any modem."""
        a, b = Bench(register_time=40, network_latency=1), Bench(register_time=1e6)
        async with pooled(a, b) as pool:
            for pause in (1, 41):
                call = asyncio.create_task(connected(pool))
                await asyncio.sleep(pause)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
            assert any(line.startswith("AT+QIOPEN") for line in a.commands)
            await asyncio.sleep(30)
            assert [each.free_sockets for each in pool.modems] == [6, 6]
            assert [each.calls for each in pool._members] == [0, 0]
            assert a.open_ids == []
            await connected(pool)

    @virtual
    async def test_everything_goes_through(self) -> None:
        """Datagrams, names and pings have the same choice."""
        a, b = (Bench(hosts={NAME: Host((HOST,))}) for _ in range(2))
        async with pooled(a, b) as pool:
            assert (await pool.resolve(NAME)).addresses == (HOST,)
            assert (await pool.ping(HOST, count=1)).received == 1
            transport, protocol = await pool.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(HOST, 7)
            )
            assert transport.get_extra_info("modem") in pool.modems
            assert isinstance(protocol, DatagramRecorder)
            stream, _ = await pool.create_connection(asyncio.Protocol, HOST, PORT)
            assert stream.get_extra_info("modem") in pool.modems


class TestTheNextOne:
    """It is tried when the modem fails, never when the peer does."""

    @virtual
    async def test_a_link_that_goes_in_the_call(self) -> None:
        """The call goes on through the other modem; its timeout is not begun anew."""
        a, b = Bench(network_latency=1), Bench()
        async with pooled(a, b) as pool:
            await ready(pool)

            def cut(line: str) -> None:
                if line.startswith("AT+QIOPEN"):
                    a.is_plugged_in = False
                    asyncio.get_running_loop().call_soon(a.cut)

            a.on_command = cut
            assert modem_of(await connected(pool, timeout=20)) is pool.modems[1]
            assert any(line.startswith("AT+QIOPEN") for line in a.commands)
            assert pool.modems[0].state is ModemState.AWAY
            for _ in range(5):
                assert modem_of(await connected(pool, timeout=5)) is pool.modems[1]
            a.on_command = lambda _line: None
            a.is_plugged_in = True
            await pool.modems[0].available(200)
            assert modem_of(await connected(pool)) is pool.modems[0]

    @pytest.mark.parametrize("err", [561, 570])
    @virtual
    async def test_a_network_that_is_gone(self, err: int) -> None:
        """The module says so to an open only."""
        gone = Fault(FaultKind.REPLACE_LINE, on="+QIOPEN:", data=b"+QIOPEN: 0,%d" % err)
        a, b = Bench(gone), Bench()
        async with pooled(a, b) as pool:
            await ready(pool)
            assert modem_of(await connected(pool)) is pool.modems[1]

    @virtual
    async def test_a_silent_module(self) -> None:
        """A wedged module costs one call its time to notice, and later ones nothing."""
        a, b = Bench(), Bench()
        async with pooled(a, b) as pool:
            await ready(pool)
            a.silence(True)
            assert modem_of(await connected(pool)) is pool.modems[1]
            assert running().time() - START < 120
            began = running().time()
            assert modem_of(await connected(pool)) is pool.modems[1]
            assert running().time() - began < 2

    @virtual
    async def test_a_peer_that_refuses(self) -> None:
        """One module alone has asked it."""
        a, b = Bench(), Bench()
        async with pooled(a, b) as pool:
            await ready(pool)
            with pytest.raises(ConnectRefused):
                await pool.open_connection(HOST, 81)
            with pytest.raises(NameNotFound):
                await pool.resolve("nowhere.example")
            opens = [line for line in a.commands + b.commands if line.startswith("AT+QIOPEN")]
            assert len(opens) == 1

    @virtual
    async def test_all_fail(self) -> None:
        """The first modem's error is raised, without a wait for those that are away."""
        gone = Fault(FaultKind.REPLACE_LINE, on="+QIOPEN:", data=b"+QIOPEN: 0,561")
        a, b, c = Bench(gone), Bench(gone), Bench()
        async with pooled(a, b, c) as pool:
            await ready(pool)
            c.is_plugged_in = False
            c.cut()
            await asyncio.sleep(0.1)
            began = running().time()
            with pytest.raises(aiobc9x.NetworkUnreachable):
                await connected(pool)
            assert running().time() - began < 30

    @pytest.mark.parametrize(
        ("timeout", "kind", "waited"),
        [(20, StageTimeout, 20), (None, aiobc9x.NetworkUnreachable, 180)],
    )
    @virtual
    async def test_one_fails_and_the_other_has_no_network(
        self, timeout: float | None, kind: type[Exception], waited: float
    ) -> None:
        """It is waited for, within the call's timeout, else for three minutes."""
        gone = Fault(FaultKind.REPLACE_LINE, on="+QIOPEN:", data=b"+QIOPEN: 0,561")
        async with pooled(Bench(gone), Bench(register_time=1e6)) as pool:
            await pool.modems[0].wait_ready()
            began = running().time()
            with pytest.raises(kind):
                await connected(pool, timeout=timeout)
            assert running().time() - began == pytest.approx(waited, abs=5)

    @virtual
    async def test_links_that_are_lost_for_good(self) -> None:
        """Without Reconnect, the modems that are left serve; without any, LinkLost."""
        a, b = Bench(), Bench()
        async with pooled(a, b, reconnect=None) as pool:
            await ready(pool)
            a.cut()
            assert modem_of(await connected(pool)) is pool.modems[1]
            b.cut()
            await asyncio.sleep(0.1)
            began = running().time()
            with pytest.raises(LinkLost, match="Input/output"):
                await connected(pool)
            assert running().time() - began < 1


class TestOpening:
    """In part when some devices are away, which come later."""

    @virtual
    async def test_a_device_that_is_away(self) -> None:
        """It joins within the policy's longest delay of being there."""
        a, b = Bench(), Bench()
        a.refusal = FileNotFoundError(errno.ENOENT, MISSING)
        async with pooled(a, b) as pool:
            assert len(pool.modems) == 1
            first = modem_of(await connected(pool))
            await asyncio.sleep(3600)
            a.refusal = None
            await asyncio.sleep(Reconnect().max_delay + 5)
            assert len(pool.modems) == 2
            assert pool.modems[1] is first  # the order is that of the addresses
            assert modem_of(await connected(pool)) is pool.modems[0]

    @virtual
    async def test_a_dead_module_holds_nothing_up(self) -> None:
        """One that is silent from the start costs five seconds, not the 30 of its own limit."""
        a, b = Bench(), Bench()
        a.silence()
        async with pooled(a, b) as pool:
            assert len(pool.modems) == 1
            assert running().time() - START < 10
            await connected(pool)
            await asyncio.sleep(300)
            a.silence(False)
            await asyncio.sleep(150)
            assert len(pool.modems) == 2

    @virtual
    async def test_none_at_all(self) -> None:
        """The first address's error, with the others as notes; nothing goes on behind it."""
        a, b = Bench(), Bench()
        a.refusal, b.refusal = OSError(errno.EIO, "broken"), OSError(errno.ENOENT, MISSING)
        with pytest.raises(LinkLost, match="broken") as raised:
            await open_pool([a.create, b.create])
        (note,) = raised.value.__notes__
        assert note.startswith("nor create() 1: ")
        assert MISSING in note

    @virtual
    async def test_a_device_can_be_waited_for(self) -> None:
        """As with a modem, only if asked for, and within the timeout."""
        bench, is_there = Bench(), asyncio.Event()

        def device(options: SimOptions) -> Plug:
            if options.rssi == 1 or not is_there.is_set():
                raise PortNotFound(MISSING)
            return Plug(bench)

        addresses = ["sim://?link=memory&rssi=1", "sim://?link=memory&rssi=2"]
        patient = Reconnect(wait_for_device=True)
        with plugged_in(device):
            with pytest.raises(PortNotFound):
                await open_pool(addresses)
            with pytest.raises(StageTimeout, match="first device"):
                await open_pool(addresses, reconnect=patient, timeout=60)
            running().call_later(500, is_there.set)
            async with open_pool(addresses, reconnect=patient) as pool:
                assert 560 < running().time() - START < 570
                assert len(pool.modems) == 1
                await connected(pool)
        await bench.virtual.aclose()
        KEPT.clear()

    @virtual
    async def test_giving_up(self) -> None:
        """A missing device is not looked for after ``give_up_after``, nor without Reconnect."""
        for policy in (Reconnect(give_up_after=100), None):
            a, b = Bench(), Bench()
            a.refusal = FileNotFoundError(errno.ENOENT, MISSING)
            async with pooled(a, b, reconnect=policy) as pool:
                await asyncio.sleep(200)
                tries = a.openings
                await asyncio.sleep(200)
                assert a.openings == tries
                b.cut()
                if policy is None:
                    await asyncio.sleep(0.1)
                    with pytest.raises(LinkLost):
                        await connected(pool)

    @virtual
    async def test_cancelled(self) -> None:
        """What was opened is closed."""
        a, b = Bench(), Bench()
        b.silence()
        opening = asyncio.create_task(open_pool([a.create, b.create])._open())
        await asyncio.sleep(4)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert a.line is not None
        assert a.line.is_closing()
        assert b.line is not None
        assert b.line.is_closing()
        await a.virtual.aclose()
        await b.virtual.aclose()


class TestClosing:
    """A pool closes all that it has opened."""

    @virtual
    async def test_twice(self) -> None:
        a, b = Bench(), Bench()
        b.refusal = FileNotFoundError(errno.ENOENT, MISSING)
        async with pooled(a, b) as pool:
            await connected(pool)
            await pool.aclose()
            await pool.aclose()
            assert pool.modems[0].state is ModemState.CLOSED
            assert a.open_ids == []
            for call in (lambda: connected(pool), lambda: pool.serve_proxy(port=0)):
                with pytest.raises(LinkLost, match="pool is closed"):
                    await call()
            with pytest.raises(LinkLost, match="pool is closed"):
                async with pool:
                    pass

    @virtual
    async def test_a_call_that_waits(self) -> None:
        """It ends at once."""
        async with pooled(Bench(register_time=1e6)) as pool:
            waiting = asyncio.create_task(connected(pool))
            await asyncio.sleep(1)
            await pool.aclose()
            with pytest.raises(LinkLost):
                await waiting

    @virtual
    async def test_forgotten(self) -> None:
        """A pool that is dropped says so, and looks for no device any more."""
        a, b = Bench(), Bench()
        b.refusal = FileNotFoundError(errno.ENOENT, MISSING)
        pool: ModemPool | None = await open_pool([a.create, b.create])
        assert pool is not None
        await pool.modems[0].aclose()
        with pytest.warns(ResourceWarning, match="unclosed pool"):  # noqa: PT031  (both drop it)
            del pool
            gc.collect()
        await asyncio.sleep(5)
        tries = b.openings
        await asyncio.sleep(100)
        assert b.openings == tries
        await a.virtual.aclose()
        await b.virtual.aclose()


class TestListeners:
    """A listener is on one modem, which the caller can name."""

    @virtual
    async def test_a_modem_is_named(self) -> None:
        a, b = Bench(), Bench()
        async with pooled(a, b) as pool:
            await ready(pool)
            for modem, bench in zip(pool.modems, (a, b), strict=True):
                server = await pool.start_server(lambda _r, w: w.close(), LISTEN_PORT, modem=modem)
                assert len(bench.open_ids) == 1
                server.close()
                await server.wait_closed()

    @virtual
    async def test_any_modem(self) -> None:
        """Most free sockets; two listeners of one port are on two modules."""
        a, b = Bench(), Bench()
        async with pooled(a, b) as pool:
            await ready(pool)
            for _ in range(2):
                await pool.create_server(asyncio.Protocol, port=LISTEN_PORT)
            assert (len(a.open_ids), len(b.open_ids)) == (1, 1)

    @virtual
    async def test_an_address_that_none_has(self) -> None:
        """Each has been asked."""
        a, b = Bench(), Bench()
        async with pooled(a, b) as pool:
            with pytest.raises(OSError, match=r"no address 192\.0\.2\.9") as raised:
                await pool.create_server(asyncio.Protocol, "192.0.2.9", LISTEN_PORT)
            assert raised.value.errno == errno.EADDRNOTAVAIL


class TestOtherPrograms:
    """asyncio's own calls and the proxy go through whichever modem is best."""

    @virtual
    async def test_installed(self) -> None:
        """The same program's next connection finds the other modem when one is gone."""
        a, b = Bench(), Bench()
        async with pooled(a, b) as pool:
            await ready(pool)
            with pool.installed() as routed:
                assert routed is pool
                for bench in (a, b):
                    reader, writer = await asyncio.open_connection(HOST, ECHO_PORT)
                    writer.write(b"hello")
                    assert await reader.readexactly(5) == b"hello"
                    writer.close()
                    if bench is a:
                        on_a = modem_of(writer) is pool.modems[0]
                        gone = a if on_a else b
                        gone.is_plugged_in = False
                        gone.cut()
                        await asyncio.sleep(0.1)
                    else:
                        assert (modem_of(writer) is pool.modems[0]) is not on_a
                server = await asyncio.start_server(lambda _r, w: w.close(), None, LISTEN_PORT)
                server.close()


@pytest.mark.parametrize("is_cut", [False, True])
async def test_a_proxy_outlives_a_modem(is_cut: bool) -> None:
    """Its next client goes through the modem that is left; it ends with the pool."""
    a, b = Bench(), Bench()
    async with pooled(a, b) as pool:
        await ready(pool)
        proxy = await pool.serve_proxy(port=None, forwards={0: (HOST, ECHO_PORT)})
        if is_cut:
            a.is_plugged_in = False
            a.cut()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.forwards[0].local_port)
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), 10) == b"hello"
        assert [len(each.open_ids) for each in (a, b)] == ([0, 1] if is_cut else [1, 0])
        writer.close()
        await writer.wait_closed()
    assert not proxy.is_serving()
    await proxy.wait_closed()


async def test_a_proxys_health_is_that_of_its_best_modem() -> None:
    """One that works will do; the checks get each of them ready."""
    a, b = Bench(), Bench()
    async with pooled(a, b) as pool, await pool.serve_proxy(port=0) as proxy:
        assert proxy.port is not None
        await ready(pool)
        for bench in (a, b):
            assert await health(proxy.port, "/health") == (200, b"up\n")
            bench.is_plugged_in = False
            bench.cut()
            await asyncio.sleep(0.01)
        assert await health(proxy.port, "/health") == (503, b"down\n")
