"""A host that asks as Zincati does: every five minutes or so, whatever it is told."""

from rebootmgr.core.counters import Api
from rebootmgr.core.model import Blocker, Reason
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import State
from rebootmgr.fleetlock.words import Answer
from rebootmgr.simulation.host import NOT_YET, PENDING, ROLLED_BACK, UPDATED
from rebootmgr.simulation.world import Due, World


class Poller:
    """One such host; it has none of our state, and keeps no slot whatever became of it."""

    __slots__ = ("_asked", "_number", "_world", "alarm", "died", "group", "os", "over", "policy")

    def __init__(self, number: int, world: World) -> None:
        self.group = world.scenario.group(number)
        self.policy: Policy = world.scenario.policy(number)
        self.os = NOT_YET
        self.over = self.died = False
        self.alarm = float("inf")
        self._number, self._world, self._asked = number, world, 0
        world.agenda.add((world.scenario.staged_at(number), number, Due.STAGED))

    @property
    def state(self) -> State | None:
        """What the daemon of rebootmgr would have."""
        return None

    @property
    def is_down(self) -> bool:
        """Whether it is on its way down or up."""
        return self.os is PENDING and self.alarm == float("inf")

    @property
    def blockers(self) -> tuple[Blocker, ...]:
        """What is in its way."""
        return (Blocker(Reason.LOCK_REFUSED, "it asks every five minutes, as Zincati does"),)

    def happen(self, due: Due) -> None:
        """What was planned for now is here."""
        world = self._world
        match due:
            case Due.STAGED:
                self.os = PENDING
                world.tally.wait(self.group, world.now, 1)
                self._ask()
            case Due.ALARM if self.os is PENDING:
                self._ask()
            case Due.BOOTED:
                fails = world.scenario.fails(self._number)
                self.os = ROLLED_BACK if fails else UPDATED
                if not fails:
                    world.tally.update(world.now)
                self._give_back()
            case Due.ALARM:
                self._give_back()
            case Due.ANSWER | Due.TOLD | Due.SERVER:
                pass

    def _ask(self) -> None:
        world, number = self._world, self._number
        if self._is_done(Api.PRE_REBOOT):
            self.alarm = float("inf")
            world.tally.wait(self.group, world.now, -1)
            self.died = world.scenario.dies(number)
            up_at = world.now + world.scenario.reboot_s(number)
            if self.died:
                self.over = True
                world.tally.die(self.group, world.now)
            else:
                world.tally.down(world.now, up_at)
                world.agenda.add((up_at, number, Due.BOOTED))
        else:
            self._again()

    def _give_back(self) -> None:
        if self._is_done(Api.STEADY_STATE):
            self.over = True
            self._world.tally.end(self.group)
        else:
            self._again()

    def _again(self) -> None:
        self._asked += 1
        self.alarm = self._world.now + self._world.scenario.poll_s(self._number, self._asked)
        self._world.agenda.add((self.alarm, self._number, Due.ALARM))

    def _is_done(self, api: Api) -> bool:
        """Ask; how long the answer takes does not matter to it."""
        told = self._world.server.handle(api, self.group, self._number, self._world.now)
        match told:
            case (Answer(status=200), _):
                return True
            case _:
                return False
