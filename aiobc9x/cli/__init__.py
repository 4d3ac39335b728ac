"""The command line: ``python -m aiobc9x``, or ``aiobc9x``.

Needs the extra ``cli``: ``pip install 'aiobc9x[cli]'``.
"""

from aiobc9x import __version__

INTERRUPTED = 130
"""What a shell reports for a program that SIGINT ended."""


def version() -> str:
    """Return the version, and whether the framer is compiled."""
    from aiobc9x.wire.framer import COMPILED  # noqa: PLC0415  # --help needs it not

    return f"aiobc9x {__version__} ({'compiled' if COMPILED else 'pure Python'} framer)"
