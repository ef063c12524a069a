"""Who may change something, asked of a polkit on a real bus."""

import asyncio
import logging
import os
import pwd
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rebootmgr.bus.connection import Bus, Reply, Request
from rebootmgr.bus.signals import DRIVER
from rebootmgr.control.polkit import AT_ONCE_PER_USER, Authority, read_changers
from rebootmgr.errors import BusError
from tests.adapters.connections import connected
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.polkit import FakePolkit, Mode, Question

PATH = "/guarded"
ERROR = "org.freedesktop.DBus.Error."
ACTION = "org.rebootmgr1.manage"
ME = pwd.getpwuid(os.getuid()).pw_name
LONG_S = 3600.0
SHORT_S = 0.05


class Guarded:
    """A service of which everything asks `Authority`; clients have connections of their own."""

    def __init__(self, daemon: DbusDaemon, bus: Bus, client: Bus) -> None:
        self.daemon = daemon
        self.bus = bus
        self.client = client

    async def call(
        self,
        member: str = "Hold",
        signature: str = "",
        *body: object,
        client: Bus | None = None,
        interactive: bool = False,
    ) -> str:
        """The user as whom we were let in, or the name of the error and its text."""
        name, interface = self.bus.unique_name, "org.example.Guarded"
        where = (name, PATH, interface, member, signature, body)
        try:
            [user] = await (client or self.client).call(*where, interactive=interactive)
        except BusError as error:
            return f"{error.name.removeprefix(ERROR)}: {error.text}"
        return str(user)


@asynccontextmanager
async def guarded(
    daemon: DbusDaemon,
    *,
    changers: Collection[int] = (),
    patience_s: float = LONG_S,
    password_s: float = LONG_S,
) -> AsyncIterator[Guarded]:
    async with connected(daemon) as bus, connected(daemon) as client:
        authority = Authority(bus, changers, patience_s=patience_s, password_s=password_s)

        async def handle(request: Request) -> Reply:
            if request.member == "Read":
                return Reply("s", ["anybody"])
            return Reply("s", [await authority.authorize(request)])

        bus.serve(PATH, handle)
        yield Guarded(daemon, bus, client)


async def until(client: Bus, holds: Callable[[], bool]) -> None:
    """Wait until what goes on over the bus makes it so."""
    while not holds():
        await client.call(*DRIVER, "GetId")


