"""A reload happens whole or not at all, whatever is in its way, and never ends the daemon."""

import resource
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from rebootmgr.cli.bus_verbs import METRICS
from rebootmgr.unix_sockets import unix_address
from tests.fakes.host import Host, reasons
from tests.fakes.logind import FakeInhibitor

OLD = '[metrics]\nsocket_mode = "0600"\n'
NEW = '[updates]\nenabled = false\n[metrics]\nsocket_mode = "0660"\n'


async def blocked(host: Host) -> None:
    """A host that waits for an inhibitor; the new configuration switches it off."""
    host.configure(OLD)
    host.logind.add_inhibitor(FakeInhibitor())
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("inhibited")


def remove_socket(path: Path) -> None:
    path.unlink()


def remove_directory(path: Path) -> None:
    shutil.rmtree(path.parent)


def leave_a_dead_socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as dead, unix_address(path) as address:
        dead.bind(address)


@pytest.mark.parametrize("mend", [remove_socket, remove_directory, leave_a_dead_socket])
async def test_a_reload_puts_back_what_is_gone_of_the_metrics(
    host: Host, mend: Callable[[Path], None]
) -> None:
    await blocked(host)
    path = host.root / METRICS
    mend(path)
    host.configure(NEW)
    assert await host.reload() == ""
    await host.until(lambda status: reasons(status) == ["disabled", "inhibited"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    metrics = await host.metrics()
    assert metrics["rebootmgr_config_reload_successful"] == 1
    assert metrics['rebootmgr_blocked{reason="disabled"}'] == 1


@contextmanager
def another_server(path: Path) -> Iterator[None]:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other, unix_address(path) as address:
        other.bind(address)
        other.listen()
        yield
    path.unlink()


@contextmanager
def a_directory(path: Path) -> Iterator[None]:
    path.unlink()
    path.mkdir()
    yield
    path.rmdir()


@contextmanager
def a_link_elsewhere(path: Path) -> Iterator[None]:
    path.unlink()
    path.symlink_to(path.parent / "elsewhere")
    (path.parent / "elsewhere").write_text("")
    yield
    assert stat.S_IMODE((path.parent / "elsewhere").stat().st_mode) != 0o660
    path.unlink()


@contextmanager
def no_way_there(path: Path) -> Iterator[None]:
    shutil.rmtree(path.parent)
    path.parent.write_text("")
    yield
    path.parent.unlink()


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (another_server, "another process serves metrics"),
        (a_directory, "is in the way of the metrics socket"),
        (a_link_elsewhere, "is in the way of the metrics socket"),
        (no_way_there, "metrics.promsock: Not a directory"),
    ],
)
async def test_a_reload_that_fails_changes_nothing_and_the_next_one_succeeds(
    host: Host, trouble: Callable[[Path], object], why: str
) -> None:
    await blocked(host)
    host.configure(NEW)
    with ExitStack() as stack:
        stack.enter_context(trouble(host.root / METRICS))  # type: ignore[arg-type]
        assert why in await host.reload()
        status = await host.until(lambda status: bool(status["config_problems"]))
        assert (reasons(status), status["config_valid"]) == (["inhibited"], True)
        assert why in status["config_problems"][0]
        host.hang_up()
        code, _, error = await host.ctl("reload")
        assert (code, error.splitlines()[-1]) == (
            1,
            "rebootmgrctl: the configuration stays what it was",
        )
        assert why in error
    assert await host.reload() == ""
    status = await host.until(lambda status: reasons(status) == ["disabled", "inhibited"])
    assert status["config_problems"] == []
    assert (await host.metrics())["rebootmgr_config_reload_successful"] == 1
    assert "Traceback" not in host.log.read_text()


async def test_a_reload_without_a_free_descriptor_changes_nothing(host: Host) -> None:
    await blocked(host)
    assert host.daemon is not None
    host.configure(NEW)
    limits = resource.prlimit(host.daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(host.daemon.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    host.hang_up()
    status = await host.until(lambda status: bool(status["config_problems"]))
    assert "inhibited" in reasons(status)
    assert "disabled" not in reasons(status)  # though state.json may be out of reach, too
    with suppress(ProcessLookupError):
        resource.prlimit(host.daemon.pid, resource.RLIMIT_NOFILE, limits)
    assert await host.reload() == ""
    await host.until(lambda status: reasons(status) == ["disabled", "inhibited"])
