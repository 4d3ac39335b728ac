"""Open a socket again that has ended with the module, the link or the network.

Layer: aio. Listeners and datagram endpoints hold no stream that could have a hole, so that they
go on for their programs; a TCP connection ends, as nobody knows which of its bytes arrived.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aiobc9x.aio.line.resting import rest
from aiobc9x.aio.sockets.lifetimes import SocketKeeper
from aiobc9x.errors import LinkLost, ModemError, ModuleReset, NetworkLost

logger = logging.getLogger("aiobc9x.aio")

T = TypeVar("T")

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0


def comes_back(keeper: SocketKeeper, error: Exception | None) -> bool:
    """Whether what has ended a socket passes: the modem itself goes on.

    It is no bytes in doubt: those end an endpoint, as what it has sent may be wrong.
    """
    ended = isinstance(error, ModuleReset | LinkLost | NetworkLost)
    return ended and keeper.driver.is_alive and not keeper.is_closing


async def open_again(
    keeper: SocketKeeper, is_wanted: Callable[[], bool], opens: Callable[[], Awaitable[T]]
) -> T | None:
    """Open a socket, however long it takes; waits between two tries grow to half a minute.

    A module that was not restarted had to close the socket of the lost link, and keeps its fixed
    local port for two minutes (§2.2.1, note 5): until then it answers that the port is in use.

    Args:
        keeper: Who keeps the sockets.
        is_wanted: Whether anybody still wants it.
        opens: Waits for the network and opens it.

    Returns:
        What ``opens`` gives; ``None`` if nobody wants it any more.

    Cancellation is as safe as ``opens`` is.
    """
    pause = _FIRST_PAUSE_S
    while is_wanted() and keeper.driver.is_alive and not keeper.is_closing:
        try:
            return await opens()
        except (ModemError, OSError) as exc:
            logger.info("! a socket can't be opened again yet: %s", exc)
        await rest(keeper.driver, pause)  # a restart meanwhile cuts it
        pause = min(2 * pause, _LONGEST_PAUSE_S)
    return None
