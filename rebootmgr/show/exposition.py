"""The text of a scrape, which is made once for all who come within a second and see the same."""

import time
from collections.abc import Callable, Sequence
from typing import Final

LASTS_S: Final = 1.0


class Exposition:
    """Gives what `make` makes, anew only after a second, or once one of `parts` is another object.

    `parts` are what is told, without our own process, which uses a little more with each scrape.
    """

    def __init__(
        self,
        make: Callable[[], bytes],
        parts: Callable[[], Sequence[object]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._parts = parts
        self._clock = clock
        self._text = b""
        self._made_of: Sequence[object] = ()
        self._made_at = 0.0

    def text(self) -> bytes:
        """Give the text; whatever `make` raises costs this scrape alone."""
        now, parts = self._clock(), self._parts()
        is_same = len(parts) == len(self._made_of) and all(map(_is, parts, self._made_of))
        if not is_same or now - self._made_at >= LASTS_S:
            self._text = self._make()
            self._made_of, self._made_at = parts, now
        return self._text


def _is(one: object, other: object) -> bool:
    return one is other
