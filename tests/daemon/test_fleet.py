"""The lock server seen from the daemon: asked last, told always, and never in the way (SPEC 6)."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from tests.daemon.fleet import debt, paths, until_settled
from tests.fakes.fleetlock import FakeFleetLock, Script, error, hang, reply, silence
from tests.fakes.fleetlock_store import Trouble
from tests.fakes.host import HANG, NODE_ID, Host, fleet_lock, reasons
from tests.fakes.logind import FakeInhibitor

SETTLED = ["steady-state"]  # the first boot under this policy gives back what nobody knows of


async def until_asking(host: Host, server: FakeFleetLock, answer: Script) -> None:
    """Settle, then stage an update and leave the question unanswered."""
    await until_settled(host, server)
    await until_asked(host, server, answer)


async def until_asked(host: Host, server: FakeFleetLock, answer: Script) -> None:
    server.script.append(answer)
    await host.os.stage("42.2")
    await server.wait_seen(2)
    await host.until_state("asking")


@pytest.mark.parametrize(("status", "held"), [(409, 0), (423, 0), (500, 1), (404, 1), (302, 1)])
async def test_a_refusal_is_shown_with_kind_and_value(
    host: Host, server: FakeFleetLock, status: int, held: int
) -> None:
    await until_settled(host, server)
    server.script.append(error(status, "failed_lock", "semaphore is full"))
    await host.os.stage("42.2")
    shown = await host.until_blocked("lock_refused")
    [blocker] = shown["blockers"]
    assert blocker["detail"] == f"HTTP {status} failed_lock: semaphore is full"
    assert blocker["until"] is not None
    assert (shown["lock_held"], shown["lock_presumed"]) == (False, bool(held))
    metrics = await host.metrics()
    assert metrics['rebootmgr_fleet_lock_requests_total{api="pre-reboot"}'] == 1
    failed = 'rebootmgr_fleet_lock_errors_total{api="pre-reboot",kind="failed_lock"}'
    assert metrics[failed] == 1
    assert metrics["rebootmgr_lock_held"] == 0, "whoever waits holds none"
    assert metrics["rebootmgr_lock_presumed"] == held
    _, out, _ = await host.ctl("why")
    assert f" ago: HTTP {status} failed_lock: semaphore is full" in " ".join(out.split())
    assert host.reboots() == 0


async def test_a_dead_store_behind_the_server_is_no_refusal(
    host: Host, server: FakeFleetLock
) -> None:
    await until_settled(host, server)
    server.trouble = Trouble.BACKEND_DOWN
    await host.os.stage("42.2")
    shown = await host.until_blocked("lock_failing")
    assert "failed_sem_init" in shown["blockers"][0]["detail"]
    metrics = await host.metrics()
    assert metrics['rebootmgr_blocked{reason="lock_failing"}'] == 1
    assert metrics['rebootmgr_blocked{reason="lock_refused"}'] == 0
    server.trouble = None
    assert await host.reload() == ""  # which drops the back-off
    await host.until_state("rebooting")


async def test_a_write_whose_answer_the_server_lost_is_given_back_when_nobody_needs_it(
    host: Host, server: FakeFleetLock
) -> None:
    """Seen at poseidon's: it names nobody, and the slot is ours."""
    await until_settled(host, server)
    server.seize("default", NODE_ID)
    server.script.append(error(423, "lock_held", "reboot lease lock unavailable, held by "))
    await host.os.stage("42.2")
    await host.until_blocked("lock_refused")
    assert server.holders == {"default": [NODE_ID]}
    host.trees.cleanup()
    await host.os.refresh()
    await host.until(lambda status: not status["slots"] and not status["lock_presumed"])
    assert server.holders == {"default": []}


async def test_a_server_that_hangs_up_is_unreachable_and_asked_again(
    host: Host, server: FakeFleetLock
) -> None:
    await until_settled(host, server)
    server.script.append(silence())
    await host.os.stage("42.2")
    shown = await host.until_blocked("lock_unreachable")
    assert shown["lock_presumed"]  # it may have granted
    assert not shown["lock_held"]
    await host.until_remembered(
        lambda memory: memory["releases_owed"] == [debt(server, unanswered=True)]
    )
    assert await host.reload() == ""  # which drops the back-off
    await host.until_state("rebooting")


async def test_nobody_at_the_address_is_unreachable(host: Host) -> None:
    await host.start()
    host.configure(fleet_lock("http://127.0.0.1:9/base"))
    assert await host.reload() == ""
    await host.os.stage("42.2")
    shown = await host.until_blocked("lock_unreachable")
    assert "Connect call failed" in shown["blockers"][0]["detail"] or (
        "refused" in shown["blockers"][0]["detail"].lower()
    )
    assert host.reboots() == 0


