"""The one sentence for people."""

import dataclasses
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.core.model import Deployment, DeploymentId, Reason, UpdateKey
from rebootmgr.core.reasons import headline, until
from rebootmgr.core.sentence import doing, sentence
from rebootmgr.core.status import ShownBlocker, StateName, Status, Verdict
from tests.fakes.statuses import ALL, IDLE, NOW, REBOOTING, STARTING, STUCK, WAITING, ahead


def waiting(reason: Reason, detail: str, until: datetime | None = None, *more: Reason) -> Status:
    blockers = [ShownBlocker(reason, detail, NOW, until)]
    blockers += [ShownBlocker(other, "", NOW, None) for other in more]
    return dataclasses.replace(WAITING, blockers=tuple(blockers))


def test_nothing_to_do_is_said_in_three_words() -> None:
    assert sentence(IDLE) == "Idle: nothing pending."


def test_a_broken_configuration_is_news_even_then() -> None:
    blockers = (ShownBlocker(Reason.CONFIG_INVALID, "50-x.toml:3: no", NOW, None),)
    said = sentence(dataclasses.replace(IDLE, blockers=blockers))
    assert said == "Nothing pending; the configuration is invalid: 50-x.toml:3: no."


def test_a_window_is_named_by_its_start() -> None:
    opens = ahead(hours=3, minutes=20)
    assert sentence(waiting(Reason.OUTSIDE_WINDOW, "whatever", opens)) == (
        "Update 42.20300102.3.0 is staged;"
        " waiting for the maintenance window that opens Sat 2030-01-05 23:30 UTC."
    )


def test_who_is_logged_in_and_how_long_they_have_is_said() -> None:
    assert sentence(waiting(Reason.USERS_LOGGED_IN, "alice on pts/0", ahead(minutes=9))) == (
        "Update 42.20300102.3.0 is staged; logged in: alice on pts/0,"
        " grace ends Sat 2030-01-05 20:19 UTC."
    )


def test_other_reasons_are_counted() -> None:
    said = sentence(waiting(Reason.HELD, "migration", None, Reason.BLACKOUT, Reason.INHIBITED))
    assert said == "Update 42.20300102.3.0 is staged; held: migration (and 2 more)."


def test_a_detail_that_says_it_all_is_not_said_twice() -> None:
    detail = "the clock is not synchronized (timedatectl timesync-status)"
    said = sentence(waiting(Reason.CLOCK_UNSYNCHRONIZED, detail))
    assert said == f"Update 42.20300102.3.0 is staged; {detail}."


def test_the_reboot_is_announced_by_what_it_boots() -> None:
    assert sentence(REBOOTING) == "Rebooting into 42.20300102.3.0."
    assert sentence(dataclasses.replace(REBOOTING, pending=None)) == "Rebooting."


def test_an_update_without_a_version_goes_by_its_id() -> None:
    nameless = Deployment(id=DeploymentId("fedora-abc.0"), key=UpdateKey("abc"), version="")
    said = sentence(dataclasses.replace(STUCK, pending=nameless))
    assert said.startswith("Update fedora-abc.0 is staged; the configuration is invalid: ")


def test_the_first_look_says_so() -> None:
    assert sentence(STARTING) == "Starting: looking at the host for the first time."


def test_a_host_that_cannot_be_read_at_the_start_says_why() -> None:
    mute = ShownBlocker(Reason.STATE_UNKNOWN, "rpm-ostreed does not answer", NOW, None)
    said = sentence(dataclasses.replace(STARTING, blockers=(*STARTING.blockers, mute)))
    assert said == "Starting; what is staged is unknown: rpm-ostreed does not answer."


@pytest.mark.parametrize("state", StateName)
def test_every_state_without_a_blocker_says_what_goes_on(state: StateName) -> None:
    said = sentence(dataclasses.replace(WAITING, state=state, blockers=()))
    assert said == f"Update 42.20300102.3.0 is staged; {doing(state)}."


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (Reason.CHECK_FAILED, "next try"),
        (Reason.HOOK_FAILED, "next try"),
        (Reason.LOCK_PENDING, "next try"),
        (Reason.LOCK_DRAINING, "next try"),
        (Reason.LOCK_REFUSED, "next try"),
        (Reason.LOCK_UNREACHABLE, "next try"),
        (Reason.HELD, "until"),
        (Reason.BLACKOUT, "until"),
        (Reason.REBOOT_BUDGET, "until"),
        (Reason.WINDOW_TOO_SHORT, "next opening"),
        (Reason.REBOOTING, "gives up"),
    ],
)
def test_what_is_tried_again_says_so_and_what_ends_says_until_when(
    reason: Reason, word: str
) -> None:
    said = sentence(waiting(reason, "", ahead(minutes=9)))
    assert said.endswith(f", {word} Sat 2030-01-05 20:19 UTC.")


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words_of_its_own(reason: Reason) -> None:
    assert headline(reason)
    assert until(reason)
    assert len({headline(other) for other in Reason}) >= len(Reason) - 1
    assert "xyzzy" in sentence(waiting(reason, "xyzzy"))


@given(
    reason=st.sampled_from(Reason),
    detail=st.text(),
    version=st.text(max_size=300),
    has_end=st.booleans(),
    is_waiting=st.booleans(),
)
def test_it_is_short_and_harmless_whatever_comes_from_outside(
    *, reason: Reason, detail: str, version: str, has_end: bool, is_waiting: bool
) -> None:
    status = waiting(reason, detail * 50, ahead(days=1) if has_end else None, Reason.DRY_RUN)
    monster = Deployment(id=DeploymentId("x" * 500), key=UpdateKey("k"), version=version)
    verdict = Verdict.WAIT if is_waiting else Verdict.REBOOT
    said = sentence(dataclasses.replace(status, pending=monster, verdict=verdict))
    assert len(said) < 200
    assert said.isprintable()
    assert said.endswith(".")
    if is_waiting:
        assert "(and 1 more)" in said
        assert not has_end or "2030-01-06" in said


@pytest.mark.parametrize("status", ALL.values(), ids=ALL)
def test_every_sample_makes_one_sentence(status: Status) -> None:
    assert sentence(status).count("\n") == 0
