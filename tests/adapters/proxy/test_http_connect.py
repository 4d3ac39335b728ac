"""HTTP as bytes: CONNECT, and requests for whole addresses, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x import ConnectRefused, ConnectTimedOut, NameNotFound, NoFreeSocket
from aiobc9x.adapters.proxy.api import HealthCheck
from aiobc9x.adapters.proxy.handshake import HandshakeStep, Request, split_authority
from aiobc9x.adapters.proxy.http_connect import HEAD_LIMIT_BYTES, HttpHandshake
from aiobc9x.wire.host import Host
from tests.support.chunks import bytewise, chunkings


def lines(*texts: str, body: bytes = b"") -> bytes:
    """A request of these lines."""
    return "".join(f"{text}\r\n" for text in (*texts, "")).encode("latin-1") + body


def talk(*chunks: bytes) -> HandshakeStep:
    """The proxy's side of a whole handshake, as one step."""
    handshake = HttpHandshake()
    steps = [handshake.feed(chunk) for chunk in chunks]
    requests = [step.request for step in steps if step.request is not None]
    assert len(requests) <= 1
    reply = b"".join(step.reply for step in steps)
    return HandshakeStep(reply, requests[0] if requests else None, any(s.is_over for s in steps))


def wanted(*chunks: bytes) -> Request:
    """The request of a handshake in which nothing is said before it."""
    step = talk(*chunks)
    assert step.request is not None, step
    assert not step.reply
    return step.request


def refusal(*chunks: bytes) -> tuple[int, str]:
    """The status and the text of a handshake that ends in a refusal."""
    step = talk(*chunks)
    assert step.is_over
    assert step.request is None
    head, _, body = step.reply.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    return int(head.split()[1]), body.decode()


class TestConnect:
    """CONNECT host:port."""

    def test_the_target_is_read(self) -> None:
        head = lines("CONNECT broker.example:8883 HTTP/1.1", "Host: broker.example:8883")
        assert wanted(head) == Request(Host.read("broker.example"), 8883)

    def test_an_ipv6_address_stands_in_brackets(self) -> None:
        assert wanted(lines("CONNECT [2001:db8::1]:443 HTTP/1.0")).host.text == "2001:db8::1"

    def test_bytes_behind_the_request_are_kept(self) -> None:
        """A client may send its ClientHello before it hears that it is connected."""
        request = wanted(lines("CONNECT a.example:443 HTTP/1.1", body=b"\x16\x03\x01"))
        assert request == Request(Host.read("a.example"), 443, b"\x16\x03\x01")

    def test_bare_line_feeds_will_do(self) -> None:
        assert wanted(b"CONNECT a.example:443 HTTP/1.1\nHost: a\n\n").port == 443

    @pytest.mark.parametrize(
        "target", ["a.example", "a.example:0", "a.example:65536", ":443", "http://a/", "u@a:443"]
    )
    def test_a_target_that_is_none(self, target: str) -> None:
        assert refusal(lines(f"CONNECT {target} HTTP/1.1"))[0] == 400

    def test_it_is_granted_in_words(self) -> None:
        handshake = HttpHandshake()
        handshake.feed(lines("CONNECT a.example:443 HTTP/1.1"))
        assert handshake.granted() == b"HTTP/1.1 200 Connection established\r\n\r\n"


def checked(*chunks: bytes, path: str | None = "/health", is_well: bool = True) -> HandshakeStep:
    """What a proxy answers whose modem is well, or is not."""
    handshake = HttpHandshake(HealthCheck(path, lambda: is_well))
    return [handshake.feed(chunk) for chunk in chunks][-1]


