"""The command line: ``python -m aiobc9x``, or ``aiobc9x``.

Needs the extra ``cli``: ``pip install 'aiobc9x[cli]'``.
"""

import sys

from aiobc9x import __version__

INTERRUPTED = 130
"""What a shell reports for a program that SIGINT ended."""


def version() -> str:
    """Return the version, and whether the framer is compiled."""
    from aiobc9x.wire.framer import COMPILED  # noqa: PLC0415  # --help needs it not

    return f"aiobc9x {__version__} ({'compiled' if COMPILED else 'pure Python'} framer)"


_last_line = ""


def say(line: str, *, again: bool = True) -> None:
    """Print a line to stderr.

    Args:
        line: What to say.
        again: Say it also if the last line was the same. A command that fails need not: what it
            fails of may have been a warning just before. :func:`begin` begins anew.

    """
    global _last_line  # noqa: PLW0603  # there is one stderr
    if again or line != _last_line:
        print(line, file=sys.stderr, flush=True)
    _last_line = line


def begin() -> None:
    """Forget what was said: another command begins, maybe in the same process."""
    global _last_line  # noqa: PLW0603  # as above
    _last_line = ""
