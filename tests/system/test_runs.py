"""Runs side by side: what one of them made is removed when nothing of it lives, and not before."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Final

import pytest

from tests.system.layers import PROJECT
from tests.system.ostree_machine import change_attribute
from tests.system.sysroot import why_not_ostree

# A run as `python -m tests.system` is one: it claims, and becomes another program in namespaces.
RUN: Final = """
import os, sys
from pathlib import Path
from tests.system.able import remove_cgroup
from tests.system.runs import RUNS, begin_run, claim, own
from tests.system.sysroot import place_of_hosts, remove_run
begin_run()
claim(RUNS, remove_run)
claim(Path(sys.argv[1]), remove_cgroup)
boot = place_of_hosts() / "host/boot"
boot.mkdir(parents=True)
print(own(RUNS), flush=True)
alone = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
os.execvp(alone[0], [*alone, "cat"])
"""


@contextmanager
def open_directory(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def run(build: Path) -> Iterator[Path]:
    """Have a run begin and live on; what is its own, with a host whose files are immutable."""
    tops = build / "cgroup"
    with subprocess.Popen(
        (sys.executable, "-c", RUN, tops),
        cwd=PROJECT,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "REBOOTMGR_SYSTEM_CACHE": str(build)},
        stdin=PIPE,
        stdout=PIPE,
        text=True,
    ) as living:
        assert living.stdout is not None
        ours = Path(living.stdout.readline().strip())
        change_attribute("+i", ours / "hosts/host/boot")
        yield ours
        living.kill()
    with open_directory(ours) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # what it became has ended, too


def test_a_run_leaves_alone_what_a_living_one_made_and_removes_it_when_that_was_killed(
    tmp_path: Path,
) -> None:
    if why := why_not_ostree():
        pytest.skip(why)
    with run(tmp_path) as first:
        with run(tmp_path) as second:
            assert first != second
            assert (first / "hosts/host/boot").exists()
            assert (tmp_path / "cgroup" / first.name).exists()
        with run(tmp_path) as third:
            assert (first / "hosts/host/boot").exists()
            assert not second.exists()
            assert not (tmp_path / "cgroup" / second.name).exists()
    with run(tmp_path) as last:
        assert set((tmp_path / "runs").iterdir()) == {last}
        assert {one.name for one in (tmp_path / "cgroup").iterdir()} == {last.name}
        assert not third.exists()
    change_attribute("-i", last / "hosts/host/boot")
