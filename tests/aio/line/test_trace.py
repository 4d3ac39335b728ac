"""trace: debug logs show the dialogue, not what the connections carry."""

import pytest

from aiobc9x.aio.line import trace


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\r\nOK\r\n\r\nSEND OK\r\n", "OK SEND OK"),
        (b"\r\n+QIRD: 6,0\r\nsecret\r\n\r\nOK\r\n", "+QIRD: 6,0 (6 bytes) OK"),
        (b"\r\n+QIRD: 6,0,secret\r\n\r\nOK\r\n", "+QIRD: 6,0,(6 bytes) OK"),
        (b'\r\n+QIURC: "recv",0,6,secret\r\n', '+QIURC: "recv",0,6,(6 bytes)'),
        (b'\r\n+QIURC: "recv",0,6\r\n', '+QIURC: "recv",0,6'),
        (b"\r\n> ", "> "),
        (b"\x00\xff\x00", "(3 bytes)"),
        (b"\r\n+VENDOR: words\r\nwords\r\n", "+VENDOR: (14 bytes) (5 bytes)"),
    ],
)
def test_received(data: bytes, shown: str) -> None:
    """Payloads are counted, the rest is shown."""
    assert trace.received(data) == shown


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
    assert trace.sent(data) == shown


def test_a_payload_that_looks_like_a_command() -> None:
    """Behind a prompt it is data, whatever it says."""
    assert trace.sent(b"AT+SECRET\r", is_payload=True) == "(10 bytes)"
