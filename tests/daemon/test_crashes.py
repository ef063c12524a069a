"""kill -9 at any point of an attempt, and a restart: the same decision, and no slot is lost."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.fakes.fleetlock import FakeFleetLock, hang, reply
from tests.fakes.host import HANG, Host, fleet_lock
from tests.fakes.logind import Mode

Crash = Callable[[Host, FakeFleetLock], Awaitable[None]]


async def while_asking(host: Host, server: FakeFleetLock) -> None:
    """The server never answers this time."""
    server.script.append(hang())
    await host.start()
    await server.wait_seen(1)


async def before_the_grant_arrives(host: Host, server: FakeFleetLock) -> None:
    """The server grants, but nobody hears it."""
    answer = asyncio.Event()
    server.script.append(reply(200, gate=answer))
    await host.start()
    await server.wait_seen(1)
    await host.kill()
    server.seize("default", "eee0097b460c4b2dbf94510d0330626c")
    answer.set()


async def while_draining(host: Host, _: FakeFleetLock) -> None:
    """The hook ends with us."""
    host.hook("pre-reboot.d", "10-drain", HANG)
    await host.start()
    await host.until_state("preparing")
    host.hook("pre-reboot.d", "10-drain", "exit 0")


async def after_the_intent(host: Host, _: FakeFleetLock) -> None:
    """Logind took the call and did nothing with it."""
    host.logind.mode = Mode.NOTHING
    await host.start()
    await host.until_state("rebooting")


async def while_going_down(host: Host, _: FakeFleetLock) -> None:
    """The machine is on its way."""
    await host.start()
    await host.until_remembered(lambda memory: bool(memory["intent"]))
    await host.until_state("rebooting")


async def in_the_first_instant(host: Host, _: FakeFleetLock) -> None:
    """Nothing was decided yet."""
    await host.start(wait=False)


@pytest.mark.parametrize(
    "crash",
    [
        in_the_first_instant,
        while_asking,
        before_the_grant_arrives,
        while_draining,
        after_the_intent,
        while_going_down,
    ],
)
async def test_killed_and_started_again_it_comes_to_the_same_end(
    host: Host, server: FakeFleetLock, crash: Crash
) -> None:
    host.configure(fleet_lock(server.url))
    host.hook("post-boot.d", "10-uncordon", f"echo $REBOOTMGR_PHASE >> {host.root}/undone")
    await host.os.stage("42.2")
    await crash(host, server)
    await host.kill()
    host.logind.mode = Mode.ACCEPT
    await host.start()
    await host.until_state("rebooting")
    await host.until_remembered(lambda memory: bool(memory["intent"]))
    await host.reboot()
    await host.start()
    status = await host.until(
        lambda status: status["state"] == "idle" and server.holders == {"default": []}
    )
    assert status["booted"]["version"] == "42.2"
    assert set(status["outcomes"]) == {"succeeded"}
    assert host.reboots() == 1
    memory = await host.until_remembered(  # after a question without an answer it is told twice
        lambda memory: all(debt["unanswered"] for debt in memory["releases_owed"])
    )
    assert not memory["drained"]


async def test_killed_while_it_gives_back_it_gives_back_again(
    host: Host, server: FakeFleetLock
) -> None:
    host.configure(fleet_lock(server.url))
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")
    await host.reboot()
    server.script.append(hang())
    await host.start()
    await server.wait_seen(2)
    await host.kill()
    await host.start()
    await server.wait_seen(3)
    await host.until_remembered(lambda memory: not memory["releases_owed"])
    assert [seen.target for seen in server.seen[1:]] == ["/v1/steady-state"] * 2
    assert server.holders == {"default": []}
    await host.until_remembered(lambda memory: memory["outcomes"] == {"succeeded": 1})


async def test_a_restart_while_the_machine_goes_down_asks_for_nothing_again(
    host: Host, server: FakeFleetLock
) -> None:
    host.configure(fleet_lock(server.url))
    await host.os.stage("42.2")
    await host.start()
    await host.until_remembered(lambda memory: bool((memory["intent"] or {}).get("shutdown_seen")))
    await host.kill()
    await host.start()
    await host.until_state("rebooting")
    assert host.reboots() == 1
    assert len(server.seen) == 1


async def test_a_power_cut_before_the_shutdown_counts_no_attempt(host: Host) -> None:
    host.logind.mode = Mode.NOTHING
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")
    await host.kill()
    host.trees.cleanup()
    await host.os.refresh()
    await host.reboot()
    await host.start()
    status = await host.until(lambda status: bool(status["outcomes"]))
    assert status["outcomes"] == {"interrupted": 1}
    await host.until_remembered(lambda memory: memory["attempts"] == {})


async def test_a_hold_is_not_forgotten(host: Host) -> None:
    host.remember_hold()
    await host.os.stage("42.2")
    for _ in range(2):
        await host.start()
        await host.until_blocked("held")
        await host.kill()


async def test_a_failed_update_is_tried_so_often_and_then_quarantined(host: Host) -> None:
    for attempt in (1, 2):
        await host.os.stage("42.2")
        await host.start()
        await host.until_remembered(
            lambda memory: bool((memory["intent"] or {}).get("shutdown_seen"))
        )
        await host.stop()
        host.trees.cleanup()  # finalization failed
        await host.reboot()
        await host.start()
        status = await host.until(lambda status: bool(status["outcomes"]))
        await host.until_remembered(lambda memory: memory["intent"] is None)
        assert host.remembered()["outcomes"] == {"not_applied": attempt}
        await host.stop()
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("quarantined")
    assert "failed 2 times (not_applied)" in status["blockers"][0]["detail"]
    assert host.reboots() == 2
