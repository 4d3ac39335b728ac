"""A program that uses everything public, as type checkers see it; nothing of it runs."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path

import anyio.abc
import httpx

import aiobc9x
from aiobc9x import errors, trace
from aiobc9x.adapters import anyio as streams
from aiobc9x.adapters import httpcore as backends
from aiobc9x.adapters import httpx as transports
from aiobc9x.adapters import slow, watching
from aiobc9x.adapters.prometheus import ModemCollector
from aiobc9x.aio.dialer import Dialer
from aiobc9x.sim import links, memory, peers, virtual_clock, virtual_modem
from aiobc9x.wire import urcs

KINDS: tuple[type[aiobc9x.ModemError], ...] = (
    *(aiobc9x.AddressBusy, aiobc9x.ConnectRefused, aiobc9x.ConnectTimedOut, aiobc9x.LinkLost),
    *(aiobc9x.LinkTimeout, aiobc9x.ModuleReset, aiobc9x.NameNotFound, aiobc9x.NetworkDown),
    *(aiobc9x.NetworkLost, aiobc9x.NetworkUnreachable, aiobc9x.NoFreeSocket, aiobc9x.PortBusy),
    *(aiobc9x.PortDenied, aiobc9x.PortNotFound, aiobc9x.PukRequired, aiobc9x.SettingRefused),
    *(aiobc9x.SimError, aiobc9x.SimLocked, aiobc9x.SimMissing, aiobc9x.StreamBroken),
    *(aiobc9x.WriteFailed, errors.OperationTimedOut, errors.SocketClosed),
)


async def connect(modem: aiobc9x.Modem) -> None:
    """Open what can be opened, in each way."""
    context: aiobc9x.ResumingContext = aiobc9x.resuming_context()
    reader, writer = await modem.open_connection(
        "example.com", 443, ssl=context, access_mode=aiobc9x.AccessMode.PUSH, timeout=60
    )
    writer.write(b"hello")
    await writer.drain()
    await writer.start_tls(ssl.create_default_context(), server_hostname="example.com")
    answer: bytes = await reader.readexactly(5)
    print(answer, context.session_stats())

    transport, protocol = await modem.create_connection(asyncio.Protocol, b"192.0.2.1", 80)
    protocol.connection_lost(None)
    if isinstance(transport, aiobc9x.SocketTransport):
        await modem.set_access_mode(transport, aiobc9x.AccessMode.BUFFER)
        transport.writelines([b"a", bytearray(b"b")])
    endpoint, receiver = await modem.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("192.0.2.1", 7)
    )
    receiver.error_received(OSError())
    endpoint.sendto(b"datagram")
    if isinstance(endpoint, aiobc9x.DatagramTransport):
        print(endpoint.get_write_buffer_size())


async def serve(modem: aiobc9x.Modem) -> None:
    """Accept connections, of others and of programs on this machine."""

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    server: aiobc9x.Server = await modem.start_server(welcome, 7000)
    other = await modem.create_server(asyncio.Protocol, port=7001)
    async with server, other:
        print([socket.getsockname() for socket in server.sockets], server.is_serving())
        await server.serve_forever()
    async with await modem.serve_proxy(port=None, forwards={8080: ("example.com", 80)}) as proxy:
        forward: aiobc9x.Forward = await proxy.add_forward(0, "example.com", 22)
        statistics: aiobc9x.ProxyStatistics = proxy.statistics
        print(forward.local_port, statistics.bytes_up, proxy.port, proxy.connections)
        await close(proxy)


async def close(proxy: aiobc9x.ProxyServer) -> None:
    """End a proxy."""
    proxy.close()
    await proxy.wait_closed()


async def ask(modem: aiobc9x.Modem) -> None:
    """Ask all that a module can be asked."""
    resolution: aiobc9x.Resolution = await modem.resolve("example.com")
    report: aiobc9x.PingReport = await modem.ping(resolution.addresses[0], count=2)
    replies: list[aiobc9x.PingReply] = [each async for each in modem.ping_replies("192.0.2.1")]
    offset = await modem.ntp_time("pool.ntp.org") - datetime.now(UTC)
    print(report.avg_ms, replies[0].time_ms, offset.total_seconds())
    for status in await modem.socket_states():
        kind: aiobc9x.ServiceType | str = status.service_type
        state: aiobc9x.SocketState | int = status.socket_state
        row: aiobc9x.SocketStatus = status
        print(kind, state, row.local_port)
    settings: aiobc9x.ModuleSettings = await modem.settings()
    if settings.view_mode is aiobc9x.ViewMode.COMMA:
        await modem.configure(view_mode=aiobc9x.ViewMode.CRLF, open_time=60)
    print(settings.send_data_format is aiobc9x.DataFormat.HEX, await modem.capabilities())
    registration: aiobc9x.RegistrationStatus = await modem.registration()
    signal: aiobc9x.Signal = await modem.signal()
    identity: aiobc9x.Identity = await modem.identity()
    print(registration.registered, signal.rssi_dbm, identity.imei, await modem.addresses())
    saving: aiobc9x.PowerSavingStatus = await modem.set_power_saving(
        aiobc9x.PowerSaving(active_s=10, period_s=3600), edrx_s=20.48
    )
    print(saving.granted, await modem.power_saving())
    primary, secondary = await modem.dns_servers()
    await modem.set_dns_servers(primary, secondary)
    await modem.set_apn("internet", user="me", password="secret", auth="chap")
    print(await modem.apn(), await modem.last_error(), await modem.command("AT+CSQ"))
    await modem.set_pin("1234")
    await modem.unblock_sim("12345678", "1234")
    for step in (modem.attach, modem.detach, modem.sleep, modem.wait_ready, modem.available):
        done: Awaitable[None] = step()
        await done
    profile: aiobc9x.ModuleProfile = modem.profile
    profile.save("profile.json")
    counters: aiobc9x.Statistics = modem.statistics
    print(counters.traffic_bytes, modem.address, modem.identification, modem.line.bytes_per_s)
    usage: aiobc9x.Usage = modem.usage
    spent: aiobc9x.AirCount = usage.total
    budget: aiobc9x.Budget = usage.budget(1_000_000, per="month", refuse=True)
    open_: list[aiobc9x.ConnectionUsage] = usage.connections
    print(spent.total_bytes, budget.left_bytes, [each.count for each in open_], usage.snapshot())
    print(modem.free_sockets, modem.is_ready, modem.state is aiobc9x.ModemState.UP)


async def listen(modem: aiobc9x.Modem) -> None:
    """Tell all that happens."""
    async with modem.subscribe() as events:
        async for event in events:
            print(worded(event))


def worded(event: aiobc9x.ModemEvent) -> str:
    """Put an event in words."""
    match event:
        case aiobc9x.Progress(stage=stage, detail=detail):
            return f"{stage} {detail}"
        case aiobc9x.LinkDown(reason=reason) | aiobc9x.StepLost(reason=reason):
            return reason
        case aiobc9x.Recovering(rung=rung, attempt=attempt, delay_s=delay):
            return f"{rung} {attempt} in {delay:.1f} s"
        case aiobc9x.Reset(banner=banner):
            return banner
        case aiobc9x.Unknown(text=text):
            return text.decode()
        case aiobc9x.Dropped(count=count):
            return f"{count} lost"
        case urcs.OpenResult(connect_id=connect_id, err=err):
            return f"{connect_id}: {err}"
        case aiobc9x.BudgetReached(share=share, per=per):
            return f"{share:.0%} of this {per}'s budget"
        case aiobc9x.LinkUp() | aiobc9x.StepRegained():
            return watching.worded(event)
        case _:
            urc: aiobc9x.Urc = event
            return type(urc).__name__


def explained(exc: aiobc9x.ModemError) -> str:
    """Say what can be done about an error."""
    match exc:
        case aiobc9x.ConnectFailed(target=target, err=err):
            return f"{target}: {err}"
        case aiobc9x.BudgetExceeded(limit_bytes=limit, per=per):
            return f"{limit} bytes are spent this {per}"
        case aiobc9x.UnexpectedAnswer(lines=lines):
            return b"\n".join(lines).decode()
        case aiobc9x.PinRequired(tries_left=left):
            return f"{left} tries left"
        case aiobc9x.CommandError(command=command, err=err, cme=cme):
            return f"{command}: {err} {cme} {errors.cme_code(cme)}"
        case aiobc9x.StageTimeout(stage=stage, timeout=seconds):
            return f"{stage} took {seconds:.0f} s"
        case aiobc9x.WrongModule(model=model):
            return model
        case _:
            return f"{exc} {isinstance(exc, KINDS)}"


async def adapt(modem: Dialer) -> None:
    """Use other libraries; each takes a modem, a pool, or whatever has a modem's four calls."""
    async with await streams.connect_tcp(modem, "example.com", 80) as stream:
        await stream.send(b"hello")
        shown: int = stream.extra(streams.ModemAttribute.connect_id)
        received: bytes = await stream.receive()
        print(shown, received)
    udp: anyio.abc.UnreliableObjectStream[bytes] = await streams.connect_udp(modem, "192.0.2.1", 7)
    await udp.aclose()
    connectable = streams.ByteStreamConnectable(modem, "example.com", 80)
    opened: streams.ByteStream = await connectable.connect()
    listener: streams.Listener = await streams.create_listener(modem, 7000)
    print(opened, listener)
    backend = backends.ModemBackend(modem)
    network: backends.ModemNetworkStream = await backend.connect_tcp("example.com", 80)
    await network.aclose()
    transport = transports.ModemTransport(modem, limits=transports.LIMITS)
    async with httpx.AsyncClient(transport=transport, timeout=transports.TIMEOUT) as client:
        print((await client.get("https://example.com/")).text)
    timing: slow.SlowLink = slow.settings_for(round_trip_s=4.0, sockets=3)
    print(httpx.Timeout(**timing.httpx), timing.connect_s)


