"""Work beside the loop: what hangs holds up nothing else, not even the end of the program."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from rebootmgr.aside import Aside
from tests.waiting import PATIENT_S

SHORT_S = 0.05


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """Set at the end, so that no thread of ours goes on."""
    event = threading.Event()
    yield event
    event.set()


def fail() -> None:
    raise OSError(28, "No space left on device")


async def test_it_gives_what_the_work_gives_or_raises() -> None:
    aside = Aside("test")
    assert await aside.run(1, lambda: "done") == "done"
    with pytest.raises(OSError, match="No space"):
        await aside.run(1, fail)


async def test_what_hangs_is_given_up_and_not_begun_again(hang: threading.Event) -> None:
    aside = Aside("test")
    with pytest.raises(TimeoutError):
        await aside.run("tty1", hang.wait, patience_s=SHORT_S)
    with pytest.raises(TimeoutError, match="hangs since"):
        await aside.run("tty1", lambda: True, patience_s=PATIENT_S)
    assert await aside.run("tty2", lambda: True, patience_s=PATIENT_S)


async def test_as_soon_as_it_ends_the_next_may_begin(hang: threading.Event) -> None:
    aside = Aside("test")
    with pytest.raises(TimeoutError):
        await aside.run(1, hang.wait, patience_s=SHORT_S)
    hang.set()
    while True:
        try:
            assert await aside.run(1, lambda: True)
            break
        except TimeoutError:
            await aside.run(2, lambda: None)


async def test_more_than_may_run_at_once_wait_for_their_turn(hang: threading.Event) -> None:
    aside = Aside("test", at_once=2)
    async with asyncio.TaskGroup() as tasks:
        first = [tasks.create_task(aside.run(each, hang.wait)) for each in range(2)]
        third = tasks.create_task(aside.run(3, hang.is_set))
        await Aside("others").run(1, lambda: None)
        assert not third.done()
        hang.set()
    assert third.result()
    assert all(each.result() for each in first)


async def test_no_more_than_so_many_are_left_to_hang(hang: threading.Event) -> None:
    aside = Aside("test", hanging=3)
    before = threading.active_count()
    for each in range(10):
        with pytest.raises(TimeoutError):
            await aside.run(each, hang.wait, patience_s=SHORT_S)
    assert threading.active_count() <= before + 3


def test_a_thread_that_hangs_does_not_hold_up_the_end_of_the_program() -> None:
    program = """
import asyncio, threading
from rebootmgr.aside import Aside
async def main():
    try:
        await Aside("test").run(1, threading.Event().wait, patience_s=0.05)
    except TimeoutError:
        print("given up")
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("given up\n", "")
