"""What `make mutants` relies on, told before it runs."""

from pathlib import Path
from typing import Final

from tests.mutants import MUTANTS

ROOT: Final = Path(__file__).parent.parent


def test_every_judge_is_a_test_that_exists() -> None:
    judges = {judge for mutant in MUTANTS for judge in mutant.judges}
    missing = []
    for judge in sorted(judges):
        path, _, test = judge.partition("::")
        if test and f"def {test}(" not in (ROOT / path).read_text():
            missing.append(judge)
    assert missing == []


def test_every_mutant_has_a_name_of_its_own() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names)
