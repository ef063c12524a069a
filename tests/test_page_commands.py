"""The commands of the other pages that need no host, run as their reader would."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.doc_shell import Machine, commands, screens
from tests.doc_text import GUIDES, blocks
from tests.fakes.dbus_daemon import DbusDaemon
from tests.lockd.program import serving

MACHINE_ID: Final = "00112233445566778899aabbccddeeff\n"
# As Fedora has it.
RPM_OSTREED: Final = "# The defaults\n[Daemon]\n#AutomaticUpdatePolicy=none\n#IdleExitTimeout=60\n"
DEAD: Final = "eee0097b460c4b2dbf94510d0330626c"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A host on which no daemon runs."""
    for folder in ("etc/rebootmgr/config.d", "etc/rebootmgr-lockd/config.d"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/machine-id").write_text(MACHINE_ID)
    with DbusDaemon() as bus:
        yield Machine(tmp_path, {}, {"DBUS_SYSTEM_BUS_ADDRESS": bus.address})


def policy(page: str, word: str) -> str:
    """The drop-in of a page that has this word."""
    return next(b["body"] for _, b in blocks({page: GUIDES[page]}, "toml") if word in b["body"])


async def test_a_pipeline_looks_at_drop_ins_before_a_host_has_them(machine: Machine) -> None:
    said = await machine.follow(commands("docs/configuration.md", "config init"))
    assert "configuration valid: 0 errors, 0 warnings" in said
    assert "openings" in said


async def test_deadlines_are_looked_at_before_anybody_relies_on_them(machine: Machine) -> None:
    drop_in = machine.root / "etc/rebootmgr/config.d/50-deadlines.toml"
    drop_in.write_text(policy("docs/deadlines.md", "fleet_lock"))
    (checked, valid), (planned, _), (simulated, _) = screens("docs/deadlines.md")
    assert valid == ""
    assert "configuration valid" in await machine.follow(checked)
    assert "openings" in await machine.follow(planned)
    assert "500" in await machine.follow(simulated)


async def test_a_roll_out_is_simulated(machine: Machine) -> None:
    [(command, _)] = screens("docs/scaling.md")
    assert "updated: all 1000" in await machine.follow(command)


async def test_a_roll_out_in_order_is_simulated_as_the_server_lends(machine: Machine) -> None:
    drop_in = machine.root / "etc/rebootmgr-lockd/config.d/50-groups.toml"
    drop_in.write_text(policy("docs/lockd.md", "groups.canary"))
    said = await machine.follow(commands("docs/lockd.md", "simulate"))
    assert "203" in said


async def test_the_slot_of_a_dead_host_is_freed_from_any_other(
    machine: Machine, tmp_path: Path
) -> None:
    groups = "[groups.default]\n[groups.db]\n"
    async with serving(tmp_path / "locks", groups) as server:
        for group in ("default", "db"):
            assert (await server.ask(DEAD, group)).status == 200
        drop_in = machine.root / "etc/rebootmgr/config.d/50-fleet.toml"
        url = f"http://127.0.0.1:{server.port}"
        drop_in.write_text(f'[updates.fleet_lock]\nbase_url = "{url}"\n')
        said = await machine.follow(commands("docs/fleet-lock.md", "unlock --id"))
        assert said.count("released") == 2
        for group in ("default", "db"):
            assert (await server.ask("another", group)).status == 200


@pytest.mark.parametrize("page", ["README.md", "docs/fedora-coreos.md"])
async def test_a_host_that_runs_is_handed_over_from_zincati(machine: Machine, page: str) -> None:
    conf = machine.root / "etc/rpm-ostreed.conf"
    conf.write_text(RPM_OSTREED)
    await machine.follow(commands(page, "zincati"))
    assert conf.read_text() == RPM_OSTREED.replace("#AutomaticUpdatePolicy=none", STAGES)
    assert machine.told == [
        "mask --now zincati.service",
        "enable --now rpm-ostreed-automatic.timer",
        "reboot",
    ]
    told = (machine.root / "rpm-ostree").read_text().splitlines()
    assert told == ["reload", "install rebootmgr"]


STAGES: Final = "AutomaticUpdatePolicy=stage"


async def test_the_drop_ins_of_zincati_are_copied_and_taken(machine: Machine) -> None:
    theirs = machine.root / "etc/zincati/config.d"
    theirs.mkdir(parents=True)
    (theirs / "55-updates-strategy.toml").write_text('[updates]\nstrategy = "immediate"\n')
    await machine.follow(commands("docs/migrating-from-zincati.md", "zincati"))
    assert "configuration valid" in await machine.follow("rebootmgrctl check-config")
    assert "55-updates-strategy.toml" in await machine.follow("rebootmgrctl cat-config")
