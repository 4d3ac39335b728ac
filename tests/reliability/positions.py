"""Where a program is when the fault strikes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tests.reliability.world import Broken, World, until
from tests.support.bench import HOST, NAME


@dataclass(frozen=True, slots=True)
class Position:
    """One position.

    Attributes:
        name: As in the page.
        act: What the program does; raises what the program sees.
        commands: How the commands begin that are on their way there.
        lines: How the lines begin that the module says there.
        send_forms: By which forms payloads go.

    """

    name: str
    act: Callable[[World], Awaitable[None]]
    commands: tuple[str, ...]
    lines: tuple[str, ...]
    send_forms: tuple[str, ...] = ("auto",)


async def idle(world: World) -> None:
    """Wait for data, which come soon after the fault."""
    connection = await world.connect()
    await asyncio.sleep(world.rng.uniform(0.5, 12.0))
    world.fire_once()
    reading = asyncio.ensure_future(connection.read(600))
    try:
        await asyncio.sleep(world.rng.uniform(0.0, 1.0))
        world.send(connection.peer, world.rng.randbytes(600))
        await reading
    finally:
        reading.cancel()
        await asyncio.wait([reading])
        connection.writer.close()


async def opening(world: World) -> None:
    """Open a connection, and use it."""
    world.fire_at("AT+QIOPEN")
    connection = await world.connect()
    await connection.echo(world.rng.randbytes(300))
    connection.writer.close()


async def writing(world: World, command: str) -> None:
    """Write three pieces, and read them."""
    connection = await world.connect()
    for turn in range(3):
        if turn == 1:
            world.fire_at(command)
        await connection.echo(world.rng.randbytes(500))
    connection.writer.close()


async def in_prompt(world: World) -> None:
    """Write; the fault strikes between AT+QISEND and the payload."""
    await writing(world, "AT+QISEND=")


async def sending(world: World) -> None:
    """Write; the fault strikes once the module has the payload."""
    await writing(world, "(" if world.send_form == "fixed" else "AT+QISEND")


async def in_payload(world: World) -> None:
    """Read what a peer has sent at once."""
    connection = await world.connect()
    world.fire_at("AT+QIRD")
    world.send(connection.peer, world.rng.randbytes(3000))
    await connection.read(3000)
    connection.writer.close()


async def closing(world: World) -> None:
    """Write, close, and wait until it is closed."""
    connection = await world.connect()
    data = world.rng.randbytes(300)
    world.fire_at("AT+QICLOSE")
    connection.writer.write(data)
    await connection.writer.drain()
    connection.writer.close()
    await connection.writer.wait_closed()
    if (got := bytes(connection.peer.received)) != data:
        raise Broken(f"the peer got {len(got)} of {len(data)} bytes, and nobody was told")


async def listening(world: World) -> None:
    """Serve a client that sends three times."""
    peer = await world.dialled()
    ended = len(world.client_errors)
    for turn in range(3):
        if turn == 1:
            world.fire_at("AT+QI")
        world.send(peer, world.rng.randbytes(200))
        await until(lambda: world.has_all(peer) or len(world.client_errors) > ended)
    if len(world.client_errors) <= ended:
        await world.end_of_client(peer, ended)
        await until(lambda: len(world.client_errors) > ended)
    elif world.client_errors[ended] is None:
        raise Broken("a connection of the listener ended as if its peer had closed it")
    if (error := world.client_errors[ended]) is not None:
        raise error


async def resolving(world: World) -> None:
    """Ask for an address."""
    world.fire_at("AT+QIDNSGIP")
    found = await world.modem.resolve(NAME)
    if found.addresses != (HOST,):
        raise Broken(f"{NAME} has no address {found.addresses}")


POSITIONS: Final = (
    Position("idle", idle, ("AT+QIRD",), ('+QIURC: "recv"', "+QIRD", "OK")),
    Position("opening", opening, ("AT+QIOPEN",), ("+QIOPEN", "OK")),
    Position("in prompt", in_prompt, ("AT+QISEND",), (">", "OK"), ("fixed",)),
    Position("in payload", in_payload, ("AT+QIRD",), ("+QIRD", "OK", '+QIURC: "recv"')),
    Position(
        "sending", sending, ("AT+QISEND",), ("SEND OK", "OK"), ("fixed", "hex", "inline", "auto")
    ),
    Position("closing", closing, ("AT+QICLOSE",), ("CLOSE OK", "OK")),
    Position(
        "listening", listening, ("AT+QIRD", "AT+QISEND"), ('+QIURC: "recv"', "+QIRD", "SEND OK")
    ),
    Position("resolving", resolving, ("AT+QIDNSGIP",), ('+QIURC: "dnsgip"', "OK")),
)
"""Every position, in the order of the page."""
