"""Records for the journal, as literals."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.core.model import Deployment, DeploymentId, Reason, UpdateKey
from rebootmgr.core.status import ShownBlocker, StateName, Status, Verdict
from rebootmgr.systemd.journal_words import (
    MESSAGE_IDS,
    encode_fields,
    encode_level,
    encode_lines,
    encode_priority,
    encode_record,
    encode_text,
)

AT = datetime(2025, 3, 1, tzinfo=UTC)
IDLE = Status(at=AT, state=StateName.IDLE, verdict=Verdict.IDLE, strategies=("immediate",))


def waiting_for(*reasons: Reason) -> Status:
    update = Deployment(
        id=DeploymentId("fedora-coreos-abc.0"), key=UpdateKey("k"), version="41", timestamp=1
    )
    blockers = tuple(ShownBlocker(reason, "detail", AT, None) for reason in reasons)
    return replace(
        IDLE, state=StateName.WAITING, verdict=Verdict.WAIT, pending=update, blockers=blockers
    )


def test_every_state_has_a_message_id_of_its_own() -> None:
    assert set(MESSAGE_IDS) == set(StateName)
    assert len(set(MESSAGE_IDS.values())) == len(StateName)
    assert all(re.fullmatch("[0-9a-f]{32}", id_) for id_ in MESSAGE_IDS.values())


def test_message_ids_are_for_ever() -> None:
    assert MESSAGE_IDS[StateName.REBOOTING] == "334bc171d0fe40ef8ce795b85f03c3bf"
    assert MESSAGE_IDS[StateName.WAITING] == "77b8cadc157e420f84ab0ac9acc1c262"


def test_a_change_of_state_tells_state_reason_and_deployment() -> None:
    assert encode_fields(waiting_for(Reason.INHIBITED, Reason.HELD), IDLE) == {
        "MESSAGE_ID": MESSAGE_IDS[StateName.WAITING],
        "REBOOTMGR_STATE": "waiting",
        "REBOOTMGR_REASON": "inhibited",
        "REBOOTMGR_DEPLOYMENT": "fedora-coreos-abc.0",
    }


def test_the_first_state_is_a_change_too() -> None:
    fields = encode_fields(IDLE, None)
    assert fields["REBOOTMGR_STATE"] == "idle"
    assert fields["REBOOTMGR_REASON"] == fields["REBOOTMGR_DEPLOYMENT"] == ""


def test_no_change_is_no_record() -> None:
    assert encode_fields(replace(IDLE, users=3), IDLE) == {}
    assert encode_fields(waiting_for(Reason.HELD), waiting_for(Reason.INHIBITED)) != {}


@pytest.mark.parametrize(
    ("reasons", "level"),
    [
        ((), 20),
        ((Reason.OUTSIDE_WINDOW,), 20),
        ((Reason.LOCK_UNREACHABLE, Reason.OUTSIDE_WINDOW), 30),
        ((Reason.OUTSIDE_WINDOW, Reason.LOGIND_UNREACHABLE), 30),
        ((Reason.LOGIND_UNREACHABLE, Reason.QUARANTINED), 40),
    ],
)
def test_what_a_human_must_mend_is_an_error(reasons: tuple[Reason, ...], level: int) -> None:
    assert encode_level(waiting_for(*reasons)) == level


def test_levels_become_priorities_of_syslog() -> None:
    levels = (50, 40, 30, 20, 10, 35)
    assert [encode_priority(level) for level in levels] == [2, 3, 4, 6, 7, 4]


def test_a_record_has_all_fields_and_none_of_its_values_can_add_one() -> None:
    assert encode_record(30, "rebootmgr.x", "one\ntwo", {"REBOOTMGR_REASON": "a\nPRIORITY=0"}) == [
        "MESSAGE=one\ntwo",
        "PRIORITY=4",
        "SYSLOG_IDENTIFIER=rebootmgrd",
        "LOGGER=rebootmgr.x",
        "REBOOTMGR_REASON=a PRIORITY=0",
    ]


def test_a_traceback_keeps_its_lines() -> None:
    traceback = 'Traceback:\n  File "x.py"\n    boom(\x1b[31m)\nValueError: a'
    assert encode_text("it\nfailed", traceback) == (
        'it failed\nTraceback:\n  File "x.py"\n    boom( [31m)\nValueError: a'
    )


@given(st.text(), st.text())
def test_every_line_has_our_priority_and_nothing_else_to_say(message: str, trace: str) -> None:
    for line in encode_lines(40, encode_text(message, trace)).split("\n"):
        assert line.startswith("<3>")
        assert line.isprintable()
