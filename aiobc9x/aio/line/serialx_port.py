"""Open a port by serialx: on another machine, on an ESPHome device, or one of this machine.

Layer: aio. Needs serialx: ``pip install 'aiobc9x[serialx]'``.

serialx has what pyserial-asyncio lacks: RFC 2217, which sets the speed of a distant port,
ESPHome's serial proxy, and ports of Windows that tell when there is something to read, where
pyserial-asyncio asks them 2,000 times a second.
"""

from __future__ import annotations

import asyncio
import errno
from typing import Any, Final

try:
    import serialx
    from serialx.platforms import serial_rfc2217
except ImportError as _exc:
    raise ImportError(f"{_exc}; install it with: pip install 'aiobc9x[serialx]'") from _exc

from aiobc9x.aio.line.serial_settings import SerialSettings

CONNECT_LIMIT_S: Final = 10.0
"""Seconds for a distant port to be reached, and again for its settings. Ours."""

_WATCHED: Final = frozenset({"SET_MODEMSTATE_MASK", "SET_LINESTATE_MASK"})
"""Commands that only ask to be told of changes of CTS, DSR and the like."""


_ENDED: Final = (errno.ECONNABORTED, errno.ECONNRESET, errno.EIO, errno.EPIPE)
_SENT_AWAY: Final = (
    "the server ended the connection while it was set up,"
    " as it does while another client has the port"
)


class _Rfc2217Transport(serial_rfc2217.RFC2217SerialTransport):
    """A transport that doesn't insist on an answer which ser2net does not give.

    ser2net (4.3.11, by gensio) acknowledges every setting of the port, but not that it will tell
    of changes of its lines, which nothing here needs. serialx (1.15) gives up without.
    """

    async def _send_and_wait(self, cmd: Any) -> Any:  # Any: of serialx's own classes
        if cmd.CMD_ID.name in _WATCHED:
            self._send_command(cmd)
            return cmd
        return await super()._send_and_wait(cmd)


async def open_port(
    protocol: asyncio.Protocol, url: str, settings: SerialSettings
) -> serialx.BaseSerialTransport:
    """Open a port.

    Args:
        protocol: Gets the bytes.
        url: ``rfc2217://host:port``, ``esphome://host:port/?key=…``, or a device's name.
        settings: The speed and the like; DTR and RTS count for devices alone.

    Raises:
        OSError: It can't be opened, by its errno.
        ValueError: The port can't have these settings, or the address can't be read.
        ImportError: The scheme needs one more package.

    Cancellation closes what was opened.
    """
    options: dict[str, Any] = {  # Any: of several types
        "bytesize": settings.bytesize,
        "dsrdtr": settings.dsrdtr,
    }
    kind: type[serialx.BaseSerialTransport] | None = None
    if url.startswith("rfc2217://"):
        kind = _Rfc2217Transport
    if "://" in url:
        options["connect_timeout"] = CONNECT_LIMIT_S
    for line in ("dtr", "rts"):
        if (level := getattr(settings, line)) is not None:
            options[f"{line}_on_open"] = serialx.PinState.convert(level)
    try:
        transport, _ = await serialx.create_serial_connection(
            asyncio.get_running_loop(),
            lambda: protocol,
            url,
            settings.baudrate,
            serialx.Parity(settings.parity),
            serialx.StopBits(settings.stopbits),
            settings.xonxoff,
            settings.rtscts,
            settings.exclusive,
            transport_cls=kind,
            **options,
        )
    except serialx.UnsupportedSetting as exc:
        raise ValueError(f"the port can't be set like this: {exc}") from exc
    except serialx.SerialException as exc:
        if type(exc).__name__ == "UnknownUriScheme":
            scheme = url.partition("://")[0]
            raise ImportError(
                f"{scheme}:// needs one more package: pip install 'serialx[esphome]'"
            ) from exc
        raise ConnectionError(str(exc)) from exc  # no errno: serialx's own words say why
    except (OSError, RuntimeError) as exc:
        # Which of them depends on who was quicker; what the server has said before is lost.
        is_ended = isinstance(exc, RuntimeError) or exc.errno in _ENDED
        if not (url.startswith("rfc2217://") and is_ended):
            raise
        raise ConnectionError(_SENT_AWAY) from exc
    return transport
