"""When to try again: bounds, growth, and hosts that do not march in step."""

from itertools import accumulate, pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.core.backoff import (
    Retry,
    Wish,
    jitter,
    next_release,
    next_retry,
    untried,
)
from rebootmgr.core.policy import Patience

PATIENCE: Final = Patience()
MIDDLES: Final = (10, 20, 40, 80, 160, 240, 240, 240)
FLEET: Final = [f"{number:032x}" for number in range(1000)]
NOW: Final = 7200.0

seeds = st.text(max_size=40)
instants = st.floats(0, 1e9)
wishes = st.floats(0, 1e7)


def waits(tries: int, seed: str, now: float, wish: float = 0.0) -> list[float]:
    """How long each of so many failures in a row makes a host wait."""
    found: list[float] = []
    retry: Retry | None = None
    for _ in range(tries):
        retry = next_retry(retry, now, PATIENCE, seed=seed, wish=Wish(wish))
        found.append(retry.at - now)
        now = retry.at
    return found


def release_waits(tries: int, seed: str, now: float) -> list[float]:
    found: list[float] = []
    retry = untried(now)
    for _ in range(tries):
        retry = next_release(retry, now, PATIENCE, seed=seed)
        found.append(retry.at - now)
        now = retry.at
    return found


def busiest(instants: list[float]) -> int:
    """How many fall into the fullest second."""
    seconds = [int(one) for one in instants]
    return max(seconds.count(second) for second in set(seconds))


@given(seeds, instants)
def test_a_wait_is_half_to_one_and_a_half_of_what_doubles_from_ten_seconds_to_four_minutes(
    seed: str, now: float
) -> None:
    for wait, middle in zip(waits(8, seed, now), MIDDLES, strict=True):
        assert 0.5 * middle - 1e-6 <= wait <= 1.5 * middle + 1e-6


def test_a_fleet_fills_the_whole_range_around_a_middle_that_never_falls() -> None:
    columns = [*zip(*(waits(8, seed, NOW) for seed in FLEET), strict=True)]
    for column, middle in zip(columns, MIDDLES, strict=True):
        assert min(column) < 0.52 * middle
        assert max(column) > 1.48 * middle
    means = [sum(column) / len(column) for column in columns]
    assert all(before <= after * 1.04 for before, after in pairwise(means))


def test_tries_are_counted_no_further_where_the_waits_grow_no_more() -> None:
    """However long a server is away, the state of its host stays small, and its retries too."""
    retry: Retry | None = None
    for _ in range(10_000):
        retry = next_retry(retry, NOW, PATIENCE, seed="x")
    assert retry is not None
    assert retry.tries == 5


@given(seeds, instants, st.integers(1, 7), wishes)
def test_a_wish_of_the_server_is_a_lower_bound_up_to_an_hour(
    seed: str, now: float, tries: int, wish: float
) -> None:
    wait = next_retry(Retry(tries, now), now, PATIENCE, seed=seed, wish=Wish(wish)).at - now
    own = next_retry(Retry(tries, now), now, PATIENCE, seed=seed).at - now
    assert min(wish, 3600.0) - 1e-6 <= wait <= max(own, 1.25 * min(wish, 3600.0)) + 1e-6


@given(seeds, instants, st.integers(0, 8), wishes)
def test_a_release_keeps_to_the_servers_wish_too(
    seed: str, now: float, tries: int, wish: float
) -> None:
    wait = next_release(Retry(tries, now), now, PATIENCE, seed=seed, wish=Wish(wish)).at - now
    own = next_release(Retry(tries, now), now, PATIENCE, seed=seed).at - now
    assert min(wish, 3600.0) - 1e-6 <= wait <= max(own, 15.0, 1.25 * min(wish, 3600.0)) + 1e-6


@given(seeds, instants)
def test_a_release_that_failed_is_tried_again_within_three_seconds_and_then_like_the_rest(
    seed: str, now: float
) -> None:
    first, *others = release_waits(8, seed, now)
    assert 1.0 - 1e-6 <= first <= 3.0 + 1e-6
    for wait, middle in zip(others, (*MIDDLES[:6], 270), strict=True):
        assert 0.5 * middle - 1e-6 <= wait <= 1.5 * middle + 1e-6


