"""The local gates: who or what is in the way, by name, and what happens when it goes (SPEC 7)."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from rebootmgr.logind.login1 import NOT_THERE
from rebootmgr.table import encode_time
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import Host, fleet_lock, reasons
from tests.fakes.logind import FakeInhibitor, Mode
from tests.fakes.logind_sessions import FakeSession
from tests.fakes.terminal import terminal
from tests.spans import noting_the_time

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


async def test_an_inhibitor_is_named_and_waited_for(host: Host) -> None:
    backup = host.logind.add_inhibitor(
        FakeInhibitor(who="backup", why="nightly run", uid=0, pid=77)
    )
    host.logind.add_inhibitor(FakeInhibitor(who="download", mode="delay"))
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("inhibited")
    assert status["blockers"][0]["detail"] == "backup (pid 77, uid 0): nightly run"
    code, out, _ = await host.ctl("why")
    assert code == 0
    assert "backup (pid 77, uid 0): nightly run" in " ".join(out.split())
    assert (await host.metrics())['rebootmgr_blocked{reason="inhibited"}'] == 1
    host.logind.remove_inhibitor(backup)
    await host.until_state("rebooting")


async def test_only_roots_inhibitors_count_where_that_is_configured(host: Host) -> None:
    host.configure('[updates.inhibitors]\nrespect = "root"\n')
    host.logind.may_override = True
    inhibitor = host.logind.add_inhibitor(FakeInhibitor(uid=0))
    host.logind.add_inhibitor(FakeInhibitor(uid=1000))
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("inhibited")
    assert status["blockers"][0]["detail"].endswith("uid 0): testing")
    host.logind.remove_inhibitor(inhibitor)
    await host.logind.rebooted.wait()


async def test_an_inhibitor_that_logind_lets_nobody_past_is_waited_for_without_asking_the_fleet(
    host: Host, server: FakeFleetLock
) -> None:
    host.configure(f"{fleet_lock(server.url)}[updates.inhibitors]\nrespect = false\n")
    inhibitor = host.logind.add_inhibitor(FakeInhibitor(uid=1000))
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("inhibited")
    assert "reboot-ignore-inhibit" in status["blockers"][0]["detail"]
    assert not server.seen
    host.logind.remove_inhibitor(inhibitor)
    await host.until_state("rebooting")


async def test_who_works_here_gets_warned_and_waited_for(host: Host) -> None:
    host.configure("[updates.sessions]\ngrace_minutes = 5\n")
    with terminal(host.root) as mine, terminal(host.root) as theirs:
        host.logind.add_session(FakeSession("1", name="alice", tty=mine.tty))
        await host.os.stage("42.2")
        with noting_the_time() as seen:
            await host.start()
            status = await host.until_blocked("users_logged_in")
        [blocker] = status["blockers"]
        assert blocker["detail"] == f"alice on {mine.tty} (session 1)"
        assert status["predicted"] == blocker["until"]
        seen.assert_ends(blocker["until"], timedelta(minutes=5))
        assert status["users"] == 1
        host.logind.add_session(FakeSession("2", name="bob", tty=theirs.tty))
        status = await host.until(lambda status: bool(status["users"] == 2))
        seen.assert_ends(status["blockers"][0]["until"], timedelta(minutes=5))
        await host.until_screen(theirs, "42.2")
        assert "42.2" in mine.screen()
        host.logind.remove_session("1")
        await host.until(lambda status: bool(status["users"] == 1))
        assert host.reboots() == 0
        host.logind.remove_session("2")
        await host.until_state("rebooting")
        assert mine.screen().count("42.2") == 1


async def test_a_grace_of_nothing_warns_and_goes_on(host: Host) -> None:
    host.configure("[updates.sessions]\ngrace_minutes = 0\n")
    with terminal(host.root) as mine:
        host.logind.add_session(FakeSession("1", tty=mine.tty))
        host.logind.add_session(FakeSession("2", type="wayland"))
        await host.os.stage("42.2")
        await host.start()
        await host.until_state("rebooting")
        await host.until_screen(mine, "42.2")
    assert "could not be warned on a terminal: sessions 2" in host.log.read_text()


async def test_who_does_not_work_here_is_nobody(host: Host) -> None:
    host.logind.add_session(FakeSession("1", class_="manager"))
    host.logind.add_session(FakeSession("2", class_="background", remote=True))
    host.logind.add_session(FakeSession("3", tty="pts/9", state="closing"))
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")


async def test_who_logs_in_after_the_grant_gets_a_last_minute_with_the_slot_kept(
    host: Host, server: FakeFleetLock
) -> None:
    go = host.root / "go"
    host.hook("pre-reboot.d", "10-drain", f"until test -e {go}; do sleep 0.05; done")
    host.configure(fleet_lock(server.url))
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("preparing")
    with terminal(host.root) as mine:
        host.logind.add_session(FakeSession("1", name="alice", tty=mine.tty))
        await host.until(lambda status: bool(status["users"] == 1))
        with noting_the_time() as seen:
            go.touch()
            status = await host.until(lambda status: "users_logged_in" in reasons(status))
        assert status["state"] == "committing"
        seen.assert_ends(status["blockers"][0]["until"], timedelta(seconds=60))
        assert f"alice on {mine.tty} (session 1)" in status["sentence"]
        await host.until_screen(mine, "42.2")
        assert [seen.target for seen in server.seen] == ["/v1/pre-reboot"]
        host.logind.remove_session("1")
        await host.until_state("rebooting")
    assert len(server.seen) == 1


async def test_somebody_elses_shutdown_is_left_alone(host: Host) -> None:
    in_an_hour = int((now() + HOUR).timestamp() * 1e6)
    host.logind.set_scheduled("poweroff", in_an_hour)
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("shutdown_scheduled")
    assert "poweroff" in status["blockers"][0]["detail"]
    assert not [call for call in host.logind.calls if "Schedule" in call[0]]
    host.logind.set_scheduled("", 2**64 - 1)
    await host.until_state("rebooting")


async def test_without_logind_nothing_is_rebooted(host: Host) -> None:
    await host.logind.service.leave()
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("logind_unreachable")
    assert status["blockers"][0]["detail"] == NOT_THERE
    await host.logind.service.enter()
    await host.until_state("rebooting")


async def test_a_refused_reboot_is_tried_again_after_giving_back_the_slot(
    host: Host, server: FakeFleetLock
) -> None:
    host.configure(fleet_lock(server.url))
    host.logind.mode = Mode.REFUSE
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("logind_unreachable")
    assert "Access denied" in status["blockers"][0]["detail"]
    assert status["blockers"][0]["until"] is not None
    await server.wait_seen(2)
    await host.until_remembered(lambda memory: not memory["releases_owed"])
    await host.until_remembered(lambda memory: memory["intent"] is None)
    host.logind.mode = Mode.ACCEPT
    assert await host.reload() == ""  # which drops the back-off
    await host.until_state("rebooting")
    targets = [seen.target for seen in server.seen]
    assert targets[-1] == "/v1/pre-reboot"
    assert all(one != next_ for one, next_ in pairwise(targets)), "each refusal gave it back"
    await host.until_remembered(lambda memory: bool(memory["intent"]["shutdown_seen"]))
    assert host.logind.wall_message == "rebootmgr: rebooting into 42.2"


async def test_a_shutdown_that_was_called_off_is_no_reboot(host: Host) -> None:
    await host.os.stage("42.2")
    await host.start()
    await host.until_remembered(lambda memory: bool(memory["intent"]["shutdown_seen"]))
    host.logind.mode = Mode.REFUSE
    host.logind.end_shutdown()
    status = await host.until(lambda status: status["state"] == "waiting")
    assert status["blockers"][0]["reason"] == "logind_unreachable"
    await host.until_remembered(lambda memory: memory["intent"] is None)


async def test_a_reboot_in_progress_counts_as_done(host: Host) -> None:
    host.logind.mode = Mode.IN_PROGRESS
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")
    host.logind.add_inhibitor(FakeInhibitor())
    await host.os.begin("Upgrade")
    assert (await host.status())["verdict"] == "reboot"


async def test_a_reboot_after_which_nothing_happens_is_shown(host: Host) -> None:
    host.logind.mode = Mode.NOTHING
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_state("rebooting")
    assert status["sentence"] == "Rebooting into 42.2."
    [blocker] = status["blockers"]
    assert (blocker["reason"], blocker["detail"]) == ("rebooting", "logind was asked to reboot")
    left = datetime.fromisoformat(blocker["until"]) - datetime.fromisoformat(blocker["since"])
    assert timedelta(minutes=9) < left <= timedelta(minutes=10)
    assert status["verdict"] == "reboot"
    await host.until_remembered(lambda memory: not memory["intent"]["shutdown_seen"])
    metrics = await host.metrics()
    assert metrics['rebootmgr_state{state="rebooting"}'] == 1
    blocked = [name for name in metrics if name.startswith("rebootmgr_blocked") and metrics[name]]
    assert blocked == ['rebootmgr_blocked{reason="rebooting"}']


async def test_the_budget_says_when_the_next_reboot_may_be(host: Host) -> None:
    first = now() - 20 * HOUR
    past = [
        {"at": encode_time(first + n * HOUR), "target": "x", "version": "1", "outcome": "succeeded"}
        for n in range(4)
    ]
    host.remember(reboots=past, reboots_total=4)
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("reboot_budget")
    [blocker] = status["blockers"]
    assert blocker["detail"] == "4 reboots in the last 24 h, 4 are allowed"
    assert blocker["until"] == f"{first + 24 * HOUR:%Y-%m-%dT%H:%M:%SZ}"
    assert status["predicted"] == blocker["until"]


async def test_a_hold_that_was_recorded_holds_until_it_ends(host: Host) -> None:
    host.remember_hold(until=now() + HOUR)
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("held")
    assert status["blockers"][0]["detail"] == "migration (alice)"
    assert (await host.metrics())["rebootmgr_holds"] == 1
    await host.kill()
    ends = now() + timedelta(seconds=2.5)
    host.remember_hold(until=ends)
    await host.start()
    await host.until_state("rebooting")
    assert now() >= ends
    await host.until_remembered(lambda memory: memory["holds"] == [])


async def test_a_quarantine_that_was_recorded_stops_this_update_only(host: Host) -> None:
    tree = await host.os.stage("42.2")
    key = f"fedora-coreos:{tree.checksum}"
    since = encode_time(now() - HOUR)
    host.remember(quarantine=[{"key": key, "why": "42.2 failed 2 times", "since": since}])
    await host.start()
    status = await host.until_blocked("quarantined")
    assert status["blockers"][0]["detail"] == "42.2 failed 2 times"
    assert (await host.metrics())["rebootmgr_quarantined_updates"] == 1
    await host.os.stage("42.3")
    await host.until_state("rebooting")


async def test_a_boot_that_is_not_complete_neither_reboots_nor_settles(
    host: Host, server: FakeFleetLock
) -> None:
    host.configure(fleet_lock(server.url))
    host.systemd.set_boot_complete(reached=False)
    host.systemd.set_failed(["greenboot-healthcheck.service"])
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("boot_not_complete")
    assert status["state"] == "post_boot"
    assert "greenboot-healthcheck.service" in status["blockers"][0]["detail"]
    assert server.seen == []
    host.systemd.set_boot_complete(reached=True)
    await host.until_state("rebooting")


async def test_a_clock_that_runs_behind_opens_no_window(host: Host) -> None:
    """Neither synchronized, nor ahead of what was seen before; also after a restart."""
    host.timedate.synchronized = False
    host.configure('[updates.clock]\nrequire_synchronized = "always"\n')
    host.remember(last_seen="2099-01-01T00:00:00Z")
    await host.os.stage("42.2")
    for _ in range(2):
        await host.start()
        await host.until_blocked("clock_unsynchronized")
        await host.stop()
    assert host.reboots() == 0
    await host.until_remembered(lambda memory: memory["last_seen"].startswith("2099"))


async def test_whether_the_clock_is_synchronized_is_not_claimed_before_it_was_asked(
    host: Host,
) -> None:
    day = now() + timedelta(days=3)
    host.configure(
        '[updates]\nstrategy = "periodic"\n[[updates.periodic.window]]\n'
        f'days = ["{day:%a}"]\nstart_time = "12:00"\nlength_minutes = 60\n'
    )
    host.remember(last_seen="2099-01-01T00:00:00Z")  # or an hour after boot it would be assumed
    await host.os.stage("42.2")
    await host.start()
    status = await host.until(lambda status: "outside_window" in reasons(status))
    assert reasons(status) == ["outside_window"]
    gates = {gate["gate"]: gate["state"] for gate in status["gates"]}
    assert gates["clock_unsynchronized"] == "not_evaluated"
