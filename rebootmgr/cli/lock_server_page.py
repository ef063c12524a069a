"""What people see of the lock server: its groups, who holds, who waits, what is in the way."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from rebootmgr.cli.page import GREEN, RED, YELLOW, Page, span
from rebootmgr.control.described import UNKNOWN, Record

EVERYBODY: Final = 99_999  # who waits
_BELOW: Final = 4
_COLORS: Final = {"failed": RED, "halted": RED, "frozen": YELLOW, "recovered": GREEN}
_KINDS: Final = {
    "outside_window": "outside the maintenance windows",
    "blackout": "blackout",
    "frozen": "frozen",
    "halted": "halted:",
}


def render_fleet(status: Record, page: Page) -> Iterator[str]:
    """Show everything."""
    if trouble := _given(status, "trouble"):
        yield from _painted(page, f"lends nothing: {trouble}", RED)
        yield ""
    if freeze := status.part("freeze"):
        yield from _painted(page, f"all groups are frozen{_freeze(freeze, page)}", YELLOW)
        yield ""
    for number, group in enumerate(status.parts("groups")):
        yield from [""] * bool(number)
        yield from _group(group, page)


def _group(group: Record, page: Page) -> Iterator[str]:
    waiting = counted(group.number("hosts_waiting"), "host")
    slots = counted(group.number("slots"), "slot")
    verb = "waits" if group.number("hosts_waiting") == 1 else "wait"
    yield from page.wrap(
        f"group {group.text('name')}: {group.text('lent')} of {slots} lent, {waiting} {verb}",
        indent=0,
    )
    yield from (
        f"  {line}" for text in _in_the_way(group, page) for line in page.wrap(text, indent=2)
    )
    yield from render_holders([group], page)
    yield from render_waiting([group], page)
    left = (group.number("hosts_waiting") or 0) - len(group.parts("waiting"))
    if left > 0:
        yield f"  and {counted(left, 'host')} more: `rebootmgrctl fleet waiting`"


def _in_the_way(group: Record, page: Page) -> Iterator[str]:
    configured = group.text("configured_slots")
    if group.text("slots") != configured:
        until = group.instant("slots_until")
        end = f"until {page.instant(until)}" if until else "until `rebootmgrctl fleet slots`"
        yield f"{configured} configured, changed {end}"
    if freeze := group.part("freeze"):
        yield f"frozen{_freeze(freeze, page)}"
    elif stands := group.part("stands"):
        cure = _cure(group) if stands.text("kind") == "halted" else ""
        kind = _KINDS.get(stands.text("kind"), stands.text("kind"))
        until = stands.instant("until")
        if stands.text("kind") != "frozen":  # all of them are, which is told above
            detail = _given(stands, "detail")
            yield f"{kind}{f' {detail}' if detail else ''}{_until(until, page)}{cure}"


def _cure(group: Record) -> str:
    if group.part("halt") is not None:
        return f", until `rebootmgrctl fleet resume {group.text('name')}`"
    return ", until one comes back, or `rebootmgrctl fleet release HOST`"


def _freeze(freeze: Record, page: Page) -> str:
    until = freeze.instant("until")
    end = _until(until, page) if until else " until `rebootmgrctl fleet thaw`"
    return f"{end}, by {freeze.text('by')}: {freeze.text('reason')}"


def _until(until: datetime | None, page: Page) -> str:
    return "" if until is None else f" until {page.instant(until)}"


def render_holders(groups: Iterable[Record], page: Page) -> Iterator[str]:
    """Give those that hold a slot, the longest first."""
    for group in groups:
        for holder in group.parts("holders"):
            overdue = ", overdue" if holder.is_true("overdue") else ""
            since = f"since {page.instant(holder.instant('since'))}{overdue}"
            failed = _given(holder, "failed")
            more = [*_id(holder), *_versions(holder), since, *[f"failed: {failed}"] * bool(failed)]
            color = RED if failed else YELLOW if overdue else ""
            yield from page.item("*", color, _name(holder), more)


def render_waiting(groups: Iterable[Record], page: Page) -> Iterator[str]:
    """Give those that wait, the first first."""
    for group in groups:
        for host in group.parts("waiting", most=EVERYBODY):
            turn_s = host.number("turn_seconds")
            turn = "" if turn_s is None else f", its turn in about {span(turn_s)}"
            since = (
                f"number {host.text('place')}, since {page.instant(host.instant('since'))}{turn}"
            )
            yield from page.item("-", "", _name(host), [*_id(host), since])


def render_happened(told: Iterable[Record], page: Page) -> Iterator[str]:
    """Give a line for each thing that happened, the latest last."""
    for one in told:
        at, group = one.instant("at"), _given(one, "group") or "all groups"
        when = f"{at.astimezone(page.zone):%a %Y-%m-%d %H:%M:%S %Z}" if at else UNKNOWN
        text = f"{when}  {group}: {_sentence(one, page)}"
        first, *rest = page.wrap(text, indent=_BELOW)
        color = _COLORS.get(one.text("what"), "")
        yield page.paint(first, color)
        yield from (page.paint(" " * _BELOW + line, color) for line in rest)


def _sentence(one: Record, page: Page) -> str:
    host, by, detail = _name(one), _given(one, "by"), _given(one, "detail")
    held_s, until = one.number("held_seconds"), one.instant("until")
    held = "" if held_s is None else f" after {span(held_s)}"
    why, done_by = f": {detail}" if detail else "", f" by {by}" if by else ""
    match one.text("what"):
        case "lent":
            return f"{host} got a slot{f' ({detail})' if detail else ''}"
        case "returned":
            return f"{host} gave its slot back{held}"
        case "taken_back":
            return f"{by} took the slot of {host} back{held}"
        case "failed":
            return f"the reboot of {host} failed{why}"
        case "recovered":
            return f"the reboot of {host} did not fail after all"
        case "thawed":
            return f"thawed{done_by or ', its time was over'}"
        case "slots" if not detail:
            return f"lends what is configured again{done_by or ', its time was over'}"
        case "slots":
            return f"lends {detail}{_until(until, page)}, changed{done_by}"
        case what:
            return f"{what}{done_by}{_until(until, page)}{why}"


def _name(host: Record) -> str:
    return _given(host, "name") or host.text("id")


def _id(host: Record) -> list[str]:
    return [host.text("id")] if _given(host, "name") else []


def _versions(holder: Record) -> list[str]:
    booted, target = _given(holder, "booted"), _given(holder, "target")
    return [f"{booted or UNKNOWN} → {target or UNKNOWN}"] if booted or target else []


def _given(record: Record, name: str) -> str:
    text = record.text(name)
    return "" if text == UNKNOWN else text


def _painted(page: Page, text: str, color: str) -> Iterator[str]:
    return (page.paint(line, color) for line in page.wrap(text, indent=0))


def counted(number: float | None, word: str) -> str:
    """Write `1 slot` and `3 slots`."""
    if number is None:
        return f"{UNKNOWN} {word}s"
    return f"{number:.0f} {word}{'' if number == 1 else 's'}"
