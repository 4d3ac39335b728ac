"""Open a socket again that has ended with the module, the link or the network.

Layer: aio. Listeners and datagram endpoints carry no stream of bytes that could have a gap, so
they are opened again for their programs. A TCP connection ends, because it is unknown which of
its bytes arrived.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aiobc9x.aio.line.resting import rest
from aiobc9x.aio.sockets.lifetimes import SocketKeeper
from aiobc9x.errors import LinkLost, ModemError, ModuleReset, NetworkLost, StreamBroken

T = TypeVar("T")

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0


def comes_back(keeper: SocketKeeper, error: Exception | None) -> bool:
    """Return whether a socket that ended by this error is to be opened again.

    It is, if the modem itself goes on: after a restart, a lost link or a lost network, and where
    the module has no socket any more and nobody knows why.
    """
    ended = isinstance(error, ModuleReset | LinkLost | NetworkLost | StreamBroken)
    return ended and keeper.driver.is_alive and not keeper.is_closing


async def open_again(
    keeper: SocketKeeper,
    is_wanted: Callable[[], bool],
    opens: Callable[[], Awaitable[T]],
    gives_up: Callable[[ModemError | None], None],
) -> T | None:
    """Open a socket, however long it takes; waits between two tries grow to half a minute.

    A module that was not restarted had to close the socket of the lost link, and keeps its fixed
    local port for two minutes (§2.2.1, note 5): until then it answers that the port is in use.

    Args:
        keeper: Keeps the modem's sockets.
        is_wanted: Returns whether the program still wants the socket.
        opens: Waits for the network and opens the socket.
        gives_up: Called if the modem ends before: with ``None`` if the program has closed it, else
            with the reason.

    Returns:
        What ``opens`` gives; ``None`` if the socket is no longer wanted, or the modem ends.

    Cancellation, which is the modem's end too, is as safe as ``opens`` is.
    """
    made: T | None = None
    try:
        made = await _until_open(keeper, is_wanted, opens)
    finally:
        if made is None and is_wanted():
            gives_up(None if keeper.is_closing else LinkLost(keeper.driver.reason))
    return made


async def _until_open(
    keeper: SocketKeeper, is_wanted: Callable[[], bool], opens: Callable[[], Awaitable[T]]
) -> T | None:
    pause = _FIRST_PAUSE_S
    while is_wanted() and keeper.driver.is_alive and not keeper.is_closing:
        try:
            return await opens()
        except (ModemError, OSError) as exc:
            keeper.driver.log.info("! a socket can't be opened again yet: %(reason)s", error=exc)
        await rest(keeper.driver, pause)  # a restart of the module ends this pause early
        pause = min(2 * pause, _LONGEST_PAUSE_S)
    return None
