"""When something was done, so that what is said of its end is judged however long it took."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

SECOND: Final = timedelta(seconds=1)


@dataclass
class Span:
    """When it was done: at the earliest and at the latest."""

    began: datetime
    ended: datetime

    def assert_ends(self, text: str, length: timedelta) -> None:
        """Check that `text`, in whole seconds, is so long after that."""
        until = datetime.fromisoformat(text)
        assert self.began + length - SECOND < until <= self.ended + length + SECOND


@contextmanager
def noting_the_time() -> Iterator[Span]:
    """Note when what is done inside was done."""
    span = Span(datetime.now(UTC), datetime.now(UTC))
    yield span
    span.ended = datetime.now(UTC)
