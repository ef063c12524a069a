"""Break the core on purpose, one line at a time, and want its tests to notice."""

from typing import Final

from tests.mutants import attempts, calendars, gates, ledger, outcomes, shown

MUTANTS: Final = (
    *attempts.MUTANTS,
    *outcomes.MUTANTS,
    *ledger.MUTANTS,
    *gates.MUTANTS,
    *calendars.MUTANTS,
    *shown.MUTANTS,
)
