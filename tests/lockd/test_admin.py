"""The socket for administrators of the server's own host: who gets what there."""

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from rebootmgr.fleetlock.admin_names import (
    BACKUP,
    FREEZE,
    GROUP,
    RELEASE,
    RESUME,
    SLOTS,
    SOCKET,
    STATUS,
    THAW,
)
from rebootmgr.table import Json
from tests.lockd.program import (
    PRE_REBOOT,
    Answered,
    may_mount,
    parsed,
    question,
    request,
    serving,
)

NOBODY: Final = 65534
OURS, OTHERS = 54321, 54322
ASK_AS: Final = """\
import os, socket, sys
user, group, *others = map(int, sys.argv[1:])
raw = sys.stdin.buffer.read()
if user != os.geteuid():
    os.setgroups(others)
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
with socket.socket(socket.AF_UNIX) as line:
    line.connect("admin.sock")
    line.sendall(raw)
    while data := line.recv(65536):
        sys.stdout.buffer.write(data)
"""
"""From inside the folder, so that whoever may not come by its path is asked about all the same."""


async def ask_as(
    user: int, root: Path, raw: bytes, *, groups: Sequence[int] = (NOBODY,)
) -> Answered:
    """Ask as some user of this host, who is in these groups, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ASK_AS, str(user), *map(str, groups)),
        cwd=(root / SOCKET).parent,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(raw)
    assert process.returncode == 0
    return parsed(said)


def backup(method: str = "POST") -> bytes:
    return request(BACKUP, method=method, headers={})


def wished(path: str, wish: dict[str, Json]) -> bytes:
    """The request for a change."""
    return request(path, json.dumps(wish).encode(), headers={})


def left_over(root: Path) -> list[str]:
    return [one.name for one in (root / "var/lib/rebootmgr-lockd").glob(".backup-*")]


async def test_an_administrator_gets_a_copy_with_all_that_was_lent(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assert (await server.ask("h1")).status == 200
        assert (await server.ask("h2")).status == 423
        answer = await ask_as(os.geteuid(), tmp_path, backup())
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/vnd.sqlite3")
        assert left_over(tmp_path) == []
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(answer.body)
    with closing(sqlite3.connect(copy)) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        text = "\n".join(store.iterdump())
    assert "'h1'" in text
    assert "'h2'" in text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
async def test_any_other_user_of_the_host_gets_none(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assert (await server.ask("h1")).status == 200
        answer = await ask_as(NOBODY, tmp_path, backup())
        assert (answer.status, answer.kind) == (403, "forbidden")
        assert answer.value == "only root and the group rebootmgr-lockd may do that"
        assert left_over(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0 or not may_mount(), reason="only root may become another")
async def test_whoever_is_in_the_servers_group_gets_one_however_it_came_by_it(
    tmp_path: Path,
) -> None:
    """The server alone sees a file of groups that has it."""
    (tmp_path / "group").write_text(f"root:x:0:\n{GROUP}:x:{OURS}:\n")
    mounting = f'mount --bind {tmp_path}/group /etc/group && exec "$@"'
    wrapper = ("unshare", "--mount", "sh", "-c", mounting, "sh")
    async with serving(tmp_path, wrapper=wrapper) as server:
        assert (await server.ask("h1")).status == 200
        for groups in ((OURS,), (NOBODY, OTHERS, OURS)):
            answer = await ask_as(NOBODY, tmp_path, backup(), groups=groups)
            assert answer.status == 200
            assert b"h1" in answer.body
        others = await ask_as(NOBODY, tmp_path, backup(), groups=(NOBODY, OTHERS))
        assert others.status == 403


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
async def test_any_user_of_the_host_may_look_and_none_may_change_anything(tmp_path: Path) -> None:
    wishes: dict[str, dict[str, Json]] = {
        RELEASE: {"host": "h1"},
        SLOTS: {"group": "default", "slots": 9},
        FREEZE: {"reason": "because"},
        THAW: {},
        RESUME: {"group": "default", "forgive": "h1"},
    }
    async with serving(tmp_path) as server:
        assert (await server.ask("h1")).status == 200
        looked = await ask_as(NOBODY, tmp_path, request(STATUS, method="GET", headers={}))
        assert looked.status == 200
        [group] = json.loads(looked.body)["groups"]
        assert [holder["id"] for holder in group["holders"]] == ["h1"]
        for path, wish in wishes.items():
            answer = await ask_as(NOBODY, tmp_path, wished(path, wish))
            assert (answer.status, answer.kind) == (403, "forbidden"), path
        assert (await server.ask("h2")).kind == "all_slots_full"


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        (RELEASE, b"", "the body is not JSON"),
        (RELEASE, b"[" * 9000, "the body is not JSON"),
        (RELEASE, b"[]", "the body: expected an object"),
        (RELEASE, b'{"host": 7}', "the body.host: expected a string"),
        (RELEASE, b'{"host": "h", "group": "a b"}', "a group has letters, digits"),
        (SLOTS, b'{"group": "default", "slots": -1}', "a whole number from 0 to 100000"),
        (SLOTS, b'{"group": "default", "slots": true}', "expected a whole number"),
        (SLOTS, b'{"slots": 1}', "the group is missing"),
        (RESUME, b"{}", "the group is missing"),
        (RESUME, b'{"group": "default", "forgive": 7}', "the body.forgive: expected a string"),
        (FREEZE, b'{"reason": "\\u0007"}', "the reason is missing"),
        (FREEZE, b'{"reason": "x", "until": "2001-01-01T00:00:00Z"}', "its end is in the past"),
        (FREEZE, b'{"reason": "x", "until": "soon"}', "expected a time"),
        (FREEZE, b"x" * 20_000, "the body is too large"),
    ],
)
async def test_what_makes_no_sense_changes_nothing(
    tmp_path: Path, path: str, body: bytes, why: str
) -> None:
    async with serving(tmp_path) as server:
        answer = await ask_as(os.geteuid(), tmp_path, request(path, body, headers={}))
        assert answer.status in {400, 413}
        assert why in answer.value
        assert (await server.ask("h1")).status == 200


async def test_it_lends_no_slot_and_says_what_it_does_not_know(tmp_path: Path) -> None:
    user = os.geteuid()
    async with serving(tmp_path) as server:
        asked = await ask_as(user, tmp_path, request(PRE_REBOOT, question("h1")))
        assert (asked.status, asked.kind) == (404, "not_found")
        read = await ask_as(user, tmp_path, backup("GET"))
        assert (read.status, read.headers["Allow"]) == (405, "POST")
        assert (await server.ask("h2")).status == 200
