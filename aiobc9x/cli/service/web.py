"""Serve the status page, the state as JSON, and the metrics at one address.

Layer: cli. A thread of its own, with wsgiref and what prometheus_client makes for it: a client
that reads slowly holds up nobody.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from aiobc9x.cli.service.page import page
from aiobc9x.cli.service.status import Status

_CLIENT_S: Final = 10.0
_HEADERS: Final = [
    # The page loads nothing and runs nothing; no other page may frame it.
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_S

    def log_message(self, format: str, *args: Any) -> None:  # the base class's
        """Say nothing: scrapes come every few seconds."""


@contextmanager
def serving(
    host: str, port: int, status: Callable[[], Status], metrics: WSGIApplication
) -> Iterator[int]:
    """Serve until the block ends; give the port.

    Args:
        host: Where to listen.
        port: 0 for any that is free.
        status: Returns the state; called in another thread.
        metrics: Answers ``/metrics``.

    Raises:
        OSError: The address can't be had.

    """
    application = _application(status, metrics)
    with make_server(host, port, application, _Server, _Handler) as server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _application(status: Callable[[], Status], metrics: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return _said(start, "405 Method Not Allowed", "text/plain", "use GET\n")
        match environ["PATH_INFO"]:
            case "/":
                return _said(start, "200 OK", "text/html", page(status()))
            case "/state.json":
                text = json.dumps(status().as_json(), indent=2)
                return _said(start, "200 OK", "application/json", text)
            case "/metrics":
                return metrics(environ, start)
            case _:
                known = "there are / and /state.json and /metrics\n"
                return _said(start, "404 Not Found", "text/plain", known)

    return answer


def _said(start: StartResponse, code: str, kind: str, text: str) -> list[bytes]:
    body = text.encode()
    length = ("Content-Length", str(len(body)))
    start(code, [("Content-Type", f"{kind}; charset=utf-8"), length, *_HEADERS])
    return [body]
