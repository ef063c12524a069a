"""How much of an opening a host needs, by its own past (SPEC 5)."""

from dataclasses import replace
from datetime import UTC, time, timedelta

import pytest

from rebootmgr.core.fit import need
from rebootmgr.core.memory import Memory, PastReboot
from rebootmgr.core.model import Outcome
from rebootmgr.core.window import Ruled
from tests.core.script import EPOCH, NEW
from tests.core.world import SUNDAYS

AN_HOUR = 3600.0


def took(*seconds: float, outcome: Outcome = Outcome.SUCCEEDED) -> tuple[PastReboot, ...]:
    return tuple(
        PastReboot(at=EPOCH, target=NEW.id, version="2", outcome=outcome, seconds=each)
        for each in seconds
    )


def needed(*reboots: PastReboot) -> float | None:
    found = need(Memory(reboots=reboots), SUNDAYS, EPOCH)
    return None if found is None else found.total_seconds()


@pytest.mark.parametrize("known", [(), (60.0,), (60.0, 60.0)])
def test_fewer_than_three_reboots_say_nothing(known: tuple[float, ...]) -> None:
    assert needed(*took(*known)) is None


def test_the_need_is_the_95th_percentile_of_the_last_ten() -> None:
    assert needed(*took(60.0, 90.0, 70.0)) == 90.0
    assert needed(*took(*range(1, 11))) == 10.0
    assert needed(*took(9000.0, *range(1, 11))) == 10.0, "an older one no longer counts"


def test_only_what_succeeded_and_was_measured_counts() -> None:
    failed = [
        one
        for outcome in Outcome
        if outcome is not Outcome.SUCCEEDED
        for one in took(5000.0, 5000.0, outcome=outcome)
    ]
    assert needed(*took(60.0, 70.0), *failed, *took(0.0)) is None
    assert needed(*took(60.0, 70.0), *failed, *took(80.0)) == 80.0


def test_each_is_capped_at_the_longest_opening() -> None:
    assert needed(*took(*[100 * AN_HOUR] * 3)) == 3 * AN_HOUR


def test_the_longest_opening_is_looked_for_as_far_as_anybody_plans() -> None:
    """Once a year there are four hours."""
    yearly = Ruled(
        rule="FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=1",
        first=EPOCH.date(),
        start=time(0),
        length=timedelta(hours=4),
        zone=UTC,
    )
    calendar = replace(SUNDAYS, windows=(*SUNDAYS.windows, yearly))
    memory = Memory(reboots=took(*[100 * AN_HOUR] * 3))
    assert need(memory, calendar, EPOCH) == timedelta(hours=4)


def test_a_calendar_that_does_not_ask_for_it_or_never_closes_needs_nothing() -> None:
    memory = Memory(reboots=took(60.0, 70.0, 80.0))
    assert need(memory, SUNDAYS, EPOCH) == timedelta(seconds=80)
    assert need(memory, replace(SUNDAYS, fit=False), EPOCH) is None
    assert need(memory, replace(SUNDAYS, periodic=False), EPOCH) is None
