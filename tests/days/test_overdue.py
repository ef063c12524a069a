"""Months of hosts with deadlines; `make soak` lives through hundreds more."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict

from tests.days.overdue import live_through

SEEDS = 18
FEWEST = 5  # of everything that is judged


def test_a_month_with_deadlines_keeps_their_promises(
    record_property: Callable[[str, object], None],
) -> None:
    """At the last step's instant unless a hard gate is closed, and named; and people are told."""
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        seen.update(asdict(live_through(seed)))
        record_property("months", 1)
    assert min(seen.values()) >= FEWEST, seen
