"""Arguments, exit codes, and errors as one line.

Layer: cli.

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

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from aiobc9x import __version__
from aiobc9x.cli import INTERRUPTED, demo, simulate
from aiobc9x.errors import ModemError
from aiobc9x.wire.framer import COMPILED


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        argv: The arguments; ``None`` takes those of the process.

    """
    try:
        arguments = build_parser().parse_args(argv)
        run: Callable[[argparse.Namespace], int] = arguments.run
        return run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError as exc:
        if isinstance(exc, ModemError):
            return _failed(exc)
        return _reader_has_gone()
    except ValueError as exc:
        return _failed(exc, code=2)
    except (ModemError, OSError) as exc:
        return _failed(exc)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="aiobc9x", description="asyncio connections over a Quectel BC65/BC92 NB-IoT module"
    )
    form = "compiled" if COMPILED else "pure Python"
    version = f"%(prog)s {__version__} ({form} framer)"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="command", required=True)
    for module in (demo, simulate):
        name = module.__name__.rpartition(".")[2]
        summary = module.SUMMARY
        command = commands.add_parser(name, help=summary, description=summary)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _failed(exc: BaseException, code: int = 1) -> int:
    text = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    name = getattr(exc, "filename", None)
    where = f": {name}" if name else ""
    print(f"aiobc9x: {text}{where}", file=sys.stderr)
    return code


def _reader_has_gone() -> int:
    # As in ``aiobc9x simulate | head``: nobody reads on, so there is nothing to say. The
    # interpreter would flush stdout once more at its end and complain.
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return 1
