"""AT commands: those of the note in ``tcpip``, others in ``module`` and ``radio``."""

from aiobc9x.wire.commands.base import Command, Raw
from aiobc9x.wire.commands.tcpip import (
    Qicfg,
    Qiclose,
    Qidnscfg,
    Qidnsgip,
    Qigeterror,
    Qiopen,
    Qird,
    Qisend,
    Qisendex,
    Qistate,
    Qiswtmd,
    Qntp,
    Qping,
    SocketStatus,
)

__all__ = [
    "Command",
    "Qicfg",
    "Qiclose",
    "Qidnscfg",
    "Qidnsgip",
    "Qigeterror",
    "Qiopen",
    "Qird",
    "Qisend",
    "Qisendex",
    "Qistate",
    "Qiswtmd",
    "Qntp",
    "Qping",
    "Raw",
    "SocketStatus",
]
