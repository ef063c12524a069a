"""The store of several servers: etcd, by its JSON gateway.

Each transaction carries the head that it was decided on, so nothing is carried out that was decided
on less than all. Where the outcome of one is not known, it is fenced before the store is read: the
head is rewritten, after which it can come no more, and what it granted untold is taken back.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Final, Protocol, TypeVar

from rebootmgr.lending.history import Happened
from rebootmgr.lending.questions import Change
from rebootmgr.lending.saved import Saved
from rebootmgr.lockd.stores.etcd_words import (
    HEARD,
    VERSION,
    Host,
    Mirror,
    batches,
    follows,
    granted_by,
    happened_of,
    head_text,
    is_later,
    number_after,
    past_key,
    past_text,
    saved_of,
    tickets_of,
    tickets_text,
    version_of,
)
from rebootmgr.lockd.stores.gateway_words import (
    PAGE,
    Beaten,
    Done,
    Heard,
    Json,
    Orders,
    Pair,
    Wrote,
    decode_heard,
    decode_lease,
    decode_page,
    decode_transaction,
    lease_request,
    mark_request,
    past_request,
    range_request,
    transaction,
    watch_request,
)
from rebootmgr.lockd.stores.keeper import OvertakenError, StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")

CATCH_UP_S: Final = 5.0
_WATCH_AGAIN_S: Final = (0.0, 0.2, 1.0)  # between tries; the last repeats
MOST_PAST: Final = 20_000
"""Of so many transactions it is kept what they brought about."""
_TIDIED: Final = 100  # transactions, between two tidyings of that
_SAID_S: Final = 300
_FENCES: Final = 20
_PUT_BACK: Final = (
    "etcd was put back to an older state, so what was lent since is not in it: see which hosts are"
    " down, and that no other rebootmgr-lockd lends; then restart this one, which goes by what etcd"
    " holds"
)
_BACKUP: Final = "the store is in etcd: use `etcdctl snapshot save`"


_by_lot: Final = partial(token_hex, 8)


class Gateway(Protocol):
    """etcd, whichever of its members answers. Both calls raise `StoreError`."""

    async def call(self, what: str, asked: Json, *, repeatable: bool) -> object:
        """Ask once, or of what is `repeatable` more than once; the answer's JSON."""

    def watch(self, asked: Json) -> AsyncGenerator[object, None]:
        """Hear the messages of a watch, until it breaks."""

    async def close(self) -> None:
        """Let go of all connections."""


