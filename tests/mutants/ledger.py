"""Breakages of the ledger of slots, and of the waits between tries."""

from typing import Final

from tests.mutants.mutant import (
    BOOT,
    CONFIRMED,
    MACHINE,
    SLOTS,
    STORIES,
    Mutant,
)

MUTANTS: Final = (
    Mutant(
        "hosts that change their server tell it all at once",
        "turn.py",
        "slots.confirm(ledger, slot, self.at.mono + self._spread())",
        "slots.confirm(ledger, slot, self.at.mono)",
        (
            CONFIRMED
            + "test_hosts_that_change_their_server_in_one_second"
            + "_do_not_all_tell_it_in_that_second",
        ),
    ),
    Mutant(
        "what another agent left waits, too",
        "turn.py",
        "        if booted or self.before.known.is_hushed:",
        "        if booted:",
        (CONFIRMED + "test_what_another_agent_left_is_given_back_once_it_is_gone",),
    ),
    Mutant(
        "every debt is paid at once",
        "slots.py",
        "    if not due or any(owed.releasing is not None for owed in debts.values()):",
        "    if not due:",
        (SLOTS + "test_debts_are_paid_one_at_a_time_and_who_waits_longest_is_next",),
    ),
    Mutant(
        "the debt that waits for longest is paid last",
        "slots.py",
        "    slot = min(due, key=lambda one: due[one])",
        "    slot = max(due, key=lambda one: due[one])",
        (SLOTS + "test_debts_are_paid_one_at_a_time_and_who_waits_longest_is_next",),
    ),
    Mutant(
        "a grant is not told from what is presumed",
        "slots.py",
        "replace(entry, granted=True, tenure=Ours(), overdue=None, reports=reports)",
        "replace(entry, tenure=Ours(), overdue=None, reports=reports)",
        (SLOTS + "test_a_grant_is_one_until_it_is_refused_or_given_back",),
    ),
    Mutant(
        "a grant is forgotten by a restart",
        "slots.py",
        "            granted=debt.granted,",
        "            granted=False,",
        (SLOTS + "test_a_grant_is_one_until_it_is_refused_or_given_back",),
    ),
    Mutant(
        "an unanswered question is forgotten",
        "slots.py",
        "            return replace(entry, tenure=Ours(), doubt=Doubt.UNANSWERED)",
        "            return replace(entry, tenure=Ours())",
        (MACHINE + "test_a_release_after_an_unanswered_question_is_sent_once_more",),
    ),
    Mutant(
        "a refusal forgets an older question",
        "slots.py",
        "        case LockRefused() if is_doubted(entry) or entry.kept:",
        "        case LockRefused() if entry.kept:",
        (SLOTS + "test_a_refusal_does_not_answer_an_older_question",),
    ),
    Mutant(
        "a release is sent while the question is under way",
        "slots.py",
        "            case Ours(asking=UnderWay(ticket)):",
        "            case Ours(asking=UnderWay(ticket)) if False:",
        (MACHINE + "test_an_inhibitor_that_appears_while_asking_takes_the_question_back",),
    ),
    Mutant(
        "a question is sent while a release is under way",
        "slots.py",
        "        case Ours(asking=request) | Owed(releasing=request):",
        "        case Owed():\n            return False\n        case Ours(asking=request):",
        (SLOTS + "test_requests_for_one_slot_are_one_at_a_time",),
    ),
    Mutant(
        "a question under way is off the record",
        "slots.py",
        "unanswered=is_doubted(entry) or is_asking(entry),",
        "unanswered=is_doubted(entry),",
        (MACHINE + "test_the_slot_is_on_record_before_the_question_is_sent",),
    ),
    Mutant(
        "a kept slot is given back by an attempt that is abandoned",
        "slots.py",
        "            case Ours(asking=None) if not entry.kept:",
        "            case Ours(asking=None):",
        (STORIES + "test_greenboot_goes_back_so_the_update_is_rolled_back_and_the_slot_is_kept",),
    ),
    Mutant(
        "a release that was put off may be sent again at once",
        "slots.py",
        "next_release(last, at.mono, patience, seed=policy.seed, wish=wish)",
        "next_release(last, at.mono, patience, seed=policy.seed)",
        (SLOTS + "test_a_server_that_asks_for_patience_gets_it_for_a_release_too",),
    ),
    Mutant(
        "a host that never asked gives nothing back",
        "slots.py",
        "    if any(entry.slot == slot for entry in ledger):\n        return ledger  #",
        "    if any(entry.slot == slot for entry in ledger) or slot:\n        return ledger  #",
        (BOOT + "test_each_boot_is_told_to_the_fleet_once_also_by_a_host_that_never_asked",),
    ),
    Mutant(
        "a release under way is taken for an answered one",
        "alarm.py",
        "        else entry.tenure.releasing is not None\n",
        "        else False\n",
        (MACHINE + "test_sigterm_while_asking_takes_the_question_back_and_releases_once",),
    ),
    Mutant(
        "the repetition of a release forgets to be one",
        "slots.py",
        "entry, tenure=Owed(None, retry), overdue=Overdue(since, detail, at.mono)",
        "entry, tenure=Owed(None, retry), overdue=Overdue(since, detail, at.mono),\n"
        "                doubt=Doubt.UNANSWERED if is_doubted(entry) else Doubt.NONE",
        (SLOTS + "test_after_an_unanswered_question_a_release_is_sent_twice_however_it_fails",),
    ),
    Mutant(
        "a release is repeated at once",
        "slots.py",
        "untried(at.mono + patience.release_again_s)",
        "untried(at.mono)",
        (SLOTS + "test_after_an_unanswered_question_a_release_is_sent_twice_however_it_fails",),
    ),
    Mutant(
        "a wish for longer than an hour is granted",
        "backoff.py",
        "        seconds = min(self.seconds, patience.longest_retry_after_s)",
        "        seconds = self.seconds",
        ("tests/core/test_backoff.py::test_a_wish_of_the_server_is_a_lower_bound_up_to_an_hour",),
    ),
    Mutant(
        "near the longest wish that counts, everybody comes back at once",
        "backoff.py",
        "        return seconds + (fraction if",
        "        return min(3600.0, seconds) + 0.0 * (fraction if",
        (
            "tests/core/test_backoff.py::test_hosts_that_were_told_the_same_wait_do_not_come_back_together",
        ),
    ),
    Mutant(
        "an appointment is spread once more",
        "backoff.py",
        "(fraction if self.appointed else",
        "(fraction if False else",
        (
            "tests/core/test_backoff.py::test_an_appointment_is_kept_within_a_second_and_climbs_no_ladder",
        ),
    ),
    Mutant(
        "a server that is gone is asked every four minutes for good",
        "backoff.py",
        "    middle = patience.longest_retry_s * SLOWER",
        "    middle = patience.longest_retry_s + 0.0 * SLOWER",
        (
            "tests/core/test_backoff.py::test_a_release_that_nobody_confirms_comes_once_a_day_in_the_end",
        ),
    ),
    Mutant(
        "a debt is paid while the slot is in use under another name",
        "slots.py",
        "    in_use = [entry.slot for entry in ledger if is_in_use(entry)]",
        "    in_use: list[Slot] = []",
        (MACHINE + "test_a_server_with_a_new_name_keeps_lending_while_the_host_prepares",),
    ),
    Mutant(
        "a question is put while another name of the server is told of a release",
        "slots.py",
        "is_unfinished(one) and is_alike(one.slot, slot)",
        "is_unfinished(one) and one.slot == slot",
        (
            MACHINE
            + "test_the_next_question_waits_for_a_release_to_the_same_server_by_another_name",
        ),
    ),
    Mutant(
        "a release under way frees what another agent holds",
        "turn.py",
        "            ledger, effects = slots.hush(ledger)\n",
        "            effects = ()\n",
        (CONFIRMED + "test_a_release_under_way_is_taken_back_when_another_agent_comes",),
    ),
    Mutant(
        "nothing is confirmed once another agent is gone",
        "turn.py",
        "            self._note_confirmed()\n",
        "",
        (CONFIRMED + "test_what_another_agent_left_is_given_back_once_it_is_gone",),
    ),
    Mutant(
        "a changed server is not told that nothing is ours",
        "turn.py",
        "        if slot is None or slot in memory.confirmed or claim.freeze:",
        "        if slot is None or memory.confirmed or claim.freeze:",
        (CONFIRMED + "test_a_changed_slot_is_confirmed_free_once_in_the_same_boot",),
    ),
    Mutant(
        "what nobody asked for is shown as owed",
        "describe.py",
        '    if not entry.asked or slots.is_dropped(entry):\n        return ""\n',
        "",
        (CONFIRMED + "test_a_confirmation_that_fails_is_no_debt",),
    ),
    Mutant(
        "an update that waits hides that a slot was not given back",
        "describe.py",
        "        and (isinstance(each.tenure, Owed) or each.overdue is not None)",
        "        and isinstance(each.tenure, Owed)",
        (CONFIRMED + "test_a_slot_that_was_not_released_is_shown_while_a_newer_update_waits",),
    ),
    Mutant(
        "a debt that was dropped while it was asked for comes back",
        "slots.py",
        "    if is_dropped(entry):\n        return None\n",
        "",
        (CONFIRMED + "test_a_debt_that_is_dropped_is_not_asked_for_again",),
    ),
)
