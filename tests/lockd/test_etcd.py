"""The store on a model of etcd: what it writes, what it takes back, and what it says."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random

import pytest

from rebootmgr.lending.history import Happened, What
from rebootmgr.lending.questions import (
    About,
    Came,
    Change,
    Failed,
    Frozen,
    Halted,
    Joined,
    Left,
    Lent,
    Resumed,
    SlotsSet,
    TakenBack,
    Thawed,
)
from rebootmgr.lending.saved import Saved
from rebootmgr.lockd.stores.etcd import EtcdStore
from rebootmgr.lockd.stores.gateway_words import Json
from rebootmgr.lockd.stores.keeper import OvertakenError, StoreError
from rebootmgr.lockd_config.configuration import load_configuration
from tests.lockd.program import configure
from tests.lockd.virtual_etcd import Etcd, Kept, Line

AT = datetime(2030, 1, 6, 12, tzinfo=UTC)
PREFIX = "/p/"
ABOUT = About((("rack", "a2"),), "1", "2")


class Losing(Line):
    """A line that loses the answers to so many writes which are carried out."""

    lost = 0

    async def call(self, what: str, asked: Json, *, repeatable: bool) -> object:
        answer = self._carry_out(what, asked)
        if not repeatable and self.lost:
            self.lost -= 1
            raise StoreError("no answer in time")
        return answer


@pytest.fixture
def etcd() -> Etcd:
    return Etcd()


def store_on(etcd: Etcd) -> tuple[EtcdStore, Losing]:
    line = Losing(etcd, Random(0))  # noqa: S311
    numbers = count(1)
    return EtcdStore(line, PREFIX, lambda: f"{id(line)}-{next(numbers)}"), line


@pytest.fixture
async def store(etcd: Etcd) -> EtcdStore:
    store, _ = store_on(etcd)
    assert await store.open() == Saved()
    return store


def lent(host: str, group: str = "g") -> Lent:
    return Lent(group, host, f"name of {host}", AT, ABOUT)


async def test_all_that_is_written_is_read_again(etcd: Etcd, store: EtcdStore) -> None:
    joined, came = Joined("g", "b", "", 7, AT), Came("g", "2", AT)
    slots, halted = SlotsSet("g", 4, AT), Halted("g", "no good", AT)
    frozen = (Frozen("", "all", None, "root", AT), Frozen("g", "one", AT, "", AT))
    await store.write((lent("a"), joined, came, slots, halted, *frozen, Failed("g", "a", "x")))
    failed = Lent("g", "a", "name of a", AT, ABOUT, "x")
    read = await store_on(etcd)[0].open()
    assert read == Saved((failed,), (joined,), (slots,), frozen, (halted,), (came,))
    ends: tuple[Change, ...] = (TakenBack("g", "a"), Left("g", "b"), SlotsSet("g", None, None))
    await store.write((*ends, Resumed("g"), Thawed(""), Thawed("g")))
    assert await store_on(etcd)[0].open() == Saved(came=(came,))


async def test_more_changes_than_one_transaction_may_have_are_cut(
    etcd: Etcd, store: EtcdStore
) -> None:
    many = tuple(lent(f"h{number}") for number in range(300))
    await store.write(many)
    assert len((await store_on(etcd)[0].open()).holders) == 300


async def test_nothing_is_written_on_what_others_have_changed(etcd: Etcd, store: EtcdStore) -> None:
    other, _ = store_on(etcd)
    await other.open()
    await store.write((lent("a"),))
    with pytest.raises(StoreError, match="etcd does not tell what others write"):
        await other.write((lent("b"),))  # nobody follows here
    assert [one.id for one in (await other.open()).holders] == ["a"]


async def test_a_grant_whose_outcome_nobody_knows_is_taken_back(etcd: Etcd) -> None:
    store, line = store_on(etcd)
    await store.open()
    await store.write((lent("told"),))
    line.lost = 1
    with pytest.raises(StoreError, match="no answer in time"):
        await store.write((lent("untold"), lent("told")))
    assert len(etcd.keys(PREFIX + "g/g/h/")) == 2
    assert [one.id for one in (await store.open()).holders] == ["told"]


async def test_a_grant_that_another_server_told_of_is_not_taken_back(etcd: Etcd) -> None:
    store, line = store_on(etcd)
    await store.open()
    line.lost = 1
    with pytest.raises(StoreError):
        await store.write((lent("a"),))
    other, _ = store_on(etcd)
    await other.open()
    await other.write((lent("a"),))  # as it does before it tells a holder so again
    assert [one.id for one in (await store.open()).holders] == ["a"]


async def test_what_is_decided_before_a_fence_can_come_no_more(etcd: Etcd) -> None:
    store, _ = store_on(etcd)
    late: list[tuple[str, Json]] = []

    class Slow(Losing):
        async def call(self, what: str, asked: Json, *, repeatable: bool) -> object:
            if not repeatable and not late:
                late.append((what, asked))
                raise StoreError("no answer in time")
            return await super().call(what, asked, repeatable=repeatable)

    await store.open()
    line = Slow(etcd, Random(0))  # noqa: S311
    slow = EtcdStore(line, PREFIX)
    await slow.open()
    with pytest.raises(StoreError):
        await slow.write((lent("a"),))
    assert await slow.open() == Saved()
    line._too_late(*late[0])
    assert not etcd.keys(PREFIX + "g/g/h/")


async def test_the_history_is_kept_and_bounded_by_what_is_asked(store: EtcdStore) -> None:
    told = [
        Happened(at=AT, group=group, what=What.LENT, id=f"h{number}", held_s=number or None)
        for number, group in enumerate(("g", "other", "g", ""))
    ]
    for one in told:
        await store.write((lent(one.id),), (one,))
    assert await store.history(10) == tuple(told)
    assert await store.history(2, "g") == (told[2], told[3])
    assert (await store.open()).holders == tuple(lent(one.id) for one in told)


def spoiled(key: str, value: str) -> Callable[[Etcd], None]:
    def spoil(etcd: Etcd) -> None:
        etcd.kept[f"{PREFIX}{key}".encode()] = Kept(value.encode(), etcd.revision)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            spoiled("g/g/h/a", "?"),
            "etcd: /p/: the key g/g/h/a holds what no rebootmgr-lockd wrote: correct it by etcdctl",
        ),
        (spoiled("g/g/w/a", '{"name":"","ticket":"1","since":"x"}'), "the key g/g/w/a holds what"),
        (spoiled("g/g/came", '{"came":[1]}'), "the key g/g/came holds what"),
        (
            spoiled("head", '{"version":2}'),
            r"etcd: /p/ was written by a newer rebootmgr-lockd \(version 2, this one knows 1\)",
        ),
    ],
)
async def test_what_makes_no_sense_is_named_and_nothing_is_touched(
    etcd: Etcd, spoil: Callable[[Etcd], None], said: str
) -> None:
    spoil(etcd)
    before = dict(etcd.kept)
    with pytest.raises(StoreError, match=said):
        await store_on(etcd)[0].open()
    assert etcd.kept == before


async def test_a_store_that_was_emptied_below_a_server_is_lent_from_no_more(
    etcd: Etcd, store: EtcdStore
) -> None:
    await store.write((lent("a"),))
    etcd.kept.clear()
    with pytest.raises(StoreError, match="etcd was put back to an older state"):
        await store.write((lent("b"),))
    with pytest.raises(StoreError, match="etcd was put back to an older state"):
        await store.open()


async def test_keys_of_others_below_the_prefix_are_left_alone(etcd: Etcd, store: EtcdStore) -> None:
    spoiled("something", "else")(etcd)
    assert await store.open() == Saved()
    await store.write((lent("a"),))
    assert "something" in etcd.keys(PREFIX)


async def test_a_copy_is_left_to_the_tools_of_etcd(store: EtcdStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="use `etcdctl snapshot save`"):
        await store.backup(tmp_path / "copy")


async def test_nothing_is_written_before_it_is_open(etcd: Etcd) -> None:
    store, _ = store_on(etcd)
    with pytest.raises(StoreError, match="the store is not open"):
        await store.write((lent("a"),))
    assert not issubclass(OvertakenError, StoreError)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("etcd_endpoints = ['etcd:2379']", "is no URL of a member of etcd"),
        ("etcd_endpoints = ['https://u:secret@e:2379']", r'"https://\*\*\*@e:2379" is no URL'),
        ("etcd_endpoints = ['https://e:2379/v3']", "is no URL of a member of etcd"),
        ("etcd_endpoints = 'https://e:2379'", "must be an array"),
        ("etcd_prefix = ''", "is no prefix of keys"),
        ("etcd_client_key_file = '/k'", "is a key without its certificate"),
        (
            "etcd_endpoints = ['http://e:2379']\netcd_ca_file = '/ca'",
            "is of no use for http://e:2379, which is plain http",
        ),
        ("kind = 'redis'", 'must be "sqlite" or "etcd", not "redis"'),
        ("kind = 'etcd'\netcd_endpoints = ['http://e:2379']", "everybody on the way can grant"),
        ("etcd_endpoints = ['https://e:2379']", 'is not used: store.kind is "sqlite"'),
    ],
)
def test_what_is_wrong_with_the_configuration_of_etcd_is_said(
    tmp_path: Path, text: str, said: str
) -> None:
    configure(tmp_path, f"[store]\n{text}\n")
    found = load_configuration(tmp_path)
    [problem] = [*found.errors, *found.warnings]
    assert re.search(said, str(problem)), str(problem)
    assert "secret" not in str(problem)


def test_a_prefix_ends_in_a_slash_and_endpoints_have_no_path(tmp_path: Path) -> None:
    configure(tmp_path, "[store]\netcd_prefix = 'x'\netcd_endpoints = ['https://e:2379/']\n")
    store = load_configuration(tmp_path).wanted.store
    assert (store.etcd_prefix, store.etcd_endpoints) == ("x/", ("https://e:2379",))
