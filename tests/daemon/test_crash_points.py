"""The daemon killed, or the power cut, at any call of the disk: the same decision as if not.

tests/state/test_crash_points.py is about the file alone; here a whole update goes on around it.
"""

import errno
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest

from rebootmgr.core.model import Outcome
from rebootmgr.core.policy import Policy, Strategy
from rebootmgr.state.store import DIRECTORY, StateStore
from tests.daemon.crash_host import BAD, FIRST, NEW, POLICY, SLOT, End, Host, what_matters
from tests.fakes.disk import Disk, PowerCut

IMMEDIATE = frozenset({Strategy.IMMEDIATE})


def prepared(root: Path) -> Host:
    disk = Disk()
    StateStore(root, files=disk).write(FIRST)
    disk.calls = 0
    return Host(root, disk)


def undisturbed(root: Path) -> tuple[End, int]:
    """How it ends when nothing goes wrong, and how often the disk is called until then."""
    host = prepared(root)
    end = host.live()
    assert host.runs == 2
    assert (end.booted, end.reboots, end.drained, end.slots) == (NEW, 1, False, frozenset())
    assert end.memory.outcomes == ((Outcome.SUCCEEDED, 1),)
    assert (end.memory.quarantine, end.memory.holds, end.memory.debts) == ((BAD,), (), ())
    assert end.memory.confirmed == (SLOT,)
    return what_matters(end), host.disk.calls


@pytest.mark.parametrize("later", [POLICY, replace(POLICY, strategies=IMMEDIATE, slot=None)])
def test_killed_after_any_call_it_comes_to_the_same_end(tmp_path: Path, later: Policy) -> None:
    """Also when the lock server is no longer configured after that."""
    end, calls = undisturbed(tmp_path / "undisturbed")
    for call in range(1, calls + 1):

        def kill(number: int, _: str, call: int = call) -> None:
            if number == call:
                raise PowerCut

        host = prepared(tmp_path / str(call))
        host.disk.after, host.later = kill, later
        left = host.live()
        assert what_matters(left) == end, call
        assert later.slot is None or left.memory.confirmed == (later.slot,), call
        assert host.runs == 3


def test_a_disk_that_fails_at_any_call_delays_and_changes_nothing_else(tmp_path: Path) -> None:
    end, calls = undisturbed(tmp_path / "undisturbed")
    for call in range(1, calls + 1):

        def fail(number: int, _: str, call: int = call) -> None:
            if number == call:
                raise OSError(errno.ENOSPC, "No space left on device")

        host = prepared(tmp_path / str(call))
        host.disk.before = fail
        assert what_matters(host.live()) == end, call


def cuts(root: Path) -> list[tuple[Host, dict[str, bytes]]]:
    """Every state of host and disk that a power cut may leave, each once."""
    found: dict[str, tuple[Host, dict[str, bytes]]] = {}

    def look(*_: object) -> None:
        for leftover in host.disk.leftovers():
            left = copy(host)
            left.slots = set(host.slots)
            known = (left.booted, left.going_down, left.drained, sorted(left.slots), leftover)
            found.setdefault(repr(known), (left, leftover))

    host = prepared(root)
    host.disk.after = look
    host.live()
    return list(found.values())


def test_a_power_cut_after_any_call_loses_no_slot_no_hold_and_reboots_once_more_at_most(
    tmp_path: Path,
) -> None:
    found = cuts(tmp_path / "undisturbed")
    assert len(found) > 30
    for number, (host, leftover) in enumerate(found):
        for finalized in {False, host.going_down}:
            left = copy(host)
            left.slots, left.disk, left.runs = set(host.slots), Disk(), 0
            left.root = tmp_path / f"{number}-{finalized}"
            (left.root / DIRECTORY).mkdir(parents=True)
            for name, content in leftover.items():
                (left.root / DIRECTORY / name).write_bytes(content)
            left.boot(finalized=finalized)
            end = left.live()
            assert (end.booted, end.drained, end.slots) == (NEW, False, frozenset())
            assert end.reboots == 1 + (host.reboots and not finalized and host.booted != NEW)
            memory = end.memory
            assert (memory.quarantine, memory.holds, memory.debts) == ((BAD,), (), ())
            assert memory.attempts == ()
