"""``python -m aiobc9x simulate``: the virtual module, for programs in any language.

Layer: cli. The first line on stdout is the device to open, and nothing else. Text for people
goes to stderr. The dialogue of ``--verbose`` goes to stdout, after the first line.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from dataclasses import replace
from typing import Final

import click

from aiobc9x.cli.dialogue import Dialogue
from aiobc9x.cli.opening import runs
from aiobc9x.cli.simulation_options import takes_simulation
from aiobc9x.cli.terminal import Terminal, terminal
from aiobc9x.sim.links import serve
from aiobc9x.sim.options import SimOptions
from aiobc9x.spec import LOCAL_PORTS

_PTY_WORDS: Final = "Open this device as a serial port. Ctrl-C ends the module."
_TCP_WORDS: Final = (
    "This is the module's serial line, raw bytes over TCP as from a serial server: no web server,"
    " no telnet.\nOpen it with open_modem() by this address, or with any program that speaks AT."
    " Ctrl-C ends the module."
)


@click.command()
@click.option(
    "--tcp",
    metavar="[HOST:]PORT",
    help="Raw bytes of the serial line over TCP, as a serial server has them; 0 for any port.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show the AT dialogue.")
@takes_simulation
@runs
async def command(tcp: str | None, verbose: bool, options: SimOptions) -> None:
    """Run the virtual module until Ctrl-C, for programs in any language.

    ADDRESS is sim://?name=value&...; options come on top. The first line printed is the device
    to open. docs/virtual-module.md explains each parameter; times are in seconds.
    """
    at = None if tcp is None else host_and_port(tcp)
    await run_simulation(terminal(sys.stdout), options, at, verbose=verbose)


def host_and_port(text: str) -> tuple[str, int]:
    """Read ``[HOST:]PORT``; loopback if there is no host.

    Raises:
        ValueError: The port is missing or out of range.

    """
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) not in LOCAL_PORTS:
        raise ValueError(f"--tcp takes [HOST:]PORT with a port of 0-65535, not {text!r}")
    return host.strip("[]") or "127.0.0.1", int(port)


async def run_simulation(
    screen: Terminal, options: SimOptions, at: tuple[str, int] | None, *, verbose: bool
) -> None:
    """Run a virtual module until Ctrl-C or SIGTERM.

    Args:
        screen: Where the device is told, and then the dialogue.
        options: How it behaves.
        at: Host and port to listen on; ``None`` for a pty.
        verbose: Show the dialogue.

    Raises:
        OSError: The link can't be opened, or the screen not be written.

    Cancellation is how it ends; everything is released.
    """
    watch = _Watch(screen, _PTY_WORDS if at is None else _TCP_WORDS)
    if verbose:
        options = replace(options, on_line=watch.line)
    host, port = at or ("", 0)
    link: Final = "pty" if at is None else "tcp"
    serving = asyncio.create_task(
        serve(options, link=link, host=host, port=port, on_ready=watch.ready)
    )
    watch.task = serving
    with contextlib.suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        if watch.dialogue.error is not None:
            raise watch.dialogue.error from None
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise  # by Ctrl-C; SIGTERM ends the module alone, which is a regular end
    except socket.gaierror as exc:
        raise OSError(f"--tcp: {host!r} is no address of this machine: {exc.strerror}") from exc
    except NotImplementedError as exc:
        raise OSError("this system has no pseudo terminals; use --tcp PORT") from exc


class _Watch:
    """Print the device, then the dialogue. Lines from before the device is known are kept."""

    def __init__(self, screen: Terminal, words: str) -> None:
        self._screen, self._words = screen, words
        self._early: list[tuple[str, str]] | None = []
        self.task: asyncio.Task[None] | None = None
        self.dialogue = Dialogue(screen, on_failure=self._end)

    def ready(self, device: str) -> None:
        self._screen.write(device)
        print(self._words, file=sys.stderr)
        early, self._early = self._early or [], None
        for direction, text in early:
            self.line(direction, text)

    def line(self, direction: str, text: str) -> None:
        if self._early is not None:
            self._early.append((direction, text))
        else:
            self.dialogue.line(direction, text)

    def _end(self) -> None:
        if self.task is not None:
            self.task.cancel()
