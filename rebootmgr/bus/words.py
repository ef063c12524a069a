"""Match rules of the D-Bus specification, as far as rebootmgr uses them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

_PART: Final = re.compile(r"([a-z0-9_]+)='([^',]*)'")
_KEYS: Final = frozenset(
    {"type", "sender", "path", "path_namespace", "interface", "member", "arg0"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRule:
    """A decoded rule; "" where it does not care."""

    sender: str = ""
    path: str = ""
    path_namespace: str = ""
    interface: str = ""
    member: str = ""
    arg0: str = ""

    def has_subject(self, path: str, interface: str, member: str, body: Sequence[Any]) -> bool:
        """Whether all but the sender matches (D-Bus specification, "Match Rules")."""
        namespace = self.path_namespace.rstrip("/")
        return (
            self.path in {"", path}
            and (not namespace or path == namespace or path.startswith(namespace + "/"))
            and self.interface in {"", interface}
            and self.member in {"", member}
            and (not self.arg0 or (len(body) > 0 and body[0] == self.arg0))
        )


def decode_match_rule(rule: str) -> MatchRule:
    """Read `key='value',…`; ValueError where the rule is not for signals or not understood."""
    parts: dict[str, str] = {}
    for part in rule.split(","):
        found = _PART.fullmatch(part.strip())
        if found is None or found[1] not in _KEYS or found[1] in parts:
            raise ValueError(f"cannot follow match rule {rule!r}: {part!r}")
        parts[found[1]] = found[2]
    if parts.pop("type", "signal") != "signal":
        raise ValueError(f"cannot follow match rule {rule!r}: only signals are matched")
    return MatchRule(**parts)
