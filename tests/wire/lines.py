"""Lines that modules send, and strategies that damage them."""

from collections.abc import Sequence
from typing import Any, Final

from hypothesis import strategies as st

from aiobc9x.errors import UnexpectedAnswer
from aiobc9x.wire.commands.base import Command

LINES: Final = (
    b"+CGATT: 1",
    b"+CGATT:0",
    b'+CGPADDR: 1,"100.127.243.105"',
    b"+CGPADDR: 1,10.157.140.5",
    b'+CGPADDR: 1,"10.0.0.1","32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1"',
    b"+QIOPEN: 0,0",
    b'+QIOPEN: (1-3),(0-5),"TCP/UDP"',
    b'+QISTATE: 0,"TCP","220.18.39.22",8062,1234,2,1,0',
    b'+QISTATE: 0,"TCP","220.180.239.201",8705,65514,2,1,0,1,"uart1"',
    b"+QIRD: 0",
    b"+QIRD: 10,2",
    b'+QICFG: "showlength",1',
    b'+QICFG: "dataformat",0,1',
    b'+QIURC: "recv",0',
    b'+QIURC: "recv",0,12',
    b'+QIURC: "recv",0,"buff full"',
    b'+QIURC: "closed",0',
    b'+QIURC: "incoming",1,0,"192.168.2.2",36566',
    b'+QIURC: "incoming full"',
    b'+QIURC: "dnsgip",0,2,300',
    b'+QIURC: "dnsgip","220.18.23.21"',
    b'+QIURC: "pdpdeact",1',
    b"+QPING: 0,220.18.29.21,32,192,255",
    b"+QPING: 2,4,4,0,192,479,287",
    b"+QPING: 569",
    b'+QNTP: 0,"2018/04/20,11:08:20+32"',
    b"+QIGETERROR: 552,invalid parameters",
    b'+QIDNSCFG: "218.2.2.2","8.8.8.8"',
    b"SEND OK",
    b"SEND FAIL",
    b"CLOSE OK",
    b'+CEREG: 5,1,"12AB","0A01B2C3",9,,,"00000101","01000001"',
    b'+CEREG: 1,"12AB","0A01B2C3",9',
    b"+CSCON: 0,1",
    b"+CPIN: READY",
    b"+CFUN: 1",
    b"+CSQ: 21,0",
    b"+CESQ: 30,99,255,255,20,60",
    b'+COPS: 1,2,"21901",9',
    b"+CGACT: 1,1",
    b'+CGDCONT: 1,"IP","internet","",0,0',
    b'+CPSMS: 1,,,"01000001","00000101"',
    b'+CEDRXS: 5,"0011"',
    b'+CCLK: "20/07/08,12:00:00+32"',
    b"+CGSN: 867725030000000",
    b"+QCCID: 89860446091891282224",
    b"+IPR: 115200",
    b"+IP: 10.1.2.3",
    b'+QNBIOTEVENT: "ENTER PSM"',
    b"+QATWAKEUP",
    b"+CGEV: NW DETACH",
    b"RDY",
    b"F1: 0000 0000",
    b"Quectel_BC65",
)
"""One or more of every form that the package reads."""

_NOISE = st.one_of(
    st.binary(max_size=3),
    st.sampled_from([b",", b'"', b":", b" ", b"-", b"\x00", b"\xff", b"9" * 5000, b'",' * 300]),
)
_EDITS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5), _NOISE), max_size=3)


def edited(line: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Cut bytes out of a line and put others in, at each place of a list."""
    for at, cut, new in edits:
        line = line[:at] + new + line[at + cut :]
    return line


DAMAGED: Final[st.SearchStrategy[bytes]] = st.one_of(
    st.builds(edited, st.sampled_from(LINES), _EDITS),
    st.binary(max_size=80),
)
"""Lines as a bad link gives them: whole, cut, with noise, or noise alone."""

EVIL: Final[st.SearchStrategy[str]] = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="a1.,:-\"'\\\r\n\x00\x1a\x1b\x7f é＂。", max_size=20),
    st.sampled_from(['a"\rAT+CFUN=0', "a\r", "\ra", "a\n", "＂", "a" * 51, "a" * 5000, "\ud800"]),
)
"""Text from somebody who wants a second command on the line."""


def is_one_clean_line(line: bytes) -> bool:
    """Tell whether bytes are one command line: a ``<CR>`` at the end, and no other control."""
    return line.endswith(b"\r") and all(0x20 <= byte < 0x7F for byte in line[:-1])


# Any: commands differ in what they give.
def outcome(command: Command[Any], lines: Sequence[bytes]) -> object:
    """Read an answer; give what was read, or the one error that may come of it."""
    try:
        return command.parse(lines)
    except UnexpectedAnswer as exc:
        return exc
