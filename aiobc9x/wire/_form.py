"""Choose between the framer in Python and the framer in C, which is made of the same files.

Layer: wire. Reads the files of this folder when the package is imported, and no others.

Python takes an extension module before a file of Python, whatever it was made from. So each
that setup.py makes gets a stamp beside it once it is complete: a digest of all sources and of
itself. Only with such a stamp is it imported; else the files of Python are, and no word is
said. ``AIOBC9X_EXTENSION`` in the environment is 0 to have Python at any rate, and 1 to have C
or an ``ImportError``; setup.py reads it too.
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
"""What is compiled, in the order in which it is imported."""

VARIABLE: Final = "AIOBC9X_EXTENSION"
STAMP: Final = ".stamp"


def stamp_of(folder: str, extension: str) -> bytes:
    """Make the stamp of an extension module.

    Args:
        folder: Where the sources are.
        extension: The path of the extension module.

    Raises:
        OSError: One of them can't be read.

    """
    sources = [f"{name}{suffix}" for name in MODULES for suffix in (".py", ".pxd")]
    paths = [*(f"{folder}/{name}" for name in sources), extension]
    return b" ".join(b"%08x" % crc32(_read(path)) for path in paths)


def extensions(folder: str) -> dict[str, str]:
    """The paths of extension modules that this interpreter would import, by module."""
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
        try:
            if _read(found[name] + STAMP) != stamp_of(folder, found[name]):
                return f"{found[name]} was made from other sources, or is not complete"
        except OSError as exc:
            return f"{found[name]} can't be checked: {exc}"
    return None


def choose(package: str, folder: str, environment: Mapping[str, str]) -> None:
    """See to it that the right form is imported.

    Args:
        package: The name of the package whose modules they are.
        folder: Where it is.
        environment: Has :data:`VARIABLE`, or not.

    Raises:
        ImportError: C is demanded and can't be had.

    """
    wanted = environment.get(VARIABLE, "")
    why = "AIOBC9X_EXTENSION is 0" if wanted == "0" else fault(folder)
    if why is None:
        return
    if wanted == "1":
        raise ImportError(f"AIOBC9X_EXTENSION is 1, but {why}. Build it: pip install .")
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
    setattr(sys.modules[package], name, module)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123  # pathlib would be loaded for this alone
        return file.read()
