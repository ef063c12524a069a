"""When this package was made: a clock that is behind it is surely wrong (SPEC 5)."""

from datetime import UTC, datetime
from typing import Final

BUILT: Final = datetime(2026, 11, 20, tzinfo=UTC)
