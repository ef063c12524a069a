"""What `make mutants` relies on, told before it runs."""

from pathlib import Path
from typing import Final

from tests.mutants import MUTANTS
from tests.mutants.field import FIELD

ROOT: Final = Path(__file__).parent.parent


def test_every_judge_is_a_test_that_exists() -> None:
    judges = {judge for mutant in MUTANTS for judge in mutant.judges}
    missing = []
    for judge in sorted(judges):
        path, _, test = judge.partition("::")
        if test and f"def {test.partition('[')[0]}(" not in (ROOT / path).read_text():
            missing.append(judge)
    assert missing == []


def test_what_the_field_showed_is_broken_in_sixty_ways() -> None:
    named = [name for names in FIELD.values() for name in names]
    assert len(set(named)) == len(named) >= 60
    assert set(named) <= {mutant.name for mutant in MUTANTS}


def test_every_mutant_has_a_name_of_its_own() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names)
