"""Work out the settings of libraries for a link with a round trip of 1–10 s.

Layer: adapters. Imports no library.

Libraries expect an answer in a fraction of a second. On a slow link their defaults give up too
early, or send a request again that is still on its way: it costs twice the data, and may be done
twice. The waits that a round trip needs are worked out here, once; each library gets a dict of
its own keywords. ::

    slow = settings_for(round_trip_s=4.0)
    client = httpx.AsyncClient(timeout=httpx.Timeout(**slow.httpx))
"""

from __future__ import annotations

from typing import Any, Final

from aiobc9x.aio.arguments import check_seconds
from aiobc9x.slotted import slotted
from aiobc9x.spec import NAME_RESOLUTION_S, OPEN_TIME_DEFAULT_S

__all__ = ["SlowLink", "settings_for"]

ROUND_TRIP_MIN_S: Final = 0.1
ROUND_TRIP_MAX_S: Final = 60.0

ANSWER_ROUND_TRIPS: Final = 10
ANSWER_MIN_S: Final = 30.0
TLS_ROUND_TRIPS: Final = 15
TLS_MIN_S: Final = 60.0
ACK_ROUND_TRIPS: Final = 4
ACK_MIN_S: Final = 5.0
OPEN_MARGIN_S: Final = 5.0
KEEPALIVE_S: Final = 240.0
KEEPALIVE_ROUND_TRIPS: Final = 30

Keywords = dict[str, Any]
"""Keyword arguments of a library (``Any``: they have its types)."""


