"""`fleet-lock` beside a running daemon: at no moment do both rely on the slot of this host."""

import asyncio
import os
import pwd
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from itertools import groupby
from time import monotonic

import pytest

from rebootmgr.cli.script_lock import REASON
from rebootmgr.errors import BusError
from tests.daemon.fleet import paths, until_settled
from tests.fakes.fleetlock import FakeFleetLock, Script, error, hang, reply
from tests.fakes.host import HANG, NODE_ID, Host, fleet_lock, reasons

MANAGER = ("org.rebootmgr1", "/org/rebootmgr1", "org.rebootmgr1.Manager")
LOCK = ("fleet-lock", "lock")
UNLOCK = ("fleet-lock", "unlock")


async def until_ready(host: Host, server: FakeFleetLock, *more: str) -> None:
    await until_settled(host, server, *more)
    server.seen.clear()


async def begin(host: Host, *arguments: str) -> Process:
    """Start rebootmgrctl and do not wait for it."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rebootmgr.cli.main", "--root", str(host.root), *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=host.environ,
    )


async def ended(script: Process) -> tuple[int | None, str]:
    _, err = await script.communicate()
    return script.returncode, err.decode()


async def held(host: Host, *, endless: bool) -> None:
    """Wait until scripts have exactly one hold, with or without an end."""
    await host.until(
        lambda status: [hold["until"] is None for hold in status["holds"]] == [endless]
    )


async def free(host: Host) -> None:
    await host.until(lambda status: not status["holds"])


async def test_a_script_that_has_the_slot_holds_the_daemon_until_it_returns_it(
    host: Host, server: FakeFleetLock
) -> None:
    await until_ready(host, server)
    assert (await host.ctl(*LOCK))[0] == 0
    await held(host, endless=True)
    await host.os.stage("42.2")
    status = await host.until_blocked("held")
    assert REASON in status["blockers"][0]["detail"]
    assert paths(server) == ["pre-reboot"]
    assert (await host.ctl(*UNLOCK))[0] == 0
    await host.until_state("rebooting")
    assert paths(server) == ["pre-reboot", "steady-state", "pre-reboot"]


async def test_the_hold_survives_a_crash_of_the_daemon(host: Host, server: FakeFleetLock) -> None:
    await until_ready(host, server)
    assert (await host.ctl(*LOCK))[0] == 0
    await host.kill()
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("held")
    assert (paths(server), server.holders) == (["pre-reboot"], {"default": [NODE_ID]})
    assert (await host.ctl(*UNLOCK))[0] == 0
    await host.until_state("rebooting")


async def test_a_daemon_that_is_asking_gives_back_for_good_before_the_script_asks(
    host: Host, server: FakeFleetLock
) -> None:
    """The server may grant the daemon's question late: its release is repeated, and awaited."""
    began = monotonic()
    await host.ctl(*LOCK, "--help")
    script_s = monotonic() - began
    # The daemon asks for longer than a script takes to come, and then soon repeats its release.
    await until_ready(host, server, f"timeout_seconds = {2 + int(4 * script_s)}")
    server.script.append(hang())
    await host.os.stage("42.2")
    await host.until_state("asking")
    await server.wait_seen(1)
    status, _, said = await host.ctl(*LOCK)
    assert (status, paths(server)) == (
        0, ["pre-reboot", "steady-state", "steady-state", "pre-reboot"],
    )  # fmt: skip
    assert "waiting for rebootmgrd" in said
    assert server.holders == {"default": [NODE_ID]}
    await host.until_blocked("held")
    assert (await host.ctl(*UNLOCK))[0] == 0
    await host.until_state("rebooting")
    assert paths(server)[4:] == ["steady-state", "pre-reboot"]


async def test_a_daemon_that_has_its_slot_undoes_before_the_script_asks(
    host: Host, server: FakeFleetLock
) -> None:
    await until_ready(host, server)
    host.hook("pre-reboot.d", "10-drain", HANG)
    host.hook("post-boot.d", "10-undrain", "exit 0")
    await host.os.stage("42.2")
    await host.until_state("preparing")
    assert (await host.ctl(*LOCK))[0] == 0
    assert paths(server) == ["pre-reboot", "steady-state", "pre-reboot"]
    host.hook("pre-reboot.d", "10-drain", "exit 0")
    assert (await host.ctl(*UNLOCK))[0] == 0
    await host.until_state("rebooting")


