"""The explorations: each lets some things happen in every order, and leaves the others alone."""

import os
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from rebootmgr.core.memory import Debt, Intent, Memory, Quarantine
from rebootmgr.core.model import Phase
from rebootmgr.core.policy import ClockRule, DeadlineStep, Policy, Strategy, Waivable
from tests.core import canonical
from tests.core.world import (
    ALL_HOOKS,
    HOLD,
    MONDAYS_FROZEN,
    OLD,
    PATIENCE,
    S1,
    S2,
    SUNDAYS,
    A,
    B,
    Nature,
)

IMMEDIATE: Final = Policy(patience=PATIENCE, sessions_grace=timedelta(seconds=canonical.SOON))
GROWING: Final = replace(PATIENCE, longest_retry_s=4 * canonical.SOON)
FLEET: Final = replace(IMMEDIATE, strategies=frozenset({Strategy.FLEET_LOCK}), slot=S1)
OTHER_FLEET: Final = replace(FLEET, slot=S2)
WINDOWED: Final = replace(
    FLEET,
    strategies=frozenset({Strategy.PERIODIC, Strategy.FLEET_LOCK}),
    calendar=SUNDAYS,
    clock=ClockRule.NEVER,
)
DOUBTING: Final = replace(IMMEDIATE, strategies=frozenset({Strategy.PERIODIC}), calendar=SUNDAYS)
FROZEN: Final = replace(IMMEDIATE, calendar=MONDAYS_FROZEN)
AGEING: Final = replace(
    DOUBTING,
    clock=ClockRule.NEVER,
    deadlines=tuple(
        DeadlineStep(
            after=timedelta(seconds=seconds * canonical.SOON),
            waive=frozenset({waived}),
            grace=timedelta(),
            warn=(timedelta(seconds=canonical.SOON),),
        )
        for seconds, waived in ((1.0, Waivable.SESSIONS), (2.5, Waivable.WINDOWS))
    ),
)
UNSURE: Final = replace(AGEING, clock=ClockRule.WINDOWS)
BOLD: Final = replace(FLEET, attempts_per_deployment=1, reboots_per_day=2)

INTENT: Final = Intent(
    target=A.id,
    key=A.key,
    version=A.version,
    booted=OLD.id,
    boot=canonical.OTHER,
    at=canonical.THEN,
    mono=0.0,
)
MINE: Final = Debt(slot=S1, granted=True)
DRAINED: Final = Memory(booted=OLD, drained=True, debts=(MINE,))
REMEMBERED: Final = (
    replace(DRAINED, settled=canonical.OTHER, intent=INTENT),
    replace(
        DRAINED, settled=canonical.OTHER, intent=replace(INTENT, shutdown_seen=True), holds=(HOLD,)
    ),
    replace(DRAINED, settled=canonical.THIS, intent=replace(INTENT, boot=canonical.THIS)),
    replace(DRAINED, settled=canonical.THIS, debts=(MINE, Debt(slot=S2, granted=True))),
    Memory(
        settled=canonical.OTHER,
        booted=A,
        debts=(replace(MINE, kept=True),),
        attempts=((A.key, 1),),
        quarantine=(Quarantine(key=A.key, why="failed", since=canonical.THEN),),
    ),
)
"""What a daemon may find: a reboot that came or did not, a drain, slots, a hold, a quarantine."""

