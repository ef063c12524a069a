"""Who is let in: values of the Authorization header, and how often others may try."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rebootmgr.lockd.http.watched_file import KeyFileError, WatchedFiles
from rebootmgr.rates import Allowance, Buckets

KEY: Final = "server.authorization_file"
_FEWEST: Final = 5.0  # at once, whatever the rate


@dataclass(frozen=True, slots=True, repr=False)
class Tokens:
    """The accepted values; none of them is ever shown."""

    values: tuple[bytes, ...]

    def accept(self, value: str) -> bool:
        """Whether this is one of them; how long it takes does not tell how much of it was right."""
        given = value.strip().encode("utf-8", "surrogateescape")
        matches = [hmac.compare_digest(given, each) for each in self.values]
        return any(matches)


def decode_tokens(contents: Sequence[bytes]) -> Tokens:
    """Read one value a line; empty lines mean nothing. KeyFileError where there is none."""
    lines = [line.strip() for content in contents for line in content.splitlines()]
    values = tuple(line for line in lines if line)
    if not values:
        raise KeyFileError("has no line: write each accepted Authorization value on its own")
    for number, line in enumerate(lines, 1):
        if not all(0x20 <= byte < 0x7F for byte in line):
            raise KeyFileError(f"line {number} is not plain ASCII, so that no client can send it")
    return Tokens(values)


class Door:
    """Lets in who has a token, and counts those who come with nothing to say.

    `path` "": anybody is let in. `per_s` 0: anybody may be wrong as often as they please.
    """

    def __init__(self, path: str, per_s: int) -> None:
        self._tokens = WatchedFiles(((KEY, path),), decode_tokens) if path else None
        self._wrong = Buckets(Allowance(max(_FEWEST, 2.0 * per_s), per_s)) if per_s else None

    def lets_in(self, authorization: str | None, at_s: float) -> bool:
        """Whether whoever sends this header, or none, is let in."""
        if self._tokens is None:
            return True
        return authorization is not None and self._tokens.current(at_s).accept(authorization)

    def is_patient_with(self, address: str, at_s: float) -> bool:
        """Count a request that was not let in or is malformed: whether it is told so."""
        return self._wrong is None or self._wrong.take(address, at_s)
