"""What happens to a host in a month. Everything here ends by itself."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from rebootmgr.core.events import StopAsked
from rebootmgr.core.facts import Finalization, Inhibitor, Look
from rebootmgr.core.model import Phase
from tests.days.home import HOUR, MINUTE, Home
from tests.days.machine import ALL_HOOKS
from tests.days.updates import FOR_EVER, Fate
from tests.fleet.host import BACKUP

FATES: Final = (Fate.GOOD, Fate.GOOD, Fate.GOOD, Fate.NEVER, Fate.RED, Fate.SICK)
USERS_JOB: Final = Inhibitor(who="alice", why="burning a disc", uid=1000, pid=8)

# --- updates -----------------------------------------------------------------------------


def _publish(home: Home) -> None:
    dice = home.world.dice
    home.machine.offer(dice.choice(FATES), dice.choice((1, 2, 3, FOR_EVER)))


def _withdraw(home: Home) -> None:
    home.machine.withdraw()


def _redeploy(home: Home) -> None:
    home.machine.redeploy()


def _stage_again(home: Home) -> None:
    home.machine.stage()


def _lock(home: Home) -> None:
    locked = home.world.dice.choice((Finalization.LOCKED, Finalization.UNKNOWN))
    home.machine.change(Look.OS, finalization=locked)
    home.later(MINUTE, 8 * HOUR, _change, home, Look.OS, {"finalization": Finalization.OPEN})


def _transact(home: Home) -> None:
    home.machine.change(Look.OS, transaction="upgrade")
    home.later(1, 20 * MINUTE, _change, home, Look.OS, {"transaction": ""})


def _unlock(home: Home) -> None:
    home.machine.change(Look.OS, unlocked="development")
    home.later(HOUR, 12 * HOUR, _change, home, Look.OS, {"unlocked": "none"})


def _drive(home: Home) -> None:
    home.machine.change(Look.OS, driver="zincati.service")
    home.later(MINUTE, 12 * HOUR, _change, home, Look.OS, {"driver": ""})


def _be_silent(home: Home) -> None:
    home.machine.change(Look.OS, os_is_silent=True)
    home.later(1, 20 * MINUTE, _change, home, Look.OS, {"os_is_silent": False})


def _change(home: Home, look: Look, what: dict[str, object]) -> None:
    home.machine.change(look, **what)


# --- people ------------------------------------------------------------------------------


def _log_in(home: Home) -> None:
    session = home.log_in(home.world.dice.choice(("pts/0", "tty1", "")))
    home.later(MINUTE, 6 * HOUR, home.log_out, session)


def _inhibit(home: Home) -> None:
    held = home.world.dice.choice((BACKUP, USERS_JOB))
    home.machine.inhibit(held, may_override=held is USERS_JOB)
    home.later(1, 4 * HOUR, home.machine.inhibit)


def _schedule(home: Home) -> None:
    home.machine.sit(*home.machine.logind.sessions, scheduled="poweroff tonight")
    home.later(MINUTE, 3 * HOUR, _unschedule, home, home.machine.boot)


def _unschedule(home: Home, boot: str) -> None:
    if boot == home.machine.boot:
        home.machine.sit(*home.machine.logind.sessions)
        if home.world.dice.random() < 0.5 and not home.world.weather.is_fine:
            home.machine.restart()


def _hold(home: Home) -> None:
    span = home.world.dice.choice((None, HOUR, 20 * HOUR))
    id_ = home.hold(span)
    if span is None or home.world.dice.random() < 0.3:
        home.later(MINUTE, 20 * HOUR, _release, home, id_)


def _release(home: Home, id_: str) -> None:
    if home.is_listening:
        home.release(id_)
    else:
        home.later(MINUTE, HOUR, _release, home, id_)


def _cancel(home: Home) -> None:
    home.cancel(home.world.dice.choice((MINUTE, HOUR)))


def _ask(home: Home) -> None:
    home.ask(now=home.world.dice.random() < 0.6, valid_s=home.world.dice.choice((60.0, HOUR)))


def _forgive(home: Home) -> None:
    home.forgive()


def _reboot(home: Home) -> None:
    home.machine.restart()


def _roll_back(home: Home) -> None:
    home.machine.roll_back()


def _install(home: Home) -> None:
    phases = frozenset(each for each in Phase if home.world.dice.random() < 0.7)
    home.machine.install(home.world.dice.choice((ALL_HOOKS, frozenset(), phases)))


# --- configuration -----------------------------------------------------------------------


def _reload(home: Home) -> None:
    home.configure(home.oracle.rules)


def _move(home: Home) -> None:
    home.configure(home.oracle.rules.moved())


def _leave_the_fleet(home: Home) -> None:
    rules = home.oracle.rules
    if rules.fleet:
        home.configure(replace(rules, fleet=False))
        home.later(HOUR, 20 * HOUR, _join, home)


def _join(home: Home) -> None:
    home.configure(replace(home.oracle.rules, fleet=True))


def _disable(home: Home) -> None:
    home.configure(replace(home.oracle.rules, enabled=False))
    home.later(HOUR, 20 * HOUR, _enable, home)


def _enable(home: Home) -> None:
    home.configure(replace(home.oracle.rules, enabled=True))


# --- the machine -------------------------------------------------------------------------


def _set_clock(home: Home) -> None:
    dice = home.world.dice
    home.set_clock(dice.choice((-1, 1)) * dice.choice((2.0, HOUR, 3 * HOUR, 30 * HOUR)))
    home.later(1, 12 * HOUR, home.set_clock, 0.0)


def _suspend(home: Home) -> None:
    if not home.machine.going_down and home.machine.complete:
        home.machine.suspend(home.world.dice.choice((MINUTE, HOUR, 9 * HOUR)))


def _cut_power(home: Home) -> None:
    home.machine.lose_power()


def _kill(home: Home) -> None:
    home.agent.end(restart_s=home.world.dice.uniform(0.1, 10))


def _terminate(home: Home) -> None:
    home.agent.tell(StopAsked())
    home.agent.end_later(4.5)


def _lose_logind(home: Home) -> None:
    home.machine.change(Look.LOGIND, logind_is_gone=True)
    home.later(1, 10 * MINUTE, _change, home, Look.LOGIND, {"logind_is_gone": False})


def _fill_disk(home: Home) -> None:
    home.machine.disk_full = True
    home.later(1, 2 * HOUR, _set, home, {"disk_full": False})


def _break_hooks(home: Home) -> None:
    name = home.world.dice.choice(("check_says_no", "drain_fails", "hooks_hang"))
    _set(home, {name: True})
    home.later(MINUTE, 3 * HOUR, _set, home, {name: False})


def _set(home: Home, what: dict[str, object]) -> None:
    for name, value in what.items():
        setattr(home.machine, name, value)


def _lose_time(home: Home) -> None:
    """The time servers cannot be reached for a while: not in the next boots, either."""
    home.machine.ntp_takes_s = home.world.dice.choice((10 * MINUTE, 2 * HOUR, 20 * HOUR))
    home.later(HOUR, 48 * HOUR, _set, home, {"ntp_takes_s": 20.0})


# --- the fleet ---------------------------------------------------------------------------


def _lose_server(home: Home) -> None:
    home.network.up = False
    home.world.faults += 1
    home.later(MINUTE, home.world.dice.choice((HOUR, 5 * HOUR)), _find_server, home)


def _find_server(home: Home) -> None:
    home.network.up = True


def _crowd_out(home: Home) -> None:
    """Somebody else of the group takes its last slot."""
    home.server.take_all(home.oracle.rules.group)
    home.later(MINUTE, HOUR, home.server.leave_all, home.oracle.rules.group)


Incident = Callable[[Home], None]
UPDATES: Final[tuple[Incident, ...]] = (_publish, _publish, _stage_again, _withdraw, _redeploy)
QUICK: Final[tuple[Incident, ...]] = (
    _kill, _terminate, _cut_power, _inhibit, _hold, _cancel, _reload, _move, _withdraw, _publish,
    _log_in, _ask, _lock, _set_clock, _suspend, _fill_disk, _lose_server, _break_hooks,
)  # fmt: skip
AT_THE_CALL: Final[tuple[Incident, ...]] = (_cut_power, _roll_back, _kill, _publish, _withdraw)
INCIDENTS: Final[tuple[Incident, ...]] = (
    _lock, _transact, _unlock, _drive, _be_silent, _log_in, _inhibit, _schedule, _hold, _cancel,
    _ask, _forgive, _reboot, _roll_back, _install, _reload, _move, _leave_the_fleet, _disable,
    _set_clock, _suspend, _cut_power, _kill, _terminate, _lose_logind, _fill_disk, _break_hooks,
    _lose_time, _lose_server, _crowd_out,
)  # fmt: skip
HARD_GATES: Final[tuple[Incident, ...]] = (
    _lock, _transact, _unlock, _drive, _be_silent, _log_in, _inhibit, _schedule, _hold, _disable,
    _set_clock, _suspend, _cut_power, _kill, _terminate, _reboot, _lose_logind, _break_hooks,
    _lose_time,
)  # fmt: skip
"""What no deadline waives, and what a host that counts days has to live with."""
