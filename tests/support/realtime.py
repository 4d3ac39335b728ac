"""How long a test waits in real time for what must come, and programs that don't outlive it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import AnyStr, Final

PATIENCE_S: Final = 120.0
"""For what takes a moment, unless the machine is busy.

It bounds nothing that is under test. It is shorter than pytest's own limit (``timeout`` in
pyproject.toml), so that a test which waits in vain fails where it waits.
"""


@contextmanager
def ending(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """End a program with the block, however that ends; without this, a failed test waits for it."""
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def reserved_port() -> Iterator[int]:
    """Keep a TCP port of loopback for a server of the test, which may come and go until the end.

    The port is bound here, so nobody is given it who asks for any port, and no connection goes out
    from it. A server that listens with SO_REUSEADDR, as nearly all do, gets it all the same, since
    nobody listens yet; until then connections to it are refused. So it is on Linux; other systems
    share no bound port, and there it is one that was free a moment ago.
    """
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        if sys.platform == "linux":
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            holder.close()
        yield port
