"""Wake all that wait for a change.

Layer: aio.
"""

from __future__ import annotations

import asyncio


class Changes:
    """Tells of changes to whoever waits; unlike a condition it needs no lock to tell.

    Whoever waits looks at what has changed afterwards, and waits again if it is not enough.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Wake all that wait now, in the order in which they came."""
        self._event.set()
        self._event.clear()

    async def wait(self) -> None:
        """Wait for the next change; cancellation is safe."""
        await self._event.wait()
