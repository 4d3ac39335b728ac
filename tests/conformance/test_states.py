"""What transports say of themselves."""

from __future__ import annotations

import random

import pytest

from tests.conformance.compare import conforms
from tests.conformance.nets import Net

DATA = random.Random(3).randbytes(30_000)


@conforms()
async def test_closing_and_reading(net: Net) -> object:
    """is_closing() and is_reading(), before, within and after."""
    protocol, far = await net.connected()
    transport = protocol.transport
    states = [transport.is_closing(), transport.is_reading()]
    transport.pause_reading()
    states.append(transport.is_reading())
    transport.resume_reading()
    states += [transport.is_reading(), "open"]
    transport.close()
    states.append(transport.is_closing())
    far.close()
    await protocol.lost
    return [*states, transport.is_closing()]


@conforms(tls=False)
async def test_closed_transport_reads_nothing(net: Net) -> object:
    """Pausing and resuming then do nothing."""
    protocol, _ = await net.connected()
    transport = protocol.transport
    transport.close()
    transport.pause_reading()
    transport.resume_reading()
    await protocol.lost
    return transport.is_reading(), protocol.trace


@conforms(tls=False)
async def test_can_write_eof(net: Net) -> object:
    """Whether one direction can be ended."""
    protocol, _ = await net.connected()
    return protocol.transport.can_write_eof()


@conforms(tls=True)
async def test_cannot_write_eof(net: Net) -> object:
    """TLS can't."""
    protocol, _ = await net.connected()
    with pytest.raises(NotImplementedError):
        protocol.transport.write_eof()
    return protocol.transport.can_write_eof()


@conforms(tls=False)
async def test_default_limits(net: Net) -> object:
    """When writing is paused."""
    protocol, _ = await net.connected()
    return protocol.transport.get_write_buffer_limits()


@conforms(tls=False)
async def test_limits(net: Net) -> object:
    """What is left out follows from what is given."""
    protocol, _ = await net.connected()
    limits = []
    for high, low in ((100, None), (None, 100), (50, 20), (0, 0), (0, None)):
        protocol.transport.set_write_buffer_limits(high=high, low=low)
        limits.append(protocol.transport.get_write_buffer_limits())
    for high, low in ((10, 20), (-1, None)):
        with pytest.raises(ValueError):
            protocol.transport.set_write_buffer_limits(high=high, low=low)
    return limits


@conforms()
async def test_protocol(net: Net) -> object:
    """get_protocol() gives the protocol."""
    protocol, _ = await net.connected()
    return protocol.transport.get_protocol() is protocol


@conforms()
async def test_keys(net: Net) -> object:
    """What asyncio has, we have, of the same type."""
    protocol, _ = await net.connected()
    keys = ["peername", "sslcontext", "cipher", "peercert", "compression", "no such key"]
    info = {key: protocol.transport.get_extra_info(key) for key in keys}
    info["peername"] = info["peername"][0]
    info["sslcontext"] = info["sslcontext"] is net.secured.get("ssl")
    info["sockname"] = [type(x) for x in protocol.transport.get_extra_info("sockname")]
    info["default"] = protocol.transport.get_extra_info("no such key", 5)
    tls = protocol.transport.get_extra_info("ssl_object")
    info["ssl_object"] = tls is not None and tls.version()
    return info


@conforms()
async def test_socket(net: Net) -> object:
    """What libraries ask of a socket."""
    protocol, _ = await net.connected()
    sock = protocol.transport.get_extra_info("socket")
    sock.setsockopt(6, 1, 1)
    return (
        *(sock.family, sock.type, sock.gettimeout(), sock.getpeername()[0]),
        sock.getpeername() == protocol.transport.get_extra_info("peername"),
        sock.getsockname() == protocol.transport.get_extra_info("sockname"),
    )
