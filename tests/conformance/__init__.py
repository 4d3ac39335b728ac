"""The same scenarios over the module and over asyncio's own transports, compared call by call.

A scenario is a coroutine function that gets a :class:`~tests.conformance.nets.Net` and
returns what its protocols were told. :func:`~tests.conformance.compare.conforms` runs
it over both, on asyncio's own loop and on uvloop, in the clear and with TLS. What must
differ stands in ``differences.py``, with the reason, and nowhere else.
"""
