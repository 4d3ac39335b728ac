"""A real browser without a window: what a page does in it, and how it looks.

Chromium is driven by its own protocol (CDP) over two pipes, so that no port is opened and nothing
has to be waited for by the clock. One browser looks at any number of pages.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import pytest

_ON_A_MAC: Final = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"

CHROMIUM: Final = (
    shutil.which("chromium") or shutil.which("google-chrome") or shutil.which(_ON_A_MAC)
)

needs_browser: Final = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="Chromium is not installed"
)

HEIGHT: Final = 900

_ALONE: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--no-default-browser-check", "--hide-scrollbars", "--remote-debugging-pipe"),
)

_MEASURE: Final = """(async () => {
    await document.fonts.ready;
    const pictures = [...document.images];
    pictures.forEach(each => { each.loading = 'eager'; });
    await Promise.allSettled(pictures.map(each => each.decode()));
    const root = document.documentElement;
    return {
        width: root.scrollWidth,
        room: root.clientWidth,
        missing: pictures.filter(each => !each.naturalWidth).map(each => each.src),
    };
})()"""


class Look(NamedTuple):
    """What a page did."""

    width: int
    """How wide it is, in pixels."""
    room: int
    """How wide it may be without scrolling to the side."""
    missing: list[str]
    """Pictures that could not be shown."""
    complaints: list[str]
    """Errors and warnings of the console, and exceptions."""
    requests: list[str]
    """What it asked for, its own files and data aside."""


class Browser:
    """Chromium, for as long as a ``with`` block lasts."""

    def __init__(self) -> None:
        self._last = 0
        self._events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        assert CHROMIUM is not None
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        their_in, self._out = os.pipe()
        self._in, their_out = os.pipe()
        # It reads commands from descriptor 3 and writes answers to 4.
        line = f'exec "$@" 3<&{their_in} 4>&{their_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", line, "-", CHROMIUM, *_ALONE, f"--user-data-dir={self._profile.name}"],
            pass_fds=(their_in, their_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_in)
        os.close(their_out)
        self._answers = os.fdopen(self._in, "rb")
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._tell(f"{domain}.enable")
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._out)
        self._answers.close()
        self._profile.cleanup()

    def look(self, page: Path, *, columns: int, dark: bool = False) -> Look:
        """Open a page in a window of some width, and say what it did."""
        size = {"width": columns, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        self._tell("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._tell("Emulation.setEmulatedMedia", features=[scheme])
        self._events.clear()
        self._tell("Page.navigate", url=page.as_uri())
        self._wait(lambda: any(each["method"] == "Page.loadEventFired" for each in self._events))
        measured = self.run(_MEASURE)
        return Look(**measured, complaints=self._complaints(), requests=self._requests())

    def run(self, script: str) -> Any:
        """Run a script in the page, and give what it gives."""
        answer = self._tell(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self, file: Path, *, whole: bool = False) -> None:
        """Write what the window shows, or the whole page, as PNG."""
        answer = self._tell("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(answer["data"]))

    def _complaints(self) -> list[str]:
        found = []
        for event in self._events:
            told = event["params"]
            match event["method"]:
                case "Log.entryAdded" if told["entry"]["level"] in {"error", "warning"}:
                    found.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
                case "Runtime.exceptionThrown":
                    found.append(str(told["exceptionDetails"]["text"]))
                case "Runtime.consoleAPICalled" if told["type"] in {"error", "warning", "assert"}:
                    found.append(str(told["args"]))
        return found

    def _requests(self) -> list[str]:
        asked = [
            str(event["params"]["request"]["url"])
            for event in self._events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith(("file:", "data:"))]

    def _tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._call(method, self._session, **parameters)

    def _call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        number = self._last
        command = {"id": number, "method": method, "params": parameters}
        if session is not None:
            command["sessionId"] = session
        os.write(self._out, json.dumps(command).encode() + b"\0")
        answer: dict[str, Any] = {}

        def answered() -> bool:
            answer.update(self._answered.pop(number, {}))
            return bool(answer)

        self._answered: dict[int, dict[str, Any]] = {}
        self._wait(answered)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def _wait(self, done: Callable[[], bool]) -> None:
        """Read what the browser says until something is so."""
        while not done():
            message = json.loads(self._message())
            if "id" in message:
                self._answered[message["id"]] = message
            else:
                self._events.append(message)

    def _message(self) -> bytes:
        whole = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "Chromium has ended"
            whole += byte
        return bytes(whole)
