"""Notice that the context of the sockets has ended, also where no socket is named.

Layer: aio.

``+CGEV: NW PDN DEACT``, ``+CGEV: … DETACH``, ``"pdpdeact"`` and ``+CFUN: 0`` tell that a context
is over, and so does the ``OK`` of an order that ends it. Most often a ``"closed"`` of each socket
comes with that, but it may get lost, and some firmware has none. The module's own table (§2.2.3)
decides: a socket that it still shows as connected goes on, because such a word may be about
a context that is back already, or may have been no more than noise.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.sockets.compare import LAST_WORDS_S, Examiner
from aiobc9x.errors import ModemError, NetworkLost
from aiobc9x.patterns import lazy_pattern
from aiobc9x.wire.urcs import PacketEvent, PdpDeactivated, RadioState, Urc

_FULL_FUNCTION: Final = 1  # 27.007, 8.2

_ENDS_NETWORK: Final = lazy_pattern(
    r"AT\s*\+(?:CFUN\s*=\s*[04]|CGATT\s*=\s*0|CGACT\s*=\s*0|COPS\s*=\s*2)\b.*", re.IGNORECASE
)


def ends_network(line: str) -> bool:
    """Whether a command line, once it is obeyed, leaves the network or ends contexts (27.007)."""
    return _ENDS_NETWORK.match(line) is not None


class ContextEnds:
    """Ends the connections of a context that has ended."""

    def __init__(self, driver: Driver, examiner: Examiner) -> None:
        self._driver, self._examiner = driver, examiner
        self._context_id = examiner.context_id
        self._reason: NetworkLost | None = None
        self._is_looking = False

    def on_urc(self, urc: Urc) -> None:
        """Look at the sockets if a URC says that their context has ended."""
        match urc:
            case PdpDeactivated(context_id) if context_id == self._context_id:
                self.look('+QIURC: "pdpdeact"')
            case PacketEvent(text) if urc.ends(self._context_id):
                self.look(f"+CGEV: {text}")
            case RadioState(fun) if fun != _FULL_FUNCTION:
                self.look(f"+CFUN: {fun}")

    def look(self, said: str) -> None:
        """Look at the sockets now, and again after the module's last words about them.

        Args:
            said: What has told that the context is over.

        """
        self._reason = NetworkLost(f"the module's connection to the network has ended ({said})")
        self._examiner.expect_ends(self._reason)
        if not self._is_looking and self._has_sockets():
            self._is_looking = True
            self._driver.spawn(self._look_twice)

    async def _look_twice(self) -> None:
        try:
            await self._compare()
            await asyncio.sleep(LAST_WORDS_S)
        finally:
            self._is_looking = False  # what is said from now on may be news
        await self._compare()

    async def _compare(self) -> None:
        if self._driver.session.suspended or not self._has_sockets():
            return  # bringing the line back in step compares them anyway
        try:
            await self._examiner.compare(reason=self._reason)
        except ModemError as exc:
            self._driver.log.debug("! no answer to a look at the sockets: %(reason)s", error=exc)

    def _has_sockets(self) -> bool:
        return any(slot.is_live or slot.is_listener for slot in self._driver.session.sockets)
