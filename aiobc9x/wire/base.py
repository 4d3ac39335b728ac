"""The names of :mod:`aiobc9x.wire.commands.base` under the module's former name.

Layer: wire. Scripts written before the move import them from here.
"""

from aiobc9x.wire.commands.base import Command, Order, Raw, TestForm

__all__ = ["Command", "Order", "Raw", "TestForm"]
