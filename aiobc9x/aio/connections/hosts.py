"""Connect to a host by all of its addresses.

Layer: aio.

AT+QIOPEN takes a name, and then tries one of its addresses, of the family that it is told
(§2.2.1). A name that is longer than it takes, or whose address doesn't answer, is resolved by
AT+QIDNSGIP (§2.2.10), and its addresses are opened in turn, within the time that the note
gives a connection by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Final

from aiobc9x.aio.queries.dns_ping_ntp import Resolver
from aiobc9x.aio.sockets.opening import Opener, OpenRequest
from aiobc9x.aio.stages import Stage
from aiobc9x.core.slots import Slot
from aiobc9x.errors import ConnectFailed, ConnectTimedOut, ModemError, connect_error
from aiobc9x.logs import Log
from aiobc9x.spec import Err, ProtocolType
from aiobc9x.wire.commands.tcpip import Qidnsgip
from aiobc9x.wire.host import Host

_UNREACHED: Final = frozenset(
    {
        Err.WRITE_FAILED,
        Err.READ_FAILED,
        Err.CONNECT_FAILED,
        Err.SOCKET_CLOSED,
        Err.TIMEOUT,
    }
)
"""Errors of one address; another address of the same host may still work."""

_NOT_TAKEN: Final = frozenset({None, Err.UNKNOWN, Err.INVALID_PARAMETERS})
"""Errors that come before any address was tried: the firmware takes no names, or the address is of
the wrong family."""


def family_of(address: str) -> ProtocolType:
    """Return the family of an IP address."""
    return ProtocolType.IPV6 if ":" in address else ProtocolType.IPV4


def pick_address(own: Sequence[str], family: ProtocolType | None) -> str:
    """Return the module's address of a family, else of the other one, else ``""``."""
    fitting = [address for address in own if family_of(address) is family]
    return next(iter((*_routable(fitting), *_routable(own))), "")


def _routable(own: Sequence[str]) -> Sequence[str]:
    """Return the addresses that a peer can reach; all, if there are only link-local ones."""
    return [each for each in own if not ip_address(each).is_link_local] or own


class HostOpener:
    """Open sockets to hosts: to an address, or to each address of a name in turn."""

    def __init__(self, opener: Opener, resolver: Resolver, context_id: int, log: Log) -> None:
        self._opener, self._resolver, self._context_id = opener, resolver, context_id
        self._log = log

    async def open(
        self, request: OpenRequest, own: Sequence[str], stage: Stage, *, all_errors: bool = False
    ) -> tuple[Slot, OpenRequest]:
        """Open a socket to an address, or to a name by trying its addresses in turn.

        Args:
            request: What to open.
            own: The addresses of the module's context. They decide the family of a name if the
                caller has not.
            stage: Gets the present stage, for the message of a timeout.
            all_errors: Raise an ``ExceptionGroup`` with the error of each try.

        Returns:
            The socket, and the request that opened it.

        Raises:
            ModemError: As :meth:`Opener.open`. Of several tries, the first one's error, with
                the others as notes.
            ExceptionGroup: The same, with ``all_errors``.

        Cancellation is safe.
        """
        errors: list[OSError] = []
        try:
            return await self._open(request, own, stage, errors)
        except OSError as exc:
            if all_errors:
                raise ExceptionGroup("create_connection failed", errors or [exc]) from None
            for other in errors:
                if other is not exc:
                    exc.add_note(f"also tried: {other}")
            raise

    async def _open(
        self, request: OpenRequest, own: Sequence[str], stage: Stage, errors: list[OSError]
    ) -> tuple[Slot, OpenRequest]:
        if not request.is_named:
            return await self._opener.open(request), request
        end = asyncio.get_running_loop().time() + self._opener.open_limit(request)
        families = _families(request, own)
        if not request.is_long:
            by_name = replace(request, protocol_type=families[0])
            try:
                return await self._opener.open(by_name), by_name
            except ConnectFailed as exc:
                errors.append(exc)
                if not _may_go_on(exc, families):
                    raise
        addresses = await self._addresses(request, families, errors, end)
        return await self._open_one_of(request, addresses, stage, errors, end)

    async def _addresses(
        self,
        request: OpenRequest,
        families: Sequence[ProtocolType],
        errors: Sequence[OSError],
        end: float,
    ) -> list[str]:
        """Resolve a name; return the addresses to try, in order.

        Raises:
            ModemError: Nothing was tried yet, and the name can't be resolved.

        """
        command = Qidnsgip(self._context_id, request.host).text
        try:
            async with asyncio.timeout_at(end):
                found = (await self._resolver.resolve(request.host)).addresses
        except (ModemError, TimeoutError) as exc:
            if errors:
                text = "! can't resolve %(host)r: %(reason)s"
                self._log.debug(text, host=request.host.text, error=exc)
                return []
            if isinstance(exc, ConnectFailed):
                raise connect_error(command, exc.err, exc.cme, request.target) from exc
            if isinstance(exc, ModemError):
                raise
            raise ConnectTimedOut(command, None, None, request.target) from exc
        usable = [a for family in families for a in found if family_of(a) is family]
        # If the caller has not asked for a family, the module may be able to reach the other one.
        if request.protocol_type is None:
            usable = usable or list(found)
        if not usable and not errors:
            raise connect_error(command, Err.DNS_FAILED, None, request.target)
        if errors and _was_tried(errors[0]):
            # AT+QIOPEN with the name most likely tried the first address, so that one comes last,
            # or not at all if it is the only one.
            usable = [*usable[1:], *usable[:1]] if len(usable) > 1 else []
        return usable

    async def _open_one_of(
        self,
        request: OpenRequest,
        addresses: Sequence[str],
        stage: Stage,
        errors: list[OSError],
        end: float,
    ) -> tuple[Slot, OpenRequest]:
        for address in addresses:
            stage.name = f"connecting to {request.host}:{request.remote_port} at {address}"
            # Read anew, because the module's answer is another host than the caller's name.
            host = Host.read(address)
            by_address = replace(request, host=host, protocol_type=host.family, asked=request.host)
            try:
                async with asyncio.timeout_at(end) as limit:
                    return await self._opener.open(by_address), by_address
            except ConnectFailed as exc:
                errors.append(exc)
                if exc.err not in _UNREACHED | _NOT_TAKEN:
                    raise
            except TimeoutError as exc:
                if not limit.expired():
                    raise
                errors.append(ConnectTimedOut("AT+QIOPEN", None, None, by_address.target))
                self._log.debug("! no time is left for %(host)s", host=address, error=exc)
                break
        raise errors[0]


def _families(request: OpenRequest, own: Sequence[str]) -> list[ProtocolType]:
    """Return the families to use, in order: the caller's, or those of the module's addresses."""
    if request.protocol_type is not None:
        return [request.protocol_type]
    known = {family_of(address) for address in _routable(own)} or {ProtocolType.IPV4}
    return sorted(known)


def _may_go_on(exc: ConnectFailed, families: Sequence[ProtocolType]) -> bool:
    """Whether another address of a name may work after this error."""
    # The module looked for an address of the first family only.
    if exc.err == Err.DNS_FAILED:
        return len(families) > 1
    return exc.err in _UNREACHED | _NOT_TAKEN


def _was_tried(exc: OSError) -> bool:
    """Whether the error shows that the module has tried an address of the name."""
    return isinstance(exc, ConnectTimedOut) or getattr(exc, "err", None) in _UNREACHED
