"""Choose between the framer in Python and the same framer compiled to C.

Layer: wire. Reads the files of this folder when the package is imported, and no others.

Where both exist, Python imports the extension module, even one that was compiled from older
sources. setup.py therefore writes a stamp beside each extension module once it is complete: a
digest of all sources and of the extension module. An extension module without a valid stamp is
ignored silently, and the Python file is imported. The environment variable
``AIOBC9X_EXTENSION`` overrides the choice: 0 always takes Python, 1 takes C or raises
``ImportError``. setup.py reads the same variable.
"""

from __future__ import annotations

import os
import sys
from binascii import crc32
from collections.abc import Mapping
from importlib.machinery import EXTENSION_SUFFIXES, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from typing import Final

MODULES: Final = ("frames", "framer")
"""The modules that are compiled, in the order in which they import each other."""

VARIABLE: Final = "AIOBC9X_EXTENSION"
STAMP: Final = ".stamp"


def stamp_of(folder: str, extension: str) -> bytes:
    """Make the stamp of an extension module.

    Args:
        folder: Where the sources are.
        extension: The path of the extension module.

    Raises:
        OSError: A source or the extension module can't be read.

    """
    sources = [f"{name}{suffix}" for name in MODULES for suffix in (".py", ".pxd")]
    # The .pxd files count too: they decide the C types of what the .py files say.
    paths = [*(f"{folder}/{name}" for name in sources), extension]
    # CRC32 is enough to tell versions apart, and that is all that it must do here.
    return b" ".join(b"%08x" % crc32(_read(path)) for path in paths)


def extensions(folder: str) -> dict[str, str]:
    """Return the path of each extension module that this interpreter would import, by name."""
    found = {}
    for name in MODULES:
        paths = (f"{folder}/{name}{suffix}" for suffix in EXTENSION_SUFFIXES)
        if path := next(filter(os.path.isfile, paths), None):
            found[name] = path
    return found


def fault(folder: str) -> str | None:
    """Say why the extension modules of a folder can't be used; ``None`` if they can."""
    found = extensions(folder)
    for name in MODULES:
        if name not in found:
            return f"aiobc9x.wire.{name} is not compiled"
        # A missing stamp raises here, as well as a file that may not be read.
        try:
            if _read(found[name] + STAMP) != stamp_of(folder, found[name]):
                return f"{found[name]} was made from other sources, or is not complete"
        except OSError as exc:
            return f"{found[name]} can't be checked: {exc}"
    return None


def choose(package: str, folder: str, environment: Mapping[str, str]) -> None:
    """Import the Python files now if the extension modules must not be used.

    Do nothing if they may be: the import system takes an extension module by itself.

    Args:
        package: The name of the package, ``aiobc9x.wire``.
        folder: The folder of that package.
        environment: ``os.environ``; may hold :data:`VARIABLE`.

    Raises:
        ImportError: :data:`VARIABLE` demands C, and there is no valid extension module.

    """
    wanted = environment.get(VARIABLE, "")
    why = "AIOBC9X_EXTENSION is 0" if wanted == "0" else fault(folder)
    if why is None:
        return
    if wanted == "1":
        raise ImportError(f"AIOBC9X_EXTENSION is 1, but {why}. Build it: pip install .")
    # Without an extension module the import system finds the Python files unaided.
    if extensions(folder):
        for name in MODULES:
            _import_source(package, name, folder)


def _import_source(package: str, name: str, folder: str) -> None:
    full, path = f"{package}.{name}", f"{folder}/{name}.py"
    loader = SourceFileLoader(full, path)
    spec = spec_from_file_location(full, path, loader=loader)
    assert spec is not None
    module = sys.modules[full] = module_from_spec(spec)
    loader.exec_module(module)
    # The import system does this for a submodule that it imports by itself.
    setattr(sys.modules[package], name, module)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123  # pathlib would be loaded for this alone
        return file.read()
