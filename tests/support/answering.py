"""A module on a line in memory whose answers a test writes down: a table from lines to answers.

The virtual module does what the note says; this one does what somebody has met in the field.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import aiobc9x
from aiobc9x.open import open_modem
from tests.support.bench import ADDRESS, plugged_in
from tests.support.scripted import ScriptedDevice
from tests.support.words import ATTACHED, framed, line

Answer: TypeAlias = bytes | Callable[[re.Match[str]], bytes | None]
"""Lines joined with LF, the final result among them; or what gives them, ``None`` for silence."""


@dataclass
class _Rule:
    pattern: re.Pattern[str]
    answer: Answer
    left: float
    until: float


class AnsweringModule(ScriptedDevice):
    """A module that is attached and idle, but for what a test has it answer.

    Attributes:
        seen: Every command line that came.

    """

    def __init__(self) -> None:
        super().__init__(lambda _, command: self._take(command))
        self.seen: list[str] = []
        self._rules: list[_Rule] = []

    def on(
        self, pattern: str, answer: Answer, times: float = math.inf, seconds: float = math.inf
    ) -> None:
        """Answer lines that match in full so, for so long; the newest rule is first."""
        until = asyncio.get_running_loop().time() + seconds
        self._rules.insert(0, _Rule(re.compile(pattern), answer, times, until))

    def told(self, prefix: str) -> list[str]:
        """The command lines that begin so."""
        return [line for line in self.seen if line.startswith(prefix)]

    def _take(self, line: bytes) -> None:
        text = line.strip(b"\x1b\n").decode("ascii")
        if not text:
            return
        self.seen.append(text)
        answer = self._answer(text)
        if answer is not None:
            self.say(framed(answer))

    def _answer(self, text: str) -> bytes | None:
        now = asyncio.get_running_loop().time()
        for rule in self._rules:
            match = rule.pattern.fullmatch(text)
            if match and rule.left and now < rule.until:
                rule.left -= 1
                return rule.answer if isinstance(rule.answer, bytes) else rule.answer(match)
        closes = text.startswith("AT+QICLOSE")
        return ATTACHED.get(text, b"ERROR" if closes or not text.startswith("AT") else b"OK")


async def loses_network(module: AnsweringModule) -> None:
    """Have it say that it is not registered, so that the next wait asks anew."""
    module.say(line(b"+CEREG: 2"))
    await asyncio.sleep(0.1)


def late(module: AnsweringModule, delay: float, answer: bytes) -> Answer:
    """Answer after some seconds."""

    def wait(_match: re.Match[str]) -> None:
        asyncio.get_running_loop().call_later(delay, module.say, framed(answer))

    return wait


@asynccontextmanager
async def opened(module: AnsweringModule, **settings: Any) -> AsyncIterator[aiobc9x.Modem]:
    """Open a modem on it; it closes with the block, and ends with its link."""
    settings.setdefault("reconnect", None)
    with plugged_in(lambda _: module):
        modem = await open_modem(ADDRESS, **settings)
    async with modem:
        yield modem
