"""Breakages of the lending: who gets a slot, and what may be said when."""

from typing import Final

from tests.mutants.mutant import LEND, LENDING_WORLD, ROLL_OUT, Mutant

MUTANTS: Final = (
    Mutant(
        "a slot too many is lent",
        "../lending/lend.py",
        "    while len(group.holders) < slots and group.queue:",
        "    while len(group.holders) <= slots and group.queue:",
        (LEND + "test_a_refusal_says_who_holds_and_how_many_wait",),
    ),
    Mutant(
        "a promise leaves while what it stands on is being written",
        "../lending/desk.py",
        "    return isinstance(answer, Refused | Crowded)",
        "    return True",
        (LENDING_WORLD,),
    ),
    Mutant(
        "a host is asked about twice in one batch",
        "../lending/desk.py",
        "(later if (group, host) in hosts else taken).append((number, question))",
        "taken.append((number, question))",
        (LENDING_WORLD,),
    ),
    Mutant(
        "a question whose client hung up is carried out",
        "../lending/desk.py",
        "            inbox = tuple(one for one in desk.inbox if one[0] != number)",
        "            inbox = desk.inbox",
        (LEND + "test_a_question_whose_client_hung_up_before_its_write_began_is_dropped",),
    ),
    Mutant(
        "a held question is lent to after its client hung up",
        "../lending/lend.py",
        "    if entry is None or entry.held is None or entry.held.number != number:",
        "    if entry is not None:",
        (LENDING_WORLD,),
    ),
    Mutant(
        "a failed write is taken for one that was not carried out",
        "../lending/desk.py",
        "    return Turn(Desk(Closed(), desk.fleet), (*replies, Read()))",
        "    return Turn(Desk(Idle(), desk.fleet), replies)",
        (LEND + "test_while_the_store_fails_nobody_is_granted_and_nobody_refused",),
    ),
    Mutant(
        "who asks first in a batch overtakes who came earlier",
        "../lending/desk.py",
        "            return fleet.tickets if entry is None else entry.ticket",
        "            return 0",
        (LENDING_WORLD,),
    ),
    Mutant(
        "the newest of those held back goes first",
        "../lending/turns.py",
        "    chosen = queue.at(queue.held[0]) if queue.held else None",
        "    chosen = queue.at(queue.held[-1]) if queue.held else None",
        (LENDING_WORLD, ROLL_OUT),
    ),
    Mutant(
        "nothing is kept for who is expected in a moment",
        "../lending/turns.py",
        "        soon += wait_s <= SECONDS_LATE",
        "        soon += 0",
        (
            LEND
            + "test_a_free_slot_is_kept_for_seconds_for_who_is_expected_and_then_it_is_anybodys",
        ),
    ),
    Mutant(
        "fewer slots take one back",
        "../lending/lend.py",
        "    if question.id in group.holders:",
        "    if question.id in group.holders and slots_of(name, group, rules, at):",
        (LEND + "test_fewer_slots_take_none_back_and_more_are_lent_at_once",),
    ),
    Mutant(
        "nobody leaves the queue",
        "../lending/lend.py",
        "    return [one for one in group.queue if one.held is None and one.gone_s <= at.s]",
        "    return []",
        (LEND + "test_who_has_not_asked_for_three_of_its_intervals_has_left",),
    ),
    Mutant(
        "all come back in the same second",
        "../lending/turns.py",
        "    share = crc32(host.encode()) / 2**32",
        "    share = 0.0",
        (LEND + "test_two_hosts_are_not_told_to_come_back_in_the_same_second",),
    ),
)
