"""How each reason becomes the only one on a real daemon: the table of test_each_blocker.

`RUNNING` are brought about while the daemon runs, `STARTING` before it does. Each leaves the host
as it was: an update withdrawn, and whatever it did undone through `stage.undo`.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rebootmgr.core.model import Reason
from rebootmgr.instants import encode_instant
from tests.fakes.fleetlock import FakeFleetLock, Script, error, hang, silence
from tests.fakes.host import HANG, NODE_ID, Host, Json, fleet_lock
from tests.fakes.logind import FakeInhibitor, Mode
from tests.fakes.logind_sessions import FakeSession
from tests.fakes.ostree_host import Tree

HOUR: Final = timedelta(hours=1)
UPDATE: Final = "42.2"
BAD_UPDATE: Final = "42.13"
BAD: Final = "[updates]\nstrategy = 'periodik'\n"


def now() -> datetime:
    return datetime.now(UTC)


def past(ago: timedelta) -> dict[str, Any]:
    at = encode_instant(now() - ago)
    return {"at": at, "target": "x", "version": "1", "outcome": "succeeded", "seconds": 1800.0}


def memory() -> dict[str, object]:
    """What the daemon remembers: half an hour for a reboot, one of them lately, one bad update."""
    key = f"fedora-coreos:{Tree(version=BAD_UPDATE).checksum}"
    bad = {"key": key, "why": f"{BAD_UPDATE} failed 2 times", "since": encode_instant(now() - HOUR)}
    ago = (72 * HOUR, 60 * HOUR, 48 * HOUR, 20 * HOUR)
    return {"quarantine": [bad], "reboots": [past(each) for each in ago], "reboots_total": 4}


@dataclass(frozen=True, slots=True)
class Stage:
    """The host, its lock server, and how to undo what was done to them."""

    host: Host
    server: FakeFleetLock
    undo: AsyncExitStack

    async def configure(self, text: str) -> None:
        """Take this configuration, and the defaults again afterwards."""
        self.host.configure(text)
        assert await self.host.reload() == ""
        self.undo.push_async_callback(self._reset)

    async def _reset(self) -> None:
        self.host.configure("")
        assert await self.host.reload() == ""

    async def hook(self, directory: str, script: str) -> None:
        """Install a hook, and remove it afterwards."""
        path = self.host.hook(directory, "10-hook", script)
        self.undo.callback(path.unlink)

    async def update(self, version: str = UPDATE, **fields: Any) -> None:
        """Stage an update."""
        await self.host.os.stage(version, **fields)

    async def updates(self, text: str) -> None:
        """Take a configuration, and stage an update."""
        await self.configure(f"[updates]\n{text}")
        await self.update()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lone:
    """One reason. `said` is in its detail, and in the sentence and the log unless they differ."""

    reason: Reason
    said: str
    arrange: Callable[[Stage], Awaitable[None]]
    sentence: str = ""
    logged: str = ""
    is_pending: bool = True
    options: tuple[str, ...] = ()


async def disabled(stage: Stage) -> None:
    await stage.updates("enabled = false\n")


async def not_ostree(stage: Stage) -> None:
    booted = stage.host.root / "run/ostree-booted"
    stage.undo.callback(booted.touch)
    booted.unlink()


async def driver_conflict(stage: Stage) -> None:
    host = stage.host
    host.trees.register_driver("Zincati", "zincati.service")
    host.systemd.set_unit("zincati.service", "active")
    stage.undo.callback((host.root / "run/rpm-ostree/update-driver.gv").unlink)
    stage.undo.callback(host.systemd.set_unit, "zincati.service", "inactive")
    await stage.update()


async def state_unknown(stage: Stage) -> None:
    where = ("OS", "DefaultDeployment")
    stage.undo.push_async_callback(stage.host.os.override, *where, None)
    await stage.host.os.override(*where, ["a{sv}", {}])


async def transaction_active(stage: Stage) -> None:
    stage.undo.push_async_callback(stage.host.os.end)
    await stage.host.os.begin("Rebase")
    stage.host.trees.stage(UPDATE)
    await stage.host.os.refresh()


async def unlocked(stage: Stage) -> None:
    trees = stage.host.trees

    async def unlock(how: str) -> None:
        trees.trees[0].unlocked = how
        trees.save()
        await stage.host.os.refresh()

    await unlock("hotfix")
    stage.undo.push_async_callback(unlock, "none")
    await stage.update()


async def finalization_locked(stage: Stage) -> None:
    await stage.update(lock="file")


async def quarantined(stage: Stage) -> None:
    await stage.update(BAD_UPDATE)


async def reboot_budget(stage: Stage) -> None:
    await stage.updates("limits.reboots_per_day = 1\n")


async def held(stage: Stage) -> None:
    manager = ("org.rebootmgr1", "/org/rebootmgr1", "org.rebootmgr1.Manager")
    until = int((now() + HOUR).timestamp() * 1e6)
    [id_] = await stage.host.bus.call(*manager, "Hold", "sx", ["migration", until])
    stage.undo.push_async_callback(stage.host.bus.call, *manager, "Release", "s", [id_])
    await stage.update()


async def blackout(stage: Stage) -> None:
    span = f"start = 2026-01-01T00:00:00Z\nend = {encode_instant(now() + HOUR)}\n"
    await stage.updates(f'[[updates.blackout]]\nname = "year end"\n{span}')


def window(start: datetime, minutes: int) -> str:
    return (
        f'strategy = "periodic"\n[[updates.periodic.window]]\ndays = ["{start:%a}"]\n'
        f'start_time = "{start:%H:%M}"\nlength_minutes = {minutes}\n'
    )


async def outside_window(stage: Stage) -> None:
    await stage.updates(window(now() + 72 * HOUR, 60))


async def window_too_short(stage: Stage) -> None:
    await stage.updates(window(now() - HOUR, 80))  # twenty minutes are left


async def logind_unreachable(stage: Stage) -> None:
    stage.undo.push_async_callback(stage.host.logind.service.enter)
    await stage.host.logind.service.leave()
    await stage.update()


async def shutdown_scheduled(stage: Stage) -> None:
    stage.undo.callback(stage.host.logind.set_scheduled, "", 2**64 - 1)
    stage.host.logind.set_scheduled("poweroff", int((now() + HOUR).timestamp() * 1e6))
    await stage.update()


async def inhibited(stage: Stage) -> None:
    backup = FakeInhibitor(who="backup", why="nightly run", uid=0, pid=77)
    stage.undo.callback(stage.host.logind.remove_inhibitor, stage.host.logind.add_inhibitor(backup))
    await stage.update()


async def users_logged_in(stage: Stage) -> None:
    """Beside an inhibitor first: who comes during the first look is only seen by the last one."""
    serial = stage.host.logind.add_inhibitor(FakeInhibitor())
    await stage.update()
    await stage.host.until_blocked("inhibited")
    stage.host.logind.add_session(FakeSession("7", name="alice", type="wayland"))
    stage.undo.callback(stage.host.logind.remove_session, "7")
    await stage.host.until_blocked("inhibited", "users_logged_in")
    stage.host.logind.remove_inhibitor(serial)


async def check_failed(stage: Stage) -> None:
    await stage.hook("checks.d", "echo backup still running; exit 3")
    await stage.update()


async def hook_running(stage: Stage) -> None:
    await stage.hook("checks.d", HANG)
    await stage.update()


async def hook_failed(stage: Stage) -> None:
    await stage.hook("pre-reboot.d", "echo no room elsewhere; exit 1")
    await stage.update()


def free(server: str) -> list[Json]:
    """Slots of which the server has said that they are not ours.

    It would be asked within a minute of a configuration that names it first, and not at once.
    """
    groups = ("pending", "draining", "refused", "failing", "unreachable")
    return [{"server": server, "group": group, "id": NODE_ID} for group in groups]


def answered(group: str, answer: Callable[[], Script]) -> Callable[[Stage], Awaitable[None]]:
    """Ask for a slot of its own group: what may yet be granted late stays owed for minutes."""

    async def ask(stage: Stage) -> None:
        lock = fleet_lock(stage.server.url)
        await stage.configure(f'identity.group = "{group}"\n{lock}')
        asked = len(stage.server.seen)
        stage.server.script.append(answer())
        if group != "refused":  # what may be ours is given back
            stage.undo.push_async_callback(stage.server.wait_seen, asked + 2)
        await stage.update()
        await stage.server.wait_seen(asked + 1)

    return ask


RUNNING: Final = (
    Lone(reason=Reason.DISABLED, said="updates.enabled is false", arrange=disabled),
    Lone(
        reason=Reason.NOT_OSTREE,
        said="there is no /run/ostree-booted",
        arrange=not_ostree,
        is_pending=False,
    ),
    Lone(reason=Reason.DRIVER_CONFLICT, said="zincati.service (Zincati)", arrange=driver_conflict),
    Lone(
        reason=Reason.STATE_UNKNOWN,
        said="DefaultDeployment",
        arrange=state_unknown,
        is_pending=False,
    ),
    Lone(reason=Reason.TRANSACTION_ACTIVE, said="in progress: Rebase", arrange=transaction_active),
    Lone(reason=Reason.UNLOCKED, said="unlocked (hotfix)", arrange=unlocked),
    Lone(reason=Reason.FINALIZATION_LOCKED, said="another agent", arrange=finalization_locked),
    Lone(reason=Reason.QUARANTINED, said=f"{BAD_UPDATE} failed 2 times", arrange=quarantined),
    Lone(reason=Reason.REBOOT_BUDGET, said="1 reboot in the last 24 h", arrange=reboot_budget),
    Lone(reason=Reason.HELD, said="migration (", arrange=held),
    Lone(reason=Reason.BLACKOUT, said="year end", arrange=blackout),
    Lone(
        reason=Reason.OUTSIDE_WINDOW,
        said="the next maintenance window opens ",
        sentence="waiting for the maintenance window that opens ",
        arrange=outside_window,
    ),
    Lone(reason=Reason.WINDOW_TOO_SHORT, said="the window closes at ", arrange=window_too_short),
    Lone(reason=Reason.LOGIND_UNREACHABLE, said="logind", arrange=logind_unreachable),
    Lone(reason=Reason.SHUTDOWN_SCHEDULED, said="poweroff", arrange=shutdown_scheduled),
    Lone(reason=Reason.INHIBITED, said="backup (pid 77, uid 0): nightly run", arrange=inhibited),
    Lone(
        reason=Reason.USERS_LOGGED_IN,
        said="alice without a terminal (session 7)",
        arrange=users_logged_in,
    ),
    Lone(reason=Reason.CHECK_FAILED, said="10-hook: backup still running", arrange=check_failed),
    Lone(reason=Reason.HOOK_RUNNING, said="checks.d", arrange=hook_running),
    Lone(reason=Reason.HOOK_FAILED, said="10-hook: no room elsewhere", arrange=hook_failed),
    Lone(reason=Reason.LOCK_PENDING, said="http://localhost:", arrange=answered("pending", hang)),
    Lone(
        reason=Reason.LOCK_DRAINING,
        said="HTTP 202 draining: evicting 3 pods",
        arrange=answered("draining", lambda: error(202, "draining", "evicting 3 pods")),
    ),
    Lone(
        reason=Reason.LOCK_REFUSED,
        said="HTTP 409 failed_lock: semaphore is full",
        arrange=answered("refused", lambda: error(409, "failed_lock", "semaphore is full")),
    ),
    Lone(
        reason=Reason.LOCK_FAILING,
        said="HTTP 500 failed_sem_init: context deadline exceeded",
        arrange=answered(
            "failing", lambda: error(500, "failed_sem_init", "context deadline exceeded")
        ),
    ),
    Lone(
        reason=Reason.LOCK_UNREACHABLE,
        said="the server closed the connection",
        arrange=answered("unreachable", silence),
    ),
)


async def starting(stage: Stage) -> None:
    await stage.host.install_hung_rpm_ostreed()


async def config_invalid(stage: Stage) -> None:
    stage.host.configure(BAD)
    await stage.update()


async def state_unreadable(stage: Stage) -> None:
    stage.host.remember(version={"major": 2, "minor": 0})
    await stage.update()


async def boot_not_complete(stage: Stage) -> None:
    stage.host.systemd.set_boot_complete(reached=False)
    stage.host.systemd.set_failed(["greenboot-healthcheck.service"])
    await stage.update()


async def clock_unsynchronized(stage: Stage) -> None:
    stage.host.timedate.synchronized = False
    stage.host.remember(last_seen="2099-01-01T00:00:00Z")  # or after an hour it would be assumed
    await stage.update()


async def dry_run(stage: Stage) -> None:
    await stage.update()


async def rebooting(stage: Stage) -> None:
    stage.host.logind.mode = Mode.NOTHING
    await stage.update()


STARTING: Final = (
    Lone(
        reason=Reason.STARTING,
        said="looking at the host for the first time",
        sentence="Starting: looking at the host for the first time.",
        arrange=starting,
        is_pending=False,
    ),
    Lone(reason=Reason.CONFIG_INVALID, said="50-test.toml:2: updates.strategy",
         arrange=config_invalid),
    Lone(reason=Reason.STATE_UNREADABLE, said="state.json", arrange=state_unreadable),
    Lone(reason=Reason.BOOT_NOT_COMPLETE, said="failed: greenboot-healthcheck.service",
         arrange=boot_not_complete),
    Lone(
        reason=Reason.CLOCK_UNSYNCHRONIZED,
        said="timedatectl",
        logged="the clock is not synchronized: ",  # it is said before timedate1 has answered
        arrange=clock_unsynchronized,
    ),
    Lone(
        reason=Reason.DRY_RUN,
        said=f"would reboot into {UPDATE} now",
        arrange=dry_run,
        options=("--dry-run",),
    ),
    Lone(
        reason=Reason.REBOOTING,
        said="logind was asked to reboot",
        sentence=f"Rebooting into {UPDATE}.",
        arrange=rebooting,
    ),
)  # fmt: skip


async def withdraw(host: Host) -> None:
    """Take the update away; only then can what is in its way be lifted without a reboot."""
    host.trees.cleanup()
    await host.os.refresh()
    await host.until(lambda status: status["pending"] is None)


async def until_clean(host: Host) -> None:
    """Wait until nothing is in the way any more."""
    await host.until(lambda status: status["state"] == "idle" and not status["blockers"])
