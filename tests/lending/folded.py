"""Two worlds that will behave alike have one key: numbers are renamed, instants fold to buckets."""

from bisect import bisect_left
from collections.abc import Hashable

from rebootmgr.lending.desk import Writing
from rebootmgr.lending.group import Group
from rebootmgr.lending.questions import Change, Joined, Left, Lent, TakenBack
from tests.lending.world import CANARY, GONE_S, GROUP, HELD_S, SETTLE_S, SOAK_S, World

EDGES_S = (-1e-9, HELD_S, GONE_S)


def key(world: World) -> Hashable:
    """What tells a world from others; how long reboots took, and what may lie idle, do not."""
    numbers = {number: index for index, (number, _) in enumerate(world.open)}
    group = world.desk.fleet.group(GROUP)
    tickets = sorted({ticket for ticket, _ in world.disk.waiting} | {e.ticket for e in group.queue})
    names = {ticket: index for index, ticket in enumerate(tickets)}
    store: Hashable = type(world.desk.store).__name__
    if isinstance(world.desk.store, Writing):
        answers = world.desk.store.answers
        store = tuple((numbers.get(number), type(answer).__name__) for number, answer in answers)
    return (
        store,
        _group(world, group, names, numbers),
        tuple(numbers.get(number) for number, _ in world.desk.inbox),
        world.disk.holders,
        tuple((names[ticket], host) for ticket, host in world.disk.waiting),
        world.disk.slots,
        world.disk.frozen,
        world.is_open,
        world.told,
        tuple(question for _, question in world.open),
        None if world.writing is None else tuple(map(_change, world.writing)),
        world.reading,
        world.disk.failed,
        world.disk.halted,
        _rolling(world, group),
    )


def _group(world: World, group: Group, names: dict[int, int], numbers: dict[int, int]) -> Hashable:
    timed = bool(world.nature.spans_s)
    waiting = tuple(
        (
            names[entry.ticket],
            entry.id,
            entry.deaf,
            entry.told_s is None,
            None if entry.held is None else numbers.get(entry.held.number),
            (_folded(entry.due_s - world.now_s), _folded(entry.gone_s - world.now_s))
            if timed
            else (),
        )
        for entry in group.queue
    )
    ahead = sum(ticket <= group.front for ticket in names)
    idle = group.idle_since_s is not None
    frozen = group.freeze is not None or world.desk.fleet.freeze is not None
    return tuple(group.holders), waiting, group.override, frozen, ahead, idle


def _rolling(world: World, group: Group) -> Hashable:
    """What a halt, a canary and slots that rest add to it."""
    nature = world.nature
    if not (nature.halts or nature.canary or nature.settle_s):
        return ()
    first, now_s = world.desk.fleet.group(CANARY), world.now_s
    soaked = None if first.quiet_s is None else now_s - first.quiet_s >= SOAK_S
    failed = tuple(holder.id for holder in group.holders.values() if holder.failed)
    resting = sum(until > now_s for until in group.settling)
    busy = bool(first.holders), bool(first.queue)
    back = min(sum(now_s - at < SETTLE_S for at in world.back_s), nature.slots)
    quiet = None if world.quiet_s is None else now_s - world.quiet_s >= SOAK_S
    seen = world.disk.came, world.disk.canary, back, quiet
    return group.halt is not None, failed, resting, tuple(first.came), soaked, busy, seen


def _folded(left_s: float) -> int:
    return bisect_left(EDGES_S, left_s)


def _change(change: Change) -> Hashable:
    match change:
        case Joined(id=host) | Left(id=host) | Lent(id=host) | TakenBack(id=host):
            return type(change).__name__, host
        case _:
            return change
