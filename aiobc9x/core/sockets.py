"""The names of :mod:`aiobc9x.core.slots` under the module's former name.

Layer: core. Scripts written before the move import them from here.
"""

from aiobc9x.core.slots import TRANSITIONS, Slot, SlotState, SocketTable

__all__ = ["TRANSITIONS", "Slot", "SlotState", "SocketTable"]
