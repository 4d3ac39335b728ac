"""What the module answers to each command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tests.model.basics import accepted, rows, unknown
from tests.model.module import Answer
from tests.model.sends import send, send_hex
from tests.model.sockets import close_socket, open_socket, read, states, switch

if TYPE_CHECKING:
    from tests.model.module import Module

FIXED: Final[dict[str, list[bytes]]] = {
    "": [],
    "E0": [],
    "E1": [],
    "V1": [],
    "I": [b"Quectel_Ltd", b"Quectel_BC92", b"Revision: BC92R01A01"],
    "+CGMI": [b"Quectel_Ltd"],
    "+CGMM": [b"BC92"],
    "+CGMR": [b"BC92R01A01"],
    "+CGSN=1": [b"+CGSN:860000000000001"],
    "+CMEE=1": [],
    "+CFUN?": [b"+CFUN:1"],
    "+CFUN=1": [],
    "+CPIN?": [b"+CPIN:READY"],
    "+CIMI": [b"001010000000001"],
    "+QCCID": [b"+QCCID:89000000000000000001"],
    "+CEREG=1": [],
    "+CEREG=2": [],
    "+CEREG=5": [],
    "+CGATT=1": [],
    "+CGACT?": [b"+CGACT:1,1"],
    "+CGACT=1,1": [],
    "+CGDCONT?": [b'+CGDCONT:1,"IP","iot","100.127.243.105"'],
    "+CSCON=1": [],
    "+CSCON=0": [],
    "+CSCON?": [b"+CSCON:1,1"],
    "+CPSMS?": [b'+CPSMS:0,,,"01000001","00000101"'],
    "+CPSMS=0": [],
    "+CEDRXS?": [b'+CEDRXS:5,"0011"'],
    "+CEDRXS=0": [],
    "+QSCLK=0": [],
    "+QNBIOTEVENT=1,1": [],
    "+QATWAKEUP=1": [],
    "+CSQ": [b"+CSQ:20,0"],
    "+CESQ": [b"+CESQ:30,99,255,255,20,50"],
    "+COPS?": [b'+COPS:0,2,"21901",9'],
    "+CCLK?": [b'+CCLK:"26/11/29,10:00:00+04"'],
}
"""Commands with the same answer every time; a colon stands for the module's own kind."""


def answer_to(module: Module, line: bytes) -> Answer:
    """Return the answer to a command line, as it comes block by block."""
    body = line[2:]
    text = body.decode("latin-1")
    if text in FIXED:
        return fixed(module, text)
    for name, handler in HANDLERS.items():
        if body.startswith(name) and body[len(name) : len(name) + 1] in {b"", b"=", b"?"}:
            return handler(module, body[len(name) :])
    return module.error(552, "invalid parameters") if text.startswith("+QI") else unknown(module)


def fixed(module: Module, text: str) -> Answer:
    """Answer as always."""
    if text in {"E0", "E1"}:
        module.echo = text == "E1"
    colon = module.habits.colon
    return rows(
        module,
        [line.replace(b":", colon, 1) if line.startswith(b"+") else line for line in FIXED[text]],
    )


def registration(module: Module, rest: bytes) -> Answer:
    """AT+CEREG, by 27.007."""
    if rest != b"?":
        return unknown(module)
    state = b"0,1" if module.registered else b"0,2"
    return rows(module, [b"+CEREG" + module.habits.colon + state])


def attached(module: Module, rest: bytes) -> Answer:
    """AT+CGATT, by 27.007."""
    if rest != b"?":
        return unknown(module)
    return rows(module, [b"+CGATT" + module.habits.colon + b"%d" % module.registered])


def address(module: Module, rest: bytes) -> Answer:
    """AT+CGPADDR, by 27.007."""
    if rest not in {b"", b"?", b"=1"}:
        return unknown(module)
    value = b'1,"100.127.243.105"' if module.registered else b"1"
    return rows(module, [b"+CGPADDR" + module.habits.colon + value])


LIMITS: Final[dict[bytes, list[tuple[int, int]]]] = {
    b"dataformat": [(0, 0), (0, 1)],
    b"viewmode": [(0, 1)],
    b"showlength": [(0, 1)],
    b"open_time": [(1, 36)],
}
"""The settings of AT+QICFG, and the range of each of their values."""


