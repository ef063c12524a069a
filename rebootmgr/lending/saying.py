"""One sentence for people about each answer; names from outside are cleaned before they come."""

from datetime import UTC
from typing import Final

from rebootmgr.lending.questions import (
    Ambiguous,
    Answer,
    Crowded,
    Done,
    Granted,
    Kind,
    NoSuchHolder,
    Refused,
    Returned,
    Unavailable,
    UnknownGroup,
)

_UNITS: Final = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))
_TWICE: Final = 2.0  # of a unit, and it is counted in that unit
_TEENS: Final = range(11, 14)
_ENDINGS: Final = {1: "st", 2: "nd", 3: "rd"}


def sentence(answer: Answer) -> str:
    """Say what was answered, and what to do where something can be done."""
    match answer:
        case Granted(again=False):
            return "a slot is yours"
        case Granted():
            return "a slot is yours already"
        case Refused():
            return f"{_in_the_way(answer)}; {_turn(answer)}"
        case Returned(had=True):
            return "your slot is given back"
        case Returned():
            return "you have no slot"
        case UnknownGroup():
            return "this server has no such group: ask for one of [groups] in its configuration"
        case Crowded(retry_s):
            return f"too many wait already: come back in {span(retry_s)}"
        case Unavailable():
            return "the store cannot be asked: come back soon"
        case Done():
            return "done"
        case NoSuchHolder():
            return "no host of that id or name holds a slot of this group"
        case Ambiguous(ids):
            return f"several holders have that name, give one of the ids: {', '.join(ids)}"


def _in_the_way(refused: Refused) -> str:
    match refused.kind:
        case Kind.ALL_SLOTS_FULL if not refused.lent:
            return "no slots to lend"
        case Kind.ALL_SLOTS_FULL:
            more = refused.lent - len(refused.holders)
            names = ", ".join(refused.holders) + (f" and {more} more" if more > 0 else "")
            return f"{_share(refused)} ({names})"
        case Kind.QUEUED:
            free = refused.slots - refused.lent
            return f"{free} of {counted(refused.slots, 'slot')} free, but others are first"
        case Kind.OUTSIDE_WINDOW:
            return f"outside the maintenance windows{_until(refused)}"
        case Kind.BLACKOUT:
            return f"blackout {refused.detail}{_until(refused)}"
        case Kind.FROZEN:
            return f"frozen{_until(refused)}: {refused.detail}"
        case Kind.HALTED:
            return f"halted until people resume it: {refused.detail}"
        case Kind.SETTLING:
            return "what came back is not lent again yet"
        case Kind.WAITING_FOR_GROUP:
            return f"other hosts go first: {refused.detail}"
        case Kind.SPREAD:
            return f"{refused.detail} are down, and no more may be"


def _until(refused: Refused) -> str:
    if refused.until is None:
        return ""
    return f" until {refused.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _share(refused: Refused) -> str:
    slots = counted(refused.slots, "slot")
    if refused.lent > refused.slots:  # they were more when these were lent
        return f"{refused.lent} lent of {slots}"
    return f"{refused.lent} of {slots} lent"


def _turn(refused: Refused) -> str:
    place = f"you are {ordinal(refused.place)} of {refused.waiting}"
    if refused.turn_s is None:
        return place
    return f"{place}, about {span(refused.turn_s)}" if refused.turn_s else f"{place}, any moment"


def ordinal(number: int) -> str:
    """Write 4 as `4th`."""
    ending = "th" if number % 100 in _TEENS else _ENDINGS.get(number % 10, "th")
    return f"{number}{ending}"


def counted(number: int, word: str) -> str:
    """Write `1 slot` and `3 slots`."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """Write a span in the largest unit that it has two of: `17 minutes`, `90 seconds`."""
    for length, unit in _UNITS:
        if seconds >= _TWICE * length:
            return counted(round(seconds / length), unit)
    return "1 second"
