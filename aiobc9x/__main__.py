"""``python -m aiobc9x``."""

import sys

from aiobc9x.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
