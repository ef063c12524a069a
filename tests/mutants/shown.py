"""Breakages of what is shown and counted, and of the alarms."""

from typing import Final

from tests.mutants.mutant import (
    BOOT,
    COUNTERS,
    DURATIONS,
    GATES,
    MACHINE,
    OPERATOR,
    PEOPLE,
    SENTENCE,
    SHOWN,
    Mutant,
)

MUTANTS: Final = (
    Mutant(
        "no alarm rings when a request expires",
        "alarm.py",
        "    if state.memory.ask is not None:\n        untils.append(state.memory.ask.until)\n",
        "",
        (OPERATOR + "test_a_request_that_expires_wakes_the_daemon",),
    ),
    Mutant(
        "no alarm rings when the opening ends",
        "alarm.py",
        "        untils += [] if opening is None else [opening.end]",
        "        untils += [] if opening is None else []",
        (GATES + "test_a_window_that_ends_while_checks_run_ends_them",),
    ),
    Mutant(
        "no alarm rings after ten minutes without a shutdown",
        "alarm.py",
        "        case Rebooting(until=until):\n            monos.append(until)\n",
        "        case Rebooting():\n            pass\n",
        (BOOT + "test_a_restart_while_going_down_gets_what_is_left_of_the_ten_minutes",),
    ),
    Mutant(
        "a grace is counted by the clock on the wall",
        "alarm.py",
        "blocker.until is not None and blocker.reason is not Reason.USERS_LOGGED_IN",
        "blocker.until is not None",
        (PEOPLE + "test_no_clock_that_is_set_ends_a_grace",),
    ),
    Mutant(
        "the clock wakes a host on which nothing is pending",
        "alarm.py",
        "    if state.target is None or isinstance(state.attempt, Rebooting):",
        "    if isinstance(state.attempt, Rebooting):",
        (SHOWN + "test_windows_and_holds_wake_no_host_on_which_nothing_is_pending",),
    ),
    Mutant(
        "the earliest of all gates is when it reboots",
        "describe.py",
        "        earliest = max(earliest, blocker.until)",
        "        earliest = min(earliest, blocker.until)",
        (SHOWN + "test_the_reboot_is_predicted_for_when_the_last_gate_opens",),
    ),
    Mutant(
        "the reboot is predicted for the end of a hold although the window is closed then",
        "describe.py",
        "    if view.opening is not None:\n        return earliest\n",
        "    if view:\n        return earliest\n",
        (SHOWN + "test_a_hold_that_ends_between_windows_leads_to_the_next_window",),
    ),
    Mutant(
        "a gate that nobody can date is predicted all the same",
        "describe.py",
        "            return at.wall if blocker.reason in {Reason.LOCK_PENDING, "
        "Reason.HOOK_RUNNING} else None",
        "            return at.wall",
        (SHOWN + "test_nobody_predicts_when_an_inhibitor_ends",),
    ),
    Mutant(
        "costly gates are called clear before anybody has asked",
        "describe.py",
        "                return is_last or policy.slot is None",
        "                return True",
        (SHOWN + "test_a_costly_gate_that_nobody_asked_is_not_called_clear",),
    ),
    Mutant(
        "logind's gates are called clear although nobody asks it",
        "describe.py",
        "return state.target is not None and Reason.LOGIND_UNREACHABLE not in details",
        "return True",
        (SHOWN + "test_logins_are_not_called_clear_while_nothing_is_pending",),
    ),
    Mutant(
        "holds that are over are shown",
        "describe.py",
        "    return tuple(hold for hold in holds if hold.until is None or hold.until > at.wall)",
        "    return holds",
        (SHOWN + "test_a_hold_that_is_over_is_not_shown_whoever_still_remembers_it",),
    ),
    Mutant(
        "a host that goes down says that it only asked",
        "describe.py",
        "    is_seen = intent is not None and intent.shutdown_seen",
        "    is_seen = intent is None",
        (SHOWN + "test_a_call_is_told_from_a_host_that_goes_down",),
    ),
    Mutant(
        "closed windows are told while nothing is pending",
        "describe.py",
        "    if state.target is None:  # a closed",
        "    if not state:  # a closed",
        (MACHINE + "test_a_closed_window_is_no_news_while_nothing_is_pending",),
    ),
    Mutant(
        "a debt that was never refused is a notice",
        "describe.py",
        "        elif not isinstance(entry.tenure, Ours) and entry.tenure.error:",
        "        elif not isinstance(entry.tenure, Ours):",
        (SHOWN + "test_a_slot_on_its_way_back_is_no_notice_until_that_fails",),
    ),
    Mutant(
        "a waived fit is a notice on a host on which nothing is pending",
        "describe.py",
        "    if view.waived and state.target is not None:",
        "    if view.waived:",
        (SHOWN + "test_a_waived_fit_is_no_notice_while_nothing_is_pending",),
    ),
    Mutant(
        "a lock server that drains tells no next try",
        "reasons.py",
        '            advice="wait",\n            until="next try",',
        '            advice="wait",',
        (SENTENCE + "test_what_is_tried_again_says_so_and_what_ends_says_until_when",),
    ),
    Mutant(
        "kinds of errors grow without end",
        "counters.py",
        "            if kind not in errors and len(errors) >= MOST_KINDS:\n"
        "                kind = OTHER\n",
        "",
        (COUNTERS + "test_a_server_that_names_ever_new_errors_is_counted_under_other",),
    ),
    Mutant(
        "an error without a name has one that is empty",
        "counters.py",
        "harmless(error, longest=LONGEST_KIND) or OTHER",
        "harmless(error, longest=LONGEST_KIND)",
        (COUNTERS + "test_an_error_that_is_no_text_is_counted_under_other",),
    ),
    Mutant(
        "requests that are sent count as answered",
        "counters.py",
        "        return self._with(api, replace(calls, requests=calls.requests + 1))",
        "        return self._with(api, replace(calls, requests=calls.requests + 1, answers="
        "calls.requests + 1))",
        (COUNTERS + "test_a_request_is_counted_when_sent_and_again_when_it_ends",),
    ),
    Mutant(
        "a clock that was set by a day measures a reboot",
        "outcome.py",
        "    return intent.hooks_s + took if 0.0 < took < LONGEST_REBOOT_S else 0.0",
        "    return intent.hooks_s + took if 0.0 < took else 0.0",
        (DURATIONS + "test_a_clock_that_was_set_meanwhile_measures_nothing",),
    ),
    Mutant(
        "time in the queue is waited for twice",
        "outcome.py",
        "    return max(seconds - but_for, 0.0) if",
        "    return max(seconds, 0.0) if",
        (DURATIONS + "test_the_time_waited_is_what_has_no_other_name",),
    ),
)
