"""Commands, exit codes, and errors as one line.

Layer: cli. A command is imported when it is called, so that ``aiobc9x --help`` comes at once.

========  ==========================================================
code      meaning
========  ==========================================================
0         done; also ``simulate`` ended by SIGTERM
1         it failed; one line on stderr says why
2         the arguments make no sense
130       ended by Ctrl-C
========  ==========================================================
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Final

import click
from click.shell_completion import shell_complete

from aiobc9x.cli import INTERRUPTED, begin, say, version
from aiobc9x.errors import ModemError
from aiobc9x.patterns import lazy_pattern

COMMANDS: Final = {
    "ports": "list the serial ports of this machine, and which of them answers AT",
    "doctor": "go from the cold port to an open connection, and say what is wrong",
    "info": "show module, SIM, network, signal, sockets and settings at a glance",
    "at": "talk to the module by AT commands, with a history",
    "monitor": "show state, signal, sockets, rates and retries, again and again",
    "config": "show, save and load the settings that the module keeps without power",
    "ping": "send echo requests to a host through the module",
    "resolve": "look up the addresses of a name in the module's DNS",
    "ntp": "ask a time server through the module",
    "sockets": "list the six sockets of the module",
    "connect": "join stdin and stdout to a connection through the module, as netcat does",
    "listen": "wait for a client on a port of the module, as netcat does",
    "forward": "let local programs reach hosts behind the module by local ports",
    "proxy": "let local programs connect through modems by SOCKS5 and HTTP, as a service",
    "get": "fetch a file by HTTP, and go on after whatever interrupts it",
    "trace": "show a recorded dialogue, replay it, or give it to Wireshark",
    "characterize": "measure how a module behaves, and write a profile for open_modem()",
    "simulate": "run the virtual module on a pty or a TCP port, until Ctrl-C",
    "demo": "fetch a page through the virtual module and show the AT dialogue",
}
"""What each command does. Command X is the object ``command`` of the module aiobc9x.cli.X."""

_AS_OPTIONS: Final = {
    "pass pin=… to open_modem()": "use --pin or AIOBC9X_PIN",
    "pass the right pin=… to open_modem()": "give the right one by --pin or AIOBC9X_PIN",
    "baudrate=None": "--baudrate auto",
    "pass it to open_modem()": "give it by --baudrate",
    "use open_connection()": "use 'aiobc9x connect'",
    "pass allow_remote=True": "give --allow-remote",
}
"""What errors advise a program to do, and what that is on the command line."""


_ERRNO: Final = lazy_pattern(r"\A\[Errno [0-9]+\] ")

_OF_SSL: Final = lazy_pattern(r"\A\[\w+: (\w+)\] (.*?)(?: \(_ssl\.c:[0-9]+\))?\Z")

_TLS_ADVICE: Final = {
    "WRONG_VERSION_NUMBER": "; does the peer speak TLS at this port?",
    "CERTIFICATE_VERIFY_FAILED": "; who signed it is not known here, or it is not of this host",
}
"""What to do about an error of OpenSSL, which has names for them."""

_OF_CLICK: Final = {
    "is not a valid integer range": "is not an integer",
    "is not a valid float range": "is not a number",
    "is not a valid integer": "is not an integer",
    "is not a valid float": "is not a number",
}
"""What click says of an argument, and what people say."""


class Commands(click.Group):
    """The group of all commands: it lists them without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; ``None`` if there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"aiobc9x.cli.{cmd_name}").command
        command.help = command.help or sentence(COMMANDS[cmd_name])
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name.

        Raises:
            UsageError: There is none; the message names one that is spelled like it.

        """
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table."""
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])


def sentence(summary: str) -> str:
    """Make a sentence of a line of the table."""
    return f"{summary[0].upper()}{summary[1:]}."


def _show_version(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    click.echo(version())
    ctx.exit()


@click.command(
    cls=Commands,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Options stand behind the command: aiobc9x ping example.com --port /dev/ttyUSB0",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version, and whether the framer is compiled.",
)
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Use and examine a Quectel BC65/BC92 NB-IoT module on a serial port."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        argv: The arguments; ``None`` takes those of the process.

    """
    begin()
    if completion := os.environ.get("_AIOBC9X_COMPLETE"):
        return shell_complete(commands, {}, "aiobc9x", "_AIOBC9X_COMPLETE", completion)
    try:
        # Not commands.main(), which takes every EPIPE for a reader of ours that has gone.
        with commands.make_context("aiobc9x", [*(sys.argv[1:] if argv is None else argv)]) as ctx:
            code = commands.invoke(ctx)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except click.UsageError as exc:
        return _misused(exc)
    except click.ClickException as exc:
        return _failed(exc.format_message())
    except BrokenPipeError as exc:
        if isinstance(exc, ModemError):
            return _failed(told(exc))
        return _reader_has_gone()
    except (ModemError, OSError) as exc:  # a certificate that is not trusted is a ValueError too
        return _failed(told(exc))
    except ValueError as exc:
        return _failed(told(exc), code=2)


def told(exc: BaseException) -> str:
    """Word an exception in one line; what it says of our functions is said of the options."""
    text = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    text = _ERRNO.sub("", text)  # of an error whose text another library has taken over
    if match := _OF_SSL.match(text):
        text = f"TLS failed: {match[2]}{_TLS_ADVICE.get(match[1], '')}"
    for of_function, of_option in _AS_OPTIONS.items():
        text = text.replace(of_function, of_option)
    name = getattr(exc, "filename", None)
    return f"{text}: {name}" if name else text


def _misused(exc: click.UsageError) -> int:
    path = exc.ctx.command_path if exc.ctx is not None else "aiobc9x"
    message = exc.format_message().rstrip(".")
    for of_click, plain in _OF_CLICK.items():
        message = message.replace(of_click, plain)
    return _failed(f"{message[:1].lower()}{message[1:]} (see '{path} --help')", code=2)


def _failed(text: str, code: int = 1) -> int:
    say(f"aiobc9x: {text}", again=False)
    return code


def _reader_has_gone() -> int:
    # As in ``aiobc9x simulate | head``: nobody reads on, so there is nothing to say. The
    # interpreter would flush stdout once more at its end and complain.
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return 1
