"""What was told outlives the server, whenever that is killed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lockd.kills import Kills

LIVES = 50


@pytest.mark.parametrize("seed", range(4))
async def test_no_kill_lends_too_much_or_forgets_a_grant(
    tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    tally = await Kills(tmp_path, seed).run(LIVES)
    record_property("kills", LIVES)
    assert all(tally[what] for what in ("Granted", "Returned", "no answer", "hung up"))
