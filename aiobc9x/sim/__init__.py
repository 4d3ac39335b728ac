"""The virtual BC65/BC92: the module's side of the wire, written from the note alone.

Layer: sim. Imports the standard library and ``aiobc9x.spec``; shares no parsing
code with the library, so that a shared misreading of the note can't cancel out.

==============  ===========================================================
module          what it is
==============  ===========================================================
``options``     every parameter, and the ``sim://`` address
``params``      command lines and their parameter lists
``board``       what all parts share: clock, timers, output, settings
``timers``      callbacks at points in time, in a stable order
``nvram``       the settings that survive a restart
``faults``      fault injection as data
``sockets``     the connectIDs: nodes, buffers, push, URCs
``commands``    chapter 2 of the note, apart from sending
``sends``       AT+QISEND and AT+QISENDEX
``services``    AT+QPING, AT+QNTP, AT+QIDNSGIP
``radio``       27.007 and vendor commands, registration, sleep settings
``module``      the brain: bytes in, bytes out, ``now`` passed in
``interface``   what the module asks of a network
``memory``      a network in memory, for tests under a virtual clock
``network``     a network of real sockets on loopback (asyncio)
``pacing``      the speed of the serial line
``links``       pty, TCP and in-memory links, and ``VirtualModule`` (asyncio)
==============  ===========================================================

Only ``links`` and ``network`` import asyncio.
"""
