"""Post readings to a web service by HTTPS.

Each reading is posted until the server has it, under a key of its own (Idempotency-Key), so that a
server that knows such keys takes it once, though the answer got lost and it came twice. One
connection is kept for as long as the server keeps it. API_TOKEN in the environment is sent as a
bearer token. Install: pip install 'aiobc9x[http]'

Try it without a module, but with this machine's network:
    python examples/https_post.py --port 'sim://?system_dns=1&outside=1' --every 5 \
        https://httpbin.org/post
"""

import argparse
import asyncio
import os
import ssl
import time
import uuid

import httpx

import aiobc9x
from aiobc9x.adapters.httpx import TIMEOUT, ModemTransport

WAITING = 1000  # readings; in a longer outage the oldest ones are lost
FIRST_DELAY_S, LONGEST_DELAY_S = 5.0, 900.0  # between two tries: each one costs data

Readings = asyncio.Queue[dict[str, float]]


async def measure(readings: Readings, every: float) -> None:
    """Take a reading again and again: your sensor's, in place of this machine's load."""
    while True:
        if readings.full():
            readings.get_nowait()
        readings.put_nowait({"time": round(time.time(), 1), "load": os.getloadavg()[0]})
        await asyncio.sleep(every)


async def post(client: httpx.AsyncClient, url: str, reading: dict[str, float]) -> None:
    """Post a reading until the server has taken it, or refuses it for good."""
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    if token := os.environ.get("API_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    delay = FIRST_DELAY_S
    while True:
        try:
            answer = await client.post(url, json=reading, headers=headers)
        except httpx.TransportError as exc:
            reason = str(exc) or type(exc).__name__
        else:
            reason = f"{answer.status_code} {answer.reason_phrase}"
            if answer.is_success:
                return print(f"posted: {reason}", flush=True)
            if answer.is_client_error and answer.status_code not in {408, 425, 429}:
                return print(f"refused for good: {reason}", flush=True)
        print(f"trying again in {delay:.0f} s: {reason}", flush=True)
        await asyncio.sleep(delay)
        delay = min(2 * delay, LONGEST_DELAY_S)


async def deliver(readings: Readings, client: httpx.AsyncClient, url: str) -> None:
    """Post the readings, one after the other."""
    while True:
        await post(client, url, await readings.get())


async def main(args: argparse.Namespace) -> None:
    trust = ssl.create_default_context(cafile=args.ca)
    if args.cert:
        trust.load_cert_chain(args.cert)
    context = aiobc9x.resuming_context(trust)  # the next handshake costs less
    async with aiobc9x.open_modem(args.port, pin=os.environ.get("AIOBC9X_PIN")) as modem:
        limits = httpx.Limits(max_connections=1, keepalive_expiry=None)
        transport = ModemTransport(modem, verify=context, limits=limits)
        async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT) as client:
            readings = Readings(WAITING)
            async with asyncio.TaskGroup() as group:
                group.create_task(measure(readings, args.every))
                group.create_task(deliver(readings, client, args.url))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Post readings to a web service by HTTPS.")
    parser.add_argument("--port", required=True, help="of the module: /dev/ttyUSB0, or sim://")
    parser.add_argument("--every", type=float, default=900, help="seconds (%(default)s)")
    parser.add_argument("--ca", metavar="FILE", help="whom to trust, in place of the system's list")
    parser.add_argument("--cert", metavar="FILE", help="certificate and key to show to the server")
    parser.add_argument("url")
    try:
        asyncio.run(main(parser.parse_args()))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (aiobc9x.ModemError, OSError) as exc:  # of the module, or of a certificate's file
        raise SystemExit(str(exc)) from None
