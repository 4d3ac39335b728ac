"""The program of the page about downloads goes on where it was interrupted."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final

from tests.support.pages import ROOT, blocks
from tests.test_docs import run_program

FILE: Final = bytes(range(256)) * 100


async def test_it_asks_for_the_rest_alone(tmp_path: Path) -> None:
    """The module restarts in the middle: the file is whole, and no byte was asked for twice."""
    asked: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        found = re.search(r"^range: bytes=(\d+)-", head, re.MULTILINE)
        begin = int(found[1]) if found and 'if-range: "one"' in head else 0
        asked.append(begin)
        status = f"206 Partial Content\r\nContent-Range: bytes {begin}-{len(FILE) - 1}/{len(FILE)}"
        writer.write(f"HTTP/1.1 {status if begin else '200 OK'}\r\n".encode())
        writer.write(f'ETag: "one"\r\nContent-Length: {len(FILE) - begin}\r\n\r\n'.encode())
        writer.write(FILE[begin:])
        await writer.drain()
        writer.close()

    (program,) = [
        block
        for block in blocks([ROOT / "docs/howto/http-download.md"])
        if block.language == "python"
    ]
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        fault = "fault=reset;on=AT%2BQIRD;after=8"
        address = f"sim://?host=example.com:127.0.0.1&remote_port=80:{port}&{fault}"
        await run_program(program, address, tmp_path)
    assert (tmp_path / "page.html").read_bytes() == FILE
    assert len(asked) == 2
    assert asked[1] > 0
