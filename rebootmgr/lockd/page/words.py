"""How the state of a fleet reads to somebody who has to act at three in the morning."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from rebootmgr.lending.questions import Kind
from rebootmgr.lending.saying import counted, span
from rebootmgr.lockd.admin_words import Document, encode_glance
from rebootmgr.table import Table

MOST_CELLS: Final = 40
AT_ONCE: Final = 5
"""So many that wait are seen without a click."""


class Mood(StrEnum):
    """How a group stands, from the one that needs somebody to the one that needs nobody."""

    STOPPED = "stopped"
    ATTENTION = "attention"
    PAUSED = "paused"
    MOVING = "moving"
    QUIET = "quiet"


_ORDER: Final = tuple(Mood)
MARKS: Final = {
    Mood.STOPPED: "■",
    Mood.ATTENTION: "▲",
    Mood.PAUSED: "○",
    Mood.MOVING: "▶",
    Mood.QUIET: "✓",
}
"""Beside the color, for whoever does not see it."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What is so, in a sentence, and what to do about it; `commands` are typed on the server."""

    text: str
    todo: str = ""
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One host, since when, and what is to be said of it; `bad` goes first to the eye."""

    name: str
    id: str
    since: datetime
    held: str
    notes: tuple[str, ...]
    bad: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One group. `cells` are its slots in a bar, each by the class of its color."""

    name: str
    mood: Mood
    word: str
    advice: tuple[Advice, ...]
    slots: str
    cells: tuple[str, ...]
    holders: tuple[Row, ...]
    more_holders: int
    waiting: tuple[Row, ...]
    more_waiting: int
    queue: str

    @property
    def mark(self) -> str:
        """Its mood as a sign."""
        return MARKS[self.mood]


