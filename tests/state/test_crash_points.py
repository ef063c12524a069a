"""A fault or an end at any call of the disk: the state is the one before or the one after.

Never an older one, never none: what was promised to be on record stays on record.
"""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations, cycle
from pathlib import Path
from typing import Final

import pytest

from rebootmgr.core.memory import Hold, Memory, Unreadable
from rebootmgr.state.store import DIRECTORY, StateStore
from tests.fakes.disk import Disk, PowerCut

NOON: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOLD: Final = Hold(id="h", owner="root", reason="visit", since=NOON, until=None)
LIVES: Final = tuple(Memory(reboots_total=n, holds=(HOLD,)) for n in range(1, 5))
CALLS: Final = 47
SMALL_WRITE: Final = 260  # bytes, so that a file takes a few


CODES: Final = (errno.ENOSPC, errno.EIO, errno.EROFS)
Looked = dict[tuple[tuple[str, bytes], ...], Memory | Unreadable]
"""What was read of each content of the directory; it depends on nothing else."""


def recall(root: Path) -> Memory | Unreadable:
    return StateStore(root).read(at=NOON)


def calls_of(root: Path) -> list[str]:
    """What the disk is asked for by the writes that are not disturbed."""
    names: list[str] = []
    disk = Disk(after=lambda _, name: names.append(name), most=SMALL_WRITE)
    for memory in LIVES:
        StateStore(root, files=disk).write(memory)
    return names


def test_the_calls_are_those_that_the_crash_points_below_walk_through(tmp_path: Path) -> None:
    names = calls_of(tmp_path)
    assert len(names) == CALLS
    assert set(names) == {"unlink", "open", "write", "fsync", "rename", "fsync_dir"}


@dataclass
class Scene:
    """A host whose disk fails at `faults`, by the numbers of the calls; it never stops trying.

    `allowed` is what may be read: the last memory that was promised, and any that was tried since.
    """

    root: Path
    faults: dict[int, int] = field(default_factory=dict)
    looked: Looked = field(default_factory=dict)
    allowed: list[Memory] = field(default_factory=lambda: [Memory()])

    def live(self) -> None:
        disk = Disk(before=self._fail, after=lambda *_: self._look(disk), most=SMALL_WRITE)
        store = StateStore(self.root, files=disk)
        for memory in LIVES:
            self.allowed.append(memory)
            for _ in range(len(self.faults) + 1):
                try:
                    store.write(memory)
                except OSError:
                    assert recall(self.root) in self.allowed
                else:
                    break
            self.allowed = [memory]
            assert recall(self.root) == memory
            self._look(disk)

    def _fail(self, call: int, _: str) -> None:
        if call in self.faults:
            raise OSError(self.faults[call], os.strerror(self.faults[call]))

    def _look(self, disk: Disk) -> None:
        """Lose power now, in every way there is, and read what is left."""
        for leftover in disk.leftovers():
            key = tuple(sorted(leftover.items()))
            if key not in self.looked:
                self.looked[key] = recall(self._copy(leftover))
            assert self.looked[key] in self.allowed, leftover

    def _copy(self, leftover: dict[str, bytes]) -> Path:
        root = self.root / f"cut-{len(self.looked)}"
        (root / DIRECTORY).mkdir(parents=True)
        for name, content in leftover.items():
            (root / DIRECTORY / name).write_bytes(content)
        return root


def test_a_power_cut_after_any_call_loses_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.live()
    assert len(scene.looked) > len(LIVES)


def test_an_error_of_any_call_and_a_power_cut_at_any_time_lose_nothing(tmp_path: Path) -> None:
    looked: Looked = {}
    for call, code in zip(range(1, CALLS + 1), cycle(CODES), strict=False):
        Scene(tmp_path / str(call), {call: code}, looked).live()


def test_two_errors_and_a_power_cut_lose_nothing(tmp_path: Path) -> None:
    looked: Looked = {}
    second = range(9, 22)  # the calls of the second write, as long as nothing fails
    for pair in combinations(second, 2):
        Scene(tmp_path / str(pair), dict(zip(pair, CODES, strict=False)), looked).live()


def test_an_error_while_a_corrupt_file_is_mended_does_not_cost_the_good_copy(
    tmp_path: Path,
) -> None:
    old, new = LIVES[:2]
    for call in range(1, 8):
        root = tmp_path / str(call)
        StateStore(root).write(old)
        StateStore(root).write(old)
        (root / DIRECTORY / "state.json").write_bytes(bytes(300))

        def cut(number: int, _: str, call: int = call) -> None:
            if number == call:
                raise PowerCut

        with pytest.raises(PowerCut) if call <= 6 else nullcontext():
            StateStore(root, files=Disk(before=cut)).write(new)
        assert recall(root) in ((old, new) if call <= 6 else (new,))


def die_at(root: Path, call: int) -> None:
    """Write until the end; run by a child, see below."""

    def die(number: int, _: str) -> None:
        if number == call:
            os.kill(os.getpid(), signal.SIGKILL)

    disk = Disk(after=die, most=SMALL_WRITE)
    for memory in LIVES:
        StateStore(root, files=disk).write(memory)
        (root / "promised").write_text(str(memory.reboots_total))


def killed() -> Iterator[tuple[int, int]]:
    """Fork a child for each call; the number of the call and what became of the child."""
    for call in range(1, CALLS + 1):
        root = Path(sys.argv[1]) / str(call)
        root.mkdir()
        if (child := os.fork()) == 0:
            die_at(root, call)
            os._exit(0)
        yield call, os.waitpid(child, 0)[1]


def test_a_process_killed_after_any_call_loses_nothing(tmp_path: Path) -> None:
    command = (sys.executable, "-m", __spec__.name, str(tmp_path))
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    ends = dict(json.loads(done.stdout))
    assert ends == dict.fromkeys(range(1, CALLS + 1), signal.SIGKILL)
    for call in ends:
        root = tmp_path / str(call)
        found = recall(root)
        promised = int((root / "promised").read_text()) if (root / "promised").exists() else 0
        assert isinstance(found, Memory)
        assert found in {0: (Memory(), LIVES[0])}.get(promised, LIVES[promised - 1 : promised + 1])
        StateStore(root).write(LIVES[-1])
        assert recall(root) == LIVES[-1]


if __name__ == "__main__":
    print(json.dumps(list(killed())))  # noqa: T201 - the test that started us reads it
