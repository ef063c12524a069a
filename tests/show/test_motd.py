"""The few lines that people read when they log in."""

from dataclasses import replace
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.core.model import Reason
from rebootmgr.core.status import ShownBlocker, Status
from rebootmgr.show.motd import COLUMNS, encode_motd
from tests.fakes.statuses import IDLE, NOW, REBOOTING, STARTING, STUCK, UPDATE, WAITING

ROME = ZoneInfo("Europe/Rome")


@pytest.mark.parametrize("status", [IDLE, STARTING, replace(IDLE, blockers=STUCK.blockers)])
def test_nothing_is_said_while_nothing_is_pending(status: Status) -> None:
    assert encode_motd(status, UTC) == ""


def test_what_is_pending_why_it_waits_and_when_it_goes_on_are_said_in_local_time() -> None:
    assert encode_motd(WAITING, ROME) == (
        "Update 42.20300102.3.0 is staged; held: database migration (alice), until Sat\n"
        "2030-01-05 22:10 CET (and 2 more).\n"
        "The next reboot is Sun 2030-01-06 00:30 CET at the earliest.\n"
        "`rebootmgrctl why` tells more.\n"
    )


def test_the_same_time_is_not_said_twice() -> None:
    only = replace(WAITING, blockers=WAITING.blockers[1:2])
    assert encode_motd(only, UTC) == (
        "Update 42.20300102.3.0 is staged; waiting for the maintenance window that opens\n"
        "Sat 2030-01-05 23:30 UTC.\n"
        "`rebootmgrctl why` tells more.\n"
    )


def test_no_time_is_promised_that_nobody_knows_or_that_is_past() -> None:
    for predicted in (None, WAITING.at):
        assert "next reboot" not in encode_motd(replace(WAITING, predicted=predicted), UTC)


def test_a_reboot_under_way_is_announced_whether_or_not_its_update_is_still_there() -> None:
    assert encode_motd(REBOOTING, UTC).startswith("Rebooting into 42.20300102.3.0.\n")
    assert encode_motd(replace(REBOOTING, pending=None), UTC).startswith("Rebooting.\n")


@given(
    reason=st.sampled_from(Reason),
    detail=st.text(max_size=400),
    version=st.text(max_size=200),
    has_end=st.booleans(),
)
def test_whatever_comes_from_outside_stays_in_a_few_harmless_lines(
    reason: Reason, detail: str, version: str, *, has_end: bool
) -> None:
    blocker = ShownBlocker(reason, detail, NOW, WAITING.predicted if has_end else None)
    pending = replace(UPDATE, version=version)
    status = replace(WAITING, pending=pending, blockers=(blocker,))
    text = encode_motd(status, ROME)
    assert text.endswith("\n")
    lines = text.splitlines()
    assert len(lines) == text.count("\n") <= 7
    assert all(0 < len(line) <= COLUMNS and line.isprintable() for line in lines)
    assert text.encode()
