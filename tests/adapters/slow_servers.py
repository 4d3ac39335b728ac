"""Servers in memory, each behind a script of a peer, that answer after a while."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable, Iterator

import aiocoap
import trustme
from websockets.server import ServerProtocol

from aiobc9x.sim.memory import Peer

Answerer = Callable[[bytes], bytes]
"""Takes what has come; returns the answer, empty if there is none yet."""


def answering(make: Callable[[], Answerer], delay: float) -> Callable[[Peer], None]:
    """Make an on-connect script of something that answers, ``delay`` seconds later."""

    def on_connect(peer: Peer) -> None:
        answer = make()

        def take(data: bytes) -> None:
            if reply := answer(data):
                asyncio.get_running_loop().call_later(delay, peer.send, reply)

        peer.answer_with(take)

    return on_connect


class Web:
    """HTTP/1.1 that says ok.

    Attributes:
        requests: How many requests have come, over all connections.

    """

    def __init__(self) -> None:
        self.requests = 0

    def connected(self) -> Answerer:
        received = bytearray()

        def answer(data: bytes) -> bytes:
            received.extend(data)
            count = received.count(b"\r\n\r\n")
            received.clear()
            self.requests += count
            return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" * count

        return answer


class Tls:
    """TLS around another server."""

    def __init__(self, inner: Callable[[], Answerer], name: str) -> None:
        authority = trustme.CA()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name).configure_cert(self.context)
        self.trusting = ssl.create_default_context()
        authority.configure_trust(self.trusting)
        self._inner = inner

    def connected(self) -> Answerer:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        stream = self.context.wrap_bio(incoming, outgoing, server_side=True)
        inner, shaken = self._inner(), False

        def answer(data: bytes) -> bytes:
            nonlocal shaken
            incoming.write(data)
            try:
                if not shaken:
                    stream.do_handshake()
                    shaken = True
                while received := stream.read(65536):
                    stream.write(inner(received))
            except ssl.SSLWantReadError:
                pass
            return outgoing.read()

        return answer


class Redis:
    """A few commands.

    Attributes:
        commands: The names of all that have come.

    """

    def __init__(self) -> None:
        self.commands: list[bytes] = []

    def connected(self) -> Answerer:
        received = bytearray()

        def answer(data: bytes) -> bytes:
            received.extend(data)
            replies = [self._reply(words) for words in commands_of(received)]
            return b"".join(replies)

        return answer

    def _reply(self, words: list[bytes]) -> bytes:
        name = words[0].upper()
        self.commands.append(name)
        if name == b"HELLO":
            return b"%1\r\n$5\r\nproto\r\n:3\r\n"
        return {b"INCR": b":1\r\n", b"PING": b"+PONG\r\n"}.get(name, b"+OK\r\n")


def commands_of(received: bytearray) -> Iterator[list[bytes]]:
    """Take whole commands, which are arrays of strings, off the front."""
    while b"\r\n" in received:
        lines = bytes(received).split(b"\r\n")
        count = int(lines[0][1:])
        if len(lines) <= 2 * count + 1:
            return
        words = lines[2 : 2 * count + 1 : 2]
        del received[: sum(len(line) + 2 for line in lines[: 2 * count + 1])]
        yield words


class Modbus:
    """Takes writes of one register.

    Attributes:
        writes: How many have come.

    """

    def __init__(self) -> None:
        self.writes = 0

    def connected(self) -> Answerer:
        received = bytearray()

        def answer(data: bytes) -> bytes:
            received.extend(data)
            replies = b""
            while len(received) >= 12:
                request = bytes(received[:12])
                del received[:12]
                self.writes += struct.unpack(">HHHBB", request[:8])[4] == 6
                replies += request  # the answer to function 6 is the request itself
            return replies

        return answer


class WebSocket:
    """Sends messages back; what else there is to it is the library's.

    Attributes:
        messages: What has come.

    """

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def connected(self) -> Answerer:
        from websockets.frames import Frame, Opcode
        from websockets.http11 import Request

        protocol = ServerProtocol()

        def answer(data: bytes) -> bytes:
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, Request):
                    protocol.send_response(protocol.accept(event))
                elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    self.messages.append(bytes(event.data))
                    protocol.send_text(event.data)
            return b"".join(protocol.data_to_send())

        return answer


class Coap:
    """Answers each request in its acknowledgement, and counts what it has seen before.

    Attributes:
        requests: The message IDs that have come.

    """

    def __init__(self) -> None:
        self.requests: list[int] = []

    def connected(self) -> Answerer:
        def answer(data: bytes) -> bytes:
            request = aiocoap.Message.decode(data)
            self.requests.append(request.mid)
            reply = aiocoap.Message(code=aiocoap.CONTENT, payload=b"21.5")
            reply.mtype, reply.mid, reply.token = aiocoap.ACK, request.mid, request.token
            encoded: bytes = reply.encode()
            return encoded

        return answer
