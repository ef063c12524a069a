"""A slot that cannot be given back any more: shown with what the server says, and dropped."""

import json

from tests.daemon.fleet import until_settled
from tests.fakes.fleetlock import FakeFleetLock, error
from tests.fakes.host import NODE_ID, Host

DROP = ("fleet-lock", "drop-debt")


async def until_owed(host: Host, server: FakeFleetLock, *groups: str) -> None:
    """Owe the server, which knows no group any more, a slot of each."""
    await until_settled(host, server)
    server.groups = frozenset()
    await host.stop()
    debts = [{"server": server.url, "group": group, "id": NODE_ID} for group in groups]
    host.remember(**{**host.remembered(), "releases_owed": debts})
    await host.start()
    await host.until(
        lambda status: sum(bool(slot["error"]) for slot in status["slots"]) == len(groups)
    )


async def test_what_is_owed_to_a_group_that_is_gone_is_shown_and_dropped(
    host: Host, server: FakeFleetLock
) -> None:
    await until_owed(host, server, "two")
    _, out, _ = await host.ctl("status")
    assert 'HTTP 400 unknown_group: unknown group "two"' in " ".join(out.split())
    told = f"group two at {server.url}, id {NODE_ID}"
    status, out, err = await host.ctl(*DROP, f"{server.url.upper().replace('HTTP', 'http')}/")
    assert (status, err) == (0, "")
    assert out == f"dropped: {told}: it is not given back any more\n"
    shown = await host.status()
    assert (shown["slots"], shown["notices"]) == ([], [])
    assert host.remembered()["releases_owed"] == []
    assert f"dropped what is owed: {told}" in host.log.read_text()
    number = len(server.seen)
    await host.stop()
    await host.start()
    await host.until_state("idle")
    assert "two" not in "".join(seen.body for seen in server.seen[number:])


async def test_of_several_debts_the_one_that_is_meant_has_to_be_said(
    host: Host, server: FakeFleetLock
) -> None:
    await until_owed(host, server, "two", "three")
    status, out, err = await host.ctl(*DROP, server.url)
    assert (status, out) == (1, "")
    for group in ("two", "three"):
        assert f"drop-debt {server.url} --group {group} --id {NODE_ID}`" in err
    assert len((await host.status())["slots"]) == 2
    status, out, _ = await host.ctl("--json", *DROP, server.url, "--group", "two")
    assert status == 0
    assert json.loads(out) == {
        "operation": "drop-debt",
        "server": server.url,
        "group": "two",
        "id": NODE_ID,
        "dropped": True,
    }
    assert [slot["group"] for slot in (await host.status())["slots"]] == ["three"]


async def test_nothing_that_is_not_owed_is_dropped(host: Host, server: FakeFleetLock) -> None:
    await until_owed(host, server, "two")
    for wrong in (
        ["http://elsewhere.example"],
        [server.url, "--group", "one"],
        [server.url, "--id", "other"],
        [f"{server.url}/base"],
    ):
        status, _, err = await host.ctl(*DROP, *wrong)
        assert (status, "nothing of that kind is owed" in err) == (1, True)
        assert f"drop-debt {server.url} --group two" in err, "what there is"
    for wrong in ([], ["ftp://h"], [server.url, "--owed"], [server.url, "--base-url", "http://h"]):
        assert (await host.ctl(*DROP, *wrong))[0] == 2
    assert (await host.ctl("fleet-lock", "unlock", server.url))[0] == 2
    assert len((await host.status())["slots"]) == 1


async def test_a_slot_in_use_is_no_debt(host: Host, server: FakeFleetLock) -> None:
    await until_settled(host, server)
    server.script += [error(202, "draining", "3 pods")] * 9
    await host.os.stage("42.2")
    await host.until_blocked("lock_draining")
    assert (await host.ctl(*DROP, server.url))[0] == 1
    assert not (await host.status())["notices"]


async def test_a_debt_to_a_group_that_is_gone_keeps_no_script_from_another(
    host: Host, server: FakeFleetLock
) -> None:
    """The server and its hosts were renamed from `two` to `default`."""
    await until_owed(host, server, "two")
    server.groups = frozenset({"default"})
    status, _, err = await host.ctl("fleet-lock", "lock")
    assert (status, "waiting" in err) == (0, False)
    assert server.holders == {"default": [NODE_ID]}
    assert (await host.ctl("fleet-lock", "unlock"))[0] == 0
