"""What administrators order, and what the reports of hosts bring about."""

from collections.abc import Iterable
from dataclasses import replace

from rebootmgr.lending.granting import Decided, now, then_lend
from rebootmgr.lending.group import Fleet, Group, Holder, Override
from rebootmgr.lending.questions import (
    Ambiguous,
    Answer,
    Change,
    Done,
    Failed,
    FreezeGroup,
    Frozen,
    Halted,
    NoSuchHolder,
    Release,
    Report,
    Resume,
    Resumed,
    SetSlots,
    SlotsSet,
    TakenBack,
    Thaw,
    Thawed,
    UnknownGroup,
)
from rebootmgr.lending.standstill import Freeze, Halt
from rebootmgr.lending.terms import Moment, Rules


def release(fleet: Fleet, number: int, order: Release, rules: Rules, at: Moment) -> Decided:
    """Take a slot back from a host, by id or by name."""
    name = order.group
    group, _ = now(fleet, name, rules, at)
    found = _found(order.host, group)
    if not isinstance(found, str):
        return Decided(fleet, answers=((number, found),))
    group = group.given_back(found, at, counts=False)
    so_far = Decided(fleet, (TakenBack(name, found, order.by),), ((number, Done()),))
    return then_lend(so_far, name, group, rules, at)


def _found(host: str, group: Group) -> str | NoSuchHolder | Ambiguous:
    found = [host] if host in group.holders else _named(host, group.holders.values())
    if len(found) == 1:
        return found[0]
    return Ambiguous(tuple(sorted(found))) if found else NoSuchHolder()


def _named(name: str, holders: Iterable[Holder]) -> list[str]:
    return [holder.id for holder in holders if holder.name and holder.name == name]


def report(fleet: Fleet, number: int, told: Report, rules: Rules, at: Moment) -> Decided:
    """Take down what became of a reboot; so many failed holders halt the group."""
    name, group, terms = told.group, fleet.group(told.group), rules.terms_of(told.group)
    answer = ((number, Done()),)
    holder = group.holders.get(told.id)
    if holder is None:
        if told.failed and group.quiet_s is not None and name in fleet.groups:
            group = group._replace(quiet_s=at.s)
            return Decided(fleet.put(name, group, rules), answers=answer)
        return Decided(fleet, answers=answer)
    if holder.failed == told.failed:
        return Decided(fleet, answers=answer)
    group = group.lent_to(replace(holder, failed=told.failed))
    changes: list[Change] = [Failed(name, told.id, told.failed)]
    most = 0 if terms is None else terms.halt_after
    failed = [one for one in group.holders.values() if one.failed]
    if told.failed and not holder.failed and group.halt is None and 0 < most <= len(failed):
        who = ", ".join(sorted(one.name or one.id for one in failed)[:3])
        reason = f"the reboot of {who} failed: {told.failed}"
        group = group._replace(halt=Halt(reason, at.wall))
        changes.append(Halted(name, reason, at.wall))
    return Decided(fleet.put(name, group, rules), tuple(changes), answer)


def resume(fleet: Fleet, number: int, order: Resume, rules: Rules, at: Moment) -> Decided:
    """End a halt, and take the slot of the forgiven host back."""
    name = order.group
    group, _ = now(fleet, name, rules, at)
    if name not in fleet.groups and rules.terms_of(name) is None:
        return Decided(fleet, answers=((number, UnknownGroup()),))
    changes: list[Change] = []
    if order.forgive:
        found = _found(order.forgive, group)
        if not isinstance(found, str):
            return Decided(fleet, answers=((number, found),))
        group = group.given_back(found, at, counts=False)
        changes.append(TakenBack(name, found, order.by))
    if group.halt is not None:
        group = group._replace(halt=None)
        changes.append(Resumed(name, order.by))
    so_far = Decided(fleet, tuple(changes), ((number, Done()),))
    return then_lend(so_far, name, group, rules, at) if changes else so_far


def set_slots(fleet: Fleet, number: int, order: SetSlots, rules: Rules, at: Moment) -> Decided:
    """Lend more or fewer from now on."""
    name = order.group
    if rules.terms_of(name) is None:
        return Decided(fleet, answers=((number, UnknownGroup()),))
    override = None if order.slots is None else Override(order.slots, order.until)
    group, _ = now(fleet, name, rules, at)
    group = group._replace(override=override)
    change = SlotsSet(name, order.slots, order.until, order.by)
    so_far = Decided(fleet, (change,), ((number, Done()),))
    return then_lend(so_far, name, group, rules, at)


def freeze(fleet: Fleet, number: int, order: FreezeGroup, rules: Rules, at: Moment) -> Decided:
    """Grant nothing from now on."""
    name = order.group
    if name and rules.terms_of(name) is None:
        return Decided(fleet, answers=((number, UnknownGroup()),))
    made = Freeze(order.reason, order.until, order.by, at.wall)
    change = Frozen(name, order.reason, order.until, order.by, at.wall)
    return Decided(_frozen(fleet, name, made, rules), (change,), ((number, Done()),))


def _frozen(fleet: Fleet, name: str, made: Freeze | None, rules: Rules) -> Fleet:
    if not name:
        return replace(fleet, freeze=made)
    return fleet.put(name, fleet.group(name)._replace(freeze=made), rules)


def thaw(fleet: Fleet, number: int, order: Thaw, rules: Rules) -> Decided:
    """End a freeze."""
    name = order.group
    answer: Answer = Done()
    if name and name not in fleet.groups and rules.terms_of(name) is None:
        answer = UnknownGroup()
    frozen = fleet.group(name).freeze if name else fleet.freeze
    if frozen is None:
        return Decided(fleet, answers=((number, answer),))
    change = Thawed(name, order.by)
    return Decided(_frozen(fleet, name, None, rules), (change,), ((number, answer),))


def thawed(fleet: Fleet, rules: Rules, at: Moment) -> Decided:
    """End the freezes whose time is over."""
    freezes = [("", fleet.freeze), *((name, one.freeze) for name, one in fleet.groups.items())]
    changes: list[Change] = []
    for name, made in freezes:
        if made is not None and not made.holds(at.wall):
            fleet = _frozen(fleet, name, None, rules)
            changes.append(Thawed(name))
    return Decided(fleet, tuple(changes))
