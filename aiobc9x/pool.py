"""Open connections through several modems as through one: ``open_pool``, :class:`ModemPool`.

Layer: pool. A pool holds no connection: it chooses a modem for each call, and returns to the
caller what that modem gives. Each public method has the signature of the method of the same name
of :class:`~aiobc9x.Modem`. The module is long for the same reason as that of ``Modem``: whole
signatures and contracts, which a type checker and ``help()`` can't find anywhere else. The choice
of a modem is a part of it, because it decides by what each call raises.
"""

from __future__ import annotations

import asyncio
import copy
import errno
import math
import os
import socket
import ssl as ssl_module
import warnings
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import TracebackType
from typing import Final, Literal, TypeVar

import anyio

from aiobc9x.adapters.proxy.api import Forwards, HealthCheck, ProxyServer, ProxyTimeouts
from aiobc9x.aio.arguments import check_callable, check_flag, check_integer, check_seconds
from aiobc9x.aio.bringup.readiness import READY_TIMEOUT_S
from aiobc9x.aio.connections.accepting import read_listener, refuse_listener_options
from aiobc9x.aio.connections.connecting import client_tls, make_request, server_tls, split_address
from aiobc9x.aio.connections.listening import Server
from aiobc9x.aio.connections.reader_writer import ClientConnected
from aiobc9x.aio.line.finishing import until_done
from aiobc9x.aio.line.home import HomeLoop
from aiobc9x.aio.line.link import Create
from aiobc9x.aio.options import READ_AHEAD_BYTES
from aiobc9x.aio.queries.results import PingReport, Resolution
from aiobc9x.aio.reconnecting import LOOK_S, ModemState, Reconnect
from aiobc9x.aio.sockets.changes import Changes
from aiobc9x.aio.sockets.opening import OpenRequest
from aiobc9x.aio.stages import timing
from aiobc9x.aio.usage import PoolUsage
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.errors import (
    BudgetExceeded,
    ConnectBlocked,
    ConnectIdBusy,
    LinkLost,
    LinkTimeout,
    ModemError,
    ModuleReset,
    NameBusy,
    NetworkDown,
    NetworkLost,
    NetworkUnreachable,
    NoFreeSocket,
    OperationBlocked,
    PortNotFound,
    SimError,
    StageTimeout,
)
from aiobc9x.logs import Log
from aiobc9x.modem import ListenerHost, Modem
from aiobc9x.open import BY_ITSELF, ModemOpening, Opening, name_of, open_modem
from aiobc9x.spec import (
    LOCAL_PORT_QUARANTINE_S,
    OPEN_TIME_DEFAULT_S,
    AccessMode,
    ServiceType,
)
from aiobc9x.trace.options import Trace
from aiobc9x.wire.commands.tcpip import Qidnsgip, Qping
from aiobc9x.wire.host import Host

log: Final = Log("pool")

P = TypeVar("P", bound=asyncio.BaseProtocol)
D = TypeVar("D", bound=asyncio.DatagramProtocol)
T = TypeVar("T")

TOGETHER_S: Final = 5.0
"""Seconds that an opening waits for the other modems once one modem is open; our choice."""

WATCH_S: Final = 0.5
"""Seconds between two looks whether the modem of a call still answers; our choice."""

OF_THE_MODEM: Final = (
    LinkLost,
    LinkTimeout,
    StageTimeout,
    ModuleReset,
    NetworkLost,
    NetworkDown,
    NetworkUnreachable,
    NoFreeSocket,
    BudgetExceeded,
    SimError,
    ConnectBlocked,
    ConnectIdBusy,
    NameBusy,
    OperationBlocked,
)
"""Errors that are not the peer's fault, so that another modem may succeed."""


def blames_modem(exc: Exception) -> bool:
    """Return whether another modem may succeed; in a group, all errors must be such ones."""
    if isinstance(exc, ExceptionGroup):
        return all(blames_modem(each) for each in exc.exceptions)
    return isinstance(exc, OF_THE_MODEM)


def _lacks_address(exc: Exception) -> bool:
    """Return whether a listener was asked of a modem that has another address."""
    return isinstance(exc, OSError) and exc.errno == errno.EADDRNOTAVAIL


