"""A model of etcd as its JSON gateway shows it, and lines to it on which things go wrong.

`Etcd` is one history of revisions. A `Line` is what one server has of it: calls that are lost
before or after they were carried out, or are carried out long after everybody gave up on them;
watches that break, fall silent or come too late for what was compacted.
"""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from rebootmgr.lockd.stores.gateway_words import Json
from rebootmgr.lockd.stores.keeper import StoreError
from tests.lockd.virtual_time import passed

MOST_OPERATIONS: Final = 128
LATEST_S: Final = 15.0
GIVES_UP_S: Final = 5.0
LOOKS_S: Final = 1.0
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Wrote:
    """One revision; None: the key is gone."""

    revision: int
    values: tuple[tuple[bytes, bytes | None], ...]


@dataclass
class Etcd:
    """Everything that was ever committed. `changed` is called after each revision."""

    revision: int = 1
    kept: dict[bytes, Kept] = field(default_factory=dict)
    history: list[Wrote] = field(default_factory=list)
    compacted: int = 0
    changed: Callable[[], None] = lambda: None
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def compact(self) -> None:
        """Forget how it came to this."""
        self.compacted = self.revision
        self.history.clear()
        self.stir()

    def stir(self) -> None:
        """Have whoever watches look."""
        self.stirred.set()
        self.stirred = asyncio.Event()

    def snapshot(self) -> "Etcd":
        return Etcd(self.revision, dict(self.kept))

    def put_back(self, snapshot: "Etcd") -> None:
        """Be what it was then, as a cluster that was restored."""
        self.revision, self.kept = snapshot.revision, dict(snapshot.kept)
        self.history = [one for one in self.history if one.revision <= self.revision]

    def put_back_further_on(self, snapshot: "Etcd") -> None:
        """The same by `etcdutl snapshot restore --bump-revision --mark-compacted`."""
        self.revision += 1_000_000
        self.kept = dict(snapshot.kept)
        self.compact()

    def keys(self, prefix: str) -> set[str]:
        """Name the keys below a prefix, without it."""
        named = (key.decode() for key in self.kept)
        return {key.removeprefix(prefix) for key in named if key.startswith(prefix)}

    # As the gateway has it

    def range(self, asked: Json) -> Answer:
        begin, end = _bytes(asked["key"]), _bytes(asked.get("range_end", ""))
        if int(str(asked.get("revision", "0"))) not in {0, self.revision}:
            raise StoreError("required revision has been compacted")  # older ones are not modelled
        found = sorted(key for key in self.kept if (begin <= key < end if end else key == begin))
        if asked.get("sort_order") == "DESCEND":
            found.reverse()
        most = int(str(asked.get("limit", "0"))) or len(found)
        return self._headed(kvs=[self._shown(key) for key in found[:most]], more=len(found) > most)

    def transact(self, asked: Json) -> Answer:
        compares, success, failure = (
            _list(asked, name) for name in ("compare", "success", "failure")
        )
        if not all(map(self._holds, compares)):
            responses = [{"response_range": self.range(one["request_range"])} for one in failure]
            return self._headed(responses=responses)
        assert len(success) <= MOST_OPERATIONS, "etcdserver: too many operations in txn request"
        values: dict[bytes, bytes | None] = {}
        spans = [one for one in success if "range_end" in one.get("request_delete_range", {})]
        for span in spans:
            wanted = span["request_delete_range"]
            begin, end = _bytes(wanted["key"]), _bytes(wanted["range_end"])
            values |= {key: None for key in self.kept if begin <= key < end}
        for one in (one for one in success if one not in spans):
            put = one.get("request_put")
            key = _bytes((put or one["request_delete_range"])["key"])
            assert key not in values, "etcdserver: duplicate key given in txn request"
            values[key] = None if put is None else _bytes(put["value"])
        if values:
            self._commit(values)
        return self._headed(succeeded=True)

    def put(self, asked: Json) -> Answer:
        self._commit({_bytes(asked["key"]): _bytes(asked["value"])})
        return self._headed()

    def heard_since(self, revision: int, end: int) -> list[Wrote]:
        return [one for one in self.history if revision <= one.revision < end]

    def _commit(self, values: dict[bytes, bytes | None]) -> None:
        self.revision += 1
        for key, value in values.items():
            if value is None:
                self.kept.pop(key, None)
            else:
                self.kept[key] = Kept(value, self.revision)
        self.history.append(Wrote(self.revision, tuple(values.items())))
        self.stir()
        self.changed()

    def _holds(self, compare: Answer) -> bool:
        kept = self.kept.get(_bytes(compare["key"]))
        if compare["target"] == "MOD":
            return int(compare["mod_revision"]) == (0 if kept is None else kept.revision)
        return kept is not None and kept.value == _bytes(compare["value"])

    def _shown(self, key: bytes) -> Answer:
        kept = self.kept[key]
        shown = {"key": _text(key), "mod_revision": str(kept.revision)}
        return shown | ({"value": _text(kept.value)} if kept.value else {})

    def _headed(self, **answer: object) -> Answer:
        """Leave out what is zero or empty, as the gateway does."""
        told = {name: value for name, value in answer.items() if value}
        return {"header": {"revision": str(self.revision)}, **told}


