"""A host whose update never applies, for thirty days: with the protection, and without it."""

from dataclasses import replace
from itertools import pairwise

import pytest

from rebootmgr.core.model import NoticeKind, Outcome, Reason
from tests.days.home import DAY, Home
from tests.days.rules import Rules
from tests.days.simulation import DAYS
from tests.days.test_outcomes import FLEET, holds_a_slot, reasons, settled, shown
from tests.days.updates import Fate

FAILURES = pytest.mark.parametrize(
    ("fate", "outcome"),
    [(Fate.NEVER, Outcome.NOT_APPLIED), (Fate.RED, Outcome.ROLLED_BACK)],
)
ENDLESS_TRIES = replace(FLEET, attempts=1000)
NO_LIMIT = replace(ENDLESS_TRIES, per_day=1000)


def live(rules: Rules, fate: Fate, days: float) -> Home:
    """The timer stages an update again and again, and it fails each time."""
    life, home = settled(rules)
    home.machine.offer(fate)
    life.run_for(days * DAY)
    return home


@FAILURES
def test_a_host_whose_update_never_applies_is_rebooted_a_few_times_and_says_why(
    fate: Fate, outcome: Outcome
) -> None:
    home = live(FLEET, fate, DAYS)
    assert len(home.machine.called_at) == FLEET.attempts
    assert home.oracle.outcomes == {outcome: FLEET.attempts}
    assert reasons(home) == [Reason.QUARANTINED]
    assert f"2 failed {FLEET.attempts} times ({outcome})" in shown(home).blockers[0].detail
    assert holds_a_slot(home)
    assert [notice.kind for notice in shown(home).notices] == [NoticeKind.SLOT_KEPT]


@FAILURES
def test_without_the_quarantine_the_budget_still_bounds_the_loop(
    fate: Fate, outcome: Outcome
) -> None:
    home = live(ENDLESS_TRIES, fate, days=10)
    called = home.machine.called_at
    assert len(called) == FLEET.per_day * 10 == home.oracle.outcomes[outcome]
    assert all(b - a >= DAY - 1 for a, b in pairwise(called[:: FLEET.per_day]))
    assert reasons(home) == [Reason.REBOOT_BUDGET]


@FAILURES
def test_without_both_the_loop_is_there(fate: Fate, outcome: Outcome) -> None:
    home = live(NO_LIMIT, fate, days=0.75)
    assert len(home.machine.called_at) > 4 * FLEET.per_day
    assert set(home.oracle.outcomes) == {outcome}
    assert not {Reason.QUARANTINED, Reason.REBOOT_BUDGET} & set(reasons(home))


def test_a_large_budget_is_a_budget_too() -> None:
    """As many reboots as it takes to know are remembered."""
    home = live(replace(ENDLESS_TRIES, per_day=60), Fate.NEVER, days=0.9)
    assert len(home.machine.called_at) == 60
    assert reasons(home) == [Reason.REBOOT_BUDGET]
