"""``python -m aiobc9x``, and the command ``aiobc9x``."""

from __future__ import annotations

import os
import signal
import sys

from aiobc9x.cli import INTERRUPTED, version

# Without typing's Final: until main() runs, Ctrl-C shows a traceback, so nothing is loaded for it.
_EXTRA = {"click", "prompt_toolkit", "rich"}


def main() -> int:
    """Run the command line and return the exit code; Ctrl-C is 130 at any time.

    The modules behind it take a quarter of a second to load. A ``KeyboardInterrupt`` in
    there would show a traceback of whichever is being loaded, so that until they are, and
    once all is done, the signal ends the process as it is.
    """
    _fill_in_streams()
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_ours:  # not of a shell that starts it in the background, which ignores the signal
        signal.signal(signal.SIGINT, _leave)
    try:
        from aiobc9x.cli.main import main as run  # noqa: PLC0415  (see above)

        if is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in _EXTRA:
            raise
        code = _without_extra()
    if is_ours:
        signal.signal(signal.SIGINT, _leave)
    return code


def _fill_in_streams() -> None:
    """Put something in the place of standard streams that are closed, as under some daemons.

    Python has ``None`` for them, which fails at the first look. And the next file that is opened
    would get their number, be it the device: what is meant for stdout would go to the module.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # Stays open until the end: the lowest number that is free is the stream's own.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _without_extra() -> int:
    """Say what to install; the version is told without it."""
    if sys.argv[1:] == ["--version"]:
        print(version())
        return 0
    text = "the command line needs some more packages: pip install 'aiobc9x[cli]'"
    print(f"aiobc9x: {text}", file=sys.stderr)
    return 1


def _leave(_number: int, _frame: object) -> None:
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
