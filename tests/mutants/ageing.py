"""Breakages of deadlines: how old an update is, and what counts no more."""

from typing import Final

from tests.mutants.mutant import AGED, DEADLINES, OVERDUE, Mutant

MUTANTS: Final = (
    Mutant(
        "a clock that nobody vouches for dates what was before this boot",
        "backlog.py",
        "    if known.booted_at is None:\n        return anchor",
        "    if known.booted_at is None and anchor.vouched is None:\n        return anchor\n"
        "    known = replace(known, booted_at=known.booted_at or anchor.vouched + OVER_AFTER)",
        (DEADLINES + "test_only_synchronized_clocks_may_tell_of_the_time_before_this_boot",),
    ),
    Mutant(
        "what a clock dated that nobody vouched for is taken for true",
        "backlog.py",
        "        vouched=old.vouched if was_staged else None,",
        "        vouched=(old.vouched or FIRST) if was_staged else None,",
        (DEADLINES + "test_only_synchronized_clocks_may_tell_of_the_time_before_this_boot",),
    ),
    Mutant(
        "a daemon that starts anew begins to count anew",
        "backlog.py",
        "    if kernel_of(old.boot) != kernel_of(known.boot):",
        "    if known.booted_at is None:",
        (DEADLINES + "test_a_daemon_that_starts_anew_counts_on_by_uptime_whatever_the_clock_says",),
    ),
    Mutant(
        "a deadline is due before a host is up for its grace",
        "deadlines.py",
        "        yield step, max(due, step.grace.total_seconds())",
        "        yield step, due",
        (DEADLINES + "test_a_host_that_was_off_for_weeks_is_not_rebooted_as_it_comes_up",),
    ),
    Mutant(
        "a step forgets what the steps before it waive",
        "deadlines.py",
        "        steps += (step,)\n",
        "        steps = (step,)\n",
        (DEADLINES + "test_a_step_waives_what_the_steps_before_it_do",),
    ),
    Mutant(
        "a deadline waives blackouts",
        "deadlines.py",
        "        calendar = replace(calendar, periodic=False)",
        "        calendar = replace(calendar, periodic=False, blackouts=())",
        (DEADLINES + "test_no_deadline_ends_a_hold_a_blackout_or_updates_that_are_off",),
    ),
    Mutant(
        "nobody wakes up to announce a deadline",
        "deadlines.py",
        "            yield due - span.total_seconds()",
        "            yield due",
        (DEADLINES + "test_each_step_is_announced_at_each_of_its_instants",),
    ),
    Mutant(
        "who logs in late is not told of the deadline",
        "people.py",
        "        heard = {one.session for one in told if one.due == due and one.span <= span}",
        "        heard = {one.id for one in sessions_of(state) if told or one.tty == 'pts/1'}",
        (DEADLINES + "test_who_logs_in_late_is_told_at_once_and_once",),
    ),
    Mutant(
        "a deadline breaks what a warning promised",
        "people.py",
        "    if _are_waived(state, policy, at):  # but for what they were promised\n"
        "        return _until(promised, detail, at)",
        "    if _are_waived(state, policy, at):\n        return None",
        (DEADLINES + "test_what_was_promised_in_a_grace_is_kept_past_the_deadline",),
    ),
    Mutant(
        "a host that comes up after its deadline is rebooted at once, as a month shows",
        "deadlines.py",
        "        yield step, max(due, step.grace.total_seconds())",
        "        yield step, due",
        (OVERDUE,),
    ),
    Mutant(
        "a deadline is a minute early, as a month shows",
        "deadlines.py",
        "        due = since + step.after.total_seconds()",
        "        due = since + step.after.total_seconds() - 60.0",
        (OVERDUE,),
    ),
    Mutant(
        "a deadline is an hour late, as a month shows",
        "deadlines.py",
        "        due = since + step.after.total_seconds()",
        "        due = since + step.after.total_seconds() + 3600.0",
        (OVERDUE,),
    ),
    Mutant(
        "a plan counts no deadline",
        "deadlines.py",
        "            relaxed = openings(relax(policy.calendar, step.waive), max(due, start), end)",
        "            relaxed = openings(policy.calendar, max(due, start), end)",
        (AGED,),
    ),
    Mutant(
        "the step that waives windows closes what is open",
        "deadlines.py",
        "for due in _due(state, policy, at)]",
        "for due in _due(state, policy, at)[-1:]]",
        (DEADLINES + "test_a_step_never_closes_what_is_open_without_it",),
    ),
    Mutant(
        "how long nothing was staged is told by the wall clock alone",
        "backlog.py",
        "        if pending is not None and _was_gone_for_long(was.anchor, at):",
        "        if False:",
        (DEADLINES + "test_how_long_nothing_was_staged_is_told_by_uptime",),
    ),
    Mutant(
        "a check that a deadline names is run for ever",
        "turn.py",
        "        is_check = phase is Phase.CHECK",
        "        is_check = False",
        (
            DEADLINES
            + "test_a_named_check_is_not_run_from_the_deadline_on_nor_what_it_said_waited_for",
        ),
    ),
    Mutant(
        "what a waived check said is waited for",
        "attempt.py",
        "        if one.hook in names:\n            turn.succeed(one.cause)",
        "        if one.hook in names:\n            pass",
        (
            DEADLINES
            + "test_a_named_check_is_not_run_from_the_deadline_on_nor_what_it_said_waited_for",
        ),
    ),
    Mutant(
        "with one check a deadline waives what any other said",
        "attempt.py",
        "        if one.hook in names:\n            turn.succeed(one.cause)",
        "        if names:\n            turn.succeed(one.cause)",
        (DEADLINES + "test_a_check_that_no_deadline_names_is_waited_for_however_old_the_update",),
    ),
)
