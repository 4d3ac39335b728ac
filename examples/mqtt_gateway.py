"""Post readings to an MQTT broker for months.

A reading stays in an outbox on disk until the broker has it. The connection is kept, and opened
again after every outage. docs/tutorial.md builds this program step by step.

Install: pip install 'aiomqtt>=2.5,<3' PySocks
Try it without a module, where mosquitto listens on port 1883 of this machine:
    python examples/mqtt_gateway.py --port 'sim://?host=broker.example:127.0.0.1' \
        --plain --mqtt-port 1883 --measure 1 --post 5
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import socket
import sqlite3
import time

import aiomqtt
import socks

import aiobc9x
from aiobc9x.adapters.slow import settings_for

KEPT = 100_000  # readings; an outage of more costs the oldest ones
TOGETHER = 50  # readings in one message: one round trip, and one set of headers
DELAYS_S = 5.0, 900.0  # between two tries, the first and the longest: each try costs data
SLOW = settings_for(round_trip_s=4.0)
TLS = aiobc9x.resuming_context()  # one for the whole program: the next handshake costs less
log = logging.getLogger("gateway")


class Outbox:
    """Readings that the broker has not confirmed yet, in a file."""

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("CREATE TABLE IF NOT EXISTS outbox (n INTEGER PRIMARY KEY, reading TEXT)")

    def add(self, reading: str) -> None:
        n = self._db.execute("INSERT INTO outbox (reading) VALUES (?)", [reading]).lastrowid
        self._db.execute("DELETE FROM outbox WHERE n <= ? - ?", [n, KEPT])

    def oldest(self) -> list[tuple[int, str]]:
        return self._db.execute("SELECT * FROM outbox ORDER BY n LIMIT ?", [TOGETHER]).fetchall()

    def remove(self, last: int) -> None:
        self._db.execute("DELETE FROM outbox WHERE n <= ?", [last])

    def close(self) -> None:
        self._db.close()


def notify(state: str) -> None:
    """Tell systemd, if that has started this program: sd_notify(3)."""
    if path := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(state.encode(), "\0" + path[1:] if path[0] == "@" else path)


async def measure(outbox: Outbox, every: float) -> None:
    """Put readings into the outbox: your sensor's, in place of this machine's load."""
    while True:
        outbox.add(json.dumps({"time": round(time.time(), 1), "load": os.getloadavg()[0]}))
        await asyncio.sleep(every)


def client(args: argparse.Namespace, proxy: aiobc9x.ProxyServer) -> aiomqtt.Client:
    """Make a client that connects through the module when it is entered."""
    return aiomqtt.Client(
        args.broker,
        args.mqtt_port,
        tls_context=None if args.plain else TLS,
        username=os.environ.get("MQTT_USER"),
        password=os.environ.get("MQTT_PASSWORD"),
        proxy=aiomqtt.ProxySettings(
            proxy_type=socks.SOCKS5, proxy_addr="127.0.0.1", proxy_port=proxy.port
        ),
        **SLOW.aiomqtt,
    )


async def post(args: argparse.Namespace, modem: aiobc9x.Modem, outbox: Outbox) -> None:
    """Bring the readings to the broker, in order, for ever."""
    delay = DELAYS_S[0]
    async with await modem.serve_proxy(port=0) as proxy:
        while True:
            try:
                async with client(args, proxy) as broker:
                    while True:
                        if batch := outbox.oldest():
                            text = ", ".join(reading for _, reading in batch)
                            # Returns when the broker has it, and doesn't hear of a lost connection.
                            await broker.publish(args.topic, f"[{text}]", 1, timeout=SLOW.answer_s)
                            outbox.remove(batch[-1][0])
                            today = modem.usage.today.total_bytes
                            log.info("posted %d readings, %d bytes today", len(batch), today)
                        delay = DELAYS_S[0]
                        notify("READY=1\nWATCHDOG=1")
                        if len(batch) < TOGETHER:
                            await asyncio.sleep(args.post)
            except aiomqtt.MqttError as exc:
                log.warning("not posted, next try in %d s: %s", delay, exc)
                notify("WATCHDOG=1")
                await asyncio.sleep(delay)
                delay = min(2 * delay, DELAYS_S[1])


async def main(args: argparse.Namespace) -> None:
    pin = os.environ.get("AIOBC9X_PIN")  # nobody else on the machine can read it here
    async with aiobc9x.open_modem(args.port, pin=pin) as modem:
        if args.apn:
            await modem.set_apn(args.apn)
        modem.usage.budget(args.budget, per="day", refuse=True)  # what is more waits for tomorrow
        with contextlib.closing(Outbox("outbox.db")) as outbox:
            async with asyncio.TaskGroup() as group:
                group.create_task(measure(outbox, args.measure))
                group.create_task(post(args, modem, outbox))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Post readings to an MQTT broker for months.")
    parser.add_argument("--port", required=True, help="of the module: /dev/ttyUSB0, or sim://")
    parser.add_argument("--apn", help="what the operator calls its access point")
    parser.add_argument("--broker", default="broker.example", help="(default: %(default)s)")
    parser.add_argument("--mqtt-port", type=int, default=8883, help="(default: %(default)s)")
    parser.add_argument("--plain", action="store_true", help="without TLS; most often port 1883")
    parser.add_argument("--topic", default="meters/17", help="(default: %(default)s)")
    parser.add_argument("--measure", type=float, default=60, help="every so many seconds")
    parser.add_argument("--budget", type=int, default=1_000_000, help="bytes a day, about")
    parser.add_argument("--post", type=float, default=900, help="every so many seconds")
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        asyncio.run(main(parser.parse_args()))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except aiobc9x.ModemError as exc:
        raise SystemExit(str(exc)) from None