async def test_a_daemon_in_the_queue_leaves_it(host: Host, server: FakeFleetLock) -> None:
    await until_ready(host, server)
    server.seize("default", "other")
    await host.os.stage("42.2")
    await host.until_blocked("lock_refused")
    assert (await host.ctl(*LOCK))[0] == 1
    asked = [path for path, _ in groupby(paths(server))]  # in the queue it may ask again
    assert asked[:4] == ["pre-reboot", "steady-state", "pre-reboot", "steady-state"]
    await free(host)
    assert server.holders == {"default": ["other"]}


async def test_a_release_that_the_server_never_confirms_keeps_the_script_from_asking(
    host: Host, server: FakeFleetLock
) -> None:
    await until_ready(host, server)
    server.script.extend([error(500, "failed_lock", "full"), *[error(503, "no", "down")] * 50])
    await host.os.stage("42.2")
    await host.until_blocked("lock_refused")
    script = await begin(host, *LOCK)
    await held(host, endless=False)
    await host.until(lambda status: bool(status["notices"]))
    assert script.stderr is not None
    await script.stderr.readuntil(b"it gives back its own slot HTTP 503 no: down")
    assert paths(server).count("pre-reboot") == 1
    script.send_signal(signal.SIGINT)
    status, _ = await ended(script)
    assert status == 130
    await free(host)


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        (error(409, "failed_lock", "taken"), []),  # clean: nothing is ours
        (error(500, "failed_lock", "conflict"), ["steady-state"]),
        (reply(302, location="/"), ["steady-state"]),
        (Script(), ["steady-state"]),
    ],
)
async def test_a_lock_that_is_not_granted_leaves_nothing_behind(
    host: Host, server: FakeFleetLock, answer: Script, after: list[str]
) -> None:
    await until_ready(host, server)
    server.script.append(answer)
    status, _, said = await host.ctl(*LOCK)
    assert (status, paths(server)) == (1, ["pre-reboot", *after])
    assert len(said.splitlines()) == 1
    await free(host)


async def test_a_reservation_stays_while_the_script_comes_again(
    host: Host, server: FakeFleetLock
) -> None:
    await until_ready(host, server)
    server.script.extend([error(202, "waiting_for_node_drain", "evicting")] * 2)
    for _ in range(2):
        status, _, said = await host.ctl(*LOCK)
        assert (status, "still draining" in said) == (1, True)
        await held(host, endless=False)
    assert (await host.ctl(*LOCK))[0] == 0
    await held(host, endless=True)
    assert paths(server) == ["pre-reboot"] * 3


async def test_ctrl_c_takes_the_question_back_and_lifts_the_hold(
    host: Host, server: FakeFleetLock
) -> None:
    await until_ready(host, server)
    server.script.append(hang())
    script = await begin(host, *LOCK)
    await server.wait_seen(1)
    script.send_signal(signal.SIGINT)
    assert await ended(script) == (130, "")
    assert paths(server) == ["pre-reboot", "steady-state"]
    await server.wait_closed()
    await free(host)


async def test_a_second_question_that_fails_does_not_free_the_slot_of_the_first(
    host: Host, server: FakeFleetLock
) -> None:
    await until_ready(host, server)
    assert (await host.ctl(*LOCK))[0] == 0
    server.script.append(error(500, "failed_lock", "conflict"))
    assert (await host.ctl(*LOCK))[0] == 1
    assert paths(server) == ["pre-reboot", "pre-reboot"]
    await held(host, endless=True)


async def test_an_unlock_that_is_not_confirmed_keeps_the_hold(
    host: Host, server: FakeFleetLock
) -> None:
    await until_ready(host, server)
    assert (await host.ctl(*LOCK))[0] == 0
    server.script.append(error(500, "failed_lock", "conflict"))
    status, _, said = await host.ctl(*UNLOCK)
    assert (status, "a hold stays" in said) == (1, True)
    await held(host, endless=True)
    assert (await host.ctl(*UNLOCK))[0] == 0
    await free(host)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_script_that_is_ended_while_it_asks_leaves_neither_slot_nor_hold(
    host: Host, server: FakeFleetLock, number: signal.Signals
) -> None:
    await until_ready(host, server)
    server.seize("default", NODE_ID)  # carried out, and the answer never comes
    server.script.append(hang())
    script = await begin(host, *LOCK)
    await server.wait_seen(1)
    for _ in range(3):  # one is enough, and more do no harm
        script.send_signal(number)
        if number is signal.SIGINT:
            break
    status, _ = await ended(script)
    assert status == (130 if number is signal.SIGINT else -number)
    assert paths(server) == ["pre-reboot", "steady-state"]
    assert server.holders == {"default": []}
    assert (await host.status())["holds"] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_what_an_ended_script_cannot_give_back_is_named_in_holds(
    host: Host, server: FakeFleetLock, number: signal.Signals
) -> None:
    await until_ready(host, server)
    server.script += [hang(), error(503, "no", "down")]
    script = await begin(host, *LOCK)
    await server.wait_seen(1)
    script.send_signal(number)
    status, said = await ended(script)
    assert status == -number
    assert "could not give back what the server may have lent (HTTP 503 no: down)" in said
    [hold] = (await host.status())["holds"]
    assert "until `rebootmgrctl fleet-lock unlock`" in hold["reason"]
    assert hold["until"] is not None
    assert (await host.ctl(*UNLOCK))[0] == 0
    await free(host)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_script_that_is_ended_while_it_waits_for_the_daemon_takes_its_hold_back(
    host: Host, server: FakeFleetLock, number: signal.Signals
) -> None:
    await until_ready(host, server)
    host.hook("pre-reboot.d", "10-drain", HANG)
    host.hook("post-boot.d", "10-undrain", HANG)
    await host.os.stage("42.2")
    await host.until_state("preparing")
    script = await begin(host, *LOCK)
    await host.until_state("undoing")
    script.send_signal(number)
    assert (await ended(script))[0] == -number
    assert (await host.status())["holds"] == []


