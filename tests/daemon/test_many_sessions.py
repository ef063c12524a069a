"""A host on which hundreds are logged in, on a real dbus-daemon, which lets us wait for 128."""

from tests.fakes.host import Host
from tests.fakes.logind_sessions import FakeSession

PEOPLE = 300


async def test_hundreds_of_sessions_are_read_a_few_at_a_time_and_each_is_waited_for(
    host: Host,
) -> None:
    for number in range(PEOPLE):
        host.logind.add_session(FakeSession(id=str(number), name=f"user{number}", tty="pts/9"))
    await host.os.stage("42.2")
    await host.start()
    status = await host.until_blocked("users_logged_in")
    assert (await host.metrics())["rebootmgr_logged_in_users"] == PEOPLE
    assert "user0" in status["blockers"][0]["detail"]
    for number in range(PEOPLE):
        host.logind.remove_session(str(number))
    await host.until_state("rebooting")
