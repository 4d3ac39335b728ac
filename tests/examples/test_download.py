"""The download, and nginx, which knows ranges."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest

from aiobc9x.sim.peers import reserved_port
from tests.clients.servers import LOOPBACK, Nginx
from tests.examples.running import example

URL = "http://web.example/big.bin"


def module(web: Nginx, more: str = "") -> str:
    """The address of a virtual module of the program's own, which reaches the web server."""
    return f"sim://?host=web.example:{LOOPBACK}&remote_port=80:{web.http}{more}"


def is_whole(path: Path, web: Nginx) -> bool:
    """Whether a file is the server's, and nothing is left beside it."""
    there = (web.pages / "big.bin").read_bytes()
    return path.read_bytes() == there and not [*path.parent.glob("big.bin.*")]


def leave(folder: Path, web: Nginx, size: int) -> None:
    """Leave what an earlier run leaves that has got so many bytes."""
    (folder / "big.bin.part").write_bytes((web.pages / "big.bin").read_bytes()[:size])
    answer = httpx.head(f"http://{LOOPBACK}:{web.http}/big.bin")
    (folder / "big.bin.tag").write_text(answer.headers["ETag"])


def left(folder: Path) -> list[str]:
    """The names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


async def run(*arguments: str, folder: Path) -> tuple[int, str]:
    """Run the program to its end; what it returned and said."""
    async with example("download", *arguments, folder=folder) as program:
        said = await program.end()
        assert program.process.returncode is not None
        assert "Traceback" not in said
        return program.process.returncode, said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the program runs; nginx has its files beside it."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


async def test_goes_on_behind_a_restart(web: Nginx, folder: Path) -> None:
    """A module that restarts costs no byte twice, and the file is the right one."""
    digest = hashlib.sha256((web.pages / "big.bin").read_bytes()).hexdigest()
    port = module(web, "&fault=reset;on=AT%2BQIRD;after=9")
    code, said = await run("--port", port, "--sha256", digest, URL, folder=folder)
    assert code == 0, said
    assert "interrupted at" in said
    assert said.endswith(f"big.bin: 20000 bytes, SHA-256 {digest}\n")
    assert is_whole(folder / "big.bin", web)
    requests = web.requests()
    assert len(requests) == 2
    assert requests[1].split()[3] == "206"


@pytest.mark.parametrize("is_same", [True, False], ids=["same", "changed"])
async def test_goes_on_in_another_run(web: Nginx, folder: Path, is_same: bool) -> None:
    """What an earlier run left is kept if the server's file is the same, and else not."""
    leave(folder, web, 15_000)
    if not is_same:
        (folder / "big.bin.tag").write_text('"another"')
    code, said = await run("--port", module(web), URL, folder=folder)
    assert code == 0, said
    assert is_whole(folder / "big.bin", web)
    assert web.requests()[1].split()[3:] == (["206", "5000"] if is_same else ["200", "20000"])


async def test_part_that_is_whole(web: Nginx, folder: Path) -> None:
    """A run that was ended with all bytes here looks at the file once more as a whole."""
    leave(folder, web, 20_000)
    code, said = await run("--port", module(web), URL, folder=folder)
    assert code == 0, said
    assert is_whole(folder / "big.bin", web)


async def test_wrong_file(web: Nginx, folder: Path) -> None:
    """A file with another sum is not kept."""
    code, said = await run("--port", module(web), "--sha256", "00" * 32, URL, folder=folder)
    assert code == 1
    assert "is another file" in said
    assert left(folder) == []


async def test_no_such_file(web: Nginx, folder: Path) -> None:
    """What the server says is said."""
    code, said = await run("--port", module(web), "http://web.example/no", folder=folder)
    assert code == 1
    assert "404" in said


async def test_no_server(folder: Path) -> None:
    """Tries without a byte have an end. (The test has no patience for ten, so it looks at one.)"""
    with reserved_port() as free:
        port = f"sim://?host=web.example:{LOOPBACK}&remote_port=80:{free}"
        async with example("download", "--port", port, URL, folder=folder) as program:
            await program.line("interrupted at 0 bytes: [Errno 111] connection refused")
