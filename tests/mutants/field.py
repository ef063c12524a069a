"""What the field and the probes showed, broken again: `python -m tests.mutants --field`.

Each topic names mutants of every list; those that stand here are of holds, messages, and what comes
and goes.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.mutants.mutant import CLOCK, Mutant

LOGIN1: Final = "tests/logind/test_login1.py::"
IN_VAIN: Final = (
    LOGIN1 + "test_the_message_is_withdrawn_when_nothing_has_come_of_a_call_that_was_accepted",
)
OVER_A_BOOT: Final = (
    CLOCK + "test_what_is_left_of_a_hold_is_a_span_of_the_next_boot_whatever_its_clock_is_set_to",
)
WALK: Final = "tests/core/test_world.py::test_every_reachable_world_keeps_its_promises"

BY_HAND: Final = (
    CLOCK + "test_who_sets_a_synchronized_clock_does_not_say_how_long_a_hold_lasts_after_the_boot",
)
MUTANTS: Final = (
    Mutant(
        "who sets a synchronized clock says how long a hold lasts after the boot",
        "clock.py",
        "            until = booted_at + timedelta(seconds=span.ends)\n",
        "            until = at.wall + timedelta(seconds=span.ends - at.mono)\n",
        BY_HAND,
    ),
    Mutant(
        "the next daemon of a boot dates a hold by a clock that nobody vouches for any more",
        "clock.py",
        "        if span.is_dated:  # in this boot, by the daemon that ran before\n"
        "            return hold\n",
        "",
        BY_HAND,
    ),
    Mutant(
        "an answer about the clock as it was before it was set is believed",
        "machine.py",
        "    is_of_now = Look.CLOCK not in turn.state.look_next",
        "    is_of_now = True",
        (CLOCK + "test_whether_the_clock_is_synchronized_is_asked_again_if_it_was_set_meanwhile",),
    ),
    Mutant(
        "a look under way is not repeated when the clock is set",
        "machine.py",
        "            if turn.state.looking is not None and Look.CLOCK in",
        "            if False and Look.CLOCK in",
        (CLOCK + "test_whether_the_clock_is_synchronized_is_asked_again_if_it_was_set_meanwhile",),
    ),
    Mutant(
        "a synchronized clock that is set by hand says what the latest time was",
        "clock.py",
        "        return state.known.booted_at + timedelta(seconds=at.mono)\n",
        "        return at.wall\n",
        (CLOCK + "test_the_latest_time_is_not_what_a_synchronized_clock_was_set_to_by_hand",),
    ),
    Mutant(
        "a hold of an earlier boot goes by whatever the clock is set to",
        "clock.py",
        "    if not span.is_dated or booted_at is None or hold.until is None:",
        "    if hold.span is not None:",
        OVER_A_BOOT,
    ),
    Mutant(
        "nobody asks how much of an earlier hold is left",
        "machine.py",
        "    if waits_for_clock(turn.state):",
        "    if False:",
        OVER_A_BOOT,
    ),
    Mutant(
        "what is left of a hold may be longer than it was",
        "clock.py",
        "    ends = min((hold.until - booted_at).total_seconds(), span.seconds)",
        "    ends = span.seconds",
        OVER_A_BOOT,
    ),
    Mutant(
        "a clock that is wrong for seconds ends a hold where none is required",
        "clock.py",
        "    is_dateless = hold.span is None and policy.clock is ClockRule.NEVER",
        "    is_dateless = policy.clock is ClockRule.NEVER",
        (
            CLOCK
            + "test_where_no_clock_is_required_a_hold_for_a_span_outlives_a_clock_that_was_wrong",
        ),
    ),
    Mutant(
        "the message of a call that came to nothing stays",
        "../logind/login1.py",
        "(self._is_announced and is_old)",
        "(self._is_announced and False)",
        IN_VAIN,
    ),
    Mutant(
        "the message of a call that was accepted is withdrawn at once",
        "../logind/login1.py",
        "self._announced_at >= IN_VAIN_AFTER_S",
        "self._announced_at >= 0.0",
        IN_VAIN,
    ),
    Mutant(
        "the message of a long shutdown is withdrawn",
        "../logind/login1.py",
        "announced_at == self._announced_at and not found.preparing:",
        "announced_at == self._announced_at:",
        IN_VAIN,
    ),
    Mutant(
        "of two reboots of one date the older is measured",
        "../show/metrics.py",
        "for past in reversed(status.history)",
        "for past in status.history",
        ("tests/show/test_metrics.py::test_of_two_reboots_of_one_date_the_newer_is_measured",),
    ),
    Mutant(
        "hooks that appear in the last look are not run",
        "attempt.py",
        "    undrained = turn.has_hooks(Phase.PRE_REBOOT) and not turn.state.memory.drained",
        "    undrained = False",
        (f"{WALK}[hooks that come and go]",),
    ),
    Mutant(
        "a logind that cannot be asked closes no gate",
        "gates.py",
        "    if known.logind_unknown or known.logind is None:",
        "    if known.logind is None:",
        (f"{WALK}[a logind that is not always there]",),
    ),
    Mutant(
        "a restart of the daemon while it is drained undoes nothing",
        "outcome.py",
        "    elif memory.settled == known.boot:\n        turn.abandon()",
        "    elif memory.settled == known.boot:\n        turn.rest()",
        (f"{WALK}[a memory that is not empty]",),
    ),
)

FIELD: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "people and their grace": (
            "a warning of long ago counts",
            "a request that expires at the last look shortens the grace",
            "a grace ends with the update that is withdrawn",
            "the grace of one update counts for the next",
            "a latecomer is warned at each look",
            "a grace of a minute is announced twice",
            "reboot --now gives people a last minute",
            "who logs in during the drain undoes it",
        ),
        "clocks, holds and requests": (
            "a wrong clock ends a hold",
            "a hold for a span ends by the wall clock",
            "a hold of an earlier boot goes by whatever the clock is set to",
            "nobody asks how much of an earlier hold is left",
            "what is left of a hold may be longer than it was",
            "who sets a synchronized clock says how long a hold lasts after the boot",
            "the next daemon of a boot dates a hold by a clock that nobody vouches for any more",
            "an answer about the clock as it was before it was set is believed",
            "a look under way is not repeated when the clock is set",
            "a synchronized clock that is set by hand says what the latest time was",
            "a clock that is wrong for seconds ends a hold where none is required",
            "reboot now asks for no good clock whatever decides",
            "a request is counted by the clock on the wall",
            "a request that ends during the last look is saved before the call",
            "a soft reboot empties the budget",
            "what a clock says that nobody vouches for poisons later boots",
            "a vouched clock leaves the latest time in the future",
            "a clock that nobody vouches for turns the latest time back",
            "reboot --now skips freezes",
            "a timed hold asks for no good clock",
        ),
        "shutdowns, and what goes with them": (
            "a long shutdown is called off after ten minutes",
            "the ten minutes end without a last look at logind",
            "a logind that cannot be asked is taken for a refusal",
            "an unclear answer is waited for, as an accepted call is",
            "a look from before the shutdown says that there is none",
            "a stop calls an accepted reboot off after ten minutes",
            "a scheduled shutdown that was cancelled is never noticed",
            "the message of a call that came to nothing stays",
            "the message of a call that was accepted is withdrawn at once",
            "the message of a long shutdown is withdrawn",
            "an update that went during the shutdown is blamed",
            "a logind that cannot be asked closes no gate",
        ),
        "servers under two names": (
            "a debt is paid while the slot is in use under another name",
            "a question is put while another name of the server is told of a release",
            "a release under way frees what another agent holds",
            "hosts that change their server tell it all at once",
            "every debt is paid at once",
        ),
        "windows, drains and back-off": (
            "a drain begins behind a limit that passed while the fleet was asked",
            "a drain is counted again once it is done",
            "what began although nothing fits is called off in the second half",
            "a grant ends the ladder of a failing drain",
            "a grant leaves the ladder of refusals standing",
            "near the longest wish that counts, everybody comes back at once",
            "a wish for longer than an hour is granted",
            "an appointment is spread once more",
            "a host that always changes is looked at for ever",
            "a last look may take as long as it likes",
            "a window out of sight is never looked for again",
            "no alarm rings where the rest of a window becomes too short",
        ),
        "what comes and goes": (
            "hooks to drain that appear late are skipped",
            "hooks that appear late cost the slot",
            "hooks that appear in the last look are not run",
            "a restart of the daemon while it is drained undoes nothing",
            "an update that was withdrawn takes its back-off along",
        ),
        "what is told": (
            "of two reboots of one date the older is measured",
            "the end of an undoing is foretold",
            "the forecast goes no further than the first obstacle",
            "a newer update makes the host behind since now",
            "what a clock of 1970 dated stays",
            "a host that booted its update stays behind",
            "what failed in the old system is told of the update",
            "a boot that nobody asked for is blamed on every update",
        ),
    }
)
"""The names of mutants in any of the lists, by what they break."""