def configure(module: Module, rest: bytes) -> Answer:
    """AT+QICFG, §2.2.11."""
    match = re.match(rb'="(\w+)"((?:,\d+)*)$', rest)
    limits = LIMITS.get(match[1]) if match else None
    if match is None or limits is None:
        return module.error(552, "invalid parameters")
    key, values = match[1], [int(value) for value in match[2].split(b",")[1:]]
    if not values:
        return rows(module, [_setting(module, key, module.settings[key])])
    if len(values) != len(limits) or not all(
        low <= value <= high for value, (low, high) in zip(values, limits, strict=True)
    ):
        return module.error(552, "invalid parameters")
    return _configure(module, key, values)


def _configure(module: Module, key: bytes, values: list[int]) -> Answer:
    told = [_setting(module, key, values)] if module.habits.cfg_echo else []
    yield from rows(module, told)
    module.settings[key] = values  # right behind the OK: what comes before it is in the old form


def _setting(module: Module, key: bytes, values: list[int]) -> bytes:
    text = b",".join(b"%d" % value for value in values)
    return b"+QICFG" + module.habits.colon + b'"%s",%s' % (key, text)


def resolve(module: Module, rest: bytes) -> Answer:
    """AT+QIDNSGIP, §2.2.10."""
    match = re.match(rb'=1,"([^"]+)"$', rest)
    if not match:
        return module.error(552, "invalid parameters")
    addresses = module.network.lookup(match[1].decode())

    def found() -> None:
        if not addresses:
            module.urc(module.line(b"QIURC", b'"dnsgip",565'), may_get_lost=False)
            return
        head = b'"dnsgip",0,%d,300' % len(addresses)
        module.urc(module.line(b"QIURC", head), may_get_lost=False)
        for one in addresses:
            module.urc(module.line(b"QIURC", b'"dnsgip","%s"' % one.encode()), may_get_lost=False)

    return accepted(module, module.rng.uniform(0, module.habits.open_s), found)


def dns(module: Module, rest: bytes) -> Answer:
    """AT+QIDNSCFG, §2.2.13."""
    if rest == b"?":
        value = b",".join(b'"%s"' % one.encode() for one in module.dns)
        return rows(module, [b"+QIDNSCFG" + module.habits.colon + value])
    found = re.findall(rb'"([^"]+)"', rest)
    if not found or len(found) > 2:
        return module.error(552, "invalid parameters")
    module.dns = [one.decode() for one in found]
    return rows(module, [])


def last_error(module: Module, rest: bytes) -> Answer:
    """AT+QIGETERROR, §2.2.12."""
    if rest:
        return rows(module, []) if rest == b"=?" else unknown(module)
    code, text = module.last_error
    value = b"%d,%s" % (code, text.encode())
    return rows(module, [b"+QIGETERROR" + module.habits.colon + value])


def ping(module: Module, rest: bytes) -> Answer:
    """AT+QPING, §2.2.8."""
    match = re.match(rb'=1,"([^"]+)",(\d+),(\d+),(\d+)$', rest)
    if not match:
        return module.error(552, "invalid parameters")
    count, size = int(match[3]), int(match[4])

    def reply(left: int) -> None:
        if left:
            module.urc(
                module.line(b"QPING", b"0,10.0.0.1,%d,%d,255" % (size, 40)), may_get_lost=False
            )
            module.after(0.1, lambda: reply(left - 1))
            return
        rest = b"2,%d,%d,0,40,40,40" % (count, count)
        module.urc(module.line(b"QPING", rest), may_get_lost=False)

    return accepted(module, 0.1, lambda: reply(count))


HANDLERS: Final[dict[bytes, Callable[[Module, bytes], Answer]]] = {
    b"+CEREG": registration,
    b"+CGATT": attached,
    b"+CGPADDR": address,
    b"+QICFG": configure,
    b"+QIOPEN": open_socket,
    b"+QICLOSE": close_socket,
    b"+QISTATE": states,
    b"+QIRD": read,
    b"+QISWTMD": switch,
    b"+QISENDEX": send_hex,
    b"+QISEND": send,
    b"+QIDNSGIP": resolve,
    b"+QIDNSCFG": dns,
    b"+QIGETERROR": last_error,
    b"+QPING": ping,
}
