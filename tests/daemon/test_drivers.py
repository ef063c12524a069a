"""Another agent under our id: while it may hold a slot, the lock server hears nothing from us."""

from tests.daemon.fleet import debt, paths, until_settled
from tests.fakes.fleetlock import FakeFleetLock, hang
from tests.fakes.host import NODE_ID, Host, fleet_lock


def register(host: Host) -> None:
    host.trees.register_driver("Zincati", "zincati.service")
    host.systemd.set_unit("zincati.service", "active")


async def test_a_slot_of_another_agent_survives_our_first_start_and_is_confirmed_free_after_it(
    host: Host, server: FakeFleetLock
) -> None:
    assert server.seize("default", NODE_ID)  # which drains, and is about to reboot
    register(host)
    host.configure(fleet_lock(server.url))
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("driver_conflict")
    await host.until_remembered(lambda memory: memory["settled"] is not None)
    assert server.seen == []
    assert server.holders == {"default": [NODE_ID]}
    host.trees.cleanup()
    await host.os.refresh()
    host.systemd.set_unit("zincati.service", "inactive")
    await server.wait_seen(1)
    await host.until_remembered(lambda memory: bool(memory["confirmed"]))
    assert paths(server) == ["steady-state"]
    assert server.holders == {"default": []}


async def test_a_debt_waits_for_the_other_agent_and_says_so(
    host: Host, server: FakeFleetLock
) -> None:
    host.remember(releases_owed=[debt(server)])
    assert server.seize("default", NODE_ID)
    register(host)
    host.configure(fleet_lock(server.url))
    await host.start()
    shown = await host.until(lambda status: bool(status["notices"]))
    [notice] = shown["notices"]
    assert notice["notice"] == "slot_not_released"
    assert "another agent" in notice["detail"]
    assert server.seen == []
    host.systemd.set_unit("zincati.service", "failed")
    await server.wait_seen(1)
    await host.until(lambda status: not status["notices"])
    assert paths(server) == ["steady-state"]


async def test_a_release_under_way_is_taken_back_when_another_agent_comes(
    host: Host, server: FakeFleetLock
) -> None:
    server.script.append(hang())
    host.configure(fleet_lock(server.url))
    await host.start()
    await server.wait_seen(1)
    register(host)
    await server.wait_closed()
    await host.until(lambda status: "driver_conflict" in str(status["gates"]))
    assert paths(server) == ["steady-state"]


async def test_an_agent_that_knows_no_locks_stops_only_the_asking(
    host: Host, server: FakeFleetLock
) -> None:
    host.trees.policy = "apply"
    host.configure(fleet_lock(server.url))
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("driver_conflict")
    await server.wait_seen(1)
    assert paths(server) == ["steady-state"]


async def test_a_new_server_is_told_once_in_the_same_boot_that_nothing_is_ours(
    host: Host, server: FakeFleetLock
) -> None:
    await until_settled(host, server)
    async with FakeFleetLock() as other:
        assert other.seize("default", NODE_ID)  # from before it had this address
        host.configure(fleet_lock(other.url))
        assert await host.reload() == ""
        await other.wait_seen(1)
        await host.until(lambda status: not status["slots"])
        assert other.holders == {"default": []}
        await host.stop()
        await host.start()
        host.configure(fleet_lock(server.url))
        assert await host.reload() == ""
        await host.until_remembered(lambda memory: len(memory["confirmed"]) == 2)
        assert (paths(server), paths(other)) == (["steady-state"], ["steady-state"])
