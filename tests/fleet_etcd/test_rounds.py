"""A fleet on two real servers and three real members of etcd, of which something always fails."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.etcd import find_etcd
from tests.fleet_etcd.rounds import Round

HOSTS = 12


TOGETHER = (
    ("leader killed", "server paused"),
    ("leader cut off", "server killed"),
    ("disk full", "majority killed"),
)


@pytest.mark.parametrize("failures", TOGETHER, ids=" and ".join)
async def test_no_slot_too_many_is_lent_and_none_forgotten(
    tmp_path: Path, failures: tuple[str, ...], record_property: Callable[[str, object], None]
) -> None:
    if not find_etcd():
        pytest.skip("THERE IS NO ETCD, SO NO SERVER WAS KILLED ON IT: packaging/prepare says why")
    tally = await Round(tmp_path, len(failures[0]), HOSTS).run(failures)
    for what, times in tally.items():
        record_property(what, times)
    assert all(tally[failure] == 1 for failure in failures)
    assert tally["pre-reboot 200"] >= HOSTS
