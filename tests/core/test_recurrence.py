"""Rules: examples of RFC 5545 §3.8.5.3 and of the calendar, what is refused, what it costs."""

import subprocess
import sys
from datetime import date, datetime, timedelta
from itertools import islice

import pytest

from rebootmgr.core.recurrence import check_blackout_rule, check_rule, days

FIRST = date(2026, 1, 1)

EXAMPLES = [
    ("FREQ=DAILY;INTERVAL=10", "1997-09-02", "1997-09-02 1997-09-12 1997-09-22 1997-10-02"),
    ("FREQ=YEARLY;BYMONTH=1;BYDAY=SU,MO", "1998-01-04", "1998-01-04 1998-01-05 1998-01-11"),
    ("FREQ=DAILY;BYMONTH=1", "1998-01-30", "1998-01-30 1998-01-31 1999-01-01 1999-01-02"),
    ("FREQ=WEEKLY", "1997-09-02", "1997-09-02 1997-09-09 1997-09-16"),
    ("FREQ=WEEKLY;INTERVAL=2;WKST=SU", "1997-09-02", "1997-09-02 1997-09-16 1997-09-30"),
    (
        "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=MO,WE,FR",
        "1997-09-01",
        "1997-09-01 1997-09-03 1997-09-05 1997-09-15 1997-09-17",
    ),
    ("FREQ=MONTHLY;BYDAY=1FR", "1997-09-05", "1997-09-05 1997-10-03 1997-11-07 1997-12-05"),
    (
        "FREQ=MONTHLY;INTERVAL=2;BYDAY=1SU,-1SU",
        "1997-09-07",
        "1997-09-07 1997-09-28 1997-11-02 1997-11-30 1998-01-04 1998-01-25",
    ),
    ("FREQ=MONTHLY;BYDAY=-2MO", "1997-09-22", "1997-09-22 1997-10-20 1997-11-17 1997-12-22"),
    ("FREQ=MONTHLY;BYMONTHDAY=-3", "1997-09-28", "1997-09-28 1997-10-29 1997-11-28 1997-12-29"),
    ("FREQ=MONTHLY;BYMONTHDAY=1,-1", "1997-09-30", "1997-09-30 1997-10-01 1997-10-31 1997-11-01"),
    (
        "FREQ=MONTHLY;INTERVAL=18;BYMONTHDAY=10,11",
        "1997-09-10",
        "1997-09-10 1997-09-11 1999-03-10 1999-03-11",
    ),
    ("FREQ=MONTHLY", "2026-01-31", "2026-01-31 2026-03-31 2026-05-31 2026-07-31"),
    ("FREQ=MONTHLY;BYMONTHDAY=15,30", "2007-01-15", "2007-01-15 2007-01-30 2007-02-15 2007-03-15"),
    ("FREQ=YEARLY;INTERVAL=2;BYMONTH=1,2", "1997-01-10", "1997-01-10 1997-02-10 1999-01-10"),
    (
        "FREQ=YEARLY;INTERVAL=3;BYYEARDAY=1,100,200",
        "1997-01-01",
        "1997-01-01 1997-04-10 1997-07-19 2000-01-01 2000-04-09",
    ),
    ("FREQ=YEARLY", "2024-02-29", "2024-02-29 2028-02-29 2032-02-29"),
    ("FREQ=YEARLY;BYDAY=20MO", "1997-05-19", "1997-05-19 1998-05-18 1999-05-17"),
    ("FREQ=YEARLY;BYMONTH=3;BYDAY=TH", "1997-03-13", "1997-03-13 1997-03-20 1997-03-27 1998-03-05"),
    ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "1997-09-02", "1998-02-13 1998-03-13 1998-11-13"),
    (
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
        "1996-11-05",
        "1996-11-05 2000-11-07 2004-11-02",
    ),
    ("FREQ=MONTHLY;BYDAY=TU,WE,TH;BYSETPOS=3", "1997-09-04", "1997-09-04 1997-10-07 1997-11-06"),
    (
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
        "1997-09-29",
        "1997-09-29 1997-10-30 1997-11-27 1997-12-30",
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=MO",
        "1997-08-05",
        "1997-08-05 1997-08-10 1997-08-19 1997-08-24",
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU",
        "1997-08-05",
        "1997-08-05 1997-08-17 1997-08-19 1997-08-31",
    ),
    # facts of the calendar: years with 53 Mondays, last days of February, leap days on a Sunday
    ("FREQ=YEARLY;BYDAY=53MO", "2000-01-01", "2001-12-31 2007-12-31 2012-12-31 2018-12-31"),
    ("FREQ=YEARLY;BYDAY=-53SA", "1999-01-01", "2000-01-01 2005-01-01 2011-01-01 2016-01-02"),
    ("FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=-1", "2095-01-01", "2095-02-28 2096-02-29 2097-02-28"),
    ("FREQ=YEARLY;BYYEARDAY=366", "2095-01-01", "2096-12-31 2104-12-31 2108-12-31"),
    ("FREQ=YEARLY;BYYEARDAY=-366", "2095-01-01", "2096-01-01 2104-01-01 2108-01-01"),
    ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU", "2004-03-01", "2032-02-29 2060-02-29"),
    ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU", "2088-03-01", "2128-02-29 2156-02-29"),
    ("FREQ=WEEKLY;BYMONTH=1;BYDAY=WE,TH", "2025-12-30", "2026-01-01 2026-01-07 2026-01-08"),
]


