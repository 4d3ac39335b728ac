"""Framer: the examples of the note's chapter 4, as modules write them, and their noise."""

import pytest

from aiobc9x.wire.framer import Frame, Framer, Line, Payload, Prompt
from tests.support.chunks import bytewise, pieces
from tests.wire.reference import fed, framer, frames


def said(*parts: str) -> tuple[bytes, list[Frame]]:
    """Each part as the module writes it (§2.1.2), and the lines that it gives.

    A part that begins with ``AT`` is an echo.
    """
    stream = "".join(f"{p}\r\r\n" if p.startswith("AT") else f"\r\n{p}\r\n" for p in parts)
    return stream.encode(), [Line(part.encode()) for part in parts]


EXAMPLES = {
    "4.1.1": said(
        "AT+CGATT?",
        "+CGATT: 1",
        "OK",
        "AT+CGPADDR?",
        '+CGPADDR: 1,"100.127.243.105"',
        "OK",
        'AT+QIOPEN=1,0,"TCP","220.18.39.22",8062,1234,0',
        "OK",
        "+QIOPEN: 0,0",
        "AT+QISTATE=1,0",
        '+QISTATE: 0,"TCP","220.18.39.22",8062,1234,2,1,0',
        "OK",
    ),
    "4.1.2": said(
        'AT+QISEND=0,10,"1234567890"',
        "OK",
        "SEND OK",
        'AT+QISENDEX=0,5,"3031323334"',
        "OK",
        "SEND OK",
        'AT+QISEND=0,10,"1234567890"',
        "OK",
        'AT+QISEND=0,10,"1234567890"',
        "ERROR",
        "SEND OK",
    ),
    "4.1.3, before": said(
        '+QIURC: "recv",0',
        "AT+QIRD=0,512",
        "+QIRD: 0",
        "OK",
        'AT+QICFG="showlength",1',
        '+QICFG: "showlength",1',
        "OK",
        '+QIURC: "recv",0,12',
        '+QIURC: "recv",0,"buff full"',
        'AT+QICFG="viewmode",1',
        '+QICFG: "viewmode",1',
        "OK",
    ),
    "4.1.4": said("AT+QICLOSE=0", "OK", "CLOSE OK"),
    "4.3.1": said(
        'AT+QIOPEN=1,0,"TCP LISTENER","192.168.2.6",1,2020,0',
        "OK",
        "+QIOPEN: 0,0",
        "AT+QISTATE=0,1",
        '+QISTATE: 0,"TCP LISTENER","192.168.2.6",1,2020,2,1,0',
        "OK",
    ),
    "4.3.2": said('+QIURC: "incoming",1,0,"192.168.2.2",36566', '+QIURC: "recv",1'),
    "4.4": said(
        'AT+QPING=1,"sh.quectel.com"',
        "OK",
        "+QPING: 0,220.18.29.21,32,192,255",
        "+QPING: 2,4,4,0,192,479,287",
    ),
    "4.5": said('AT+QNTP=1,"ntp5.aliyun.com"', "OK", '+QNTP: 0,"2018/04/20,11:08:20+32"'),
    "4.6": said("AT+QIGETERROR", "+QIGETERROR: 552,invalid parameters", "OK"),
}


@pytest.mark.parametrize("push_sockets", [set(), {5}], ids=["buffer", "push"])
@pytest.mark.parametrize("section", EXAMPLES)
def test_lines_come_out_as_printed(section: str, push_sockets: set[int]) -> None:
    """Echoes, answers and URCs are lines, whole, byte by byte and in between."""
    stream, lines = EXAMPLES[section]
    for chunks in ([stream], bytewise(stream), pieces(stream, 7)):
        assert fed(framer(push_sockets=push_sockets), chunks) == lines


@pytest.mark.parametrize(
    ("stream", "length_shown", "payload"),
    [
        (b"+QIRD: 10\r\n1234567890", False, Payload(None, None, b"1234567890")),
        (b"+QIRD: 10,2\r\n1234567890", True, Payload(None, 2, b"1234567890")),
        (b"+QIRD: 10,2,0123456789", True, Payload(None, 2, b"0123456789")),
        (b"+QIRD: 4\r\ntest", False, Payload(None, None, b"test")),
    ],
)
def test_reads_come_out_as_payloads(stream: bytes, length_shown: bool, payload: Payload) -> None:
    """Examples 4.1.3 and 4.3.3."""
    stream = b"AT+QIRD=0,512\r\r\n" + stream + b"\r\n\r\nOK\r\n"
    for chunks in ([stream], bytewise(stream), pieces(stream, 7)):
        made = framer(length_shown=length_shown)
        assert fed(made, chunks) == [Line(b"AT+QIRD=0,512"), payload, Line(b"OK")]


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b'\r\n+QIURC: "recv",0,5\r\n12345\r\n', b"12345"),
        (b'\r\n+QIURC: "recv",0,12,012345678901\r\n', b"012345678901"),
    ],
)
def test_pushes_come_out_as_payloads(stream: bytes, data: bytes) -> None:
    """Example 4.2.3, in either view mode."""
    for chunks in ([stream], bytewise(stream), pieces(stream, 7)):
        assert fed(framer(push_sockets={0}), chunks) == [Payload(0, None, data)]


def test_a_send_with_prompt_comes_out() -> None:
    """§2.2.4: fixed length, data mode."""
    made = Framer()
    made.prompt_due = True
    assert made.feed(b"AT+QISEND=0,5\r\r\n> ") == [Line(b"AT+QISEND=0,5"), Prompt()]
    assert made.feed(b"\r\nOK\r\n\r\nSEND OK\r\n") == [Line(b"OK"), Line(b"SEND OK")]


class TestModules:
    """What real modules print beside that."""

    def test_a_boot_banner_is_lines(self) -> None:
        """Relatives write LF before CR at boot; nothing sticks to the text."""
        assert frames(b"\n\rF1: 0000 0000\n\rV0: 0000\n\r\r\nRDY\r\n") == [
            Line(b"F1: 0000 0000"),
            Line(b"V0: 0000"),
            Line(b"RDY"),
        ]

    def test_garbage_before_a_line_is_kept(self) -> None:
        """What noise at wake-up means is the session's business."""
        assert frames(b"\x00\xff\r\nOK\r\n") == [Line(b"\x00\xff"), Line(b"OK")]
        assert frames(b"\x00OK\r\n") == [Line(b"\x00OK")]

    def test_the_echo_is_a_line(self) -> None:
        """ATE1 repeats the command with its CR."""
        assert frames(b"AT\rAT+CGMI\r\r\nOK\r\n") == [Line(b"AT\rAT+CGMI"), Line(b"OK")]
