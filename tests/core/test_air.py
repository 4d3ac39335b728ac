"""The estimate of bytes over the air: one test for each kind of packet."""

from __future__ import annotations

import pytest

from aiobc9x.core.air import SEGMENT_BYTES, AirCount, AirMeter, dns_cost, ntp_cost, ping_cost


class TestTcp:
    """Headers of 20 and 20 bytes; 40 and 20 with IPv6."""

    def test_a_connection(self) -> None:
        """SYN, SYN with ACK, ACK, and two packets in each direction at the end."""
        meter = AirMeter(is_datagram=False)
        assert meter.opened() == 7 * 40 + 2 * 4
        assert meter.take() == AirCount(4 * 40 + 4, 3 * 40 + 4, connections=1)

    def test_an_incoming_connection(self) -> None:
        """The other side begins."""
        meter = AirMeter(is_datagram=False)
        assert meter.opened(incoming=True) == 7 * 40 + 2 * 4
        assert meter.take() == AirCount(3 * 40 + 4, 4 * 40 + 4, connections=1)

    def test_a_refusal(self) -> None:
        """SYN and RST."""
        meter = AirMeter(is_datagram=False)
        assert meter.refused() == 84
        assert meter.take() == AirCount(44, 40)

    @pytest.mark.parametrize(
        ("size", "segments", "acknowledgements"),
        [(1, 1, 1), (SEGMENT_BYTES, 1, 1), (SEGMENT_BYTES + 1, 2, 1), (3 * SEGMENT_BYTES, 3, 2)],
    )
    def test_payloads(self, size: int, segments: int, acknowledgements: int) -> None:
        """A header for each segment, an acknowledgement for every second one."""
        meter = AirMeter(is_datagram=False)
        ahead, back = size + segments * 40, acknowledgements * 40
        assert meter.sent(size) == ahead + back
        assert meter.take() == AirCount(ahead, back, size)
        assert meter.received(size) == ahead + back
        assert meter.take() == AirCount(back, ahead, 0, size)

    def test_ipv6(self) -> None:
        """Its header is longer."""
        meter = AirMeter(is_datagram=False, is_ipv6=True)
        assert meter.sent(10) == 10 + 60 + 60


class TestOthers:
    """What is no connection."""

    def test_udp(self) -> None:
        """A header, and nothing comes back by itself."""
        meter = AirMeter(is_datagram=True)
        assert meter.opened() == meter.refused() == 0
        assert meter.sent(10) == 38
        assert meter.received(20) == 48
        assert meter.take() == AirCount(38, 48, 10, 20, 1)

    def test_dns(self) -> None:
        """www.example.com in 17 bytes of RFC 1035's, 12 of header and 4 of type and class."""
        assert dns_cost("www.example.com", 2) == AirCount(28 + 33, 28 + 33 + 32)

    def test_ping_and_ntp(self) -> None:
        """ICMP has 8 bytes of header; an NTP packet has 48."""
        assert ping_cost(32, 4, 3) == AirCount(240, 180)
        assert ntp_cost() == AirCount(76, 76)


class TestCounting:
    """Sums."""

    def test_add(self) -> None:
        """Everything is added."""
        count = AirCount(1, 2, 3, 4, 5)
        count.add(AirCount(10, 20, 30, 40, 50))
        assert count == AirCount(11, 22, 33, 44, 55)
        assert count.total_bytes == 33

    def test_times(self) -> None:
        """The factor changes what is estimated, and nothing that was counted."""
        assert AirCount(10, 20, 3, 4, 5).times(1.25) == AirCount(12, 25, 3, 4, 5)

    def test_taken_once(self) -> None:
        """What was taken is not counted again."""
        meter = AirMeter(is_datagram=True)
        meter.sent(1)
        meter.take()
        assert meter.take() == AirCount()
