"""The main job, with every strategy: stage, reboot when allowed, come up, settle (SPEC 3, 6, 9)."""

from datetime import UTC, datetime, timedelta

from tests.daemon.asleep import assert_woken_at, can_see
from tests.daemon.fleet import debt, paths
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import NODE_ID, Host, fleet_lock
from tests.fakes.logind import FakeInhibitor
from tests.fakes.service_manager import ServiceManager

NOON = timedelta(hours=12)
ALWAYS = (
    "[[updates.periodic.window]]\n"
    'days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]\n'
    'start_time = "00:00"\nlength_minutes = 1440\n'
)


def in_three_days() -> tuple[str, datetime]:
    """A window that is far from now, and when it opens."""
    day = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=3)
    name = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[day.weekday()]
    return (
        f'[[updates.periodic.window]]\ndays = ["{name}"]\n'
        'start_time = "12:00"\nlength_minutes = 60\n'
    ), day


async def until_settled(host: Host) -> None:
    status = await host.until_state("idle")
    assert (status["verdict"], status["booted"]["version"]) == ("idle", "42.2")
    assert [past["outcome"] for past in status["history"]] == ["succeeded"]
    assert (status["outcomes"], status["reboots_total"]) == ({"succeeded": 1}, 1)


async def test_a_staged_update_is_rebooted_into_at_once(host: Host) -> None:
    await host.start()
    await host.until_state("idle")
    tree = await host.os.stage("42.2")
    status = await host.until_state("rebooting")
    assert (status["verdict"], status["pending"]["version"]) == ("reboot", "42.2")
    memory = await host.until_remembered(lambda memory: memory["intent"]["shutdown_seen"])
    assert memory["intent"]["target"] == tree.id
    assert [call for call in host.logind.calls if "Reboot" in call[0]] == [("RebootWithFlags", [1])]
    assert host.logind.wall_message == "rebootmgr: rebooting into 42.2"
    await host.reboot()
    await host.start()
    await until_settled(host)
    memory = await host.until_remembered(lambda memory: memory["intent"] is None)
    assert memory["settled"].startswith("00000002")
    assert [past["outcome"] for past in memory["reboots"]] == ["succeeded"]
    metrics = await host.metrics()
    assert metrics['rebootmgr_reboot_outcomes_total{outcome="succeeded"}'] == 1
    assert metrics["rebootmgr_reboots_requested_total"] == 1
    assert host.reboots() == 1
    assert await host.stop() == 0


async def test_an_open_window_lets_it_pass(host: Host) -> None:
    host.configure(f'[updates]\nstrategy = "periodic"\n{ALWAYS}')
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")
    await host.reboot()
    await host.start()
    await until_settled(host)


async def test_a_closed_window_says_when_it_opens(host: Host) -> None:
    window, opens = in_three_days()
    host.configure(f'[updates]\nstrategy = "periodic"\n{window}')
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("outside_window")
    [blocker] = status["blockers"]
    expected = f"{opens:%Y-%m-%dT12:00:00Z}"
    assert (blocker["until"], status["predicted"]) == (expected, expected)
    assert status["next_window"]["start"] == expected
    assert f"{opens:%Y-%m-%d 12:00} UTC" in status["sentence"]
    metrics = await host.metrics()
    assert metrics["rebootmgr_window_open"] == 0
    assert metrics['rebootmgr_blocked{reason="outside_window"}'] == 1
    assert metrics["rebootmgr_next_window_start_timestamp_seconds"] == opens.timestamp()
    assert host.reboots() == 0


def freeze(host: Host, length: timedelta) -> datetime:
    """Configure a freeze that ends so long from now; when that is."""
    ends = (datetime.now(UTC) + length).replace(microsecond=0)
    host.configure(
        '[[updates.blackout]]\nname = "year end"\n'
        f"start = 2026-01-01T00:00:00Z\nend = {ends:%Y-%m-%dT%H:%M:%SZ}\n"
    )
    return ends


async def test_it_reboots_in_the_second_in_which_a_freeze_ends(host: Host) -> None:
    ends = freeze(host, NOON)
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("blackout")
    assert status["blockers"][0]["detail"] == "year end"
    if can_see():
        await assert_woken_at(host, ends)
    ends = freeze(host, timedelta(seconds=3))
    assert await host.reload() == ""
    await host.until_state("rebooting")
    assert datetime.now(UTC) >= ends


