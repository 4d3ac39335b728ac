"""What a module says to the commands of start-up, word for word."""

from typing import Final

OK: Final = b"\r\nOK\r\n"
CLOSED: Final = b"\r\nOK\r\n\r\nCLOSE OK\r\n"

ANSWERS: Final = {
    b"ATI\r": b"\r\nScript\r\n" + OK,
    b"AT+CFUN?\r": b"\r\n+CFUN: 1\r\n" + OK,
    b"AT+CPSMS?\r": b"\r\n+CPSMS: 0\r\n" + OK,
    b'AT+QICFG="dataformat"\r': b'\r\n+QICFG: "dataformat",0,0\r\n' + OK,
    b'AT+QICFG="viewmode"\r': b'\r\n+QICFG: "viewmode",0\r\n' + OK,
    b'AT+QICFG="showlength"\r': b'\r\n+QICFG: "showlength",1\r\n' + OK,
    b'AT+QICFG="open_time"\r': b'\r\n+QICFG: "open_time",36\r\n' + OK,
    b"AT+CPIN?\r": b"\r\n+CPIN: READY\r\n" + OK,
    b"AT+CEREG?\r": b"\r\n+CEREG: 1,1\r\n" + OK,
    b"AT+CGATT?\r": b"\r\n+CGATT: 1\r\n" + OK,
    b"AT+CGPADDR?\r": b'\r\n+CGPADDR: 1,"10.0.0.1"\r\n' + OK,
}


def answer(line: bytes) -> bytes:
    """Return what the module says to a command line."""
    return CLOSED if line.startswith(b"AT+QICLOSE") else ANSWERS.get(line, OK)
