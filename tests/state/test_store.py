"""state.json on a real file system. What faults and power cuts do is in test_crash_points.py."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from rebootmgr.core.memory import Memory, Unreadable
from rebootmgr.core.model import BootId
from rebootmgr.state.owner import read_machine
from rebootmgr.state.store import StateStore
from rebootmgr.state.words import LARGEST, decode_state, encode_state
from tests.state.test_words import FULL

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FIRST = Memory(reboots_total=1)
OLD = Memory(reboots_total=2)
NEW = Memory(reboots_total=3)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "var/lib/rebootmgr"
    path.mkdir(parents=True)
    return path


def read(root: Path) -> Memory | Unreadable:
    return StateStore(root).read(at=NOON)


def test_a_host_without_a_state_file_remembers_nothing(tmp_path: Path) -> None:
    assert read(tmp_path) == Memory()


def test_what_was_written_is_read_and_private(tmp_path: Path, directory: Path) -> None:
    StateStore(tmp_path).write(OLD)
    assert read(tmp_path) == OLD
    assert (directory / "state.json").stat().st_mode & 0o777 == 0o600


def test_the_directory_is_made_when_it_is_missing(tmp_path: Path) -> None:
    StateStore(tmp_path).write(OLD)
    assert read(tmp_path) == OLD


def test_the_last_good_copy_is_kept_beside_it_and_nothing_else(
    tmp_path: Path, directory: Path
) -> None:
    for memory in (FIRST, OLD, NEW):
        StateStore(tmp_path).write(memory)
    assert sorted(path.name for path in directory.iterdir()) == ["state.json", "state.json~"]
    assert decode_state((directory / "state.json~").read_bytes()) == OLD


MINE, OTHER = (f"{number:032x}\n" for number in (7, 8))


def give_machine_id(root: Path, text: str) -> None:
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/machine-id").write_text(text)


def test_a_cloned_disk_brings_only_the_holds_along(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    give_machine_id(tmp_path, MINE)
    StateStore(tmp_path).write(replace(FULL, machine=""))
    original = read(tmp_path)
    assert original == replace(FULL, machine=machine_of(original))
    StateStore(tmp_path).write(original)
    assert (read(tmp_path), caplog.messages) == (original, [])
    give_machine_id(tmp_path, OTHER)
    clone = read(tmp_path)
    machine = machine_of(clone)
    assert machine not in {"", machine_of(original)}
    assert clone == Memory(machine=machine, holds=FULL.holds, last_seen=FULL.last_seen)
    [said] = caplog.messages
    assert "of another machine" in said
    StateStore(tmp_path).write(clone)
    caplog.clear()
    assert (read(tmp_path), caplog.messages) == (clone, []), "said once"


def machine_of(memory: Memory | Unreadable) -> str:
    assert isinstance(memory, Memory)
    return memory.machine


@pytest.mark.parametrize("text", ["", "uninitialized\n", "\xe4", "7" * 31, None])
def test_on_a_machine_without_an_id_the_state_is_its_own(tmp_path: Path, text: str | None) -> None:
    give_machine_id(tmp_path, MINE)
    StateStore(tmp_path).write(FULL)
    written = read(tmp_path)
    if text is None:
        (tmp_path / "etc/machine-id").unlink()
    else:
        give_machine_id(tmp_path, text)
    assert read(tmp_path) == FULL != written


def test_the_hash_of_a_machine_does_not_tell_its_id(tmp_path: Path, directory: Path) -> None:
    give_machine_id(tmp_path, MINE)
    StateStore(tmp_path).write(read_memory(tmp_path))
    assert MINE.strip() not in (directory / "state.json").read_text()
    give_machine_id(tmp_path, str(UUID(MINE.strip())).upper())
    assert machine_of(read(tmp_path)) == read_machine(tmp_path) != ""


def read_memory(root: Path) -> Memory:
    found = read(root)
    assert isinstance(found, Memory)
    return found


def test_a_corrupt_file_is_replaced_by_its_copy(tmp_path: Path, directory: Path) -> None:
    StateStore(tmp_path).write(OLD)
    StateStore(tmp_path).write(NEW)
    (directory / "state.json").write_bytes(b"{")
    assert read(tmp_path) == OLD


@pytest.mark.parametrize("copy", [None, b"", b"junk"])
def test_a_lost_state_holds_the_host_for_a_day(
    tmp_path: Path, directory: Path, copy: bytes | None
) -> None:
    (directory / "state.json").write_bytes(b"")
    if copy is not None:
        (directory / "state.json~").write_bytes(copy)
    found = read(tmp_path)
    assert isinstance(found, Memory)
    (hold,) = found.holds
    assert found == Memory(holds=(hold,))
    assert "state lost" in hold.reason
    assert (hold.since, hold.until) == (NOON, NOON + timedelta(hours=24))


def test_a_newer_state_file_is_neither_read_nor_overwritten(
    tmp_path: Path, directory: Path
) -> None:
    newer = b'{"version": {"major": 2, "minor": 0}}'
    (directory / "state.json").write_bytes(newer)
    (directory / "state.json~").write_bytes(encode_state(OLD))
    found = read(tmp_path)
    assert isinstance(found, Unreadable)
    assert "newer rebootmgr" in found.detail
    with pytest.raises(OSError, match="newer rebootmgr"):
        StateStore(tmp_path).write(NEW)
    assert (directory / "state.json").read_bytes() == newer


def test_a_directory_a_pipe_or_a_link_in_place_of_the_file_is_unreadable(
    tmp_path: Path, directory: Path
) -> None:
    state = directory / "state.json"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(encode_state(OLD))
    state.mkdir()
    assert isinstance(read(tmp_path), Unreadable)
    state.rmdir()
    os.mkfifo(state)
    assert isinstance(read(tmp_path), Unreadable)
    state.unlink()
    state.symlink_to(elsewhere)
    found = read(tmp_path)
    assert isinstance(found, Unreadable)
    assert "symbolic link" in found.detail
    with pytest.raises(OSError, match="symbolic link"):
        StateStore(tmp_path).write(NEW)
    assert decode_state(elsewhere.read_bytes()) == OLD


def test_a_link_planted_as_the_temporary_file_is_not_followed(
    tmp_path: Path, directory: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (directory / "state.json.new").symlink_to(victim)
    StateStore(tmp_path).write(NEW)
    assert victim.read_bytes() == b"precious"
    assert read(tmp_path) == NEW


def test_what_a_newer_version_wrote_survives_our_writing_and_the_loss_of_the_newest_file(
    tmp_path: Path, directory: Path
) -> None:
    newer = {**json.loads(encode_state(OLD)), "moon": 1, "version": {"major": 1, "minor": 9}}
    (directory / "state.json").write_text(json.dumps(newer))
    StateStore(tmp_path).write(NEW)
    assert json.loads((directory / "state.json").read_bytes())["moon"] == 1
    (directory / "state.json").write_bytes(b"")
    StateStore(tmp_path).write(NEW)
    assert json.loads((directory / "state.json").read_bytes())["moon"] == 1
    assert read(tmp_path) == NEW


def test_a_state_beyond_reason_is_refused_before_anything_is_touched(
    tmp_path: Path, directory: Path
) -> None:
    StateStore(tmp_path).write(OLD)
    with pytest.raises(OSError, match="beyond reason"):
        StateStore(tmp_path).write(replace(NEW, settled=BootId("x" * LARGEST)))
    assert [path.name for path in directory.iterdir()] == ["state.json"]
    assert read(tmp_path) == OLD


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_of_somebody_else_is_unreadable(tmp_path: Path, directory: Path) -> None:
    StateStore(tmp_path).write(OLD)
    os.chown(directory / "state.json", 4242, 4242)
    found = read(tmp_path)
    assert isinstance(found, Unreadable)
    assert "belongs to user 4242" in found.detail


def test_a_file_system_that_takes_no_files_is_an_error() -> None:
    with pytest.raises(OSError, match="/proc"):
        StateStore(Path("/proc")).write(NEW)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory_is_an_error(tmp_path: Path, directory: Path) -> None:
    StateStore(tmp_path).write(OLD)
    directory.chmod(0o500)
    with pytest.raises(PermissionError):
        StateStore(tmp_path).write(NEW)
    assert read(tmp_path) == OLD
