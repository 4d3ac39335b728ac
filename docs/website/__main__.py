"""Build the site: ``python -m docs.website TARGET``."""

from __future__ import annotations

import sys
from pathlib import Path

from docs.website.building import build

sys.exit(build(Path(sys.argv[1]) if sys.argv[1:] else Path("build/site")))
