"""Estimate the bytes over the air from what sockets send and receive.

Layer: core. Does no I/O, reads no clock.

An operator counts whole IP packets. The module tells of payloads alone, so the packets are
reckoned as an ordinary TCP/IP stack makes them:

* TCP: a header for each segment, and an acknowledgement for every second segment of a send or a
  read (RFC 1122, 4.2.3.2). Three packets open a connection, two of them with the option for the
  segment size; four end it. The end is counted with the beginning: nobody tells how it went.
* UDP: a header for each datagram.
* DNS: one question and one answer for each name that the module resolves.

What is not known, and so not counted: what was sent again because it got lost, other options of
TCP, acknowledgements that travel with data (counted twice), what a peer sent and nobody has read,
and what the network itself adds.
"""

from __future__ import annotations

from typing import Final

from aiobc9x.slotted import slotted

SEGMENT_BYTES: Final = 1360
"""Payload of a full segment. Ours: the usual packet of a mobile network, without headers."""

LONGEST_DATAGRAM_BYTES: Final = 65_535
"""What UDP can carry at most, headers included; it is one packet here, however it is cut below."""

IPV4_HEADER_BYTES: Final = 20
IPV6_HEADER_BYTES: Final = 40
TCP_HEADER_BYTES: Final = 20
UDP_HEADER_BYTES: Final = 8
SYN_OPTION_BYTES: Final = 4
"""The maximum segment size, which both sides say at the beginning (RFC 9293, 3.7.1)."""

DNS_FIXED_BYTES: Final = 12 + 2 + 4
"""A question without its name's letters (RFC 1035, 4.1): header, the name's ends, type, class."""

DNS_ANSWER_BYTES: Final = 16
"""One address in an answer, behind a compressed name."""

ICMP_HEADER_BYTES: Final = 8
NTP_BYTES: Final = 48


@slotted()
class AirCount:
    """Bytes over the air, as estimated.

    Attributes:
        sent_bytes: Sent, headers included.
        received_bytes: Received, headers included.
        payload_sent_bytes: The payload in it that the module has taken from programs.
        payload_received_bytes: The payload in it that programs were given.
        connections: Connections opened, UDP sockets and incoming ones included.

    """

    sent_bytes: int = 0
    received_bytes: int = 0
    payload_sent_bytes: int = 0
    payload_received_bytes: int = 0
    connections: int = 0

    @property
    def total_bytes(self) -> int:
        """Sent and received."""
        return self.sent_bytes + self.received_bytes

    def add(self, other: AirCount) -> None:
        """Add what another has counted."""
        self.sent_bytes += other.sent_bytes
        self.received_bytes += other.received_bytes
        self.payload_sent_bytes += other.payload_sent_bytes
        self.payload_received_bytes += other.payload_received_bytes
        self.connections += other.connections

    def times(self, factor: float) -> AirCount:
        """Return the estimate times a factor; payload and connections were counted exactly."""
        return AirCount(
            round(self.sent_bytes * factor),
            round(self.received_bytes * factor),
            self.payload_sent_bytes,
            self.payload_received_bytes,
            self.connections,
        )


class AirMeter:
    """Count the traffic of one socket.

    Attributes:
        fresh: What was counted since :meth:`take`.

    """

    __slots__ = ("_answer_bytes", "_header_bytes", "_is_datagram", "_whole_bytes", "fresh")

    def __init__(self, *, is_datagram: bool, is_ipv6: bool = False) -> None:
        ip_bytes = IPV6_HEADER_BYTES if is_ipv6 else IPV4_HEADER_BYTES
        self._header_bytes = ip_bytes + (UDP_HEADER_BYTES if is_datagram else TCP_HEADER_BYTES)
        self._is_datagram = is_datagram
        # Most payloads are one packet, so that nothing is to be divided.
        self._answer_bytes = 0 if is_datagram else self._header_bytes
        self._whole_bytes = LONGEST_DATAGRAM_BYTES if is_datagram else SEGMENT_BYTES
        self.fresh: AirCount = AirCount()

    def opened(self, *, incoming: bool = False) -> int:
        """Count a connection's beginning and end; return their bytes."""
        fresh, header = self.fresh, self._header_bytes
        fresh.connections += 1
        if self._is_datagram:
            return 0
        # SYN and ACK from the side that connects, SYN with ACK from the other; two packets each
        # at the end.
        connects, accepts = 4 * header + SYN_OPTION_BYTES, 3 * header + SYN_OPTION_BYTES
        fresh.sent_bytes += accepts if incoming else connects
        fresh.received_bytes += connects if incoming else accepts
        return connects + accepts

    def refused(self) -> int:
        """Count a connection that was not made: one packet and its answer; return their bytes."""
        if self._is_datagram:
            return 0
        asked, answered = self._header_bytes + SYN_OPTION_BYTES, self._header_bytes
        self.fresh.sent_bytes += asked
        self.fresh.received_bytes += answered
        return asked + answered

    def sent(self, size_bytes: int) -> int:
        """Count a payload that the module has taken; return its bytes over the air."""
        fresh, (ahead, back) = self.fresh, self._cost(size_bytes)
        fresh.payload_sent_bytes += size_bytes
        fresh.sent_bytes += ahead
        fresh.received_bytes += back
        return ahead + back

    def received(self, size_bytes: int) -> int:
        """Count a payload that the module has given; return its bytes over the air."""
        fresh, (ahead, back) = self.fresh, self._cost(size_bytes)
        fresh.payload_received_bytes += size_bytes
        fresh.received_bytes += ahead
        fresh.sent_bytes += back
        return ahead + back

    def take(self) -> AirCount:
        """Return what was counted since the last call."""
        taken, self.fresh = self.fresh, AirCount()
        return taken

    def _cost(self, size_bytes: int) -> tuple[int, int]:
        if size_bytes <= self._whole_bytes:
            return size_bytes + self._header_bytes, self._answer_bytes
        segments = -(-size_bytes // SEGMENT_BYTES)
        return size_bytes + segments * self._header_bytes, (segments + 1) // 2 * self._header_bytes


def dns_cost(name: str, answers: int = 1) -> AirCount:
    """Return what one question for a name takes, with an answer of so many addresses."""
    packet = IPV4_HEADER_BYTES + UDP_HEADER_BYTES + DNS_FIXED_BYTES + len(name)
    return AirCount(packet, packet + answers * DNS_ANSWER_BYTES)


def ping_cost(size_bytes: int, sent: int, received: int) -> AirCount:
    """Return what echo requests of a size take, and their replies."""
    packet = IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + size_bytes
    return AirCount(packet * sent, packet * received)


def ntp_cost() -> AirCount:
    """Return what one question for the time takes."""
    packet = IPV4_HEADER_BYTES + UDP_HEADER_BYTES + NTP_BYTES
    return AirCount(packet, packet)
