"""Try mutants: those whose name holds a NAME or whose file is one, else all.

`--field`: those that break again what the field showed (tests/mutants/field.py).

Each worker has a copy of the tree, breaks it in one place and runs the judges in order, until one
notices. A mutation that survives, or no longer applies, is an error.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import cache_from_source
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from tests.mutants import MUTANTS
from tests.mutants.field import FIELD
from tests.mutants.mutant import Mutant

ROOT: Final = Path(__file__).parent.parent.parent
PYTEST: Final = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")
TIMEOUT_S: Final = 900
CAUGHT: Final = "caught"


def main() -> int:
    """Try every mutant that is asked for; 1 unless each is caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("-j", type=int, default=os.cpu_count(), help="how many at once")
    parser.add_argument("--field", action="store_true", help="what the field showed")
    parser.add_argument("names", nargs="*", metavar="NAME")
    asked = parser.parse_args()
    shown = {name for names in FIELD.values() for name in names}
    chosen = [
        one
        for one in MUTANTS
        if not asked.field or one.name in shown
        if not asked.names or any(name in one.name or name == one.file for name in asked.names)
    ]
    found: Counter[str] = Counter()
    for number, (mutant, verdict, judge) in enumerate(_judged(chosen, asked.j), 1):
        found[verdict] += 1
        print(f"{number:3}/{len(chosen)} {verdict:8} {mutant.name} [{judge}]", flush=True)
    others = "".join(f", {count} {word}" for word, count in found.items() if word != CAUGHT)
    print(f"{found[CAUGHT]} of {len(chosen)} mutants caught{others}")
    return 0 if chosen and found[CAUGHT] == len(chosen) else 1


def _judged(chosen: list[Mutant], jobs: int) -> Iterator[tuple[Mutant, str, str]]:
    """Give each with what became of it, and the judge that said so, in the order given."""
    trees: SimpleQueue[Path] = SimpleQueue()

    def judged(mutant: Mutant) -> tuple[Mutant, str, str]:
        tree = trees.get()
        try:
            return mutant, *_try(mutant, tree)
        finally:
            trees.put(tree)

    with tempfile.TemporaryDirectory(prefix="rebootmgr-mutants-") as scratch:
        for number in range(jobs):
            trees.put(_copied(Path(scratch) / str(number)))
        with ThreadPoolExecutor(jobs) as workers:
            yield from workers.map(judged, chosen)


def _copied(tree: Path) -> Path:
    for name in ("rebootmgr", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    return tree


def _try(mutant: Mutant, tree: Path) -> tuple[str, str]:
    file = tree / "rebootmgr/core" / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        return "STALE", "none"
    _write(file, text.replace(mutant.old, mutant.new))
    try:
        for judge in mutant.judges:
            if (verdict := _run(judge, tree)) != "SURVIVED":
                return verdict, judge
        return "SURVIVED", "all"
    finally:
        _write(file, text)


def _write(file: Path, text: str) -> None:
    """Write source; what was compiled of it would tell it by its size and second only."""
    file.write_text(text)
    Path(cache_from_source(str(file))).unlink(missing_ok=True)


def _run(judge: str, tree: Path) -> str:
    command = (*PYTEST, f"--basetemp={tree / 't'}", judge)  # or each leaves what failed
    try:
        done = subprocess.run(
            command, cwd=tree, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return "HANGS"
    match done.returncode:
        case 0:
            return "SURVIVED"
        case 1:
            return CAUGHT
        case _:
            return "BROKEN"


if __name__ == "__main__":
    sys.exit(main())
