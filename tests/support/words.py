"""What a module says, byte for byte, written from the note by hand.

Nothing here comes from the library, whose parser these bytes test.
"""

from __future__ import annotations

from typing import Final

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"
EMPTY = b"\r\n+QIRD: 0\r\n\r\nOK\r\n"
PROMPT = b"\r\n> "
SEND_OK = b"\r\nSEND OK\r\n"
SEND_FAIL = b"\r\nSEND FAIL\r\n"
CLOSE_OK = b"\r\nCLOSE OK\r\n"
NEXT = b"\r\n+CSCON: 1\r\n"
"""A line behind pushed data, which shows that they are whole."""


def line(text: bytes) -> bytes:
    """Frame a line as §2.1.2 prints it."""
    return b"\r\n%b\r\n" % text


def received(data: bytes, remaining: int | None = 0) -> bytes:
    """Answer AT+QIRD with data (§2.2.6); ``None`` hides the remaining length."""
    rest = b"" if remaining is None else b",%d" % remaining
    return b"\r\n+QIRD: %d%b\r\n%b\r\n\r\nOK\r\n" % (len(data), rest, data)


def announced(connect_id: int, length: int) -> bytes:
    """Announce received data (§2.3.2)."""
    return line(b'+QIURC: "recv",%d,%d' % (connect_id, length))


def pushed(connect_id: int, data: bytes) -> bytes:
    """Push received data (§2.3.2)."""
    return b'\r\n+QIURC: "recv",%d,%d\r\n%b\r\n' % (connect_id, len(data), data)


def closed(connect_id: int) -> bytes:
    """Report an end (§2.3.1)."""
    return line(b'+QIURC: "closed",%d' % connect_id)


def explained(err: int) -> bytes:
    """Answer AT+QIGETERROR (§2.2.12)."""
    return line(b"+QIGETERROR: %d,some words" % err) + OK


def framed(answer: bytes) -> bytes:
    """Frame the lines of an answer, which stand here with LF between them."""
    return b"".join(map(line, answer.split(b"\n")))


ATTACHED: Final = {
    "ATI": b"Quectel\nBC92\nRevision: BC92R01\nOK",
    "AT+CFUN?": b"+CFUN: 1\nOK",
    "AT+CPSMS?": b"+CPSMS: 0\nOK",
    "AT+CPIN?": b"+CPIN: READY\nOK",
    "AT+CEREG?": b"+CEREG: 1,1\nOK",
    "AT+CGATT?": b"+CGATT: 1\nOK",
    "AT+CGPADDR?": b'+CGPADDR: 1,"10.20.30.40"\nOK',
    'AT+QICFG="dataformat"': b'+QICFG: "dataformat",0,0\nOK',
    'AT+QICFG="viewmode"': b'+QICFG: "viewmode",0\nOK',
    'AT+QICFG="showlength"': b'+QICFG: "showlength",1\nOK',
    'AT+QICFG="open_time"': b'+QICFG: "open_time",36\nOK',
}
"""What a module that is attached and idle says to the commands of start-up, for :func:`framed`."""