@pytest.mark.parametrize(("rule", "first", "expected"), EXAMPLES)
def test_a_rule_means_what_the_rfc_shows(rule: str, first: str, expected: str) -> None:
    dates = [date.fromisoformat(word) for word in expected.split()]
    begin = date.fromisoformat(first)
    check_rule(rule, begin)
    found = days(rule, begin, begin.toordinal(), date(2200, 1, 1).toordinal())
    assert list(islice(found, len(dates))) == dates


def test_the_last_day_of_until_is_included() -> None:
    found = days("FREQ=DAILY;UNTIL=20260103", FIRST, FIRST.toordinal(), FIRST.toordinal() + 100)
    assert [day.day for day in found] == [1, 2, 3]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=DAILY;INTERVAL=3", "2026-01-02 2026-01-05"),
        ("FREQ=WEEKLY;INTERVAL=2", "2026-01-05 2026-01-19"),
        ("FREQ=MONTHLY;INTERVAL=5;BYDAY=2SU", "2026-04-12 2026-09-13"),
        ("FREQ=YEARLY;INTERVAL=7;BYMONTH=3", "2026-03-05 2033-03-05"),
    ],
)
def test_a_start_date_far_in_the_past_gives_the_phase(rule: str, expected: str) -> None:
    first = date(1970, 1, 5)  # 20450 days, or 2921 weeks and 3 days, or 672 months before
    found = days(rule, first, FIRST.toordinal(), FIRST.toordinal() + 3000)
    assert [day.isoformat() for day in islice(found, 2)] == expected.split()


def test_nobody_loads_dateutil_who_has_no_rule() -> None:
    command = [sys.executable, "-c", "import sys, rebootmgr.core.window; print(*sys.modules)"]
    loaded = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    assert "rebootmgr.core.recurrence" in loaded
    assert "dateutil" not in loaded


