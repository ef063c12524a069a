"""What can befall a host in the middle of something. Each ends by itself."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from rebootmgr.core.events import Cancelled, HoldAdded, HoldReleased, StopAsked
from rebootmgr.core.memory import Hold
from tests.core.script import EPOCH
from tests.fleet.agent import Agent
from tests.fleet.host import BACKUP

GROUPS: Final = ("default", "other")


def befall(agent: Agent) -> None:
    """One of them, at random."""
    if agent.host.up:
        agent.world.dice.choice(_ALL)(agent)


def _kill(agent: Agent) -> None:
    agent.end(restart_s=agent.world.dice.uniform(0.1, 10))


def _terminate(agent: Agent) -> None:
    agent.tell(StopAsked())
    agent.end_later(4.5)


def _cut_power(agent: Agent) -> None:
    agent.host.lose_power()


def _inhibit(agent: Agent) -> None:
    agent.host.inhibit(BACKUP)
    agent.world.agenda.after(agent.world.dice.uniform(1, 300), agent.host.inhibit)


def _hold(agent: Agent) -> None:
    agent.tell(HoldAdded(_a_hold(agent, 300), 300))
    agent.world.agenda.after(agent.world.dice.uniform(1, 200), agent.tell, HoldReleased("h"))


def _cancel(agent: Agent) -> None:
    agent.tell(Cancelled(_a_hold(agent, 120), 120))


def _a_hold(agent: Agent, seconds: float) -> Hold:
    now = EPOCH + timedelta(seconds=agent.world.agenda.now)
    until = now + timedelta(seconds=seconds)
    return Hold(id="h", owner="root", reason="not now", since=now, until=until)


def _reload(agent: Agent) -> None:
    agent.reload(agent.policy)


def _move(agent: Agent) -> None:
    """To another group of hosts, with slots of its own."""
    slot = agent.policy.slot
    assert slot is not None
    other = next(group for group in GROUPS if group != slot.group)
    agent.reload(replace(agent.policy, slot=replace(slot, group=other)))


def _disable(agent: Agent) -> None:
    agent.reload(replace(agent.policy, enabled=False))
    agent.world.agenda.after(agent.world.dice.uniform(1, 300), _enable, agent)


def _enable(agent: Agent) -> None:
    agent.reload(replace(agent.policy, enabled=True))


def _withdraw(agent: Agent) -> None:
    """For good, or until the next one comes."""
    agent.host.withdraw()
    if agent.world.dice.random() < 0.7:
        agent.world.agenda.after(agent.world.dice.uniform(1, 900), agent.host.publish)


def _supersede(agent: Agent) -> None:
    agent.host.publish()


_ALL: Final[tuple[Callable[[Agent], None], ...]] = (
    _kill,
    _terminate,
    _cut_power,
    _inhibit,
    _hold,
    _cancel,
    _reload,
    _move,
    _disable,
    _withdraw,
    _supersede,
)
