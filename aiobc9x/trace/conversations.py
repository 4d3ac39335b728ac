"""Turn what a trace says of each socket into packets that could have been on the air.

Layer: trace. Does no I/O, reads no clock.

A module shows payload, and what becomes of connections, but no packet. The packets here say the
same: a SYN when AT+QIOPEN is written, its answer when ``+QIOPEN`` comes, bytes sent when the
module has accepted them (``SEND FAIL`` makes what follows a retransmission), bytes received when
they were read, FINs at ``CLOSE OK``, or when a connection that its peer has closed is read empty,
and an RST where it broke.
"""

from __future__ import annotations

import ipaddress
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import field
from itertools import count
from typing import Final, NamedTuple

from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted
from aiobc9x.trace.dialogue import Entry, EntryKind
from aiobc9x.trace.packets import Address, Endpoints, Flags, Packet, TcpSide, tcp, udp

__all__ = ["Conversations", "Outcome"]

_OPEN: Final = lazy_pattern(
    r'AT\+QIOPEN=\d,([0-5]),"([A-Z ]+)","([^"]*)",(\d+)(?:,(\d*))?', re.IGNORECASE
)
_OPENED: Final = lazy_pattern(r"\+QIOPEN: ?([0-5]),(\d+)")
_INCOMING: Final = lazy_pattern(r'\+QIURC: ?"incoming",([0-5]),([0-5]),"([^"]*)",(\d+)')
_ADDRESSES: Final = lazy_pattern(r'\+(?:CGPADDR: ?\d+,|IP: ?)"?([0-9A-Fa-f.:]+)"?')
_LOOKUP: Final = lazy_pattern(r'AT\+QIDNSGIP=\d,"([^"]+)"', re.IGNORECASE)
_FOUND: Final = lazy_pattern(r'\+QIURC: ?"dnsgip","([^"]+)"')

_LOCAL: Final = {4: ipaddress.ip_address("192.0.2.1"), 6: ipaddress.ip_address("2001:db8::1")}
"""The module's address until it has told one: of blocks for examples (RFC 5737, RFC 3849)."""

_NAMELESS: Final = ipaddress.IPv4Address("198.18.0.0")
"""Where the addresses begin that names get which nobody has looked up (RFC 2544)."""

_MOST_BYTES: Final = 60_000
"""What an IP packet holds, with room for its headers."""

_FIRST_PORT: Final = 49152
"""Where the ports begin that the module chooses."""


class Outcome(NamedTuple):
    """A packet that an entry stands for.

    Attributes:
        packet: Its bytes.
        is_outbound: Whether the module sends it.
        connect_id: The socket.

    """

    packet: Packet
    is_outbound: bool
    connect_id: int


@slotted()
class _Sent:
    """Bytes of a payload, as far as the trace has them."""

    data: bytes
    size_bytes: int


@slotted()
class _Conversation:
    connect_id: int
    ends: Endpoints
    is_tcp: bool
    is_open: bool = False
    is_closed_by_peer: bool = False
    local: TcpSide = field(default_factory=TcpSide)
    remote: TcpSide = field(default_factory=TcpSide)
    waiting: deque[_Sent] = field(default_factory=deque)
    in_doubt: int = 0
    parts: list[_Sent] = field(default_factory=list)

    def begin(self, *, is_outbound: bool) -> Iterator[Outcome]:
        if self.is_tcp:
            yield self._segment(Flags.SYN, is_outbound=is_outbound)

    def accept(self, *, is_outbound: bool) -> Iterator[Outcome]:
        """Answer the SYN, unless that is done."""
        if self.is_open:
            return
        self.is_open = True
        if self.is_tcp:
            yield self._segment(Flags.SYN | Flags.ACK, is_outbound=is_outbound)
            yield self._segment(Flags.ACK, is_outbound=not is_outbound)

    def refuse(self) -> Iterator[Outcome]:
        if self.is_tcp:
            yield self._segment(Flags.RST | Flags.ACK, is_outbound=False)

    def carry(self, sent: _Sent, *, is_outbound: bool) -> Iterator[Outcome]:
        if not self.is_open:  # data prove that it is connected (F32)
            yield from self.accept(is_outbound=False)
        if not self.is_tcp:
            packet = udp(self.ends, sent.data, sent.size_bytes, is_outbound=is_outbound)
            yield Outcome(packet, is_outbound, self.connect_id)
        elif sent.size_bytes:
            flags = Flags.PSH | Flags.ACK
            yield self._segment(flags, sent.data, sent.size_bytes, is_outbound=is_outbound)

    def finish(self, *, is_outbound: bool) -> Iterator[Outcome]:
        side = self.local if is_outbound else self.remote
        if self.is_tcp and self.is_open and not side.is_over:
            side.is_over = True
            yield self._segment(Flags.FIN | Flags.ACK, is_outbound=is_outbound)

    def close(self) -> Iterator[Outcome]:
        first = not self.is_closed_by_peer
        yield from self.finish(is_outbound=first)
        yield from self.finish(is_outbound=not first)
        if self.is_tcp and self.is_open:
            yield self._segment(Flags.ACK, is_outbound=first)

    def reset(self) -> Iterator[Outcome]:
        if self.is_tcp and self.is_open and not (self.local.is_over and self.remote.is_over):
            yield self._segment(Flags.RST | Flags.ACK, is_outbound=True)

    def _segment(
        self, flags: Flags, data: bytes = b"", size_bytes: int = 0, *, is_outbound: bool
    ) -> Outcome:
        own, other = self.local, self.remote
        if not is_outbound:
            own, other = other, own
        ack = other.next_seq if flags & Flags.ACK else 0
        packet = tcp(self.ends, own.next_seq, ack, flags, data, size_bytes, is_outbound=is_outbound)
        # SYN and FIN take a number too.
        own.next_seq += size_bytes + bool(flags & Flags.SYN) + bool(flags & Flags.FIN)
        return Outcome(packet, is_outbound, self.connect_id)