SHALLOW: Final = (
    Nature(
        name="slow looks",
        policies=(FLEET,),
        slow_looks=True,
        inhibits=False,
        crashes=False,
    ),
    Nature(
        name="an update whose file goes first",
        policies=(IMMEDIATE,),
        slow_looks=True,
        withdrawals=True,
        inhibits=False,
        crashes=False,
    ),
    Nature(
        name="an update in the file of another",
        policies=(FLEET,),
        updates=(A, B),
        withdrawals=True,
        inhibits=False,
        crashes=False,
    ),
    Nature(
        name="a sysroot at work",
        policies=(IMMEDIATE,),
        slow_looks=True,
        works=True,
        inhibits=False,
        crashes=False,
    ),
    Nature(name="a sysroot at work in a fleet", policies=(FLEET,), works=True, inhibits=False),
    Nature(name="crashes", policies=(IMMEDIATE,), slow_looks=True),
    Nature(name="crashes in a fleet", policies=(FLEET,)),
    Nature(name="replaced in the queue", policies=(FLEET,), updates=(A, B), inhibits=False),
    Nature(name="hooks", policies=(IMMEDIATE,), hooks=ALL_HOOKS, logind_refuses=True),
    Nature(
        name="hooks that nothing is heard of",
        policies=(FLEET,),
        hooks=ALL_HOOKS,
        hooks_unclear=True,
        crashes=False,
        inhibits=False,
    ),
    Nature(
        name="hooks that nothing is heard of, and crashes",
        policies=(IMMEDIATE,),
        hooks=ALL_HOOKS,
        hooks_unclear=True,
        inhibits=False,
    ),
    Nature(name="hooks in a fleet", policies=(FLEET,), hooks=ALL_HOOKS),
    Nature(
        name="slow looks around hooks",
        policies=(IMMEDIATE,),
        hooks=ALL_HOOKS,
        slow_looks=True,
        crashes=False,
    ),
    Nature(
        name="another name of the server",
        policies=(FLEET, OTHER_FLEET),
        one_server=True,
        inhibits=False,
        crashes=False,
    ),
    Nature(
        name="a server that remembers what we do not",
        policies=(IMMEDIATE, FLEET, OTHER_FLEET),
        left=frozenset({S1, S2}),
        updates=(),
    ),
    Nature(
        name="ladders",
        policies=(replace(FLEET, patience=GROWING),),
        hooks=frozenset({Phase.PRE_REBOOT, Phase.ABANDONED}),
        inhibits=False,
        crashes=False,
        ladders=True,
    ),
    Nature(name="another agent", policies=(FLEET,), drivers=True, inhibits=False),
    Nature(name="calls that nobody answers", policies=(FLEET,), unclear_calls=True, inhibits=False),
    Nature(
        name="last looks that take long",
        policies=(IMMEDIATE,),
        just_over=True,
        slow_looks=True,
        inhibits=False,
        crashes=False,
    ),
    Nature(name="another strategy", policies=(FLEET, IMMEDIATE), inhibits=False),
    Nature(
        name="people, requests and holds that end at any moment",
        policies=(IMMEDIATE,),
        sessions=True,
        spans=True,
        just_over=True,
        inhibits=False,
        crashes=False,
    ),
    Nature(
        name="drains at the end of a window",
        policies=(WINDOWED,),
        hooks=frozenset({Phase.PRE_REBOOT, Phase.ABANDONED}),
        window_moves=True,
        just_over=True,
        fit=True,
        inhibits=False,
        crashes=False,
    ),
    Nature(name="people", policies=(FLEET,), sessions=True, inhibits=False, hooks=ALL_HOOKS),
    Nature(name="operators", policies=(FLEET,), operators=True, inhibits=False),
    Nature(
        name="boots",
        policies=(replace(BOLD, reboots_per_day=1),),
        reboots=True,
        inhibits=False,
        boot_fails=True,
        crashes=False,
    ),
    Nature(
        name="boots, hooks and crashes",
        policies=(replace(BOLD, slot=None, strategies=frozenset({Strategy.IMMEDIATE})),),
        hooks=ALL_HOOKS,
        reboots=True,
        inhibits=False,
    ),
    Nature(name="a full disk", policies=(FLEET,), hooks=ALL_HOOKS, save_fails=True, inhibits=False),
    Nature(name="windows", policies=(WINDOWED,), window_moves=True, inhibits=False),
    Nature(name="stops", policies=(FLEET,), hooks=ALL_HOOKS, stops=True, inhibits=False),
    Nature(name="logind refuses", policies=(FLEET,), logind_refuses=True, inhibits=False),
    Nature(
        name="two updates and an rpm-ostree that fails to answer",
        policies=(IMMEDIATE,),
        updates=(A, B),
        slow_looks=True,
        unknowns=True,
        inhibits=False,
        crashes=False,
    ),
    Nature(
        name="requests and holds around hooks",
        policies=(WINDOWED,),
        hooks=frozenset({Phase.PRE_REBOOT, Phase.ABANDONED}),
        spans=True,
        just_over=True,
        inhibits=False,
        crashes=False,
    ),
    Nature(
        name="deadlines",
        policies=(AGEING,),
        window_moves=True,
        sessions=True,
        just_over=True,
        inhibits=False,
        crashes=False,
    ),
    Nature(
        name="deadlines, requests and holds",
        policies=(AGEING,),
        window_moves=True,
        spans=True,
        just_over=True,
        inhibits=False,
        crashes=False,
    ),
    Nature(
        name="deadlines, crashes and clocks that are set",
        policies=(UNSURE,),
        window_moves=True,
        clock_lies=True,
        inhibits=False,
    ),
    Nature(
        name="a clock that is set, both ways",
        policies=(FROZEN, DOUBTING),
        window_moves=True,
        clock_lies=True,
        inhibits=False,
        crashes=False,
    ),
    Nature(
        name="hooks that come and go",
        policies=(IMMEDIATE,),
        hooks=frozenset({Phase.PRE_REBOOT, Phase.ABANDONED}),
        hooks_move=True,
        inhibits=False,
        crashes=False,
    ),
    Nature(
        name="hooks that come and go in a fleet",
        policies=(FLEET,),
        hooks=ALL_HOOKS,
        hooks_move=True,
        inhibits=False,
    ),
    Nature(
        name="a logind that is not always there",
        policies=(FLEET,),
        hooks=ALL_HOOKS,
        logind_silent=True,
        inhibits=False,
    ),
    Nature(
        name="a memory that is not empty",
        policies=(FLEET,),
        hooks=frozenset({Phase.PRE_REBOOT, Phase.ABANDONED}),
        memories=REMEMBERED,
        inhibits=False,
        crashes=False,
    ),
)


def deeper(sibling: str, **changes: Any) -> Nature:
    """A sibling of a shallow one, in which more happens at once."""
    [shallow] = (nature for nature in SHALLOW if nature.name == sibling)
    return replace(shallow, **changes)


DEEP: Final = (
    deeper(
        "deadlines, requests and holds",
        name="deadlines, requests, holds and people",
        sessions=True,
    ),
    deeper("slow looks", name="slow looks and inhibitors", inhibits=True),
    deeper("boots", name="boots, two a day", policies=(BOLD,)),
    deeper(
        "two updates and an rpm-ostree that fails to answer",
        name="two updates and an rpm-ostree that falls silent",
        inhibits=True,
    ),
    deeper("another name of the server", name="another server", one_server=False),
    deeper(
        "requests and holds around hooks",
        name="requests and holds around hooks in a fleet",
        window_moves=True,
    ),
    deeper("a clock that is set, both ways", name="clocks that are set, both ways", spans=True),
    deeper(
        "people, requests and holds that end at any moment",
        name="people while looks are slow",
        slow_looks=True,
        spans=False,
        just_over=False,
    ),
    deeper(
        "a memory that is not empty",
        name="a memory that is not empty, around operators",
        operators=True,
    ),
)
"""Most happens at once in them, which takes minutes: `make soak` walks them, too."""

NATURES: Final = (*SHALLOW, *DEEP) if os.environ.get("REBOOTMGR_WALK") == "deep" else SHALLOW
"""What is walked here and now."""
