"""How often at most."""

from rebootmgr.rates import LINES_AN_HOUR, Allowance, Bucket, Buckets, Hourly


def test_what_was_used_up_comes_back_with_time_and_no_more_than_there_was() -> None:
    bucket = Bucket(Allowance(burst=3, per_s=2))
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(100.5) for _ in range(2)] == [True, False]
    assert [bucket.take(9999.0) for _ in range(4)] == [True, True, True, False]


def test_each_has_its_own_and_thousands_of_them_are_not_remembered() -> None:
    buckets = Buckets(Allowance(burst=1, per_s=0))
    assert [buckets.take(each, 1.0) for each in "aabab"] == [True, False, True, False, False]
    for number in range(5000):
        assert buckets.take(number, 1.0)
    assert len(buckets._buckets) <= 512


def test_of_each_is_told_once_an_hour_and_of_a_thousand_hardly_more() -> None:
    hourly = Hourly()
    assert [hourly.is_due(":1.7", at) for at in (0.0, 1.0, 3599.0)] == [True, False, False]
    told = sum(hourly.is_due(f":1.{number}", 1.0) for number in range(1000))
    assert told == LINES_AN_HOUR - 1
    assert hourly.is_due(":1.7", 3600.0)
