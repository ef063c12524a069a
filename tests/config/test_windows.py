"""Windows, blackouts and zones of the configuration."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from rebootmgr.config.checked import Config, DropIn, decode_config
from rebootmgr.config.settings import Updates
from rebootmgr.config.values import UnfitError
from rebootmgr.config.windows import days
from rebootmgr.core.window import Blackout, Ruled, Weekly
from rebootmgr.errors import Problem

ROME = ZoneInfo("Europe/Rome")
WINDOW = """
[[updates.periodic.window]]
days = ["Sat"]
start_time = "23:30"
length_minutes = 60
"""


def decode(text: str) -> Config:
    return decode_config((DropIn("a.toml", text),), localtime=ROME)


def valid(text: str) -> Updates:
    config = decode(text)
    assert config.errors == ()
    return config.settings.updates


def only_error(text: str) -> Problem:
    (error,) = decode(text).errors
    return error


def test_a_rule_window_and_a_blackout_reach_the_core() -> None:
    updates = valid(
        """
        [updates.periodic]
        time_zone = "Europe/Rome"
        [[updates.periodic.window]]
        rrule = "FREQ=MONTHLY;BYDAY=2SU"
        start_time = "02:00"
        length_minutes = 90
        time_zone = "UTC"
        [[updates.blackout]]
        name = "year\\tend"
        start = 2026-12-18
        end = 2027-01-04T08:00:00
        rrule = "FREQ=YEARLY"
        [[updates.blackout]]
        start = 2026-01-01T00:00:00Z
        end = 2026-01-02T00:00:00
        """
    )
    assert updates.periodic.window == (
        Ruled(
            rule="FREQ=MONTHLY;BYDAY=2SU",
            first=date(2000, 1, 3),
            start=time(2),
            length=timedelta(minutes=90),
            zone=UTC,
        ),
    )
    year_end, mixed = updates.blackout
    assert year_end == Blackout(
        name="year end",
        start=datetime(2026, 12, 18),  # noqa: DTZ001 - local in its zone
        end=datetime(2027, 1, 4, 8),  # noqa: DTZ001 - local in its zone
        zone=ROME,
        rule="FREQ=YEARLY",
    )
    assert mixed.start == datetime(2026, 1, 1, 1)  # noqa: DTZ001 - 00:00Z is 01:00 in Rome


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('days = ["Sat"]', "", "updates.periodic.window"),
        ('days = ["Sat"]', "days = []", "updates.periodic.window.days"),
        ('days = ["Sat"]', 'days = "Sat"', "updates.periodic.window.days"),
        ('days = ["Sat"]', 'days = ["Sat\\n"]', "updates.periodic.window.days"),
        ('days = ["Sat"]', 'days = ["Sa"]', "updates.periodic.window.days"),
        ('days = ["Sat"]', "days = [6]", "updates.periodic.window.days"),
        ('days = ["Sat"]', 'rrule = "FREQ=HOURLY"', "updates.periodic.window.rrule"),
        ('days = ["Sat"]', 'rrule = "FREQ=DAILY;COUNT=1"', "updates.periodic.window.rrule"),
        (
            'days = ["Sat"]',
            'days = ["Sat"]\nrrule = "FREQ=DAILY"',
            "updates.periodic.window.rrule",
        ),
        (
            'days = ["Sat"]',
            'days = ["Sat"]\nstart_date = 2000-01-01',
            "updates.periodic.window.start_date",
        ),
        ('"23:30"', '"24:00"', "updates.periodic.window.start_time"),
        ('"23:30"', '"23:60"', "updates.periodic.window.start_time"),
        ('"23:30"', '"٢٣:30"', "updates.periodic.window.start_time"),
        ('"23:30"', '"23:30\\n"', "updates.periodic.window.start_time"),
        ('"23:30"', '" 23:30"', "updates.periodic.window.start_time"),
        ('"23:30"', '"007:30"', "updates.periodic.window.start_time"),
        ('"23:30"', "23:30:00", "updates.periodic.window.start_time"),
        ('start_time = "23:30"', "", "updates.periodic.window"),
        ("length_minutes = 60", "", "updates.periodic.window"),
        ("length_minutes = 60", "length_minutes = 0", "updates.periodic.window.length_minutes"),
        ("length_minutes = 60", "length_minutes = 10081", "updates.periodic.window.length_minutes"),
    ],
)
def test_a_bad_window_is_named(old: str, new: str, key: str) -> None:
    assert only_error(WINDOW.replace(old, new)).key == key


def test_tuesday_is_a_day_in_all_its_spellings() -> None:
    text = WINDOW.replace('["Sat"]', '["tue", "TUESDAY", "Tue"]')
    (window,) = valid(text).periodic.window
    assert isinstance(window, Weekly)
    assert window.days == {1}
    assert only_error(WINDOW.replace("Sat", "tuesady")).hint == 'did you mean "Tuesday"?'


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-01-02", "2026-01-01"),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z"),
        ("'2026-01-01'", "2026-01-02"),
        ("00:00:00", "2026-01-02"),
        ("0001-01-01T00:00:00+23:59", "2026-01-02"),
        ("2026-01-01", "9999-12-31T23:59:59-23:59"),
    ],
)
def test_a_bad_blackout_is_named(start: str, end: str) -> None:
    error = only_error(f"[[updates.blackout]]\nstart = {start}\nend = {end}")
    assert error.key in {"updates.blackout.start", "updates.blackout.end"}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("europe/rome", 'did you mean "Europe/Rome"?'),
        ("Europe/Rom", 'did you mean "Europe/Rome"?'),
        ("Europe", "`timedatectl"),
        ("../../etc/passwd", "`timedatectl"),
        ("/etc/localtime", "`timedatectl"),
        ("", "`timedatectl"),
        ("UTC\\n", "`timedatectl"),
        ("a/" * 5000, "`timedatectl"),
        ("x" * 5000, "`timedatectl"),
        ("a\\u0000b", "`timedatectl"),
    ],
)
def test_a_bad_zone_is_an_error_with_a_near_name(name: str, hint: str) -> None:
    error = only_error(f'[updates.periodic]\ntime_zone = "{name}"')
    assert error.key == "updates.periodic.time_zone"
    assert hint in error.hint


def test_localtime_without_a_zone_on_the_host_says_so() -> None:
    text = f"{WINDOW}time_zone = 'localtime'"
    common = "[updates.periodic]\ntime_zone = 'localtime'"
    for each, key in ((text, "window.time_zone"), (common, "time_zone")):
        (error,) = decode_config((DropIn("a", each),), localtime=None).errors
        assert error.key == f"updates.periodic.{key}"
        assert "/etc/localtime" in error.message
    assert valid(text).periodic.window[0].zone is ROME


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        (["Mon-Fri"], {0, 1, 2, 3, 4}),
        (["saturday..monday"], {5, 6, 0}),
        (["Wed - Wed"], {2}),
        (["Mon-Tue", "Sun"], {0, 1, 6}),
    ],
)
def test_days_may_be_ranges_also_over_the_end_of_the_week(
    written: list[str], numbers: set[int]
) -> None:
    assert days(written) == numbers


@pytest.mark.parametrize("written", ["Mon-", "-Fri", "Mon-Wed-Fri", "1-5"])
def test_what_is_no_range_of_days_is_named(written: str) -> None:
    with pytest.raises(UnfitError, match="is no day of the week"):
        days([written])


EVENT = "[[updates.periodic.window]]\nlength_minutes = 60\n"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("on_calendar = 'Sat 1:00'\nstart_time = '2:00'", "start_time: has no meaning beside on_"),
        ("on_calendar = 'Sat 1:00'\nstart_date = 2026-01-01", "remove it, or use rrule"),
        ("on_calendar = 'Sat 1:00'\ndays = ['Sat']", "on_calendar: stands beside days"),
        ("on_calendar = 'hourly'", '"hourly": comes more than once a day (write it as "Sat,Sun'),
        ("on_calendar = '1:00 UTC'", '(write time_zone = "UTC" instead)'),
        ("on_calendar = 5", "must be text, not 5"),
        ("days = ['Sat']", "has no start_time"),
    ],
)
def test_a_calendar_event_stands_alone_and_comes_once_a_day(keys: str, told: str) -> None:
    config = decode_config((DropIn("a.toml", f"{EVENT}{keys}"),), localtime=None)
    [problem] = config.errors
    assert told in str(problem)