REFUSED = [
    ("", "'' is no part of a rule"),
    ("FREQ=DAILY;COUNT=3", "COUNT cannot be used"),
    ("FREQ=DAILY;BYHOUR=3", "BYHOUR cannot be used"),
    ("FREQ=DAILY;BYSECOND=3", "BYSECOND cannot be used"),
    ("FREQ=HOURLY", "FREQ takes DAILY, WEEKLY, MONTHLY or YEARLY, not 'HOURLY'"),
    ("INTERVAL=2", "the rule needs a FREQ"),
    ("FREQ=DAILY;INTERVAL=0", "INTERVAL takes a number from 1 to 999, not"),
    ("FREQ=DAILY;INTERVAL=99999999", "INTERVAL takes a number from 1 to 999, not"),
    ("FREQ=DAILY;INTERVAL=٣", "INTERVAL takes a number from 1 to 999, not"),
    ("FREQ=DAILY;FREQ=WEEKLY", "FREQ is given twice"),
    ("FREQ=DAILY;WKST=XX", "WKST takes a day such as MO"),
    ("FREQ=DAILY;BYDAY=", "'BYDAY' is no part of a rule"),
    ("FREQ=DAILY;BYDAY=Sunday", "BYDAY takes days such as SU, 2SU or -1FR"),
    ("FREQ=MONTHLY;BYDAY=0SU", "BYDAY takes days such as SU, 2SU or -1FR"),
    ("FREQ=WEEKLY;BYDAY=2SU", "numbered days in BYDAY (as 2SU) go with FREQ=MONTHLY or YEARLY"),
    ("FREQ=DAILY;BYDAY=2SU", "numbered days in BYDAY (as 2SU) go with FREQ=MONTHLY or YEARLY"),
    ("FREQ=MONTHLY;BYDAY=MO,2TU", "BYDAY cannot mix plain and numbered days: make two entries"),
    ("FREQ=MONTHLY;BYDAY=6MO", "numbered days in BYDAY go up to 5 in a month"),
    ("FREQ=YEARLY;BYMONTH=12;BYDAY=53MO", "numbered days in BYDAY go up to 5 in a month"),
    ("FREQ=YEARLY;BYDAY=-54MO", "numbered days in BYDAY go up to 53 in a year"),
    ("FREQ=WEEKLY;BYMONTHDAY=2", "BYMONTHDAY does not go with FREQ=WEEKLY"),
    ("FREQ=MONTHLY;BYYEARDAY=2", "BYYEARDAY goes with FREQ=YEARLY only"),
    ("FREQ=YEARLY;BYWEEKNO=2;BYDAY=MO", "BYWEEKNO cannot be used; write as FREQ=YEARLY;BYMONTH"),
    ("FREQ=YEARLY;BYMONTHDAY=0", "BYMONTHDAY takes days from 1 to 31, or backwards from -1"),
    ("FREQ=YEARLY;BYYEARDAY=367", "BYYEARDAY takes days from 1 to 366"),
    ("FREQ=YEARLY;BYYEARDAY=" + ",".join(["1"] * 32), "BYYEARDAY takes days from 1 to 366"),
    ("FREQ=YEARLY;BYMONTH=13", "BYMONTH takes numbers from 1 to 12"),
    ("FREQ=WEEKLY;BYDAY=MO,TH;BYSETPOS=1", "BYSETPOS goes with FREQ=MONTHLY or YEARLY only"),
    ("FREQ=YEARLY;BYSETPOS=1", "BYSETPOS needs another BY"),
    ("FREQ=YEARLY;BYEASTER=1", "'BYEASTER' is no part of a rule"),
    ("FREQ=DAILY;UNTIL=20261231T000000Z", "UNTIL takes the last day, as UNTIL=20261231"),
    ("FREQ=DAILY;UNTIL=20260230", "UNTIL takes the last day, and 20260230 is none"),
    ("FREQ=YEARLY;BYMONTH=5;UNTIL=20260430", "the rule matches no day from 2026-01-01 to"),
    ("FREQ=DAILY;UNTIL=20251231", "the rule ends on 2025-12-31, before it begins on 2026-01-01"),
    ("RRULE:FREQ=DAILY", "write only the rule"),
    ("DTSTART:20260101T000000\nRRULE:FREQ=DAILY", "write only the rule"),
    ("FREQ=DAILY\nRRULE:FREQ=DAILY", "FREQ takes DAILY, WEEKLY"),
    ("FREQ=DAILY;" * 100, "the rule is longer than 500 characters"),
]


