"""Break decisions and hooks on purpose, one line at a time, and want the tests to notice."""

from typing import Final

from tests.mutants import (
    ageing,
    attempts,
    calendars,
    field,
    gates,
    hooking,
    ledger,
    lending,
    looking,
    outcomes,
    shared,
    shown,
    sources,
    strangers,
)

MUTANTS: Final = (
    *attempts.MUTANTS,
    *outcomes.MUTANTS,
    *ledger.MUTANTS,
    *gates.MUTANTS,
    *calendars.MUTANTS,
    *lending.MUTANTS,
    *looking.MUTANTS,
    *ageing.MUTANTS,
    *shared.MUTANTS,
    *shown.MUTANTS,
    *sources.MUTANTS,
    *hooking.MUTANTS,
    *strangers.MUTANTS,
    *field.MUTANTS,
)
