"""Build the optional extension modules, and fit README.md for a package index.

Everything else stands in pyproject.toml.

``AIOBC9X_EXTENSION=0`` builds none. With 1 a module that can't be built is an error; without
the variable the package is then installed without them, and works the same.
"""

import os
import re
import runpy
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FOLDER = Path("aiobc9x", "wire")
WANTED = os.environ.get("AIOBC9X_EXTENSION", "")
FORM = runpy.run_path(str(FOLDER / "_form.py"))
DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,  # framer.pxd has the types
    "boundscheck": False,
    "wraparound": False,
    "freethreading_compatible": True,  # a framer belongs to one thread, and shares nothing
}
LOCAL = re.compile(
    r"(?P<code>^```.*?^```|`[^`\n]+`)"
    r"|!\[[^\]]*\]\((?!https?:)[^)]*\)\n*"
    r"|\[(?P<words>[^\]]+)\]\((?!https?:)[^)]*\)",
    re.DOTALL | re.MULTILINE,
)


class BuildStamped(build_ext):
    """Build all of the modules or none, and stamp them when they are complete."""

    def run(self) -> None:
        """Build, unless that can't be done here and needn't."""
        for extension in self.extensions:
            for path in self._paths(extension):
                for old in (path, path.with_name(path.name + FORM["STAMP"])):
                    old.unlink(missing_ok=True)
        try:
            super().run()
        except Exception:
            if WANTED == "1":
                raise
            self.announce("The framer isn't compiled here; it works the same in Python.")
            self.extensions = []
        for extension in self.extensions:
            for path in self._paths(extension):
                if path.exists():
                    stamp = FORM["stamp_of"](str(FOLDER), str(path))
                    path.with_name(path.name + FORM["STAMP"]).write_bytes(stamp)

    def _paths(self, extension: Extension) -> list[Path]:
        """Where a module is built, and where ``--inplace`` copies it."""
        name = Path(self.get_ext_filename(self.get_ext_fullname(extension.name)))
        return [Path(self.build_lib, name), *([name] if self.inplace else [])]


def extensions() -> list[Extension]:
    """The modules to compile; those of an earlier build go, if none are wanted."""
    if WANTED == "0":
        for path in FORM["extensions"](str(FOLDER)).values():
            Path(path).unlink()
            Path(path + FORM["STAMP"]).unlink(missing_ok=True)
        return []
    options = ["-g0"] if os.name == "posix" else []  # small, as they are read at each import
    modules = [
        Extension(f"aiobc9x.wire.{name}", [str(FOLDER / f"{name}.py")], extra_compile_args=options)
        for name in FORM["MODULES"]
    ]
    try:
        from Cython.Build import cythonize  # noqa: PLC0415  # not needed without extensions

        made: list[Extension] = cythonize(
            modules, compiler_directives=DIRECTIVES, build_dir="build/cython"
        )
    except Exception:
        if WANTED == "1":
            raise
        return []
    return made


def readme() -> str:
    """README.md as an index shows it, where a path of the repository leads nowhere.

    Its pictures go; of its links the words stay. Code, and what has an address, is left as it is.
    """
    text = Path("README.md").read_text("utf-8")
    return LOCAL.sub(lambda match: match["code"] or match["words"] or "", text)


setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildStamped},
    long_description=readme(),
    long_description_content_type="text/markdown",
)
