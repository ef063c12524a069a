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


@pytest.mark.parametrize(
    ("typed", "at"),
    [
        ("2030-01-05", datetime(2030, 1, 4, 23, tzinfo=UTC)),
        ("2030-01-05 10:00", datetime(2030, 1, 5, 9, tzinfo=UTC)),
        ("2030-01-05T10:00:30", datetime(2030, 1, 5, 9, 0, 30, tzinfo=UTC)),
        ("2030-01-05t10:00z", datetime(2030, 1, 5, 10, tzinfo=UTC)),
        ("2030-01-05 10:00:00.5-01:30", datetime(2030, 1, 5, 11, 30, 0, 500_000, UTC)),
        ("1970-01-01", datetime(1969, 12, 31, 23, tzinfo=UTC)),
    ],
)
def test_what_people_type_is_local_unless_it_says_otherwise(typed: str, at: datetime) -> None:
    assert decode_typed_instant(typed, ROME) == at


@pytest.mark.parametrize(
    "typed", ["", "now", "20300105", "2030-02-30", "2030-01-05T25:00", "1969-12-31", "3000-01-01",
              "2030-W01", "2030-01-05T10", "2030-01-05 10:00+01", "٢٠٣٠-01-05"],
)  # fmt: skip
def test_what_is_no_time_is_said_with_the_cure(typed: str) -> None:
    with pytest.raises(UsageError, match="is no time; write 2026-12-31"):
        decode_typed_instant(typed, ROME)
