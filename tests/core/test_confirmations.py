"""What servers have to say once: each boot, each changed slot, and after another agent."""

from collections import Counter
from dataclasses import replace

import pytest

from rebootmgr.core.alarm import deadline
from rebootmgr.core.effects import Acquire, CancelRequest, ReadFacts, Release
from rebootmgr.core.events import (
    DebtDropped,
    Forgiven,
    LockGranted,
    LockRefused,
    LockUnclear,
    PolicyLoaded,
    ReleaseUnclear,
    SlotReleased,
)
from rebootmgr.core.facts import Deployments
from rebootmgr.core.memory import Debt, Memory
from rebootmgr.core.model import NoticeKind, Reason, Slot
from tests.core.script import (
    FLEET,
    IMMEDIATE,
    NEW,
    OS_CHANGED,
    SLOT,
    Script,
    next_boot,
    running,
    settled,
    shown,
    staged,
)

OTHER = Slot("https://other.example/", "default", "me")
SPREAD_S = FLEET.patience.confirm_s
ELSEWHERE = Slot("https://other.example/", "two", "me")


def look(script: Script, driver: str, *, registered: bool = True) -> Script:
    """The host changed; it is as it was, but for an agent that reboots by itself."""
    os = script.on(OS_CHANGED).facts.os
    assert isinstance(os, Deployments)
    return script.look(os=replace(os, driver=driver, registered=registered and bool(driver)))


def fail(script: Script) -> Script:
    """The release under way comes to nothing."""
    release = script.get(Release)
    return script.on(ReleaseUnclear(release.ticket, release.slot, "HTTP 500"))


def free(script: Script) -> Script:
    """The release under way is confirmed."""
    release = script.get(Release)
    return script.on(SlotReleased(release.ticket, release.slot))


# --- another agent -----------------------------------------------------------------------


def test_what_another_agent_left_is_given_back_once_it_is_gone() -> None:
    script = look(running(FLEET), "zincati.service")
    assert not script.later(3600.0).has(Release)
    assert look(script, "").get(Release).slot == SLOT
    assert not free(script).later(86400.0).has(Release)


def test_a_first_start_beside_another_agent_tells_the_server_nothing() -> None:
    script = Script(FLEET, Memory())
    os = script.facts.os
    assert isinstance(os, Deployments)
    script.look(os=replace(os, driver="zincati.service", registered=True))
    assert script.state.memory.settled is not None
    assert not script.later(86400.0).has(Release)
    again = Script(FLEET, script.state.memory)
    again.look(os=replace(os, driver="zincati.service", registered=True))
    assert not again.has(Release)
    assert look(again, "").has(Release)


def test_a_release_under_way_is_taken_back_when_another_agent_comes() -> None:
    script = free_of(next_boot().look())
    release = script.get(Release)
    look(script, "zincati.service")
    assert script.get(CancelRequest).ticket == release.ticket
    script.on(ReleaseUnclear(release.ticket, SLOT, "the request was ended"))
    assert not script.later(86400.0).has(Release)
    assert [one.kind for one in shown(script).notices] == [NoticeKind.SLOT_NOT_RELEASED]
    assert look(script, "").get(Release).slot == SLOT


def free_of(script: Script) -> Script:
    assert script.has(Release)
    return script


def test_an_agent_that_comes_while_we_hold_a_slot_keeps_it_from_going_back() -> None:
    script = staged(FLEET).granted()
    os = script.facts.os
    assert isinstance(os, Deployments)
    script.look(os=replace(os, driver="zincati.service", registered=True))
    assert script.reasons == [Reason.DRIVER_CONFLICT]
    assert not script.has(Release)
    [notice] = shown(script).notices
    assert "another agent" in notice.detail


def test_an_agent_without_locks_stops_no_release() -> None:
    script = staged(FLEET).granted()
    os = script.facts.os
    assert isinstance(os, Deployments)
    script.look(os=replace(os, driver="AutomaticUpdatePolicy=apply"))
    assert script.reasons == [Reason.DRIVER_CONFLICT]
    assert script.get(Release).slot == SLOT


def test_nothing_goes_back_while_it_is_being_looked_whether_another_agent_came() -> None:
    script = Script(FLEET, settled(debts=(Debt(slot=SLOT),)))
    script.on(OS_CHANGED)
    assert not script.look().has(Release)
    assert script.has(ReadFacts)
    assert script.look().has(Release)


# --- a changed slot ----------------------------------------------------------------------


@pytest.mark.parametrize("slot", [OTHER, ELSEWHERE])
def test_a_changed_slot_is_confirmed_free_once_in_the_same_boot(slot: Slot) -> None:
    script = running(FLEET).under(slot=slot).on(PolicyLoaded())
    assert script.later(SPREAD_S).get(Release).slot == slot
    assert not free(script).on(PolicyLoaded()).later(86400.0).has(Release)
    script.under(slot=SLOT).on(PolicyLoaded())
    assert not script.has(Release)
    restarted = Script(replace(FLEET, slot=slot), script.state.memory).settle()
    assert not restarted.has(Release)


def test_a_slot_that_becomes_the_first_in_this_boot_is_confirmed_free() -> None:
    script = running(IMMEDIATE, memory=settled(confirmed=()))
    assert not script.has(Release)
    script.policy = FLEET
    assert script.on(PolicyLoaded()).later(SPREAD_S).get(Release).slot == SLOT