@dataclass(frozen=True, slots=True)
class Chip:
    """One group at a glance."""

    name: str
    mood: Mood
    word: str

    @property
    def mark(self) -> str:
        """Its mood as a sign."""
        return MARKS[self.mood]


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole server at a glance."""

    version: str
    at: datetime
    mood: Mood
    headline: str
    advice: tuple[Advice, ...]
    chips: tuple[Chip, ...]
    more_groups: int

    @property
    def mark(self) -> str:
        """Its mood as a sign."""
        return MARKS[self.mood]


def overview(document: Document) -> Overview:
    """Read what is so for all groups, and which of them stand still."""
    said = Table(document, "the server")
    at, trouble = said.time("at"), said.maybe("trouble", said.text)
    chips = tuple(sorted(said.each("groups", _chip), key=lambda chip: _ORDER.index(chip.mood)))
    advice = []
    if trouble:
        todo = "Nothing is lent or taken back. On the server's host:"
        commands = ("systemctl status rebootmgr-lockd", "journalctl -u rebootmgr-lockd -n 50")
        advice.append(Advice(trouble, todo, commands))
    if (freeze := said.maybe("freeze", said.table)) is not None:
        text, thaw = f"All groups are {_frozen(freeze)}.", "sudo rebootmgrctl fleet thaw"
        advice.append(Advice(text, _AS_WANTED, (thaw,)))
    mood, headline = _headline(chips, trouble=bool(trouble), frozen=freeze is not None)
    return Overview(
        said.text("version"), at, mood, headline, tuple(advice), chips, said.whole("more_groups")
    )


def _headline(chips: tuple[Chip, ...], *, trouble: bool, frozen: bool) -> tuple[Mood, str]:
    if trouble:
        return Mood.STOPPED, "Nothing is lent: the store cannot be used"
    if frozen:
        return Mood.ATTENTION, "All groups are frozen"
    stopped, odd = (
        [chip.name for chip in chips if chip.mood is mood]
        for mood in (Mood.STOPPED, Mood.ATTENTION)
    )
    if stopped:
        stand = "stands still" if len(stopped) == 1 else "stand still"
        text = f"{counted(len(stopped), 'group')} {stand}: {_listed(stopped)}"
        return Mood.STOPPED, f"{text}; {len(odd)} more to look at" if odd else text
    if odd:
        need = "needs a look" if len(odd) == 1 else "need a look"
        return Mood.ATTENTION, f"{counted(len(odd), 'group')} {need}: {_listed(odd)}"
    if any(chip.mood is Mood.MOVING for chip in chips):
        return Mood.MOVING, "All groups go on"
    return Mood.QUIET, "Nobody holds a slot, and nobody waits for one"


def _listed(names: list[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def _chip(group: Table) -> Chip:
    mood, word = _mood(group)
    return Chip(group.text("name"), mood, word)


def _mood(group: Table) -> tuple[Mood, str]:
    """Say in a word how a group stands."""
    failed, overdue = group.whole("failed"), group.whole("overdue")
    match group.maybe("stands", group.text):
        case Kind.HALTED:
            return Mood.STOPPED, "halted"
        case Kind.FROZEN:
            return Mood.ATTENTION, "frozen"
        case _ if failed:
            return Mood.ATTENTION, f"{failed} failed"
        case _ if overdue:
            return Mood.ATTENTION, f"{overdue} overdue"
        case Kind.BLACKOUT:
            return Mood.PAUSED, "blackout"
        case Kind.OUTSIDE_WINDOW:
            return Mood.PAUSED, "outside windows"
        case _ if not group.whole("slots"):
            return Mood.ATTENTION, "no slots"
        case _ if group.maybe("in_the_way", group.text) == Kind.WAITING_FOR_GROUP:
            return Mood.PAUSED, "others go first"
        case _ if group.flag("in_use"):
            return Mood.MOVING, "lends"
        case _:
            return Mood.QUIET, "idle"


def in_order(cards: Iterable[Card]) -> list[Card]:
    """Put first what needs somebody."""
    return sorted(cards, key=lambda one: _ORDER.index(one.mood))


def card(document: Document, at: datetime) -> Card:
    """Read one group as it was at an instant."""
    group = Table(document, "a group")
    mood, word = _mood(Table(encode_glance(document), "a group"))
    lent, slots, waiting = (group.whole(key) for key in ("lent", "slots", "hosts_waiting"))
    holders = group.each("holders", lambda one: _holder(one, at))
    rows = group.each("waiting", lambda one: _waiting(one, at))
    return Card(
        name=group.text("name"),
        mood=mood,
        word=word,
        advice=tuple(_advice(group)),
        slots=f"{lent} of {counted(slots, 'slot')} lent",
        cells=_cells(group),
        holders=holders,
        more_holders=lent - len(holders),
        waiting=rows,
        more_waiting=waiting - len(rows),
        queue="Nobody waits" if not waiting else f"{counted(waiting, 'host')} {_wait(waiting)}",
    )


def _wait(number: int) -> str:
    return "waits" if number == 1 else "wait"


_AS_WANTED: Final = "Somebody wants it so: returns are taken all the same. To end it:"
_DEAD: Final = (
    "Look at the host. If it is down for good, take its slot back; never that of one alive:"
)
_BY_ITSELF: Final = "It goes on by itself."


def _advice(group: Table) -> Iterator[Advice]:
    """Say what is in the way, and what to do, the worst first."""
    name = group.text("name")
    bad = [one for one in group.each("holders", _bad) if one is not None]
    stands = group.maybe("stands", group.table)
    if stands is not None:
        yield _of_standstill(group, stands, name, bad[0].id if bad else "HOST")
    if stands is None or stands.text("kind") != Kind.HALTED:
        for one in bad[:2]:
            yield Advice(one.text, _DEAD, (f"sudo rebootmgrctl fleet release {one.id}",))
    configured = group.maybe("configured_slots", group.whole)
    if configured is None:
        text = "The configuration has no such group: it lends nothing."
        yield Advice(text, f"Write [groups.{name}], or lead its hosts to another group.")
    elif group.whole("slots") != configured:
        until = group.maybe("slots_until", group.time)
        end = f" until {_instant(until)}" if until else ""
        text = f"{counted(configured, 'slot')} configured, changed{end}."
        yield Advice(text, "To undo that:", (f"sudo rebootmgrctl fleet slots {name} default",))
    elif not configured:
        yield Advice("It has no slots to lend.", f"Set groups.{name}.slots.")
    if settling := group.whole("settling"):
        yield Advice(f"{counted(settling, 'slot')} that came back rest for a while.", _BY_ITSELF)
    if stands is None:
        yield from _of_first(group)


def _of_first(group: Table) -> Iterator[Advice]:
    """Say what is in the way of the first that waits, where it is about that host alone."""
    first = next(iter(group.each("waiting", lambda one: one)), None)
    alone = None if first is None else first.maybe("in_the_way", first.table)
    if alone is not None:
        goes_first = alone.text("kind") == Kind.WAITING_FOR_GROUP
        what = "Other hosts go first" if goes_first else "So many are down, and no more may be"
        yield Advice(f"{what}: {alone.prose('detail')}.", _BY_ITSELF)


def _of_standstill(group: Table, stands: Table, name: str, host: str) -> Advice:
    detail, until = stands.prose("detail"), stands.maybe("until", stands.time)
    end = "" if until is None else f" until {_instant(until)}"
    match stands.text("kind"):
        case Kind.HALTED if (halt := group.maybe("halt", group.table)) is not None:
            text = f"Halted since {_instant(halt.time('since'))}: {halt.prose('reason')}."
            todo = "Find out why before others take the update. Then, with or without its slot:"
            resume = f"sudo rebootmgrctl fleet resume {name}"
            return Advice(text, todo, (resume, f"{resume} --forgive {host}"))
        case Kind.HALTED:
            todo = f"It goes on when one comes back. {_DEAD}"
            return Advice(f"Halted: {detail}.", todo, (f"sudo rebootmgrctl fleet release {host}",))
        case Kind.FROZEN:
            freeze = group.maybe("freeze", group.table)
            if freeze is None:
                return Advice(f"Frozen with all groups{end}: {detail}.")
            command = f"sudo rebootmgrctl fleet thaw {name}"
            return Advice(f"F{_frozen(freeze)[1:]}.", _AS_WANTED, (command,))
        case Kind.BLACKOUT:
            return Advice(f"Blackout {detail}{end}.", _BY_ITSELF)
        case Kind.OUTSIDE_WINDOW:
            return Advice(f"Outside its maintenance windows{end}.", _BY_ITSELF)
        case other:
            return Advice(f"{other} {detail}{end}".strip() + ".")


def _frozen(freeze: Table) -> str:
    until = freeze.maybe("until", freeze.time)
    end = "until somebody thaws it" if until is None else f"until {_instant(until)}"
    by = freeze.prose("by")
    return f"frozen {end}{f', by {by}' if by else ''}: {freeze.prose('reason')}"


@dataclass(frozen=True, slots=True)
class _Bad:
    """A holder that somebody should look at. Commands name the `id`: no shell reads more in it."""

    text: str
    id: str


def _bad(holder: Table) -> _Bad | None:
    name = holder.maybe("name", holder.prose) or holder.text("id")
    if failed := holder.maybe("failed", holder.prose):
        return _Bad(f"The reboot of {name} failed: {failed}.", holder.text("id"))
    if holder.flag("overdue"):
        return _Bad(f"{name} has held its slot for too long.", holder.text("id"))
    return None


def _cells(group: Table) -> tuple[str, ...]:
    """Draw the slots, of very many a share."""
    lent, failed, overdue = (group.whole(key) for key in ("lent", "failed", "overdue"))
    total = max(group.whole("slots"), lent)
    scale = min(total, MOST_CELLS) / max(total, 1)
    bad = min(failed + overdue, lent)
    late = round(bad * scale) or bool(bad)
    used = max(round(lent * scale), late, bool(lent))
    free = max(round(total * scale) - used, 0)
    return ("bad",) * late + ("lent",) * (used - late) + ("free",) * free


def _holder(holder: Table, at: datetime) -> Row:
    booted, target = (holder.maybe(key, holder.prose) or "" for key in ("booted", "target"))
    notes = (f"{booted or 'unknown'} → {target or 'unknown'}",) if booted or target else ()
    failed = holder.maybe("failed", holder.prose)
    bad = f"failed: {failed}" if failed else "overdue" if holder.flag("overdue") else ""
    return _row(holder, at, notes, bad)


def _waiting(host: Table, at: datetime) -> Row:
    turn_s = host.maybe("turn_seconds", host.whole)
    alone = host.maybe("in_the_way", host.table)
    note = "" if alone is None else alone.prose("detail")
    if turn_s is not None and alone is None:
        note = f"its turn in about {span(turn_s)}" if turn_s > 0 else "its turn any moment"
    return _row(host, at, (note,) if note else (), "")


def _row(host: Table, at: datetime, notes: tuple[str, ...], bad: str) -> Row:
    name, since = host.maybe("name", host.prose), host.time("since")
    held = span(max((at - since).total_seconds(), 1.0))
    return Row(name or host.text("id"), host.text("id") if name else "", since, held, notes, bad)


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
