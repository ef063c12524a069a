"""Two servers on one etcd in virtual time, seed after seed: what was told is what is kept."""

import json
import logging
from collections import Counter
from collections.abc import Callable

import pytest

from rebootmgr.lending.questions import Granted, Unavailable
from rebootmgr.lockd.stores.gateway_words import mark_request
from tests.lockd import etcd_storms
from tests.lockd.etcd_storms import Server
from tests.lockd.virtual_etcd import Etcd

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


@pytest.mark.parametrize("put_back", [Etcd.put_back, Etcd.put_back_further_on])
def test_a_cluster_that_was_put_back_is_lent_from_no_more(
    put_back: Callable[[Etcd, Etcd], None],
) -> None:
    said = etcd_storms.put_back_while_lending(put_back)
    assert all(one.startswith("etcd was put back to an older state") for one in said)
    assert len(said) == etcd_storms.SERVERS


def test_what_was_compacted_before_a_server_heard_it_is_read_anew() -> None:
    def falls_silent(server: Server, _: Etcd) -> None:
        server.line.silent_until_s = 30.0

    assert etcd_storms.hear(falls_silent, Etcd.compact) == ["h0", "h1", ""]


def test_what_was_written_while_a_watch_was_lost_is_heard_by_the_next() -> None:
    def loses_its_watch(server: Server, _: Etcd) -> None:
        server.line.broken += 1

    assert etcd_storms.hear(loses_its_watch, Etcd.stir) == ["h0", "h1", ""]


def test_what_others_write_elsewhere_in_etcd_is_no_gap() -> None:
    def has_other_users(_: Server, etcd: Etcd) -> None:
        for _number in range(300):
            etcd.put(mark_request("/registry/x", "y"))

    def goes_on(etcd: Etcd) -> None:
        etcd.put(mark_request("/registry/x", "z"))

    assert etcd_storms.hear(has_other_users, goes_on) == ["h0", "h1", ""]


def test_a_server_that_missed_what_others_wrote_lends_no_more() -> None:
    def has_one_unheard(etcd: Etcd) -> None:
        told = json.dumps({"nonce": "x", "before": "unheard", "number": 9, "version": 1})
        etcd.put(mark_request(f"{etcd_storms.PREFIX}head", told))

    *held, trouble = etcd_storms.hear(lambda *_: None, has_one_unheard)
    assert "h0" in held
    assert trouble.startswith("etcd was put back to an older state")


def test_who_asks_one_server_for_days_keeps_its_place_at_the_other() -> None:
    seen = etcd_storms.wait_at_one_server(hours=24)
    assert seen["Refused"] == 24
    [places] = [times for what, times in seen.items() if what.startswith("ticket")]
    assert places == 48
