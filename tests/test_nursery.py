"""What comes from a nursery is as if it had been started."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from pathlib import Path
from tempfile import TemporaryFile

from tests.fakes.nursery import Nursery, nursery

MIRROR = "tests.fakes.mirror"
ENV = {
    "PATH": os.environ["PATH"],
    "LC_ALL": "C.UTF-8",
    "TZ": "Asia/Tokyo",
    "ODD": "a=b\n",
}  # LC_ALL: PEP 538


async def test_a_forked_program_is_given_what_a_started_one_is() -> None:
    started = await create_subprocess_exec(
        *(sys.executable, "-m", MIRROR, "--root", "ü x", ""),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=ENV,
    )
    out, err = await started.communicate()
    forked = await nursery(MIRROR).run("--root", "ü x", "", env=ENV)
    assert forked == (started.returncode, out.decode(), err.decode())
    shown = json.loads(out)
    assert (shown["environment"], shown["arguments"][1:]) == (ENV, ["--root", "ü x", ""])
    assert (forked[0], forked[2]) == (3, "that is all\n")


async def test_it_is_where_it_is_wanted_with_what_is_handed_over(tmp_path: Path) -> None:
    with TemporaryFile() as out:
        fds = (0, out.fileno(), 2, out.fileno())
        process = await nursery(MIRROR).fork(env=ENV, fds=fds, cwd=str(tmp_path))
        assert await process.wait() == 3
        shown = json.loads(os.pread(out.fileno(), 65536, 0))
    assert shown["directory"] == str(tmp_path)
    assert shown["descriptors"] == dict.fromkeys("0123", True)


async def test_a_signal_that_ends_it_is_its_status() -> None:
    assert (await nursery(MIRROR).run("kill", env=ENV))[0] == -signal.SIGKILL


async def test_nothing_outlives_its_nursery() -> None:
    ours = Nursery("tests.fakes.mirror")
    read, write = os.pipe()
    with os.fdopen(read, "rb") as end:
        process = await ours.fork("wait", env=ENV, fds=(0, write, write))
        os.close(write)
        assert process.returncode is None
        ours.close()
        assert await process.wait() == -signal.SIGKILL
        await asyncio.to_thread(end.read)
