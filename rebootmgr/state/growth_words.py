"""state.json only grows: what a newer rebootmgr wrote outlives an older one (SPEC 9).

An OS rollback brings back an older rebootmgr, but not an older /var.
"""

from collections.abc import Iterable
from typing import Final

from rebootmgr.table import Json

# By these two objects in the same place are one and the same thing, seen again.
_IDENTITY: Final = {
    "booted": ("id",),
    "intent": ("target", "boot", "at"),
    "releases_owed": ("server", "group", "id"),
    "quarantine": ("key", "since"),
    "holds": ("id",),
    "ask": ("target", "boot", "until"),
    "reboots": ("at", "target"),
}
_WORDS: Final = {"reboots": ("outcome",)}
"""A word that only a newer rebootmgr knows is read as null: it stays what it was."""
_ONLY_OURS: Final = frozenset({"attempts"})
"""Its keys are data: one that is not ours is one that we dropped."""
DEEPEST: Final = 64


def is_deep(json: Json) -> bool:
    """Whether something is nested in it more than `DEEPEST` levels down."""
    level = [json]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
    return bool(level)


def _inside(json: Json) -> Iterable[Json]:
    match json:
        case dict():
            return json.values()
        case list():
            return json
        case _:
            return ()


def keep_unknown(ours: dict[str, Json], before: Json) -> dict[str, Json]:
    """Add to `ours`, a state file, what the one `before` it has and we do not know."""
    if not isinstance(before, dict):
        return ours
    kept = {key: _keep(key, value, before.get(key)) for key, value in ours.items()}
    return {**kept, **{key: value for key, value in before.items() if key not in ours}}


def _keep(place: str, ours: Json, before: Json) -> Json:
    match ours, before:
        case list(), list():
            found = {name: one for one in before if (name := _name(place, one))}
            return [_grow(place, one, found.get(_name(place, one))) for one in ours]
        case dict(), dict() if place in _IDENTITY:
            same = _name(place, ours) == _name(place, before)
            return _grow(place, ours, before) if same else ours
        case dict(), dict() if place not in _ONLY_OURS:
            return keep_unknown(ours, before)
        case _:
            return ours


def _grow(place: str, ours: Json, before: Json) -> Json:
    """One thing seen again."""
    if not (isinstance(ours, dict) and isinstance(before, dict)):
        return ours
    words = [key for key in _WORDS.get(place, ()) if ours[key] is None and key in before]
    return keep_unknown({**ours, **{key: before[key] for key in words}}, before)


def _name(place: str, thing: Json) -> str:
    keys = _IDENTITY.get(place, ())
    return repr([thing.get(key) for key in keys]) if isinstance(thing, dict) else ""
