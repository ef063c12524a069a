"""Whatever became of state.json, the daemon starts with it, shows it, and writes it again."""

import os
import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rebootmgr.core.alarm import deadline
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import BootId, Moment
from rebootmgr.core.policy import Strategy
from rebootmgr.state.store import DIRECTORY, StateStore
from rebootmgr.state.words import MOST_DEBTS, decode_state, encode_state
from tests.core.script import EPOCH, FLEET, NEW, UP_S, Script, shown
from tests.core.world import SUNDAYS
from tests.state.damage import damaged
from tests.state.starts import Hasty, Started, logged_to, start

FILES = 1_000
PARTS = 10 if os.environ.get("REBOOTMGR_WALK") == "deep" else 2  # ten in `make soak`
YEAR = timedelta(days=365)
POLICY = replace(
    FLEET,
    strategies=frozenset({Strategy.FLEET_LOCK, Strategy.PERIODIC}),
    calendar=replace(SUNDAYS, fit=True),
)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff]")


def texts(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for pair in value.items() for each in pair for text in texts(each)]
        case list():
            return [text for each in value for text in texts(each)]
        case _:
            return []


def judge(started: Started) -> None:
    """What the start says is harmless, and shows no credentials."""
    for text in texts(started.told):
        assert not CONTROL.search(text), text
    assert not CONTROL.search(started.screens.replace("\n", " "))
    urls = [entry.slot.server for entry in started.state.ledger]
    assert not [url for url in urls if "hunter2" in url or "@" in url]
    ledger = started.state.ledger
    assert len(ledger) <= MOST_DEBTS + 1, "and the one that is asked for"
    assert "rebootmgr_reboot_pending" in started.scraped
    assert started.told["state"] != "starting" or not started.state.readable


@pytest.mark.parametrize("part", range(PARTS))
async def test_the_daemon_starts_on_each_of_thousands_of_damaged_files(
    part: int, tmp_path: Path
) -> None:
    directory = tmp_path / DIRECTORY
    directory.mkdir(parents=True)
    file, store = directory / "state.json", StateStore(tmp_path, files=Hasty())
    seen: set[str] = set()
    with logged_to(tmp_path / "log"):
        for number, data in enumerate(damaged(FILES, seed=7 + part)):
            file.write_bytes(data)
            file.with_name("state.json~").unlink(missing_ok=True)
            started = await start(store, POLICY)
            try:
                judge(started)
            except AssertionError as error:
                error.add_note(f"number {number} of part {part}: {data[:2000]!r}")
                raise
            seen.add(started.screens)
    assert len(seen) > FILES / 50, "they say many different things"
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8", "replace")


@pytest.mark.parametrize("wall", [EPOCH - timedelta(days=21_000), EPOCH, EPOCH + 1000 * YEAR])
def test_whatever_is_read_has_a_next_alarm_at_any_time(tmp_path: Path, wall: datetime) -> None:
    for data in damaged(FILES, seed=5):
        found = decode_state(data)
        if isinstance(found, Memory):
            script = Script(policy=POLICY, memory=found, boot=BootId("another:0"), staged=NEW)
            script.look()
            deadline(script.state, at=Moment(wall=wall, mono=UP_S), policy=POLICY)
            shown(script)
            assert isinstance(decode_state(encode_state(script.state.memory)), Memory)
