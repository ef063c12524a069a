"""A hundred months, of which no two are the same; `make soak` lives through thousands more."""

from collections import Counter
from collections.abc import Callable

import pytest

from rebootmgr.core.model import Outcome
from tests.days.calendars import CALENDARS
from tests.days.simulation import draw, live_through
from tests.uncollected import uncollected

SEEDS = 100
BLOCKS = len(CALENDARS) // 2  # a block has two calendars, so that it has to lay out only these
FEWEST = 3  # of each outcome, in a block


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_month_of_anything_keeps_every_promise(
    block: int, record_property: Callable[[str, object], None]
) -> None:
    outcomes: Counter[Outcome] = Counter()
    with uncollected():
        for seed in range(block, SEEDS, BLOCKS):
            tally = live_through(seed)
            outcomes += tally.outcomes
            record_property("months", 1)
            record_property("mishaps", tally.faults)
    assert min(outcomes[each] for each in Outcome) >= FEWEST
    record_property("reboots", outcomes.total())


def test_a_seed_tells_the_same_story_twice() -> None:
    assert live_through(17, days=9) == live_through(17, days=9)
    assert draw(17).season != draw(7).season
