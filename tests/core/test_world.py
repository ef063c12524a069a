"""The core is small enough to check completely, so we do (SPEC 13)."""

from collections import defaultdict
from collections.abc import Callable
from graphlib import TopologicalSorter

import pytest

from rebootmgr.core.states import Rebooting
from tests.core.arrows import Arrows, read_rows, walk
from tests.core.foretold import judge_forecasts
from tests.core.natures import DEEP, NATURES, SHALLOW
from tests.core.why import judge_blockers, judge_verdicts, leading_to
from tests.core.world import Calling, Edge, World
from tests.uncollected import uncollected

Graph = dict[World, list[Edge]]

ANSWERS = ("FactsRead", "Hooks", "Lock", "SlotReleased", "ReleaseUnclear", "RebootAccepted")


@pytest.fixture(scope="module", params=NATURES, ids=lambda nature: nature.name)
def walked(request: pytest.FixtureRequest) -> tuple[Graph, Arrows]:
    """Walking to the fixpoint asserts every promise of `World` on the way."""
    with uncollected():
        return walk(request.param)


@pytest.fixture(scope="module")
def graph(walked: tuple[Graph, Arrows]) -> Graph:
    return walked[0]


def test_every_reachable_world_keeps_its_promises(
    graph: Graph, record_property: Callable[[str, object], None]
) -> None:
    record_property("worlds", len(graph))
    record_property("steps", sum(map(len, graph.values())))
    reboots = any(isinstance(world.state.attempt, Rebooting) for world in graph)
    assert reboots is has_updates(graph)


def test_every_world_can_still_come_to_rest(graph: Graph) -> None:
    """No slot leaks, no node stays drained, nothing waits for an answer that never comes."""
    before: dict[World, list[World]] = defaultdict(list)
    for world, edges in graph.items():
        for _, after in edges:
            before[after].append(world)
    can_rest = leading_to(filter(is_at_rest, graph), before)
    stuck = next((world for world in graph if world not in can_rest), None)
    assert stuck is None


def has_updates(graph: Graph) -> bool:
    return any(world.nature.updates for world in graph)


def is_at_rest(world: World) -> bool:
    if world.down and not world.nature.reboots:
        return True  # what comes after the shutdown is explored elsewhere
    kept = {debt.slot for debt in world.disk.debts if debt.kept}
    return not (
        world.questions or world.drained or world.late or (world.holding | world.left) - kept
    )


def test_a_drain_that_began_in_time_may_end_in_a_reboot_at_the_end_of_the_window(
    graph: Graph,
) -> None:
    fits = [world.last for world in graph if any(isinstance(q, Calling) for q in world.questions)]
    assert any(fits) or not next(iter(graph)).nature.fit


def test_the_reboot_comes_when_it_is_foretold_neither_earlier_nor_later(
    graph: Graph, record_property: Callable[[str, object], None]
) -> None:
    record_property("foretold", judge_forecasts(graph))


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
        label.split(", ")[-1].removeprefix("later ")
        for world, edges in graph.items()
        for label, after in edges
        if isinstance(after.state.attempt, Rebooting)
        and not isinstance(world.state.attempt, Rebooting)
        and not world.down
    }
    assert into == ({"FactsRead"} if has_updates(graph) else set())


def test_why_says_reboot_where_the_reboot_is_called_and_names_what_is_in_its_way(
    graph: Graph, record_property: Callable[[str, object], None]
) -> None:
    judge_verdicts(graph)
    judged = judge_blockers(graph)
    record_property("judged", judged)
    assert judged


def test_the_page_on_design_shows_exactly_the_arrows_that_are_walked(
    walked: tuple[Graph, Arrows], request: pytest.FixtureRequest
) -> None:
    """Every arrow of this walk is there, and every one that the page has from here is walked."""
    rows = {row.arrow: row for row in read_rows()}
    _, arrows = walked
    for arrow, events in arrows.items():
        assert arrow in rows, f"{arrow} is missing: python -m tests.core.arrows"
        assert events <= rows[arrow].events, f"{arrow}: python -m tests.core.arrows"
    name = request.node.callspec.id
    assert {row.arrow for row in rows.values() if row.seen_in == name} <= arrows.keys()


def test_the_page_on_design_names_only_walks_that_there_are() -> None:
    assert {row.seen_in for row in read_rows()} <= {nature.name for nature in (*SHALLOW, *DEEP)}