async def test_a_slot_that_the_daemon_uses_is_not_unlocked_under_it(
    host: Host, server: FakeFleetLock
) -> None:
    await until_ready(host, server)
    host.hook("pre-reboot.d", "10-drain", HANG)
    await host.os.stage("42.2")
    await host.until_state("preparing")
    for more in ([], ["--id", NODE_ID]):
        status, _, said = await host.ctl(*UNLOCK, *more)
        assert (status, "no script holds this slot" in said) == (1, True)
    assert (await host.status())["state"] == "preparing"
    assert paths(server) == ["pre-reboot"]


async def test_a_host_that_is_going_down_has_no_slot_for_scripts(
    host: Host, server: FakeFleetLock
) -> None:
    await until_ready(host, server)
    await host.os.stage("42.2")
    await host.until_state("rebooting")
    status, _, said = await host.ctl(*LOCK)
    assert (status, "too late" in said) == (1, True)
    assert paths(server) == ["pre-reboot"]
    await free(host)


async def test_a_kept_slot_is_left_alone(host: Host, server: FakeFleetLock) -> None:
    await until_ready(host, server)
    kept = {"server": server.url, "group": "default", "id": NODE_ID, "kept": True}
    await host.stop()
    host.remember(**{**host.remembered(), "releases_owed": [kept]})
    await host.start()
    await host.until(lambda status: bool(status["notices"]))
    for verb in (LOCK, UNLOCK):
        status, _, said = await host.ctl(*verb)
        assert (status, "rebootmgrctl forgive" in said) == (1, True)
    assert paths(server) == []
    await free(host)


async def test_the_slot_of_a_dead_host_is_freed_beside_a_daemon_that_waits_for_it(
    host: Host, server: FakeFleetLock
) -> None:
    await until_ready(host, server)
    server.seize("default", "dead")
    await host.os.stage("42.2")
    await host.until_blocked("lock_refused")
    assert (await host.ctl(*UNLOCK, "--id", "dead"))[0] == 0
    assert server.holders["default"] == []
    assert not (await host.status())["holds"]
    assert await host.reload() == ""  # which drops the back-off
    await host.until_state("rebooting")


async def test_a_hold_that_cannot_be_put_on_record_is_no_hold(
    host: Host, server: FakeFleetLock
) -> None:
    host.configure(fleet_lock(server.url))
    host.remember(version={"major": 99, "minor": 0})
    await host.start()
    status, _, said = await host.ctl(*LOCK)
    assert (status, "rebootmgrd refuses Hold" in said) == (1, True)
    assert paths(server) == []
    assert "held" not in reasons(await host.status())


async def test_the_daemon_takes_no_wish_that_makes_no_sense(host: Host) -> None:
    await host.start()
    for member, signature, body in (
        ("Hold", "sx", ["\n\x1b", 0]),
        ("Hold", "sx", ["late", 1]),
    ):
        with pytest.raises(BusError) as caught:
            await host.bus.call(*MANAGER, member, signature, body)
        assert caught.value.name == "org.freedesktop.DBus.Error.InvalidArgs"
    [id_] = await host.bus.call(*MANAGER, "Hold", "sx", ["a\n<0>b\x1b[2J", 2**52])
    [hold] = (await host.status())["holds"]
    assert (hold["id"], hold["reason"], hold["owner"]) == (
        id_,
        "a <0>b [2J",
        pwd.getpwuid(os.getuid()).pw_name,
    )
    await host.bus.call(*MANAGER, "Release", "s", [id_])
    assert host.remembered()["holds"] == []