@slotted(frozen=True)
class SlowLink:
    """The settings for one round trip; made by :func:`settings_for`.

    Attributes:
        round_trip_s: From a request to its answer, in seconds, as a program sees it.
        sockets: Connections that a pool may hold.

    """

    round_trip_s: float
    sockets: int

    @property
    def answer_s(self) -> float:
        """How long to wait for an answer: ten round trips, at least 30 s.

        Commands of other sockets go first, a lost TCP segment is sent again only after seconds,
        and a radio that rests must be paged by the network first.
        """
        return max(ANSWER_MIN_S, ANSWER_ROUND_TRIPS * self.round_trip_s)

    @property
    def connect_s(self) -> float:
        """How long to wait for a connection: what the module itself may take, and an answer.

        The module may take 140 s for a name and 36 s to connect (§2.2.1, note 2), and then says
        why it failed. A program that gives up sooner does not learn that, and the connect ID
        stays reserved until the module has answered.
        """
        return NAME_RESOLUTION_S + OPEN_TIME_DEFAULT_S + OPEN_MARGIN_S + self.answer_s

    @property
    def tls_s(self) -> float:
        """How long to shake hands: fifteen round trips, at least 60 s.

        TLS 1.3 takes two round trips and some 2 kB; TLS 1.2 takes four, and more bytes.
        """
        return max(TLS_MIN_S, TLS_ROUND_TRIPS * self.round_trip_s)

    @property
    def exchange_s(self) -> float:
        """How long a first request may take in all: to connect, shake hands and be answered."""
        return self.connect_s + self.tls_s + self.answer_s

    @property
    def keepalive_s(self) -> float:
        """How long to be silent before a sign of life: 240 s, at least 30 round trips.

        Each sign of life wakes the radio, and its bytes are paid for. Networks that forget idle
        connections are commonly said to do so after five minutes or more.
        """
        return max(KEEPALIVE_S, KEEPALIVE_ROUND_TRIPS * self.round_trip_s)

    @property
    def ack_s(self) -> float:
        """When to take a datagram for lost: after four round trips, at least 5 s.

        A shorter wait would send datagrams again that have arrived; a longer one would waste
        time when one is lost.
        """
        return max(ACK_MIN_S, ACK_ROUND_TRIPS * self.round_trip_s)

    @property
    def asyncio(self) -> Keywords:
        """For ``create_connection()``, ``open_connection()`` and ``start_tls()`` with TLS."""
        return {"ssl_handshake_timeout": self.tls_s, "ssl_shutdown_timeout": self.answer_s}

    @property
    def httpx(self) -> Keywords:
        """For ``httpx2.Timeout()`` and ``httpx.Timeout()``; their default is 5 s each.

        ``connect`` counts for TCP and for TLS, each by itself; ``pool`` is the wait for one
        of the few sockets.
        """
        return {
            "connect": self.connect_s,
            "read": self.answer_s,
            "write": self.answer_s,
            "pool": self.exchange_s,
        }

    @property
    def httpx_limits(self) -> Keywords:
        """For ``httpx2.Limits()`` and ``httpx.Limits()``.

        Their default of 100 would have the module refuse the seventh.
        """
        return {
            "max_connections": self.sockets,
            "max_keepalive_connections": self.sockets,
            "keepalive_expiry": self.keepalive_s,
        }

    @property
    def aiohttp(self) -> Keywords:
        """For ``aiohttp.ClientTimeout()``; its default is 300 s in all and 30 s to connect.

        ``connect`` includes the wait for one of the few sockets, and TLS.
        """
        return {
            "total": None,
            "connect": self.exchange_s + self.connect_s,
            "sock_connect": self.connect_s,
            "sock_read": self.answer_s,
        }

    @property
    def aiohttp_connector(self) -> Keywords:
        """For ``aiohttp.TCPConnector()``; ``happy_eyeballs_delay`` would open several sockets."""
        return {
            "limit": self.sockets,
            "keepalive_timeout": self.keepalive_s,
            "happy_eyeballs_delay": None,
        }

    @property
    def gmqtt(self) -> Keywords:
        """For ``gmqtt.Client.connect()``; its default is 60 s."""
        return {"keepalive": round(self.keepalive_s)}

    @property
    def aiomqtt(self) -> Keywords:
        """For ``aiomqtt.Client()``; its defaults are 10 s and 60 s.

        ``timeout`` is both for connecting and for each acknowledgement.
        """
        return {"timeout": self.exchange_s, "keepalive": round(self.keepalive_s)}

    @property
    def aiocoap(self) -> Keywords:
        """Class attributes for a subclass of ``aiocoap.numbers.constants.TransportTuning``.

        Its default ``ACK_TIMEOUT`` of 2 s sends every request two or three times. With two
        retransmissions it gives up after at most 10.5 times ``ack_s``.
        """
        return {"ACK_TIMEOUT": self.ack_s, "MAX_RETRANSMIT": 2}

    @property
    def websockets(self) -> Keywords:
        """For ``websockets.connect()``; its defaults are 10 s to open and a ping each 20 s."""
        return {
            "open_timeout": self.exchange_s,
            "ping_interval": self.keepalive_s,
            "ping_timeout": self.answer_s,
            "close_timeout": self.answer_s,
        }

    @property
    def pymodbus(self) -> Keywords:
        """For ``AsyncModbusTcpClient()``; its defaults are 3 s and three retries.

        ``timeout`` is both for connecting and for an answer; a retry would do a write twice.
        """
        return {
            "timeout": self.connect_s,
            "retries": 0,
            "reconnect_delay": self.answer_s,
            "reconnect_delay_max": 10 * self.answer_s,
        }

    @property
    def redis(self) -> Keywords:
        """For ``redis.asyncio.Redis()``; its defaults are 5 s, and to try again ten times.

        ``retry=None`` sends a command once. Protocol 2 saves the round trip of a HELLO.
        """
        return {
            "socket_timeout": self.answer_s,
            "socket_connect_timeout": self.connect_s,
            "retry": None,
            "protocol": 2,
            "max_connections": self.sockets,
        }

    @property
    def asyncssh(self) -> Keywords:
        """For ``asyncssh.connect()``; a login takes about ten round trips."""
        return {
            "connect_timeout": self.connect_s + self.exchange_s,
            "login_timeout": self.exchange_s,
            "keepalive_interval": self.keepalive_s,
        }

    @property
    def dnspython(self) -> Keywords:
        """Attributes for ``dns.asyncresolver.Resolver``; its defaults are 2 s and 5 s in all."""
        return {"timeout": self.ack_s, "lifetime": 3 * self.ack_s}

    @property
    def uvicorn(self) -> Keywords:
        """For ``uvicorn.Config()``; a client needs more than its 5 s for the next request."""
        return {
            "timeout_keep_alive": round(self.answer_s),
            "timeout_graceful_shutdown": round(self.answer_s),
            "ws_ping_interval": self.keepalive_s,
            "ws_ping_timeout": self.answer_s,
        }


def settings_for(round_trip_s: float = 4.0, *, sockets: int = 4) -> SlowLink:
    """Work out the settings for a link.

    Args:
        round_trip_s: From a request to its answer, in seconds, 0.1–60: what a first ``PING``,
            or ``GET`` of something small, takes on an open connection. Choose too much rather
            than too little: a program waits for so long only when something is lost.
        sockets: How many of the module's six a pool of connections may hold, 1–6.

    Raises:
        TypeError: The round trip is no number.
        ValueError: An argument is out of range.

    """
    check_seconds("round_trip_s", round_trip_s)
    if not ROUND_TRIP_MIN_S <= round_trip_s <= ROUND_TRIP_MAX_S:
        bounds = f"{ROUND_TRIP_MIN_S:g}–{ROUND_TRIP_MAX_S:g}"
        raise ValueError(f"round_trip_s is {round_trip_s}: use {bounds}")
    if sockets not in range(1, 7):
        raise ValueError(f"sockets is {sockets}: use 1–6")
    return SlowLink(round_trip_s, sockets)
