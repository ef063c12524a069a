"""A host in a fleet, and what its lock server was asked."""

from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import NODE_ID, Host, fleet_lock


def paths(server: FakeFleetLock) -> list[str]:
    """What was asked, in order."""
    return [seen.target.rpartition("/")[2] for seen in server.seen]


def debt(server: FakeFleetLock, **more: bool) -> dict[str, object]:
    """A slot of this host, as state.json has it."""
    where = {"server": server.url, "group": "default", "id": NODE_ID}
    return {
        **where,
        "granted": False,
        "unanswered": False,
        "kept": False,
        "asked": True,
        "since": None,
        "reports": False,
        **more,
    }


async def until_settled(host: Host, server: FakeFleetLock, *more: str) -> None:
    """Start, and wait until the first boot is settled and the server knows it.

    `more` are settings of the lock server.
    """
    host.configure("\n".join((fleet_lock(server.url), *more)))
    await host.start()
    await server.wait_seen(1)
    await host.until(lambda status: status["state"] == "idle" and not status["slots"])
