"""From an opened socket to a transport: arguments, warnings, quarantine, early ends."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import Any

import pytest

import aiobc9x
from aiobc9x import AccessMode, ServiceType
from aiobc9x.aio.connections.connecting import make_request
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import Peer
from aiobc9x.sim.options import Host
from aiobc9x.spec import ProtocolType
from tests.support.bench import ECHO_PORT, HOST, PORT, Bench
from tests.support.clock import running, virtual
from tests.support.recorders import DatagramRecorder, StreamRecorder

TCP = ServiceType.TCP


class TestRequest:
    """What asyncio's arguments mean for AT+QIOPEN."""

    @pytest.mark.parametrize(
        ("host", "family", "kind"),
        [
            ("1.2.3.4", 0, ProtocolType.IPV4),
            ("1.2.3.4", socket.AF_INET, ProtocolType.IPV4),
            ("2001:db8::1", 0, ProtocolType.IPV6),
            (b"2001:db8::1", socket.AF_INET6, ProtocolType.IPV6),
            ("a.example", socket.AF_INET, ProtocolType.IPV4),
            ("a.example", socket.AF_INET6, ProtocolType.IPV6),
            (b"a.example", 0, None),
        ],
    )
    def test_family(self, host: str | bytes, family: int, kind: ProtocolType | None) -> None:
        """A literal decides, else the family, else the context; hosts may be bytes."""
        request = make_request(TCP, host, 80, family=family)
        assert request.protocol_type is kind
        assert request.host.text == (host if isinstance(host, str) else host.decode())
        assert request.command(1, 0).text.endswith(f",80,0,0,{int(kind or 0)}")

    @pytest.mark.parametrize(
        ("host", "family"),
        [("1.2.3.4", socket.AF_INET6), ("::1", socket.AF_INET), ("a.example", socket.AF_UNIX)],
    )
    def test_family_that_does_not_fit(self, host: str, family: int) -> None:
        """A literal of another family, and other families, are refused."""
        with pytest.raises(ValueError, match="family"):
            make_request(TCP, host, 80, family=family)

    def test_messages_name_what_the_caller_wrote(self) -> None:
        """``port`` and ``local_addr`` are words of the call, not of AT+QIOPEN."""
        text: Any = "eighty"
        with pytest.raises(ValueError, match=r"^port must be an integer, 1 to 65535, not 'eig"):
            make_request(TCP, HOST, text)
        with pytest.raises(ValueError, match=r"^local_addr must be \(host, port\), not 'eighty'"):
            make_request(TCP, HOST, 80, local_addr=text)
        nothing: Any = None
        with pytest.raises(TypeError, match=r"^host must be str or bytes, not NoneType$"):
            make_request(TCP, nothing, 80)


class TestRanges:
    """The note's ranges are enforced before a byte is sent (C1)."""

    @pytest.mark.parametrize(
        ("host", "port", "options"),
        [
            (HOST, 0, {}),
            (HOST, 65536, {}),
            (HOST, 80, {"local_port": -1}),
            (HOST, 80, {"local_port": 65536}),
            (HOST, 80, {"access_mode": 2}),
            ("", 80, {}),
            ("a" * 254, 80, {}),
            ('a"b', 80, {}),
            ("http://a.example", 80, {}),
            ("a.example:80", 80, {}),
            ("[::1]", 80, {}),
            ("a\rAT+CFUN=0", 80, {}),
            ("a.example\0", 80, {}),
            (HOST, 80, {"family": 99}),
            (HOST, 80, {"sock": object()}),
            (HOST, 80, {"server_hostname": "x"}),
        ],
    )
    @virtual
    async def test_refused(self, host: str, port: int, options: dict[str, Any]) -> None:
        """Each is a ValueError, and the module hears nothing."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.dialogue.clear()
            with pytest.raises(ValueError):
                await modem.create_connection(StreamRecorder, host, port, **options)
            assert bench.commands == []

    @virtual
    async def test_a_port_within_the_host(self) -> None:
        """Every call that takes a host says what to pass, and the module hears nothing."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.dialogue.clear()
            text = "a.example:80"
            for call in (
                modem.open_connection(text, 80),
                modem.create_datagram_endpoint(DatagramRecorder, remote_addr=(text, 80)),
                modem.resolve(text),
                modem.ping(text),
                modem.ntp_time(text),
                anext(modem.ping_replies(text)),
            ):
                pending: Any = call  # each gives another type
                with pytest.raises(ValueError, match=r"pass 'a\.example' as the host and 80 as"):
                    await pending
            assert bench.commands == []

    @virtual
    async def test_fifty_bytes_are_not_too_many(self) -> None:
        """The longest name that the note allows."""
        name = "a" * 38 + ".example.com"
        async with Bench(hosts={name: Host((HOST,))}) as bench:
            modem = await bench.open()
            _, writer = await modem.open_connection(name, ECHO_PORT)
            assert writer.get_extra_info("peername") == (HOST, ECHO_PORT)
            writer.close()

    @pytest.mark.parametrize("context_id", [0, 4])
    def test_context(self, context_id: int) -> None:
        """Contexts are 1–3."""
        with pytest.raises(ValueError, match="context_id"):
            aiobc9x.open_modem("sim://", context_id=context_id)


