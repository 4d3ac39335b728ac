"""``python -m tests.model``: see :mod:`tests.model.table`.

The library is taken from PYTHONPATH, if that is set, and not from the current directory, so that
the model of one checkout can try the library of another.
"""

import os
import sys


def prefer_pythonpath() -> None:
    """Look for modules in PYTHONPATH before the current directory."""
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [*given, *(path for path in sys.path if path not in given)]


if __name__ == "__main__":
    prefer_pythonpath()

    from tests.model.table import main

    sys.exit(main())