async def test_whom_polkit_lets_is_named_and_put_on_record(
    daemon: DbusDaemon, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rebootmgr")
    async with guarded(daemon) as stand, FakePolkit(daemon.address) as polkit:
        assert await stand.call("Hold", "sx", "fire\n<0>drill", 0) == ME
        [question] = polkit.asked
        message = "Authentication is required to keep this host from rebooting."
        assert question == Question(
            name=stand.client.unique_name,
            action=ACTION,
            details={"polkit.message": message, "verb": "hold"},
            flags=0,
            cancellation_id=question.cancellation_id,
        )
    said = f"polkit lets {ME} (uid {os.getuid()}) call Hold(fire <0>drill, 0)"
    assert said in [record.getMessage() for record in caplog.records]


async def test_a_password_is_asked_for_only_if_the_caller_allows_it(daemon: DbusDaemon) -> None:
    async with guarded(daemon) as stand, FakePolkit(daemon.address) as polkit:
        await stand.call()
        await stand.call(interactive=True)
        assert [question.flags for question in polkit.asked] == [0, 1]
        assert len({question.cancellation_id for question in polkit.asked}) == 2


@pytest.mark.parametrize(
    ("mode", "name", "why"),
    [
        (Mode.NO, "AccessDenied", f"polkit action {ACTION} was refused"),
        (Mode.DISMISSED, "AccessDenied", f"polkit action {ACTION} was not confirmed"),
        (Mode.ODD, "AccessDenied", f"polkit action {ACTION} got an answer that makes no sense"),
        (Mode.BROKEN, "AccessDenied", "only root may, as polkit did not decide (Action "),
        (
            Mode.CHALLENGE,
            "InteractiveAuthorizationRequired",
            f"polkit action {ACTION} needs authentication",
        ),
    ],
)
async def test_everything_but_a_yes_is_a_no_with_its_reason(
    daemon: DbusDaemon, mode: Mode, name: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with guarded(daemon) as stand, FakePolkit(daemon.address, mode):
        said = await stand.call("Reboot", interactive=True)
        who = f"uid {os.getuid()} may not call Reboot: "
        assert said.startswith(f"{name}: {who}{why}")
        assert [record.getMessage().startswith(who) for record in caplog.records] == [True]


async def test_whoever_needs_no_leave_does_not_cause_a_question(daemon: DbusDaemon) -> None:
    async with guarded(daemon, changers={os.getuid()}) as stand:
        async with FakePolkit(daemon.address, Mode.NO) as polkit:
            assert await stand.call() == ME
            assert polkit.asked == []
        assert await stand.call() == ME


async def test_without_polkit_only_root_may(daemon: DbusDaemon) -> None:
    async with guarded(daemon) as stand:
        said = await stand.call()
        assert said.startswith(
            f"AccessDenied: uid {os.getuid()} may not call Hold: "
            "only root may, as polkit did not decide ("
        )


@pytest.mark.parametrize("interactive", [False, True])
async def test_a_mute_polkit_is_not_waited_for_for_ever(
    daemon: DbusDaemon, *, interactive: bool
) -> None:
    patience_s, password_s = (LONG_S, SHORT_S) if interactive else (SHORT_S, LONG_S)
    async with (
        guarded(daemon, patience_s=patience_s, password_s=password_s) as stand,
        FakePolkit(daemon.address, Mode.MUTE) as polkit,
    ):
        assert "did not answer CheckAuthorization" in await stand.call(interactive=interactive)
        # neither may have arrived yet, for we wait a moment only
        await until(stand.client, lambda: len(polkit.cancelled) == 1)
        assert polkit.cancelled == [question.cancellation_id for question in polkit.asked]


async def test_a_mute_polkit_keeps_nobody_else_waiting(daemon: DbusDaemon) -> None:
    async with (
        guarded(daemon) as stand,
        FakePolkit(daemon.address, Mode.MUTE) as polkit,
        asyncio.TaskGroup() as tasks,
    ):
        waiting = tasks.create_task(stand.call())
        await until(stand.client, lambda: len(polkit.asked) == 1)
        assert await stand.call("Read") == "anybody"
        polkit.mode = Mode.YES
        assert await stand.call() == ME
        assert not waiting.done()
        waiting.cancel()


async def test_a_question_is_taken_back_when_the_caller_leaves(daemon: DbusDaemon) -> None:
    """More often than questions may wait at once: none of them is kept."""
    async with guarded(daemon) as stand, FakePolkit(daemon.address, Mode.MUTE) as polkit:
        for number in range(1, AT_ONCE_PER_USER + 2):
            async with asyncio.TaskGroup() as tasks, connected(daemon) as leaver:
                tasks.create_task(stand.call(client=leaver, interactive=True))
                await until(stand.client, lambda: len(polkit.asked) == number)  # noqa: B023
                await leaver.close()
            await until(stand.client, lambda: len(polkit.cancelled) == number)  # noqa: B023
        assert polkit.cancelled == [question.cancellation_id for question in polkit.asked]
        polkit.mode = Mode.YES
        assert await stand.call() == ME


async def test_a_user_cannot_use_up_the_answers_that_the_bus_lets_us_wait_for(
    daemon: DbusDaemon,
) -> None:
    async with (
        guarded(daemon) as stand,
        FakePolkit(daemon.address, Mode.MUTE) as polkit,
        asyncio.TaskGroup() as tasks,
    ):
        waiting = [tasks.create_task(stand.call()) for _ in range(AT_ONCE_PER_USER)]
        await until(stand.client, lambda: len(polkit.asked) == AT_ONCE_PER_USER)
        polkit.mode = Mode.YES
        said = await stand.call()
        assert said.startswith("LimitsExceeded: uid")
        for each in waiting:
            each.cancel()


async def test_a_question_under_way_does_not_keep_the_bus_from_closing(daemon: DbusDaemon) -> None:
    async with (
        guarded(daemon) as stand,
        FakePolkit(daemon.address, Mode.MUTE) as polkit,
        asyncio.TaskGroup() as tasks,
    ):
        waiting = tasks.create_task(stand.call())
        await until(stand.client, lambda: len(polkit.asked) == 1)
        await stand.bus.close()
        assert (await waiting).startswith("NoReply")


def test_our_own_user_may_change_things_only_below_another_root(tmp_path: Path) -> None:
    """The daemon's own user on a real host is an unprivileged account like any other."""
    elsewhere = tmp_path / "slash"
    elsewhere.symlink_to("/")
    assert read_changers(Path("/")) == read_changers(elsewhere) == {0}
    assert read_changers(tmp_path) == {0, os.getuid()}