def test_hosts_that_change_their_server_in_one_second_do_not_all_tell_it_in_that_second() -> None:
    dues = []
    for number in range(1000):
        policy = replace(FLEET, seed=f"host {number}")
        script = running(policy).under(slot=OTHER).on(PolicyLoaded())
        assert not script.has(Release)
        due = deadline(script.state, at=script.at, policy=script.policy).mono
        assert due is not None
        dues.append(int(due - script.seconds))
        assert script.sleep().get(Release).slot == OTHER
    assert max(dues) < SPREAD_S
    assert max(Counter(dues).values()) < 40


def test_a_changed_server_that_is_asked_first_has_no_wait() -> None:
    script = running(FLEET).under(slot=OTHER).on(PolicyLoaded())
    assert not script.has(Release)
    script.staged = NEW
    assert script.on(OS_CHANGED).look().get(Acquire).slot == OTHER


def test_a_server_that_changed_while_the_daemon_was_away_is_told() -> None:
    script = Script(replace(FLEET, slot=OTHER), settled()).look()
    assert script.later(SPREAD_S).get(Release).slot == OTHER


def test_a_changed_slot_is_not_confirmed_free_while_one_is_kept() -> None:
    """The new name may be that of the same server, which would free what is kept."""
    kept = settled(debts=(Debt(slot=SLOT, kept=True),))
    script = Script(replace(FLEET, slot=OTHER), kept).look()
    assert not script.later(3600.0).has(Release)
    script.on(Forgiven(None))
    assert script.get(Release).slot == SLOT
    assert free(script).later(SPREAD_S).get(Release).slot == OTHER


def test_a_question_is_all_the_confirmation_that_a_server_needs() -> None:
    script = Script(FLEET, Memory(), staged=NEW).look()
    question = script.get(Acquire)
    script.on(LockRefused(question.ticket, SLOT, "busy"))
    assert not script.settle().has(Release)


# --- what is owed ------------------------------------------------------------------------


def test_a_confirmation_that_fails_is_no_debt() -> None:
    script = running(FLEET, memory=settled(confirmed=())).later(SPREAD_S)
    for _ in range(3):
        fail(script)
        assert shown(script).notices == ()
        assert shown(script).owed == ()
        script.sleep()
    assert Script(FLEET, script.state.memory).look().has(Release), "it is still to be confirmed"


def test_a_confirmation_of_an_older_boot_is_none_of_another_server() -> None:
    unasked = Memory(debts=(Debt(slot=SLOT, asked=False),))
    script = Script(replace(FLEET, slot=OTHER), unasked).look()
    assert script.get(Release).slot == OTHER
    assert [entry.slot for entry in script.state.ledger] == [OTHER]


def test_a_slot_that_was_not_released_is_shown_while_a_newer_update_waits() -> None:
    script = fail(next_boot().look())
    script.staged = replace(NEW, id=type(NEW.id)("os-9.0"), version="9")
    script.on(OS_CHANGED).look()
    question = script.get(Acquire)
    script.on(LockUnclear(question.ticket, SLOT, "HTTP 500", answered=True))
    [notice] = shown(script).notices
    assert notice.kind is NoticeKind.SLOT_NOT_RELEASED
    [owed] = shown(script).owed
    assert (owed.slot, owed.error) == (SLOT, "HTTP 500")
    restarted = Script(FLEET, script.state.memory, boot=script.boot, booted=NEW).look()
    assert NoticeKind.SLOT_NOT_RELEASED in [one.kind for one in shown(restarted).notices]


def test_a_new_grant_makes_an_old_debt_a_slot_in_use() -> None:
    script = fail(next_boot().look())
    script.staged = replace(NEW, id=type(NEW.id)("os-9.0"), version="9")
    script.on(OS_CHANGED).look()
    script.on(LockGranted(script.get(Acquire).ticket, SLOT))
    assert shown(script).notices == ()
    assert shown(script).owed == ()


def test_a_debt_is_shown_with_its_age_its_answer_and_its_next_try() -> None:
    script = next_boot().look()
    since = script.at.wall
    fail(script).sleep()
    fail(script)
    [owed] = shown(script).owed
    assert owed.since == since
    assert owed.heard == script.at.wall
    assert owed.again is not None
    assert owed.again > script.at.wall
    [notice] = shown(script).notices
    assert "HTTP 500" in notice.detail
    assert f"{owed.again:%H:%M}" in notice.detail


def test_a_debt_that_is_dropped_is_not_asked_for_again() -> None:
    script = next_boot().look()
    release = script.get(Release)
    script.on(DebtDropped(SLOT))
    assert script.get(CancelRequest).ticket == release.ticket
    assert script.state.memory.debts == ()
    assert shown(script).owed == ()
    script.on(ReleaseUnclear(release.ticket, SLOT, "the request was ended"))
    assert script.state.ledger == ()
    assert not script.later(86400.0).has(Release)


def test_a_debt_that_is_dropped_between_two_tries_is_gone_at_once() -> None:
    script = fail(next_boot().look()).on(DebtDropped(SLOT))
    assert script.state.ledger == ()
    assert script.state.memory.debts == ()


def test_a_slot_in_use_is_no_debt_that_could_be_dropped() -> None:
    script = staged(FLEET).granted()
    ledger = script.state.ledger
    assert script.on(DebtDropped(SLOT)).state.ledger == ledger
