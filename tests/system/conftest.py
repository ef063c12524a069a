"""Machines for tests, and the count that the integration run shows."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from tests.fakes.fleetlock import FakeFleetLock
from tests.system.composefs_machine import ComposefsMachine
from tests.system.layers import layers_of
from tests.system.machine import Machine
from tests.system.ostree_machine import MakeHost, OstreeMachine
from tests.system.roots import suites_here
from tests.system.sysroot import why_not_ostree

MakeMachine: TypeAlias = Callable[..., Awaitable[Machine]]

KINDS: Final[Mapping[str, Mapping[str, bool]]] = {
    "rpm-ostree": {},
    "ostree": {"with_rpm_ostreed": False},
    "ostree-on-composefs": {"with_rpm_ostreed": False, "on_composefs": True},
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many ran, and what they measured."""
    stats = terminalreporter.stats
    ran = sum(len(stats.get(outcome, ())) for outcome in ("passed", "failed", "error"))
    for report in (report for outcome in ("passed", "failed") for report in stats.get(outcome, ())):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid.rpartition('[')[2]:<16} {name}: {value}")
    if left_out := os.environ.get("REBOOTMGR_SYSTEM_LEFT_OUT"):
        terminalreporter.write_line(f"system: {left_out}")
    terminalreporter.write_line(f"system: {ran} ran")


def pytest_configure(config: pytest.Config) -> None:
    """Name what a test says of the systems that it wants."""
    config.addinivalue_line(
        "markers",
        "systems('every' or 'one'): what it shows depends on the version of systemd, logind or "
        "rpm, or on none of them; without it a test runs on the oldest and the newest",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on the systems that can answer differently, the newest last."""
    if "suite" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("systems")
        suites = suites_here()
        match marker.args[0] if marker else "ends":
            case "every":
                wanted = suites
            case "one":
                wanted = suites[-1:]
            case _:
                wanted = (suites[0], suites[-1])
        metafunc.parametrize("suite", wanted)


@pytest.fixture
async def make_machine(suite: str, tmp_path: Path) -> AsyncIterator[MakeMachine]:
    """Make machines with the product installed, not booted yet; they end with the test."""
    async with AsyncExitStack() as stack:

        async def make(name: str = "m", *, bridge: str = "") -> Machine:
            machine = Machine(layers_of(suite), tmp_path, name, bridge=bridge)
            return await stack.enter_async_context(machine)

        yield make


@pytest.fixture
async def machine(make_machine: MakeMachine) -> Machine:
    """One machine with the product installed and enabled, not booted yet."""
    return await make_machine()


@pytest.fixture
async def make_host(tmp_path: Path) -> AsyncIterator[MakeHost]:
    """Make real ostree hosts with the product in their tree, not booted yet."""
    if why := why_not_ostree():
        pytest.skip(why)
    async with AsyncExitStack() as stack:

        async def make(
            name: str = "m", *, with_rpm_ostreed: bool = True, on_composefs: bool = False
        ) -> OstreeMachine:
            machine = OstreeMachine(
                tmp_path, name, with_rpm_ostreed=with_rpm_ostreed, on_composefs=on_composefs
            )
            return await stack.enter_async_context(machine)

        yield make


@pytest.fixture(params=KINDS)
async def host(request: pytest.FixtureRequest, make_host: MakeHost) -> OstreeMachine:
    """One of each kind."""
    return await make_host(**KINDS[request.param])


@pytest.fixture
async def rpm_ostree_host(make_host: MakeHost) -> OstreeMachine:
    """One with rpm-ostreed, for what is its alone."""
    return await make_host()


@pytest.fixture
async def composefs(tmp_path: Path) -> AsyncIterator[ComposefsMachine]:
    """A host of bootc on composefs with the product in its image, not booted yet."""
    async with ComposefsMachine(tmp_path) as machine:
        yield machine


@pytest.fixture
async def server() -> AsyncIterator[FakeFleetLock]:
    """A lock server with one slot, outside the machine."""
    async with FakeFleetLock(retry_after=1) as server:
        yield server


@pytest.fixture(params=["dbus-broker", "dbus-daemon"])
def bus_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)
