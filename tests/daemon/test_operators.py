"""What people may ask of a running daemon, and what it tells them instead (SPEC 11)."""

import asyncio
import json
import os
import pwd
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rebootmgr.instants import encode_instant
from tests.daemon.fleet import until_settled
from tests.fakes.fleetlock import FakeFleetLock, hang
from tests.fakes.host import HANG, NODE_ID, Host, fleet_lock, reasons
from tests.fakes.logind import FakeInhibitor, Mode
from tests.fakes.polkit import FakePolkit
from tests.fakes.polkit import Mode as Polkit
from tests.spans import noting_the_time

ME = pwd.getpwuid(os.getuid()).pw_name
OFF = '[updates]\nstrategy = "off"\n'


def closed() -> str:
    """A window that is six hours away."""
    start = datetime.now(UTC) + timedelta(hours=6)
    return (
        '[updates]\nstrategy = "periodic"\n[updates.clock]\nrequire_synchronized = "never"\n'
        '[updates.periodic]\ntime_zone = "UTC"\n[[updates.periodic.window]]\n'
        f'days = ["{start:%a}"]\nstart_time = "{start:%H:%M}"\nlength_minutes = 60\n'
    )


@pytest.fixture(autouse=True)
def _at_a_terminal(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", host.dbus.address)
    monkeypatch.setenv("COLUMNS", "80")


async def done(host: Host, *arguments: str) -> str:
    status, out, err = await host.main(*arguments)
    assert (status, err) == (0, "")
    return out


async def told(host: Host, *arguments: str) -> Any:
    return json.loads(await done(host, "--json", *arguments))


async def refused(host: Host, *arguments: str) -> str:
    status, out, err = await host.main(*arguments)
    assert (status, out) == (1, "")
    return err


def audit(host: Host) -> str:
    return host.log.read_text()


def quarantine(key: str) -> dict[str, str | None]:
    return {"key": key, "why": "42.2 failed 2 times", "since": encode_instant(datetime.now(UTC))}


async def test_a_hold_survives_kill_9_and_its_release_lets_the_reboot_go_on(host: Host) -> None:
    await host.start()
    with noting_the_time() as placed:
        document = await told(host, "hold", "--reason", "migration", "--for", "2h 30m")
    placed.assert_ends(document["until"], timedelta(hours=2, minutes=30))
    await host.kill()
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("held")
    assert status["blockers"][0]["detail"] == f"migration ({ME})"
    [hold] = (await told(host, "holds"))["holds"]
    assert (hold["id"], hold["owner"], hold["until"]) == (document["id"], ME, document["until"])
    assert await done(host, "release", hold["id"]) == f"released {hold['id']}\n"
    await host.until_state("rebooting")
    assert f"{ME} placed hold {hold['id']} until {hold['until']}: migration" in audit(host)
    assert f"{ME} released hold {hold['id']} of {ME}: migration" in audit(host)


async def test_several_holds_are_listed_for_people_and_each_is_released_alone(host: Host) -> None:
    await host.start()
    await done(host, "hold", "--reason", "freeze", "--until", "2099-01-02T03:04:05Z")
    forever = (await told(host, "hold", "--reason", "on call", "--forever"))["id"]
    shown = await done(host, "holds")
    assert "freeze\n" in shown
    assert f"  {forever}" in shown
    assert "until it is released\n" in shown
    assert f"{ME}, since " in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    said = await refused(host, "release", "nobody")
    assert said == "rebootmgrctl: there is no hold nobody: see `rebootmgrctl holds`\n"
    await done(host, "release", forever)
    [left] = (await host.status())["holds"]
    assert (left["reason"], left["until"]) == ("freeze", "2099-01-02T03:04:05Z")


async def test_a_hold_that_comes_too_late_says_so(host: Host) -> None:
    host.logind.mode = Mode.NOTHING
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")
    assert "too late for the reboot that is being called" in await done(
        host, "hold", "--reason", "x", "--forever"
    )


async def test_a_request_is_seen_and_can_be_withdrawn_without_a_hold(host: Host) -> None:
    host.configure(closed())
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("outside_window")
    assert "nobody has asked for a reboot" in await refused(host, "cancel", "--no-hold")
    host.logind.add_inhibitor(FakeInhibitor())
    document = await told(host, "reboot", "--now", "--for", "30min")
    request = document["request"]
    assert (request["owner"], request["now"]) == (ME, True)
    assert request["skips"] == ["windows", "splay", "fit", "clock", "sessions"]
    assert f"Requested: by {ME}, until " in await done(host, "why")
    assert (await host.metrics())["rebootmgr_reboot_requested"] == 1.0
    assert await told(host, "cancel", "--no-hold") == {"withdrawn": True, "goes_on": False}
    status = await host.status()
    assert (status["request"], status["holds"]) == (None, [])
    assert reasons(status) == ["outside_window", "inhibited"]
    assert f"{ME} withdraws the request for a reboot" in audit(host)


async def test_a_request_that_ends_before_anything_opens_says_so(host: Host) -> None:
    host.configure(closed())
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("outside_window")
    assert "it expires before anything opens" in await done(host, "reboot", "--for", "1min")


async def test_a_reboot_that_was_asked_for_works_under_strategy_off(host: Host) -> None:
    host.configure(OFF)
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("disabled")
    document = await told(host, "reboot")
    assert (document["verdict"], document["skipped"], document["now"]) == ("reboot", [], False)
    await host.until(lambda _: host.reboots() == 1)
    assert f"{ME} asked for the reboot into 42.2, valid for 1h, skipping nothing" in audit(host)


async def test_asking_does_not_open_what_nobody_may_skip(host: Host) -> None:
    host.configure("[updates]\nenabled = false\n")
    await host.os.stage("42.2")
    await host.start()
    document = await told(host, "reboot", "--now")
    assert document["verdict"] == "wait"
    assert [blocker["reason"] for blocker in document["blockers"]] == ["disabled"]


async def test_asking_drops_the_back_off(host: Host, server: FakeFleetLock) -> None:
    """Of an hour, as the server wishes."""
    host.configure(fleet_lock(server.url))
    server.seize("default", "other")
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("lock_refused")
    server.free("default", "other")
    await done(host, "reboot")
    await host.until_state("rebooting")


async def test_now_skips_the_window_and_says_so_but_never_an_inhibitor(host: Host) -> None:
    host.configure(closed())
    backup = host.logind.add_inhibitor(FakeInhibitor(who="backup", why="nightly run", uid=0))
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("outside_window", "inhibited")
    shown = await done(host, "reboot", "--now", "--for", "30min")
    said = " ".join(shown.split())
    assert "--now skips windows, splay, fit, the clock and the sessions' grace" in said
    assert "(outside_window)" in said
    assert "x inhibited" in said
    assert "x outside_window" not in said
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "valid for 30min, skipping windows, splay, fit, the clock and" in audit(host)
    host.logind.remove_inhibitor(backup)
    await host.until_state("rebooting")


async def test_a_wish_survives_kill_9_and_ends_when_it_said(host: Host) -> None:
    host.configure(OFF)
    host.logind.add_inhibitor(FakeInhibitor(uid=0))
    await host.os.stage("42.2")
    await host.start()
    await done(host, "reboot")
    await host.kill()
    await host.start()
    await host.until_blocked("inhibited")
    await done(host, "reboot", "--for", "1500ms")
    await host.until_blocked("disabled", "inhibited")


async def test_with_nothing_pending_there_is_nothing_to_ask_for_nor_to_cancel(host: Host) -> None:
    await host.start()
    await host.until_state("idle")
    for verb in ("reboot", "cancel"):
        assert "nothing is pending" in await refused(host, verb)
    assert (await host.status())["holds"] == []


async def test_cancel_while_asking_gives_the_slot_back_and_holds(
    host: Host, server: FakeFleetLock
) -> None:
    await until_settled(host, server)
    server.script.append(hang())
    await host.os.stage("42.2")
    await host.until_state("asking")
    await server.wait_seen(2)
    with noting_the_time() as cancelled:
        document = await told(host, "cancel", "--for", "90min")
    status = await host.until_blocked("held")
    cancelled.assert_ends(document["until"], timedelta(minutes=90))
    assert status["blockers"][0]["detail"] == f"cancelled ({ME})"
    assert status["holds"][0]["id"] == document["id"]
    await server.wait_seen(3)
    assert [seen.target.rpartition("/")[2] for seen in server.seen][1:3] == [
        "pre-reboot", "steady-state",
    ]  # fmt: skip
    assert f"{ME} cancels the reboot into 42.2: 1h 30min" in audit(host)


async def test_cancel_while_draining_undoes_and_withdraws_the_wish(host: Host) -> None:
    host.configure(OFF)
    undone = host.root / "undone"
    host.hook("pre-reboot.d", "10-drain", HANG)
    host.hook("post-boot.d", "10-undrain", f"touch {undone}")
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("disabled")
    await done(host, "reboot")
    await host.until_state("preparing")
    shown = await done(host, "cancel")
    await host.until_blocked("disabled", "held")
    assert undone.exists()
    [hold] = (await host.status())["holds"]
    assert f"`rebootmgrctl release {hold['id']}` lets it go on" in shown
    await done(host, "release", hold["id"])
    assert reasons(await host.until_blocked("disabled")) == ["disabled"]
    assert host.reboots() == 0


async def test_cancel_is_too_late_once_the_reboot_is_called(host: Host) -> None:
    host.logind.mode = Mode.NOTHING
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")
    assert "too late: logind was asked to reboot already" in await refused(host, "cancel")
    assert (await host.status())["holds"] == []


async def test_forgive_lifts_the_quarantine_that_is_meant(host: Host) -> None:
    tree = await host.os.stage("42.2")
    key = f"fedora-coreos:{tree.checksum}"
    host.remember(quarantine=[quarantine(key), quarantine("fedora-coreos:other")])
    await host.start()
    await host.until_blocked("quarantined")
    assert "no update 42.2 is quarantined" in await refused(host, "forgive", "42.2")
    assert await done(host, "forgive", "fedora-coreos:other") == "forgiven: fedora-coreos:other\n"
    await host.until_blocked("quarantined")
    assert await told(host, "forgive") == {"forgiven": [key], "slots": []}
    await host.until_state("rebooting")
    assert f"{ME} forgave {key}\n" in audit(host)


async def test_forgive_gives_a_kept_slot_back(host: Host, server: FakeFleetLock) -> None:
    server.seize("default", NODE_ID)
    kept = {"server": server.url, "group": "default", "id": NODE_ID, "kept": True}
    host.configure(fleet_lock(server.url))
    host.remember(releases_owed=[kept])
    await host.start()
    await host.until(lambda status: [each["kept"] for each in status["slots"]] == [True])
    assert await done(host, "forgive") == f"no longer kept: the slot at {server.url}\n"
    await host.until(lambda status: not status["slots"])
    assert server.holders["default"] == []
    assert "there is nothing to forgive" in await refused(host, "forgive")


async def test_history_has_a_line_for_each_reboot_the_newest_last(host: Host) -> None:
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")
    await host.reboot()
    await host.start()
    await host.until(lambda status: bool(status["history"]))
    shown = await done(host, "history")
    assert shown.split()[4:6] == ["42.2", "succeeded"]
    [past] = (await told(host, "history"))["history"]
    assert (past["version"], past["outcome"]) == ("42.2", "succeeded")
    assert past["phases"]["waiting"] > 0


async def test_reload_takes_what_is_good_and_names_all_that_is_not(host: Host) -> None:
    await host.start()
    host.configure(OFF)
    assert await done(host, "reload") == "configuration reloaded\n"
    host.configure("".join(f"[nonsense_{number}]\nkey = 1\n" for number in range(12)))
    lines = (await refused(host, "reload")).splitlines()
    assert len(lines) == 13
    for number, line in enumerate(lines[:-1]):
        assert f"nonsense_{number}" in line
    assert lines[-1] == "rebootmgrctl: the configuration stays what it was"
    status, out, err = await host.main("--json", "reload")
    assert (status, json.loads(out)["valid"], len(json.loads(out)["errors"]), err) == (
        1, False, 12, "",
    )  # fmt: skip
    assert f"{ME} asked to reload the configuration" in audit(host)


async def test_a_span_of_nothing_or_for_ever_is_refused(host: Host) -> None:
    host.configure(OFF)
    await host.os.stage("42.2")
    await host.start()
    for usec in (0, 2**64 - 1):
        for member, arguments in (("Reboot", ("boolean:true",)), ("Cancel", ())):
            refusal = await asyncio.to_thread(send, host, member, *arguments, f"uint64:{usec}")
            assert "InvalidArgs: the span has to be longer than 0" in refusal.stderr
    await host.until_blocked("disabled")


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
async def test_an_unprivileged_caller_reads_and_changes_nothing(host: Host) -> None:
    host.configure(OFF)
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("disabled")
    before = await host.until_remembered(lambda memory: bool(memory["settled"]))
    for member, arguments in (
        ("Hold", ("string:why", "int64:0")),
        ("Release", ("string:x",)),
        ("Reboot", ("boolean:true", "uint64:60000000")),
        ("Cancel", ("uint64:60000000",)),
        ("Forgive", ("string:",)),
        ("Reload", ()),
    ):
        refusal = await asyncio.to_thread(send, host, member, *arguments, uid=65534)
        assert f"AccessDenied: uid 65534 may not call {member}" in refusal.stderr
    assert (await asyncio.to_thread(send, host, "Describe", uid=65534)).returncode == 0
    assert host.remembered() == before
    assert reasons(await host.status()) == ["disabled"]
    assert "uid 65534 may not call Reboot" in audit(host)


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
async def test_an_administrator_whom_polkit_lets_is_on_record_with_what_was_asked(
    host: Host,
) -> None:
    await host.start()
    async with FakePolkit(host.dbus.address) as polkit:
        hold = ("string:fire\n<0>drill", "int64:0")
        answer = await asyncio.to_thread(send, host, "Hold", *hold, uid=65534)
        assert answer.returncode == 0, answer.stderr
        [hold_] = (await host.status())["holds"]
        assert hold_["owner"] == pwd.getpwuid(65534).pw_name
        assert (
            await asyncio.to_thread(send, host, "Release", f"string:{hold_['id']}")
        ).stderr == ""
        assert [question.details["verb"] for question in polkit.asked] == ["hold"]
    said = f"polkit lets {hold_['owner']} (uid 65534) call Hold(fire <0>drill, 0)\n"
    assert said in audit(host)
    assert (await host.status())["holds"] == []


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
async def test_a_mute_polkit_stops_nothing_but_the_question(host: Host) -> None:
    host.logind.mode = Mode.NOTHING
    await host.start()
    async with FakePolkit(host.dbus.address, Polkit.MUTE) as authority:
        client = await asyncio.create_subprocess_exec(*command(host, "Reload", uid=65534))
        await host.until(lambda _: len(authority.asked) == 1)
        await host.os.stage("42.2")
        await host.until_state("rebooting")
        assert await done(host, "reload") == "configuration reloaded\n"
        client.terminate()
        await client.wait()
        await host.until(lambda _: len(authority.cancelled) == 1)


def command(host: Host, member: str, *arguments: str, uid: int | None = None) -> tuple[str, ...]:
    """Ask with another implementation of D-Bus, and as another user."""
    who = () if uid is None else ("setpriv", f"--reuid={uid}", "--clear-groups")
    return (
        *(*who, "dbus-send", f"--bus={host.dbus.address}", "--print-reply"),
        *("--dest=org.rebootmgr1", "/org/rebootmgr1", f"org.rebootmgr1.Manager.{member}"),
        *arguments,
    )


def send(
    host: Host, member: str, *arguments: str, uid: int | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(host, member, *arguments, uid=uid),
        check=False,
        capture_output=True,
        text=True,
    )


async def test_a_hold_that_is_over_is_not_shown_although_nothing_happened_since(host: Host) -> None:
    host.remember_hold(until=datetime.now(UTC) + timedelta(hours=1))
    await host.start()
    assert "migration (alice)" in await done(host, "status")
    await host.kill()
    ends = datetime.now(UTC) + timedelta(seconds=1.5)
    host.remember_hold(until=ends)
    await host.start()
    await host.until(lambda status: not status["holds"])
    assert datetime.now(UTC) >= ends.replace(microsecond=0)
    assert "migration" not in await done(host, "status")
    assert await done(host, "holds") == "no holds\n"
