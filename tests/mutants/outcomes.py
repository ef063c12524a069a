"""Breakages of the boot that follows, its outcome, and of what operators ask for."""

from typing import Final

from tests.mutants.mutant import (
    BOOT,
    LOOP,
    OPERATOR,
    STORIES,
    Mutant,
)

MUTANTS: Final = (
    Mutant(
        "a crash forgets the drain",
        "postboot.py",
        "    elif memory.settled == known.boot:\n        turn.abandon()",
        "    elif memory.settled == known.boot:\n        turn.rest()",
    ),
    Mutant(
        "a restart while going down starts over",
        "postboot.py",
        "    if known.logind.preparing:",
        "    if not known.logind:",
    ),
    Mutant(
        "the boot is judged before boot-complete",
        "postboot.py",
        "    if known is None or known.boot_incomplete or known.os_unknown",
        "    if known is None or known.os_unknown",
    ),
    Mutant(
        "a failed update is never quarantined",
        "verdict.py",
        "    if tried < policy.attempts_per_deployment or",
        "    if tried <= policy.attempts_per_deployment + 99 or",
    ),
    Mutant(
        "hooks that fail after the boot do not matter",
        "verdict.py",
        "        return Outcome.SUCCEEDED if healthy else Outcome.ROLLED_BACK",
        "        return Outcome.SUCCEEDED",
        (STORIES + "test_failed_hooks_after_the_boot_are_a_rollback_too",),
    ),
    Mutant(
        "what greenboot took back counts as never applied",
        "verdict.py",
        "        if finalized or intent.seen_booted:",
        "        if finalized and intent.seen_booted and not intent.shutdown_seen:",
        (STORIES + "test_greenboot_goes_back_so_the_update_is_rolled_back_and_the_slot_is_kept",),
    ),
    Mutant(
        "a power cut counts as an attempt",
        "verdict.py",
        "return Outcome.NOT_APPLIED if intent.shutdown_seen else Outcome.INTERRUPTED",
        "return Outcome.NOT_APPLIED",
        (
            STORIES
            + "test_a_power_cut_between_intent_and_shutdown_is_interrupted_and_counts_no_attempt",
        ),
    ),
    Mutant(
        "a rollback by an administrator is undone",
        "verdict.py",
        "    if not 0 < os.booted.timestamp < last.timestamp:",
        "    if last.timestamp:",
        (STORIES + "test_a_rollback_by_an_administrator_is_not_undone",),
    ),
    Mutant(
        "a failed update keeps no slot",
        "postboot.py",
        "        turn.keep_ledger(slots.keep(ledger))",
        "        pass",
        (LOOP + "test_a_host_whose_update_never_applies_is_rebooted_a_few_times_and_says_why",),
    ),
    Mutant(
        "success keeps the slot",
        "postboot.py",
        "    elif judgement.outcome is Outcome.SUCCEEDED or not any(",
        "    elif not any(",
        (STORIES + "test_a_rolled_back_host_goes_on_to_a_later_update_and_only_then_frees_it",),
    ),
    Mutant(
        "to forgive frees no slot",
        "operator.py",
        "            turn.keep_ledger(slots.free(turn.state.ledger, None))",
        "            pass",
        (STORIES + "test_forgiving_alone_frees_a_kept_slot",),
    ),
    Mutant(
        "to forgive forgets only the last attempt",
        "operator.py",
        "                    memory = absolve(memory, one.key)",
        "                    pass",
        (STORIES + "test_forgiving_lets_it_be_tried_again_and_frees_the_slot",),
    ),
    Mutant(
        "power cuts are not on the budget",
        "verdict.py",
        "        case Outcome.SUPERSEDED | Outcome.INTERRUPTED:\n"
        "            return Judgement(result, counted, keeps_slot=False)",
        "        case Outcome.SUPERSEDED | Outcome.INTERRUPTED:\n"
        "            return Judgement(result, settled, keeps_slot=False)",
        (STORIES + "test_endless_power_cuts_are_bounded_by_the_budget",),
    ),
    Mutant(
        "fewer reboots are remembered than allowed",
        "verdict.py",
        "    remembered = max(REMEMBERED, policy.reboots_per_day)",
        "    remembered = REMEMBERED",
        (LOOP + "test_a_large_budget_is_a_budget_too",),
    ),
    Mutant(
        "a target that came up is not remembered as seen",
        "postboot.py",
        "        if intent is not None and booted == intent.target:",
        "        if intent is None and booted:",
        (BOOT + "test_what_came_up_once_and_was_gone_later_is_a_rollback",),
    ),
    Mutant(
        "a restart while going down gets ten fresh minutes",
        "postboot.py",
        "Rebooting(intent.target, intent.mono + turn.policy.patience.shutdown_s)",
        "Rebooting(intent.target, turn.at.mono + turn.policy.patience.shutdown_s)",
        (BOOT + "test_a_restart_while_going_down_gets_what_is_left_of_the_ten_minutes",),
    ),
    Mutant(
        "to forgive leaves the attempts counted",
        "operator.py",
        "            if key is None:\n                memory = replace(memory, attempts=())\n",
        "",
        (OPERATOR + "test_a_failure_that_was_forgiven_does_not_count_towards_the_quarantine",),
    ),
    Mutant(
        "to forgive one update forgives them all",
        "operator.py",
        "                if key in {None, one.key}:",
        "                if one.key:",
        (OPERATOR + "test_to_forgive_one_update_leaves_the_others_in_quarantine",),
    ),
    Mutant(
        "a released hold takes the others along",
        "operator.py",
        "            left = tuple(hold for hold in memory.holds if hold.id != id)",
        "            left = tuple(hold for hold in () if hold.id != id)",
        (OPERATOR + "test_of_several_holds_the_last_one_to_end_decides",),
    ),
    Mutant(
        "a cancel leaves the request standing",
        "operator.py",
        "            turn.remember(replace(_held(memory, hold), ask=None))",
        "            turn.remember(_held(memory, hold))",
        (OPERATOR + "test_a_cancel_withdraws_the_request_too",),
    ),
    Mutant(
        "a request keeps the back-off",
        "operator.py",
        "    turn.remember(replace(turn.state.memory, ask=ask))\n"
        "    turn.state = replace(turn.state, setback=None)",
        "    turn.remember(replace(turn.state.memory, ask=ask))",
        (OPERATOR + "test_a_request_drops_the_back_off",),
    ),
    Mutant(
        "a stop begins the hooks after the boot",
        "postboot.py",
        "or known.os_unknown or turn.state.stopping:",
        "or known.os_unknown:",
        (BOOT + "test_a_daemon_that_stops_begins_no_hooks_after_the_boot",),
    ),
    Mutant(
        "a boot is judged by what rpm-ostree said before it fell silent",
        "postboot.py",
        "known.boot_incomplete or known.os_unknown or turn",
        "known.boot_incomplete or turn",
        (BOOT + "test_a_boot_is_not_judged_while_rpm_ostree_is_silent",),
    ),
    Mutant(
        "a dry run runs the hooks after the boot",
        "postboot.py",
        "    if turn.has_hooks(Phase.POST_BOOT) and not turn.policy.dry_run:",
        "    if turn.has_hooks(Phase.POST_BOOT):",
        (BOOT + "test_a_dry_run_runs_no_hooks_after_the_boot_and_sends_nothing",),
    ),
    Mutant(
        "a state that cannot be read is judged",
        "postboot.py",
        "    if not turn.state.readable:\n        turn.rest()\n    elif intent",
        "    if intent",
        (BOOT + "test_without_its_memory_the_daemon_runs_no_hooks_after_the_boot",),
    ),
    Mutant(
        "an update staged anew counts as finalized",
        "verdict.py",
        "        finalized = intent.target in os.on_disk and not (\n"
        "            os.staged and os.default.id == intent.target  # staged anew since\n"
        "        )\n",
        "        finalized = intent.target in os.on_disk\n",
        (BOOT + "test_an_update_that_is_staged_anew_was_never_applied",),
    ),
    Mutant(
        "the same update under another serial supersedes itself",
        "verdict.py",
        "    if intent.target == os.booted.id or os.booted.key == intent.key:",
        "    if intent.target == os.booted.id:",
        (BOOT + "test_the_same_update_under_another_serial_succeeded",),
    ),
    Mutant(
        "a slot is kept although nobody wants that",
        "verdict.py",
        "keeps_slot=bad and policy.keep_slot_on_failed_update)",
        "keeps_slot=bad)",
        (BOOT + "test_a_failed_update_keeps_no_slot_where_that_is_not_wanted",),
    ),
    Mutant(
        "the drain outlasts the reboot",
        "verdict.py",
        "intent=None, drained=False, ask=None)",
        "intent=None, ask=None)",
        (BOOT + "test_a_reboot_ends_the_drain",),
    ),
    Mutant(
        "an update in quarantine is put there twice",
        "verdict.py",
        "last.key == os.booted.key or is_quarantined(settled, last.key):",
        "last.key == os.booted.key:",
        (BOOT + "test_what_is_in_quarantine_is_not_put_there_again",),
    ),
    Mutant(
        "reboots are not counted",
        "verdict.py",
        "        reboots_total=memory.reboots_total + 1,\n",
        "",
        (BOOT + "test_each_reboot_that_was_asked_for_is_counted_once_and_dated",),
    ),
)
