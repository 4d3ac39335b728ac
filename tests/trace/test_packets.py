"""Packets: headers that everybody else takes for real ones."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from aiobc9x.trace.packets import Endpoints, Flags, Packet, tcp, udp

ENDS = {
    4: Endpoints(ipaddress.ip_address("10.0.0.1"), 1000, ipaddress.ip_address("8.8.8.8"), 53),
    6: Endpoints(ipaddress.ip_address("2001:db8::1"), 1000, ipaddress.ip_address("::9"), 53),
}


def summed(data: bytes) -> int:
    """The sum that a receiver computes; all ones if nothing is wrong (RFC 1071)."""
    total = 0
    for index in range(0, len(data), 2):
        total += int.from_bytes(data[index : index + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


def apart(packet: Packet) -> tuple[bytes, bytes, bytes]:
    """The IP header, what it carries, and what a checksum takes from the header."""
    data = packet.data
    if data[0] >> 4 == 4:
        assert struct.unpack("!H", data[2:4]) == (packet.size_bytes,)
        length = packet.size_bytes - 20
        return data[:20], data[20:], data[12:20] + bytes([0, data[9]]) + struct.pack("!H", length)
    assert struct.unpack("!H", data[4:6]) == (packet.size_bytes - 40,)
    rest = struct.pack("!II", packet.size_bytes - 40, data[6])
    return data[:40], data[40:], data[8:40] + rest


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("payload", [b"", b"a", b"ab", bytes(range(256)), b"\xff" * 1441])
@pytest.mark.parametrize("is_outbound", [True, False])
class TestWhole:
    """Of a payload that is there."""

    def test_tcp(self, version: int, payload: bytes, is_outbound: bool) -> None:
        """Ports, numbers, flags and checksums."""
        flags = Flags.PSH | Flags.ACK
        packet = tcp(ENDS[version], 2**32 + 5, 7, flags, payload, is_outbound=is_outbound)
        head, segment, pseudo = apart(packet)
        assert summed(pseudo + segment) == 0xFFFF
        assert version == 6 or summed(head) == 0xFFFF
        ports = struct.unpack("!HH", segment[:4])
        assert ports == ((1000, 53) if is_outbound else (53, 1000))
        assert struct.unpack("!IIBB", segment[4:14]) == (5, 7, 0x50, 0x18)
        assert segment[20:] == payload
        assert len(packet.data) == packet.size_bytes

    def test_udp(self, version: int, payload: bytes, is_outbound: bool) -> None:
        """Ports, length and checksum."""
        packet = udp(ENDS[version], payload, is_outbound=is_outbound)
        _, datagram, pseudo = apart(packet)
        assert summed(pseudo + datagram) == 0xFFFF
        assert struct.unpack("!H", datagram[4:6]) == (8 + len(payload),)
        assert datagram[8:] == payload


def test_a_sum_of_nothing_is_no_missing_sum() -> None:
    """0 would say that UDP has no checksum (RFC 768)."""
    ends = ENDS[4]
    for number in range(0x10000):
        packet = udp(ends, struct.pack("!H", number), is_outbound=True)
        if packet.data[26:28] == b"\xff\xff":
            break
    assert packet.data[26:28] == b"\xff\xff"


def test_a_payload_that_the_trace_lacks() -> None:
    """The packet is cut, and says how long it was."""
    packet = tcp(ENDS[4], 0, 0, Flags.ACK, b"", 100, is_outbound=True)
    assert (len(packet.data), packet.size_bytes) == (40, 140)
    assert struct.unpack("!H", packet.data[2:4]) == (140,)
    packet = udp(ENDS[6], b"", 100, is_outbound=True)
    assert (len(packet.data), packet.size_bytes) == (48, 148)


def test_packets_are_numbered() -> None:
    """So that no two look like one that came twice."""
    packets = [tcp(ENDS[4], 0, 0, Flags.ACK, is_outbound=True) for _ in range(3)]
    numbers = [struct.unpack("!H", packet.data[4:6])[0] for packet in packets]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
