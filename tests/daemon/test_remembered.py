"""What state.json keeps from one daemon to the next, and what it must not bring along (SPEC 9)."""

from datetime import datetime, timedelta

from rebootmgr.instants import encode_instant
from tests.daemon.fleet import debt
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import Host, fleet_lock
from tests.fakes.logind import FakeInhibitor

CLONED = "is of another machine, as on a cloned disk"


async def test_since_when_an_update_waits_and_the_host_is_behind_survives_the_daemon(
    host: Host,
) -> None:
    host.logind.add_inhibitor(FakeInhibitor())
    await host.os.stage("42.2")
    await host.start()
    before = await host.until_blocked("inhibited")
    kept = (await host.until_remembered(lambda memory: memory["backlog"] is not None))["backlog"]
    earlier = datetime.fromisoformat(kept["since"]) - timedelta(days=20)
    await host.kill()
    host.remember(
        **{**host.remembered(), "backlog": {**kept, "behind_since": encode_instant(earlier)}}
    )
    await host.start()
    status = await host.until_blocked("inhibited")
    assert status["pending"]["since"] == before["pending"]["since"]
    assert status["behind_since"] == encode_instant(earlier, timespec="seconds")
    metrics = await host.metrics()
    assert metrics["rebootmgr_behind_since_timestamp_seconds"] == earlier.timestamp()
    assert metrics["rebootmgr_pending_since_timestamp_seconds"] > earlier.timestamp() + 1_700_000
    _, screen, _ = await host.ctl("status")
    assert "Behind: since" in screen


async def test_a_cloned_disk_gives_back_no_slot_of_the_host_that_it_was_made_from(
    host: Host, server: FakeFleetLock
) -> None:
    """Nor the other way round: the first host's own slot stays its own."""
    host.configure(fleet_lock(server.url, strategy='"off"'))
    owed = {**debt(server), "id": "the-original"}
    server.seize("default", "the-original")
    host.remember(
        machine="ab" * 16,
        releases_owed=[owed],
        attempts={"fedora-coreos:x": 2},
        quarantine=[{"key": "fedora-coreos:x", "why": "bad", "since": "2026-01-01T00:00:00Z"}],
        reboots=[{"at": "2026-01-01T00:00:00Z", "target": "x", "version": "41"}],
        reboots_total=1,
        holds=[{"id": "h", "owner": "alice", "reason": "x", "since": "2026-01-01T00:00:00Z"}],
    )
    await host.start()
    status = await host.until_state("idle")
    assert (status["slots"], status["history"], status["quarantine"]) == ([], [], [])
    assert [hold["id"] for hold in status["holds"]] == ["h"]
    await host.until_remembered(lambda memory: memory["machine"] not in {"", "ab" * 16})
    assert await host.stop() == 0
    await host.start()
    await host.until_state("idle")
    assert await host.stop() == 0
    assert host.log.read_text().count(CLONED) == 1
    assert host.remembered()["releases_owed"] == []
    assert server.holders == {"default": ["the-original"]}