async def test_a_reservation_is_draining(host: Host, server: FakeFleetLock) -> None:
    await until_settled(host, server)
    server.script.append(error(202, "draining", "evicting 3 pods"))
    await host.os.stage("42.2")
    shown = await host.until_blocked("lock_draining")
    assert shown["blockers"][0]["detail"] == "HTTP 202 draining: evicting 3 pods"
    assert (shown["lock_held"], shown["lock_presumed"]) == (False, True)
    assert host.reboots() == 0
    assert paths(server) == [*SETTLED, "pre-reboot"]


async def test_a_grant_is_held_until_it_is_given_back_also_over_a_reboot(
    host: Host, server: FakeFleetLock
) -> None:
    await until_settled(host, server)
    await host.os.stage("42.2")
    shown = await host.until_state("rebooting")
    assert (shown["lock_held"], shown["lock_presumed"]) == (True, False)
    await host.until_remembered(lambda memory: memory["releases_owed"][0]["granted"])
    server.script += [error(503, "no", "down")] * 2
    await host.stop()
    await host.reboot()
    await host.start()
    shown = await host.until(lambda status: bool(status["notices"]))
    assert (shown["lock_held"], shown["lock_presumed"]) == (True, False)
    assert (await host.metrics())["rebootmgr_lock_held"] == 1
    await host.until(lambda status: not status["slots"])
    shown = await host.status()
    assert (shown["lock_held"], shown["lock_presumed"]) == (False, False)
    asked = next(one.headers for one in server.seen if one.target == "/v1/pre-reboot")
    assert (asked["rebootmgr-booted"], asked["rebootmgr-target"]) == ("42.1", "42.2")
    returned = server.seen[-1].headers
    assert (returned["rebootmgr-booted"], "rebootmgr-target" in returned) == ("42.2", False)


async def test_a_server_is_told_the_labels_of_the_configuration_in_force(
    host: Host, server: FakeFleetLock
) -> None:
    await until_settled(host, server)
    host.configure(fleet_lock(server.url) + "[identity.labels]\nrack = 'a2'\n")
    assert await host.reload() == ""
    await host.os.stage("42.2")
    await host.until_state("rebooting")
    assert "rebootmgr-labels" not in server.seen[0].headers
    asked = next(one.headers for one in server.seen if one.target == "/v1/pre-reboot")
    assert asked["rebootmgr-labels"] == "rack=a2"


async def test_a_server_that_wants_to_hear_it_is_told_the_outcome_before_the_slot_goes_back(
    host: Host, server: FakeFleetLock
) -> None:
    await until_settled(host, server)
    server.script += [reply(200, rebootmgr_lockd="1"), reply(204)]
    await host.os.stage("42.2")
    await host.until_state("rebooting")
    owed = debt(server, granted=True, reports=True)
    await host.until_remembered(lambda memory: memory["releases_owed"] == [owed])
    await host.reboot()
    await host.start()
    await host.until(lambda status: not status["slots"])
    assert paths(server) == [*SETTLED, "pre-reboot", "reports", "steady-state"]
    told = server.seen[2]
    assert (told.target, told.headers["fleet-lock-protocol"]) == ("/api/v1/reports", "true")
    body = json.loads(told.body)
    assert datetime.fromisoformat(body.pop("at")) <= datetime.now(UTC)
    assert body == {
        "client_params": {"id": NODE_ID, "group": "default"},
        "outcome": "succeeded",
        "reason": "",
        "booted": "42.2",
        "target": "42.2",
    }


async def test_a_host_that_keeps_its_slot_tells_why(host: Host, server: FakeFleetLock) -> None:
    await until_settled(host, server)
    server.script += [reply(200, rebootmgr_lockd="1"), reply(204)]
    await host.os.stage("42.2")
    await host.until_state("rebooting")
    host.hook("post-boot.d", "10-db", "echo no replica; exit 1")
    await host.reboot()
    await host.start()
    await server.wait_seen(3)
    body = json.loads(server.seen[2].body)
    assert (body["outcome"], body["reason"]) == ("rolled_back", "10-db: no replica")
    shown = await host.until(lambda status: bool(status["notices"]))
    assert shown["lock_held"]
    assert paths(server) == [*SETTLED, "pre-reboot", "reports"]


async def test_a_server_that_is_no_rebootmgr_lockd_is_told_nothing(
    host: Host, server: FakeFleetLock
) -> None:
    await until_settled(host, server)
    await host.os.stage("42.2")
    await host.until_state("rebooting")
    await host.reboot()
    await host.start()
    await host.until(lambda status: not status["slots"])
    assert paths(server) == [*SETTLED, "pre-reboot", "steady-state"]


