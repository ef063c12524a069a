"""What is said again although nothing changed: a slot that does not go back."""

import pytest

from rebootmgr.core.effects import Acquire, Release
from rebootmgr.core.events import HostChanged, LockGranted, ReleaseUnclear
from rebootmgr.core.facts import Look
from rebootmgr.daemon.herald import Herald
from tests.core.script import FLEET, NEW, SLOT, Script, running


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
