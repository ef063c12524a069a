"""Two servers on one etcd in virtual time, seed after seed: what was told is what is kept."""

import logging
from collections import Counter
from collections.abc import Callable

import pytest

from rebootmgr.lending.questions import Granted, Unavailable
from tests.lockd import etcd_storms

STORMS = 200
AT_ONCE = 25


@pytest.mark.parametrize("first", range(0, STORMS, AT_ONCE))
def test_no_storm_lends_too_much_or_forgets_a_grant(
    first: int, record_property: Callable[[str, object], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    seen: Counter[str] = Counter()
    for seed in range(first, first + AT_ONCE):
        seen += etcd_storms.live_through(seed)
    for what, times in seen.items():
        record_property(what, times)
    expected = {"Granted", "Refused", "Returned", "Unavailable", "hung up"}
    assert set(seen) == expected | set(etcd_storms.FAILURES)


def test_a_host_that_holds_is_told_so_by_the_server_that_has_not_heard_of_it() -> None:
    assert etcd_storms.ask_the_other_at_once(silent=False) == [Granted(again=True)]


def test_a_server_that_hears_nothing_says_so_before_it_refuses_whom_another_lent_to() -> None:
    *unsure, last = etcd_storms.ask_the_other_at_once(silent=True)
    assert unsure
    assert set(unsure) == {Unavailable()}
    assert last == Granted(again=True)


def test_a_cluster_that_was_put_back_is_lent_from_no_more() -> None:
    said = etcd_storms.put_back_while_lending()
    assert all(one.startswith("etcd was put back to an older state") for one in said)
    assert len(said) == etcd_storms.SERVERS


def test_who_asks_one_server_for_days_keeps_its_place_at_the_other() -> None:
    seen = etcd_storms.wait_at_one_server(hours=24)
    assert seen["Refused"] == 24
    [places] = [times for what, times in seen.items() if what.startswith("ticket")]
    assert places == 48