@pytest.mark.parametrize(("rule", "sentence"), REFUSED)
def test_a_rule_that_cannot_be_a_window_is_refused_with_a_cure(rule: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        check_rule(rule, FIRST)
    assert str(caught.value).startswith(sentence)


NUMBERS = ",".join(str(number) for number in range(336, 367))
HOSTILE = [
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;INTERVAL=7;BYDAY=MO,TU,WE,FR,SA,SU",
    "FREQ=WEEKLY;INTERVAL=999;BYMONTH=7",
    "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6",
    f"FREQ=YEARLY;BYMONTH=5;BYYEARDAY={NUMBERS}",
    f"FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA;BYSETPOS={NUMBERS}",
    f"FREQ=YEARLY;BYDAY=53MO,53TU,52WE;BYYEARDAY={NUMBERS[-3:]};BYMONTHDAY=-2",
]


@pytest.mark.parametrize("rule", HOSTILE)
def test_a_rule_that_never_matches_is_found_out_at_once(rule: str) -> None:
    with pytest.raises(ValueError, match="matches no day in the 40 years from 2026-01-01 on"):
        check_rule(rule, FIRST)


def test_a_rule_may_end_on_the_day_on_which_it_begins() -> None:
    check_rule(f"FREQ=DAILY;UNTIL={FIRST:%Y%m%d}", FIRST)
    with pytest.raises(ValueError, match="before it begins"):
        check_rule(f"FREQ=DAILY;UNTIL={FIRST:%Y%m%d}", FIRST + timedelta(days=1))


def test_a_rule_may_match_its_last_day_and_no_other() -> None:
    christmas = "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25"
    check_rule(f"{christmas};UNTIL=20261225", FIRST)
    with pytest.raises(ValueError, match="matches no day from"):
        check_rule(f"{christmas};UNTIL=20261224", FIRST)


def test_a_century_without_a_leap_day_is_taken_into_account() -> None:
    leap = "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"
    check_rule(f"{leap};INTERVAL=4", date(2100, 1, 1))
    check_rule(f"{leap};INTERVAL=25", date(2079, 1, 1))  # 2104
    with pytest.raises(ValueError, match="matches no day"):
        check_rule(f"{leap};INTERVAL=25", date(2075, 1, 1))  # 2100
    with pytest.raises(ValueError, match="matches no day"):
        check_rule(f"{leap};BYDAY=SU;UNTIL=21280228", date(2088, 3, 1))


@pytest.mark.parametrize("first", [date(1, 1, 1), date(9996, 2, 29), date(9999, 12, 31)])
def test_a_rule_may_begin_at_either_end_of_the_calendar(first: date) -> None:
    for frequency in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
        rule = f"FREQ={frequency}"
        check_rule(rule, first)
        assert next(days(rule, first, 1, date.max.toordinal() + 99)) == first


def test_a_week_that_goes_on_after_the_calendar_is_no_accident() -> None:
    first = date(9999, 12, 27)  # a Monday
    rule = "FREQ=WEEKLY;BYDAY=FR,SA,SU"
    found = days(rule, first, first.toordinal(), date.max.toordinal() + 1)
    assert list(found) == [date.max]


def test_a_blackout_that_repeats_is_no_longer_than_a_year() -> None:
    start = datetime.combine(FIRST, datetime.min.time())
    check_blackout_rule("FREQ=YEARLY", start, start + timedelta(days=366))
    with pytest.raises(ValueError, match="366 days at most"):
        check_blackout_rule("FREQ=YEARLY", start, start + timedelta(days=367))
    with pytest.raises(ValueError, match="COUNT cannot be used"):
        check_blackout_rule("FREQ=YEARLY;COUNT=2", start, start + timedelta(days=1))
