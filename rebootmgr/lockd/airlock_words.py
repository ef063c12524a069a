"""What airlock keeps in etcd: a semaphore for each group, without leases and without times."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import unquote_plus

from rebootmgr.lending.questions import Lent
from rebootmgr.lending.saved import Saved
from rebootmgr.lending.terms import Rules
from rebootmgr.lockd.stores.gateway_words import Pair

PREFIX: Final = "com.coreos.airlock/groups/"
MARK: Final = "com.coreos.airlock/taken-over-by-rebootmgr-lockd"
_KEY: Final = re.compile(r"(?P<group>[^/]+)/v1/semaphore")
_NAME: Final = re.compile(r"[a-zA-Z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True)
class Semaphore:
    """A group of airlock, as many slots as it had, and the ids that hold them."""

    group: str
    slots: int
    holders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What is to be written into our store, and what people are told of it."""

    changes: tuple[Lent, ...]
    told: tuple[str, ...]


def decode_semaphores(pairs: Iterable[Pair]) -> tuple[Semaphore, ...]:
    """Read all groups; ValueError names the key that makes no sense."""
    found = []
    for pair in pairs:
        key = _KEY.fullmatch(pair.key)
        if key is None:
            continue
        try:
            read = json.loads(pair.value)
            slots, holders = read["total_slots"], read["holders"] or []  # null: there are none
        except (KeyError, TypeError, ValueError) as error:
            raise _nonsense(pair) from error
        if not isinstance(slots, int) or not isinstance(holders, list):
            raise _nonsense(pair)
        if not all(isinstance(one, str) for one in holders):
            raise _nonsense(pair)
        found.append(Semaphore(unquote_plus(key["group"]), slots, tuple(holders)))
    return tuple(found)


def taken_over(
    semaphores: Iterable[Semaphore], ours: Saved, rules: Rules, at: datetime
) -> TakenOver:
    """Say who becomes a holder of ours, and what is otherwise than people may think."""
    known = {(one.group, one.id) for one in ours.holders}
    changes: list[Lent] = []
    told: list[str] = []
    for one in semaphores:
        group, held = one.group, ", ".join(map(_shown, one.holders)) or "nobody"
        told.append(f"group {_shown(group)}: {len(one.holders)} of {one.slots} slots held: {held}")
        terms = rules.terms_of(group)
        if terms is None:
            told.append("  it has no table here, so its slots only come back: add [groups.*]")
        elif terms.slots != one.slots:
            told.append(f"  it lends {terms.slots} here, by its configuration")
        for host in one.holders:
            if not (_NAME.fullmatch(group) and _NAME.fullmatch(host)):
                told.append(f"  {_shown(host)} is left out: no host of that id or group can ask us")
            elif (group, host) in known:
                told.append(f"  {host} holds a slot here already")
            else:
                changes.append(Lent(group, host, "", at))
                known.add((group, host))
    return TakenOver(tuple(changes), tuple(told))


def _shown(text: str) -> str:
    return text if _NAME.fullmatch(text) else json.dumps(text)


def _nonsense(pair: Pair) -> ValueError:
    return ValueError(f"{PREFIX}{pair.key} holds what no airlock wrote")
