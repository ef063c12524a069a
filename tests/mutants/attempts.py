"""Breakages of the attempt: machine, advance, progress, turn."""

from typing import Final

from tests.mutants.mutant import (
    ATTEMPT,
    BOOT,
    CLOCK,
    MACHINE,
    PEOPLE,
    STORIES,
    Mutant,
)

MUTANTS: Final = (
    Mutant(
        "a last look may take as long as it likes",
        "attempt.py",
        "    elif turn.at.mono >= committing.until:",
        "    elif False:",
        (MACHINE + "test_a_host_that_was_suspended_during_the_last_look_begins_anew",),
    ),
    Mutant(
        "202 counts as a grant",
        "attempt.py",
        "        case LockReserved(ticket, _, detail):",
        "        case LockReserved():\n"
        "            _prepare(turn, asking.target, just_checked=False)\n"
        "            return\n        case LockReserved(ticket, _, detail):",
        (MACHINE + "test_a_reserved_slot_is_kept_and_asked_for_again_within_half_a_minute",),
    ),
    Mutant(
        "a stale look answers for the commit",
        "attempt.py",
        "    if not turn.fresh or turn.state.memory != turn.before.memory:\n",
        "    if False:\n",
        (MACHINE + "test_a_look_from_before_the_commit_does_not_answer_for_it",),
    ),
    Mutant(
        "a change during the last look is ignored",
        "machine.py",
        "    turn.fresh = turn.state.look_next is Look.NOWHERE",
        "    turn.fresh = True",
        (MACHINE + "test_a_change_during_the_last_look_makes_it_look_again",),
    ),
    Mutant(
        "an answer to an older look is believed",
        "machine.py",
        "            if looking is not None and ticket == looking.ticket:",
        "            if looking is not None:",
        (ATTEMPT + "test_a_look_that_the_last_one_has_overtaken_is_no_answer",),
    ),
    Mutant(
        "a retarget at the commit goes on",
        "attempt.py",
        "    if turn.target != target or turn.blockers():\n"
        "        _abandon(turn)\n"
        "        return\n"
        "    if warned_until",
        (
            "    if turn.target is None or turn.blockers():\n"
            "        _abandon(turn)\n"
            "        return\n"
            "    if warned_until"
        ),
        (MACHINE + "test_a_retarget_at_the_commit_never_reboots_on_the_old_gates",),
    ),
    Mutant(
        "a blocker at the commit is ignored",
        "attempt.py",
        "    if turn.target != target or turn.blockers():\n"
        "        _abandon(turn)\n"
        "        return\n"
        "    if warned_until",
        (
            "    if turn.target != target:\n"
            "        _abandon(turn)\n"
            "        return\n"
            "    if warned_until"
        ),
        (MACHINE + "test_an_inhibitor_that_appears_at_the_commit_stops_it",),
    ),
    Mutant(
        "the slot goes back while rebooting",
        "turn.py",
        "            case Starting() | PostBoot() | Rebooting() | Undoing():\n"
        "                return slots.Claim(freeze=True)",
        (
            "            case Starting() | PostBoot() | Undoing():\n"
            "                return slots.Claim(freeze=True)\n"
            "            case Rebooting():\n"
            "                return slots.Claim()"
        ),
        (MACHINE + "test_after_an_accepted_reboot_nothing_gives_the_slot_back",),
    ),
    Mutant(
        "the slot goes back before the drain is undone",
        "turn.py",
        "            case Starting() | PostBoot() | Rebooting() | Undoing():\n"
        "                return slots.Claim(freeze=True)",
        (
            "            case Starting() | PostBoot() | Rebooting():\n"
            "                return slots.Claim(freeze=True)\n"
            "            case Undoing():\n"
            "                return slots.Claim()"
        ),
        (MACHINE + "test_a_drain_is_undone_before_the_slot_goes_back",),
    ),
    Mutant(
        "the record is written after the act",
        "turn.py",
        "        self.effects.insert(0, SaveMemory(self.state.memory))",
        "        self.effects.append(SaveMemory(self.state.memory))",
        (MACHINE + "test_the_slot_is_on_record_before_the_question_is_sent",),
    ),
    Mutant(
        "a drain is not put on record",
        "attempt.py",
        "        turn.remember(replace(turn.state.memory, drained=True))",
        "        pass",
        (MACHINE + "test_checks_run_before_the_fleet_is_asked_and_again_after_the_drain",),
    ),
    Mutant(
        "an unknown rpm-ostree is taken for a clear one",
        "machine.py",
        "            return replace(known, os_unknown=detail, os_cure",
        "            return replace(known, os_cure",
        (MACHINE + "test_a_silent_rpm_ostree_keeps_the_last_known_state_and_never_reboots_on_it",),
    ),
    Mutant(
        "a newer policy does not start the attempt over",
        "machine.py",
        "Asking | Preparing | Committing | Waiting | Queued):\n        turn.try_anew()\n",
        "Waiting | Queued):\n        turn.try_anew()\n",
        (MACHINE + "test_a_change_of_server_tells_the_old_one_once_the_new_one_has_refused",),
    ),
    Mutant(
        "a new serial is a new update",
        "attempt.py",
        "        key=target.key,",
        '        key=type(target.key)(f"{target.key}/{target.id}"),',
        (STORIES + "test_after_as_many_rollbacks_as_are_allowed_it_is_not_tried_again",),
    ),
    Mutant(
        "a good clock leaves wrong dates alone",
        "machine.py",
        "        turn.remember(date_anew(date_holds(turn.state, turn.at), known.boot, turn.at))",
        "        pass",
        (MACHINE + "test_reboots_dated_in_the_future_count_until_a_good_clock_dates_them_anew",),
    ),
    Mutant(
        "a wrong clock ends a hold",
        "clock.py",
        "    return is_timed or is_over or is_trusted or is_dateless",
        "    return True",
        (STORIES + "test_a_clock_that_is_wrong_after_a_boot_ends_no_hold",),
    ),
    Mutant(
        "a refused reboot leaves the node drained",
        "machine.py",
        "                turn.set_back(Cause.CALL, Reason.LOGIND_UNREACHABLE, detail)\n"
        "                turn.abandon()",
        (
            "                turn.set_back(Cause.CALL, Reason.LOGIND_UNREACHABLE, detail)\n"
            "                turn.rest()"
        ),
        (ATTEMPT + "test_a_refused_reboot_undoes_the_drain",),
    ),
    Mutant(
        "a hook that overruns the window goes on",
        "attempt.py",
        "def _go_on_or_abandon(turn: Turn, target: Deployment) -> None:",
        "def _go_on_or_abandon(turn: Turn, target: Deployment) -> None:\n"
        "    if turn.attempt:\n"
        "        return",
        (STORIES + "test_a_hook_that_overruns_the_window_never_leads_to_a_reboot_outside_it",),
    ),
    Mutant(
        "a newer update during the last checks costs the slot",
        "attempt.py",
        "    if turn.target != target or turn.blockers():\n        _abandon(turn)\n\n",
        ("    if turn.target != target or turn.blockers():\n        turn.abandon()\n\n"),
        (ATTEMPT + "test_a_newer_update_during_the_last_checks_does_not_cost_the_slot",),
    ),
    Mutant(
        "a newer update at the commit costs the slot",
        "attempt.py",
        "        _abandon(turn)\n        return\n    if warned_until",
        ("        turn.abandon()\n        return\n    if warned_until"),
        (ATTEMPT + "test_a_newer_update_at_the_commit_does_not_cost_the_slot",),
    ),
    Mutant(
        "the undoing starts while the daemon stops",
        "attempt.py",
        "            if _is_due(turn, Cause.UNDOING) and not turn.state.stopping:",
        "            if _is_due(turn, Cause.UNDOING):",
        (ATTEMPT + "test_a_daemon_that_stops_leaves_the_undoing_to_its_next_start",),
    ),
    Mutant(
        "a logind that did not answer is not asked again",
        "machine.py",
        "    if known.os_unknown or known.logind_unknown:\n        return next",
        "    if known.os_unknown:\n        return next",
        (ATTEMPT + "test_a_logind_that_did_not_answer_is_asked_again",),
    ),
    Mutant(
        "rpm-ostree is asked in place of the logind that did not answer",
        "attempt.py",
        "    return Look.LOGIND if turn.known.logind_unknown else Look.SYSROOT",
        "    return Look.OS",
        (ATTEMPT + "test_a_logind_that_did_not_answer_is_asked_again",),
    ),
    Mutant(
        "a reload looks at nothing",
        "machine.py",
        "            turn.state = replace(turn.state, "
        "look_next=turn.state.look_next | Look.LOGIND)\n"
        "            _reconsider(turn)\n",
        "            _reconsider(turn)\n",
        (ATTEMPT + "test_a_reload_finds_the_leave_that_polkit_gave_with_it",),
    ),
    Mutant(
        "a reload keeps the back-off of the lock",
        "machine.py",
        "        turn.try_anew()\n        turn.abandon()\n",
        "        turn.abandon()\n",
        (ATTEMPT + "test_a_reload_tries_at_once_what_had_been_put_off",),
    ),
    Mutant(
        "a reload keeps the back-off of the hooks",
        "machine.py",
        "    if isinstance(turn.attempt, PostBoot | Undoing):\n        turn.try_anew()\n",
        ("    if isinstance(turn.attempt, PostBoot | Undoing):\n        pass\n"),
        (ATTEMPT + "test_a_reload_runs_at_once_the_hooks_that_could_not_be_run",),
    ),
    Mutant(
        "a stop while rebooting is no shutdown seen",
        "machine.py",
        "    if isinstance(turn.attempt, Rebooting):\n        _note_shutdown(turn)\n    elif",
        "    if isinstance(turn.attempt, Rebooting):\n        pass\n    elif",
        (BOOT + "test_a_stop_after_the_accepted_call_is_the_shutdown_itself",),
    ),
    Mutant(
        "a second word of the shutdown dates it anew",
        "machine.py",
        "intent is not None and not intent.shutdown_seen:",
        "intent is not None:",
        (BOOT + "test_the_shutdown_began_when_it_was_first_heard_of",),
    ),
    Mutant(
        "a 503 may be asked again at once",
        "attempt.py",
        "            turn.set_back(Cause.LOCK, _unclear(event), detail, Wish(wish_s, appointed))",
        "            turn.set_back(Cause.LOCK, _unclear(event), detail)",
        (ATTEMPT + "test_a_server_in_trouble_is_given_the_time_that_it_asks_for",),
    ),
    Mutant(
        "a refusal may be asked again at once",
        "attempt.py",
        "turn.set_back(Cause.LOCK, Reason.LOCK_REFUSED, detail, Wish(wish_s, appointed))",
        "turn.set_back(Cause.LOCK, Reason.LOCK_REFUSED, detail)",
        (MACHINE + "test_the_servers_retry_after_is_honoured_up_to_an_hour",),
    ),
    Mutant(
        "no answer counts as an answer",
        "attempt.py",
        "    return Reason.LOCK_FAILING if answer.answered else Reason.LOCK_UNREACHABLE",
        "    return Reason.LOCK_FAILING",
        (MACHINE + "test_an_unclear_answer_leaves_the_slot_presumed_ours",),
    ),
    Mutant(
        "trouble of the server counts as a refusal",
        "attempt.py",
        "    return Reason.LOCK_FAILING if answer.answered else Reason.LOCK_UNREACHABLE",
        "    return Reason.LOCK_REFUSED if answer.answered else Reason.LOCK_UNREACHABLE",
        (MACHINE + "test_trouble_of_the_server_is_told_from_a_refusal_in_other_words",),
    ),
    Mutant(
        "checks that passed hours ago count",
        "attempt.py",
        "    if passed is not None and turn.at.mono - passed < turn.policy.patience.check_s:",
        "    if passed is not None:",
        (ATTEMPT + "test_checks_that_passed_count_for_a_minute_and_no_longer",),
    ),
    Mutant(
        "checks that passed just now are run again",
        "attempt.py",
        "    if passed is not None and turn.at.mono - passed < turn.policy.patience.check_s:",
        "    if not turn.policy:",
        (ATTEMPT + "test_checks_that_passed_count_for_a_minute_and_no_longer",),
    ),
    Mutant(
        "checks of the last minute answer for the commit",
        "attempt.py",
        "        _after_checks(turn, target, just_checked=False)",
        "        _after_checks(turn, target, just_checked=True)",
        (ATTEMPT + "test_checks_are_run_again_at_a_commit_that_comes_later",),
    ),
    Mutant(
        "checks are run twice in the same instant",
        "attempt.py",
        "            turn.state = replace(turn.state, passed_checks_at=turn.at.mono)\n"
        "            _after_checks(turn, target, just_checked=True)",
        (
            "            turn.state = replace(turn.state, passed_checks_at=turn.at.mono)\n"
            "            _after_checks(turn, target, just_checked=False)"
        ),
        (ATTEMPT + "test_checks_are_run_again_at_a_commit_that_comes_later",),
    ),
    Mutant(
        "checks that said no at the commit still count as passed",
        "attempt.py",
        "    turn.state = replace(turn.state, passed_checks_at=None)\n    turn.abandon()",
        "    turn.abandon()",
        (ATTEMPT + "test_after_a_check_that_said_no_at_the_commit_checks_come_before_the_fleet",),
    ),
    Mutant(
        "a check at the commit fails as a hook",
        "attempt.py",
        "    reason = Reason.CHECK_FAILED if is_check else Reason.HOOK_FAILED",
        "    reason = Reason.HOOK_FAILED",
        (ATTEMPT + "test_after_a_check_that_said_no_at_the_commit_checks_come_before_the_fleet",),
    ),
    Mutant(
        "a grant ends the ladder of a failing drain",
        "attempt.py",
        "            turn.succeed(Cause.LOCK)\n",
        "            turn.try_anew()\n",
        (ATTEMPT + "test_a_drain_that_fails_waits_longer_each_time_although_the_fleet_agrees",),
    ),
    Mutant(
        "a grant leaves the ladder of refusals standing",
        "attempt.py",
        "            turn.succeed(Cause.LOCK)\n",
        "            pass\n",
        (ATTEMPT + "test_a_grant_ends_the_ladder_of_refusals",),
    ),
    Mutant(
        "an undoing that failed is begun anew",
        "attempt.py",
        "        case HooksPassed() | HooksFailed():\n            turn.succeed(Cause.UNDOING)",
        "        case HooksFailed():\n"
        "            turn.undo()\n"
        "        case HooksPassed():\n"
        "            turn.succeed(Cause.UNDOING)",
        (ATTEMPT + "test_an_undoing_that_fails_was_an_undoing",),
    ),
    Mutant(
        "a stop runs the undoing that nobody waits for",
        "turn.py",
        "        elif self.state.stopping:\n"
        "            self.rest()  # the next start finds the mark, undoes, "
        "and gives the slot back then\n",
        "",
        (ATTEMPT + "test_a_stop_during_the_drain_undoes_at_the_next_start_and_keeps_the_slot",),
    ),
    Mutant(
        "a stop gives the slot of a drained node back",
        "turn.py",
        "        if self.state.stopping and self.state.memory.drained:\n"
        "            return slots.Claim(freeze=True)\n",
        "",
        (ATTEMPT + "test_a_stop_during_the_drain_undoes_at_the_next_start_and_keeps_the_slot",),
    ),
    Mutant(
        "a look at logind alone answers for the commit",
        "machine.py",
        "turn.state.look_next is Look.NOWHERE and Look.HOST in look",
        "turn.state.look_next is Look.NOWHERE",
        (PEOPLE + "test_a_look_at_the_logins_of_the_last_minute_is_not_the_last_look",),
    ),
    Mutant(
        "a stop calls an accepted reboot off after ten minutes",
        "attempt.py",
        "    if turn.state.stopping:\n        return\n    if not rebooting.unclear:",
        "    if not rebooting.unclear:",
        (MACHINE + "test_after_an_accepted_reboot_nothing_gives_the_slot_back",),
    ),
    Mutant(
        "a long shutdown is called off after ten minutes",
        "attempt.py",
        "        turn.become(Rebooting(rebooting.target, None))\n        return",
        "        pass",
        (MACHINE + "test_a_shutdown_that_takes_longer_than_ten_minutes_is_left_to_itself",),
    ),
    Mutant(
        "the ten minutes end without a last look at logind",
        "attempt.py",
        "            turn.look_afresh(Look.LOGIND)\n    elif Look.LOGIND in turn.heard and",
        "    elif Look.LOGIND in turn.heard and",
        (MACHINE + "test_an_accepted_reboot_that_never_comes_is_given_up_after_ten_minutes",),
    ),
    Mutant(
        "a logind that cannot be asked is taken for a refusal",
        "attempt.py",
        "(now >= until or not known.logind_unknown):",
        "True:",
        (MACHINE + "test_a_logind_that_stays_away_after_the_call_gets_ten_minutes",),
    ),
    Mutant(
        "an unclear answer is waited for, as an accepted call is",
        "machine.py",
        "                turn.become(replace(turn.attempt, unclear=detail))\n",
        "",
        (MACHINE + "test_a_call_that_got_no_answer_is_refused_unless_a_shutdown_comes",),
    ),
    Mutant(
        "a look from before the shutdown says that there is none",
        "machine.py",
        "    if isinstance(turn.attempt, Rebooting) and not turn.state.stopping:\n"
        "        turn.look_afresh(Look.LOGIND)\n",
        "",
        (MACHINE + "test_a_shutdown_that_began_during_a_look_is_believed",),
    ),
    Mutant(
        "the reboot is called in the step that has something to put on record",
        "attempt.py",
        "    if not turn.fresh or turn.state.memory != turn.before.memory:",
        "    if not turn.fresh:",
        (MACHINE + "test_what_cannot_be_put_on_record_in_the_last_look_reboots_nothing",),
    ),
    Mutant(
        "a host that always changes is looked at for ever",
        "attempt.py",
        "    if Look.HOST in turn.heard and turn.at.mono >= committing.until:",
        "    if False:",
        (MACHINE + "test_a_host_that_changes_during_each_last_look_is_given_up_after_a_minute",),
    ),
    Mutant(
        "a scheduled shutdown that was cancelled is never noticed",
        "gates.py",
        "    return Look.LOGIND if reasons == {Reason.SHUTDOWN_SCHEDULED} else Look.NOWHERE",
        "    return Look.NOWHERE",
        (MACHINE + "test_a_shutdown_that_somebody_scheduled_is_asked_for_once_a_minute",),
    ),
    Mutant(
        "hooks to drain that appear late are skipped",
        "attempt.py",
        "    return undrained or unchecked",
        "    return unchecked",
        (ATTEMPT + "test_a_drain_that_appears_during_the_last_look_is_run_with_the_slot_kept",),
    ),
    Mutant(
        "hooks that appear late cost the slot",
        "attempt.py",
        "    if _missed_hooks(turn):\n        turn.abandon(queued=True)",
        ("    if _missed_hooks(turn):\n        turn.abandon()"),
        (ATTEMPT + "test_a_drain_that_appears_during_the_last_look_is_run_with_the_slot_kept",),
    ),
    Mutant(
        "a latecomer is warned at each look",
        "people.py",
        "    promising = replace(state, promises=(*others, *new))",
        "    promising = state",
        (PEOPLE + "test_who_comes_during_the_last_minute_is_told_once",),
    ),
    Mutant(
        "a dry run warns people of nothing",
        "people.py",
        "    if policy.dry_run:\n",
        "    if not sessions:\n",
        (PEOPLE + "test_a_dry_run_frightens_nobody",),
    ),
    Mutant(
        "a grace of a minute is announced twice",
        "people.py",
        "reminded=length <= LAST_WARNING_S)",
        "reminded=False)",
        (PEOPLE + "test_a_grace_of_a_minute_is_announced_once",),
    ),
    Mutant(
        "reboot --now gives people a last minute",
        "people.py",
        "    if not policy.sessions_wait or state.skips_gates(at):\n        return ()",
        ("    if not policy.sessions_wait:\n        return ()"),
        (PEOPLE + "test_reboot_now_waits_for_nobody_who_is_logged_in",),
    ),
    Mutant(
        "people get a last minute although nobody waits for people",
        "people.py",
        "    if not policy.sessions_wait or state.skips_gates(at):\n        return ()",
        ("    if state.skips_gates(at):\n        return ()"),
        (PEOPLE + "test_where_nobody_waits_for_people_they_get_no_last_minute_either",),
    ),
    Mutant(
        "an update that was withdrawn takes its back-off along",
        "turn.py",
        "attempt=Idle(), passed_checks_at=None",
        "attempt=Idle(), setbacks=(), passed_checks_at=None",
        (ATTEMPT + "test_an_update_that_was_withdrawn_leaves_the_back_off_behind",),
    ),
    Mutant(
        "checks for an update that was withdrawn count for the next",
        "turn.py",
        "attempt=Idle(), passed_checks_at=None",
        "attempt=Idle()",
        (ATTEMPT + "test_an_update_that_was_withdrawn_takes_its_checks_along",),
    ),
    Mutant(
        "a vouched clock leaves the latest time in the future",
        "clock.py",
        "    if state.known.booted_at is not None:\n"
        "        return state.known.booted_at + timedelta(seconds=at.mono)\n",
        "",
        (CLOCK + "test_once_a_good_clock_has_spoken_the_years_that_a_wrong_one_saw_are_forgotten",),
    ),
    Mutant(
        "a clock that nobody vouches for turns the latest time back",
        "clock.py",
        "    return at.wall if _may_assume(state, at) else last",
        "    return at.wall",
        (CLOCK + "test_a_clock_that_nobody_vouches_for_never_turns_the_latest_time_back",),
    ),
)
