"""Whatever became of state.json, the daemon starts with it, shows it, and writes it again."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from rebootmgr.control.words import encode_status
from rebootmgr.core.alarm import deadline
from rebootmgr.core.counters import Counters
from rebootmgr.core.memory import Memory, Unreadable
from rebootmgr.core.model import BootId, Moment
from rebootmgr.core.policy import Strategy
from rebootmgr.show.metrics import encode_metrics
from rebootmgr.show.metrics_socket import OwnProcess
from rebootmgr.state.store import DIRECTORY, StateStore
from rebootmgr.state.words import MOST_DEBTS, decode_state, encode_state
from tests.core.script import EPOCH, FIRST_BOOT, FLEET, NEW, UP_S, Script, shown
from tests.core.world import SUNDAYS
from tests.state.damage import damaged

FILES = 10_000
LIVED_WITH = 3
"""Of so many files one is: that costs milliseconds."""
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


def live_with(memory: Memory) -> None:
    """Start in the boot that it speaks of and in the next, with an update, and show everything."""
    boot = memory.intent.boot if memory.intent is not None else FIRST_BOOT
    for booted in {boot, BootId("another:0")}:
        script = Script(policy=POLICY, memory=memory, boot=booted, staged=NEW).look()
        while script.state.looking is not None:
            script.look()
        for at in (script.at, Moment(wall=EPOCH - timedelta(days=21_000), mono=UP_S)):
            deadline(script.state, at=at, policy=POLICY)
        status = shown(script)
        encode_metrics(status, Counters(), OwnProcess().read()).decode()
        for text in texts(json.loads(json.dumps(encode_status(status)))):
            assert not CONTROL.search(text), text
        servers = [entry.slot.server for entry in script.state.ledger]
        assert not [url for url in servers if "hunter2" in url or "@" in url]
        assert len(script.state.ledger) <= MOST_DEBTS + 1, "and the one that is asked for"
        assert isinstance(decode_state(encode_state(script.state.memory)), Memory)


def test_ten_thousand_damaged_files_are_read_lived_with_and_written_again(tmp_path: Path) -> None:
    directory = tmp_path / DIRECTORY
    directory.mkdir(parents=True)
    file, store = directory / "state.json", StateStore(tmp_path)
    seen: set[str] = set()
    readable = 0
    file.touch()
    for number, data in enumerate(damaged(FILES)):
        with file.open("r+b") as whole:  # which is ten times as fast as a new one
            whole.truncate(whole.write(data))
        found = store.read(at=EPOCH)
        if isinstance(found, Unreadable):
            continue
        is_lost = any(hold.id == "state-lost" for hold in found.holds)
        readable += not is_lost
        if number % LIVED_WITH == 0 and not is_lost and repr(found) not in seen:
            seen.add(repr(found))
            live_with(found)
    assert FILES / 50 < len(seen) < readable < FILES
