"""Build the site with Sphinx; a warning is an error."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from docs.website import llms, staging

CONFIGURATION: Final = Path(__file__).parent


def build(target: Path, *, jobs: int | str = "auto") -> int:
    """Build the site, and say how it ended.

    Args:
        target: The folder of the site; what is there is built anew.
        jobs: Processes that read and write pages.

    Returns:
        Sphinx's exit code: 0 if all is well, and no warning came.

    """
    with tempfile.TemporaryDirectory() as folder:
        staging.stage(Path(folder))
        line = [
            *(sys.executable, "-m", "sphinx", "--builder", "html", "--fresh-env", "--write-all"),
            *("--fail-on-warning", "--nitpicky", "--quiet", "--jobs", str(jobs)),
            *("--conf-dir", str(CONFIGURATION), "--doctree-dir", f"{folder}/.doctrees"),
            *(folder, str(target)),
        ]
        code = subprocess.run(line, check=False, cwd=staging.ROOT).returncode
    if code == 0:
        llms.write(target)
    return code
