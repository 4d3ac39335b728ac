"""Commands that open, close, show, read and switch sockets (§2.2.1-3, §2.2.6-7)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.model.basics import accepted, rows
from tests.model.module import Answer
from tests.model.sock import CLOSING, Sock

if TYPE_CHECKING:
    from tests.model.module import Module

READ_MAX: Final = 1024

OPEN: Final = re.compile(
    rb'1,(\d),"(TCP|UDP|TCP LISTENER)","([^"]{1,50})",(\d+),(\d+),([01]),([01])$'
)


def open_socket(module: Module, rest: bytes) -> Answer:
    """AT+QIOPEN, §2.2.1."""
    match = OPEN.match(rest[1:]) if rest[:1] == b"=" else None
    if not match or int(match[1]) > 5 or not 1 <= int(match[4]) <= 65535:
        module.rules.wrong(f"bad AT+QIOPEN{rest!r}")
        return module.error(552, "invalid parameters")
    connect_id, kind = int(match[1]), match[2].decode()
    if connect_id in module.socks:
        return module.error(563, "socket identity has been used")
    sock = Sock(connect_id, kind, None)
    sock.host, sock.port = match[3].decode(), int(match[4])
    sock.local_port, sock.mode = int(match[5]), int(match[6])
    module.socks[connect_id] = sock
    delay = module.rng.uniform(0, module.habits.open_s)
    return accepted(module, delay, lambda: _opened(module, sock))


def _opened(module: Module, sock: Sock) -> None:
    if module.socks.get(sock.connect_id) is not sock or sock.state != 1:
        return
    if not module.registered:
        code = 561
    elif sock.kind == "TCP LISTENER":
        sock.state = 2
        code = 0
    else:
        peer = module.network.dial(sock.kind, sock.host, sock.port)
        code = peer if isinstance(peer, int) else 0
        if not isinstance(peer, int):
            module.connected(sock, peer)
    if code:
        sock.state = 0
        if module.habits.freed:
            module.drop(sock)
    module.urc(module.line(b"QIOPEN", b"%d,%d" % (sock.connect_id, code)))
    if sock.peer is not None:
        if sock.peer.on_open is not None:
            sock.peer.on_open()
        module.pull(sock)


def close_socket(module: Module, rest: bytes) -> Answer:
    """AT+QICLOSE, §2.2.2."""
    match = re.match(rb"=([0-5])$", rest)
    sock = module.socks.get(int(match[1])) if match else None
    if sock is None:
        return module.error(550 if match else 552, "unknown error")
    first = sock.state != CLOSING
    sock.state = CLOSING

    def closed() -> None:
        if first:
            module.drop(sock)
            module.urc(b"\r\nCLOSE OK\r\n", may_get_lost=False)

    return accepted(module, module.rng.uniform(0, module.habits.close_s), closed)


def states(module: Module, rest: bytes) -> Answer:
    """AT+QISTATE, §2.2.3."""
    if rest == b"=?":
        return rows(module, [])
    match = re.match(rb"=([01]),(\d)$", rest)
    if not match and rest != b"?":
        return module.error(552, "invalid parameters")
    chosen = [sock for _, sock in sorted(module.socks.items())]
    if match and match[1] == b"1":
        chosen = [sock for sock in chosen if sock.connect_id == int(match[2])]
    elif match:
        chosen = [sock for sock in chosen if sock.context == int(match[2])]
    return rows(module, [_row(module, sock) for sock in chosen])


def _row(module: Module, sock: Sock) -> bytes:
    return (
        b"+QISTATE"
        + module.habits.colon
        + b'%d,"%s","%s",%d,%d,%d,%d,%d'
        % (
            sock.connect_id,
            sock.kind.encode(),
            sock.host.encode(),
            sock.port,
            sock.local_port,
            min(sock.state, 3),
            sock.context,
            sock.mode,
        )
    )


def read(module: Module, rest: bytes) -> Answer:
    """AT+QIRD, §2.2.6."""
    match = re.match(rb"=([0-5]),(\d+)$", rest)
    if not match or not 1 <= int(match[2]) <= READ_MAX:
        module.rules.wrong(f"bad AT+QIRD{rest!r}")
        return module.error(552, "invalid parameters")
    sock = module.socks.get(int(match[1]))
    if sock is None or sock.state not in {2, 3} or sock.kind == "TCP LISTENER":
        return module.error(567, "socket has been closed")
    if module.chance(module.condition.busy):
        return module.error(module.rng.choice((551, 553, 568)), "see table 2")
    return _read(module, sock, int(match[2]))


def _read(module: Module, sock: Sock, size: int) -> Answer:
    head = b"\r\n+QIRD" + module.habits.colon
    if not sock.nodes:
        sock.armed = True
        module.out(head + b"0\r\n")
        yield module.gap()
        module.final()
        return
    node = sock.nodes.popleft()
    data, left = node[:size], node[size:]
    if left:
        sock.nodes.appendleft(left)
    if not sock.nodes and module.habits.rearm:
        sock.armed = True
    lengths = b"%d,%d" % (len(data), len(left)) if module.shown else b"%d" % len(data)
    body = module.digits(data) if module.hex else data
    module.out(head + lengths + module.separator + body + b"\r\n")
    yield module.gap()
    module.pull(sock)
    module.final()


def switch(module: Module, rest: bytes) -> Answer:
    """AT+QISWTMD, §2.2.7."""
    match = re.match(rb"=([0-5]),([01])$", rest)
    sock = module.socks.get(int(match[1])) if match else None
    if match is None or sock is None:
        return module.error(552, "invalid parameters")
    return _switch(module, sock, int(match[2]))


def _switch(module: Module, sock: Sock, mode: int) -> Answer:
    yield module.gap()
    if module.socks.get(sock.connect_id) is not sock:
        module.final(b"ERROR")
        return
    module.final()  # the new mode holds right behind it
    sock.mode = mode
    if mode == 1 and module.habits.switch == "flushed":
        while sock.nodes:
            module.push(sock, sock.nodes.popleft())
    if not sock.nodes:
        sock.armed = True
    module.pull(sock)
