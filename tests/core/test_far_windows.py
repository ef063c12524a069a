"""A window further off than anybody looks: the daemon wakes for it all the same, and seldom."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from rebootmgr.core.model import Reason
from rebootmgr.core.states import Committing
from rebootmgr.core.window import Calendar, Ruled
from tests.core.script import DAY, SUNDAY, shown, staged


def test_a_window_out_of_sight_is_looked_for_again_when_it_may_open_at_the_earliest() -> None:
    """Three years off: two looks in between, and the reboot when it opens."""
    opens = datetime(2033, 1, 9, 23, tzinfo=UTC)
    far = Ruled(
        rule="FREQ=YEARLY;INTERVAL=3;BYMONTH=1;BYMONTHDAY=9",
        first=date(2030, 1, 9),
        start=time(23),
        length=timedelta(hours=3),
        zone=UTC,
    )
    began = datetime(2030, 1, 10, 12, tzinfo=UTC)
    calendar = Calendar(periodic=True, windows=(far,))
    script = staged(replace(SUNDAY, calendar=calendar), began=began)
    assert script.reasons == [Reason.OUTSIDE_WINDOW]
    assert shown(script).predicted is None
    looks = []
    while script.at.wall < opens:
        script.sleep()
        looks.append(script.at.wall)
    midnight = began.replace(hour=0)
    assert looks == [midnight + 400 * DAY, midnight + 800 * DAY, opens]
    assert isinstance(script.state.attempt, Committing)
