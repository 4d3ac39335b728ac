"""Redaction: what a trace holds is right however the line cut its bytes."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.trace import Content, Payloads
from aiobc9x.trace.redaction import Redactor, redactor

ECHOED = b'AT+CPIN="4711"\r\r\nOK\r\n\r\n+CSQ: 20,0\r\n'
TWICE = b'\r\nAT+CPIN="4711"AT+CPIN=4711\r\r\n+CME ERROR: 3\r\nAT\r\r\nOK\r\n'
AUTH = b'AT+CGAUTH?\r\r\n+CGAUTH: 1,1,"me","4711"\r\n\r\nOK\r\n'
TORN = b'T+CPIN="4711"\r\r\nOK\r\n'


def taken(contents: Iterator[Content]) -> bytes:
    """What a trace holds, without the borders of its records."""
    return b"".join(content.data or b"<%d>" % content.size_bytes for content in contents)


def sent(redacting: Redactor, data: bytes, **flags: bool) -> bytes:
    """What a trace holds of a write."""
    usual = {"is_payload": False, "awaits_prompt": False}
    return taken(redacting.sent(data, **{**usual, **flags}))


def cut(data: bytes, cuts: set[int]) -> list[bytes]:
    """The same bytes in chunks."""
    edges = [0, *sorted(c for c in cuts if c < len(data)), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


CUTS = st.sets(st.integers(1, 200))


class TestSecrets:
    """PINs, PUKs and passwords, in a trace that keeps every payload."""

    @pytest.mark.parametrize("payloads", Payloads)
    @pytest.mark.parametrize(
        ("line", "shown"),
        [
            (b'AT+CPIN="4711"\r', b"AT+CPIN=...\r"),
            (b'AT+CPIN="12345678","4711"\r', b"AT+CPIN=...\r"),
            (b'AT+CGAUTH=1,1,"me","4711"\r', b"AT+CGAUTH=1,1,...\r"),
            (b"AT+CSQ;+CPIN=4711\r", b"AT+CSQ;+CPIN=...\r"),
        ],
    )
    def test_not_in_commands(self, payloads: Payloads, line: bytes, shown: bytes) -> None:
        """Nor how long they are."""
        (content,) = redactor(payloads).sent(line, is_payload=False, awaits_prompt=False)
        assert (content.data, content.size_bytes) == (shown, len(shown))
        assert content.is_masked
        assert not content.is_whole

    @pytest.mark.parametrize("payloads", Payloads)
    @pytest.mark.parametrize("answer", [ECHOED, TWICE, AUTH, TORN])
    @given(cuts=CUTS)
    def test_not_in_what_comes_back(
        self, payloads: Payloads, answer: bytes, cuts: set[int]
    ) -> None:
        """As an echo, damaged or not, or as an answer; the rest is there, however it was cut."""
        whole, pieces = redactor(payloads), redactor(payloads)
        line = answer.partition(b"\r")[0].strip() + b"\r" if answer is AUTH else b"AT+CPIN=4711\r"
        for each in (whole, pieces):
            sent(each, line)
        expected = taken(whole.received(answer)) + taken(whole.rest())
        chunks = [taken(pieces.received(chunk)) for chunk in cut(answer, cuts)]
        assert b"".join(chunks) + taken(pieces.rest()) == expected
        assert b"4711" not in expected
        assert b"471" not in expected
        assert b"OK\r\n" in expected
        assert (b"+CSQ: 20,0" in expected) is (answer is ECHOED)

    def test_not_in_what_was_cut_off(self) -> None:
        """The link ends in the middle of an echo."""
        redacting = redactor(Payloads.WHOLE)
        sent(redacting, b'AT+CPIN="4711"\r')
        assert taken(redacting.received(b'AT+CPIN="47')) == b""
        assert taken(redacting.rest()) == b"..."

    def test_a_line_without_an_end_is_not_kept_for_ever(self) -> None:
        """Noise in place of an answer."""
        redacting = redactor(Payloads.WHOLE)
        sent(redacting, b'AT+CPIN="4711"\r')
        assert taken(redacting.received(b"\xff" * 5000)) == b"..."

    def test_bytes_go_unchanged_from_the_final_result_on(self) -> None:
        """Also those that came with it."""
        redacting = redactor(Payloads.WHOLE)
        sent(redacting, b"AT+CPIN?\r")
        answer = b'\r\n+CPIN: READY\r\n\r\nOK\r\n\r\n+QIURC: "recv",0,3\r\nab'
        assert taken(redacting.received(answer)) == answer
        assert taken(redacting.received(b"c")) == b"c"

    @pytest.mark.parametrize(
        "payload", [b"AT+CPIN=4711\r", b"+CPIN=4711", b'"AT+CPIN=1"', b"\x00\xff"]
    )
    def test_payloads_are_no_secrets(self, payload: bytes) -> None:
        """Even one that looks like a command with a PIN: every byte of it was asked for."""
        redacting = redactor(Payloads.WHOLE)
        assert sent(redacting, payload, is_payload=True) == payload
        if payload.isascii() and payload.strip() == payload:
            line = b'AT+QISEND=0,%d,"%s"\r' % (len(payload), payload)
            assert sent(redacting, line) == line
        assert taken(redacting.received(payload)) == payload


class TestPayloads:
    """A trace that holds no data of connections."""

    STREAM = (
        b"\r\n+QIRD: 11,0\r\n\r\nOK\r\n+CSQ:\r\n\r\nOK\r\n"
        b'\r\n+QIURC: "recv",0\r\n\r\n+CSQ: 20,0\r\nsecret\r\n\r\n+QIRD: 0\r\n'
    )

    @pytest.mark.parametrize(("payloads", "told"), [(Payloads.LENGTH, b"<11>"), ("none", b"")])
    @given(cuts=CUTS)
    def test_their_length_at_most(self, payloads: Payloads, told: bytes, cuts: set[int]) -> None:
        """Even if they look like lines that may be shown."""
        redacting = redactor(Payloads(payloads))
        sent(redacting, b"AT+QIRD=0,1024\r")
        found = b"".join(taken(redacting.received(chunk)) for chunk in cut(self.STREAM, cuts))
        assert found == told + b'OK\r\n+QIURC: "recv",0\r\n+CSQ: 20,0\r\n(6 bytes)\r\n+QIRD: 0\r\n'

    @given(cuts=CUTS)
    def test_pushed_data(self, cuts: set[int]) -> None:
        """A socket that pushes does so from the command that opens it."""
        redacting = redactor(Payloads.LENGTH)
        sent(redacting, b'AT+QIOPEN=1,2,"TCP","10.0.0.1",80,0,1,0\r')
        stream = b'\r\nOK\r\n\r\n+QIOPEN: 2,0\r\n\r\n+QIURC: "recv",2,6\r\n\r\nOK\r\n\r\nRDY\r\n'
        contents = [c for chunk in cut(stream, cuts) for c in redacting.received(chunk)]
        assert [(c.data, c.size_bytes, c.connect_id) for c in contents if c.is_payload] == [
            (b"", 6, 2)
        ]
        assert taken(iter(contents)) == b"OK\r\n+QIOPEN: 2,0\r\n<6>RDY\r\n"

    def test_sent_data(self) -> None:
        """Of a command line the part before them; of data behind a prompt nothing."""
        redacting = redactor(Payloads.LENGTH)
        assert sent(redacting, b'AT+QISEND=0,6,"secret"\r') == b"AT+QISEND=0,6,...\r"
        assert sent(redacting, b"AT+QISEND=0,14\r", awaits_prompt=True) == b"AT+QISEND=0,14\r"
        assert taken(redacting.received(b"\r\n> ")) == b"> "
        assert sent(redacting, b"AT+FOO=secret\r", is_payload=True) == b"<14>"
        assert sent(redactor(Payloads.NONE), b"AT+FOO=secret\r", is_payload=True) == b""

    def test_what_frees_a_module_is_shown(self) -> None:
        """ESC and CRs are no payload."""
        redacting = redactor(Payloads.NONE)
        assert sent(redacting, b"\x1b") == b"\x1b"
        assert sent(redacting, b"\r\r\r") == b"\r\r\r"

    def test_what_was_cut_off_is_counted(self) -> None:
        """The link ends in the middle of a payload, or of a line."""
        redacting = redactor(Payloads.LENGTH)
        sent(redacting, b"AT+QIRD=0,1024\r")
        assert taken(redacting.received(b"\r\n+QIRD: 12,0\r\nsecr")) == b""
        assert taken(redacting.rest()) == b"<4>"
        assert taken(redacting.received(b"sec")) == b""
        assert taken(redacting.rest()) == b"<3>"
