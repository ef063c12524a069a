"""What the whole suite shares."""

import gc
import inspect
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

from rebootmgr.bus.connection import Bus
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.fleetlock_tls import Certificate
from tests.fakes.short import short_directory
from tests.waiting import bounded

# Machines are booted by `make system`, in namespaces that end with the tests, and nowhere else.
collect_ignore = [] if os.environ.get("REBOOTMGR_SYSTEM_TESTS") == "alone" else ["system"]


def _unheard(*_: object) -> None:
    """Go on; unlike a signal that is ignored, this is not inherited by the programs of a test."""


def _hear(number: signal.Signals, handler: Callable[[int, FrameType | None], object]) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


# What runs in the background ignores Ctrl-C, and below nohup that the terminal is gone.
_hear(signal.SIGINT, signal.default_int_handler)
_hear(signal.SIGQUIT, _unheard)
_hear(signal.SIGHUP, _unheard)

# How fast examples come says how busy the machine is.
settings.register_profile("calm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("calm")


_made: list[Path] = []


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Keep `tmp_path` short whoever runs the suite and however often: sockets are bound in it."""
    if not config.option.basetemp:  # a worker has a part of the first one's
        _made.append(short_directory("rm-", inside=76))
        config.option.basetemp = str(_made[0])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage meanwhile, and later never among all that is collected here."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionfinish(exitstatus: int) -> None:
    """Leave what tests made only if one failed, to be looked at."""
    if exitstatus != pytest.ExitCode.TESTS_FAILED:
        for directory in _made:
            shutil.rmtree(directory, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bound every async test as a whole; nothing in it needs a bound of its own."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = bounded(item.obj)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how far the world model walked, and what fleets and hosts lived through."""
    totals = dict.fromkeys(
        ("worlds", "steps", "grants", "faults", "months", "mishaps", "reboots"), 0
    )
    seeds = []
    for report in terminalreporter.stats.get("passed", []):
        for name, value in getattr(report, "user_properties", []):
            if name in totals:
                totals[name] += value
            if name == "seed":
                seeds.append(value)
    if totals["worlds"]:
        terminalreporter.write_line(
            f"world model: {totals['worlds']} worlds, {totals['steps']} steps, no violation"
        )
    if seeds:
        terminalreporter.write_line(
            f"fleet: {len(seeds)} seeds from {min(seeds)}, {totals['grants']} grants, "
            f"{totals['faults']} faults injected, no violation"
        )
    if totals["months"]:
        terminalreporter.write_line(
            f"days: {totals['months']} months, {totals['reboots']} reboots judged, "
            f"{totals['mishaps']} faults injected, no violation"
        )


@pytest.fixture
def daemon() -> Iterator[DbusDaemon]:
    """A bus of its own for each test."""
    with DbusDaemon() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A bus for a whole module, where nothing that is left on it matters to the next test."""
    with DbusDaemon() as daemon:
        yield daemon.address


@pytest.fixture
async def bus(daemon: DbusDaemon) -> AsyncIterator[Bus]:
    """A connection to it."""
    bus = await Bus.connect(daemon.address)
    yield bus
    await bus.close()


@pytest.fixture
async def fake() -> AsyncIterator[FakeFleetLock]:
    """A lock server."""
    async with FakeFleetLock() as server:
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """What a TLS server shows, and who vouches for it."""
    return Certificate.make(tmp_path_factory.mktemp("tls"))
