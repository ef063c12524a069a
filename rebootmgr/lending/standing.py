"""How a group stands at a moment: how many slots it may lend, or why none."""

from bisect import bisect_left, bisect_right

from rebootmgr.lending.barrier import Barrier, Before, down_by
from rebootmgr.lending.group import Fleet, Group, slots_of
from rebootmgr.lending.standstill import standstill
from rebootmgr.lending.terms import Moment, Rules, Terms


def looked_at(
    fleet: Fleet, name: str, rules: Rules, at: Moment, changed: Group | None = None
) -> tuple[Group, int]:
    """Give a group as it stands now, and how many slots it lends: 0 while it stands still.

    `changed` is the group where it is not any more as the fleet has it.
    """
    group = fleet.group(name) if changed is None else changed
    terms = rules.terms_of(name)
    slots = slots_of(name, group, rules, at)
    halted = None if terms is None else halted_by(group, slots, terms, at)
    calendar = None if terms is None else terms.calendar
    if fleet.freeze is None and group.freeze is None and calendar is None and halted is None:
        stands = None
    else:
        stands = standstill((fleet.freeze, group.freeze), halted, calendar, at.wall)
    barrier = None if terms is None else _barrier(fleet, group, terms)
    if stands != group.stands or barrier != group.barrier:
        group = group._replace(stands=stands, barrier=barrier)
    if group.settling:
        group = group._replace(settling=group.settling[bisect_right(group.settling, at.s) :])
    return group, 0 if stands else max(slots - len(group.settling), 0)


def halted_by(group: Group, slots: int, terms: Terms, at: Moment) -> str | None:
    """Say why a group is halted: by what was reported, or as all its slots are overdue."""
    if not terms.halt_after:
        return None
    if group.halt is not None:
        return group.halt.reason
    overdue = bisect_left(group.begins, at.s - terms.max_hold_s)
    if not slots or overdue < slots:
        return None
    minutes = f"{terms.max_hold_s / 60.0:.0f} minute{'s' * (terms.max_hold_s != 60.0)}"
    return f"all slots are held for longer than {minutes}"


def _barrier(fleet: Fleet, group: Group, terms: Terms) -> Barrier | None:
    if not (terms.after or terms.spread):
        return None
    before = tuple(_before(name, fleet.group(name)) for name in terms.after)
    down = down_by(terms.spread, group.holders.values()) if terms.spread else {}
    return Barrier(before, terms.soak_s, terms.spread, terms.spread_slots, down)


def _before(name: str, group: Group) -> Before:
    quiet = not (group.holders or group.queue or group.halt)
    return Before(name, group.came, group.quiet_s if quiet else None)