async def test_an_inhibitor_takes_the_question_back_at_once(
    host: Host, server: FakeFleetLock
) -> None:
    await until_asking(host, server, hang())
    host.logind.add_inhibitor(FakeInhibitor(who="backup"))
    await server.wait_seen(3)
    await server.wait_closed()
    await host.until_blocked("inhibited")
    assert paths(server) == [*SETTLED, "pre-reboot", "steady-state"]
    assert host.reboots() == 0


async def test_a_window_that_closes_while_the_server_thinks_costs_the_slot_not_the_promise(
    host: Host, server: FakeFleetLock
) -> None:
    """The window is all week, and a freeze ends it in a few seconds: windows go by minutes."""
    began = monotonic()
    await until_settled(host, server)
    settling = timedelta(seconds=monotonic() - began)  # which takes longer than to ask
    closes = datetime.now(UTC) + timedelta(seconds=3) + 2 * settling
    host.configure(
        f"[[updates.blackout]]\nname = 'freeze'\nstart = {closes:%Y-%m-%dT%H:%M:%SZ}\n"
        "end = 2099-01-01T00:00:00Z\n",
        "60-freeze.toml",
    )
    assert await host.reload() == ""
    await until_asked(host, server, hang())
    await host.until_blocked("blackout")
    assert datetime.now(UTC) >= closes.replace(microsecond=0)
    await server.wait_seen(3)
    assert paths(server) == [*SETTLED, "pre-reboot", "steady-state"]
    assert server.holders.get("default", []) == []
    assert host.reboots() == 0


async def test_a_withdrawn_update_takes_the_question_back(
    host: Host, server: FakeFleetLock
) -> None:
    await until_asking(host, server, hang())
    host.trees.cleanup()
    await host.os.refresh()
    await server.wait_seen(3)
    await host.until_state("idle")
    assert paths(server) == [*SETTLED, "pre-reboot", "steady-state"]


async def test_a_newer_update_takes_over_the_place_in_the_queue(
    host: Host, server: FakeFleetLock
) -> None:
    answer = asyncio.Event()
    await until_asking(host, server, reply(200, gate=answer))
    tree = await host.os.stage("42.3")
    await host.until(lambda status: bool(status["pending"]["version"] == "42.3"))
    answer.set()
    await host.until_state("rebooting")
    await host.until_remembered(lambda memory: memory["intent"]["target"] == tree.id)
    assert paths(server) == [*SETTLED, "pre-reboot"]


async def test_sigterm_while_asking_gives_back_and_ends(host: Host, server: FakeFleetLock) -> None:
    await until_asking(host, server, hang())
    assert await host.stop() == 0
    assert paths(server) == [*SETTLED, "pre-reboot", "steady-state"]
    assert host.reboots() == 0


async def test_sigterm_while_a_release_is_not_confirmed_ends_all_the_same(
    host: Host, server: FakeFleetLock
) -> None:
    await until_asking(host, server, hang())
    server.script.append(hang())
    assert await host.stop() == 0, "nobody waits for a server that does not answer"
    assert paths(server) == [*SETTLED, "pre-reboot", "steady-state"]
    await host.until_remembered(
        lambda memory: memory["releases_owed"] == [debt(server, unanswered=True)]
    )


async def test_sigterm_after_an_accepted_reboot_releases_nothing(
    host: Host, server: FakeFleetLock
) -> None:
    host.configure(fleet_lock(server.url))
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")
    host.trees.cleanup()
    await host.os.refresh()
    assert await host.stop() == 0
    assert "steady-state" not in paths(server)[1:]
    assert server.holders == {"default": [NODE_ID]}


async def test_killed_while_asking_the_next_start_gives_back_after_boot_complete(
    host: Host, server: FakeFleetLock
) -> None:
    await until_asking(host, server, hang())
    await host.kill()
    server.seize("default", NODE_ID)  # granted late
    await host.reboot()
    host.systemd.set_boot_complete(reached=False)
    await host.start()
    status = await host.until(lambda status: "boot_not_complete" in reasons(status))
    assert status["lock_presumed"]
    assert len(server.seen) == 2
    host.systemd.set_boot_complete(reached=True)
    await host.until_state("idle")
    await server.wait_seen(3)
    assert paths(server) == [*SETTLED, "pre-reboot", "steady-state"]
    assert server.holders["default"] == []
    await host.until_remembered(lambda memory: memory["booted"]["version"] == "42.2")


async def test_a_change_of_server_while_asking_tells_the_old_one(
    host: Host, server: FakeFleetLock
) -> None:
    """Each with its own credentials, which are in neither state.json nor status."""
    await until_asking(host, server, hang())
    async with FakeFleetLock() as other:
        host.configure(fleet_lock(other.url.replace("http://", "http://node:new@")))
        assert await host.reload() == ""
        await host.until_state("rebooting")
        assert paths(other) == ["pre-reboot"]
        await host.reboot()
        await host.start()
        await server.wait_seen(3)
        assert paths(server) == [*SETTLED, "pre-reboot", "steady-state"]
        assert "authorization" in other.seen[0].headers
        assert "authorization" not in server.seen[2].headers


