"""Windows, line by line of SPEC 5."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from rebootmgr.core.window import (
    HORIZON,
    Blackout,
    Calendar,
    Opening,
    Ruled,
    Weekly,
    Window,
    never_opens,
    openings,
    outlook,
)

ROME = ZoneInfo("Europe/Rome")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MON, TUE, WED, THU, FRI, SAT, SUN = range(7)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text)


def weekly(days: Sequence[int], start: str, length: timedelta, zone: tzinfo = UTC) -> Weekly:
    at = time.fromisoformat(start)
    return Weekly(days=frozenset(days), start=at, length=length, zone=zone)


def ruled(rule: str, start: str, length: timedelta, zone: tzinfo = UTC) -> Ruled:
    at = time.fromisoformat(start)
    return Ruled(rule=rule, first=date(2000, 1, 3), start=at, length=length, zone=zone)


def periodic(
    *windows: Window,
    blackouts: tuple[Blackout, ...] = (),
    splay: timedelta = timedelta(0),
    phase: float = 0.0,
) -> Calendar:
    return Calendar(periodic=True, windows=windows, blackouts=blackouts, splay=splay, phase=phase)


def freeze(start: str, end: str, zone: tzinfo = UTC, rule: str = "") -> Blackout:
    return Blackout(name="freeze", start=local(start), end=local(end), zone=zone, rule=rule)


def shown(calendar: Calendar, start: str, end: str) -> list[str]:
    found = openings(calendar, utc(start), utc(end))
    return [f"{each.start:%m-%dT%H:%M} {each.end:%m-%dT%H:%M}" for each in found]


def test_a_window_is_half_open_and_seconds_count() -> None:
    calendar = periodic(weekly([SAT], "23:30", HOUR))
    first, end = utc("2026-01-03T23:30:00"), utc("2026-01-04T00:30:00")
    tick = timedelta(microseconds=1)
    assert [
        outlook(calendar, at, need=None).opening is not None
        for at in (first - tick, first, end - tick, end)
    ] == [False, True, True, False]


def test_a_window_belongs_to_the_day_on_which_it_starts() -> None:
    calendar = periodic(weekly([THU], "23:00", 2 * HOUR))
    assert shown(calendar, "2026-01-01", "2026-01-08") == ["01-01T23:00 01-02T01:00"]


def test_a_window_may_pass_the_end_of_the_week_and_of_the_year() -> None:
    calendar = periodic(weekly([SUN], "23:59", 2 * MINUTE), weekly([WED], "23:00", 2 * HOUR))
    assert shown(calendar, "2025-12-28", "2026-01-02") == [
        "12-28T23:59 12-29T00:01",
        "12-31T23:00 01-01T01:00",
    ]


def test_a_start_in_a_gap_takes_the_offset_before_the_gap() -> None:
    calendar = periodic(weekly([SUN], "02:30", HOUR, ROME))
    assert shown(calendar, "2026-03-28", "2026-04-06") == [
        "03-29T01:30 03-29T02:30",  # 03:30 summer time
        "04-05T00:30 04-05T01:30",
    ]


def test_a_fold_in_the_start_means_nothing() -> None:
    """Found by chance: equal as a key of a cache, and yet another instant."""
    begin = time(2, 30, fold=1)
    window = Weekly(days=frozenset({SUN}), start=begin, length=HOUR, zone=ROME)
    start, end = local("2026-10-25T02:30").replace(fold=1), local("2026-10-25T05:00")
    frozen = Blackout(name="", start=start, end=end, zone=ROME)
    calendar = Calendar(blackouts=(frozen,))
    assert shown(calendar, "2026-10-25", "2026-10-26")[0] == "10-25T00:00 10-25T00:30"
    assert shown(periodic(window), "2026-03-29", "2026-03-30") == ["03-29T01:30 03-29T02:30"]
    assert shown(periodic(window), "2026-10-25", "2026-10-26") == ["10-25T00:30 10-25T01:30"]


def test_an_ambiguous_start_is_the_first_and_opens_once() -> None:
    calendar = periodic(weekly([SUN], "02:30", 30 * MINUTE, ROME))
    assert shown(calendar, "2026-10-24", "2026-11-02") == [
        "10-25T00:30 10-25T01:00",
        "11-01T01:30 11-01T02:00",
    ]


def test_the_length_is_elapsed_time_across_both_changes() -> None:
    calendar = periodic(weekly([SUN], "01:30", HOUR, NEW_YORK))
    assert shown(calendar, "2026-03-08", "2026-03-09") == ["03-08T06:30 03-08T07:30"]
    assert shown(calendar, "2026-11-01", "2026-11-02") == ["11-01T05:30 11-01T06:30"]


def test_a_shift_of_half_an_hour_is_a_shift_too() -> None:
    calendar = periodic(weekly([SUN], "02:15", HOUR, LORD_HOWE))
    assert shown(calendar, "2026-10-03", "2026-10-04") == ["10-03T15:45 10-03T16:45"]
    calendar = periodic(weekly([SUN], "01:45", HOUR, LORD_HOWE))
    assert shown(calendar, "2026-04-04", "2026-04-05") == ["04-04T14:45 04-04T15:45"]


def test_the_day_that_samoa_skipped_is_not_skipped() -> None:
    calendar = periodic(weekly([FRI], "10:00", HOUR, ZoneInfo("Pacific/Apia")))
    assert shown(calendar, "2011-12-29", "2012-01-07") == [
        "12-30T20:00 12-30T21:00",  # Friday as read before the gap, where it was Saturday
        "01-05T20:00 01-05T21:00",
    ]


def test_offsets_that_are_no_whole_hours() -> None:
    kathmandu = weekly([MON], "00:00", HOUR, ZoneInfo("Asia/Kathmandu"))
    fixed = weekly([MON], "12:00", HOUR, timezone(timedelta(hours=-9, minutes=-30)))
    assert shown(periodic(kathmandu, fixed), "2026-01-04", "2026-01-06") == [
        "01-04T18:15 01-04T19:15",
        "01-05T21:30 01-05T22:30",
    ]


def test_a_rule_gives_the_second_sunday_and_every_other_week() -> None:
    second = periodic(ruled("FREQ=MONTHLY;BYDAY=2SU", "02:00", HOUR, ROME))
    assert shown(second, "2026-01-01", "2026-04-30") == [
        "01-11T01:00 01-11T02:00",
        "02-08T01:00 02-08T02:00",
        "03-08T01:00 03-08T02:00",
        "04-12T00:00 04-12T01:00",
    ]
    other = periodic(ruled("FREQ=WEEKLY;INTERVAL=2", "02:00", HOUR))
    starts = [each.start.date() for each in openings(other, utc("2026-01-01"), utc("2026-06-01"))]
    assert {(day - date(2000, 1, 3)).days % 14 for day in starts} == {0}
    assert len(starts) == 10


def test_overlapping_and_touching_windows_merge() -> None:
    calendar = periodic(
        weekly([MON], "01:00", HOUR),
        weekly([MON], "01:30", HOUR),
        weekly([MON], "02:30", HOUR),
        weekly([MON], "03:31", HOUR),
        weekly([MON], "01:10", 5 * MINUTE),
    )
    assert shown(calendar, "2026-01-05", "2026-01-06") == [
        "01-05T01:00 01-05T03:30",
        "01-05T03:31 01-05T04:31",
    ]


def test_windows_of_several_zones_merge() -> None:
    calendar = periodic(weekly([MON], "02:00", HOUR, ROME), weekly([MON], "02:00", HOUR))
    assert shown(calendar, "2026-01-05", "2026-01-06") == ["01-05T01:00 01-05T03:00"]


def test_splay_shifts_the_start_of_the_merged_opening_and_not_its_end() -> None:
    windows = weekly([MON], "01:00", HOUR), weekly([MON], "02:00", HOUR)
    calendar = periodic(*windows, splay=HOUR, phase=0.75)
    assert shown(calendar, "2026-01-05", "2026-01-06") == ["01-05T01:45 01-05T03:00"]


def test_splay_takes_half_of_an_opening_at_most() -> None:
    calendar = periodic(weekly([MON], "01:00", HOUR), splay=10 * HOUR, phase=0.9)
    assert shown(calendar, "2026-01-05", "2026-01-06") == ["01-05T01:30 01-05T02:00"]


def test_splay_counts_from_a_start_before_the_range() -> None:
    calendar = periodic(weekly([MON], "00:00", 7 * DAY - HOUR), splay=3 * DAY, phase=0.5)
    assert shown(calendar, "2026-01-06", "2026-01-14") == [
        "01-06T12:00 01-11T23:00",
        "01-13T12:00 01-14T00:00",
    ]
    assert shown(calendar, "2026-01-10", "2026-01-11") == ["01-10T00:00 01-11T00:00"]


def test_splay_counts_from_the_first_of_merged_windows_although_it_ended_before_the_range() -> None:
    windows = weekly([MON], "00:00", HOUR), weekly([MON], "01:00", 4 * HOUR)
    calendar = periodic(*windows, splay=3 * HOUR, phase=0.5)
    assert shown(calendar, "2026-01-05T01:15", "2026-01-06") == ["01-05T01:30 01-05T05:00"]
    longer = periodic(*windows, splay=9 * HOUR, phase=0.9)
    assert shown(longer, "2026-01-05T01:15", "2026-01-06") == ["01-05T02:30 01-05T05:00"]


def test_blackouts_are_cut_out_after_the_splay() -> None:
    window = weekly([MON], "01:00", 2 * HOUR)
    frozen = freeze("2026-01-05T00:00", "2026-01-05T02:00")
    calendar = periodic(window, blackouts=(frozen,), splay=HOUR, phase=0.5)
    assert shown(calendar, "2026-01-05", "2026-01-06") == ["01-05T02:00 01-05T03:00"]


def test_a_blackout_beats_a_policy_that_is_always_open() -> None:
    calendar = Calendar(blackouts=(freeze("2026-12-18", "2027-01-04", ROME),))
    assert shown(calendar, "2026-12-17", "2027-01-05") == [
        "12-17T00:00 12-17T23:00",
        "01-03T23:00 01-05T00:00",
    ]


def test_a_blackout_splits_an_opening_and_overlapping_ones_merge() -> None:
    both = (
        freeze("2026-01-05T02:00", "2026-01-05T03:00"),
        freeze("2026-01-05T02:30", "2026-01-05T04:00"),
    )
    calendar = periodic(weekly([MON], "01:00", 8 * HOUR), blackouts=both)
    assert shown(calendar, "2026-01-05", "2026-01-06") == [
        "01-05T01:00 01-05T02:00",
        "01-05T04:00 01-05T09:00",
    ]


def test_a_blackout_may_repeat_and_begins_on_its_start_even_where_the_rule_does_not() -> None:
    frozen = freeze("2025-12-18T12:00", "2026-01-02T00:00", rule="FREQ=YEARLY;BYMONTH=12;BYDAY=3SU")
    calendar = Calendar(blackouts=(frozen,))
    assert shown(calendar, "2025-12-01", "2027-02-01") == [
        "12-01T00:00 12-18T12:00",
        "01-05T00:00 12-20T12:00",  # from 2025-12-21, where the rule does begin
        "01-04T00:00 02-01T00:00",
    ]


def test_a_blackout_that_repeats_ends_by_the_clock_on_the_wall() -> None:
    weekend = freeze("2026-03-06T18:00", "2026-03-09T06:00", ROME, "FREQ=WEEKLY")
    calendar = Calendar(blackouts=(weekend,))
    assert shown(calendar, "2026-03-20", "2026-03-31")[1:] == [
        "03-23T05:00 03-27T17:00",
        "03-30T04:00 03-31T00:00",  # 06:00 in summer time
    ]


def test_a_blackout_that_repeats_is_seen_from_its_middle() -> None:
    calendar = Calendar(blackouts=(freeze("2025-03-01", "2025-03-25", rule="FREQ=YEARLY"),))
    assert shown(calendar, "2026-03-23", "2026-03-26") == ["03-25T00:00 03-26T00:00"]


def test_a_blackout_resolves_its_local_times_as_a_window_does() -> None:
    gap = freeze("2026-03-29T02:30", "2026-03-29T05:00", ROME)
    twice = freeze("2026-10-25T02:30", "2026-10-25T05:00", ROME)
    calendar = Calendar(blackouts=(gap, twice))
    assert shown(calendar, "2026-03-29", "2026-03-30")[0] == "03-29T00:00 03-29T01:30"
    assert shown(calendar, "2026-10-25", "2026-10-26")[0] == "10-25T00:00 10-25T00:30"


def test_a_blackout_with_an_offset_means_these_instants() -> None:
    start = datetime.fromisoformat("2026-01-01T00:00:00+05:30")
    end = datetime.fromisoformat("2026-01-01T12:00:00Z")
    frozen = Blackout(name="x", start=start, end=end, zone=ROME, rule="FREQ=YEARLY")
    for year in (2025, 2026):  # and repeats in its zone
        assert shown(Calendar(blackouts=(frozen,)), f"{year}-12-31", f"{year + 1}-01-02") == [
            "12-31T00:00 12-31T18:30",
            "01-01T12:00 01-02T00:00",
        ]


ALWAYS = weekly(range(7), "00:00", DAY)


def test_windows_that_touch_for_ever_are_open_for_ever_and_nothing_is_shifted() -> None:
    calendar = periodic(ALWAYS, splay=HOUR, phase=0.5)
    assert shown(calendar, "2026-01-01", "2027-01-01") == ["01-01T00:00 01-01T00:00"]
    found = outlook(calendar, utc("2026-06-05T12:00"), need=HOUR)
    assert found.opening == Opening(utc("2026-05-28"), utc("2026-06-05") + HORIZON)
    assert found.next is None
    assert found.fits


def test_a_week_of_days_of_24_hours_has_a_hole_when_a_day_has_25() -> None:
    """The length is elapsed time: 24 hours from midnight end at 23:00 on that Sunday."""
    calendar = periodic(weekly(range(7), "00:00", DAY, ROME), splay=HOUR, phase=0.5)
    assert shown(calendar, "2026-10-20", "2026-10-30") == [
        "10-20T00:00 10-25T22:00",
        "10-25T23:30 10-30T00:00",
    ]


def test_an_empty_range_and_a_range_that_runs_backwards_hold_nothing() -> None:
    assert shown(Calendar(), "2026-01-01", "2026-01-01") == []
    assert shown(Calendar(), "2026-01-02", "2026-01-01") == []


def test_a_range_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        openings(Calendar(), local("2026-01-01"), utc("2026-01-02"))


def test_instants_may_come_in_any_zone_and_go_out_in_utc() -> None:
    calendar = periodic(weekly([MON], "02:00", HOUR, ROME))
    start = datetime(2026, 1, 5, tzinfo=NEW_YORK) - DAY
    (found,) = openings(calendar, start, start + 2 * DAY)
    assert found.start.tzinfo is UTC
    assert found.end.tzinfo is UTC


def test_the_ends_of_the_calendar_are_no_accident() -> None:
    forever = freeze("0001-01-01", "9999-12-31T23:59:59.999999", NEW_YORK)
    first, last = datetime.min.replace(tzinfo=ROME), datetime.max.replace(tzinfo=ROME)
    assert openings(Calendar(blackouts=(forever,)), first, last) == ()
    assert openings(Calendar(), first, last) == (Opening(utc("0004-01-01"), utc("9996-01-01")),)
    assert outlook(Calendar(), last, need=None).opening
    assert outlook(Calendar(), first, need=None).opening


NIGHTLY = periodic(weekly(range(7), "02:00", HOUR))


def test_the_outlook_names_this_opening_and_the_next() -> None:
    found = outlook(NIGHTLY, utc("2026-01-05T02:30"), need=None)
    assert found.opening == found.window == Opening(utc("2026-01-05T02"), utc("2026-01-05T03"))
    assert found.next == found.next_fitting == Opening(utc("2026-01-06T02"), utc("2026-01-06T03"))
    assert (found.blackout, found.fits, found.waived) == (None, True, False)


def test_an_opening_that_starts_now_is_not_the_next() -> None:
    found = outlook(NIGHTLY, utc("2026-01-05T02:00"), need=None)
    assert found.opening == Opening(utc("2026-01-05T02"), utc("2026-01-05T03"))
    assert found.next == Opening(utc("2026-01-06T02"), utc("2026-01-06T03"))


def test_the_outlook_tells_a_blackout_from_a_closed_window() -> None:
    frozen = freeze("2026-01-05T02:30", "2026-01-06T02:15")
    calendar = periodic(*NIGHTLY.windows, blackouts=(frozen,))
    inside = outlook(calendar, utc("2026-01-05T02:45"), need=None)
    assert inside.opening is None
    assert inside.window == Opening(utc("2026-01-05T02:00"), utc("2026-01-05T03:00"))
    assert inside.blackout == (
        "freeze",
        Opening(utc("2026-01-05T02:30"), utc("2026-01-06T02:15")),
    )
    outside = outlook(calendar, utc("2026-01-05T12:00"), need=None)
    assert outside.window is None
    assert outside.blackout == inside.blackout
    assert outside.next == Opening(utc("2026-01-06T02:15"), utc("2026-01-06T03:00"))
    before = outlook(calendar, utc("2026-01-05T02:15"), need=20 * MINUTE)
    assert before.opening == Opening(utc("2026-01-05T02:00"), utc("2026-01-05T02:30"))
    assert not before.fits


def test_of_several_blackouts_the_one_that_lasts_is_named() -> None:
    short = Blackout(name="short", start=local("2026-01-01"), end=local("2026-01-03"), zone=UTC)
    long = Blackout(name="long", start=local("2026-01-02"), end=local("2026-06-01"), zone=UTC)
    found = outlook(Calendar(blackouts=(long, short)), utc("2026-01-02T12:00"), need=None)
    assert found.blackout == ("long", Opening(utc("2026-01-02"), utc("2026-06-01")))
    assert found.next
    assert found.next.start == utc("2026-06-01")


def test_a_reboot_starts_only_where_the_rest_is_long_enough() -> None:
    at = utc("2026-01-05T02:30")
    assert outlook(NIGHTLY, at, need=30 * MINUTE).fits
    late = outlook(NIGHTLY, at + MINUTE, need=30 * MINUTE)
    assert not late.fits
    assert late.next_fitting == Opening(utc("2026-01-06T02"), utc("2026-01-06T03"))


def test_the_next_that_fits_may_be_another_than_the_next() -> None:
    calendar = periodic(*NIGHTLY.windows, ruled("FREQ=YEARLY;BYDAY=-1SU", "01:00", 3 * HOUR))
    found = outlook(calendar, utc("2026-01-05T02:30"), need=2 * HOUR)
    assert found.next == Opening(utc("2026-01-06T02"), utc("2026-01-06T03"))
    assert found.next_fitting == Opening(utc("2026-12-27T01"), utc("2026-12-27T04"))
    assert (found.fits, found.waived) == (False, False)


def test_a_slow_boot_never_means_never_again() -> None:
    first = outlook(NIGHTLY, utc("2026-01-05T02:29:59"), need=2 * HOUR)
    assert (first.fits, first.waived, first.next_fitting) == (True, True, None)
    second = outlook(NIGHTLY, utc("2026-01-05T02:30"), need=2 * HOUR)
    assert (second.fits, second.waived) == (False, False)


def test_the_fit_is_not_waived_where_a_longer_opening_comes_this_year() -> None:
    """Each night an hour, and once a year three: reboots take 57 minutes."""
    yearly = ruled("FREQ=YEARLY;BYDAY=-1SU", "01:00", 3 * HOUR)
    at, need = utc("2026-01-05T02:05"), 57 * MINUTE
    assert outlook(NIGHTLY, at, need=need).waived
    found = outlook(periodic(*NIGHTLY.windows, yearly), at, need=need)
    assert (found.fits, found.waived) == (False, False)


def test_the_fit_is_waived_in_the_longest_opening_only() -> None:
    calendar = periodic(*NIGHTLY.windows, weekly([SUN], "12:00", 2 * HOUR))
    night = outlook(calendar, utc("2026-01-05T02:00"), need=3 * HOUR)
    assert (night.fits, night.waived) == (False, False)
    sunday = outlook(calendar, utc("2026-01-11T12:00"), need=3 * HOUR)
    assert (sunday.fits, sunday.waived) == (True, True)


def test_an_opening_of_months_ends_where_it_ends() -> None:
    freezes = (freeze("2026-01-06", "2026-01-07"), freeze("2026-06-01", "2026-07-01"))
    calendar = Calendar(blackouts=freezes)
    before = outlook(calendar, utc("2026-01-05"), need=None)
    assert before.next == before.next_fitting == Opening(utc("2026-01-07"), utc("2026-06-01"))
    inside = outlook(calendar, utc("2026-01-08"), need=None)
    assert inside.opening
    assert inside.opening.end == utc("2026-06-01")


def test_a_freeze_over_several_openings_closes_them_all() -> None:
    calendar = periodic(*NIGHTLY.windows, blackouts=(freeze("2026-01-05T02:30", "2026-01-08"),))
    assert shown(calendar, "2026-01-05", "2026-01-09") == [
        "01-05T02:00 01-05T02:30",
        "01-08T02:00 01-08T03:00",
    ]


def test_without_the_check_everything_fits() -> None:
    calendar = Calendar(periodic=True, windows=NIGHTLY.windows, fit=False)
    found = outlook(calendar, utc("2026-01-05T02:59"), need=2 * HOUR)
    assert (found.fits, found.waived, found.next_fitting) == (True, False, found.next)


def test_the_default_is_open_without_end() -> None:
    found = outlook(Calendar(), utc("2026-01-05T02:59"), need=HOUR)
    assert found.opening == found.window == Opening(utc("2025-12-28"), utc("2026-01-05") + HORIZON)
    assert (found.next, found.blackout, found.fits) == (None, None, True)


def test_a_policy_that_cannot_open_within_400_days_is_known() -> None:
    at = utc("2026-01-05")
    assert not never_opens(Calendar(), at)
    assert not never_opens(NIGHTLY, at)
    assert never_opens(Calendar(blackouts=(freeze("2026-01-01", "2028-01-01"),)), at)
    assert never_opens(periodic(ruled("FREQ=DAILY;UNTIL=20251231", "02:00", HOUR)), at)
    assert not never_opens(periodic(ruled("FREQ=YEARLY;BYMONTH=1", "02:00", HOUR)), at)
    assert never_opens(periodic(ruled("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "02:00", HOUR)), at)
    nightly_freeze = freeze("2025-01-01T01:00", "2025-01-01T04:00", rule="FREQ=DAILY")
    assert never_opens(periodic(*NIGHTLY.windows, blackouts=(nightly_freeze,)), at)


def test_an_outlook_does_not_depend_on_those_before_it() -> None:
    calendar = periodic(weekly([SAT], "22:00", 6 * HOUR, ROME), splay=HOUR, phase=0.3)
    moments = [utc("2026-03-25") + n * 7 * HOUR for n in range(40)]
    forwards = [outlook(calendar, at, need=HOUR) for at in moments]
    backwards = [outlook(calendar, at, need=HOUR) for at in reversed(moments)]
    assert forwards == backwards[::-1]
    assert all(a.next and b.next and a.next <= b.next for a, b in pairwise(forwards))