def test_a_second_failure_is_no_longer_quick_whatever_the_patience() -> None:
    impatient = Patience(first_retry_s=5.0, longest_retry_s=5.0)
    once = next_release(untried(NOW), NOW, impatient, seed="x")
    twice = next_release(once, NOW, impatient, seed="x")
    assert (once.tries, twice.tries) == (1, 2)


def test_hosts_that_failed_at_the_same_instant_do_not_come_back_together() -> None:
    for tries, most in ((1, 130), (2, 130), (3, 70), (5, 30), (8, 25)):
        back = [sum(waits(tries, seed, NOW)) for seed in FLEET]
        assert busiest(back) < most


@pytest.mark.parametrize("wish", [30.0, 600.0, 3590.0, 3600.0, 86400.0])
def test_hosts_that_were_told_the_same_wait_do_not_come_back_together(wish: float) -> None:
    """However long it is: near the longest that counts, too."""
    counted = min(wish, 3600.0)
    back = [waits(1, seed, NOW, wish=wish)[0] for seed in FLEET]
    assert counted <= min(back) < 1.01 * counted
    assert 1.24 * counted < max(back) <= 1.25 * counted
    assert busiest(back) < 1.4 * len(FLEET) / (0.25 * counted) + 15


def test_an_appointment_is_kept_within_a_second_and_climbs_no_ladder() -> None:
    """A server that says so has seen to it that not everybody comes at once."""
    appointment = Wish(600.0, appointed=True)
    for last in (None, Retry(1, NOW), Retry(5, NOW)):
        back = [next_retry(last, NOW, PATIENCE, seed=seed, wish=appointment) for seed in FLEET]
        assert all(0.0 <= retry.at - NOW - 600.0 < 1.0 for retry in back)
        assert busiest([retry.at * 10 for retry in back]) < 140
        after = next_retry(back[0], NOW, PATIENCE, seed="x").at - NOW
        assert after <= 15.0
    far = next_retry(None, NOW, PATIENCE, seed="x", wish=Wish(1e6, appointed=True))
    assert 3600.0 <= far.at - NOW < 3601.0
    none = next_retry(None, NOW, PATIENCE, seed="x", wish=Wish(0.0, appointed=True))
    assert none == next_retry(None, NOW, PATIENCE, seed="x")


@pytest.mark.parametrize("absence", [3600.0, 86400.0, 30 * 86400.0])
def test_a_server_that_comes_back_is_found_within_a_fifth_of_its_absence(absence: float) -> None:
    """The middles grow by an eighth of what has passed, and a wait is 1.5 of its middle at most."""
    for seed in FLEET[:50]:
        retry, now = untried(NOW), NOW
        while now < NOW + absence:
            retry = next_release(retry, now, PATIENCE, seed=seed)
            now = retry.at
        assert now - NOW - absence <= min(420.0 + 0.2 * absence, 1.5 * 86400.0)


def test_a_release_that_nobody_confirms_comes_once_a_day_in_the_end() -> None:
    """However long the server is gone: the count stops there, and so do the numbers."""
    found = release_waits(20_000, "x", NOW)
    assert all(0.5 * 86400.0 <= wait <= 1.5 * 86400.0 for wait in found[80:])
    assert sum(wait < 86400.0 for wait in found[80:]) > 9000
    tries = [wait for wait in accumulate(found) if wait <= 7 * 86400.0]
    assert 40 <= len(tries) <= 60


def test_releases_that_collided_are_spread_over_two_seconds() -> None:
    back = sorted(release_waits(1, seed, NOW)[0] for seed in FLEET)
    assert busiest([wait * 10 for wait in back]) < 80  # in no tenth of a second more than 8 %
    assert back[0] < 1.01
    assert back[-1] > 2.99


def test_one_host_does_not_wait_the_same_fraction_each_time() -> None:
    fractions = {round(jitter("host", NOW + n), 3) for n in range(100)}
    assert len(fractions) > 90


@given(seeds, instants, st.integers(0, 8))
def test_the_same_host_at_the_same_instant_decides_the_same(
    seed: str, now: float, tries: int
) -> None:
    last = Retry(tries, now)
    assert next_release(last, now, PATIENCE, seed=seed) == next_release(
        last, now, PATIENCE, seed=seed
    )
