"""What a mutation is, and where the tests that judge it live."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Mutant:
    """One line of `file` (seen from core), what becomes of it, and the tests that must notice."""

    name: str
    file: str
    old: str
    new: str
    judges: tuple[str, ...]


BACKLOG: Final = "tests/core/test_backlog.py::"
DEADLINES: Final = "tests/core/test_deadlines.py::"
MACHINE: Final = "tests/core/test_machine.py::"
ATTEMPT: Final = "tests/core/test_attempt.py::"
BOOT: Final = "tests/core/test_boot.py::"
CHANGES: Final = "tests/core/test_changes.py::"
GATES: Final = "tests/core/test_gates.py::"
PEOPLE: Final = "tests/core/test_people.py::"
OPERATOR: Final = "tests/core/test_operator.py::"
SHOWN: Final = "tests/core/test_shown.py::"
CLOCK: Final = "tests/core/test_clock_trust.py::"
SLOTS: Final = "tests/core/test_slots.py::"
CONFIRMED: Final = "tests/core/test_confirmations.py::"
WINDOW: Final = "tests/core/test_window.py::"
RECURRENCE: Final = "tests/core/test_recurrence.py::"
DURATIONS: Final = "tests/core/test_durations.py::"
SENTENCE: Final = "tests/core/test_sentence.py::"
FAR: Final = "tests/core/test_far_windows.py::"
FIT: Final = "tests/core/test_fit.py::"
COUNTERS: Final = "tests/core/test_counters.py::"
LEND: Final = "tests/lending/test_lend.py::"
ROLLING: Final = "tests/lending/test_rolling.py::"
LENDING_WORLD: Final = "tests/lending/test_world.py"
ROLL_OUT: Final = "tests/lending/test_roll_out.py"
SQLITE: Final = "tests/lockd/test_sqlite.py::"
STORIES: Final = "tests/days/test_outcomes.py::"
LOOP: Final = "tests/days/test_loop.py::"
AGED: Final = "tests/core/test_deadline_properties.py"
OVERDUE: Final = "tests/days/test_overdue.py"