async def test_what_time_alone_changes_is_told(host: Host) -> None:
    """Nobody asks for it: systemd and the log are told."""
    host.logind.add_inhibitor(FakeInhibitor(who="backup", why="nightly", uid=0))
    freeze(host, NOON)
    await host.os.stage("42.2")
    async with ServiceManager(host.dbus.dir) as manager:
        host.more_environ["NOTIFY_SOCKET"] = manager.path
        await host.start()
        await host.until_blocked("blackout", "inhibited")
        ends = freeze(host, timedelta(seconds=3))
        assert await host.reload() == ""
        await manager.until_status("staged; inhibited: backup")
        assert datetime.now(UTC) >= ends
        assert "staged; inhibited: backup" in host.log.read_text()


async def test_the_fleet_is_asked_once_and_told_once(host: Host, server: FakeFleetLock) -> None:
    host.configure(fleet_lock(server.url))
    await host.start()
    await server.wait_seen(1)
    await host.os.stage("42.2")
    await host.until_state("rebooting")
    assert server.holders == {"default": [NODE_ID]}
    assert host.remembered()["releases_owed"] == [debt(server, granted=True)]
    await host.reboot()
    await host.start()
    await until_settled(host)
    await host.until(lambda status: not status["lock_held"] and not status["slots"])
    assert paths(server) == ["steady-state", "pre-reboot", "steady-state"]
    assert server.holders == {"default": []}
    await host.until_remembered(lambda memory: memory["releases_owed"] == [])
    assert await host.stop() == 0
    assert len(server.seen) == 3


async def test_window_and_fleet_must_both_agree(host: Host, server: FakeFleetLock) -> None:
    both = '["periodic", "fleet_lock"]'
    window, _ = in_three_days()
    host.configure(fleet_lock(server.url, strategy=both))
    host.configure(window, "60-window.toml")
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("outside_window")
    assert {gate["gate"]: gate["state"] for gate in status["gates"]}["lock_pending"] == (
        "not_evaluated"
    )
    await server.wait_seen(1)
    assert paths(server) == ["steady-state"]
    host.configure(ALWAYS, "60-window.toml")
    assert await host.reload() == ""
    await host.until_state("rebooting")
    assert paths(server) == ["steady-state", "pre-reboot"]


async def test_off_watches_and_reports(host: Host, server: FakeFleetLock) -> None:
    host.configure(fleet_lock(server.url, strategy='"off"'))
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("disabled")
    assert status["pending"]["version"] == "42.2"
    assert status["blockers"][0]["detail"] == 'updates.strategy is "off"'
    assert host.reboots() == 0
    assert server.seen == []


async def test_disabled_reports_and_still_gives_back_a_slot(
    host: Host, server: FakeFleetLock
) -> None:
    server.seize("default", NODE_ID)
    host.remember(releases_owed=[debt(server)])
    host.configure("[updates]\nenabled = false\n")
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("disabled")
    await host.until(lambda status: not status["slots"] and not status["lock_held"])
    assert paths(server) == ["steady-state"]
    assert server.holders == {"default": []}


async def test_the_log_of_a_roll_out_reads_as_a_story(host: Host, server: FakeFleetLock) -> None:
    for directory in ("pre-reboot.d", "post-boot.d"):
        host.hook(directory, "10-note", "echo done")
    host.configure(fleet_lock(server.url))
    await host.start()
    await server.wait_seen(1)
    await host.os.stage("42.2")
    await host.until_state("rebooting")
    await host.reboot()
    await host.start()
    await host.until(lambda status: status["state"] == "idle" and not status["slots"])
    await host.stop()
    lines = host.log.read_text().splitlines()
    # On a busy machine the first look takes long enough to be told of.
    story = [line for line in lines if "looking at the host for the first time" not in line]
    assert len(story) < 20
    assert all(line.startswith("<6>") for line in story)
    told = [
        *("Idle: nothing pending.", "asking the lock server", "granted a slot of group default"),
        *("10-note: done", "Rebooting into 42.2.", "the reboot into 42.2: succeeded"),
        *("Idle: nothing pending.", "confirmed that no slot of group default is ours", "stopped"),
    ]
    for line in story:
        if told and told[0] in line:
            del told[0]
    assert told == []
