"""What people read of an answer."""

from datetime import UTC, datetime

import pytest

from rebootmgr.lending.questions import Kind, Refused
from rebootmgr.lending.saying import ordinal, sentence, span

UNTIL = datetime(2030, 1, 6, 2, tzinfo=UTC)


def refused(**changed: object) -> Refused:
    usual: dict[str, object] = {
        "kind": Kind.ALL_SLOTS_FULL,
        "retry_after_s": 900,
        "lent": 3,
        "slots": 3,
        "holders": ("worker-1", "worker-7", "db-2"),
        "place": 4,
        "waiting": 12,
        "turn_s": 1020.0,
    }
    return Refused(**(usual | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            refused(),
            "3 of 3 slots lent (worker-1, worker-7, db-2); you are 4th of 12, about 17 minutes",
        ),
        (
            refused(lent=8, slots=8, holders=("a", "b", "c"), turn_s=90.0),
            "8 of 8 slots lent (a, b, c and 5 more); you are 4th of 12, about 90 seconds",
        ),
        (
            refused(lent=1, slots=1, holders=("a",), place=1, waiting=1, turn_s=0.0),
            "1 of 1 slot lent (a); you are 1st of 1, any moment",
        ),
        (
            refused(kind=Kind.QUEUED, lent=2, turn_s=0.0),
            "1 of 3 slots free, but others are first; you are 4th of 12, any moment",
        ),
        (
            refused(lent=0, slots=0, holders=(), turn_s=None),
            "no slots to lend; you are 4th of 12",
        ),
        (
            refused(kind=Kind.OUTSIDE_WINDOW, turn_s=None, until=UNTIL),
            "outside the maintenance windows until 2030-01-06 02:00 UTC; you are 4th of 12",
        ),
        (
            refused(kind=Kind.BLACKOUT, turn_s=None, detail="sale"),
            "blackout sale; you are 4th of 12",
        ),
        (
            refused(kind=Kind.FROZEN, turn_s=None, detail="the new kernel panics", until=UNTIL),
            "frozen until 2030-01-06 02:00 UTC: the new kernel panics; you are 4th of 12",
        ),
        (
            refused(lent=1, slots=0, holders=("a",), turn_s=None),
            "1 lent of 0 slots (a); you are 4th of 12",
        ),
    ],
)
def test_a_refusal_says_what_is_in_the_way_whose_turn_it_is_and_when(
    answer: Refused, said: str
) -> None:
    assert sentence(answer) == said


def test_places_are_written_as_people_do() -> None:
    numbers = (1, 2, 3, 4, 11, 12, 13, 21, 102, 111, 113)
    written = "1st 2nd 3rd 4th 11th 12th 13th 21st 102nd 111th 113th"
    assert " ".join(map(ordinal, numbers)) == written


def test_a_span_is_told_in_a_unit_that_it_has_two_of() -> None:
    spans = (0.4, 1.0, 45.0, 119.0, 120.0, 3600.0, 7200.0, 86400.0, 172800.0)
    written = [
        "1 second", "1 second", "45 seconds", "119 seconds", "2 minutes", "60 minutes", "2 hours",
        "24 hours", "2 days",
    ]  # fmt: skip
    assert list(map(span, spans)) == written
