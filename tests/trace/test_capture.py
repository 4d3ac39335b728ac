"""Captures: Wireshark's own tshark reads them as what they are."""

from __future__ import annotations

import asyncio
import io
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiobc9x.trace import Payloads, Record, Trace, follow_trace, read_trace
from aiobc9x.trace.capture import write_capture
from aiobc9x.trace.recording import Recorder
from tests.clients.servers import program
from tests.support.bench import ECHO_PORT, HOST, UDP_PORT, Bench, echoed
from tests.support.clock import virtual
from tests.support.recorders import DatagramRecorder
from tests.support.tls import NAME, TLS_PORT, TlsPeer, authority
from tests.trace.test_dialogue import STEPS, records
from tests.trace.test_pcapng import blocks


def shark(path: Path, *arguments: str) -> list[str]:
    """What tshark prints of a capture, a line each, with every checksum looked at."""
    checks = [
        word
        for name in ("ip.check_checksum", "tcp.check_checksum", "udp.check_checksum")
        for word in ("-o", f"{name}:TRUE")
    ]
    command = [program("tshark", "tshark"), "-n", "-r", str(path), *checks, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def fields(path: Path, wanted: str, *names: str) -> list[list[str]]:
    """Some fields of the packets that a filter lets through."""
    columns = [word for name in names for word in ("-e", name)]
    rows = shark(path, "-Y", wanted, "-T", "fields", *columns)
    return [row.split("\t") for row in rows]


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a modem that has echoed over TCP and UDP, and of one whose payloads are left out."""
    folder = tmp_path_factory.mktemp("capture")

    @virtual
    async def run() -> None:
        for payloads in (Payloads.WHOLE, Payloads.LENGTH):
            async with Bench() as bench:
                bench.network.serve_udp(UDP_PORT, lambda peer: peer.answer_with(peer.send))
                modem = await bench.open(trace=Trace(folder / "x", payloads))
                await echoed(modem, b"over TCP" * 200)
                transport, protocol = await modem.create_datagram_endpoint(
                    DatagramRecorder, remote_addr=(HOST, UDP_PORT)
                )
                transport.sendto(b"over UDP" * 150)
                await protocol.until(received=1)
                await modem.aclose()

    run()
    with (folder / "x.pcapng").open("wb") as file:
        assert write_capture(read_trace(folder / "x"), file) > 100
    return folder / "x.pcapng"


class TestDialogue:
    """Commands and answers, without any setting of Wireshark."""

    def test_commands_and_their_meanings(self, capture: Path) -> None:
        """The dissector of AT commands takes them; what each means is its comment."""
        found = fields(capture, 'at.cmd == "+QISEND"', "at.role", "at.parameter", "frame.comment")
        assert "socket 0: send 1440 bytes (§2.2.4)" in {row[2] for row in found}
        roles = {row[0] for row in fields(capture, "at", "at.role")}
        assert roles == {"1", "2"}  # DCE, DTE
        assert not shark(
            capture, "-Y", "_ws.malformed && !coap"
        )  # the port is CoAP's, the bytes aren't

    def test_payloads_and_decisions(self, capture: Path) -> None:
        """They stand among the commands."""
        (opened, *_) = fields(capture, "data-text-lines", "frame.comment")
        assert opened[0].startswith("the port is open")
        rows = fields(capture, "exported_pdu && data", "data.data", "frame.interface_name")
        assert (b"over TCP" * 200).hex()[:200] in "".join(row[0] for row in rows)
        assert {row[1] for row in rows} == {"dialogue"}


class TestSockets:
    """Conversations."""

    def test_they_are_found(self, capture: Path) -> None:
        """Of both modems, over both protocols, and every checksum is right."""
        tcp = [row for row in shark(capture, "-q", "-z", "conv,tcp") if "<->" in row]
        udp = [row for row in shark(capture, "-q", "-z", "conv,udp") if "<->" in row]
        assert all(f"{HOST}:{ECHO_PORT}" in row for row in tcp)
        assert all(f"{HOST}:{UDP_PORT}" in row for row in udp)
        assert (len(tcp), len(udp)) == (1, 1)  # the second modem has the same addresses
        bad = "ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0"
        assert not shark(capture, "-Y", f"({bad}) && frame.len == frame.cap_len")
        assert not shark(capture, "-Y", "tcp.analysis.lost_segment || tcp.analysis.out_of_order")

    def test_they_can_be_followed(self, capture: Path) -> None:
        """Every byte is there, both ways."""
        rows = shark(capture, "-q", "-z", "follow,tcp,raw,0")
        data = [row.strip() for row in rows if row.strip().isalnum()]
        assert bytes.fromhex("".join(data)) == b"over TCP" * 400

    def test_datagrams_are_whole(self, capture: Path) -> None:
        """Although the module gave this one in two reads."""
        rows = fields(capture, "udp", "udp.length", "frame.cap_len")
        assert rows == [["1208", "1228"]] * 2 + [["1208", "28"]] * 2

    def test_it_says_that_headers_are_made_up(self, capture: Path) -> None:
        """And an independent reader finds as many packets."""
        section, *others = blocks(capture.read_bytes())
        assert "made up" in section.options["opt_comment"]
        count = sum(hasattr(block, "packet_data") for block in others)
        assert len(shark(capture)) == count


class TestTls:
    """Decrypted, if its keys are given."""

    def test_keys(self, tmp_path: Path) -> None:
        """They go into the capture only then."""
        trace, keys = tmp_path / "x", tmp_path / "keys"

        @virtual
        async def run() -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            authority().configure_trust(context)
            context.keylog_filename = str(keys)
            async with Bench() as bench:
                far: list[TlsPeer] = []
                bench.network.serve_tcp(TLS_PORT, lambda peer: far.append(TlsPeer(peer)))
                modem = await bench.open(trace=trace)
                reader, writer = await modem.open_connection(
                    HOST, TLS_PORT, ssl=context, server_hostname=NAME
                )
                writer.write(b"GET /secret HTTP/1.1\r\nHost: a\r\n\r\n")
                await asyncio.sleep(1)  # until it is there; no real time
                assert b"secret" in far[0].received
                far[0].send(b"HTTP/1.1 204 No Content\r\n\r\n")
                await reader.readline()
                writer.close()
                await writer.wait_closed()
                await modem.aclose()

        run()
        for given, expected in ((None, []), (keys, [["/secret"]])):
            path = tmp_path / "x.pcapng"
            with path.open("wb") as file:
                write_capture(read_trace(trace), file, tls_keys=given)
            assert fields(path, "http.request", "http.request.uri") == expected
            assert (b"CLIENT_" in path.read_bytes()) is (given is not None)
            assert fields(path, "tls.handshake.type == 1", "tcp.dstport") == [[str(TLS_PORT)]]

    def test_keys_that_come_later(self, tmp_path: Path) -> None:
        """Each line is written once, when it is whole."""
        keys, stream = tmp_path / "keys", io.BytesIO()
        keys.write_bytes(b"")

        def growing() -> Iterator[Record]:
            for number, record in enumerate(records(STEPS[:3])):
                with keys.open("ab") as file:
                    file.write(b"KEY %d\nKE" % number if not number else b"Y %d\nKE" % number)
                yield record

        write_capture(growing(), stream, tls_keys=keys)
        assert stream.getvalue().count(b"KEY 0\n") == 1
        assert stream.getvalue().count(b"KEY 1\n") == 1

    def test_no_such_file(self, tmp_path: Path) -> None:
        """It is an error, and not a capture without keys."""
        with pytest.raises(FileNotFoundError):
            write_capture([], io.BytesIO(), tls_keys=tmp_path / "none")


class TestLive:
    """A trace that grows."""

    def test_what_is_there_is_written_at_once(self, tmp_path: Path) -> None:
        """Before the next record is waited for, so that Wireshark shows it."""
        recorder = Recorder(Trace(tmp_path / "x"))
        recorder.begin_link(1.0, {})
        recorder.sent(b"AT\r", 2.0)
        recorder.received(b"\r\nOK\r\n", 2.1)
        recorder.close()
        stream, seen = io.BytesIO(), []

        def wait() -> bool:
            seen.append(len(blocks(stream.getvalue())))
            return False

        write_capture(follow_trace(tmp_path / "x", wait=wait), stream)
        assert seen == [3 + 3]

    def test_names_come_before_their_packets(self) -> None:
        """A reader that shows names needs them then."""
        steps = list(records([(">", b'AT+QIOPEN=1,0,"TCP","a.example",80,0,0,0\r')]))
        stream = io.BytesIO()
        write_capture(steps, stream)
        kinds = [type(block).__name__ for block in blocks(stream.getvalue())]
        assert kinds[3:] == ["EnhancedPacket", "NameResolution", "EnhancedPacket"]
