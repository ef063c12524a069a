"""`fleet`: what people see of a real lock server, what they change, and what they may not."""

import json
import os
import pwd
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from rebootmgr.fleetlock.admin_names import SOCKET
from tests.cli.client import ctl
from tests.lockd.program import (
    PRE_REBOOT,
    Server,
    configure,
    kept_alive,
    question,
    serving,
)
from tests.lockd.test_roll_out import report

TWO = "[groups.default]\nslots = 2\n[groups.db]\n"


async def said(root: Path, *line: str) -> str:
    """What a call of `fleet` that succeeds has to say."""
    status, out, err = await ctl(root, "fleet", *line)
    assert (status, err) == (0, ""), err
    return out


async def refused(root: Path, *line: str, status: int = 1) -> str:
    """What one that does not succeed has to say: one line."""
    done, out, err = await ctl(root, "fleet", *line)
    assert (done, out) == (status, "")
    assert err.count("\n") == 1
    return err.removeprefix("rebootmgrctl: ").rstrip()


def drafts(root: Path) -> list[Path]:
    return list(root.glob(".copy*"))


async def named(server: Server, host: str, name: str) -> int:
    return (await server.ask(host, headers={"Rebootmgr-Host": name})).status


async def test_status_shows_who_holds_who_waits_and_what_is_in_the_way(tmp_path: Path) -> None:
    async with serving(tmp_path, TWO) as server:
        assert await named(server, "h1", "worker-1") == 200
        told = await said(tmp_path, "status", "default")
        assert told.startswith("group default: 1 of 2 slots lent, 0 hosts wait\n")
        assert "group db" not in told
        assert await named(server, "h2", "worker-2") == 200
        assert await named(server, "h3", "worker-3") == 423
        await said(tmp_path, "freeze", "db", "--reason", "a migration", "--for", "2h")
        told = await said(tmp_path, "status")
    head, db = told.split("\n\n")
    assert head.startswith("group default: 2 of 2 slots lent, 1 host waits\n")
    for word in ("worker-1", "worker-2", "worker-3", "h1", "number 1", "its turn in about"):
        assert word in " ".join(head.split()), "wherever a line ends"
    assert db.startswith("group db: 0 of 1 slot lent, 0 hosts wait\n  frozen until ")
    assert "by root: a migration" in " ".join(db.split()) or os.geteuid() != 0


