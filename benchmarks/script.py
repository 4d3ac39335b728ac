"""Stands in for the virtual module where only our side is to be measured.

It answers in the next turn of the loop, from bytes made beforehand, so that next to none of
the time is its own.
"""

from typing import Any

import aiobc9x
from benchmarks.answers import answer
from tests.support.bench import ADDRESS, plugged_in
from tests.support.scripted import Device
from tests.support.words import (
    EMPTY,
    NEXT,
    OK,
    PROMPT,
    SEND_OK,
    announced,
    pushed,
    received,
)

PAYLOADS = 32
"""How many payloads are offered or pushed at once."""

SENT = OK + SEND_OK


class Script(Device):
    """Stands in for a virtual module: says what it was told to say, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self._payload_left = 0
        self._reads_left = 0
        self._read = b""

    def write(self, data: Any) -> None:  # Any: typeshed's buffer type is private
        if self._payload_left:
            self._payload_left -= len(data)
            if not self._payload_left:
                self.say(SENT)
        elif data.startswith(b"AT+QIRD"):
            self.say(self._read if self._reads_left else EMPTY)
            self._reads_left = max(0, self._reads_left - 1)
        elif data.startswith(b"AT+QISEND"):
            self._on_send(data)
        elif data.startswith(b"AT+QIOPEN"):
            self.say(b"\r\nOK\r\n\r\n+QIOPEN: %b,0\r\n" % data[12:13])
        else:
            self.say(answer(data))

    def offer(self, payload: bytes) -> None:
        """Have so many reads find the payload."""
        self._read = received(payload)
        self._reads_left = PAYLOADS
        self.say(announced(0, len(payload)))

    def push(self, payload: bytes) -> None:
        """Push it so many times; the line behind the last shows that it is whole."""
        self._push(pushed(0, payload), PAYLOADS)

    def _push(self, urc: bytes, left: int) -> None:
        self.say_now(urc if left else NEXT)
        if left:
            self._loop.call_soon(self._push, urc, left - 1)

    def _on_send(self, line: bytes) -> None:
        if b'"' in line:
            self.say(SENT)
        else:
            self._payload_left = int(line[:-1].partition(b",")[2])
            self.say(PROMPT)


async def open_modem(script: Script) -> aiobc9x.Modem:
    """Open a modem on a script: text goes inline, other bytes by fixed length."""
    with plugged_in(lambda _options: script):
        return await aiobc9x.open_modem(
            ADDRESS, poll_interval=0, state_interval=0, send_form="inline"
        )
