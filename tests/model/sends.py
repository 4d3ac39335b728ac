"""AT+QISEND and AT+QISENDEX, in all their forms (§2.2.4, §2.2.5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.model.module import Answer, Payload, Until
from tests.model.sock import Sock

if TYPE_CHECKING:
    from tests.model.module import Module

SEND_MAX: Final = 1440


def send(module: Module, rest: bytes) -> Answer:
    """AT+QISEND, §2.2.4."""
    return _any_send(module, rest, hexadecimal=False)


def send_hex(module: Module, rest: bytes) -> Answer:
    """AT+QISENDEX, §2.2.5."""
    return _any_send(module, rest, hexadecimal=True)


def _any_send(module: Module, rest: bytes, *, hexadecimal: bool) -> Answer:
    lost = module.lost_up()
    if module.sending:
        module.rules.wrong("a send before SEND OK of the last one")
        return module.error(568, "operation busy")
    match = re.match(rb"=([0-5])(?:,(\d+)(?:,(.*))?)?$", rest, re.DOTALL)
    if not match or not 1 <= int(match[2] or 1) <= SEND_MAX:
        module.rules.wrong(f"bad send: {rest!r}")
        return module.error(552, "invalid parameters")
    sock = module.socks.get(int(match[1]))
    if sock is None or sock.state != 2 or sock.kind == "TCP LISTENER":
        return module.error(module.habits.refusal, "see table 2")
    if match[3] is not None:
        data = _inline(match[3], hexadecimal=hexadecimal)
        if data is None or len(data) != int(match[2]):
            module.rules.wrong(f"payload and length differ, or bad quotes: {rest!r}")
            return module.error(552, "invalid parameters")
        return _sent(module, sock, data, lost, prompted=False)
    size = int(match[2]) if match[2] else None
    return _prompted(module, sock, size, lost, hexadecimal=hexadecimal)


def _inline(text: bytes, *, hexadecimal: bool) -> bytes | None:
    if len(text) < 2 or text[:1] != b'"' or text[-1:] != b'"':
        return None
    text = text[1:-1]
    if not hexadecimal:
        plain = all(0x20 <= byte < 0x7F and byte != 0x22 for byte in text)
        return text if plain else None
    return _from_hex(text)


def _from_hex(text: bytes) -> bytes | None:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return None


def _prompted(
    module: Module, sock: Sock, size: int | None, lost: int, *, hexadecimal: bool
) -> Answer:
    length = 0 if size is None else size * 2 if hexadecimal else size

    def shown() -> None:
        module.rules.payload_due = length if size is not None else SEND_MAX + 1

    prompt = module.habits.prompt
    module.out(prompt[:3], shown)  # the host may answer before it has heard the rest
    assert module.wire is not None
    module.wire.send(prompt[3:])
    data = yield (Payload(length) if size is not None else Until(b"\x1a\x1b"))
    yield 0.0
    if size is None:
        if data[-1:] == b"\x1b":
            module.final()
            return
        data = data[:-1]
    got = _from_hex(data) if hexadecimal else data
    if got is None or (sock.state != 2 and not module.habits.fails):
        yield from module.error(module.habits.refusal, "see table 2")
        return
    if not got:
        module.final(b"SEND FAIL")
        return
    yield from _sent(module, sock, got, lost, prompted=True)


def _sent(module: Module, sock: Sock, data: bytes, lost: int, *, prompted: bool) -> Answer:
    """Take the data, and say so by the module's habit."""
    habits = module.habits
    damaged = lost != module.lost_up()
    fails = module.chance(module.condition.send_fail)
    delay = module.rng.uniform(0, habits.send_ok_s) if habits.send_ok_s else 0.0

    def outcome() -> bytes:
        module.sending = False
        peer = sock.peer
        if fails or sock.state != 2 or peer is None:
            module.last_error = (558, "socket write failed")
            return b"\r\nSEND FAIL\r\n"
        peer.dirty |= damaged
        peer.take(data)
        return b"\r\nSEND OK\r\n"

    heard = module.rules.heard_outcome
    yield module.gap()
    if habits.send_ok == "after":
        module.sending = module.rules.send_out = True
        module.final()
        module.after(delay, lambda: module.urc_send(outcome(), heard))
        return
    if delay:
        yield delay
    module.rules.send_out = True
    if habits.send_ok == "burst" or not prompted:
        module.final()
    module.urc_send(outcome(), heard)
