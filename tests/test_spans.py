"""Spans of systemd.time(7)."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.errors import UsageError
from rebootmgr.spans import LONGEST, decode_span, encode_span

US = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("90", timedelta(seconds=90)),
        ("2h 30m", timedelta(minutes=150)),
        ("2h30min", timedelta(minutes=150)),
        (" 2 hours  30 minutes ", timedelta(minutes=150)),
        ("1.5h", timedelta(minutes=90)),
        ("3d", timedelta(days=3)),
        ("1week", timedelta(weeks=1)),
        ("48hr", timedelta(days=2)),
        ("1y 12month", timedelta(days=730.5)),
        ("1M", timedelta(seconds=2_629_800)),
        ("1m", timedelta(minutes=1)),
        ("55s500ms", timedelta(seconds=55.5)),
        ("300ms20s 5day", timedelta(days=5, seconds=20.3)),
        ("7µs", 7 * US),
        ("1us", US),
        ("10y", timedelta(days=3652.5)),
    ],
)
def test_spans_mean_what_systemd_makes_of_them(written: str, span: timedelta) -> None:
    assert decode_span(written) == span


@pytest.mark.parametrize(
    "written",
    [
        "", " ", "h", "2 fortnights", "-1h", "+1h", "1h,", "1e3", "0x10", "1..5h", "1.2.3h", ".5h",
        "1.", "infinity", "2h 30q", "1H", "٣d", "1.1234567891", "1h\x1b[2J", "1h\x00",
    ],
)  # fmt: skip
def test_junk_is_named_harmlessly_with_the_cure(written: str) -> None:
    with pytest.raises(UsageError, match=r'^"[^\x00-\x1f]*" is no length of time; write 90s,'):
        decode_span(written)


@pytest.mark.parametrize("written", ["0", "0s", "0h 0min", "0.5us", "0.000000001s"])
def test_nothing_is_no_span(written: str) -> None:
    with pytest.raises(UsageError, match="is too short"):
        decode_span(written)


@pytest.mark.parametrize("written", ["11y", "3653d 1us", "9" * 18 + "y", "999999y " * 1000])
def test_nobody_waits_for_longer_than_ten_years(written: str) -> None:
    with pytest.raises(UsageError, match="longer than ten years"):
        decode_span(written)


@given(st.timedeltas(min_value=US, max_value=LONGEST))
def test_what_is_written_is_read_again(span: timedelta) -> None:
    assert decode_span(encode_span(span)) == span


@given(st.text(alphabet="0123456789. smhdwyMµuin\n", max_size=40) | st.text(max_size=40))
def test_whatever_is_written_is_a_bounded_span_or_a_usage_error(written: str) -> None:
    try:
        span = decode_span(written)
    except UsageError:
        return
    assert US <= span <= LONGEST


def test_a_span_is_written_for_people() -> None:
    assert encode_span(timedelta(hours=2, minutes=30)) == "2h 30min"
    assert encode_span(timedelta(days=10)) == "1w 3d"
    assert encode_span(timedelta()) == "0s"