class Conversations:
    """Entries of one link in, packets out.

    Attributes:
        names: Names that have got an address here, by that address.

    """

    def __init__(self) -> None:
        self.names: dict[Address, str] = {}
        self._addresses: dict[str, Address] = {}
        self._asked = ""
        self._local: dict[int, Address] = dict(_LOCAL)
        self._ports = count(_FIRST_PORT)
        self._by_id: dict[int, _Conversation] = {}
        self._listeners: dict[int, int] = {}

    def take(self, entry: Entry) -> Iterator[Outcome]:
        """Take an entry; yield the packets that it stands for."""
        match entry.kind:
            case EntryKind.COMMAND:
                yield from self._command(entry)
            case EntryKind.DATA if entry.connect_id is not None:
                self._of(entry.connect_id).waiting.append(_sent_by(entry))
            case EntryKind.PAYLOAD if entry.connect_id is not None:
                yield from self._received(self._of(entry.connect_id), entry)
            case EntryKind.URC | EntryKind.ANSWER:
                yield from self._line(entry)
            case EntryKind.RESULT if (conversation := self._known(entry)) is not None:
                if entry.text == "OK":
                    yield from self._accepted(conversation)
                else:
                    conversation.waiting.clear()
            case EntryKind.DECISION:
                yield from self._decision(entry)

    def _command(self, entry: Entry) -> Iterator[Outcome]:
        text = entry.text
        if match := _OPEN.match(text):
            yield from self._opening(match)
        elif match := _LOOKUP.match(text):
            self._asked = match[1]
        elif entry.size_bytes and entry.connect_id is not None:
            self._of(entry.connect_id).waiting.append(_sent_by(entry))

    def _opening(self, match: re.Match[str]) -> Iterator[Outcome]:
        connect_id, kind = int(match[1]), match[2].upper()
        port, local_port = int(match[4]) & 0xFFFF, int(match[5] or 0) & 0xFFFF
        if "LISTENER" in kind:
            self._listeners[connect_id] = local_port
            return
        remote = self._address(match[3])
        conversation = self._new(connect_id, remote, port, local_port, is_tcp=kind == "TCP")
        yield from conversation.begin(is_outbound=True)

    def _new(
        self, connect_id: int, remote: Address, port: int, local_port: int, *, is_tcp: bool
    ) -> _Conversation:
        local = self._local[remote.version]
        ends = Endpoints(local, local_port or next(self._ports) & 0xFFFF, remote, port)
        self._by_id[connect_id] = conversation = _Conversation(connect_id, ends, is_tcp)
        return conversation

    def _of(self, connect_id: int) -> _Conversation:
        """Return the conversation of a socket; make one up whose opening the trace lacks."""
        if connect_id not in self._by_id:
            remote = _NAMELESS + 0x1FF00 + connect_id
            self._new(connect_id, remote, 0, 0, is_tcp=True).is_open = True
        return self._by_id[connect_id]

    def _address(self, host: str) -> Address:
        try:
            return ipaddress.ip_address(host)
        except ValueError:
            pass
        if host not in self._addresses:
            self._addresses[host] = address = _NAMELESS + 1 + len(self._addresses)
            self.names[address] = host
        return self._addresses[host]

    def _line(self, entry: Entry) -> Iterator[Outcome]:
        text, conversation = entry.text, self._known(entry)
        if match := _INCOMING.match(text):
            yield from self._incoming(match)
        elif match := _FOUND.match(text):
            self._found(match[1])
        elif match := _ADDRESSES.match(text):
            self._told(match[1])
        elif text == "RDY":
            yield from self._break_all()
        elif conversation is None:
            return
        elif match := _OPENED.match(text):
            yield from self._opened(conversation, is_connected=match[2] == "0")
        elif text == "SEND OK":
            yield from self._accepted(conversation)  # a module may print it ahead of OK
            conversation.in_doubt = 0
        elif text == "SEND FAIL":
            conversation.waiting.clear()
            conversation.local.next_seq -= conversation.in_doubt
            conversation.in_doubt = 0
        elif text == "CLOSE OK":
            yield from conversation.close()
            del self._by_id[conversation.connect_id]
        elif text.startswith("+QIURC") and '"closed"' in text:
            conversation.is_closed_by_peer = True
        elif text.startswith("+QIRD: 0") and conversation.is_closed_by_peer:
            yield from conversation.finish(is_outbound=False)

    def _opened(self, conversation: _Conversation, *, is_connected: bool) -> Iterator[Outcome]:
        if is_connected:
            yield from conversation.accept(is_outbound=False)
        else:
            yield from conversation.refuse()
            del self._by_id[conversation.connect_id]

    def _incoming(self, match: re.Match[str]) -> Iterator[Outcome]:
        connect_id, port = int(match[1]), self._listeners.get(int(match[2]), 0)
        remote = self._address(match[3])
        conversation = self._new(connect_id, remote, int(match[4]) & 0xFFFF, port, is_tcp=True)
        yield from conversation.begin(is_outbound=False)
        yield from conversation.accept(is_outbound=True)

    def _received(self, conversation: _Conversation, entry: Entry) -> Iterator[Outcome]:
        if conversation.is_tcp:
            yield from conversation.carry(_sent_by(entry), is_outbound=False)
            return
        # A datagram may be read in parts (§2.2.6, note 3).
        conversation.parts.append(_sent_by(entry))
        if not entry.remaining:
            parts = conversation.parts
            whole = _Sent(b"".join(p.data for p in parts), sum(p.size_bytes for p in parts))
            conversation.parts = []
            yield from conversation.carry(whole, is_outbound=False)

    def _accepted(self, conversation: _Conversation) -> Iterator[Outcome]:
        """Send what the module has been given; it may still say that it could not."""
        while conversation.waiting:
            sent = conversation.waiting.popleft()
            conversation.in_doubt = sent.size_bytes
            yield from conversation.carry(sent, is_outbound=True)

    def _known(self, entry: Entry) -> _Conversation | None:
        return None if entry.connect_id is None else self._by_id.get(entry.connect_id)

    def _decision(self, entry: Entry) -> Iterator[Outcome]:
        conversation = self._known(entry)
        if entry.text in {"LinkEnded", "Reset"}:
            yield from self._break_all()
        elif entry.text == "Failed" and conversation is not None:
            yield from conversation.reset()
            del self._by_id[conversation.connect_id]

    def _break_all(self) -> Iterator[Outcome]:
        for connect_id in [*self._by_id]:
            yield from self._by_id.pop(connect_id).reset()
        self._listeners.clear()

    def _found(self, address: str) -> None:
        try:
            self._addresses.setdefault(self._asked, ipaddress.ip_address(address))
        except ValueError:
            return
        self.names.setdefault(self._addresses[self._asked], self._asked)

    def _told(self, address: str) -> None:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:  # 27.007 prints IPv6 with dots
            return
        self._local[found.version] = found


def _sent_by(entry: Entry) -> _Sent:
    # The module takes and gives far less at once; more can't be in a packet.
    return _Sent(entry.data[:_MOST_BYTES], min(entry.size_bytes, _MOST_BYTES))


def names_of(known: Mapping[Address, str]) -> dict[bytes, str]:
    """Return names by their packed addresses, as a file has them."""
    return {address.packed: name for address, name in known.items()}
