"""A daemon that was taken over says what it likes: nothing of it speaks to root's terminal.

Nor does it keep the client for ever, fill its memory, or lead it to another file.
"""

import json
import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from rebootmgr.bus.connection import Bus, Reply, Request
from rebootmgr.cli.bus_verbs import METRICS, MOST_METRICS, read_metrics
from rebootmgr.cli.main import MOST_LINES
from rebootmgr.control.described import LARGEST, MOST_SHOWN, decode_status
from rebootmgr.control.members import NAME, PATH
from rebootmgr.errors import BusError, RebootmgrError
from rebootmgr.unix_sockets import unix_address
from tests.cli.client import ctl
from tests.fakes.dbus_daemon import DbusDaemon

NASTY = "x\r\n<0>y\x1b[2J\x1b]0;owned\x07\x9b31m\u2028\u202e; rm -rf /"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
EVIL = {
    "verdict": NASTY, "state": NASTY, "source": NASTY, "sentence": NASTY, "strategies": [NASTY],
    "pending": {"id": NASTY, "version": NASTY * 90, "since": NASTY}, "booted": {"id": 7},
    "blockers": [{"reason": NASTY, "detail": NASTY, "since": 1e300, "until": NASTY}] * 3000,
    "gates": [{"gate": NASTY, "state": NASTY, "detail": NASTY}],
    "notices": [{"notice": NASTY, "detail": NASTY}], "predicted": "9999-12-31T23:59:59-23:59",
    "holds": [{"id": NASTY, "owner": NASTY, "reason": NASTY, "until": NASTY}] * 3000,
    "slots": [{"server": NASTY, "group": NASTY, "id": NASTY, "kept": True, "error": NASTY}],
    "history": [{"at": NASTY, "version": NASTY, "outcome": NASTY, "seconds": -1e14}] * 3000,
    "config_problems": [NASTY] * 3000, "lock_held": NASTY, "quarantine": [NASTY],
}  # fmt: skip
VERBS = (
    ("status",),
    ("why",),
    ("hold", "--reason", "audit", "--forever"),
    ("holds",),
    ("release", "h"),
    ("reboot",),
    ("reboot", "--now"),
    ("cancel",),
    ("forgive",),
    ("history",),
    ("reload",),
)


@asynccontextmanager
async def taken_over(answer: Callable[[Request], Reply]) -> AsyncIterator[str]:
    """Somebody else in the place of the daemon; the address of its bus."""

    async def answered(request: Request) -> Reply:
        return answer(request)

    with DbusDaemon() as dbus:
        bus = await Bus.connect(dbus.address)
        bus.serve(PATH, answered)
        await bus.own(NAME)
        try:
            yield dbus.address
        finally:
            await bus.close()


def tell_evil(request: Request) -> Reply:
    match request.member:
        case "Describe":
            return Reply("s", [json.dumps(EVIL)])
        case "Hold" | "Cancel":
            return Reply("s", [NASTY])
        case "Forgive":
            return Reply("as", [[NASTY] * 3000])
        case _:
            return Reply()


def refuse(request: Request) -> Reply:
    raise BusError(f"{NAME}.Error.ConfigInvalid", f"{NASTY}\n" * 3000)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
async def test_nothing_that_the_daemon_says_speaks_to_the_terminal(
    tmp_path: Path, verb: tuple[str, ...]
) -> None:
    for answer in (tell_evil, refuse):
        async with taken_over(answer) as bus:
            _, out, err = await ctl(tmp_path, *verb, bus=bus)
            _, encoded, _ = await ctl(tmp_path, "--json", *verb, bus=bus)
        assert not CONTROL.search(out + err), out + err
        assert "rebootmgrctl release x <0>" not in out, "a line to be pasted into a shell"
        assert len(out.splitlines()) < 12 * MOST_SHOWN
        assert len(err.splitlines()) <= MOST_LINES + 2
        assert not encoded or isinstance(json.loads(encoded, parse_constant=pytest.fail), dict)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 100 + "1" + "}" * 100,
        "[" * 100_000,
        '{"a": ' + "9" * 5000 + "}",
        '{"a": "' + "x" * LARGEST + '"}',
        '["a"]',
        "",
    ],
    ids=["deep", "deeper", "long", "large", "list", "empty"],
)
def test_a_status_that_could_not_be_printed_as_json_is_none(text: str) -> None:
    with pytest.raises(RebootmgrError, match="something that is not its status"):
        decode_status(text)


def test_numbers_that_json_cannot_say_are_null_and_the_rest_is_shown() -> None:
    text = '{"a": NaN, "b": [1e999, -Infinity, -1e999], "c": 1.5, "verdict": "wait"}'
    expected = {"a": None, "b": [None, None, None], "c": 1.5, "verdict": "wait"}
    assert decode_status(text).members == expected


@contextmanager
def metrics(root: Path, serve: Callable[[socket.socket, Event], None]) -> Iterator[Path]:
    """Somebody who serves metrics in his own way, until the test is over."""
    path, over = root / METRICS, Event()
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        with unix_address(path) as address:
            listener.bind(address)
        listener.listen()

        def work() -> None:
            client, _ = listener.accept()
            with client:
                serve(client, over)

        thread = Thread(target=work)
        thread.start()
        try:
            yield path
        finally:
            over.set()
            thread.join()


def flood(client: socket.socket, over: Event) -> None:
    sent = 0
    while not over.is_set():
        try:
            sent += client.send(b"x" * 65536)
        except OSError:
            break
    assert sent < 2 * MOST_METRICS, "it went on taking"


def drip(client: socket.socket, over: Event) -> None:
    """Always something, and never an end: no wait between two pieces is long."""
    while not over.wait(0.01):
        try:
            client.send(b"x")
        except OSError:
            break


def stay_silent(_: socket.socket, over: Event) -> None:
    over.wait()


def speak(client: socket.socket, _: Event) -> None:
    client.sendall(f"a 1.0\n{NASTY}\nb 2.0\n".encode() + b"\xff\n")


@pytest.mark.parametrize(
    ("serve", "why"),
    [(flood, "more than 4194304 bytes"), (drip, "end"), (stay_silent, "timed out")],
)
def test_metrics_without_an_end_are_an_error(
    tmp_path: Path, serve: Callable[[socket.socket, Event], None], why: str
) -> None:
    with (
        metrics(tmp_path, serve) as path,
        pytest.raises(RebootmgrError, match=rf"cannot read .*{why}|cannot read .*timed out"),
    ):
        read_metrics(path, patience_s=10.0 if serve is flood else 0.3)


def test_metrics_are_stripped_of_what_speaks_to_a_terminal(tmp_path: Path) -> None:
    with metrics(tmp_path, speak) as path:
        text = read_metrics(path)
    assert not CONTROL.search(text)
    lines = text.splitlines()
    assert (lines[0], lines[-2]) == ("a 1.0", "b 2.0")


@pytest.mark.parametrize("kind", ["fifo", "file", "link", "directory"])
def test_what_lies_in_the_place_of_the_metrics_socket_is_not_opened(
    tmp_path: Path, kind: str
) -> None:
    with metrics(tmp_path, speak) as there:
        path = tmp_path / "elsewhere"
        match kind:
            case "fifo":
                os.mkfifo(path)
            case "file":
                path.write_text("root:*:0:0\n")
            case "link":
                path.symlink_to(there)
            case _:
                path.mkdir()
        with pytest.raises(RebootmgrError, match="it is no socket") as caught:
            read_metrics(path)
        assert "root:" not in str(caught.value)
        read_metrics(there)