async def watch(modem: watching.Watched) -> ModemCollector:
    """Keep what was seen of a modem."""
    seen = watching.Watch(modem, interval=30)
    sample: watching.Sample | None = seen.latest
    noted: list[watching.Noted] = list(seen.events)
    print(sample and sample.rssi_dbm, [each.text for each in noted])
    return ModemCollector(lambda: [seen])


def replay(path: Path) -> None:
    """Read a trace."""
    records = trace.read_trace(path)
    chosen = trace.Selection(sockets={0}, kinds={trace.EntryKind.COMMAND})
    for row in trace.rows(trace.decode(records), chosen):
        print(row)
    with path.with_suffix(".pcapng").open("wb") as stream:
        trace.write_capture(trace.read_trace(path), stream)
    kept: trace.Cassette = trace.cassette(path, trace.RecordMode.ONCE)
    print(kept["address"], trace.files_of(path))


async def imitate() -> None:
    """Have a module without a module."""
    options: links.SimOptions = links.parse_address("sim://?baud=9600")
    network = memory.MemoryNetwork(options)
    network.serve_tcp(80, lambda peer: peer.answer_with(print))
    with virtual_clock.VirtualClock() as clock:
        async with virtual_modem.VirtualModem(options, network) as virtual:
            virtual.add_fault("reset;on=AT+QIRD")
            async with aiobc9x.open_modem(virtual.create) as modem:
                print(modem.address, clock.time(), virtual.commands, virtual.open_ids)


