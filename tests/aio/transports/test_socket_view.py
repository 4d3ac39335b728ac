"""SocketView: enough of a socket for libraries that ask for one."""

from __future__ import annotations

import errno
import os
import pickle
import select
import socket
import sys

import pytest

from aiobc9x.aio.transports.socket_view import SocketView

VIEW = SocketView(socket.SOCK_STREAM, ("100.127.243.105", 0), ("220.18.39.22", 8062))


def test_addresses() -> None:
    """Both ends, as asyncio's own extra info has them."""
    assert VIEW.getsockname() == ("100.127.243.105", 0)
    assert VIEW.getpeername() == ("220.18.39.22", 8062)
    assert "220.18.39.22" in repr(VIEW)


@pytest.mark.parametrize(
    ("kind", "address", "family", "proto"),
    [
        (socket.SOCK_STREAM, "10.0.0.1", socket.AF_INET, socket.IPPROTO_TCP),
        (socket.SOCK_STREAM, "2001:db8::1", socket.AF_INET6, socket.IPPROTO_TCP),
        (socket.SOCK_DGRAM, "10.0.0.1", socket.AF_INET, socket.IPPROTO_UDP),
    ],
)
def test_kind(kind: socket.SocketKind, address: str, family: int, proto: int) -> None:
    """Family, type and protocol fit the address and the service."""
    view = SocketView(kind, ("", 0), (address, 1))
    assert (view.family, view.type, view.proto) == (family, kind, proto)


@pytest.mark.parametrize(
    ("level", "option"),
    [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    ],
)
def test_harmless_options(level: int, option: int) -> None:
    """They change no byte, so they are accepted, and read as they were set."""
    view = SocketView(socket.SOCK_STREAM, ("", 0), ("10.0.0.1", 1))
    assert view.getsockopt(level, option) == 0
    view.setsockopt(level, option, True)
    assert view.getsockopt(level, option) == 1
    assert view.getsockopt(level, option, 4) == (1).to_bytes(4, sys.byteorder)


def test_other_options() -> None:
    """The module has none."""
    with pytest.raises(OSError, match="the module has none") as caught:
        VIEW.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    assert caught.value.errno == errno.ENOPROTOOPT
    with pytest.raises(OSError, match="the module has none"):
        VIEW.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)


def test_kind_as_an_option() -> None:
    """Some ask for it so."""
    assert VIEW.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM


def test_never_blocks() -> None:
    """As asyncio's own sockets, it can't be made to."""
    VIEW.setblocking(False)
    VIEW.settimeout(0)
    with pytest.raises(ValueError, match="cannot be blocking"):
        VIEW.setblocking(True)
    for seconds in (None, 1.5):
        with pytest.raises(ValueError, match="only 0 timeout"):
            VIEW.settimeout(seconds)


def test_stays_in_this_process() -> None:
    """It is of no use anywhere else."""
    assert not VIEW.get_inheritable()
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(VIEW)


def test_listening() -> None:
    """There is no peer."""
    view = SocketView(socket.SOCK_STREAM, ("2001:db8::1", 80), None)
    assert view.family is socket.AF_INET6
    assert "listening" in repr(view)
    with pytest.raises(OSError, match="not connected") as caught:
        view.getpeername()
    assert caught.value.errno == errno.ENOTCONN


def ready(view: SocketView) -> bool:
    """Whether a poll finds something to read, as httpcore polls."""
    number = view.fileno()
    return number < 0 or bool(select.select([number], [], [], 0)[0])


def test_descriptor_to_poll() -> None:
    """It is quiet as long as the connection is, and then -1."""
    quiet = True
    view = SocketView(socket.SOCK_STREAM, ("", 0), ("10.0.0.1", 1), lambda: quiet)
    assert not ready(view)
    assert view.fileno() == view.fileno()
    quiet = False
    assert ready(view)
    quiet = True
    assert not ready(view)
    view.end()
    assert ready(view)


def test_descriptor_carries_nothing() -> None:
    """Who takes it for the connection learns so."""
    view = SocketView(socket.SOCK_STREAM, ("", 0), ("10.0.0.1", 1), lambda: True)
    with pytest.raises(OSError, match="estination address required"):
        os.write(view.fileno(), b"data")
    with pytest.raises(BlockingIOError):
        os.read(view.fileno(), 1)
    view.end()


def test_no_file_descriptor() -> None:
    """Nothing of the system is behind it."""
    assert VIEW.fileno() == -1
    assert VIEW.gettimeout() == 0
    assert VIEW.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
