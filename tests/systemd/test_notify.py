"""What the service manager hears, on a real datagram socket."""

import asyncio
import os
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rebootmgr.systemd.notify import Notify, watchdog_interval_s


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        yield listening


@pytest.fixture
def notify(manager: socket.socket) -> Iterator[Notify]:
    with closing(Notify({"NOTIFY_SOCKET": manager.getsockname()}, pid=os.getpid())) as notify:
        yield notify


def heard(manager: socket.socket) -> str:
    return manager.recv(65536).decode()


def test_the_manager_hears_each_message(manager: socket.socket, notify: Notify) -> None:
    notify.ready()
    assert heard(manager) == "READY=1"
    notify.status("waiting for the window")
    assert heard(manager) == "STATUS=waiting for the window"
    notify.reloading()
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", heard(manager))
    notify.watchdog()
    assert heard(manager) == "WATCHDOG=1"
    notify.stopping()
    assert heard(manager) == "STOPPING=1"


@pytest.mark.parametrize(
    "reason",
    ["x\nWATCHDOG=trigger", "x\rWATCHDOG=trigger", "\x1b]0;x\x07\nSTOPPING=1", "a\x85b\u2028c\0d"],
)
def test_an_inhibitors_reason_stays_inside_the_status(
    manager: socket.socket, notify: Notify, reason: str
) -> None:
    notify.status(f"blocked by {reason}")
    message = heard(manager)
    assert message.startswith("STATUS=blocked by ")
    assert message.isprintable()


def test_a_status_is_cut_where_nobody_reads_on(manager: socket.socket, notify: Notify) -> None:
    notify.status("x" * 100_000)
    assert len(heard(manager)) < 600


def test_without_a_manager_nothing_is_said() -> None:
    notify = Notify({}, pid=os.getpid())
    notify.ready()
    notify.status("x")
    notify.reloading()
    notify.watchdog()
    notify.stopping()


def test_a_manager_that_is_gone_is_no_failure(tmp_path: Path) -> None:
    Notify({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, pid=os.getpid()).ready()
    Notify({"NOTIFY_SOCKET": "nonsense"}, pid=os.getpid()).ready()


async def test_a_manager_that_does_not_read_holds_nobody_up_and_hears_the_last_word_of_each(
    manager: socket.socket, notify: Notify
) -> None:
    for number in range(1000):
        notify.status(f"number {number}")
    notify.reloading()
    notify.ready()
    notify.watchdog()
    notify.watchdog()
    manager.setblocking(False)  # noqa: FBT003 - takes no keyword
    words = asyncio.Queue[str]()
    asyncio.get_running_loop().add_reader(manager, lambda: words.put_nowait(heard(manager)))
    said: list[str] = []
    while not said or said[-1] != "STATUS=number 999":
        said.append(await words.get())
    asyncio.get_running_loop().remove_reader(manager)
    queued = said[:-3]
    assert queued == [f"STATUS=number {number}" for number in range(len(queued))]
    assert len(queued) < 900  # or nothing here was ever too much
    assert said[-3:] == ["WATCHDOG=1", "READY=1", "STATUS=number 999"]


async def test_waiting_for_a_manager_that_does_not_read_wakes_nobody(
    notify: Notify,
) -> None:
    for number in range(1000):
        notify.status(f"number {number}")
    loop = asyncio.get_running_loop()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    quiet = loop.create_future()
    loop.call_later(0.5, quiet.set_result, None)
    await quiet
    assert resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before <= 3  # our own timer is one


def test_the_same_sentence_is_told_once(manager: socket.socket, notify: Notify) -> None:
    for sentence in ("waiting", "waiting", "rebooting"):
        notify.status(sentence)
    assert [heard(manager), heard(manager)] == ["STATUS=waiting", "STATUS=rebooting"]


def test_a_manager_that_comes_back_is_found_again(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with closing(Notify({"NOTIFY_SOCKET": path}, pid=os.getpid())) as notify:
        for _ in range(2):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
                listening.bind(path)
                notify.watchdog()
                assert heard(listening) == "WATCHDOG=1"
            (tmp_path / "notify").unlink()
            notify.status("to nobody")


def test_a_manager_at_an_abstract_address_hears_us() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(b"")  # the kernel chooses
        address = listening.getsockname()
        environ = {"NOTIFY_SOCKET": "@" + address[1:].decode()}
        with closing(Notify(environ, pid=os.getpid())) as notify:
            notify.ready()
            assert heard(listening) == "READY=1"


def test_children_cannot_speak_for_us(manager: socket.socket) -> None:
    program = """
import os, subprocess
from rebootmgr.systemd.notify import Notify
notify = Notify(os.environ, pid=os.getpid())
notify.ready()
subprocess.run(["env"], check=True)
assert notify.watchdog_interval_s == 15.0
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={
            "PYTHONPATH": ":".join(sys.path),
            "NOTIFY_SOCKET": manager.getsockname(),
            "WATCHDOG_USEC": "30000000",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert heard(manager) == "READY=1"
    assert "PYTHONPATH" in done.stdout
    assert "NOTIFY_SOCKET" not in done.stdout
    assert "WATCHDOG" not in done.stdout


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "17"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "18"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_asks(
    environ: dict[str, str], interval_s: float | None
) -> None:
    assert watchdog_interval_s(environ, 17) == interval_s
