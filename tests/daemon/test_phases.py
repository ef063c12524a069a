"""Hooks through the whole daemon: when they run, what they are told, what follows (SPEC 8)."""

from pathlib import Path

from tests.daemon.fleet import until_settled
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import HANG, NODE_ID, Host, fleet_lock
from tests.fakes.logind import FakeInhibitor


class Diary:
    """What the hooks noted, in order, each with how many requests the lock server had seen."""

    def __init__(self, host: Host, server: FakeFleetLock) -> None:
        self._host = host
        self._file = host.root / "diary"
        server.log = host.root / "requests"
        server.log.touch()
        self._note = f'echo "$REBOOTMGR_PHASE $(wc -l < {server.log})" >> {self._file}'

    def hook(self, directory: str, name: str, then: str = "") -> Path:
        """Install a hook that makes a note of its phase."""
        return self._host.hook(directory, name, f"{self._note}\n{then}")

    @property
    def notes(self) -> list[str]:
        return self._file.read_text().splitlines() if self._file.exists() else []


async def test_a_check_that_fails_blocks_with_its_last_line(host: Host) -> None:
    host.hook("checks.d", "10-backup", "echo looking\necho backup still running\nexit 3")
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("check_failed")
    [blocker] = status["blockers"]
    assert blocker["detail"] == "10-backup: backup still running"
    assert blocker["until"] is not None
    shown = ""
    while "backup still running" not in shown:  # it may just be looking again
        _, shown, _ = await host.ctl("why")
        shown = " ".join(shown.split())
    log = host.log.read_text()
    assert "<6>10-backup: looking\n<6>10-backup: backup still running\n" in log
    host.hook("checks.d", "10-backup", "exit 0")
    assert await host.reload() == ""  # which drops the back-off
    await host.until_state("rebooting")


async def test_a_check_that_a_deadline_names_holds_nobody_up_for_ever(host: Host) -> None:
    """And one that it does not name does."""
    late = '[[updates.deadline]]\nafter = "3s"\nwaive = ["checks:10-backup"]\ngrace = "1s"\n'
    host.configure(late)
    host.hook("checks.d", "10-backup", "echo still running; exit 3")
    other = host.hook("checks.d", "20-other", "echo not me; exit 4")
    await host.os.stage("42.2")
    await host.start()
    status = await host.until(
        lambda status: [one["detail"] for one in status["blockers"]] == ["20-other: not me"]
    )
    [step] = status["deadlines"]
    assert (step["waives"], step["due"]) == (["checks:10-backup"], True)
    log = host.log.read_text()
    assert "10-backup is not run: it counts no more, by deadline" in log
    other.unlink()
    assert await host.reload() == ""  # which drops the back-off
    await host.until_state("rebooting")


async def test_each_phase_has_its_time_and_is_told_what_it_is_about(
    host: Host, server: FakeFleetLock
) -> None:
    diary = Diary(host, server)
    told = host.root / "told"
    diary.hook("checks.d", "10-check")
    diary.hook("pre-reboot.d", "10-drain", f"env > {told}")
    diary.hook("post-boot.d", "10-uncordon")
    await until_settled(host, server)
    assert diary.notes == ["post-boot 0"]
    tree = await host.os.stage("42.2")
    await host.until_state("rebooting")
    assert diary.notes[1:] == ["check 1", "pre-reboot 2", "check 2"]
    said = dict(line.split("=", 1) for line in told.read_text().splitlines() if "REBOOTMGR" in line)
    assert said == {
        "REBOOTMGR_PHASE": "pre-reboot",
        "REBOOTMGR_DEPLOYMENT": tree.id,
        "REBOOTMGR_VERSION": "42.2",
        "REBOOTMGR_BOOTED_DEPLOYMENT": host.trees.booted,
    }
    await host.until_remembered(lambda memory: memory["drained"])
    await host.reboot()
    await host.start()
    await server.wait_seen(3)
    assert diary.notes[4:] == ["post-boot 2"]
    await host.until_remembered(lambda memory: not memory["releases_owed"])
    await host.until_remembered(lambda memory: not memory["drained"])


