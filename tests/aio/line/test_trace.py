"""trace: debug logs show the dialogue, not what the connections carry."""

import pytest

from aiobc9x.aio.line.trace import DialogueWords
from tests.support.chunks import bytewise

PUSHING = {1}


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\r\nOK\r\n\r\nSEND OK\r\n", "OK SEND OK"),
        (b"\r\n+QIRD: 6,0\r\nsecret\r\n\r\nOK\r\n", "+QIRD: 6,0 (6 bytes) OK"),
        (b"\r\n+QIRD: 6,0,secret\r\n\r\nOK\r\n", "+QIRD: 6,0 (6 bytes) OK"),
        (b"\r\n+QIRD: 6\r\nsecret\r\n\r\nOK\r\n", "+QIRD: 6 (6 bytes) OK"),
        (b"\r\n+QIRD: 0\r\n\r\nOK\r\n", "+QIRD: 0 OK"),
        (b'\r\n+QIURC: "recv",1,6,secret\r\n', '+QIURC: "recv",1,6 (6 bytes)'),
        (b'\r\n+QIURC: "recv",0,6\r\n\r\nOK\r\n', '+QIURC: "recv",0,6 OK'),
        (b"\r\n> ", "> "),
        (b"\x00\xff\x00", "(3 bytes)"),
        (b"\r\n+VENDOR: words\r\nwords\r\n", "+VENDOR: (14 bytes) (5 bytes)"),
    ],
)
def test_received(data: bytes, shown: str) -> None:
    """Payloads are counted, the rest is shown."""
    assert DialogueWords().received(data, PUSHING, is_hex=False) == shown


PAYLOADS = [
    b"\r\n+CSQ: secret\r\n",
    b'\r\n+QIURC: "closed",0 secret',
    b'OK\r\nRDY\r\n+CME ERROR: secret\r\n+QISTATE: "secret"',
]


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("is_hex", [False, True])
@pytest.mark.parametrize(
    "header", ["\r\n+QIRD: {},0\r\n", '\r\n+QIURC: "recv",1,{}\r\n', '\r\n+QIURC: "recv",1,{},']
)
def test_payloads_that_look_like_lines(header: str, payload: bytes, is_hex: bool) -> None:
    """They are told by their length, however the stream is cut."""
    stream = header.format(len(payload)).encode() + payload * (1 + is_hex)
    whole = [stream + b"\r\n\r\nOK\r\n"]
    halves = [stream[:12], stream[12:40], stream[40:] + b"\r\n\r\nOK\r\n"]
    for chunks in (whole, halves, list(bytewise(whole[0]))):
        words = DialogueWords()
        shown = " ".join(words.received(each, PUSHING, is_hex=is_hex) for each in chunks)
        assert "secret" not in shown
        if len(chunks) < 4:
            assert shown.endswith(" OK")


def test_a_payload_that_never_came_whole() -> None:
    """The next answer is shown: it has nothing to do with the bytes that are missing."""
    words = DialogueWords()
    words.received(b"\r\n+QIRD: 1000,0\r\nabc", PUSHING, is_hex=False)
    words.sent(b"AT\r", is_payload=False)
    assert words.received(b"\r\nOK\r\n", PUSHING, is_hex=False) == "OK"


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"AT+QIRD=0,1024\r", "AT+QIRD=0,1024"),
        (b'AT+QISEND=0,6,"secret"\r', "AT+QISEND=0,6,..."),
        (b'AT+QISENDEX=0,2,"3031"\r', "AT+QISENDEX=0,2,..."),
        (b'AT+CPIN="1234"\r', "AT+CPIN=..."),
        (b'AT+CGAUTH=1,1,"user","secret"\r', "AT+CGAUTH=1,1,..."),
        (b"AT+X=" + b"9" * 3000 + b"\r", "AT+X=" + "9" * 155 + "..."),
        (b"secret", "(6 bytes)"),
        (b"\x1b", "(1 bytes)"),
    ],
)
def test_sent(data: bytes, shown: str) -> None:
    """Nor is what is sent."""
    assert DialogueWords().sent(data, is_payload=False) == shown


def test_a_payload_that_looks_like_a_command() -> None:
    """Only who writes it knows what it is."""
    assert DialogueWords().sent(b"AT secret\r", is_payload=True) == "(10 bytes)"
