"""Which version of a library is installed: some behave otherwise than those before."""

from __future__ import annotations

from importlib import metadata


def version(package: str) -> tuple[int, ...]:
    """Its first two numbers, which compare as numbers do; empty if it isn't installed."""
    try:
        return tuple(int(part) for part in metadata.version(package).split(".")[:2])
    except metadata.PackageNotFoundError:
        return ()
