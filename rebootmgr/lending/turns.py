"""Whose turn it is, and when the turn of the others comes.

First come first served, and no slot lies idle: a free slot goes to the first of those who are
there. For somebody who was there earlier and is expected in a moment it is kept that moment.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from math import ceil
from typing import Final
from zlib import crc32

from rebootmgr.lending.barrier import Barrier, obstacle, value_of
from rebootmgr.lending.group import Group
from rebootmgr.lending.queue import Waiting
from rebootmgr.lending.terms import Moment

LONGEST_RETRY_S: Final = 3600.0
SHORTEST_RETRY_S: Final = 5.0
NEAR_S: Final = 40.0  # whose turn comes that soon may have the answer held
NEXT: Final = 2  # and always the next two
LONGEST_HELD_S: Final = 60.0
MOST_HELD: Final = 64

SECONDS_LATE: Final = 5.0  # who is expected, or late, by no more is waited for
_LATE_SHARE: Final = 0.15  # of its own interval: who is later than that has missed its turn
_CREDIT: Final = 0.02  # of all slots and of their time may lie idle for somebody's sake
_CREDIT_FLOOR_S: Final = 300.0
_USUAL_INTERVAL_S: Final = 300.0  # of clients that come as they please
_FEWEST_SERVED: Final = 10
_IDLE_S: Final = 60.0  # so long free, and who should have had it has missed its turn
_ANYBODYS_S: Final = 15.0  # so long free, and a slot is lent to whoever asks
_SPREAD: Final = 0.03
_AFTER_S: Final = 60.0  # all who wait for an instant come within that


@dataclass(frozen=True, slots=True)
class Kept:
    """A free slot is kept for somebody; look again at this time."""

    look_s: float


def passed_time(group: Group, slots: int, at: Moment) -> Group:
    """Count what the slots did since the last look."""
    free = max(slots - len(group.holders), 0) if group.queue else 0
    gone_s = max(at.s - group.counted_s, 0.0)
    most = _CREDIT_FLOOR_S + _CREDIT * slots * group.hold_s
    earned = group.credit_s + gone_s * (_CREDIT * slots - free)
    credit_s = min(max(earned, -_CREDIT_FLOOR_S), most)
    return group._replace(credit_s=credit_s, counted_s=at.s)


def idle_marked(group: Group, slots: int, at: Moment) -> Group:
    """Remember since when a slot is free though somebody waits, and since when nobody is there."""
    if bool(group.holders or group.queue) == (group.quiet_s is not None):
        group = group._replace(quiet_s=None if group.quiet_s is not None else at.s)
    idle = len(group.holders) < slots and bool(group.queue)
    if idle == (group.idle_since_s is not None):
        return group
    return group._replace(idle_since_s=at.s if idle else None)


def next_up(group: Group, slots: int, at: Moment, asker: Waiting | None) -> Waiting | Kept | None:
    """Say who gets a free slot: somebody held back, the one who asks, or nobody for now."""
    chosen = _first_held(group, at)
    if asker is not None and obstacle(group.barrier, asker.about, at) is not None:
        asker = None
    if asker is not None and (chosen is None or asker.ticket < chosen.ticket):
        chosen = asker if _counts(group, slots, at, asker) else chosen
    if chosen is None:
        return None
    wait_s = _reserved(group, slots, at, chosen, asks=chosen is asker)
    return chosen if wait_s is None else Kept(at.s + min(max(wait_s, 0.5), SECONDS_LATE))


def _first_held(group: Group, at: Moment) -> Waiting | None:
    """Give the first of those whose answer is held, and that may have a slot."""
    queue = group.queue
    if group.barrier is None:
        return queue.at(queue.held[0]) if queue.held else None
    held = map(queue.at, queue.held)
    return next((one for one in held if obstacle(group.barrier, one.about, at) is None), None)


def _served(group: Group, slots: int) -> int:
    """How many of the first are served as they come."""
    share = group.queue.deaf / max(len(group.queue), 1)
    turns = 1.5 * _USUAL_INTERVAL_S * slots / group.hold_s
    return int(max(_FEWEST_SERVED, turns * share if share > _CREDIT else 0.0))


def _counts(group: Group, slots: int, at: Moment, asker: Waiting) -> bool:
    """Whether the one who asks may have a slot before others who were there earlier."""
    if asker.told_s is not None and not asker.deaf:
        return True  # it came when it was told
    if group.idle_since_s is not None and at.s - group.idle_since_s >= _ANYBODYS_S:
        return True
    most = _served(group, slots)
    for number, entry in enumerate(_awaited(group, at)):
        if entry.ticket >= asker.ticket:
            return True
        if number + 1 >= most:
            return False
    return True


def _awaited(group: Group, at: Moment) -> Iterator[Waiting]:
    """Who is there or may still come in time, first come first."""
    return (
        entry
        for entry in group.queue
        if (entry.held is not None or at.s <= entry.due_s + _patience_s(entry))
        and (group.barrier is None or obstacle(group.barrier, entry.about, at) is None)
    )


def _patience_s(entry: Waiting) -> float:
    return SECONDS_LATE if entry.interval_s is None else _LATE_SHARE * entry.interval_s


def _reserved(group: Group, slots: int, at: Moment, chosen: Waiting, *, asks: bool) -> float | None:
    """For how long all that is free is kept for those before the chosen one; None: it is not."""
    if group.idle_since_s is not None and at.s - group.idle_since_s >= _IDLE_S:
        return None
    soon, deaf, starved = 0, 0, False
    first_s, most = LONGEST_RETRY_S, _served(group, slots)
    for number, entry in enumerate(_awaited(group, at)):
        if entry.ticket >= chosen.ticket or number >= most:
            break
        if entry.held is not None:
            continue
        wait_s = max(entry.due_s - at.s, 0.0)
        soon += wait_s <= SECONDS_LATE
        if entry.deaf:
            deaf += 1
            starved = starved or _is_starved(group, slots, at, entry)
        if entry.deaf or wait_s <= SECONDS_LATE:
            first_s = min(first_s, wait_s)
    patient = not asks and (starved or first_s <= group.credit_s)
    wanted = max(deaf if patient else 0, soon if first_s <= group.credit_s else 0)
    keep = min(wanted, max(1, round(_CREDIT * slots)))
    return first_s if slots - len(group.holders) <= keep and keep else None


def _is_starved(group: Group, slots: int, at: Moment, entry: Waiting) -> bool:
    """Whether it has waited for much longer than its turn should have taken."""
    ahead = group.queue.ahead_of(entry.ticket)
    turn_s = (ahead + 1) * group.hold_s / max(slots, 1)
    return at.s - entry.joined_s > 1.5 * turn_s + 600.0


def turn_s(group: Group, slots: int, at: Moment, entry: Waiting) -> tuple[int, float | None]:
    """Say how many go before it and it, and in how many seconds its turn comes.

    None where nothing is lent. Those that had their turn and missed it do not count for who does
    as it is told.
    """
    number = group.queue.ahead_of(entry.ticket) + 1
    if group.barrier is not None and group.barrier.label:
        number, rounds = _spread_place(group, group.barrier, entry)
        in_s = _turn_in_s(group, slots, at, number)
        return number, None if in_s is None else max(in_s, rounds * group.hold_s)
    if not entry.deaf and 0 <= group.front < entry.ticket:
        number = max(1, number - group.queue.ahead_of(group.front))
    return number, _turn_in_s(group, slots, at, number)


def front_after(group: Group, slots: int, at: Moment, chosen: Waiting) -> int:
    """Say how far the turn has come, with the one who gets a slot now.

    Who was let in far ahead of its turn, because a slot was free and nobody else was there, says
    nothing of it; but where a slot lay idle for long, all those before it have missed theirs.
    """
    if chosen.deaf or chosen.ticket <= group.front:
        return group.front
    ahead = group.queue.ahead_of(chosen.ticket)
    if group.front >= 0:
        ahead -= group.queue.ahead_of(group.front)
    missed = group.idle_since_s is not None and at.s - group.idle_since_s >= _IDLE_S
    return chosen.ticket if missed or ahead < max(_FEWEST_SERVED, 2 * slots) else group.front


def _turn_in_s(group: Group, slots: int, at: Moment, number: int) -> float | None:
    needed = number - (slots - len(group.holders))
    if group.stands is None and 0 < needed <= len(group.settling):
        return group.settling[needed - 1] - at.s
    if slots == 0:
        return None
    return 0.0 if needed <= 0 else _return_s(group, slots, at, needed)


def _spread_place(group: Group, barrier: Barrier, entry: Waiting) -> tuple[int, int]:
    """Count those that go before it where values take turns, and how many of its own come first.

    Before the third of a value has its turn, each other value had about three.
    """
    mine = value_of(barrier.label, entry.about)
    ahead = Counter(
        value_of(barrier.label, one.about)
        for one in takewhile(lambda one: one.ticket < entry.ticket, group.queue)
    )
    own = ahead.pop(mine, 0) if mine else 0
    most = own + barrier.most
    others = sum(min(number, most) if mine and value else number for value, number in ahead.items())
    rounds = (own + barrier.down.get(mine, 0)) // barrier.most if mine else 0
    return own + others + 1, rounds


def _return_s(group: Group, slots: int, at: Moment, needed: int) -> float:
    """In how many seconds the `needed`th slot from now comes back, as the sooner of two guesses.

    One is by the average, the other by since when each slot is held. Who holds for twice as long
    as usual is not counted on, unless all do.
    """
    hold_s = group.hold_s
    late = bisect_left(group.begins, at.s - 2 * hold_s)
    counted = group.begins[late:] or group.begins[-1:] or (at.s,)
    rounds, place = divmod(needed - 1, min(len(counted), slots))
    expected_s = counted[place] + hold_s - at.s
    if expected_s < 0.0:  # the longer it took, the longer it will take
        expected_s = 0.1 * (hold_s - expected_s)
    return min(expected_s + rounds * hold_s, needed * hold_s / slots)


def is_near(group: Group, slots: int, number: int, in_s: float | None) -> bool:
    """Whether its turn comes so soon that its answer is held back."""
    next_ones = number - max(slots - len(group.holders), 0) <= NEXT
    return in_s is not None and (in_s <= NEAR_S or next_ones)


def retry_after_s(host: str, in_s: float | None) -> int:
    """When it pays to come back, so spread that no two hosts return in the same second."""
    wished = LONGEST_RETRY_S if in_s is None else max(SHORTEST_RETRY_S, 0.9 * in_s)
    return round(min(wished, LONGEST_RETRY_S) * (1.0 - _SPREAD * _share(host)))


def retry_once_s(host: str, in_s: float) -> int:
    """When to come back where nothing is granted before an instant: soon after it, as above."""
    if in_s >= LONGEST_RETRY_S:
        return retry_after_s(host, None)
    return ceil(min(max(in_s, SHORTEST_RETRY_S) + _AFTER_S * _share(host), LONGEST_RETRY_S))


def _share(host: str) -> float:
    return crc32(host.encode()) / 2**32
