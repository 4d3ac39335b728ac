"""SOCKS5 as bytes: RFC 1928 on the server's side, cut anywhere."""

from __future__ import annotations

import errno
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x import ConnectRefused, ConnectTimedOut, NameNotFound, NetworkUnreachable, NoFreeSocket
from aiobc9x.adapters.proxy.handshake import HandshakeStep, Request, failure_of
from aiobc9x.adapters.proxy.socks5 import SocksHandshake
from aiobc9x.wire.host import Host
from tests.support.chunks import bytewise, chunkings

GREETING = b"\x05\x01\x00"
NO_AUTHENTICATION = b"\x05\x00"
NAME = b"\x03\x0ebroker.example"
MQTT = (1883).to_bytes(2, "big")


def request(command: int = 1, address: bytes = NAME, port: bytes = MQTT) -> bytes:
    """A greeting and a request."""
    return GREETING + bytes((5, command, 0)) + address + port


def talk(*chunks: bytes) -> HandshakeStep:
    """The proxy's side of a whole handshake, as one step."""
    handshake = SocksHandshake()
    steps = [handshake.feed(chunk) for chunk in chunks]
    requests = [step.request for step in steps if step.request is not None]
    assert len(requests) <= 1
    reply = b"".join(step.reply for step in steps)
    return HandshakeStep(reply, requests[0] if requests else None, any(s.is_over for s in steps))


class TestRequests:
    """What a client may ask for."""

    @pytest.mark.parametrize(
        ("address", "host"),
        [
            (NAME, "broker.example"),
            (b"\x01\xc0\x00\x02\x07", "192.0.2.7"),
            (b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01", "2001:db8::1"),
            (b"\x03\xff" + b"n" * 255, "n" * 255),
        ],
    )
    def test_each_kind_of_address_is_read(self, address: bytes, host: str) -> None:
        assert talk(request(address=address)) == HandshakeStep(
            NO_AUTHENTICATION, Request(Host.read(host), 1883)
        )

    def test_bytes_behind_the_request_are_kept(self) -> None:
        """A client may send before it hears that it is connected."""
        step = talk(request() + b"\x10\x0c")
        assert step.request == Request(Host.read("broker.example"), 1883, b"\x10\x0c")

    def test_no_authentication_is_chosen_among_others(self) -> None:
        assert talk(b"\x05\x03\x02\x01\x00") == HandshakeStep(NO_AUTHENTICATION)

    def test_nothing_is_said_before_the_greeting_is_whole(self) -> None:
        assert talk(b"\x05\x02\x00") == HandshakeStep()


class TestRefusals:
    """What is turned away, and how."""

    def test_a_client_that_insists_on_a_password(self) -> None:
        assert talk(b"\x05\x01\x02") == HandshakeStep(b"\x05\xff", is_over=True)

    def test_a_greeting_without_methods(self) -> None:
        assert talk(b"\x05\x00") == HandshakeStep(b"\x05\xff", is_over=True)

    @pytest.mark.parametrize("command", [2, 3, 0, 9])
    def test_bind_and_udp_associate(self, command: int) -> None:
        step = talk(request(command))
        assert step.is_over
        assert step.reply[:4] == NO_AUTHENTICATION + b"\x05\x07"
        assert len(step.reply) == 12

    def test_an_unknown_kind_of_address(self) -> None:
        assert talk(request(address=b"\x02ab")).reply[2:4] == b"\x05\x08"

    @pytest.mark.parametrize(
        "bad",
        [
            request(address=b"\x03\x00"),
            request(port=b"\0\0"),
            GREETING + b"\x04\x01\x00" + NAME + MQTT,
        ],
        ids=["no name", "port 0", "another version"],
    )
    def test_what_makes_no_sense(self, bad: bytes) -> None:
        step = talk(bad)
        assert step.is_over
        assert step.reply[2:4] == b"\x05\x01"

    def test_what_follows_a_refusal_is_ignored(self) -> None:
        assert talk(b"\x05\x01\x02", request()) == HandshakeStep(b"\x05\xff", is_over=True)


@pytest.mark.parametrize(
    ("exc", "code"),
    [
        (NoFreeSocket(), 1),
        (NetworkUnreachable("AT+QIOPEN", 561), 3),
        (OSError(errno.ENETDOWN, "down"), 3),
        (NameNotFound("AT+QIOPEN", 565), 4),
        (socket.gaierror(socket.EAI_AGAIN, "busy"), 4),
        (OSError(errno.EHOSTUNREACH, "no route"), 4),
        (ConnectRefused("AT+QIOPEN", 566), 5),
        (ConnectTimedOut("AT+QIOPEN", 566), 6),
        (ValueError("too long"), 1),
        (OSError("no errno"), 1),
        (RuntimeError("a bug"), 1),
    ],
)
def test_each_failure_has_its_code(exc: Exception, code: int) -> None:
    """RFC 1928, section 6; 0 is success."""
    assert SocksHandshake().refused(exc)[:2] == bytes((5, code)), failure_of(exc)
    assert SocksHandshake().granted() == b"\x05\0\0\x01" + bytes(6)


WHOLE = st.one_of(
    st.just(request() + b"first bytes"),
    st.just(request(3)),
    st.binary(max_size=40),
    st.builds(lambda tail: GREETING + b"\x05" + tail, st.binary(max_size=40)),
    st.builds(lambda a, p: request(address=a, port=p), st.binary(max_size=8), st.binary()),
).filter(bool)


@given(data=st.data(), stream=WHOLE)
def test_chunking_changes_nothing(data: st.DataObject, stream: bytes) -> None:
    """However the bytes come, replies and request are the same; nothing is raised."""
    whole = talk(stream)
    for chunks in (bytewise(stream), data.draw(chunkings(stream))):
        step = talk(*chunks)
        assert (step.reply, step.is_over) == (whole.reply, whole.is_over)
        if whole.request is None:
            assert step.request is None
        else:
            assert step.request is not None
            got, due = step.request, whole.request
            assert (got.host, got.port) == (due.host, due.port)
            assert due.first.startswith(got.first)
