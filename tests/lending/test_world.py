"""The lending is small enough to check completely, so we do."""

from collections import deque
from collections.abc import Callable, Hashable

import pytest

from rebootmgr.lending.desk import Idle
from rebootmgr.lending.questions import PreReboot
from tests.lending.folded import key
from tests.lending.world import CANARY, HELD_S, NATURES, Nature, World
from tests.uncollected import uncollected

ROUNDS = 40
EACH = 40  # of so many worlds, one is followed to its end


def walk(nature: Nature) -> tuple[dict[Hashable, World], int]:
    """Every world that there is, and how many steps lead to them; each keeps its promises."""
    first = World(nature)
    seen: dict[Hashable, World] = {key(first): first}
    came: dict[Hashable, tuple[Hashable, str]] = {}
    todo, steps = deque([first]), 0
    while todo:
        world = todo.popleft()
        try:
            for label, after in world.edges():
                steps += 1
                here = key(after)
                if here not in seen:
                    seen[here] = after
                    came[here] = (key(world), label)
                    todo.append(after)
        except AssertionError as broken:
            raise AssertionError("\n".join([*_way(key(world), came), str(broken)])) from broken
    return seen, steps


def _way(here: Hashable, came: dict[Hashable, tuple[Hashable, str]]) -> list[str]:
    labels = []
    while here in came:
        here, label = came[here]
        labels.append(label)
    return labels[::-1]


@pytest.mark.parametrize("nature", NATURES, ids=lambda nature: nature.name)
def test_every_reachable_world_keeps_its_promises(
    nature: Nature, record_property: Callable[[str, object], None]
) -> None:
    """And from every one, hosts that ask and give back all get their turn."""
    with uncollected():
        worlds, steps = walk(nature)
    record_property("worlds", len(worlds))
    record_property("steps", steps)
    assert any(len(world.disk.holders) == nature.slots for world in worlds.values())
    for number, world in enumerate(worlds.values()):
        if number % EACH == 0:
            everybody_gets_a_turn(world)


def everybody_gets_a_turn(world: World) -> None:
    served: set[str] = set()
    world = settled(world).without_obstacles()
    for _ in range(ROUNDS):
        world = settled(world)
        if world.canary_goes:
            world = settled(settled(world.asks(PreReboot(CANARY, CANARY))).canary_went())
        for host in world.nature.hosts:
            mine = [one for _, one in world.open if getattr(one, "id", "") == host]
            if host in world.told:
                served.add(host)
                world = settled(world.gives_back(host))
            elif host not in served and not mine:
                world = settled(world.asks(world.wish(host)))
        if served == set(world.nature.hosts):
            return
        world = settled(world.after(HELD_S))
    raise AssertionError(f"only {sorted(served)} had their turn")


def settled(world: World) -> World:
    """Let the store carry out what is under way."""
    for label, after in world.store_works():
        assert label in {"written", "read"}
        return settled(after)
    assert isinstance(world.desk.store, Idle)
    return world