async def have_a_peer(peer: peers.ModemPeer) -> int:
    """Use the machine of the fixture."""
    return await peer.echo() + await peer.http({"/": b"page"}) + await peer.mqtt()


async def reset(modem: aiobc9x.Modem) -> None:
    """Switch a module off and on."""
    print(modem.address)


async def main() -> None:
    """Open modems, one and many."""
    reconnect = aiobc9x.Reconnect(give_up_after=3600, reset=reset)
    recording = trace.Trace("modem.jsonl", payloads=trace.Payloads.LENGTH)
    async with aiobc9x.open_modem(
        "/dev/ttyUSB0", baudrate=None, reconnect=reconnect, trace=recording
    ) as modem:
        with modem.installed(strict=True) as same:
            await same.wait_ready(60)
        for each in (connect, serve, ask, listen, adapt, watch):
            with contextlib.suppress(OSError):
                await each(modem)
    alone: aiobc9x.Modem = await aiobc9x.open_modem("sim://", profile=aiobc9x.ModuleProfile())
    await alone.aclose()
    async with aiobc9x.open_pool(["/dev/ttyUSB0", "/dev/ttyUSB1"]) as pool:
        many: aiobc9x.ModemPool = pool
        used: aiobc9x.PoolUsage = pool.usage
        print(used.total.total_bytes, [one.today for _, one in used.modems])
        reader, writer = await many.open_connection("example.com", 80)
        print(len(many.modems), await reader.read(), writer.get_extra_info("modem"))
        await adapt(pool)
    print(aiobc9x.__version__)


if __name__ == "__main__":
    asyncio.run(main())
