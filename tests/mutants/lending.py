"""Breakages of the lending: who gets a slot, and what may be said when."""

from typing import Final

from tests.mutants.mutant import LEND, LENDING_WORLD, ROLLING, SQLITE, Mutant

ADMIN: Final = "tests/lockd/test_admin.py::"
ROLL_OUT: Final = "tests/lending/test_roll_out.py::"
SCRAPED: Final = "tests/lockd/test_roll_out.py::"
HANG_UPS: Final = "tests/lockd/test_hang_ups.py::"
SIMULATED: Final = "tests/cli/test_simulate_lockd.py::"

MUTANTS: Final = (
    Mutant(
        "who makes the queue too long has a slot in a simulation",
        "../simulation/lending_server.py",
        "return Told(429, ",
        "return Told(200, ",
        (SIMULATED + "test_who_would_make_the_queue_too_long_is_told_so_and_holds_nothing",),
    ),
    Mutant(
        "the slots that are needed are given to the canaries, too",
        "../simulation/scenario.py",
        "for group in self.sizes if group not in first)",
        "for group in self.sizes)",
        (SIMULATED + "test_the_slots_it_takes_are_those_of_the_groups_that_go_last",),
    ),
    Mutant(
        "simulated hosts have none of the labels that are configured",
        "../simulation/scenario.py",
        "return self.configured.labels[number % len(self.configured.labels)]",
        "return ()",
        (SIMULATED + "test_hosts_of_one_rack_of_the_inventory_go_one_after_the_other",),
    ),
    Mutant(
        "a slot too many is lent",
        "../lending/granting.py",
        "    while len(group.holders) < slots and group.queue:",
        "    while len(group.holders) <= slots and group.queue:",
        (LEND + "test_a_refusal_says_who_holds_and_how_many_wait",),
    ),
    Mutant(
        "a promise leaves while what it stands on is being written",
        "../lending/desk.py",
        "    return fleet.group(question.group).queue.find(question.id) is not None",
        "    return True",
        (LENDING_WORLD,),
    ),
    Mutant(
        "a host is asked about twice in one batch",
        "../lending/desk.py",
        "(later if host in hosts else taken).append((number, question))",
        "taken.append((number, question))",
        (LENDING_WORLD,),
    ),
    Mutant(
        "a question whose client hung up is carried out",
        "../lending/desk.py",
        "fleet=fleet, inbox=desk.inbox.without(number))",
        "fleet=fleet)",
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
        "    return Turn(Desk(Closed(), desk.fleet, shared=desk.shared), (*replies, Read()))",
        "    return Turn(Desk(Idle(), desk.fleet, shared=desk.shared), replies)",
        (LEND + "test_while_the_store_fails_nobody_is_granted_and_nobody_refused",),
    ),
    Mutant(
        "who asks first in a batch overtakes who came earlier",
        "../lending/desk.py",
        "            return fleet.tickets if entry is None else entry.ticket",
        "            return 0",
        (LEND + "test_of_those_that_meet_the_one_that_came_earlier_goes_first",),
    ),
    Mutant(
        "the newest of those held back goes first",
        "../lending/turns.py",
        "        return queue.at(queue.held[0]) if queue.held else None",
        "        return queue.at(queue.held[-1]) if queue.held else None",
        (LEND + "test_of_those_held_back_the_first_goes_first",),
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
        "    return crc32(host.encode()) / 2**32",
        "    return 0.0",
        (LEND + "test_two_hosts_are_not_told_to_come_back_in_the_same_second",),
    ),
    Mutant(
        "an answer leaves before its write",
        "../lending/desk.py",
        "            return Turn(after, (*told, Write(tuple(changes))))",
        "            return Turn(after, (*told, *_replies(tuple(answers)), Write(tuple(changes))))",
        (LENDING_WORLD,),
    ),
    Mutant(
        "what waits for the store is not answered when that fails",
        "../lending/desk.py",
        "    numbers = [number for number, _ in (*waiting, *desk.inbox)]",
        "    numbers = [number for number, _ in waiting]",
        (LENDING_WORLD,),
    ),
    Mutant(
        "after a restart nobody waits any more",
        "../lending/saved.py",
        "        groups[joined.group] = group.with_queue(group.queue.put(entry))",
        "        groups[joined.group] = group",
        (LENDING_WORLD,),
    ),
    Mutant(
        "after a restart tickets are given anew from the first",
        "../lending/saved.py",
        "    tickets = max((row.ticket for row in saved.waiting), default=0) + 1",
        "    tickets = 1",
        (LEND + "test_after_a_restart_the_queue_is_as_it_was",),
    ),
    Mutant(
        "what was changed in memory is taken for committed",
        "../lockd/stores/sqlite.py",
        '            database.execute("COMMIT")\n        except',
        "            pass\n        except",
        (SQLITE + "test_what_was_written_is_read_again",),
    ),
    Mutant(
        "a commit is not yet on disk",
        "../lockd/stores/sqlite.py",
        '"PRAGMA synchronous = FULL"',
        '"PRAGMA synchronous = NORMAL"',
        (SQLITE + "test_every_commit_waits_for_the_disk",),
    ),
    Mutant(
        "two servers share a file",
        "../lockd/stores/sqlite.py",
        '    "PRAGMA locking_mode = EXCLUSIVE",\n',
        "",
        (SQLITE + "test_a_second_server_on_the_file_is_refused_and_the_first_goes_on",),
    ),
    Mutant(
        "a store that failed is written to again before it was read",
        "../lockd/stores/sqlite.py",
        "        except (sqlite3.Error, StoreError):\n            self._close()\n",
        "        except (sqlite3.Error, StoreError):\n",
        (SQLITE + "test_after_an_error_nothing_is_written_before_it_was_opened_anew",),
    ),
    Mutant(
        "damage is not looked for",
        "../lockd/stores/sqlite.py",
        '            if found != ["ok"]:',
        "            if False:",
        (SQLITE + "test_a_damaged_store_is_refused_and_left_alone",),
    ),
    Mutant(
        "a disk too full to be read is said to be broken",
        "../lockd/stores/sqlite.py",
        '    "SQLITE_IOERR_SHMSIZE": "the disk is full',
        '    "SQLITE_NEVER": "the disk is full',
        (SQLITE + "test_a_full_disk_and_a_read_only_one_forget_nothing_and_say_what_to_do",),
    ),
    Mutant(
        "who is let in far ahead of its turn takes the turn of all along",
        "../lending/turns.py",
        "    return chosen.ticket if missed or ahead <",
        "    return chosen.ticket if True or ahead <",
        (ROLL_OUT + "test_the_turn_comes_as_far_as_those_who_had_theirs",),
    ),
    Mutant(
        "who left its turn unused keeps all behind it waiting",
        "../lending/turns.py",
        "    return chosen.ticket if missed or ahead <",
        "    return chosen.ticket if ahead <",
        (ROLL_OUT + "test_the_turn_comes_as_far_as_those_who_had_theirs",),
    ),
    Mutant(
        "a free slot that nobody comes for lies there for a minute",
        "../lending/turns.py",
        "_ANYBODYS_S: Final = 15.0",
        "_ANYBODYS_S: Final = 60.0",
        (ROLL_OUT + "test_the_longest_wait_is_at_most_twice_that_of_a_strict_queue",),
    ),
    Mutant(
        "the history grows for ever",
        "../lockd/stores/sqlite.py",
        "                database.execute(FORGET, (MOST_KEPT,))\n",
        "",
        (SQLITE + "test_the_history_ends_where_it_is_long",),
    ),
    Mutant(
        "what happened is written down though it did not come about",
        "../lockd/stores/sqlite.py",
        """            database.execute("BEGIN IMMEDIATE")
            for change in changes:
                self._carry_out(database, change)
            if happened:
                database.executemany(ADD, map(row_of, happened))
                database.execute(FORGET, (MOST_KEPT,))
""",
        """            if happened:
                database.executemany(ADD, map(row_of, happened))
                database.execute(FORGET, (MOST_KEPT,))
            database.execute("BEGIN IMMEDIATE")
            for change in changes:
                self._carry_out(database, change)
""",
        (SQLITE + "test_what_did_not_come_about_is_not_in_the_history",),
    ),
    Mutant(
        "who took a slot back is not told",
        "../lending/orders.py",
        "    so_far = Decided(fleet, (TakenBack(name, found, order.by),), ((number, Done()),))",
        "    so_far = Decided(fleet, (TakenBack(name, found),), ((number, Done()),))",
        ("tests/cli/test_lock_server_verbs.py::test_the_history_says_who_did_what",),
    ),
    Mutant(
        "who hung up is asked about all the same",
        "../lockd/lender.py",
        "                self._on(HungUp(number, question))",
        "                pass",
        ("tests/lockd/test_lender.py::test_who_hung_up_gets_nothing",),
    ),
    Mutant(
        "whoever sends its body slowly keeps its seat",
        "../lockd/http/guest.py",
        "        if not request.can_read_body:\n            guest.seat",
        "        if True:\n            guest.seat",
        (
            HANG_UPS
            + "test_where_there_is_no_room_whoever_sends_its_body_slowly_goes_without_a_word",
        ),
    ),
    Mutant(
        "only the first group of an administrator counts",
        "../lockd/admin.py",
        "    return wanted in {gid, *groups}",
        "    return wanted == gid",
        (ADMIN + "test_whoever_is_in_the_servers_group_gets_one_however_it_came_by_it",),
    ),
    Mutant(
        "a frozen group lends",
        "../lending/standing.py",
        "        stands = standstill((fleet.freeze, group.freeze), halted, calendar, at.wall)",
        "        stands = standstill((fleet.freeze,), halted, calendar, at.wall)",
        (LEND + "test_a_frozen_group_grants_nothing_takes_returns_and_says_why", LENDING_WORLD),
    ),
    Mutant(
        "a freeze of all is for none",
        "../lending/standing.py",
        "        stands = standstill((fleet.freeze, group.freeze), halted, calendar, at.wall)",
        "        stands = standstill((group.freeze,), halted, calendar, at.wall)",
        (
            LEND + "test_a_freeze_of_all_holds_in_every_group_and_thaw_ends_it_at_once",
            LENDING_WORLD,
        ),
    ),
    Mutant(
        "windows are for nothing",
        "../lending/standing.py",
        "    calendar = None if terms is None else terms.calendar",
        "    calendar = None",
        (
            LEND
            + "test_nothing_is_granted_outside_the_windows_and_who_asks_comes_back_when_one_opens",
            LENDING_WORLD,
        ),
    ),
    Mutant(
        "a restart thaws",
        "../lending/saved.py",
        "            groups[name] = groups.get(name, _new(at))._replace(freeze=freeze)",
        "            groups[name] = groups.get(name, _new(at))",
        (LEND + "test_a_freeze_outlives_a_restart",),
    ),
    Mutant(
        "a freeze never ends by itself",
        "../lending/orders.py",
        "        if made is not None and not made.holds(at.wall):",
        "        if False:",
        (LEND + "test_a_frozen_group_grants_nothing_takes_returns_and_says_why",),
    ),
    Mutant(
        "a slot that came back is lent at once",
        "../lending/lend.py",
        "    if terms.settle_s:",
        "    if False:",
        (ROLLING + "test_a_slot_that_came_back_rests_and_the_other_is_lent", LENDING_WORLD),
    ),
    Mutant(
        "a restart ends the rest of a slot",
        "../lending/saved.py",
        "    return group if until_s <= at.s else group._replace(settling=(until_s,) * free)",
        "    return group",
        (ROLLING + "test_a_slot_rests_through_a_restart", LENDING_WORLD),
    ),
    Mutant(
        "a halted group lends",
        "../lending/standing.py",
        "        return group.halt.reason\n",
        "        return None\n",
        (ROLLING + "test_a_failed_holder_halts_its_group_until_people_resume_it", LENDING_WORLD),
    ),
    Mutant(
        "a restart resumes",
        "../lending/saved.py",
        "        groups[halted.group] = groups.get(halted.group, _new(at))._replace(halt=halt)",
        "        groups[halted.group] = groups.get(halted.group, _new(at))",
        (ROLLING + "test_a_halt_outlives_a_restart", LENDING_WORLD),
    ),
    Mutant(
        "one more failed holder is allowed",
        "../lending/orders.py",
        "0 < most <= len(failed)",
        "0 < most < len(failed)",
        (ROLLING + "test_a_failed_holder_halts_its_group_until_people_resume_it",),
    ),
    Mutant(
        "slots that are all overdue are no halt",
        "../lending/standing.py",
        "    if not slots or overdue < slots:",
        "    if True:",
        (ROLLING + "test_all_slots_overdue_are_a_halt_that_ends_when_one_comes_back",),
    ),
    Mutant(
        "a canary that fell back lets others through",
        "../lending/barrier.py",
        "    if target and target not in before.came:",
        "    if False:",
        (ROLLING + "test_a_canary_that_fell_back_lets_nobody_through", LENDING_WORLD),
    ),
    Mutant(
        "a canary's group need not be quiet",
        "../lending/barrier.py",
        "    if before.quiet_s is None:",
        "    if False:",
        (ROLLING + "test_a_canary_that_waits_or_failed_lets_nobody_through",),
    ),
    Mutant(
        "nobody soaks",
        "../lending/barrier.py",
        "    if at.s < until_s:",
        "    if False:",
        (
            ROLLING
            + "test_a_host_waits_until_a_canary_came_back_with_its_target_and_all_were_quiet",
            LENDING_WORLD,
        ),
    ),
    Mutant(
        "a group has been quiet since the start",
        "../lending/turns.py",
        "        group = group._replace(quiet_s=None if group.quiet_s is not None else at.s)",
        "        pass",
        (
            ROLLING + "test_a_canary_that_holds_through_a_restart_soaks_from_its_return",
            LENDING_WORLD,
        ),
    ),
    Mutant(
        "one more of a rack goes down",
        "../lending/barrier.py",
        "down < barrier.most:",
        "down <= barrier.most:",
        (ROLLING + "test_of_one_rack_so_many_are_down_at_once_and_others_go_on", LENDING_WORLD),
    ),
    Mutant(
        "who goes down in a batch is not counted",
        "../lending/group.py",
        "        barrier = replace(barrier, down=down_by(barrier.label, holders.values()))",
        "        pass",
        (ROLLING + "test_of_those_that_are_held_no_more_of_a_rack_are_let_go_at_once",),
    ),
    Mutant(
        "slots are free for Prometheus while the group stands still",
        "../lockd/http/scrape.py",
        "    group, slots = looked_at(fleet, name, rules, at)",
        "    group, slots = fleet.group(name), slots_of(name, fleet.group(name), rules, at)",
        (SCRAPED + "test_prometheus_hears_how_many_slots_may_be_lent_now",),
    ),
    Mutant(
        "Prometheus hears of a group only after its first grant",
        "../lockd/http/scrape.py",
        "{**begun, **by_group}.items()",
        "by_group.items()",
        (SCRAPED + "test_prometheus_hears_of_no_grant_before_the_first",),
    ),
)
