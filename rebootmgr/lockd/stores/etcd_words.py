"""What the store keeps in etcd: its keys, and what each change does to them.

Below the prefix are `head`, `freeze` and for each group `g/GROUP/…`: who holds a slot (`h/ID`), who
waits (`w/ID`), `slots`, `freeze`, `halt` and `came`. Whoever changes anything writes `head` in the
same transaction, and only if it is still as it was when the change was decided. What happened is
below `past/`, by the numbers of the heads, and nobody watches it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeAlias

from rebootmgr.fleetlock.labels_words import decode_labels, encode_labels
from rebootmgr.lending.group import MOST_VERSIONS
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
from rebootmgr.lockd.stores.gateway_words import PAST, Orders, Pair, Wrote

VERSION: Final = 1
MOST_ORDERS: Final = 120  # of etcd's 128 in one transaction, unless it is told otherwise

HEARD: Final = "heard/"
"""Below this each server says, under a lease, who asked it of late; the head does not mind."""

Host: TypeAlias = tuple[str, str]
"""Group and id."""


@dataclass(slots=True)
class Mirror:
    """Who holds, and who came back into what, as an instance knows it."""

    holders: dict[Host, Lent] = field(default_factory=dict)
    came: dict[str, tuple[Came, ...]] = field(default_factory=dict)

    def copy(self) -> "Mirror":
        """Make one that may go its own way."""
        return Mirror(dict(self.holders), dict(self.came))

    def ordered(self, change: Change, nonce: str) -> tuple[str, str | None]:
        """Take a change of ours in, and say how it is written."""
        match change:
            case Joined(group, host, name, ticket, at):
                told = {"name": name, "ticket": ticket, "since": at.isoformat()}
                return f"g/{group}/w/{host}", _text_of(told)
            case Left(group, host):
                return f"g/{group}/w/{host}", None
            case Lent(group, host):
                self.holders[group, host] = change
                return f"g/{group}/h/{host}", _holder_text(change, nonce)
            case TakenBack(group, host):
                self.holders.pop((group, host), None)
                return f"g/{group}/h/{host}", None
            case Failed(group, host, reason):
                one = self.holders[group, host]
                lent = Lent(group, host, one.name, one.at, one.about, reason)
                self.holders[group, host] = lent
                return f"g/{group}/h/{host}", _holder_text(lent, nonce)
            case SlotsSet(group, None):
                return f"g/{group}/slots", None
            case SlotsSet(group, slots, until):
                return f"g/{group}/slots", _text_of({"slots": slots, "until": _written(until)})
            case Frozen(group, reason, until, by, at):
                told = {"reason": reason, "until": _written(until), "by": by, "at": at.isoformat()}
                return _freeze_key(group), _text_of(told)
            case Thawed(group):
                return _freeze_key(group), None
            case Came(group, version):
                rest = [one for one in self.came.get(group, ()) if one.version != version]
                self.came[group] = tuple([*rest, change][-MOST_VERSIONS:])
                came = [[one.version, one.at.isoformat()] for one in self.came[group]]
                return f"g/{group}/came", _text_of({"came": came})
            case Halted(group, reason, at):
                return f"g/{group}/halt", _text_of({"reason": reason, "at": at.isoformat()})
            case Resumed(group):
                return f"g/{group}/halt", None

    def heard(self, wrote: Wrote) -> Iterator[Change]:
        """Take in what others did, and say what that is; ValueError: it makes no sense."""
        for key, value in wrote.values:
            for change in _changes(key, value):
                match change:
                    case Lent(group, host):
                        self.holders[group, host] = change
                    case TakenBack(group, host):
                        self.holders.pop((group, host), None)
                    case Came(group):
                        if change in self.came.get(group, ()):
                            continue
                        rest = self.came.get(group, ())
                        rest = tuple(one for one in rest if one.version != change.version)
                        self.came[group] = (*rest, change)[-MOST_VERSIONS:]
                    case _:
                        pass
                yield change


def batches(
    changes: Iterable[Change], mirror: Mirror, nonce: str
) -> Iterator[tuple[Orders, frozenset[Host]]]:
    """Cut changes into transactions, at least one, each with the hosts to which it grants.

    The mirror goes along.
    """
    orders: Orders = {}
    granted: set[Host] = set()
    for change in changes:
        if len(orders) >= MOST_ORDERS:
            yield orders, frozenset(granted)
            orders, granted = {}, set()
        if isinstance(change, Lent) and (change.group, change.id) not in mirror.holders:
            granted.add((change.group, change.id))
        key, value = mirror.ordered(change, nonce)
        orders[key] = value
    yield orders, frozenset(granted)


def saved_of(pairs: Iterable[Pair]) -> tuple[Saved, Mirror]:
    """Read all that is kept; ValueError says which key makes no sense."""
    found: list[Change] = []
    mirror = Mirror()
    for pair in pairs:
        found += mirror.heard(Wrote(pair.revision, ((pair.key, pair.value),)))
    saved = Saved(
        tuple(one for one in found if isinstance(one, Lent)),
        tuple(one for one in found if isinstance(one, Joined)),
        tuple(one for one in found if isinstance(one, SlotsSet)),
        tuple(one for one in found if isinstance(one, Frozen)),
        tuple(one for one in found if isinstance(one, Halted)),
        tuple(one for one in found if isinstance(one, Came)),
    )
    return saved, mirror


def granted_by(pairs: Iterable[Pair], untold: Mapping[str, frozenset[Host]]) -> Iterator[str]:
    """Find the keys of holders that were granted by one of these nonces."""
    for pair in pairs:
        host = _holder_of(pair.key)
        if host is None:
            continue
        nonce = _object(pair.key, pair.value).get("nonce")
        if isinstance(nonce, str) and host in untold.get(nonce, frozenset()):
            yield pair.key


def head_text(nonce: str, before: Pair | None) -> str:
    """What the head holds after a transaction: which was before it is in it, as in a chain."""
    last = "" if before is None else nonce_of(before.value)
    told = {"nonce": nonce, "before": last, "number": number_after(before), "version": VERSION}
    return _text_of(told)


def number_after(head: Pair | None) -> int:
    """Count the transactions; ValueError."""
    return 1 if head is None else _number("head", _object("head", head.value), "number") + 1


def nonce_of(head: str) -> str:
    """Name the transaction that wrote this head; ValueError."""
    return _text("head", _object("head", head), "nonce")


def follows(head: str, before: str) -> bool:
    """Whether nothing came between these two heads; ValueError."""
    return _text("head", _object("head", head), "before") == nonce_of(before)


def is_later(head: str, before: str) -> bool:
    """Whether this head came after that one, or is the same; ValueError."""
    number, then = (_number("head", _object("head", one), "number") for one in (head, before))
    return number > then or head == before


def version_of(head: str) -> int:
    """Say which version of the layout wrote this head; ValueError."""
    return _number("head", _object("head", head), "version")


def past_key(number: int) -> str:
    """Name the key of what a transaction brought about; they sort by their numbers."""
    return f"{PAST}{number:016d}"


def past_text(happened: Iterable[Happened]) -> str:
    """Write down what happened."""
    rows = [
        [
            *(_written(one.at), one.group, one.what, one.id, one.name, one.by, one.detail),
            *(one.held_s, _written(one.until)),
        ]
        for one in happened
    ]
    return json.dumps(rows, separators=(",", ":"))


def happened_of(pair: Pair) -> Iterator[Happened]:
    """Read what happened; ValueError."""
    try:
        for at, group, what, host, name, by, detail, held_s, until in json.loads(pair.value):
            yield Happened(
                at=_instant(pair.key, {"at": at}, "at"),
                group=str(group),
                what=What(what),
                id=str(host),
                name=str(name),
                by=str(by),
                detail=str(detail),
                held_s=None if held_s is None else int(held_s),
                until=_end(pair.key, {"until": until}),
            )
    except (TypeError, ValueError) as error:
        raise _nonsense(pair.key) from error


def is_hearsay(wrote: Wrote) -> bool:
    """Whether it only says who asked."""
    return all(key.startswith(HEARD) for key, _ in wrote.values)


def tickets_text(tickets: Iterable[int]) -> str:
    """Write down who asked."""
    return json.dumps(sorted(tickets), separators=(",", ":"))


def tickets_of(wrote: Wrote, own: str) -> frozenset[int]:
    """Read who asked other servers; what makes no sense harms nobody and is nobody."""
    found: set[int] = set()
    for key, value in wrote.values:
        if value is not None and key.startswith(HEARD) and key != f"{HEARD}{own}":
            with suppress(ValueError, TypeError):
                found.update(one for one in json.loads(value) if isinstance(one, int))
    return frozenset(found)


def _changes(key: str, value: str | None) -> tuple[Change, ...]:
    """Say what a key holds; nothing, where it is not one of ours."""
    match key.split("/"):
        case ["freeze"]:
            return (Thawed("") if value is None else _frozen("", key, value),)
        case ["g", group, "freeze"]:
            return (Thawed(group) if value is None else _frozen(group, key, value),)
        case ["g", group, "h", host]:
            return (TakenBack(group, host) if value is None else _lent(group, host, key, value),)
        case ["g", group, "w", host]:
            return (Left(group, host) if value is None else _joined(group, host, key, value),)
        case ["g", group, "slots"]:
            return (SlotsSet(group, None, None) if value is None else _slots(group, key, value),)
        case ["g", group, "halt"]:
            return (Resumed(group) if value is None else _halted(group, key, value),)
        case ["g", group, "came"]:
            return () if value is None else tuple(_came(group, key, value))
        case _:
            return ()


def _holder_of(key: str) -> Host | None:
    match key.split("/"):
        case ["g", group, "h", host]:
            return group, host
        case _:
            return None


def _freeze_key(group: str) -> str:
    return f"g/{group}/freeze" if group else "freeze"


def _holder_text(lent: Lent, nonce: str) -> str:
    return _text_of(
        {
            "name": lent.name,
            "since": lent.at.isoformat(),
            "labels": encode_labels(lent.about.labels),
            "booted": lent.about.booted,
            "target": lent.about.target,
            "failed": lent.failed,
            "nonce": nonce,
        }
    )


def _lent(group: str, host: str, key: str, value: str) -> Lent:
    read = _object(key, value)
    labels = decode_labels(_text(key, read, "labels"))
    about = About(labels, _text(key, read, "booted"), _text(key, read, "target"))
    since = _instant(key, read, "since")
    return Lent(group, host, _text(key, read, "name"), since, about, _text(key, read, "failed"))


def _joined(group: str, host: str, key: str, value: str) -> Joined:
    read = _object(key, value)
    ticket, since = _number(key, read, "ticket"), _instant(key, read, "since")
    return Joined(group, host, _text(key, read, "name"), ticket, since)


def _slots(group: str, key: str, value: str) -> SlotsSet:
    read = _object(key, value)
    return SlotsSet(group, _number(key, read, "slots"), _end(key, read))


def _frozen(group: str, key: str, value: str) -> Frozen:
    read = _object(key, value)
    reason, by = _text(key, read, "reason"), _text(key, read, "by")
    return Frozen(group, reason, _end(key, read), by, _instant(key, read, "at"))


def _halted(group: str, key: str, value: str) -> Halted:
    read = _object(key, value)
    return Halted(group, _text(key, read, "reason"), _instant(key, read, "at"))


def _came(group: str, key: str, value: str) -> Iterator[Came]:
    came = _object(key, value).get("came")
    if not isinstance(came, list):
        raise _nonsense(key)
    for one in came:
        match one:
            case [str(version), str(at)]:
                yield Came(group, version, _instant(key, {"at": at}, "at"))
            case _:
                raise _nonsense(key)


def _text_of(told: Mapping[str, object]) -> str:
    return json.dumps(told, separators=(",", ":"), sort_keys=True)


def _written(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _object(key: str, value: str) -> Mapping[str, object]:
    try:
        read = json.loads(value)
    except ValueError as error:
        raise _nonsense(key) from error
    if not isinstance(read, dict):
        raise _nonsense(key)
    return read


def _text(key: str, read: Mapping[str, object], name: str) -> str:
    found = read.get(name)
    if not isinstance(found, str):
        raise _nonsense(key)
    return found


def _number(key: str, read: Mapping[str, object], name: str) -> int:
    found = read.get(name)
    if not isinstance(found, int) or isinstance(found, bool):
        raise _nonsense(key)
    return found


def _instant(key: str, read: Mapping[str, object], name: str) -> datetime:
    try:
        instant = datetime.fromisoformat(_text(key, read, name))
    except ValueError as error:
        raise _nonsense(key) from error
    if instant.tzinfo is None:
        raise _nonsense(key)
    return instant.astimezone(UTC)


def _end(key: str, read: Mapping[str, object]) -> datetime | None:
    return None if read.get("until") is None else _instant(key, read, "until")


def _nonsense(key: str) -> ValueError:
    return ValueError(f"the key {key} holds what no rebootmgr-lockd wrote")
