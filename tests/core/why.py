"""What `why` says in an explored graph of worlds, against what the machine then does (SPEC 11).

`reboot` is said exactly where the reboot was called. Elsewhere, what is named is what stands in the
way of it: where nothing lasting is named, friendly answers alone lead there; where anything lasting
is, they never do. Friendly answers bring no news and let no time pass.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from rebootmgr.core.describe import _verdict, blockers
from rebootmgr.core.model import Reason
from rebootmgr.core.states import Asking, Committing, PostBoot, Preparing
from rebootmgr.core.status import Verdict
from tests.core.world import LATE, Calling, Edge, Looking, World

FRIENDLY = {"FactsRead", "HooksPassed", "LockGranted", "SlotReleased", "Saved"}
PASSING = {Reason.HOOK_RUNNING, Reason.LOCK_PENDING}
LAST_ANSWER = {
    Reason.LOCK_REFUSED,
    Reason.LOCK_FAILING,
    Reason.LOCK_DRAINING,
    Reason.LOCK_UNREACHABLE,
}


def says_reboot(world: World) -> bool:
    return _verdict(world.state) is Verdict.REBOOT


def judge_verdicts(graph: Mapping[World, Sequence[Edge]]) -> None:
    """A call under way is said; and nobody says `reboot` who has not called, or found it called."""
    for world, edges in graph.items():
        if says_reboot(world):
            [blocker] = blockers(world.state, world.policy, world.at())
            assert blocker.reason is Reason.REBOOTING
        elif world.questions:
            assert not any(isinstance(each, Calling) for each in world.questions), world.state
        for label, after in edges:
            if says_reboot(after) and not says_reboot(world):
                called = any(isinstance(each, Calling) for each in after.questions)
                assert called or after.down, (label, after.state)


def judge_blockers(graph: Mapping[World, Sequence[Edge]]) -> int:
    """Compare what is named with where friendly answers lead; how many worlds could be judged."""
    near = near_the_reboot(graph)
    judged = 0
    for world in graph:
        if is_known(world):
            judged += 1
            named = blockers(world.state, world.policy, world.at())
            said = world.state.target is not None and not lasting(world)
            assert said == (world in near), (named, world.state)
    return judged


def lasting(world: World) -> bool:
    """Whether anything is named that friendly answers do not lift."""
    attempt = world.state.attempt
    passing = PASSING
    if isinstance(attempt, Asking):
        passing = passing | LAST_ANSWER  # it stays while we ask again
    at = world.at()
    if isinstance(attempt, Committing) and attempt.until > at.mono:
        passing = passing | {Reason.STATE_UNKNOWN}  # the last look itself, until it is given up
    named = {
        one.reason
        for one in blockers(world.state, world.policy, at)
        if one.until is None or one.until > at.wall
    }
    return bool(named - passing)


def near_the_reboot(graph: Mapping[World, Sequence[Edge]]) -> set[World]:
    """Every world from which friendly answers alone lead to the call."""
    before: dict[World, list[World]] = defaultdict(list)
    for world, edges in graph.items():
        for label, after in edges:
            if FRIENDLY.issuperset(label.split(", ")):
                before[after].append(world)
    return leading_to(filter(says_reboot, graph), before)


def leading_to(ends: Iterable[World], before: Mapping[World, Sequence[World]]) -> set[World]:
    """`ends`, and every world from which one of them is reached, given what comes `before` each."""
    near = set(ends)
    left = list(near)
    while left:
        for world in before.get(left.pop(), ()):
            if world not in near:
                near.add(world)
                left.append(world)
    return near


def is_known(world: World) -> bool:
    """Whether the machine knows all there is to know, and the reboot is not yet called.

    Left out are: looks under way that bring news, a disk that fails before anybody has noticed, a
    boot that is yet to be judged, a stop, and who has a minute yet, told late or long ago.
    """
    state, known = world.state, world.state.known
    if world.down or state.stopping or known.is_nothing or says_reboot(world):
        return False
    if isinstance(state.attempt, PostBoot) or world.full != bool(state.unsaved):
        return False
    if world.user and (world.told is None or world.told.at <= -2 * LATE):
        return False
    if world.user and isinstance(state.attempt, Preparing | Committing):
        return False
    if (world.hooks, world.deaf) != (known.hooks, bool(known.logind_unknown)):
        return False
    is_last_look = isinstance(state.attempt, Committing) and state.attempt.warned_until is None
    if (state.looking is not None and not is_last_look) or state.look_next:
        return False
    return all(
        question.seen == world.facts(question.look)
        and (question.seen.os, question.seen.logind) == (known.os, known.logind)
        for question in world.questions
        if isinstance(question, Looking)
        and state.looking
        and question.ticket == state.looking.ticket
    )