async def test_its_json_is_what_a_script_needs(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assert await named(server, "h1", "worker-1") == 200
        assert await named(server, "h2", "") == 423
        told = json.loads(await said(tmp_path, "status", "--json"))
        [holder] = json.loads(await said(tmp_path, "holders", "--json"))["holders"]
        [host] = json.loads(await said(tmp_path, "waiting", "--json"))["waiting"]
    [group] = told["groups"]
    assert (group["name"], group["slots"], group["lent"], group["hosts_waiting"]) == (
        *("default", 1, 1, 1),
    )
    assert (holder["group"], holder["id"], holder["name"]) == ("default", "h1", "worker-1")
    assert holder["overdue"] is False
    assert (host["id"], host["name"], host["place"]) == ("h2", None, 1)


async def test_a_dead_host_loses_its_slot_by_its_name_or_its_id(tmp_path: Path) -> None:
    async with serving(tmp_path, TWO) as server:
        assert await named(server, "h1", "worker-1") == 200
        told = await said(tmp_path, "release", "worker-1")
        assert told == "worker-1 has no slot of group default any more; it may still reboot\n"
        why = await refused(tmp_path, "release", "worker-1")
        assert why == 'no host of the id or name "worker-1" holds a slot'
        assert (await server.ask("h4", "db")).status == 200
        assert (await server.ask("h4")).status == 200
        why = await refused(tmp_path, "release", "h4")
        assert why == "it holds slots of several groups, give one of them: default, db"
        assert "group db" in await said(tmp_path, "release", "h4", "--group", "db")
        assert (await server.ask("h5", "db")).status == 200


async def test_a_name_of_several_holders_is_taken_for_none_of_them(tmp_path: Path) -> None:
    async with serving(tmp_path, TWO) as server:
        assert await named(server, "h1", "twin") == await named(server, "h2", "twin") == 200
        assert "give one of the ids: h1, h2" in await refused(tmp_path, "release", "twin")
        assert "2 of 2 slots lent" in await said(tmp_path, "status", "default")


async def test_more_or_fewer_slots_are_lent_until_that_is_undone(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assert await said(tmp_path, "slots", "default", "2") == "group default lends 2 slots\n"
        assert (await server.ask("h1")).status == (await server.ask("h2")).status == 200
        told = await said(tmp_path, "slots", "default", "1", "--for", "1h")
        assert told.startswith("group default lends 1 slot until ")
        assert told.endswith("; 2 are lent, and none is taken back\n")
        assert "1 configured" not in await said(tmp_path, "status")
        assert (await said(tmp_path, "slots", "default", "0")).startswith("group default lends 0")
        assert "1 configured, changed until" in await said(tmp_path, "status")
        told = await said(tmp_path, "slots", "default", "default")
        assert told == "group default lends what is configured\n"
        why = await refused(tmp_path, "slots", "dg", "1")
        assert why == "there is no such group, the configuration has default"


async def test_a_freeze_lends_nothing_until_somebody_thaws_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        told = await said(tmp_path, "freeze", "--reason", "fire", "--forever")
        assert told == "all groups are frozen: no slot is lent, returns are taken\n"
        answer = await server.ask("h1")
        assert (answer.status, answer.kind) == (423, "frozen")
        assert "fire" in answer.value
        assert "all groups are frozen" in await said(tmp_path, "status")
        assert await said(tmp_path, "thaw") == "all groups are thawed\n"
        assert await said(tmp_path, "thaw") == "all groups are not frozen\n"
        assert (await server.ask("h1")).status == 200
        assert "all groups are thawed" in server.log, "who did what is in the journal"


async def test_a_halt_is_shown_with_the_way_out_and_ends_when_people_resume_the_group(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, TWO) as server:
        headers = {"Rebootmgr-Host": "worker-1", "Rebootmgr-Booted": "v1", "Rebootmgr-Target": "v2"}
        assert (await server.ask("h1", headers=headers)).status == 200
        told = await said(tmp_path, "resume", "default")
        assert told == "group default is not halted by failed reboots\n"
        await report(server, "h1", outcome="rolled_back", reason="post-boot.d failed")
        shown = " ".join((await said(tmp_path, "status", "default")).split())
        reason = "the reboot of worker-1 failed: rolled back: post-boot.d failed"
        assert f"halted: {reason}, until `rebootmgrctl fleet resume default`" in shown
        assert "v1 → v2" in shown
        assert "failed: rolled back: post-boot.d failed" in shown
        [group] = json.loads(await said(tmp_path, "status", "default", "--json"))["groups"]
        assert group["halt"]["reason"] == reason
        assert group["holders"][0]["failed"] == "rolled back: post-boot.d failed"
        why = await refused(tmp_path, "resume", "default", "--forgive", "worker-9")
        assert why == "no host of that id or name holds a slot of this group"
        assert await said(tmp_path, "resume", "default") == "group default is resumed\n"
        assert "1 of 2 slots lent" in await said(tmp_path, "status", "default")
        assert (await server.ask("h2")).status == 200
        told = await said(tmp_path, "resume", "default", "--forgive", "worker-1")
        assert told.endswith("; worker-1 has no slot of it any more; it may still reboot\n")
        assert "1 of 2 slots lent" in await said(tmp_path, "status", "default")


async def test_a_backup_is_a_store_and_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    copy.write_text("an older one")
    async with serving(tmp_path) as server:
        assert (await server.ask("h1")).status == 200
        told = await said(tmp_path, "backup", str(copy))
        assert told == f"{copy}: {copy.stat().st_size} bytes, consistent as of now\n"
        why = await refused(tmp_path, "backup", str(tmp_path / "nowhere/copy"))
        assert why == f"{tmp_path}/nowhere is no directory: create it"
    with closing(sqlite3.connect(copy)) as store:
        assert store.execute("SELECT id FROM holders").fetchall() == [("h1",)]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert drafts(tmp_path) == []


async def test_without_a_server_it_says_what_to_do(tmp_path: Path) -> None:
    why = await refused(tmp_path, "status")
    assert why.startswith("no rebootmgr-lockd runs on this host: start it with `systemctl start")
    async with serving(tmp_path):
        pass
    assert await refused(tmp_path, "thaw") == why


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (("slots", "default"), 'slots wants a number, or "default"'),
        (("slots", "default", "many"), '"many" is no number of slots; "default" undoes it'),
        (("slots", "default", "default", "--for", "1h"), "leave --for and --until out"),
        (("release",), "release wants a host, by id or name"),
        (("freeze", "--forever"), "freeze wants --reason TEXT"),
        (("freeze", "--reason", "x"), "freeze wants an end: --for SPAN, --until T or --forever"),
        (("freeze", "--reason", "x", "--until", "2001-01-01"), "is in the past"),
        (("thaw", "--for", "1h"), "thaw takes no --for: it takes GROUP"),
        (("status", "default", "2"), 'status takes no "2": it takes GROUP'),
        (("resume",), "resume wants a group"),
        (("release", "h", "--forgive", "h"), "release takes no --forgive: it takes HOST, --group"),
        (("backup",), "backup wants a file"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_the_cure(
    tmp_path: Path, line: tuple[str, ...], why: str
) -> None:
    assert why in await refused(tmp_path, *line, status=2)


@contextmanager
def answering(root: Path, answer: bytes) -> Iterator[None]:
    """A server that says the same to everybody once, and hangs up."""
    path = root / SOCKET
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer_one() -> None:
            line, _ = listener.accept()
            with line:
                line.recv(65536)
                line.sendall(answer)
                line.shutdown(socket.SHUT_WR)
                while line.recv(65536):
                    pass

        one = threading.Thread(target=answer_one)
        one.start()
        yield
        one.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\xff\xfe\x00{}",
    ],
)
async def test_whatever_listens_there_breaks_nothing(tmp_path: Path, answer: bytes) -> None:
    with answering(tmp_path, answer):
        why = await refused(tmp_path, "status")
    assert why.startswith("rebootmgr-lockd gave no usable answer")


async def test_who_may_not_change_anything_hears_how_to(tmp_path: Path) -> None:
    value = json.dumps({"kind": "forbidden", "value": "only some may"}).encode()
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(value)}\r\n\r\n".encode()
    with answering(tmp_path, head + value):
        why = await refused(tmp_path, "thaw")
    cure = "repeat the command with sudo, or join it (`usermod -aG rebootmgr-lockd USER`)"
    assert why == f"only some may: {cure}"