async def test_a_change_of_server_while_a_slot_is_held_gives_it_back(
    host: Host, server: FakeFleetLock
) -> None:
    await until_settled(host, server)
    host.hook("pre-reboot.d", "10-drain", HANG)
    await host.os.stage("42.2")
    await host.until_state("preparing")
    assert server.holders == {"default": [NODE_ID]}
    async with FakeFleetLock() as other:
        host.hook("pre-reboot.d", "10-drain", "exit 0")
        host.configure(fleet_lock(other.url))
        host.hang_up()
        await host.until_state("rebooting")
        assert paths(server) == [*SETTLED, "pre-reboot"], "it may be the other by another name"
        assert paths(other) == ["pre-reboot"]
        await host.reboot()
        await host.start()
        await host.until(lambda status: status["state"] == "idle" and not status["slots"])
        assert (server.holders, other.holders) == ({"default": []}, {"default": []})


async def test_a_server_that_confirms_nothing_stops_no_attempt_at_another(
    host: Host, server: FakeFleetLock
) -> None:
    await until_settled(host, server)
    server.script.extend([error(500, "failed_lock", "full"), *[error(503, "no", "down")] * 50])
    await host.os.stage("42.2")
    await host.until_blocked("lock_refused")
    async with FakeFleetLock() as other:
        host.configure(fleet_lock(other.url))
        assert await host.reload() == ""
        await host.until_state("rebooting")
        await host.reboot()
        await host.start()
        await host.until(lambda status: len(status["slots"]) == 1)
        status = await host.until(lambda status: bool(status["notices"]))
        [notice] = status["notices"]
        assert notice["notice"] == "slot_not_released"
        assert f"{server.url} (group default): not confirmed since" in notice["detail"]
        assert "HTTP 503 no: down" in notice["detail"]
        [owed] = status["slots"]
        assert (owed["server"], owed["error"]) == (server.url, "HTTP 503 no: down")
        metrics = await host.metrics()
        assert metrics["rebootmgr_releases_owed"] == 1
        assert metrics['rebootmgr_notice{notice="slot_not_released"}'] == 1
        await host.reboot()
        server.script.clear()
        await host.start()
        await host.until(lambda status: status["state"] == "idle" and not status["slots"])
        assert paths(server)[-1] == "steady-state"
        await host.until_remembered(lambda memory: not memory["releases_owed"])
        assert paths(other) == ["pre-reboot", "steady-state", "steady-state"]


async def test_a_kept_slot_stops_the_roll_out_until_another_update_succeeds(
    host: Host, server: FakeFleetLock
) -> None:
    host.configure(fleet_lock(server.url))
    await host.os.stage("42.2")
    await host.start()
    await host.until_state("rebooting")
    await host.stop()
    host.trees.reboot()
    host.trees.rollback()
    host.trees.reboot()  # it did not come up, and the boot loader fell back
    await host.reboot()
    await host.start()
    status = await host.until(lambda status: bool(status["outcomes"]))
    assert status["outcomes"] == {"rolled_back": 1}
    assert [notice["notice"] for notice in status["notices"]] == ["slot_kept"]
    assert (await host.metrics())["rebootmgr_slot_kept"] == 1
    assert server.holders == {"default": [NODE_ID]}
    await host.os.stage("42.3")
    await host.until_state("rebooting")
    await host.reboot()
    await host.start()
    await host.until(lambda status: status["state"] == "idle" and not status["slots"])
    assert server.holders == {"default": []}


async def test_secrets_of_a_url_are_used_and_never_shown(host: Host, server: FakeFleetLock) -> None:
    url = server.url.replace("http://", "http://node:hunter2@")
    host.configure(fleet_lock(url))
    server.script.extend([error(401, "no", "who are you"), *[error(403, "no", "go away")] * 9])
    await host.os.stage("42.2")
    await host.start("--log-level", "debug")
    await host.until_blocked("lock_failing")
    assert server.seen[-1].headers["authorization"].startswith("Basic ")
    shown = [json.dumps(await host.status()), host.log.read_text(), host.state_file.read_text()]
    for verb in (["status"], ["why"], ["metrics"], ["--json", "status"]):
        shown += (await host.ctl(*verb))[1:]
    assert not [text for text in shown if "hunter2" in text]
    assert host.log.read_text().count("check group, node_uuid and credentials") == 1


async def test_a_hangup_is_a_reload(host: Host) -> None:
    await host.start()
    host.configure('[updates]\nstrategy = "off"\n')
    host.hang_up()
    await host.until(lambda status: status["strategies"] == ["off"])
