"""Python, its libraries and rebootmgr as an ostree host has them: times of 0, and nothing writable.

A copy below a folder, compiled before its times are set, as packages are before ostree sets them.
Nobody may write into it: root's programs go without the capability to do so all the same.
"""

import compileall
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from packaging.requirements import Requirement

from benchmarks.subjects import Surroundings

PROJECT: Final = Path(__file__).parents[1]
_POWERLESS: Final = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")
_UNUSED: Final = (
    "__pycache__",
    "site-packages",
    "dist-packages",
    "test",
    "idlelib",
    "lib2to3",
    "config-*",
)


@contextmanager
def ostree_tree() -> Iterator[Surroundings]:
    """Make one, for as long as it is needed."""
    with TemporaryDirectory(prefix="rebootmgr-bench-") as home:
        inside = Path(home, "usr")
        library = inside / Path(sysconfig.get_path("stdlib")).relative_to(sys.base_prefix)
        shutil.copytree(
            sysconfig.get_path("stdlib"), library, ignore=shutil.ignore_patterns(*_UNUSED)
        )
        packages = library / "site-packages"
        for name in sorted(_needed("rebootmgr")):
            _copy_distribution(name, packages)
        for package in ("rebootmgr", "benchmarks"):
            shutil.copytree(PROJECT / package, packages / package)
        compileall.compile_dir(inside, quiet=2, force=True)
        for path in inside.rglob("*"):
            os.utime(path, (0, 0), follow_symlinks=False)
            if path.is_dir():
                path.chmod(0o555)
        try:
            environ = {"PYTHONHOME": str(inside), "PYTHONSAFEPATH": "1"}
            yield Surroundings((*_POWERLESS, _python()), environ)
        finally:
            for path in inside.rglob("*"):
                if path.is_dir():
                    path.chmod(0o755)


def _needed(name: str) -> set[str]:
    """A distribution and all that it requires here."""
    needed, left = set[str](), {name}
    while left:
        one = left.pop()
        needed.add(one)
        requires = map(Requirement, distribution(one).requires or ())
        found = {
            each.name for each in requires if not each.marker or each.marker.evaluate({"extra": ""})
        }
        left |= found - needed
    return needed - {name}


def _copy_distribution(name: str, to: Path) -> None:
    installed = distribution(name)
    for file in installed.files or ():
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        copy = to / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(installed.locate_file(file)), copy)


def _python() -> str:
    """The interpreter that .venv was made of."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))
