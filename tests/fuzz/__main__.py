"""Look for inputs that break the framer or the session, guided by the lines that they reach.

    python -m tests.fuzz session --seconds 3600
    python -m tests.fuzz framer --seconds 60 --keep /tmp/found   # what reaches new lines
    python -m tests.fuzz session --input crash-1234              # one input again

It needs ``atheris``, which has wheels for some Pythons on Linux and macOS, and is in no extra:
``pip install atheris``. One input again, and the tests, which replay the corpus, do without it.
It ends at the first input that breaks a promise, keeps it in a file, and ends with status 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).with_name("corpus")
TARGETS = ("framer", "session")
MOST_BYTES = 4096


def entry_of(target: str) -> Callable[[bytes], None]:
    """Return what takes one input."""
    entry: Callable[[bytes], None] = import_module(f"tests.fuzz.{target}").one_input
    return entry


def parser() -> argparse.ArgumentParser:
    """Make what reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--keep", type=Path, help="a folder for inputs that reach something new")
    parser.add_argument("--input", type=Path, help="do this one alone")
    return parser


def main() -> None:
    """Replay one input, or look for new ones until the time is up."""
    arguments = parser().parse_args()
    if arguments.input is not None:
        entry_of(arguments.target)(arguments.input.read_bytes())
        return
    with tempfile.TemporaryDirectory() as folder:
        kept = arguments.keep or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        look(arguments.target, arguments.seconds, kept)


def look(target: str, seconds: int, kept: Path) -> None:
    """Hand the entry to atheris, which ends the process."""
    try:
        atheris: Any = import_module("atheris")  # Any: it is in no environment of the tests
    except ImportError:
        sys.exit("atheris is missing: pip install atheris, on a Python that it has a wheel for")
    with atheris.instrument_imports(include=["aiobc9x.core", "aiobc9x.wire"]):
        entry = entry_of(target)
    options = [
        sys.argv[0],
        str(kept),
        str(CORPUS / target),
        f"-max_total_time={seconds}",
        f"-max_len={MOST_BYTES}",
        "-timeout=120",
        "-rss_limit_mb=1024",
    ]
    atheris.Setup(options, entry)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