class TestHealth:
    """One path of the proxy's own, for load balancers."""

    @pytest.mark.parametrize(
        ("is_well", "status", "word"), [(True, 200, "up"), (False, 503, "down")]
    )
    def test_one_word(self, is_well: bool, status: int, word: str) -> None:
        """However the request is cut, and nothing else: no name, no number, no cause."""
        head = lines("GET /health HTTP/1.1", "Host: a")
        for chunks in ([head], bytewise(head)):
            step = checked(*chunks, is_well=is_well)
            assert (step.is_checked, step.is_over, step.request) == (True, False, None)
            assert int(step.reply.split()[1]) == status
            assert step.reply.endswith(f"Connection: close\r\n\r\n{word}\n".encode())

    def test_head_has_no_body(self) -> None:
        told = checked(lines("HEAD /health HTTP/1.0")).reply
        assert told.endswith(b"\r\n\r\n")
        assert b"Content-Length: 3\r\n" in told

    def test_the_answer_is_no_larger_than_a_refusal(self) -> None:
        """Nobody can have it sent more bytes than by any other request."""
        assert len(checked(lines("GET /health HTTP/1.0")).reply) < 150

    def test_another_path(self) -> None:
        assert checked(lines("GET /-/up?a=1 HTTP/1.1"), path="/-/up?a=1").is_checked
        assert not checked(lines("GET /health HTTP/1.1"), path="/-/up").is_checked

    @pytest.mark.parametrize(
        "line",
        [
            "GET /health/ HTTP/1.1",
            "GET /HEALTH HTTP/1.1",
            "POST /health HTTP/1.1",
            "GET / HTTP/1.1",
        ],
    )
    def test_other_requests_for_a_path_are_refused_as_ever(self, line: str) -> None:
        step = checked(lines(line))
        assert (step.is_checked, step.is_over) == (False, True)
        assert step.reply.startswith(b"HTTP/1.1 400 ")

    def test_a_page_of_that_name_elsewhere_is_fetched(self) -> None:
        """A whole address is a request for its server."""
        step = checked(lines("GET http://a.example/health HTTP/1.1"))
        assert step.request is not None
        assert step.request.first.startswith(b"GET /health HTTP/1.1\r\n")

    def test_it_can_be_switched_off(self) -> None:
        assert checked(lines("GET /health HTTP/1.1"), path=None).is_over
        assert HttpHandshake().feed(lines("GET /health HTTP/1.1")).is_over

    @pytest.mark.parametrize("path", ["", "health", "/a b", "/ä", "/a\r\nb", "http://a/"])
    def test_a_path_that_nobody_could_ask_for(self, path: str) -> None:
        with pytest.raises(ValueError, match="health_path"):
            HealthCheck(path, lambda: True)


class TestWholeAddresses:
    """GET http://host/path, as programs with http_proxy ask."""

    def test_the_server_gets_the_path_and_its_own_name(self) -> None:
        request = wanted(
            lines(
                "GET http://u:p@a.example:8080/x?y=1#z HTTP/1.1",
                "Host: somebody.else",
                "Accept: */*",
                "Proxy-Connection: keep-alive",
                "Proxy-Authorization: Basic eDp5",
                "Connection: keep-alive, X-Private",
                "X-Private: 1",
            )
        )
        assert (request.host.text, request.port, request.body_bytes) == ("a.example", 8080, 0)
        assert request.first == lines(
            "GET /x?y=1 HTTP/1.1", "Host: a.example:8080", "Accept: */*", "Connection: close"
        )

    def test_nothing_is_said_when_it_is_granted(self) -> None:
        handshake = HttpHandshake()
        handshake.feed(lines("GET http://a.example/ HTTP/1.1"))
        assert handshake.granted() == b""

    @pytest.mark.parametrize(
        ("line", "path"),
        [
            ("GET http://a.example", "GET /"),
            ("GET HTTP://a.example?q", "GET /?q"),
            ("OPTIONS http://a.example", "OPTIONS *"),
        ],
    )
    def test_an_address_without_a_path(self, line: str, path: str) -> None:
        request = wanted(lines(f"{line} HTTP/1.0"))
        assert request.port == 80
        assert request.first.startswith(f"{path} HTTP/1.0\r\nHost: a.example\r\n".encode())

    def test_the_body_is_counted(self) -> None:
        """Nothing behind it reaches the server: it may be a request to another one."""
        head = ("POST http://a.example/ HTTP/1.1", "Content-Length: 5")
        request = wanted(lines(*head, body=b"12345GET http://b.example/"))
        assert request.first.endswith(b"\r\n\r\n12345")
        assert request.body_bytes == 0
        assert wanted(lines(*head, body=b"12")).body_bytes == 3

    @pytest.mark.parametrize("name", ["Content-Length", "Connection"])
    def test_the_length_can_not_be_dropped(self, name: str) -> None:
        """A server that doesn't hear of the body would take it for another request."""
        request = wanted(
            lines(
                "POST http://a.example/ HTTP/1.1", "Content-Length: 5", f"Connection: close, {name}"
            )
        )
        assert b"Content-Length: 5\r\n" in request.first

    def test_a_chunked_body_is_refused(self) -> None:
        status, text = refusal(
            lines("POST http://a.example/ HTTP/1.1", "Transfer-Encoding: chunked")
        )
        assert status == 411
        assert "CONNECT" in text

    @pytest.mark.parametrize("length", [("5", "6"), ("-1",), ("5, 5",), ("x",), ("",)])
    def test_a_length_that_is_none(self, length: tuple[str, ...]) -> None:
        fields = [f"Content-Length: {value}" for value in length]
        assert refusal(lines("POST http://a.example/ HTTP/1.1", *fields))[0] == 400

    @pytest.mark.parametrize("authority", ["", ":80", "a.example:x", "a.example:0", "[::1"])
    def test_a_server_that_is_none(self, authority: str) -> None:
        status, text = refusal(lines(f"GET http://{authority}/ HTTP/1.1"))
        assert status == 400
        assert "host:port" in text

    def test_https_needs_connect(self) -> None:
        status, text = refusal(lines("GET https://a.example/ HTTP/1.1"))
        assert status == 501
        assert "CONNECT" in text

    def test_a_path_alone_is_for_no_proxy(self) -> None:
        status, text = refusal(lines("GET / HTTP/1.1", "Host: 127.0.0.1:1080"))
        assert status == 400
        assert "this is a proxy" in text


