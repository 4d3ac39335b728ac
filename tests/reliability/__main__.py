"""``python -m tests.reliability``: see :mod:`tests.reliability.table`."""

import sys

from tests.reliability.table import main

if __name__ == "__main__":
    sys.exit(main())
