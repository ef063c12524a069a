"""What is said although no decision changed: a slot that does not go back, a missed window."""

from datetime import timedelta

import pytest

from rebootmgr.core.effects import Acquire, Release
from rebootmgr.core.events import HostChanged, LockGranted, ReleaseUnclear
from rebootmgr.core.facts import Logind, Look
from rebootmgr.daemon.herald import Herald
from tests.core.script import BACKUP, EPOCH, FLEET, NEW, SLOT, SUNDAY, Script, running


def refused(script: Script) -> Script:
    """The release that is under way comes to nothing, and the next one is sent."""
    script.on(ReleaseUnclear(script.get(Release).ticket, SLOT, "HTTP 500 broken")).sleep()
    return script


def test_a_slot_that_does_not_go_back_is_warned_of_once_an_hour(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script, herald = running(FLEET), Herald()
    script.staged = NEW
    script.on(HostChanged(Look.OS)).look()
    script.on(LockGranted(script.get(Acquire).ticket, SLOT))
    script.staged = None
    script.look()

    def warnings() -> int:
        herald.status(script.state, script.policy, script.at)
        return sum("slot not given back" in record.message for record in caplog.records)

    assert warnings() == 0
    refused(script)
    assert warnings() == 0, "one lost race is no news"
    refused(script)
    refused(script)
    assert warnings() == 1
    began = script.seconds
    while script.seconds - began < 3600.0:
        assert warnings() == 1
        refused(script)
    assert warnings() == 2
    assert caplog.records[-1].message.endswith(f"{SLOT.server}: HTTP 500 broken")


def missed(script: Script, herald: Herald, caplog: pytest.LogCaptureFixture) -> list[str]:
    herald.say(herald.status(script.state, script.policy, script.at))
    return [one.message for one in caplog.records if one.message.startswith("missed")]


def waiting_for_sunday() -> Script:
    script = running(SUNDAY, began=EPOCH + timedelta(days=1), staged=NEW)
    script.logind = Logind(inhibitors=(BACKUP,))
    script.on(HostChanged(Look.LOGIND)).settle()
    return script


def test_a_window_that_passed_while_the_host_slept_is_missed_and_said_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    script, herald = waiting_for_sunday(), Herald()
    assert missed(script, herald, caplog) == []
    script.later(7 * 86400.0)
    (said,) = missed(script, herald, caplog)
    assert said == (
        "missed the maintenance window from Sun 2030-01-13 00:00 UTC to Sun 2030-01-13 03:00 UTC:"
        " the host was asleep, or its clock set"
    )
    assert len(missed(script, herald, caplog)) == 1


def test_a_window_that_something_else_took_up_was_not_missed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    script, herald = waiting_for_sunday(), Herald()
    for _ in range(4):
        assert missed(script, herald, caplog) == []
        script.sleep()


def test_a_host_for_which_nothing_waits_misses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    script, herald = running(SUNDAY, began=EPOCH + timedelta(days=1)), Herald()
    assert missed(script, herald, caplog) == []
    script.later(7 * 86400.0)
    assert missed(script, herald, caplog) == []
