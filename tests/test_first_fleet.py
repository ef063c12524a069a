"""docs/first-fleet.md is gone through: its commands, the real server, two hosts that ask it."""

import asyncio
import re
from pathlib import Path
from typing import Final

from tests.doc_shell import Machine, commands, screens
from tests.fakes.host import Host, reasons
from tests.lockd.program import free_socket, serving

PAGE: Final = "docs/first-fleet.md"
URL: Final = "http://locks.example.com:3333"
OTHER_MACHINE: Final = "ffeeddccbbaa99887766554433221100"


class Story:
    """A server and two hosts, and what its reader does, page from top to bottom."""

    def __init__(self, locks: Machine, hosts: tuple[Host, Host], nodes: list[Machine]) -> None:
        self.locks, self.hosts, self.nodes = locks, hosts, nodes

    async def lends_without_an_update(self) -> None:
        [(status, printed)] = screens(PAGE)
        assert await self.locks.follow(status) == printed
        one, two = self.nodes
        for node in self.nodes:
            said = await node.follow(commands(PAGE, "rebootmgrctl reload"))
            assert "configuration reloaded" in said
            assert "group: default" in said
        assert "granted" in await one.follow(commands(PAGE, "fleet-lock lock"))
        async with asyncio.TaskGroup() as tasks:
            other = tasks.create_task(two.follow(commands(PAGE, "fleet-lock lock", nth=1)))
            while "1 host waits" not in await self.locks.follow(status):
                assert not other.done()
            assert "released" in await one.follow(commands(PAGE, "fleet-lock unlock"))
        assert "granted" in other.result()
        assert "released" in await two.follow(commands(PAGE, "fleet-lock unlock"))

    async def reboots_one_after_the_other(self) -> None:
        first, second = self.hosts
        await first.os.stage("42.2")
        await first.until_state("rebooting")
        await second.os.stage("42.2")
        await second.until(lambda status: "lock_pending" in reasons(status))
        assert "lock_pending" in await self.nodes[1].follow(commands(PAGE, "rebootmgrctl why"))
        assert second.reboots() == 0
        await first.reboot()
        await first.start()
        await second.until_state("rebooting")
        said = await self.locks.follow("rebootmgrctl --json fleet history")
        assert said.count('"lent"') == 4
        assert said.count('"returned"') == 3

    async def is_frozen_and_buries_a_host(self) -> None:
        assert "the first fleet" in await self.locks.follow(commands(PAGE, "fleet freeze"))
        await self.hosts[1].kill()
        held = await self.locks.follow("rebootmgrctl --json fleet holders")
        [dead] = re.findall(r'"id": "(\w+)"', held)  # both are called as this machine is
        await self.locks.follow(commands(PAGE, "fleet release").replace("node2", dead))
        assert "granted" in await self.nodes[0].follow(commands(PAGE, "fleet-lock lock"))


async def test_a_first_fleet_comes_of_the_commands_of_its_page(tmp_path: Path) -> None:
    listener = free_socket()
    spoken = {URL: f"http://127.0.0.1:{listener.getsockname()[1]}"}
    locks = Machine(tmp_path / "locks", spoken)
    for folder in ("etc/rebootmgr-lockd/config.d", "var/lib/rebootmgr-lockd"):
        (locks.root / folder).mkdir(parents=True)
    assert "configuration valid" in await locks.follow(commands(PAGE, "sudo rebootmgr-lockd"))
    assert locks.told == ["enable --now rebootmgr-lockd"]
    async with (
        serving(locks.root, listener=listener),
        Host(tmp_path / "node1") as one,
        Host(tmp_path / "node2") as two,
    ):
        (two.root / "etc/machine-id").write_text(f"{OTHER_MACHINE}\n")
        for host in (one, two):
            host.configure("", "50-fleet.toml")
            await host.start()
        nodes = [Machine(host.root, spoken, host.environ) for host in (one, two)]
        story = Story(locks, (one, two), nodes)
        await story.lends_without_an_update()
        await story.reboots_one_after_the_other()
        await story.is_frozen_and_buries_a_host()
