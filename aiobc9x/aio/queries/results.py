"""Define what the modem's queries return.

Layer: aio.
"""

from __future__ import annotations

from aiobc9x.aio.arguments import check_seconds
from aiobc9x.slotted import slotted
from aiobc9x.spec import DataFormat, ViewMode
from aiobc9x.wire.commands.power import NB_S1, EdrxSetting
from aiobc9x.wire.signalling import edrx_seconds


@slotted(frozen=True)
class Resolution:
    """The addresses of a name (§2.2.10).

    Attributes:
        addresses: The addresses in the module's order, each once.
        ttl_s: Time to live in seconds; 0 if the module doesn't say.

    """

    addresses: tuple[str, ...]
    ttl_s: int


@slotted(frozen=True)
class PingReply:
    """One request of a ping (§2.2.8).

    Attributes:
        ip_address: Who answered, ``None`` after a timeout.
        size_bytes: Bytes of the request, ``None`` after a timeout.
        time_ms: Milliseconds to the answer, ``None`` after a timeout.
        ttl: Time to live of the answer, ``None`` after a timeout.

    """

    ip_address: str | None = None
    size_bytes: int | None = None
    time_ms: int | None = None
    ttl: int | None = None

    @property
    def timed_out(self) -> bool:
        """Whether no answer came."""
        return self.time_ms is None


@slotted(frozen=True)
class PingReport:
    """A whole ping (§2.2.8).

    The note calls the counts bytes; its example, and the modules, count requests (N14).

    Attributes:
        replies: One entry for each request whose outcome the module has reported.
        sent: Requests sent.
        received: Answers received.
        lost: Requests without an answer.
        min_ms: Shortest time, ``None`` without an answer.
        max_ms: Longest time, ``None`` without an answer.
        avg_ms: Average as the module states it, ``None`` without an answer.

    """

    replies: tuple[PingReply, ...]
    sent: int
    received: int
    lost: int
    min_ms: int | None
    max_ms: int | None
    avg_ms: int | None


@slotted(frozen=True)
class ModuleSettings:
    """The settings of AT+QICFG (§2.2.11); ``None`` for one that the module doesn't tell.

    Attributes:
        send_data_format: Always text; the module can't be set to anything else.
        recv_data_format: Whether payloads come as text or as hex digits. In NVRAM.
        view_mode: What stands between a header and its data. In NVRAM.
        show_length: Whether headers carry the optional lengths. In NVRAM.
        open_time: Seconds that the module tries to connect. Lost in deep sleep.

    """

    send_data_format: DataFormat | None
    recv_data_format: DataFormat | None
    view_mode: ViewMode | None
    show_length: bool | None
    open_time: int | None


@slotted(frozen=True)
class Identity:
    """The names and numbers of the module and its SIM; ``None`` for one that it doesn't tell."""

    manufacturer: str | None
    model: str | None
    revision: str | None
    imei: str | None
    imsi: str | None
    iccid: str | None


@slotted(frozen=True)
class Signal:
    """Strength and quality of reception (27.007); ``None`` where unknown.

    Attributes:
        rssi_dbm: Received signal strength (CSQ).
        ber: Channel bit error rate class 0–7 (CSQ).
        rsrp_dbm: Lower bound of the reference signal's power (CESQ).
        rsrq_db: Lower bound of the reference signal's quality (CESQ).

    """

    rssi_dbm: int | None
    ber: int | None
    rsrp_dbm: int | None
    rsrq_db: float | None


@slotted(frozen=True)
class PowerSaving:
    """The timers of PSM: how long a module listens after its last traffic, then it sleeps.

    What it asks the network for is rounded up to what can be written (24.008).

    Attributes:
        active_s: Seconds that it can still be reached (T3324), 0-11160.
        period_s: Seconds until it tells the network that it is there if nobody has woken it
            before (T3412), up to 413 days.

    """

    active_s: float
    period_s: float

    def __post_init__(self) -> None:
        """Refuse what is no time."""
        check_seconds("active_s", self.active_s)
        check_seconds("period_s", self.period_s)


@slotted(frozen=True)
class PowerSavingStatus:
    """Power saving as requested from the network, and what it grants (27.007).

    Attributes:
        enabled: Whether PSM is on; ``None`` if the module doesn't tell.
        periodic_tau_s: T3412 in seconds, as requested; ``None`` if off or unknown.
        active_time_s: T3324 in seconds, as requested; ``None`` if off or unknown.
        edrx: The requested eDRX settings, one an access technology.
        granted: PSM as the network grants it; ``None`` if it doesn't, or the module is not
            registered or doesn't tell.
        granted_edrx_s: The eDRX cycle that the network grants, in seconds; ``None`` likewise.

    """

    enabled: bool | None
    periodic_tau_s: int | None
    active_time_s: int | None
    edrx: tuple[EdrxSetting, ...]
    granted: PowerSaving | None = None
    granted_edrx_s: float | None = None

    @property
    def requested(self) -> PowerSaving | None:
        """PSM as requested; ``None`` if it is off or unknown."""
        if not self.enabled or self.active_time_s is None or self.periodic_tau_s is None:
            return None
        return PowerSaving(self.active_time_s, self.periodic_tau_s)

    @property
    def edrx_s(self) -> float | None:
        """The requested eDRX cycle of NB-IoT in seconds; ``None`` if off or unknown."""
        values = [row.value for row in self.edrx if row.act_type == NB_S1]
        return edrx_seconds(values[0]) if values else None
