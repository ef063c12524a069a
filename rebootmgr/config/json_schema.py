"""The configuration as a JSON Schema, made of the one table of keys (SPEC 11).

For editors and for pipelines without rebootmgr: draft 2020-12, of TOML in which a date is the text
that RFC 3339 makes of it. It refuses nothing that `check-config` accepts, and most of what that
refuses; between keys of several tables, and of several files, it knows nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from rebootmgr.config.checked import decode_config
from rebootmgr.config.effective import effective_values
from rebootmgr.config.rules import (
    Accepts,
    Day,
    Either,
    Flag,
    Moment,
    Named,
    Rule,
    Several,
    Text,
    Whole,
    Words,
    wanted,
)
from rebootmgr.config.schema import AGENT, ITEMS, KEYS, NEEDS, WAYS
from rebootmgr.config.windows import Way

Schema: TypeAlias = dict[str, object]

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
TITLE: Final = "rebootmgr.toml"
FILE: Final = "/usr/share/rebootmgr/rebootmgr.toml.schema.json"
"""Where it is installed."""

_DAY: Final = r"(?:19[789]\d|2\d{3})-\d{2}-\d{2}"
_MOMENT: Final = _DAY + r"(?:[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})?)?"


def encode_schema() -> Schema:
    """Write the schema of a drop-in."""
    return {"$schema": DRAFT, "title": TITLE, **_table("")}


def _table(table: str) -> Schema:
    """Write the schema of a table with all that is below it; "" is the whole file."""
    names = dict.fromkeys(
        _child(table, key) for key in (*KEYS, *ITEMS, *AGENT.foreign) if _is_below(table, key)
    )
    listed = {name: _entry(f"{table}.{name}" if table else name) for name in names}
    return {"type": "object", "additionalProperties": False, "properties": listed}


def _is_below(table: str, key: str) -> bool:
    return not table or key.startswith(f"{table}.")


def _child(table: str, key: str) -> str:
    return key.removeprefix(f"{table}." if table else "").partition(".")[0]


def _entry(key: str) -> Schema:
    if key in KEYS:
        return _rule(KEYS[key]) | {"default": _DEFAULTS[key]}
    if key in ITEMS:
        return {"type": "array", "items": _item(key)}
    if key in AGENT.foreign:
        return {"deprecated": True, "description": f"{AGENT.foreign[key]}."}
    return _table(key)


def _item(table: str) -> Schema:
    rules, ways = ITEMS[table], WAYS.get(table, ())
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _rule(rule) for name, rule in rules.items()},
        "required": list(NEEDS[table]),
        **({"oneOf": [_way(way, ways) for way in ways]} if ways else {}),
    }


def _way(way: Way, ways: Sequence[Way]) -> Schema:
    """Write that this way is taken, so that nothing stands there which goes with others alone."""
    others = {key for each in ways for key in each.goes_with} - way.goes_with
    return {
        "required": [way.key, *way.needs],
        **({"properties": dict.fromkeys(sorted(others), False)} if others else {}),
    }


def _rule(rule: Rule) -> Schema:
    about = f"{rule.meaning}\n\nTakes {wanted(rule.accepts)}."
    return {"description": about, **_shape(rule.accepts)}


def _shape(accepts: Accepts) -> Schema:
    match accepts:
        case Flag():
            return {"type": "boolean"}
        case Whole(low=low, high=high):
            return {"type": "integer", "minimum": low, "maximum": high}
        case Words(words=words):
            return {"enum": [str(word) for word in words]}
        case Text(pattern=pattern, longest=longest):
            return {
                "type": "string",
                **({"pattern": f"^(?:{pattern})$"} if pattern else {}),
                **({"maxLength": longest} if longest is not None else {}),
            }
        case Day():
            return {"type": "string", "pattern": f"^{_DAY}$"}
        case Moment():
            return {"type": "string", "pattern": f"^{_MOMENT}$"}
        case Named(pattern=pattern, each=each, most=most):
            return {
                "type": "object",
                "propertyNames": {"pattern": f"^(?:{pattern})$"},
                "additionalProperties": _shape(each),
                "maxProperties": most,
            }
        case Several(each=each, once=once, least=least):
            unique = {"uniqueItems": True} if once else {}
            return {"type": "array", "items": _shape(each), "minItems": least, **unique}
        case Either(ways=ways):
            return {"anyOf": [_shape(way) for way in ways]}


_DEFAULTS: Final[Mapping[str, object]] = {
    f"{each.table}.{each.name}": each.value
    for each in effective_values(decode_config((), localtime=None))
}