class TestLimits:
    """What is no request."""

    @pytest.mark.parametrize(
        "data",
        [
            b"\x04\x01\x07\x5b\xc0\x00\x02\x01\x00",
            b"\x16\x03\x01\x02\x00\x01",
            b" GET / HTTP/1.1\r\n\r\n",
            b"\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET  http://a.example/ HTTP/1.1\r\n\r\n",
            b"GET http://a.example/ HTTP/1.1\r\n folded\r\n\r\n",
            b"GET http://a.example/ HTTP/1.1\r\nName : value\r\n\r\n",
            b"GET http://a.example/ HTTP/1.1\r\nName: a\rb\r\n\r\n",
            "GET http://bücher.example/ HTTP/1.1\r\n\r\n".encode(),
        ],
    )
    def test_what_is_malformed_is_400(self, data: bytes) -> None:
        assert refusal(data)[0] == 400

    def test_other_protocols_are_told_at_their_first_byte(self) -> None:
        """A TLS client would wait for an answer to its first message."""
        assert refusal(b"\x16")[0] == 400

    def test_a_head_may_be_just_so_long(self) -> None:
        start = "CONNECT a.example:443 HTTP/1.1"
        pad = "X: " + "x" * (HEAD_LIMIT_BYTES - len(lines(start, "X: ")))
        assert wanted(lines(start, pad)).port == 443
        assert refusal(lines(start, pad + "x"))[0] == 431

    def test_an_endless_head_is_cut_short(self) -> None:
        assert refusal(b"GET / HTTP/1.1\r\nX: ", b"x" * HEAD_LIMIT_BYTES)[0] == 431


@pytest.mark.parametrize(
    ("exc", "status", "text"),
    [
        (NoFreeSocket(), 503, "six connect IDs"),
        (ConnectTimedOut("", 569, target=("a", 1)), 504, "timed out"),
        (NameNotFound("", 565, target=("a", 1)), 502, "no such name: a (module error 565)"),
        (
            ConnectRefused("", 566, target=("a", 1)),
            502,
            "connection refused: a:1 (module error 566)",
        ),
        (ValueError("host is too long"), 400, "host is too long"),
        (RuntimeError(), 502, "RuntimeError"),
    ],
)
def test_each_failure_has_its_status_and_its_words(exc: Exception, status: int, text: str) -> None:
    """A plain-text body names the cause."""
    head, _, body = HttpHandshake().refused(exc).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"text/plain" in head
    assert text in body.decode()


@pytest.mark.parametrize("text", ["a", "a:", "a:b", "[::1]", "::1:80", "[a:80", "a b/c:80", ""])
def test_an_authority_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        split_authority(text)


STREAMS = st.one_of(
    st.sampled_from(
        [
            lines("CONNECT a.example:443 HTTP/1.1", "Host: a", body=b"\r\n\r\nfirst"),
            lines("POST http://a.example/ HTTP/1.1", "Content-Length: 4", body=b"1234more"),
            lines("GET / HTTP/1.1"),
            b"CONNECT a:1 HTTP/1.1\r\n\n\r\n\n",
        ]
    ),
    st.binary(max_size=60),
    st.text("GET :/ha.1\r\n", max_size=60).map(str.encode),
).filter(bool)


@given(data=st.data(), stream=STREAMS)
def test_chunking_changes_nothing(data: st.DataObject, stream: bytes) -> None:
    """However the bytes come, reply and request are the same; nothing is raised."""
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
            missing = len(due.first) - len(got.first)
            if due.body_bytes is not None:
                assert got.body_bytes == due.body_bytes + missing