class TestLocalPorts:
    """§2.2.1, notes 4 and 5."""

    @pytest.mark.parametrize(
        ("port", "warned"), [(0, 0), (999, 0), (1000, 1), (1234, 1), (1500, 1), (1501, 0)]
    )
    @virtual
    async def test_discouraged_ports(self, port: int, warned: int) -> None:
        """1000–1500 work, with a warning in the log."""
        records: list[logging.LogRecord] = []
        logger = logging.getLogger("aiobc9x.aio")

        def note(record: logging.LogRecord) -> bool:
            records.append(record)
            return True

        logger.addFilter(note)
        try:
            async with Bench() as bench:
                modem = await bench.open()
                _, writer = await modem.open_connection(HOST, PORT, local_addr=("", port))
                assert writer.get_extra_info("sockname")[1] == port
                writer.close()
        finally:
            logger.removeFilter(note)
        assert sum("1000-1500" in r.getMessage() for r in records) == warned

    @virtual
    async def test_quarantine(self) -> None:
        """A fixed port is refused for 120 s after its close, with the seconds left."""
        async with Bench() as bench:
            modem = await bench.open()
            _, writer = await modem.open_connection(HOST, PORT, local_port=5000)
            writer.close()
            await writer.wait_closed()
            closed = running().now
            for after in (0, 60, 119.9):
                await asyncio.sleep(closed + after - running().now)
                with pytest.raises(OSError, match=f"another {120 - after:.0f} s") as caught:
                    await modem.open_connection(HOST, PORT, local_port=5000)
                assert caught.value.errno == errno.EADDRINUSE
            _, writer = await modem.open_connection(HOST, PORT, local_port=5001)
            writer.close()
            await asyncio.sleep(closed + 121 - running().now)
            _, writer = await modem.open_connection(HOST, PORT, local_port=5000)
            writer.close()

    @virtual
    async def test_port_that_the_module_calls_busy(self) -> None:
        """574 is AddressBusy (EADDRINUSE); the second owner of a live port gets it."""
        async with Bench() as bench:
            modem = await bench.open()
            _, writer = await modem.open_connection(HOST, PORT, local_port=5000)
            with pytest.raises(OSError) as caught:
                await modem.open_connection(HOST, PORT, local_port=5000)
            assert caught.value.errno == errno.EADDRINUSE
            writer.close()


class TestEarlyEnds:
    """A socket that ends between its opening and its transport."""

    @virtual
    async def test_restart_while_the_peer_is_asked_for(self) -> None:
        """A named connection asks for its peer's address: a restart there fails the open."""
        async with Bench(hosts={"a.example": Host((HOST,))}) as bench:
            modem = await bench.open()
            await modem.wait_ready()

            def restart(line: str) -> None:
                if line.startswith("AT+QISTATE=1"):
                    bench.on_command = lambda _line: None
                    asyncio.get_running_loop().call_soon(bench.virtual.reset)

            bench.on_command = restart
            bench.add_fault(Fault(FaultKind.IGNORE, on="AT+QISTATE=1"))
            with pytest.raises(aiobc9x.ModuleReset):
                await modem.open_connection("a.example", PORT)

    @virtual
    async def test_peer_address_that_is_not_told(self) -> None:
        """The name stands for it."""
        async with Bench(hosts={"a.example": Host((HOST,))}) as bench:
            modem = await bench.open()
            bench.add_fault(Fault(FaultKind.ERROR, on="AT+QISTATE=1"))
            _, writer = await modem.open_connection("a.example", PORT)
            assert writer.get_extra_info("peername") == ("a.example", PORT)
            writer.close()

    @virtual
    async def test_peer_that_speaks_and_closes_at_once(self) -> None:
        """What came before the transport existed is delivered to it."""
        async with Bench(hosts={"a.example": Host((HOST,))}, latency=0.1) as bench:
            bench.network.serve_tcp(PORT, say_good_bye)
            modem = await bench.open()
            for mode in AccessMode:
                reader, writer = await modem.open_connection("a.example", PORT, access_mode=mode)
                assert await reader.read() == b"bye"
                writer.close()
                await writer.wait_closed()

    @virtual
    async def test_protocol_that_can_not_be_made(self) -> None:
        """The socket is closed, and the exception passes through."""

        def fails() -> StreamRecorder:
            raise ZeroDivisionError

        async with Bench() as bench:
            modem = await bench.open()
            with pytest.raises(ZeroDivisionError):
                await modem.create_connection(fails, HOST, PORT)
            await asyncio.sleep(1)
            assert bench.open_ids == []


def say_good_bye(peer: Peer) -> None:
    """Speak first, and close."""
    peer.send(b"bye")
    peer.close()
