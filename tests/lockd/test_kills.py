"""What was told outlives the server, whenever that is killed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lockd.kills import Kills

LIVES = 50
EACH = 12


@pytest.mark.parametrize("seed", range(4))
async def test_no_kill_lends_too_much_or_forgets_a_grant(
    tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """It lives on until each event was seen a dozen times, within the bound of every test."""
    tally = await Kills(tmp_path, seed).run(LIVES, each=EACH)
    for event, times in tally.items():
        record_property(event, times)
