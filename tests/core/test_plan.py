"""The plan: the openings of a range, and what is no range."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from rebootmgr.core.window import LONGEST, Calendar, Opening, Plan, Weekly, plan

START = datetime(2026, 3, 28, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SUNDAYS = Calendar(
    periodic=True,
    windows=(
        Weekly(
            days=frozenset({6}),
            start=time(0),
            length=timedelta(days=1),
            zone=ZoneInfo("Europe/Rome"),
        ),
    ),
)


def test_a_plan_holds_its_range_and_what_is_open_in_it() -> None:
    first = datetime(2026, 3, 28, 23, tzinfo=UTC)
    end = START + DAY
    assert plan(SUNDAYS, START, end) == Plan(START, end, (Opening(first, end),))


def test_a_plan_in_which_nothing_opens_is_empty() -> None:
    assert plan(SUNDAYS, START - 3 * DAY, START).openings == ()


@pytest.mark.parametrize("end", [START, START - DAY])
def test_a_plan_that_ends_before_it_begins_is_refused(end: datetime) -> None:
    with pytest.raises(ValueError, match="must be later"):
        plan(SUNDAYS, START, end)


def test_a_plan_without_end_is_refused() -> None:
    plan(SUNDAYS, START, START + LONGEST)
    with pytest.raises(ValueError, match="ten years at most"):
        plan(SUNDAYS, START, datetime.max.replace(tzinfo=UTC))
