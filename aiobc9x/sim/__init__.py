"""The virtual BC65/BC92: the module's side of the wire, written from the note alone.

Layer: sim. Imports the standard library and ``aiobc9x.spec``; shares no parsing
code with the library, so that a shared misreading of the note can't cancel out.
A replay is the exception: ``aiobc9x.trace.replaying`` speaks in the module's place.

==============  ===========================================================
module          what it is
==============  ===========================================================
``options``     every parameter, and the ``sim://`` address
``params``      commands and their parameter lists
``lines``       command lines out of what the host types
``board``       what all parts share: time, timers, output, settings
``timers``      callbacks at points in time, in a stable order
``nvram``       the settings that survive a restart
``faults``      fault injection as data
``slots``       one connectID in use
``sockets``     the connectIDs and what the network reports about them
``receiving``   received data: nodes, limits, URCs, push
``commands``    chapter 2 of the note, apart from sending
``sends``       AT+QISEND and AT+QISENDEX
``services``    AT+QPING, AT+QNTP, AT+QIDNSGIP
``radio``       27.007: SIM, registration, attach, context
``general``     identity, echo, clock, power saving
``module``      the brain: bytes in, bytes out, ``now`` passed in
``interface``   what the module asks of a network
``hosts``       names, addresses and round trip times
``memory``      a network in memory, for tests under a virtual clock
``network``     a network of real sockets on loopback (asyncio)
``pacing``      the speed of the serial line
``driver``      between a module and whatever carries its bytes
``links``       pty, TCP and in-memory links, and ``VirtualModule`` (asyncio)
==============  ===========================================================

Only ``links`` and ``network`` import asyncio.
"""