@dataclass
class Line:
    """One server's way to etcd; `storm` is the chance that a call goes wrong, for a while."""

    etcd: Etcd
    chance: Random
    storm: float = 0.0
    storm_until_s: float = 0.0
    cut_until_s: float = 0.0
    silent_until_s: float = 0.0
    dead: bool = False
    broken: int = 0
    awake: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.awake.set()

    def is_cut(self) -> bool:
        """Whether nothing comes through."""
        return self.dead or _now_s() < self.cut_until_s

    async def call(self, what: str, asked: Json, *, repeatable: bool) -> object:
        await passed(self.chance.uniform(0.0005, 0.003))
        if self.is_cut():
            await passed(GIVES_UP_S)
            raise StoreError("no answer in time")
        if _now_s() < self.storm_until_s and self.chance.random() < self.storm:
            return await self._goes_wrong(what, asked)
        answer = self._carry_out(what, asked)
        await passed(self.chance.uniform(0.0005, 0.003))
        await self.awake.wait()
        if self.dead:
            raise StoreError("it is dead")
        return answer

    async def _goes_wrong(self, what: str, asked: Json) -> object:
        loop = asyncio.get_running_loop()
        match self.chance.choice(("before", "after", "late", "slow")):
            case "before":
                pass
            case "after":
                self._carry_out(what, asked)
            case "late":
                loop.call_later(self.chance.uniform(0.0, LATEST_S), self._too_late, what, asked)
            case _:
                await passed(self.chance.uniform(0.0, GIVES_UP_S))
                return self._carry_out(what, asked)
        await passed(self.chance.choice((0.0, GIVES_UP_S)))
        raise StoreError("no answer in time")

    def _too_late(self, what: str, asked: Json) -> None:
        self._carry_out(what, asked)

    def _carry_out(self, what: str, asked: Json) -> Answer:
        match what:
            case "kv/range":
                return self.etcd.range(asked)
            case "kv/txn":
                return self.etcd.transact(asked)
            case "kv/put":
                return self.etcd.put(asked)
            case _:
                assert what == "lease/grant"
                return {"ID": "7"}

    async def watch(self, asked: Json) -> AsyncGenerator[object, None]:
        if self.is_cut():
            await passed(GIVES_UP_S)
            raise StoreError("no answer in time")
        wanted: Any = asked["create_request"]
        at, unbroken = int(wanted["start_revision"]), self.broken
        begin, end = _bytes(wanted["key"]), _bytes(wanted["range_end"])
        yield {"result": self.etcd._headed(created=True)}
        while True:
            await passed(self.chance.uniform(0.0005, 0.004))
            await self.awake.wait()
            if self.broken != unbroken or self.dead:
                raise StoreError("the watch broke")
            if at <= self.etcd.compacted:
                told = self.etcd._headed(
                    canceled=True, compact_revision=str(self.etcd.compacted + 1)
                )
                yield {"result": told}
                return
            if at <= self.etcd.revision and not (self.is_cut() or _now_s() < self.silent_until_s):
                found = self.etcd.heard_since(at, self.etcd.revision + 1)
                at = self.etcd.revision + 1
                events = [
                    _event(key, value, wrote.revision)
                    for wrote in found
                    for key, value in wrote.values
                    if begin <= key < end
                ]
                if events:
                    yield {"result": self.etcd._headed(events=events)}
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOKS_S):
                        await self.etcd.stirred.wait()

    async def close(self) -> None:
        pass


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _event(key: bytes, value: bytes | None, revision: int) -> Answer:
    shown = {"key": _text(key), "mod_revision": str(revision)}
    if value is None:
        return {"type": "DELETE", "kv": shown}
    return {"kv": shown | {"value": _text(value)}}


def _list(asked: Json, name: str) -> list[Answer]:
    found: Any = asked[name]
    return list(found)


def _bytes(text: object) -> bytes:
    return b64decode(str(text))


def _text(content: bytes) -> str:
    return b64encode(content).decode()
