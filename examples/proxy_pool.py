"""Let other programs connect through two modems, or more, as through one.

Programs in any language use SOCKS5 or HTTP on one port of this machine, or a forwarded port. Each
connection takes a modem that has a network; while one is away, the other carries all. Every minute
the log says how each is. (aiobc9x proxy does the same with a status page and metrics.)

Try it without a module, behind python3 -m http.server 8000:
    python examples/proxy_pool.py --port 'sim://?host=web.example:127.0.0.1&seed=1' \
        --port 'sim://?host=web.example:127.0.0.1&seed=2' --forward 8080:web.example:8000
    curl http://127.0.0.1:8080/
    curl --socks5-hostname 127.0.0.1:1080 http://web.example:8000/
"""

import argparse
import asyncio
import logging
import os

import aiobc9x

STATUS_S = 60.0
EVENTS = aiobc9x.LinkDown | aiobc9x.Recovering | aiobc9x.LinkUp | aiobc9x.Reset
log = logging.getLogger("proxy")


async def follow(modem: aiobc9x.Modem) -> None:
    """Log what happens to one modem."""
    async with modem.subscribe() as events:
        async for event in events:
            if isinstance(event, EVENTS):
                log.warning("%s: %s", modem.address, event)


async def tell(modem: aiobc9x.Modem) -> None:
    """Log how one modem is; that also has it wait for its network before a client needs one."""
    while True:
        try:
            await modem.wait_ready()
            strength = (await modem.signal()).rssi_dbm
            log.info("%s: ready, %s dBm, %d free", modem.address, strength, modem.free_sockets)
        except aiobc9x.ModemError as exc:
            log.warning("%s: %s", modem.address, exc)
        await asyncio.sleep(STATUS_S)


async def watch(pool: aiobc9x.ModemPool) -> None:
    """Look after each modem from when its device is there."""
    known: set[aiobc9x.Modem] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            for modem in set(pool.modems) - known:
                known.add(modem)
                group.create_task(follow(modem))
                group.create_task(tell(modem))
            await asyncio.sleep(1)


async def main(args: argparse.Namespace) -> None:
    patient = aiobc9x.Reconnect(wait_for_device=True)
    pin = os.environ.get("AIOBC9X_PIN")
    log.info("opening %s", ", ".join(args.port))
    async with aiobc9x.open_pool(args.port, pin=pin, reconnect=patient) as pool:
        proxy = await pool.serve_proxy(port=args.listen, forwards=args.forward)
        log.info("SOCKS5 and HTTP at 127.0.0.1:%d", proxy.port)
        for each in proxy.forwards:
            log.info("127.0.0.1:%d leads to %s:%d", each.local_port, each.host, each.port)
        await watch(pool)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Let other programs connect through modems.")
    parser.add_argument("--port", action="append", required=True, help="of a module; repeatable")
    parser.add_argument("--listen", type=int, default=1080, help="port (default: %(default)s)")
    parser.add_argument(
        "--forward", action="append", default=[], help="LOCAL PORT:HOST:PORT; repeatable"
    )
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        asyncio.run(main(parser.parse_args()))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (aiobc9x.ModemError, OSError, ValueError) as exc:
        raise SystemExit(str(exc)) from None
