"""Instants: RFC 3339 there and back, and what people type."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rebootmgr.errors import UsageError
from rebootmgr.instants import decode_instant, decode_typed_instant, encode_instant

ROME = ZoneInfo("Europe/Rome")


def test_times_are_utc_whatever_zone_they_come_in() -> None:
    at = datetime(2030, 1, 5, 21, 10, 30, 999999, timezone(timedelta(hours=1)))
    assert encode_instant(at, timespec="seconds") == "2030-01-05T20:10:30Z"
    assert encode_instant(at) == "2030-01-05T20:10:30.999999Z"
    assert encode_instant(None) is None


@given(at=st.datetimes(timezones=st.sampled_from((UTC, ROME, timezone(-timedelta(hours=23))))))
def test_what_is_written_exactly_is_read_as_the_same_instant(at: datetime) -> None:
    assume(1 < at.year < 9999)  # or UTC may have no such year
    written = encode_instant(at)
    assert written is not None
    assert decode_instant(written) == at.astimezone(UTC)


def test_an_instant_needs_an_offset_or_a_zone() -> None:
    with pytest.raises(ValueError, match=r"^a time with an offset$"):
        decode_instant("2030-01-05T10:00:00")
    with pytest.raises(ValueError, match=r"^a time$"):
        decode_instant("yesterday")
    assert decode_instant("2030-01-05T10:00:00", ROME) == datetime(2030, 1, 5, 9, tzinfo=UTC)


NOW = datetime(2030, 1, 2, 11, 30, tzinfo=UTC)
"""A Wednesday, at 12:30 in Rome."""


def utc(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: float = 0
) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC) + timedelta(seconds=second)


@pytest.mark.parametrize(
    ("typed", "at"),
    [
        ("2030-01-05", utc(2030, 1, 4, 23)),
        ("2030-01-05 10:00", utc(2030, 1, 5, 9)),
        ("2030-01-05T10:00:30", utc(2030, 1, 5, 9, 0, 30)),
        ("2030-01-05t10:00z", utc(2030, 1, 5, 10)),
        ("2030-01-05 10:00:00.5-01:30", utc(2030, 1, 5, 11, 30, 0.5)),
        ("2030-01-05 10:00 UTC", utc(2030, 1, 5, 10)),
        ("2030-01-05 10:00 Asia/Tokyo", utc(2030, 1, 5, 1)),
        ("Sat 2030-01-05 10:00", utc(2030, 1, 5, 9)),
        ("1970-01-01", utc(1969, 12, 31, 23)),
        ("now", NOW),
        ("today", utc(2030, 1, 1, 23)),
        ("yesterday", utc(2029, 12, 31, 23)),
        ("tomorrow", utc(2030, 1, 2, 23)),
        ("tomorrow 08:00", utc(2030, 1, 3, 7)),
        ("  Tomorrow   8:00 ", utc(2030, 1, 3, 7)),
        ("yesterday 22:00 UTC", utc(2030, 1, 1, 22)),
        ("22:00", utc(2030, 1, 2, 21)),
        ("08:00", utc(2030, 1, 2, 7)),
        ("08:00 UTC", utc(2030, 1, 2, 8)),
        ("Mon 08:00", utc(2030, 1, 7, 7)),
        ("monday, 08:00", utc(2030, 1, 7, 7)),
        ("Mon", utc(2030, 1, 6, 23)),
        ("Wed 08:00", utc(2030, 1, 2, 7)),
        ("+2h", utc(2030, 1, 2, 13, 30)),
        ("in 2h 30m", utc(2030, 1, 2, 14)),
        ("2h 30m left", utc(2030, 1, 2, 14)),
        ("-90min", utc(2030, 1, 2, 10)),
        ("3d ago", utc(2029, 12, 30, 11, 30)),
        ("+1week", utc(2030, 1, 9, 11, 30)),
        ("+1month", NOW + timedelta(seconds=2_629_800)),
        ("-1y", NOW - timedelta(days=365.25)),
        ("@1900000000", utc(2030, 3, 17, 17, 46, 40)),
        ("2030-03-31 02:30", utc(2030, 3, 31, 1, 30)),  # which no clock in Rome shows
    ],
)
def test_what_people_type_is_local_unless_it_says_otherwise(typed: str, at: datetime) -> None:
    assert decode_typed_instant(typed, ROME, now=NOW) == at


@pytest.mark.parametrize(
    ("typed", "at"),
    [
        ("08:00", utc(2030, 1, 3, 7)),
        ("22:00", utc(2030, 1, 2, 21)),
        ("Wed 08:00", utc(2030, 1, 9, 7)),
        ("Wed 22:00", utc(2030, 1, 2, 21)),
        ("today 08:00", utc(2030, 1, 2, 7)),  # it was meant so: whoever asks says that it is over
        ("12:30", utc(2030, 1, 3, 11, 30)),
    ],
)
def test_an_end_that_is_a_time_of_day_is_ahead(typed: str, at: datetime) -> None:
    assert decode_typed_instant(typed, ROME, now=NOW, coming=True) == at


@pytest.mark.parametrize(
    "typed", ["", "soon", "20300105", "2030-02-30", "2030-01-05T25:00", "1969-12-31", "3000-01-01",
              "2030-W01", "2030-01-05T10", "2030-01-05 10:00+01", "٢٠٣٠-01-05", "T10:00",
              "Foo 8:00", "8:60", "tomorrow08:00", "2030-01-0510:00", "@99999999999999",
              "Europe/Rome", "UTC", "08:00 Europe/Roma", "08:00 ../etc/passwd", "08:00 Europe",
              "24:00", "mon tue 08:00"],
)  # fmt: skip
def test_what_is_no_time_is_said_with_the_cure(typed: str) -> None:
    with pytest.raises(UsageError, match="cannot be read as a time; write 22:00, tomorrow 08:00"):
        decode_typed_instant(typed, ROME, now=NOW)


def test_a_day_that_contradicts_its_date_is_named() -> None:
    with pytest.raises(UsageError, match="2030-01-05 is a Saturday; correct the day or the date"):
        decode_typed_instant("Mon 2030-01-05", ROME, now=NOW)


@pytest.mark.parametrize("typed", ["+", "+soon", "soon ago", "+11y"])
def test_a_span_that_is_none_is_named_as_a_span(typed: str) -> None:
    with pytest.raises(UsageError, match=r"is no length of time; write 90s|longer than ten years"):
        decode_typed_instant(typed, ROME, now=NOW)


@given(
    typed=st.text(max_size=30)
    | st.from_regex(
        r"(mon |sun )?(2030-0\d-\d\d|tomorrow|)( |t|)\d?\d:\d\d( utc|z|)", fullmatch=True
    )
)
def test_whatever_is_typed_is_a_time_or_a_usage_error(typed: str) -> None:
    try:
        at = decode_typed_instant(typed, ROME, now=NOW)
    except UsageError as error:
        said = str(error)
    else:
        said = at.isoformat()
        assert at.tzinfo is UTC
    assert said.isprintable()
