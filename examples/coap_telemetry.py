"""Send a reading every 15 minutes by CoAP, and let the module sleep between.

UDP lives through deep sleep: nothing is opened or set up again when the module wakes. A reading
that was not acknowledged goes out with the next one. Install: pip install aiocoap

Try it without a module, with the file server of aiocoap on this machine:
    aiocoap-fileserver --write --bind 127.0.0.1 .
    python examples/coap_telemetry.py --port 'sim://?host=sensor.example:127.0.0.1' --every 5
"""

import argparse
import asyncio
import os
import time
from collections import deque

import aiocoap
from aiocoap.numbers.constants import TransportTuning

import aiobc9x
from aiobc9x.adapters.slow import settings_for

WAITING = 40  # unacknowledged readings; the oldest is lost first. They fit into one datagram
ACTIVE_S = 10  # for how long the module can be reached after its last traffic
PERIOD_S = 24 * 3600  # how often it tells the network that it is still there
Slow = type("Slow", (TransportTuning,), settings_for(round_trip_s=4.0).aiocoap)


def measure() -> str:
    """Read the sensor: yours, in place of this machine's load."""
    return f"{time.time():.0f} {os.getloadavg()[0]:.2f}"


async def send(context: aiocoap.Context, uri: str, readings: deque[str]) -> None:
    """Put the readings, one a line; forget them once the server has them."""
    message = aiocoap.Message(
        code=aiocoap.PUT, uri=uri, payload="\n".join(readings).encode(), transport_tuning=Slow()
    )
    try:
        answer = await context.request(message).response
    except aiocoap.error.Error as exc:
        print(f"no answer, {len(readings)} wait: {str(exc) or type(exc).__name__}", flush=True)
        return
    print(f"{len(readings)} sent: {answer.code}", flush=True)
    if answer.code.is_successful():
        readings.clear()


async def rest(modem: aiobc9x.Modem, seconds: float) -> None:
    """Let the module sleep for so long."""
    try:
        await modem.sleep()
    except aiobc9x.ModemError as exc:  # it comes back by itself, and sleeps the next time
        print(exc, flush=True)
    await asyncio.sleep(seconds)


async def main(args: argparse.Namespace) -> None:
    async with aiobc9x.open_modem(args.port, pin=os.environ.get("AIOBC9X_PIN")) as modem:
        await modem.wait_ready(timeout=600)
        saving = await modem.set_power_saving(aiobc9x.PowerSaving(ACTIVE_S, PERIOD_S))
        print("the network grants", saving.granted or "no power saving", flush=True)
        readings = deque[str](maxlen=WAITING)
        with modem.installed():
            context = await aiocoap.Context.create_client_context(transports=["simple6"])
            try:
                while True:
                    readings.append(measure())
                    await send(context, args.uri, readings)
                    await rest(modem, args.every)
            finally:
                await context.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Send readings by CoAP from a module that sleeps.")
    parser.add_argument("--port", required=True, help="of the module: /dev/ttyUSB0, or sim://")
    parser.add_argument("--uri", default="coap://sensor.example/load", help="(%(default)s)")
    parser.add_argument("--every", type=float, default=900, help="seconds (%(default)s)")
    try:
        asyncio.run(main(parser.parse_args()))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except aiobc9x.ModemError as exc:
        raise SystemExit(str(exc)) from None
