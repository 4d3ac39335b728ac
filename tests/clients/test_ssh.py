"""asyncssh against its own server: the modem is the tunnel."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

import aiobc9x
from tests.clients.conftest import Site
from tests.clients.programs import output
from tests.clients.servers import LOOPBACK


async def answer(process: asyncssh.SSHServerProcess[str]) -> None:
    """Say what was asked, or how much came."""
    if process.command == "digest":
        text = await process.stdin.read()
        process.stdout.write(hashlib.sha256(text.encode()).hexdigest())
    else:
        process.stdout.write(f"you said {process.command}")
    process.exit(3 if process.command == "fail" else 0)


class Door(asyncssh.SSHServer):
    """Lets a user with a password in."""

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("gateway", "open sesame")


@pytest.fixture
async def shell(site: Site) -> AsyncIterator[asyncssh.SSHKey]:
    """An SSH server as shell.example, port 22; its key."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with await asyncssh.listen(
        LOOPBACK,
        0,
        server_factory=Door,
        server_host_keys=[key],
        process_factory=answer,
        sftp_factory=True,
    ) as server:
        site.ports[22] = server.get_port()
        yield key


def options(key: asyncssh.SSHKey) -> asyncssh.SSHClientConnectionOptions:
    """What a careful client gives: the server's key, and no files of this machine."""
    return asyncssh.SSHClientConnectionOptions(
        config=None,
        client_keys=None,
        agent_path=None,
        username="gateway",
        password="open sesame",
        known_hosts=([key.convert_to_public()], [], []),
    )


async def test_commands(modem: aiobc9x.Modem, shell: asyncssh.SSHKey) -> None:
    """Commands run side by side on one connection; what is piped in arrives whole."""
    text = "all work and no play\n" * 300
    async with asyncssh.connect("shell.example", tunnel=modem, options=options(shell)) as ssh:
        first, second, third = await asyncio.gather(
            ssh.run("uptime"), ssh.run("fail"), ssh.run("digest", input=text)
        )
    assert (first.stdout, first.exit_status) == ("you said uptime", 0)
    assert (second.stdout, second.exit_status) == ("you said fail", 3)
    assert third.stdout == hashlib.sha256(text.encode()).hexdigest()
    assert modem.statistics.opens == 1


async def test_file_transfer(modem: aiobc9x.Modem, shell: asyncssh.SSHKey, tmp_path: Path) -> None:
    """SFTP, with its many requests under way, brings a file there and back."""
    content = bytes(range(256)) * 32
    (tmp_path / "here").write_bytes(content)
    async with (
        asyncssh.connect("shell.example", tunnel=modem, options=options(shell)) as ssh,
        ssh.start_sftp_client() as files,
    ):
        await files.put(tmp_path / "here", tmp_path / "there")
        await files.get(tmp_path / "there", tmp_path / "back")
    assert (tmp_path / "there").read_bytes() == content == (tmp_path / "back").read_bytes()
    assert modem.statistics.payload_bytes_received > len(content)


async def test_failures(modem: aiobc9x.Modem, shell: asyncssh.SSHKey) -> None:
    """Another server's key ends the connection; a refusal is the error that users know."""
    other = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await asyncssh.connect("shell.example", tunnel=modem, options=options(other))
    with pytest.raises(ConnectionRefusedError):
        await asyncssh.connect("shell.example", 9, tunnel=modem, options=options(shell))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_program(site: Site, shell: asyncssh.SSHKey, tmp_path: Path, loop: str) -> None:
    """docs/clients/ssh.md: a command, also on uvloop."""
    known = f"shell.example {shell.export_public_key().decode()}"
    (tmp_path / "known_hosts").write_text(known)
    assert await output("ssh", "SSH", site, tmp_path, loop=loop) == ["you said uptime"]