async def test_a_pre_reboot_hook_that_fails_is_undone_before_the_slot_goes_back(
    host: Host, server: FakeFleetLock
) -> None:
    diary = Diary(host, server)
    await until_settled(host, server)
    diary.hook("pre-reboot.d", "10-drain", "echo no room elsewhere; exit 1")
    diary.hook("pre-reboot.d", "20-never")
    diary.hook("post-boot.d", "10-uncordon")
    await host.os.stage("42.2")
    status = await host.until_blocked("hook_failed")
    assert status["blockers"][0]["detail"] == "10-drain: no room elsewhere"
    await server.wait_seen(3)
    assert diary.notes[:2] == ["pre-reboot 2", "abandoned 2"]
    assert server.seen[2].target == "/v1/steady-state"
    assert host.reboots() == 0


async def test_an_inhibitor_during_the_drain_ends_it_and_undoes_it(
    host: Host, server: FakeFleetLock
) -> None:
    diary = Diary(host, server)
    await until_settled(host, server)
    diary.hook("pre-reboot.d", "10-drain", HANG)
    diary.hook("post-boot.d", "10-uncordon")
    await host.os.stage("42.2")
    await host.until_state("preparing")
    host.logind.add_inhibitor(FakeInhibitor())
    await server.wait_seen(3)
    await host.until_blocked("inhibited")
    assert diary.notes[-1] == "abandoned 2"
    assert server.holders == {"default": []}
    await host.until_remembered(lambda memory: not memory["drained"])


async def test_killed_during_the_drain_the_next_start_undoes_and_releases(
    host: Host, server: FakeFleetLock
) -> None:
    diary = Diary(host, server)
    await until_settled(host, server)
    diary.hook("pre-reboot.d", "10-drain", HANG)
    diary.hook("post-boot.d", "10-uncordon")
    await host.os.stage("42.2")
    await host.until_remembered(lambda memory: memory["drained"])
    await host.kill()
    host.trees.cleanup()
    await host.os.refresh()
    assert server.holders == {"default": [NODE_ID]}
    await host.start()
    await server.wait_seen(3)
    assert diary.notes[-1] == "abandoned 2"
    assert server.holders == {"default": []}
    await host.until_state("idle")
    await host.until_remembered(lambda memory: not memory["releases_owed"])
    await host.until_remembered(lambda memory: not memory["drained"])


async def test_a_post_boot_hook_that_fails_makes_the_update_a_failed_one(
    host: Host, server: FakeFleetLock
) -> None:
    host.configure(fleet_lock(server.url))
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")
    await host.reboot()
    host.hook("post-boot.d", "10-health", "echo database is down; exit 1")
    await host.start()
    status = await host.until(lambda status: bool(status["outcomes"]))
    assert status["outcomes"] == {"rolled_back": 1}
    assert [past["cause"] for past in status["history"]] == ["10-health: database is down"]
    assert [notice["notice"] for notice in status["notices"]] == ["slot_kept"]
    assert server.holders == {"default": [NODE_ID]}
    assert "10-health: database is down" in host.log.read_text()


async def test_a_hook_that_takes_too_long_is_ended(host: Host) -> None:
    host.configure("[hooks]\ntimeout_seconds = 1\n")
    host.hook("checks.d", "10-slow", f"echo waiting for godot\n{HANG}")
    await host.os.stage("42.2")
    await host.start()
    said = "10-slow: took longer than 1 s; it last said: waiting for godot"
    await host.until(  # on a busy machine it may say nothing the first time
        lambda status: [one["detail"] for one in status["blockers"]] == [said]
    )


async def test_sigterm_during_a_drain_ends_it_and_remembers_to_undo(
    host: Host, server: FakeFleetLock
) -> None:
    diary = Diary(host, server)
    host.configure(fleet_lock(server.url))
    host.hook("pre-reboot.d", "10-drain", HANG)
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("preparing")
    assert await host.stop() == 0
    await host.until_remembered(lambda memory: memory["drained"])
    assert server.holders == {"default": [NODE_ID]}  # nobody may take it while we are drained
    diary.hook("post-boot.d", "10-uncordon")
    host.trees.cleanup()
    await host.os.refresh()
    await host.start()
    await host.until_state("idle")
    await host.until_remembered(lambda memory: not memory["releases_owed"])
    assert diary.notes == ["abandoned 1"]
    assert server.holders == {"default": []}
