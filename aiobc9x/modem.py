"""The modem: what applications call.

Layer: aio.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import TracebackType
from typing import Final

import anyio

from aiobc9x.adapters.proxy.api import Forwards, ProxyServer
from aiobc9x.aio.arguments import check_flag, check_positive_seconds, check_seconds, check_text
from aiobc9x.aio.bringup.readiness import READY_TIMEOUT_S, Readiness
from aiobc9x.aio.bringup.startup import Started
from aiobc9x.aio.bringup.steps import Leftovers
from aiobc9x.aio.connections.accepting import Acceptor
from aiobc9x.aio.connections.connecting import Connector
from aiobc9x.aio.connections.hosts import HostOpener
from aiobc9x.aio.connections.methods import ConnectionMethods
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.line.slot_events import owner_of
from aiobc9x.aio.line.subscriptions import Subscription
from aiobc9x.aio.options import Options
from aiobc9x.aio.queries.dns_ping_ntp import NameQueries, Resolver
from aiobc9x.aio.queries.radio import RadioQueries
from aiobc9x.aio.queries.raw_command import check_data, check_form, check_line, opens_socket
from aiobc9x.aio.queries.settings import SettingQueries
from aiobc9x.aio.recovery import Health
from aiobc9x.aio.sockets.access_modes import ModeSwitcher
from aiobc9x.aio.sockets.compare import Examiner
from aiobc9x.aio.sockets.lifetimes import SocketKeeper
from aiobc9x.aio.sockets.opening import Opener
from aiobc9x.core.line_timing import LineTiming
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.statistics import Statistics
from aiobc9x.errors import LinkLost
from aiobc9x.wire.commands.base import Raw
from aiobc9x.wire.urcs import CloseOk, Received, SendFail, SendOk, Urc

logger = logging.getLogger("aiobc9x.aio")

CLOSE_LIMIT_S: Final = 14.5
"""Seconds that :meth:`Modem.aclose` gives the sockets; the port closes within 15."""

FORGOTTEN_S: Final = 1.0
"""From the moment that nobody holds a modem until its port is closed; a loop that ends
meanwhile, which may be what has dropped it, closes it by itself."""

DROP_TIME_S: Final = 2.5
"""Of these, at least so many are for closing those that could not be flushed."""


_ROUTINE: Final = frozenset({SendOk, SendFail, Received, CloseOk})
"""What the session has acted on, and nobody else needs to know: most of all URCs."""


class Modem(ConnectionMethods, NameQueries, RadioQueries, SettingQueries):
    """One module; made by :func:`open_modem`.

    A method that is cancelled leaves the line in step and no connect ID behind.
    """

    def __init__(self, options: Options, driver: Driver, started: Started) -> None:
        self._driver, self._identification = driver, started.identity
        self._loop = asyncio.get_running_loop()
        self._context_id = options.context_id
        self._modes = ModeSwitcher(driver)
        self._keeper = SocketKeeper(driver, options.context_id, options.port_quarantine)
        self._opener = Opener(self._keeper)
        self._opener.open_time = options.settings.open_time
        self._examiner = Examiner(self._keeper)
        leftovers = Leftovers(driver, started.left)
        self._readiness = Readiness(driver, options.context_id, options.pin, leftovers)
        # A network that had to be waited for again was lost, and the module's ports with it.
        self._readiness.on_ready = driver.session.sockets.forget_ports
        self._examiner.on_network_lost = self._readiness.forget  # it may have gone without a word
        self._health = Health(
            driver,
            self._examiner,
            self._opener,
            options.settings,
            leftovers,
            options.state_interval,
        )
        self._health.on_unseen_restart = self._readiness.restarted
        self._resolver = Resolver(driver, self._readiness, options.context_id)
        self._connector = Connector(
            self,
            self._keeper,
            HostOpener(self._opener, self._resolver, options.context_id),
            self._examiner,
            self._readiness,
            self._modes,
            options.read_ahead_bytes,
        )
        self._acceptor = Acceptor(self._keeper, self._connector)
        self._closing: asyncio.Task[None] | None = None
        self._proxies: list[ProxyServer] = []
        self._set_up_names()
        self._take_over(driver)

    def __repr__(self) -> str:
        state = "open" if self._driver.is_alive else "closed"
        sockets = len(self._driver.session.sockets)
        return f"<Modem {self._driver.link.name} {state} sockets={sockets}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        driver = getattr(self, "_driver", None)
        if driver is None or not driver.is_alive or self._closing is not None:
            return
        driver.is_forgotten = True
        if not self._loop.is_closed():  # it may be another thread that collects garbage
            text = f"{driver.link.name} was still open when nobody held it; use 'async with'"
            self._loop.call_soon_threadsafe(self._loop.call_later, FORGOTTEN_S, driver.fail, text)
        _warn(f"unclosed modem {self!r}; use 'async with'", ResourceWarning, source=self)

    async def __aenter__(self) -> Modem:
        """Return the modem itself.

        Raises:
            LinkLost: It is closed, for good.

        """
        if self._closing is not None or not self._driver.is_alive:
            name = self._driver.link.name
            raise LinkLost(f"the modem on {name} is closed; open it anew, with open_modem()")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it; see :meth:`aclose`."""
        await self.aclose()

    @property
    def statistics(self) -> Statistics:
        """Counters, live."""
        return self._driver.session.statistics

    @property
    def profile(self) -> ModuleProfile:
        """What this module is known to do."""
        return self._driver.session.profile

    @property
    def line(self) -> LineTiming:
        """What the line takes: its rate, the module's latency, our own turnaround.

        Both times are moving averages, 0 until the first answer.
        """
        return self._driver.session.line

    @property
    def identification(self) -> tuple[str, ...]:
        """The lines that the module answered to ATI at start-up."""
        return self._identification

    def subscribe(self) -> Subscription:
        """Return an async iterator over URCs and lifecycle events from now on.

        A subscriber that is too slow gets :class:`~aiobc9x.aio.line.subscriptions.Dropped`.
        """
        return self._driver.hub.subscribe(keep=self)

    async def wait_ready(self, timeout: float = READY_TIMEOUT_S) -> None:
        """Wait for SIM, registration, attach, context and address.

        What the module refuses for now, answers late or forgets in a restart is asked again,
        and settings that it refused at start-up are set; only what waiting can't mend ends
        the wait early.

        Returns at once if it was ready before and no URC contradicts it. Progress goes
        to :meth:`subscribe`.

        Args:
            timeout: Seconds.

        Raises:
            TypeError: The timeout is no number.
            TimeoutError: Not ready in time; the message names the stage.
            PinRequired: The SIM wants a PIN, or refused it.
            PukRequired: The SIM wants its PUK.
            SimError: There is no SIM, it has failed, or the module is locked to others.
            LinkLost: The link failed.

        Cancellation is safe.
        """
        check_seconds("timeout", timeout)
        await self._readiness.wait(timeout)

    async def command(
        self, line: str, *, data: bytes | None = None, timeout: float | None = None
    ) -> list[str]:
        """Send any other AT command; return its information lines.

        A send ends with ``SEND OK``, which is its last line. What AT+QIRD reads comes as
        two lines. Results that come as URCs, such as ``+QIOPEN``, and all other lines that are
        no answer to this command go to :meth:`subscribe`; docs/reference.md says which are.
        AT+QICFG, AT+QISWTMD and ATE take effect on how answers are read, at their OK. Other
        commands that would change that are refused: AT&F, ATZ, ATV0, ATQ1, several in one line.

        Args:
            line: The command with ``AT``, in printable ASCII, without ``<CR>``.
            data: What goes out at the prompt, for a command that has one. AT+QISEND without a
                length gets its Ctrl-Z; AT+QISENDEX takes two hex digits a byte.
            timeout: Seconds until the final result; ``None``: 15, and up to 180 for what
                waits for radio or network (AT+CFUN, AT+CGATT, AT+CGACT, AT+COPS).

        Raises:
            TypeError: The line is no text, the data no bytes, or the timeout no number.
            ValueError: The line holds a control or non-ASCII character, concerns a socket in
                use, or changes how answers are read, the data don't fit it, or the timeout is
                not above 0; nothing was sent. The message says what to do instead.
            CommandError: The module refused it, or answered ``SEND FAIL``.
            LinkTimeout: No final result in time, or bytes of the answer were lost.
            StreamBroken: Nobody knows whether the module has the data of a send.
            ModuleReset: The module restarted meanwhile.
            LinkLost: The link failed.

        Cancellation is safe: an answer on its way is swallowed.
        """
        check_text("line", line)
        if data is not None and not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data must be bytes, not {type(data).__name__}")
        if timeout is not None:
            check_positive_seconds("timeout", timeout)
        if "=" not in line:
            command = _bare_command(line, data is not None)
        else:
            command = Raw(line, data is not None)
            check_line(line, self._driver.session.sockets)
            check_form(line)
            data = check_data(line, data)
            if (effect := command.meaning.effect) is not None:
                self._check_lengths(effect)
            self._keeper.has_foreign_sockets |= opens_socket(line)
        return await self._driver.run(command, limit=timeout, data=data)

    def installed(
        self,
        *,
        strict: bool = False,
        bypass: Iterable[str | IPv4Address | IPv6Address | IPv4Network | IPv6Network] = (
            "localhost",
            "127.0.0.0/8",
            "::1",
        ),
    ) -> AbstractContextManager[Modem]:
        """Route asyncio's own calls through the module, for the code inside ``with``.

        That is ``create_connection``, ``create_datagram_endpoint``, ``create_server``,
        ``getaddrinfo``, ``getnameinfo``, ``sock_connect`` and ``start_tls`` of the running
        loop, hence ``asyncio.open_connection()``, ``asyncio.start_server()`` and most
        libraries. Each task has its own way: those started inside keep it after the
        block, others are never touched. docs/existing-software.md says what can't be
        caught.

        Args:
            strict: Raise where a call of the loop can't be routed and would reach the
                ordinary network.
            bypass: What stays on the ordinary network: names, endings of names with a
                leading dot, addresses and networks.

        Returns:
            A context manager that gives the modem. It may be entered several times.

        Raises:
            TypeError: ``bypass`` holds something else, or ``strict`` is no bool.
            ValueError: A network of ``bypass`` can't be read.
            RuntimeError: On entering: no loop runs, or another one than the modem's.

        """
        check_flag("strict", strict)
        from aiobc9x.adapters.redirect.installation import Installation  # noqa: PLC0415  (adapters load on demand)

        return Installation(self, self._loop, strict=strict, bypass=bypass)

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
    ) -> ProxyServer:
        """Let other programs connect through the module: SOCKS5, HTTP and forwarded ports.

        Names are resolved by the module if the program leaves them to the proxy
        (``socks5h://``). Every connection takes one of the six sockets. There is no password.

        Args:
            host: Where to listen: a loopback address or ``"localhost"``.
            port: The port of SOCKS5 and HTTP; 0 for any that is free, ``None`` for forwards
                alone.
            forwards: ``{local port: (host, port)}``, or strings such as
                ``"1883:broker.example:1883"`` and ``"127.0.0.1:1883:broker.example:1883"``.
            allow_remote: Listen on addresses that other machines can reach.
            handshake_timeout: Seconds that a client has for its request.
            connect_timeout: Seconds to connect, waiting for the network included; ``None``:
                as for :meth:`create_connection`.
            linger: Seconds without a byte after which a connection ends whose client has
                sent EOF but whose peer has not.

        Returns:
            The proxy; close it, or use it as an async context manager. It ends with the
            modem.

        Raises:
            TypeError: An argument is of another type.
            ValueError: An argument is out of range, or the address is no loopback address.
            OSError: The system refuses a port.
            LinkLost: The modem is closed.

        Cancellation is safe: nothing listens then.
        """
        check_flag("allow_remote", allow_remote)
        from aiobc9x.adapters.proxy import clients, server  # noqa: PLC0415  (adapters load on demand)

        self._driver.check()
        settings = clients.Settings(handshake_timeout, linger, connect_timeout)
        made = await server.serve_proxy(self, host, port, forwards, allow_remote, settings)
        self._proxies = [old for old in self._proxies if old.is_serving()] + [made]
        if self._closing is not None:
            made.close()
        return made

    async def aclose(self) -> None:
        """Flush and close every socket on the module, then the port, within 15 s.

        Connections that are still being opened are closed too. Closing twice is harmless.
        Cancellation doesn't stop it: it goes on in the background. A cancelled scope of anyio
        waits for it, so that the port is free behind ``async with``.

        Raises:
            RuntimeError: The modem belongs to another event loop; nothing is closed.

        """
        self._driver.home.check_loop()
        if self._closing is None:
            self._closing = asyncio.create_task(self._aclose(), name="aiobc9x close")
        with anyio.CancelScope(shield=True):
            await asyncio.shield(self._closing)

    async def _aclose(self) -> None:
        for proxy in self._proxies:
            proxy.close()
        try:
            if self._driver.is_alive:
                end = self._loop.time() + CLOSE_LIMIT_S
                with anyio.CancelScope() as flush:
                    await self._close_sockets(flush, end)
                if flush.cancelled_caught:
                    with anyio.CancelScope() as drop:
                        await self._drop_sockets(drop, end)
        finally:
            await self._driver.stop()

    async def _close_sockets(self, flush: anyio.CancelScope, end: float) -> None:
        self._keeper.is_closing = True
        for slot in self._driver.session.sockets:
            owner = owner_of(slot)
            if owner is None:
                self._keeper.close(slot, whoever=True)  # nobody accepts connections any more
            else:
                owner.close()
        await self._all_freed(flush, lambda: end - self._time_to_drop())
        flush.deadline = end
        if self._keeper.has_foreign_sockets or self._keeper.has_listened:
            await self._keeper.close_foreign()

    async def _drop_sockets(self, drop: anyio.CancelScope, end: float) -> None:
        """Close what could not be flushed: an open socket costs the module more."""
        for slot in self._driver.session.sockets:
            owner = owner_of(slot)
            if owner is not None:
                owner.on_failed(LinkLost("the modem was closed"))
        await self._all_freed(drop, lambda: end)

    def _time_to_drop(self) -> float:
        """Seconds that closing all sockets takes, by what the module took for its answers."""
        answers = len(self._driver.session.sockets) + 1  # one may be on its way
        return max(DROP_TIME_S, 0.5 + 1.1 * answers * self.line.latency_s)

    async def _all_freed(self, scope: anyio.CancelScope, end: Callable[[], float]) -> None:
        """Wait until no socket is in use, or the time has come that depends on how many are."""
        while len(self._driver.session.sockets) and self._driver.is_alive:
            scope.deadline = end()
            await self._keeper.freed.wait()

    def _take_over(self, driver: Driver) -> None:
        """Look after a module that start-up has brought in step."""
        # The driver lives as long as its loop, and must not keep a modem that nobody holds.
        driver.on_urc = _Heard(self._readiness, self._health, self._acceptor)
        driver.on_out_of_step = self._health.regain_step
        driver.on_restarted = self._health.after_restart
        driver.on_orphaned = self._keeper.close_orphan
        for slot in driver.session.sockets:
            self._keeper.close(slot)  # came to an earlier program's listener in the meantime
        driver.session.resume()
        driver.spawn(self._health.watch)


class _Heard:
    """Tells of URCs those parts of a modem that go by them."""

    def __init__(self, *parts: Readiness | Health | Acceptor) -> None:
        self._parts = parts

    def __call__(self, urc: Urc) -> None:
        """Tell of a URC."""
        if type(urc) not in _ROUTINE:
            for part in self._parts:
                part.on_urc(urc)


@lru_cache(maxsize=64)
def _bare_command(line: str, prompt: bool) -> Raw:
    """Make a command without parameters: callers repeat it, and it holds no secrets to keep."""
    command = Raw(line, prompt)
    check_form(line)
    return command