class _Member:
    """One address of a pool, and the modem there, once it is open.

    Attributes:
        name: The address, for messages.
        modem: The modem; ``None`` while its device is away from the start.
        error: Why there is no modem; ``None`` before the first try has ended.
        calls: How many calls of the pool this modem is working on.

    """

    def __init__(
        self, name: str, opening: ModemOpening, policy: Reconnect | None, changes: Changes
    ) -> None:
        self.name, self.calls = name, 0
        self.modem: Modem | None = None
        self.error: Exception | None = None
        self._opening, self._policy, self._changes = opening, policy, changes
        self._keeping = asyncio.create_task(self._open(), name=f"aiobc9x pool {name}")
        self._readying: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        if self.modem is None:
            return f"{self.name} away"
        return f"{self.name} {self.modem.state.value}"

    def explain(self) -> str:
        """Return this modem's state as text, for the error of a call that has waited in vain."""
        if self.modem is None:
            return f"{self.name} is away ({self.error})"
        if self.modem.state is not ModemState.UP:
            return f"{self.name} is {self.modem.state.value}"
        return f"{self.name} is {self.modem._readiness.explain()}"

    @property
    def has_tried(self) -> bool:
        """Whether the first try to open the modem has ended."""
        return self.modem is not None or self.error is not None

    @property
    def is_up(self) -> bool:
        """Whether the modem takes commands."""
        return self.modem is not None and self.modem.state is ModemState.UP

    @property
    def is_ready(self) -> bool:
        """Whether the modem is up and has a network."""
        return self.modem is not None and self.modem.is_ready

    @property
    def falters(self) -> bool:
        """Whether the modem takes no commands, or owes an answer for too long."""
        return self.modem is None or self.modem._life.falters

    @property
    def room(self) -> int:
        """Free sockets, less one for each call that may be about to take one."""
        assert self.modem is not None
        return self.modem.free_sockets - self.calls

    async def _open(self) -> None:
        """Open the modem; if that fails, again and again, as the policy says."""
        loop, attempt = asyncio.get_running_loop(), 0
        began = loop.time()
        while True:
            try:
                self.modem = await self._opening
            except Exception as exc:  # create() is a user's: it may raise anything
                if str(exc) != str(self.error):  # not twice a second
                    text = "! a modem of the pool is away: %(address)s: %(reason)s"
                    log.warning(text, address=self.name, error=exc)
                self.error = exc
            self._changes.tell()
            if self.modem is not None:
                self.modem._driver.on_state_changed = self._changes.tell
                self.get_ready()  # so that the first call finds it ready
                return
            if (policy := self._policy) is None:
                return
            # A device that isn't there costs no more than a look.
            is_missing = isinstance(self.error, PortNotFound)
            wait = LOOK_S if is_missing else policy.delay(attempt)
            end = math.inf if policy.give_up_after is None else began + policy.give_up_after
            if loop.time() + wait >= end:
                return
            attempt += 1
            await asyncio.sleep(wait)

    def get_ready(self) -> asyncio.Task[None]:
        """Return a task that ends when the modem is ready, or can't become so.

        Of a modem that isn't open, it is the task that opens it.
        """
        if self.modem is None:
            return self._keeping
        if self._readying is None or self._readying.done():
            self._readying = asyncio.create_task(
                self.modem.available(READY_TIMEOUT_S), name=f"aiobc9x pool ready {self.name}"
            )
            self._readying.add_done_callback(self._has_answered)
        return self._readying

    def _has_answered(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # whoever asked reads it; nobody may have
        self._changes.tell()

    def failure(self, task: asyncio.Task[None]) -> BaseException | None:
        """Return why the task of :meth:`get_ready`, which is done, was in vain, if it was."""
        exc: BaseException | None
        if task is self._keeping:
            exc = self.error if self.modem is None else None
        else:
            exc = task.exception()
            if isinstance(exc, StageTimeout):
                return None  # it had begun for an earlier call; this one has its own limit
        # Other calls may have waited for the same task, and each raises its own copy of the error.
        return copy.copy(exc) if isinstance(exc, ModemError) else exc

    def stop(self) -> None:
        """Stop trying to open the modem or to get it ready; an open modem stays open."""
        for task in (self._keeping, self._readying):
            if task is not None:
                task.cancel()

    async def aclose(self) -> None:
        """Stop, and close the modem."""
        self.stop()
        tasks = [task for task in (self._keeping, self._readying) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.modem is not None:
            await self.modem.aclose()


class ModemPool:
    """Several modems that open connections as one; made by :func:`open_pool`.

    Each call goes to the modem that is up, has a network, and has most free sockets. If the
    *modem* fails, the next one is tried: a lost link, a restart, no answer in time, no network,
    no free socket, a SIM that can't be used. A call doesn't wait for the end of such trouble if
    another modem has a network: it leaves a modem that is not up any more, or that has owed an
    answer for 3 s. If the peer fails, the error is raised at once: a
    connection that is refused, a name without an address, a peer that doesn't answer. A call
    that finds no modem with a network waits for the first one that has it, within its
    ``timeout``, or 180 s; one on which a modem has failed doesn't wait for those that are away.

    What is open stays on its modem, and ends with that modem's link; bytes that were written to
    it are never sent again through another one. The extra info ``"modem"`` of a transport is its
    :class:`Modem`.

    Every method can be cancelled safely, as those of :class:`Modem`.
    """

    def __init__(self, members: Callable[[Changes], Iterable[_Member]], context_id: int) -> None:
        self._home = HomeLoop("the pool")
        self._loop = asyncio.get_running_loop()
        self._changes = Changes()
        self._members = tuple(members(self._changes))
        self._context_id = context_id
        self._closing: asyncio.Task[None] | None = None
        self._proxies: list[ProxyServer] = []

    def __repr__(self) -> str:
        state = " closed" if self._closing is not None else ""
        return f"<ModemPool{state} {', '.join(map(repr, self._members))}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if getattr(self, "_closing", True) is not None:
            return
        if not self._loop.is_closed():  # garbage may be collected in another thread
            for member in self._members:
                self._loop.call_soon_threadsafe(member.stop)
        _warn(f"unclosed pool {self!r}; use 'async with'", ResourceWarning, source=self)

    async def __aenter__(self) -> ModemPool:
        """Return the pool itself.

        Raises:
            LinkLost: The pool is closed; a closed pool can't be opened again.

        """
        self._check()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the pool; see :meth:`aclose`."""
        await self.aclose()

    @property
    def modems(self) -> tuple[Modem, ...]:
        """The modems that have been opened, in the order of their addresses.

        One whose device has been away from the start is missing until it is there; one that is
        lost later stays.
        """
        return tuple(each.modem for each in self._members if each.modem is not None)

    @property
    def usage(self) -> PoolUsage:
        """An estimate of the bytes over the air, of each modem that has been opened and in all."""
        return PoolUsage([(modem.address, modem.usage) for modem in self.modems])

    async def aclose(self) -> None:
        """Close the proxies and all modems, side by side, within 15 s; see :meth:`Modem.aclose`.

        Closing twice is harmless. Cancellation doesn't stop the closing, which goes on in the
        background.

        Raises:
            RuntimeError: The pool belongs to another event loop; nothing is closed.

        """
        self._home.check_loop()
        if self._closing is None:
            self._closing = asyncio.create_task(self._aclose(), name="aiobc9x close pool")
        with anyio.CancelScope(shield=True):
            await asyncio.shield(self._closing)

    async def _aclose(self) -> None:
        for proxy in self._proxies:
            proxy.close()
        self._changes.tell()  # calls that wait for a modem
        closings = (member.aclose() for member in self._members)
        for result in await asyncio.gather(*closings, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    # -- choosing a modem ----------------------------------------------------------------

    def _check(self) -> None:
        self._home.check_loop()
        if self._closing is not None:
            raise LinkLost("the pool is closed; open it again with open_pool()")

    async def _open(self, waits_for_device: bool) -> None:
        """Wait for the first modem, and a while for the others."""
        members = self._members
        while not self.modems:
            if all(each.has_tried for each in members):
                is_missing = any(isinstance(each.error, PortNotFound) for each in members)
                if not (waits_for_device and is_missing):
                    raise self._why_none()
            await self._changes.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(TOGETHER_S):
                while not all(each.has_tried for each in members):
                    await self._changes.wait()

    def _why_none(self) -> Exception:
        """Return the first error, with the others as notes, because no modem is open."""
        first, *others = ((each.name, each.error) for each in self._members)
        assert first[1] is not None
        for name, error in others:
            first[1].add_note(f"nor {name}: {error}")
        return first[1]

    async def _try(
        self,
        call: Callable[[Modem, float | None], Awaitable[T]],
        timeout: float | None,
        is_modems: Callable[[Exception], bool] = blames_modem,
    ) -> T:
        """Have the best modem do something; if the modem fails, the next one.

        Args:
            call: Is given the modem, and the seconds that are left.
            timeout: Seconds for all; ``None`` for the limits of the parts.
            is_modems: Whether an error is the modem's.

        """
        if timeout is not None:
            check_seconds("timeout", timeout)
        end = None if timeout is None else self._loop.time() + timeout
        tried: dict[_Member, BaseException] = {}
        left: set[_Member] = set()  # while they faltered; tried again if no other one is there
        while True:
            rest = None if end is None else end - self._loop.time()
            try:
                member = await self._pick(tried, left, rest)
            except StageTimeout:
                if not tried or (end is not None and self._loop.time() >= end):
                    raise
                raise next(iter(tried.values())) from None
            assert member.modem is not None
            member.calls += 1
            rest = None if end is None else end - self._loop.time()
            leaving = asyncio.timeout(None)
            try:
                async with leaving:
                    with self._watch(member, leaving, {*tried, *left}):
                        return await call(member.modem, rest)
            except Exception as exc:
                if leaving.expired() and type(exc) is TimeoutError:
                    name = member.name
                    log.info("! %(address)s falters, another modem is tried", address=name)
                    left.add(member)
                    continue
                is_late = end is not None and self._loop.time() >= end
                if is_late or self._closing is not None or not is_modems(exc):
                    raise
                text = "! %(address)s failed, the next modem is tried: %(reason)s"
                log.info(text, address=member.name, error=exc)
                tried[member] = exc
            finally:
                member.calls -= 1

    @contextmanager
    def _watch(
        self, member: _Member, leaving: asyncio.Timeout, spent: Container[_Member]
    ) -> Iterator[None]:
        """Cut a call short within the block, if its modem falters and another one could do it.

        None of the pool's calls has had an effect before it returns, which another modem could
        double: what a call that is cut short has opened is closed.

        Args:
            member: The modem of the call.
            leaving: Around the call; expires then.
            spent: The modems that are no alternative.

        """
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal timer
            timer.cancel()
            if leaving.expired():
                return
            if member.falters:
                others = [each for each in self._members if each is not member]
                left = [each for each in others if each not in spent and not each.falters]
                if any(each.is_ready for each in left):
                    leaving.reschedule(self._loop.time())
                    return
                for each in left:
                    each.get_ready()
            timer = self._loop.call_later(WATCH_S, look)

        timer = self._loop.call_later(WATCH_S, look)
        try:
            with self._changes.told(look):
                yield
        finally:
            timer.cancel()

    async def _pick(
        self,
        tried: dict[_Member, BaseException],
        spared: Container[_Member],
        timeout: float | None,
    ) -> _Member:
        """Return the best modem that has not been tried; wait for one to be ready, if none is.

        Args:
            tried: The modems that have failed, and how; those that fail here are added.
            spared: The modems that are taken only if no other one is ready.
            timeout: Seconds; ``None`` for as long as a modem waits for its network.

        Raises:
            StageTimeout: None is ready in time.
            Exception: The first error of those that were tried, because no other one is left.

        """
        has_failed = bool(tried)
        limit = READY_TIMEOUT_S if timeout is None else min(timeout, READY_TIMEOUT_S)
        asked: dict[_Member, asyncio.Task[None]] = {}
        async with timing(limit) as stage:
            stage.name = "waiting for a modem that has a network"
            while True:
                self._check()
                left = [each for each in self._members if each not in tried]
                if ready := [each for each in left if each.is_ready]:
                    for each in left:
                        if each.is_up and not each.is_ready:
                            each.get_ready()  # for a later call
                    return max(
                        ready, key=lambda each: (each not in spared, not each.falters, each.room)
                    )
                for each in left:
                    task = asked.get(each)
                    if task is None or task.done():
                        if task is not None and (failure := each.failure(task)) is not None:
                            tried[each] = failure
                            continue
                        asked[each] = each.get_ready()
                left = [each for each in left if each not in tried]
                if not [each for each in left if each.is_up or not has_failed]:
                    raise next(iter(tried.values()))
                if not any(asked[each].done() for each in left):
                    try:
                        await self._changes.wait()
                    finally:
                        stage.hint = "; ".join(each.explain() for each in self._members)

    # -- connections ---------------------------------------------------------------------

    async def create_connection(
        self,
        protocol_factory: Callable[[], P],
        host: str | bytes | Host,
        port: int,
        *,
        ssl: ssl_module.SSLContext | bool | None = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
        local_addr: tuple[str, int] | None = None,
        local_port: int = 0,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
        access_mode: AccessMode = AccessMode.BUFFER,
        timeout: float | None = None,
    ) -> tuple[asyncio.Transport, P]:
        """Connect a TCP socket through one of the modems; see :meth:`Modem.create_connection`.

        If a modem fails in the TLS handshake, the factory is called again for the next one.

        Args:
            protocol_factory: Makes the protocol.
            host: As for :meth:`Modem.create_connection`.
            port: Remote port, 1–65535.
            ssl: A context, or ``True`` for the default one.
            family: ``AF_INET``, ``AF_INET6``, or 0.
            proto: Ignored, as are ``flags``, ``happy_eyeballs_delay`` and ``interleave``.
            flags: Ignored.
            sock: Must be ``None``: the socket is the module's.
            local_addr: Host and port; only the port is used.
            local_port: 0 lets the module choose.
            server_hostname: For TLS; ``host`` by default.
            ssl_handshake_timeout: Seconds; ``None``: 180.
            ssl_shutdown_timeout: Seconds; ``None``: 60.
            happy_eyeballs_delay: Ignored.
            interleave: Ignored.
            all_errors: If every address fails, raise an ``ExceptionGroup`` of their errors.
            access_mode: How received data reach the host (§1.2).
            timeout: Seconds for the whole call, all modems that are tried included; ``None``:
                for each of them what :meth:`Modem.create_connection` has.

        Returns:
            The transport and the protocol.

        Raises:
            TypeError: An argument has a wrong type; nothing was sent.
            ValueError: An argument is out of range; nothing was sent.
            NoFreeSocket: All connect IDs of all modems that are up are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3); see its subclasses.
            TimeoutError: Not connected in time; the message names the stage.
            LinkLost: The pool is closed, or the link of the last modem failed.
            ModemError: Every modem failed; this is the first one's error.

        Cancellation is safe.
        """
        check_callable("protocol_factory", protocol_factory)
        request = self._read(
            ServiceType.TCP, host, port, sock, local_addr, local_port, access_mode, family
        )
        tls = client_tls(
            ssl, server_hostname, request.host.text, ssl_handshake_timeout, ssl_shutdown_timeout
        )
        context = None if tls is None else tls.context  # made once, for all that are tried
        return await self._try(
            lambda modem, left: modem.create_connection(
                protocol_factory,
                host,
                port,
                ssl=context,
                family=family,
                local_addr=local_addr,
                local_port=local_port,
                server_hostname=server_hostname,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
                all_errors=all_errors,
                access_mode=access_mode,
                timeout=left,
            ),
            timeout,
        )

    async def open_connection(
        self,
        host: str | bytes,
        port: int,
        *,
        limit: int = 65536,
        ssl: ssl_module.SSLContext | bool | None = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
        local_addr: tuple[str, int] | None = None,
        local_port: int = 0,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
        access_mode: AccessMode = AccessMode.BUFFER,
        timeout: float | None = None,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect a TCP socket through one of the modems; see :meth:`Modem.open_connection`.

        Args:
            host: As for :meth:`create_connection`.
            port: Remote port, 1–65535.
            limit: Bytes that the reader buffers before it pauses, and the longest line.
            ssl: A context, or ``True`` for the default one.
            family: ``AF_INET``, ``AF_INET6``, or 0.
            proto: Ignored, as are ``flags``, ``happy_eyeballs_delay`` and ``interleave``.
            flags: Ignored.
            sock: Must be ``None``: the socket is the module's.
            local_addr: Host and port; only the port is used.
            local_port: 0 lets the module choose.
            server_hostname: For TLS; ``host`` by default.
            ssl_handshake_timeout: Seconds; ``None``: 180.
            ssl_shutdown_timeout: Seconds; ``None``: 60.
            happy_eyeballs_delay: Ignored.
            interleave: Ignored.
            all_errors: If every address fails, raise an ``ExceptionGroup`` of their errors.
            access_mode: How received data reach the host (§1.2).
            timeout: Seconds for the whole call; see :meth:`create_connection`.

        Returns:
            A reader and a writer, as :meth:`Modem.open_connection` does.

        Raises:
            TypeError: An argument has a wrong type; nothing was sent.
            ValueError: An argument is out of range; nothing was sent.
            NoFreeSocket: All connect IDs of all modems that are up are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3); see its subclasses.
            TimeoutError: Not connected in time; the message names the stage.
            LinkLost: The pool is closed, or the link of the last modem failed.
            ModemError: Every modem failed; this is the first one's error.

        Cancellation is safe.
        """
        check_integer("limit", limit, 1)
        request = self._read(
            ServiceType.TCP, host, port, sock, local_addr, local_port, access_mode, family
        )
        tls = client_tls(
            ssl, server_hostname, request.host.text, ssl_handshake_timeout, ssl_shutdown_timeout
        )
        context = None if tls is None else tls.context  # made once, for all that are tried
        return await self._try(
            lambda modem, left: modem.open_connection(
                host,
                port,
                limit=limit,
                ssl=context,
                family=family,
                local_addr=local_addr,
                local_port=local_port,
                server_hostname=server_hostname,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
                all_errors=all_errors,
                access_mode=access_mode,
                timeout=left,
            ),
            timeout,
        )

    async def create_datagram_endpoint(
        self,
        protocol_factory: Callable[[], D],
        local_addr: tuple[str, int] | None = None,
        remote_addr: tuple[str | bytes | Host, int] | None = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: socket.socket | None = None,
        local_port: int = 0,
        access_mode: AccessMode = AccessMode.BUFFER,
        timeout: float | None = None,
    ) -> tuple[asyncio.DatagramTransport, D]:
        """Open a UDP socket of one of the modems; see :meth:`Modem.create_datagram_endpoint`.

        The socket stays on that modem, also after a restart or a lost link.

        Args:
            protocol_factory: Makes the protocol.
            local_addr: Host and port; only the port is used.
            remote_addr: Host and port; required, because the module's sockets are connected.
            family: As for :meth:`create_connection`.
            proto: Ignored, as are ``flags``, ``reuse_port`` and ``allow_broadcast``.
            flags: Ignored.
            reuse_port: Ignored.
            allow_broadcast: Ignored.
            sock: Must be ``None``: the socket is the module's.
            local_port: 0 lets the module choose.
            access_mode: How received data reach the host (§1.2).
            timeout: Seconds for the whole call; see :meth:`create_connection`.

        Returns:
            The transport and the protocol.

        Raises:
            TypeError: An argument has a wrong type; nothing was sent.
            ValueError: An argument is out of range; nothing was sent.
            NoFreeSocket: All connect IDs of all modems that are up are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3); see its subclasses.
            TimeoutError: Not open in time; the message names the stage.
            LinkLost: The pool is closed, or the link of the last modem failed.
            ModemError: Every modem failed; this is the first one's error.

        Cancellation is safe.
        """
        check_callable("protocol_factory", protocol_factory)
        if remote_addr is None:
            raise ValueError("remote_addr is required: the module's UDP sockets are connected")
        host, port = split_address("remote_addr", remote_addr)
        self._read(ServiceType.UDP, host, port, sock, local_addr, local_port, access_mode, family)
        return await self._try(
            lambda modem, left: modem.create_datagram_endpoint(
                protocol_factory,
                local_addr,
                remote_addr,
                family=family,
                local_port=local_port,
                access_mode=access_mode,
                timeout=left,
            ),
            timeout,
        )

    def _read(
        self,
        service_type: ServiceType,
        host: str | bytes | Host,
        port: int,
        sock: object,
        local_addr: tuple[str, int] | None,
        local_port: int,
        access_mode: AccessMode,
        family: int,
    ) -> OpenRequest:
        """Read and check a call's arguments, before it waits for a modem.

        Raises:
            TypeError: An argument has a wrong type.
            ValueError: An argument is out of range.
            LinkLost: The pool is closed.

        """
        self._check()
        if sock is not None:
            raise ValueError("sock can't be used: the socket is the module's")
        request = make_request(
            service_type,
            host,
            port,
            local_port=local_port,
            local_addr=local_addr,
            access_mode=access_mode,
            family=family,
        )
        request.check(self._context_id)
        return request

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        *address: ListenerHost | int,
        modem: Modem | None = None,
        host: ListenerHost = None,
        port: int | None = None,
        ssl: ssl_module.SSLContext | None = None,
        family: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
        backlog: int = 100,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        timeout: float | None = None,
    ) -> Server:
        """Listen for TCP connections on one of the modems; see :meth:`Modem.create_server`.

        A listener has the address of its modem, and stays there, also after a restart or a lost
        link.

        Args:
            protocol_factory: Makes a protocol for each connection.
            address: The port alone, or host and port, as for :meth:`Modem.create_server`.
            modem: Which of :attr:`modems`; no other one is tried. ``None``: as for the other
                calls, among those that have ``host``.
            host: Where the module listens, as for :meth:`Modem.create_server`.
            port: The module's port to listen on, 1–65535.
            ssl: A server's context.
            family: The family of the module's address to listen on, if it has one of that family.
            flags: Ignored, as are ``backlog``, ``reuse_address``, ``reuse_port`` and
                ``keep_alive``.
            sock: Must be ``None``: the socket is the module's.
            backlog: Ignored.
            reuse_address: Ignored.
            reuse_port: Ignored.
            keep_alive: Ignored.
            ssl_handshake_timeout: Seconds; ``None``: 180.
            ssl_shutdown_timeout: Seconds; ``None``: 60.
            start_serving: Must be ``True``: the module accepts from the start.
            timeout: Seconds for the whole call; see :meth:`create_connection`.

        Raises:
            TypeError: An argument has a wrong type, or there is no port.
            ValueError: As for :meth:`Modem.create_server`, or the modem is not of this pool.
            NoFreeSocket: All connect IDs of all modems that are up are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3), such as ``AddressBusy``.
            OSError: EADDRINUSE: the port can't be used again yet. EADDRNOTAVAIL: no module has
                such an address.
            TimeoutError: Not listening in time; the message names the stage.
            LinkLost: The pool is closed, or the link of the last modem failed.
            ModemError: Every modem failed; this is the first one's error.

        Cancellation is safe.
        """
        check_callable("protocol_factory", protocol_factory)
        self._read_server(modem, address, host, port, sock, start_serving)
        server_tls(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        return await self._listen(
            modem,
            lambda chosen, left: chosen.create_server(
                protocol_factory,
                *address,
                host=host,
                port=port,
                ssl=ssl,
                family=family,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
                timeout=left,
            ),
            timeout,
        )

    async def start_server(
        self,
        client_connected_cb: ClientConnected,
        *address: ListenerHost | int,
        modem: Modem | None = None,
        host: ListenerHost = None,
        port: int | None = None,
        limit: int = 65536,
        ssl: ssl_module.SSLContext | None = None,
        family: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
        backlog: int = 100,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        timeout: float | None = None,
    ) -> Server:
        """Listen for TCP connections on one of the modems; each gets a reader and a writer.

        Args:
            client_connected_cb: As for :meth:`Modem.start_server`.
            address: The port alone, or host and port, as for :meth:`Modem.create_server`.
            modem: Which of :attr:`modems`, as for :meth:`create_server`.
            host: Where the module listens, as for :meth:`Modem.create_server`.
            port: The module's port to listen on, 1–65535.
            limit: As for :meth:`open_connection`.
            ssl: A server's context.
            family: The family of the module's address to listen on, if it has one of that family.
            flags: Ignored, as are ``backlog``, ``reuse_address``, ``reuse_port`` and
                ``keep_alive``.
            sock: Must be ``None``: the socket is the module's.
            backlog: Ignored.
            reuse_address: Ignored.
            reuse_port: Ignored.
            keep_alive: Ignored.
            ssl_handshake_timeout: Seconds; ``None``: 180.
            ssl_shutdown_timeout: Seconds; ``None``: 60.
            start_serving: Must be ``True``: the module accepts from the start.
            timeout: Seconds for the whole call; see :meth:`create_connection`.

        Raises:
            TypeError: An argument has a wrong type, or there is no port.
            ValueError: As for :meth:`Modem.create_server`, or the modem is not of this pool.
            NoFreeSocket: All connect IDs of all modems that are up are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3), such as ``AddressBusy``.
            OSError: EADDRINUSE: the port can't be used again yet. EADDRNOTAVAIL: no module has
                such an address.
            TimeoutError: Not listening in time; the message names the stage.
            LinkLost: The pool is closed, or the link of the last modem failed.
            ModemError: Every modem failed; this is the first one's error.

        Cancellation is safe.
        """
        check_callable("client_connected_cb", client_connected_cb)
        check_integer("limit", limit, 1)
        self._read_server(modem, address, host, port, sock, start_serving)
        server_tls(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        return await self._listen(
            modem,
            lambda chosen, left: chosen.start_server(
                client_connected_cb,
                *address,
                host=host,
                port=port,
                limit=limit,
                ssl=ssl,
                family=family,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
                timeout=left,
            ),
            timeout,
        )

    def _read_server(
        self,
        modem: Modem | None,
        address: tuple[ListenerHost | int, ...],
        host: ListenerHost,
        port: int | None,
        sock: object,
        start_serving: bool,
    ) -> None:
        self._check()
        refuse_listener_options(sock, start_serving)
        read_listener(address, host, port)
        if modem is not None and modem not in self.modems:
            raise ValueError(f"modem is {modem!r}: use one of this pool's modems, or None")

    async def _listen(
        self,
        modem: Modem | None,
        call: Callable[[Modem, float | None], Awaitable[Server]],
        timeout: float | None,
    ) -> Server:
        if modem is not None:
            return await call(modem, timeout)
        return await self._try(call, timeout, lambda exc: blames_modem(exc) or _lacks_address(exc))

    # -- names and pings -----------------------------------------------------------------

    async def resolve(self, host: str | bytes | Host) -> Resolution:
        """Resolve a name on one of the modems (AT+QIDNSGIP, §2.2.10); see :meth:`Modem.resolve`.

        Args:
            host: The name, of at most 253 bytes; an address is its own answer.

        Raises:
            ValueError: The text can't be a host name; nothing was sent.
            NameNotFound: The name has no address (a ``socket.gaierror``).
            ConnectFailed: The module reported another error.
            StageTimeout: No modem had a network in 180 s.
            LinkLost: The pool is closed, or the link of the last modem failed.
            ModemError: Every modem failed; this is the first one's error.

        Cancellation is safe.
        """
        self._check()
        read = Host.read(host)
        Qidnsgip(self._context_id, read)  # a wrong host is a ValueError
        if read.address is not None:
            return await self.modems[0].resolve(read)  # which asks nobody
        return await self._try(lambda modem, _left: modem.resolve(read), None)

    async def ping(
        self, host: str | bytes, *, timeout: int = 4, count: int = 4, size_bytes: int = 32
    ) -> PingReport:
        """Ping a host from one of the modems; see :meth:`Modem.ping`.

        Args:
            host: IP address or name.
            timeout: Whole seconds for each request, 1–255.
            count: Requests, 1–10.
            size_bytes: Bytes of each, 32–200.

        Returns:
            A report. Lost requests are counted in it, and are no error.

        Raises:
            ValueError: An argument is out of range; nothing was sent.
            NameNotFound: The name has no address.
            CommandError: The module refused, or the ping failed as a whole.
            StageTimeout: No modem had a network in 180 s.
            LinkLost: The pool is closed, or the link of the last modem failed.
            ModemError: Every modem failed; this is the first one's error.

        Cancellation is safe.
        """
        self._check()
        Qping(self._context_id, host, timeout, count, size_bytes)  # a wrong one is a ValueError
        return await self._try(
            lambda modem, _left: modem.ping(
                host, timeout=timeout, count=count, size_bytes=size_bytes
            ),
            None,
        )

    # -- other programs and libraries ----------------------------------------------------

    async def _addresses(self) -> Sequence[tuple[int, tuple[str, ...]]]:
        """Ask all modems that are up for their addresses."""
        modems = [each for each in self.modems if each.state is ModemState.UP]
        answers = await asyncio.gather(
            *(each.addresses() for each in modems), return_exceptions=True
        )
        return [each for one in answers if not isinstance(one, BaseException) for each in one]

    def installed(
        self,
        *,
        strict: bool = False,
        bypass: Iterable[str | IPv4Address | IPv6Address | IPv4Network | IPv6Network] = (
            "localhost",
            "127.0.0.0/8",
            "::1",
        ),
    ) -> AbstractContextManager[ModemPool]:
        """Route asyncio's own calls through the modems; see :meth:`Modem.installed`.

        Each connection chooses its modem as :meth:`create_connection` does.

        Args:
            strict: Raise where a call of the loop can't be routed and would reach the
                ordinary network.
            bypass: What stays on the ordinary network: names, endings of names with a
                leading dot, addresses and networks.

        Returns:
            A context manager that gives the pool. It may be entered several times.

        Raises:
            TypeError: ``bypass`` holds something else, or ``strict`` is no bool.
            ValueError: A network of ``bypass`` can't be read.
            RuntimeError: On entering: no loop runs, or another one than the pool's.

        """
        check_flag("strict", strict)
        from aiobc9x.adapters.redirect.installation import Installation  # noqa: PLC0415  (adapters load on demand)

        return Installation(self, self._loop, self._addresses, strict=strict, bypass=bypass)

    def _check_fitness(self) -> bool:
        """Return whether a modem can open connections now."""
        checked = [each._fitness.check() for each in self.modems]  # all, so that each gets ready
        return any(checked)

    async def serve_proxy(
        self,
        host: str = "127.0.0.1",
        port: int | None = 1080,
        *,
        forwards: Forwards = (),
        allow_remote: bool = False,
        handshake_timeout: float = 30.0,
        connect_timeout: float | None = None,
        linger: float = 30.0,
        health_path: str | None = "/health",
    ) -> ProxyServer:
        """Let other programs connect through the modems; see :meth:`Modem.serve_proxy`.

        Each connection chooses its modem as :meth:`create_connection` does.

        Args:
            host: Where to listen: a loopback address or ``"localhost"``.
            port: The port of SOCKS5 and HTTP; 0 for any that is free, ``None`` for forwards
                alone.
            forwards: As for :meth:`Modem.serve_proxy`.
            allow_remote: Listen on addresses that other machines can reach.
            handshake_timeout: Seconds that a client has for its request.
            connect_timeout: Seconds to connect, all modems that are tried included; ``None``:
                as for :meth:`create_connection`.
            linger: Seconds without a byte after which a connection ends whose client has
                sent EOF but whose peer has not.
            health_path: As for :meth:`Modem.serve_proxy`: 200 if one of the modems can be used.

        Returns:
            The proxy; close it, or use it as an async context manager. It ends with the pool,
            not with one of its modems.

        Raises:
            TypeError: An argument is of another type.
            ValueError: An argument is out of range, or the address is no loopback address.
            OSError: The system refuses a port.
            LinkLost: The pool is closed.

        Cancellation is safe: nothing listens then.
        """
        check_flag("allow_remote", allow_remote)
        from aiobc9x.adapters.proxy import server  # noqa: PLC0415  (adapters load on demand)

        self._check()
        timeouts = ProxyTimeouts(handshake_timeout, linger, connect_timeout)
        health = HealthCheck(health_path, self._check_fitness)
        made = await server.serve_proxy(self, host, port, forwards, allow_remote, timeouts, health)
        self._proxies = [old for old in self._proxies if old.is_serving()] + [made]
        if self._closing is not None:
            made.close()
        return made


class PoolOpening(Opening[ModemPool]):
    """The result of :func:`open_pool`: await it, or use it in ``async with``."""

    def __init__(
        self,
        openings: dict[str, ModemOpening],
        policy: Reconnect | None,
        context_id: int,
        timeout: float | None,
    ) -> None:
        super().__init__("open_pool", "pool", ", ".join(openings))
        self._openings, self._policy = openings, policy
        self._context_id, self._timeout = context_id, timeout

    async def _open(self) -> ModemPool:
        self._check_asyncio_runs()
        policy = self._policy
        waits = policy is not None and policy.wait_for_device
        pool = ModemPool(
            lambda changes: [
                _Member(name, opening, policy, changes) for name, opening in self._openings.items()
            ],
            self._context_id,
        )
        try:
            # Without a wait, each opening has its own limit, whose error says more.
            async with timing(self._timeout if waits else None) as stage:
                stage.name = "waiting for the first device of the pool"
                await pool._open(waits)
        except BaseException:
            # Closed before this returns, so that the next try finds the ports free.
            await until_done(asyncio.create_task(pool.aclose(), name="aiobc9x close pool"))
            raise
        return pool


def open_pool(
    addresses: Iterable[str | Create],
    *,
    baudrate: int | None = 115200,
    bytesize: int = 8,
    parity: Literal["N", "E", "O", "M", "S"] = "N",
    stopbits: float = 1,
    rtscts: bool = False,
    xonxoff: bool = False,
    dsrdtr: bool = False,
    exclusive: bool = True,
    dtr: bool | None = None,
    rts: bool | None = None,
    context_id: int = 1,
    profile: ModuleProfile | None = None,
    sync_timeout: float = 30,
    timeout: float | None = None,
    pin: str | None = None,
    receive_hex: bool = False,
    open_time: int = OPEN_TIME_DEFAULT_S,
    allow_sleep: bool = False,
    read_ahead_bytes: int = READ_AHEAD_BYTES,
    poll_interval: float = 10.0,
    state_interval: float = 30.0,
    answer_timeout: float = 10.0,
    send_form: Literal["auto", "inline", "hex", "fixed"] = "auto",
    port_quarantine: float = LOCAL_PORT_QUARANTINE_S,
    reconnect: Reconnect | None = BY_ITSELF,
    trace: Trace | str | os.PathLike[str] | Literal[False] | None = None,
) -> PoolOpening:
    """Open several modules as one; await the result, or use it in ``async with``.

    The pool is open once one module is: the others have five seconds more, and are opened in
    the background later, as ``reconnect`` says. With ``reconnect=None`` a module that can't be
    opened at first stays out. The ``reset`` hook is called for modems that have been open.

    Args:
        addresses: What :func:`open_modem` takes as its address, one for each module.
        baudrate: This and all other arguments are those of :func:`open_modem`, the same for
            each module.
        bytesize: Data bits, 5–8.
        parity: ``"N"``, ``"E"``, ``"O"``, ``"M"`` or ``"S"``.
        stopbits: 1, 1.5 or 2.
        rtscts: Hardware flow control.
        xonxoff: Software flow control; it can't carry binary payloads.
        dsrdtr: Flow control by DSR and DTR.
        exclusive: Refuse a device that another program has locked.
        dtr: Level of DTR after opening; ``None`` for the system's.
        rts: Level of RTS after opening; ``None`` for the system's.
        context_id: ``<contextID>`` of every socket, 1–3.
        profile: Facts about the modules; ``None`` chooses them for each by its answer to ATI.
        sync_timeout: Seconds for a module's first answer, and as many again for its settings.
        timeout: Seconds for each module's opening; with ``Reconnect(wait_for_device=True)``, also
            for the first device to be there. ``None``: as long as its parts take.
        pin: The PIN of all SIMs that want one.
        receive_hex: Have received data sent as hex digits (§2.2.11).
        open_time: Seconds that a module tries to connect, 1–36 (§2.2.11).
        allow_sleep: Let the modules sleep, and wake one before a command.
        read_ahead_bytes: Bytes that a socket may hold here while its protocol has paused.
        poll_interval: Seconds between reads of a silent socket; 0 for never.
        state_interval: Seconds between two looks at sockets, or at a silent line; 0 for never.
        answer_timeout: Seconds without a byte of an answer after which it counts as lost.
        send_form: How payloads are sent: ``"auto"``, ``"inline"``, ``"hex"`` or ``"fixed"``.
        port_quarantine: Seconds before a fixed local port is used again.
        reconnect: How each modem comes back, and how those that are away at first are opened.
            With ``wait_for_device=True``, and no device there at all, the opening waits for the
            first one.
        trace: A file to record in. Each further modem gets one of its own: ``NAME-2``, and so on.

    Returns:
        An awaitable that gives a :class:`ModemPool`, and an async context manager.

    Raises:
        TypeError: An argument has a wrong type; raised by the call itself.
        ValueError: An argument is out of range, or there are no addresses, or one twice; raised
            by the call itself. When awaited, with no module open at all:
        Exception: What :func:`open_modem` raises for the first address; notes on it tell what
            happened to the others.
        RuntimeError: No event loop of asyncio runs, as under trio.

    Cancellation closes what was opened before it passes, so the ports are free then.
    """
    if isinstance(addresses, str) or callable(addresses):
        raise TypeError(f"addresses must be several, such as [{name_of(addresses)!r}], not one")
    # The pool waits for devices itself, because one that is away must not hold the others up.
    each = reconnect
    if isinstance(reconnect, Reconnect) and reconnect.wait_for_device:
        each = replace(reconnect, wait_for_device=False)
    openings: dict[str, ModemOpening] = {}
    for index, address in enumerate(addresses):
        opening = open_modem(
            address,
            baudrate=baudrate,
            bytesize=bytesize,
            parity=parity,
            stopbits=stopbits,
            rtscts=rtscts,
            xonxoff=xonxoff,
            dsrdtr=dsrdtr,
            exclusive=exclusive,
            dtr=dtr,
            rts=rts,
            context_id=context_id,
            profile=profile,
            sync_timeout=sync_timeout,
            timeout=timeout,
            pin=pin,
            receive_hex=receive_hex,
            open_time=open_time,
            allow_sleep=allow_sleep,
            read_ahead_bytes=read_ahead_bytes,
            poll_interval=poll_interval,
            state_interval=state_interval,
            answer_timeout=answer_timeout,
            send_form=send_form,
            port_quarantine=port_quarantine,
            reconnect=each,
            trace=trace,
        )
        name = name_of(address) if isinstance(address, str) else f"{name_of(address)} {index}"
        if name in openings:
            raise ValueError(f"addresses has {name} twice: a module is opened once")
        openings[name] = opening
    if not openings:
        raise ValueError("addresses is empty: name at least one device")
    return PoolOpening(openings, reconnect, context_id, timeout)
