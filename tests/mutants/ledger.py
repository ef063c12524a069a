"""Breakages of the ledger of slots, and of the waits between tries."""

from typing import Final

from tests.mutants.mutant import (
    BOOT,
    MACHINE,
    SLOTS,
    STORIES,
    Mutant,
)

MUTANTS: Final = (
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
        "an unanswered question is forgotten",
        "slots.py",
        "unanswered=entry.unanswered or not answered)",
        "unanswered=entry.unanswered)",
        (MACHINE + "test_a_release_after_an_unanswered_question_is_sent_once_more",),
    ),
    Mutant(
        "a refusal forgets an older question",
        "slots.py",
        "        case LockRefused() if entry.unanswered or entry.kept:",
        "        case LockRefused() if entry.kept:",
        (SLOTS + "test_a_refusal_does_not_answer_an_older_question",),
    ),
    Mutant(
        "a release is sent while the question is under way",
        "slots.py",
        "            case Ours(asking=int() as ticket, cancelled=False):",
        "            case Ours(asking=int() as ticket, cancelled=False) if False:",
        (MACHINE + "test_an_inhibitor_that_appears_while_asking_takes_the_question_back",),
    ),
    Mutant(
        "a question is sent while a release is under way",
        "slots.py",
        "        case Owed(releasing=int()) | Ours(asking=int()):",
        "        case Ours(asking=int()):",
        (SLOTS + "test_requests_for_one_slot_are_one_at_a_time",),
    ),
    Mutant(
        "a question under way is off the record",
        "slots.py",
        "unanswered=entry.unanswered or is_asking(entry), kept",
        "unanswered=entry.unanswered, kept",
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
        "next_release(last, now, patience, seed=policy.seed, at_least=wish)",
        "next_release(last, now, patience, seed=policy.seed)",
        (SLOTS + "test_a_server_that_asks_for_patience_gets_it_for_a_release_too",),
    ),
    Mutant(
        "a host that never asked gives nothing back",
        "slots.py",
        "    return (*ledger, Entry(slot=slot, tenure=Ours()))",
        "    return ledger",
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
        "Owed(None, retry, detail, repeat=entry.tenure.repeat))",
        "Owed(None, retry, detail))",
        (SLOTS + "test_after_an_unanswered_question_a_release_is_sent_twice_however_it_fails",),
    ),
    Mutant(
        "a release is repeated at once",
        "slots.py",
        "now + patience.release_again_s)  #",
        "now)  #",
        (SLOTS + "test_after_an_unanswered_question_a_release_is_sent_twice_however_it_fails",),
    ),
    Mutant(
        "a wish for longer than an hour is granted",
        "backoff.py",
        "        wait = max(wait, min(at_least + wait, patience.longest_retry_after_s))",
        "        wait = max(wait, at_least + wait)",
        ("tests/core/test_backoff.py::test_a_wish_of_the_server_is_a_lower_bound_up_to_an_hour",),
    ),
)
