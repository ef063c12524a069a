"""What all hosts of a simulation share: time, what is due, the lock server and the tally."""

from rebootmgr.core.model import Moment
from rebootmgr.simulation.agenda import Agenda, Due
from rebootmgr.simulation.cohort import Leg
from rebootmgr.simulation.scenario import UP_S, Scenario
from rebootmgr.simulation.server import LockServer
from rebootmgr.simulation.tally import Tally


class World:
    """Where hosts live. `now` is CLOCK_BOOTTIME of every host: no reboot turns it back.

    Without `shortcuts` every event of every host goes through the machine.
    """

    def __init__(self, scenario: Scenario, *, shortcuts: bool) -> None:
        self.scenario = scenario
        self.shortcuts = shortcuts
        self.now = UP_S
        self.legs: dict[tuple[int, int, Due, float], Leg] = {}
        self.agenda = Agenda()
        self.tally = Tally(scenario.terms.groups)
        self.server = LockServer(scenario.terms, self.tally)

    @property
    def moment(self) -> Moment:
        """What both clocks of every host say now."""
        return self.scenario.moment(self.now)
