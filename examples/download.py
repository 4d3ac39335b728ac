"""Download a file by HTTP, such as a firmware image, and go on where it broke off.

What has come is in FILE.part. After an outage the rest is asked for, in this run or in a later one;
if the server's file has changed meanwhile, it is sent as a whole. FILE appears when it is complete
and, with --sha256, proved to be the right one. Install: pip install 'aiobc9x[http]'

Try it without a module, behind python3 -m http.server 8000 (which always sends the whole file):
    python examples/download.py --port 'sim://?host=web.example:127.0.0.1' \
        http://web.example:8000/README.md
"""

import argparse
import asyncio
import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit

import httpx

import aiobc9x
from aiobc9x.adapters.httpx import TIMEOUT, ModemTransport

TRIES = 10  # interruptions in a row without a byte between them, after which it is given up
PAUSE_S = 2.0


async def fetch_rest(client: httpx.AsyncClient, url: str, part: Path) -> None:
    """Append to ``part`` what is missing; begin anew where that can't be done.

    ``part`` is empty, or has a file ``.tag`` beside it with what the server called that version.
    """
    tag = part.with_suffix(".tag")
    headers = {"Accept-Encoding": "identity"}
    if part.exists() and tag.exists():
        headers |= {"Range": f"bytes={part.stat().st_size}-", "If-Range": tag.read_text()}
    async with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            tag.unlink()  # nothing is missing, or the file is another: look at it as a whole
            raise httpx.ReadError("the server has no such range")
        answer.raise_for_status()
        version = answer.headers.get("ETag") or answer.headers.get("Last-Modified", "")
        is_rest = answer.status_code == httpx.codes.PARTIAL_CONTENT
        with part.open("ab" if is_rest else "wb") as file:
            if version and not version.startswith("W/"):  # a weak one doesn't tell every change
                tag.write_text(version)
            else:
                tag.unlink(missing_ok=True)
            print(
                f"{file.tell()} bytes are here, {answer.headers.get('Content-Length')} come",
                flush=True,
            )
            async for chunk in answer.aiter_raw():
                file.write(chunk)


async def download(client: httpx.AsyncClient, url: str, part: Path) -> None:
    """Fetch until ``part`` is whole.

    Raises:
        httpx.HTTPError: The server says no, or nothing has come for :data:`TRIES` times.

    """
    tries, size = 0, -1
    while True:
        try:
            return await fetch_rest(client, url, part)
        except httpx.TransportError as exc:
            before, size = size, part.stat().st_size if part.exists() else 0
            tries = 1 if size > before else tries + 1
            if tries >= TRIES:
                raise
            print(f"interrupted at {size} bytes: {str(exc) or type(exc).__name__}", flush=True)
        await asyncio.sleep(PAUSE_S)


async def main(args: argparse.Namespace) -> None:
    target = Path(args.output or urlsplit(args.url).path.rpartition("/")[2] or "index.html")
    part = target.with_name(f"{target.name}.part")
    async with aiobc9x.open_modem(args.port, pin=os.environ.get("AIOBC9X_PIN")) as modem:
        transport = ModemTransport(modem)
        async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT) as client:
            await download(client, args.url, part)
    found = hashlib.sha256(part.read_bytes()).hexdigest()
    part.with_suffix(".tag").unlink(missing_ok=True)
    if args.sha256 not in {None, found}:
        part.unlink()
        raise SystemExit(f"{args.url} is another file: its SHA-256 is {found}")
    part.replace(target)
    print(f"{target}: {target.stat().st_size} bytes, SHA-256 {found}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Download a file, and resume where it broke off.")
    parser.add_argument("--port", required=True, help="of the module: /dev/ttyUSB0, or sim://")
    parser.add_argument("--sha256", help="what the file's must be, in hex digits")
    parser.add_argument("-o", "--output", metavar="FILE", help="(default: the URL's last part)")
    parser.add_argument("url")
    try:
        asyncio.run(main(parser.parse_args()))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (aiobc9x.ModemError, httpx.HTTPError) as exc:
        raise SystemExit(str(exc) or type(exc).__name__) from None