class EtcdStore:
    """Keeps a fleet below `prefix`, which ends in "/"; `nonces` gives what never came before."""

    def __init__(
        self,
        gateway: Gateway,
        prefix: str,
        nonces: Callable[[], str] = _by_lot,
    ) -> None:
        self._gateway, self._prefix, self._nonce = gateway, prefix, nonces
        self._head: Pair | None = None  # of what whoever asks us has heard
        self._last: Pair | None = None  # the latest that ever was
        self._mirror = Mirror()
        self._news: list[Wrote] = []
        self._heard_at = 0  # all up to this revision has been heard
        self._heard = asyncio.Event()
        self._highest = 0
        self._name = nonces()
        self._asked = frozenset[int]()
        self._untold: dict[str, frozenset[Host]] = {}
        self._lost: StoreError | None = None
        self._put_back = False
        self._opened = asyncio.Event()
        self._watch: asyncio.Timeout | None = None

    @property
    def is_shared(self) -> bool:
        """Whether others write to it, too: they may."""
        return True

    async def open(self) -> Saved:
        """Read all of it, after what we do not know the outcome of can happen no more."""
        self._opened.clear()
        if self._watch is not None:
            self._watch.reschedule(asyncio.get_running_loop().time())
        self._head, self._lost = None, None
        self._news.clear()
        for _ in range(_FENCES):
            head, pairs, revision = await self._read()
            saved, mirror = self._understood(pairs)
            if self._last is not None and not (head and is_later(head.value, self._last.value)):
                raise self._is_put_back()
            if head is None or self._untold:
                fenced = await self._fence(head, pairs)
                if not fenced:
                    continue
                head, pairs = fenced
                saved, mirror = self._understood(pairs)
            self._head = self._last = head
            self._mirror = mirror
            self._heard_at = max(head.revision, revision)
            self._opened.set()
            return saved
        raise StoreError("others write to etcd all the time: the store could not be taken up")

    async def write(self, changes: tuple[Change, ...], happened: tuple[Happened, ...] = ()) -> None:
        """Have these changes carried out if nobody wrote since the last news."""
        if self._lost is not None:
            raise self._lost
        if self._head is None:
            raise StoreError("the store is not open")
        nonce, mirror = self._nonce(), self._mirror.copy()
        parts = list(batches(changes, mirror, nonce))
        if happened:
            parts[-1][0][past_key(number_after(self._head) + len(parts) - 1)] = past_text(happened)
        for number, (orders, granted) in enumerate(parts):
            if orders:
                self._untold[nonce] = self._untold.get(nonce, frozenset()) | granted
            match await self._transact(self._head, orders, nonce):
                case Done(revision):
                    self._heard_at = max(self._heard_at, revision)
                    if orders:
                        made = Pair("head", head_text(nonce, self._head), revision)
                        self._head = self._last = made
                case Beaten(_, head):
                    if number > 0:  # some of it is there, so it is taken back
                        raise StoreError("others wrote between two parts of a change")
                    self._untold.pop(nonce, None)
                    await self._catch_up(head)
                    raise OvertakenError("others wrote first")
        self._untold.pop(nonce, None)
        self._mirror = mirror

    def news(self) -> tuple[Change, ...]:
        """Take what others wrote."""
        if self._lost is not None:
            raise self._lost
        self._drop_old_news()
        taken, self._news = self._news, []
        changes: list[Change] = []
        try:
            for wrote in taken:
                changes += self._mirror.heard(wrote)
                self._move_head(wrote)
        except ValueError as error:
            raise self._is_lost(StoreError(f"etcd: {self._prefix}: {error}")) from error
        return tuple(changes)

    async def tell(self, tickets: frozenset[int]) -> None:
        """Say who asked here, under a lease; who hears it only keeps their places."""
        if not tickets or self._head is None:
            return
        asked = lease_request(_SAID_S)
        answer = await self._gateway.call("lease/grant", asked, repeatable=True)
        lease = self._decoded(lambda found, _: decode_lease(found), answer)
        key = f"{self._prefix}{HEARD}{self._name}"
        said = mark_request(key, tickets_text(tickets), lease)
        await self._gateway.call("kv/put", said, repeatable=True)

    def heard(self) -> frozenset[int]:
        """Take who asked others."""
        taken, self._asked = self._asked, frozenset()
        return taken

    async def follow(self, stirred: Callable[[], None]) -> None:
        """Watch the prefix, whatever breaks, until cancelled."""
        tries = 0
        while True:
            await self._opened.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_AGAIN_S[min(tries, len(_WATCH_AGAIN_S) - 1)]):
                    await asyncio.Event().wait()
            if not self._opened.is_set():
                continue
            try:
                async with asyncio.timeout(None) as self._watch:
                    tries = 0 if await self._hear(stirred) else tries + 1
            except TimeoutError:  # it was opened anew
                tries = 0
            finally:
                self._watch = None

    async def history(self, most: int, group: str = "") -> tuple[Happened, ...]:
        """Read the latest of the past."""
        found: list[Happened] = []
        before = ""
        while len(found) < most:
            asked = past_request(self._prefix, before, min(most, PAGE))
            answer = await self._gateway.call("kv/range", asked, repeatable=True)
            page = self._decoded(decode_page, answer)
            try:
                for pair in page.pairs:
                    told = [
                        one
                        for one in happened_of(pair)
                        if group in {"", one.group} or not one.group
                    ]
                    found += reversed(told)
            except ValueError as error:
                raise StoreError(f"etcd: {self._prefix}: {error}") from error
            if not page.more:
                break
            before = page.pairs[-1].key
        return tuple(reversed(found[:most]))

    async def backup(self, file: Path) -> None:
        """Leave that to etcd's own tools."""
        raise StoreError(f"{file}: {_BACKUP}")

    async def close(self) -> None:
        """Let go of etcd."""
        self._head = None
        await self._gateway.close()

    # Reading

    async def _read(self) -> tuple[Pair | None, tuple[Pair, ...], int]:
        """Read everything as of one revision."""
        after, revision = "", 0
        pairs: list[Pair] = []
        while True:
            asked = range_request(self._prefix, after, revision)
            answer = await self._gateway.call("kv/range", asked, repeatable=True)
            page = self._decoded(decode_page, answer)
            self._mind_revision(page.revision)
            revision = revision or page.revision
            pairs += page.pairs
            if not page.more:
                break
            after = page.pairs[-1].key
        head = next((pair for pair in pairs if pair.key == "head"), None)
        return head, tuple(pairs), revision

    def _understood(self, pairs: tuple[Pair, ...]) -> tuple[Saved, Mirror]:
        try:
            for pair in pairs:
                if pair.key == "head" and (found := version_of(pair.value)) > VERSION:
                    raise StoreError(
                        f"etcd: {self._prefix} was written by a newer rebootmgr-lockd (version"
                        f" {found}, this one knows {VERSION}): install that one on this host, too"
                    )
            return saved_of(pairs)
        except ValueError as error:
            raise StoreError(
                f"etcd: {self._prefix}: {error}: correct it by etcdctl, or set store.etcd_prefix"
                " to another"
            ) from error

    async def _fence(
        self, head: Pair | None, pairs: tuple[Pair, ...]
    ) -> tuple[Pair, tuple[Pair, ...]] | None:
        """Rewrite the head, and take back what was granted untold; None: others wrote first."""
        taken_back = set(granted_by(pairs, self._untold))
        nonce = self._nonce()
        fence = f"{nonce}-fence"
        match await self._transact(head, dict.fromkeys(sorted(taken_back)), fence, always=True):
            case Done(revision):
                if taken_back:
                    log.info("took back %d slots of which nobody was told", len(taken_back))
                self._untold.clear()
                made = Pair("head", head_text(fence, head), revision)
                return made, tuple(pair for pair in pairs if pair.key not in taken_back)
            case Beaten():
                return None

    async def _transact(
        self, head: Pair | None, orders: Orders, nonce: str, *, always: bool = False
    ) -> Done | Beaten:
        """Carry out the orders, with a new head; without orders only if `always`."""
        written = head_text(nonce, head) if orders or always else None
        forget = ""
        if written is not None and (number := number_after(head)) % _TIDIED == 0:
            forget = past_key(max(number - MOST_PAST, 0))
        asked = transaction(self._prefix, head, orders, written, forget)
        answer = await self._gateway.call("kv/txn", asked, repeatable=written is None)
        done = self._decoded(decode_transaction, answer)
        self._mind_revision(done.revision)
        return done

    def _decoded(self, decode: Callable[[object, str], T], answer: object) -> T:
        try:
            return decode(answer, self._prefix)
        except ValueError as error:
            raise StoreError(
                f"{error}: is it etcd that answers at store.etcd_endpoints?"
            ) from error

    # Others

    async def _hear(self, stirred: Callable[[], None]) -> bool:
        """Watch until that breaks; whether it ever began."""
        began = False
        asked = watch_request(self._prefix, self._heard_at + 1)
        try:
            async with aclosing(self._gateway.watch(asked)) as messages:
                async for message in messages:
                    heard = self._decoded(decode_heard, message)
                    began = True
                    if heard.compacted:
                        why = "etcd dropped what others wrote meanwhile: the store is read anew"
                        self._is_lost(StoreError(why))
                        stirred()
                    if heard.compacted or heard.ended:
                        break
                    if self._take_in(heard):
                        stirred()
        except StoreError as error:
            log.debug("the watch broke: %s", error)
        return began

    def _take_in(self, heard: Heard) -> bool:
        """Keep what is new of it."""
        new = [wrote for wrote in heard.wrote if wrote.revision > self._heard_at]
        if not new:
            return False
        for wrote in new:
            self._asked |= tickets_of(wrote, self._name)
        self._news += [
            one for one in new if not all(key.startswith(HEARD) for key, _ in one.values)
        ]
        self._heard_at = new[-1].revision
        self._heard.set()
        return True

    async def _catch_up(self, head: Pair | None) -> None:
        """Wait until all is heard up to this head, which is another than the one we know."""
        if head is None or self._head is None or head.revision <= self._head.revision:
            raise self._is_put_back()
        try:
            async with asyncio.timeout(CATCH_UP_S):
                while self._heard_at < head.revision and self._lost is None:
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError as error:
            raise StoreError(
                "etcd does not tell what others write: the store is read anew"
            ) from error

    def _drop_old_news(self) -> None:
        """Forget what we did ourselves."""
        if self._head is not None:
            known = self._head.revision
            self._news = [wrote for wrote in self._news if wrote.revision > known]

    def _move_head(self, wrote: Wrote) -> None:
        """Go along with the head, which names the one before; ValueError."""
        heads = [value for key, value in wrote.values if key == "head"]
        for value in heads:
            if value is None or self._head is None or not follows(value, self._head.value):
                raise self._is_put_back()
            self._head = self._last = Pair("head", value, wrote.revision)

    def _mind_revision(self, revision: int) -> None:
        """Raise StoreError where etcd was further once."""
        if self._put_back or revision < self._highest:
            raise self._is_put_back()
        self._highest = revision

    def _is_put_back(self) -> StoreError:
        self._put_back = True
        return self._is_lost(StoreError(_PUT_BACK))

    def _is_lost(self, error: StoreError) -> StoreError:
        self._opened.clear()
        self._lost = error
        self._heard.set()
        return error