async def test_a_backup_that_breaks_off_leaves_the_older_one_in_its_place(tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    copy.write_text("an older one")
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\nSQLite format 3\0 and no more"
    with answering(tmp_path, cut):
        assert "nothing was written" in await refused(tmp_path, "backup", str(copy))
    assert copy.read_text() == "an older one"
    assert drafts(tmp_path) == []


async def test_the_history_says_who_did_what(
    tmp_path: Path,
) -> None:
    versions = {"Rebootmgr-Host": "worker-1", "Rebootmgr-Booted": "v1", "Rebootmgr-Target": "v2"}
    async with serving(tmp_path, TWO) as server:
        assert await said(tmp_path, "history") == "nothing happened yet\n"
        assert (await server.ask("h1", headers=versions)).status == 200
        assert (await report(server, "h1", outcome="rolled_back")).status == 204
        await said(tmp_path, "resume", "default")
        await said(tmp_path, "release", "worker-1")
        await said(tmp_path, "slots", "db", "3", "--for", "1h")
        await said(tmp_path, "slots", "db", "default")
        await said(tmp_path, "freeze", "--reason", "a fair", "--forever")
        await said(tmp_path, "thaw")
        assert (await server.ask("h2", "db")).status == 200
        assert (await server.give_back("h2", "db")).status == 200
        told = json.loads(await said(tmp_path, "history", "--json"))["history"]
        ours = json.loads(await said(tmp_path, "history", "db", "-n", "3", "--json"))["history"]
        lines = (await said(tmp_path, "history", "-n", "100")).splitlines()
        why = await refused(tmp_path, "history", "nowhere")
        assert why == "there is no such group, the configuration has default, db"
        assert "write a whole number" in await refused(tmp_path, "history", "-n", "0", status=2)
        assert "takes no -n" in await refused(tmp_path, "holders", "-n", "3", status=2)
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert [(one["what"], one["group"], one["by"]) for one in told] == [
        ("lent", "default", None),
        ("failed", "default", None),
        ("halted", "default", None),
        ("resumed", "default", me),
        ("taken_back", "default", me),
        ("slots", "db", me),
        ("slots", "db", me),
        ("frozen", None, me),
        ("thawed", None, me),
        ("lent", "db", None),
        ("returned", "db", None),
    ]
    assert (told[0]["name"], told[0]["detail"]) == ("worker-1", "v1 → v2")
    assert (told[4]["name"], told[4]["held_seconds"] is None) == ("worker-1", False)
    assert (told[5]["detail"], told[5]["until"] is None) == ("3", False)
    assert ours == told[-3:], "what concerns all groups concerns this one"
    text = " ".join(" ".join(lines).split())
    for words in (
        "default: worker-1 got a slot (v1 → v2)",
        "default: the reboot of worker-1 failed: rolled back",
        f"default: resumed by {me}",
        f"default: {me} took the slot of worker-1 back after",
        "db: lends 3 until ",
        f"db: lends what is configured again by {me}",
        f"all groups: frozen by {me}: a fair",
        "db: h2 gave its slot back after",
    ):
        assert words in text
    assert max(map(len, lines)) <= 80


async def test_the_history_outlives_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assert (await server.ask("h1")).status == 200
    async with serving(tmp_path) as server:
        assert (await server.give_back("h1")).status == 200
        told = json.loads(await said(tmp_path, "history", "--json"))["history"]
    assert [(one["what"], one["id"]) for one in told] == [("lent", "h1"), ("returned", "h1")]


async def test_everybody_who_waits_is_listed_however_many(tmp_path: Path) -> None:
    many = 1003
    async with serving(tmp_path) as server:
        line = await server.connect()
        for number in range(many + 1):
            line.writer.write(kept_alive(PRE_REBOOT, question(f"h{number}")))
            assert (await line.next_answer()).status in {200, 423}
        line.writer.close()
        told = json.loads(await said(tmp_path, "waiting", "--json"))["waiting"]
    assert len(told) == many


async def test_a_reload_ends_when_the_configuration_is_taken_or_with_all_that_is_wrong(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server:
        assert await named(server, "h1", "") == 200
        assert await named(server, "h2", "") == 423
        file = configure(tmp_path, TWO)
        assert await said(tmp_path, "reload") == "the configuration is taken\n"
        assert await named(server, "h2", "") == 200
        configure(tmp_path, "[groups.default]\nslots = -1\nslotz = 3\n[store]\nkind = 'etcd'\n")
        done, out, err = await ctl(tmp_path, "fleet", "reload")
        assert (done, out) == (1, "")
        lines = err.splitlines()
        assert [line.startswith(f"rebootmgrctl: {file}:") for line in lines[:-1]] == [True] * 3
        assert lines[-1] == "rebootmgrctl: the configuration stays as it was"
        assert lines[0].removeprefix("rebootmgrctl: ") in server.log
        configure(tmp_path, "[store]\npath = '/elsewhere/lockd.sqlite'\n")
        done, out, err = await ctl(tmp_path, "fleet", "reload")
        assert (done, out) == (1, "")
        assert "is another store than the one in use (restart the server)" in err
        heard = server.manager.heard
        assert heard.count("READY=1") == 1 + sum("RELOADING=1" in one for one in heard)
    assert await refused(tmp_path, "reload", "default", status=2) == (
        'reload takes no "default": it takes nothing'
    )
