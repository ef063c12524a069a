"""The core is small enough to check completely, so we do (SPEC 13)."""

from collections import defaultdict
from collections.abc import Callable
from graphlib import TopologicalSorter

import pytest

from rebootmgr.core.states import Rebooting
from tests.core.natures import NATURES
from tests.core.why import judge_blockers, judge_verdicts, leading_to
from tests.core.world import Edge, World, explore

Graph = dict[World, list[Edge]]

ANSWERS = ("FactsRead", "Hooks", "Lock", "SlotReleased", "ReleaseUnclear", "RebootAccepted")


@pytest.fixture(scope="module", params=NATURES, ids=lambda nature: nature.name)
def graph(request: pytest.FixtureRequest) -> Graph:
    """Walking to the fixpoint asserts every promise of `World` on the way."""
    return explore(request.param)


def test_every_reachable_world_keeps_its_promises(
    graph: Graph, record_property: Callable[[str, object], None]
) -> None:
    record_property("worlds", len(graph))
    record_property("steps", sum(map(len, graph.values())))
    assert any(isinstance(world.state.attempt, Rebooting) for world in graph)


def test_every_world_can_still_come_to_rest(graph: Graph) -> None:
    """No slot leaks, no node stays drained, nothing waits for an answer that never comes."""
    before: dict[World, list[World]] = defaultdict(list)
    for world, edges in graph.items():
        for _, after in edges:
            before[after].append(world)
    can_rest = leading_to(filter(is_at_rest, graph), before)
    stuck = next((world for world in graph if world not in can_rest), None)
    assert stuck is None


def is_at_rest(world: World) -> bool:
    if world.down and not world.nature.reboots:
        return True  # what comes after the shutdown is explored elsewhere
    kept = {debt.slot for debt in world.disk.debts if debt.kept}
    return not (world.questions or world.drained or world.late or world.holding - kept)


def test_answers_alone_never_make_us_run_in_circles(graph: Graph) -> None:
    """Without news from outside and without time passing, we come to a halt."""
    answers = {
        world: {
            after for label, after in edges if label.startswith(ANSWERS) and "crash" not in label
        }
        - {world}
        for world, edges in graph.items()
    }
    TopologicalSorter(answers).prepare()


def test_a_reboot_follows_only_from_the_last_look(graph: Graph) -> None:
    into = {
        label.split(", ")[-1]
        for world, edges in graph.items()
        for label, after in edges
        if isinstance(after.state.attempt, Rebooting)
        and not isinstance(world.state.attempt, Rebooting)
        and not world.down
    }
    assert into == {"FactsRead"}


def test_why_says_reboot_where_the_reboot_is_called_and_names_what_is_in_its_way(
    graph: Graph, record_property: Callable[[str, object], None]
) -> None:
    judge_verdicts(graph)
    judged = judge_blockers(graph)
    record_property("judged", judged)
    assert judged
