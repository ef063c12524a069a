"""What a newer rebootmgr wrote into state.json: we do not know it, and write it back (SPEC 9)."""

from typing import Final

from rebootmgr.table import Json

# At these keys things come and go. One that has the same values here is the same, seen again.
_IDENTITY: Final = {
    "booted": ("id",),
    "staged_change": ("id",),
    "intent": ("target", "boot", "at"),
    "releases_owed": ("server", "group", "id"),
    "confirmed": ("server", "group", "id"),
    "quarantine": ("key", "since"),
    "holds": ("id",),
    "backlog": ("key", "since"),
    "ask": ("target", "boot", "until"),
    "reboots": ("at", "target"),
}
# A word that only a newer rebootmgr knows is read as null: it stays what it was.
_WORDS: Final = {"reboots": ("outcome",)}
# The keys in it are data: one that is not ours is one that we dropped.
_ONLY_OURS: Final = frozenset({"attempts"})


def keep_unknown(ours: dict[str, Json], before: Json) -> dict[str, Json]:
    """Add to `ours`, a state file, what the one `before` it has and we do not know."""
    if not isinstance(before, dict):
        return ours
    kept = {key: _keep(key, value, before.get(key)) for key, value in ours.items()}
    return {**kept, **{key: value for key, value in before.items() if key not in ours}}


def _keep(key: str, ours: Json, before: Json) -> Json:
    """Do so for what is at `key`, in both."""
    match ours, before:
        case list(), list():
            found = {name: one for one in before if (name := _name(key, one))}
            return [_same(key, one, found.get(_name(key, one))) for one in ours]
        case dict(), dict() if key in _IDENTITY:
            return _same(key, ours, before) if _name(key, ours) == _name(key, before) else ours
        case dict(), dict() if key not in _ONLY_OURS:
            return keep_unknown(ours, before)
        case _:
            return ours


def _same(key: str, ours: Json, before: Json) -> Json:
    """Do so for one thing that is seen again; `before` is null where it is new."""
    if not (isinstance(ours, dict) and isinstance(before, dict)):
        return ours
    words = {word for word in _WORDS.get(key, ()) if ours[word] is None and word in before}
    return keep_unknown({**ours, **{word: before[word] for word in words}}, before)


def _name(key: str, thing: Json) -> str:
    """Which of the things at `key` it is, "" if none that can be told from others."""
    names = _IDENTITY.get(key, ())
    return repr([thing.get(name) for name in names]) if isinstance(thing, dict) else ""
