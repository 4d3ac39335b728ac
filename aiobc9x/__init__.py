"""asyncio connections over a Quectel BC65/BC92 NB-IoT module.

    async with aiobc9x.open_modem("/dev/ttyUSB0", baudrate=115200) as modem:
        reader, writer = await modem.open_connection("example.com", 443, ssl=True)

The names below are resolved when they are first used, so that the sans-I/O layers
load without asyncio.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as typing has it, which takes longer to load than all of this

if TYPE_CHECKING:
    from aiobc9x.adapters.proxy.api import Forward as Forward
    from aiobc9x.adapters.proxy.api import ProxyServer as ProxyServer
    from aiobc9x.adapters.proxy.api import ProxyStatistics as ProxyStatistics
    from aiobc9x.aio.connections.listening import Server as Server
    from aiobc9x.aio.ledger import Budget as Budget
    from aiobc9x.aio.ledger import ConnectionUsage as ConnectionUsage
    from aiobc9x.aio.line.subscriptions import BudgetReached as BudgetReached
    from aiobc9x.aio.line.subscriptions import Dropped as Dropped
    from aiobc9x.aio.line.subscriptions import LinkDown as LinkDown
    from aiobc9x.aio.line.subscriptions import LinkUp as LinkUp
    from aiobc9x.aio.line.subscriptions import ModemEvent as ModemEvent
    from aiobc9x.aio.line.subscriptions import Progress as Progress
    from aiobc9x.aio.line.subscriptions import Recovering as Recovering
    from aiobc9x.aio.line.subscriptions import Reset as Reset
    from aiobc9x.aio.line.subscriptions import StepLost as StepLost
    from aiobc9x.aio.line.subscriptions import StepRegained as StepRegained
    from aiobc9x.aio.line.subscriptions import Unknown as Unknown
    from aiobc9x.aio.queries.results import Identity as Identity
    from aiobc9x.aio.queries.results import ModuleSettings as ModuleSettings
    from aiobc9x.aio.queries.results import PingReply as PingReply
    from aiobc9x.aio.queries.results import PingReport as PingReport
    from aiobc9x.aio.queries.results import PowerSaving as PowerSaving
    from aiobc9x.aio.queries.results import PowerSavingStatus as PowerSavingStatus
    from aiobc9x.aio.queries.results import Resolution as Resolution
    from aiobc9x.aio.queries.results import Signal as Signal
    from aiobc9x.aio.reconnecting import ModemState as ModemState
    from aiobc9x.aio.reconnecting import Reconnect as Reconnect
    from aiobc9x.aio.transports.datagram import DatagramTransport as DatagramTransport
    from aiobc9x.aio.transports.resuming import ResumingContext as ResumingContext
    from aiobc9x.aio.transports.resuming import resuming_context as resuming_context
    from aiobc9x.aio.transports.stream import SocketTransport as SocketTransport
    from aiobc9x.aio.usage import PoolUsage as PoolUsage
    from aiobc9x.aio.usage import Usage as Usage
    from aiobc9x.core.air import AirCount as AirCount
    from aiobc9x.core.profile import ModuleProfile as ModuleProfile
    from aiobc9x.core.statistics import Statistics as Statistics
    from aiobc9x.errors import AddressBusy as AddressBusy
    from aiobc9x.errors import BudgetExceeded as BudgetExceeded
    from aiobc9x.errors import CommandError as CommandError
    from aiobc9x.errors import ConnectFailed as ConnectFailed
    from aiobc9x.errors import ConnectRefused as ConnectRefused
    from aiobc9x.errors import ConnectTimedOut as ConnectTimedOut
    from aiobc9x.errors import LinkLost as LinkLost
    from aiobc9x.errors import LinkTimeout as LinkTimeout
    from aiobc9x.errors import ModemError as ModemError
    from aiobc9x.errors import ModuleReset as ModuleReset
    from aiobc9x.errors import NameNotFound as NameNotFound
    from aiobc9x.errors import NetworkDown as NetworkDown
    from aiobc9x.errors import NetworkLost as NetworkLost
    from aiobc9x.errors import NetworkUnreachable as NetworkUnreachable
    from aiobc9x.errors import NoFreeSocket as NoFreeSocket
    from aiobc9x.errors import PinRequired as PinRequired
    from aiobc9x.errors import PortBusy as PortBusy
    from aiobc9x.errors import PortDenied as PortDenied
    from aiobc9x.errors import PortNotFound as PortNotFound
    from aiobc9x.errors import PukRequired as PukRequired
    from aiobc9x.errors import SettingRefused as SettingRefused
    from aiobc9x.errors import SimError as SimError
    from aiobc9x.errors import SimLocked as SimLocked
    from aiobc9x.errors import SimMissing as SimMissing
    from aiobc9x.errors import StageTimeout as StageTimeout
    from aiobc9x.errors import StreamBroken as StreamBroken
    from aiobc9x.errors import UnexpectedAnswer as UnexpectedAnswer
    from aiobc9x.errors import WriteFailed as WriteFailed
    from aiobc9x.errors import WrongModule as WrongModule
    from aiobc9x.modem import Modem as Modem
    from aiobc9x.open import open_modem as open_modem
    from aiobc9x.pool import ModemPool as ModemPool
    from aiobc9x.pool import open_pool as open_pool
    from aiobc9x.spec import AccessMode as AccessMode
    from aiobc9x.spec import DataFormat as DataFormat
    from aiobc9x.spec import ServiceType as ServiceType
    from aiobc9x.spec import SocketState as SocketState
    from aiobc9x.spec import ViewMode as ViewMode
    from aiobc9x.wire.commands.tcpip import SocketStatus as SocketStatus
    from aiobc9x.wire.signalling import RegistrationStatus as RegistrationStatus
    from aiobc9x.wire.signalling import Urc as Urc

__version__ = "0.1.0"

_HOMES = {
    "aio.reconnecting": ("ModemState", "Reconnect"),
    "aio.line.subscriptions": (
        "BudgetReached",
        "Dropped",
        "LinkDown",
        "LinkUp",
        "ModemEvent",
        "Progress",
        "Recovering",
        "Reset",
        "StepLost",
        "StepRegained",
        "Unknown",
    ),
    "aio.transports.datagram": ("DatagramTransport",),
    "aio.connections.listening": ("Server",),
    "modem": ("Modem",),
    "open": ("open_modem",),
    "pool": ("ModemPool", "open_pool"),
    "adapters.proxy.api": ("Forward", "ProxyServer", "ProxyStatistics"),
    "aio.queries.results": (
        "Identity",
        "ModuleSettings",
        "PingReply",
        "PingReport",
        "PowerSaving",
        "PowerSavingStatus",
        "Resolution",
        "Signal",
    ),
    "aio.transports.resuming": ("ResumingContext", "resuming_context"),
    "aio.transports.stream": ("SocketTransport",),
    "aio.ledger": ("Budget", "ConnectionUsage"),
    "aio.usage": ("PoolUsage", "Usage"),
    "core.air": ("AirCount",),
    "core.profile": ("ModuleProfile",),
    "core.statistics": ("Statistics",),
    "errors": (
        "AddressBusy",
        "BudgetExceeded",
        "CommandError",
        "ConnectFailed",
        "ConnectRefused",
        "ConnectTimedOut",
        "LinkLost",
        "LinkTimeout",
        "ModemError",
        "ModuleReset",
        "NameNotFound",
        "NetworkDown",
        "NetworkLost",
        "NetworkUnreachable",
        "NoFreeSocket",
        "PinRequired",
        "PortBusy",
        "PortDenied",
        "PortNotFound",
        "PukRequired",
        "SettingRefused",
        "SimError",
        "SimLocked",
        "SimMissing",
        "StageTimeout",
        "StreamBroken",
        "UnexpectedAnswer",
        "WriteFailed",
        "WrongModule",
    ),
    "spec": ("AccessMode", "DataFormat", "ServiceType", "SocketState", "ViewMode"),
    "wire.commands.tcpip": ("SocketStatus",),
    "wire.signalling": ("RegistrationStatus", "Urc"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]  # noqa: PLE0604  (all of them are names)


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
