"""Breakages of the store that several servers share: what etcd is asked, and what is told then."""

from typing import Final

from tests.mutants.mutant import Mutant

STORMS: Final = "tests/lockd/test_etcd_storms.py::"
STORM: Final = STORMS + "test_no_storm_lends_too_much_or_forgets_a_grant"
ETCD: Final = "tests/lockd/test_etcd.py::"
SHARED: Final = "tests/lending/test_shared.py::"

MUTANTS: Final = (
    Mutant(
        "a transaction is carried out whatever others wrote",
        "../lockd/stores/gateway_words.py",
        'return {"compare": compare, "success"',
        'return {"compare": [], "success"',
        (STORM,),
    ),
    Mutant(
        "what a holder was told by another server is taken back by this one",
        "../lockd/stores/etcd_words.py",
        "if isinstance(change, Lent) and (change.group, change.id) not in mirror.holders:",
        "if isinstance(change, Lent):",
        (ETCD + "test_a_grant_whose_outcome_nobody_knows_is_taken_back",),
    ),
    Mutant(
        "a holder that is told so again may have its slot taken back by who never told it",
        "../lending/desk.py",
        "                changes += _told_again(fleet, question, decided.answers)",
        "                pass",
        (SHARED + "test_a_holder_that_asks_again_is_written_down_again", STORM),
    ),
    Mutant(
        "what is promised is not compared with the store",
        "../lending/desk.py",
        "isinstance(answer, Refused) and number <= desk.seen for",
        "not isinstance(answer, Refused) or number <= desk.seen for",
        (SHARED + "test_a_promise_that_changes_nothing_is_compared_with_the_store", STORM),
    ),
    Mutant(
        "a host is refused on what was so before it asked",
        "../lending/desk.py",
        "isinstance(answer, Refused) and number <= desk.seen for",
        "isinstance(answer, Refused) for",
        (
            SHARED + "test_a_refusal_rests_on_what_the_store_holds_after_the_question_came",
            STORMS + "test_a_host_that_holds_is_told_so_by_the_server_that_has_not_heard_of_it",
        ),
    ),
    Mutant(
        "who asks during a look is refused on that look",
        "../lending/desk.py",
        "    after = replace(desk, store=Idle(), seen=store.newest)",
        "    after = replace(desk, store=Idle(), seen=store.newest + 9)",
        (SHARED + "test_who_asks_while_others_are_looked_up_waits_for_a_look_of_its_own",),
    ),
    Mutant(
        "who was overtaken looks again for whom it has looked already",
        "../lending/desk.py",
        "    return _others_wrote(replace(desk, seen=store.newest), changes, rules, at)",
        "    return _others_wrote(desk, changes, rules, at)",
        (SHARED + "test_who_is_refused_still_after_others_wrote_is_told_so_at_once",),
    ),
    Mutant(
        "what was heard by chance passes for a look into the store",
        "../lending/desk.py",
        "            desk = replace(desk, store=Idle(), fleet=before, inbox=inbox)",
        "            desk = replace(\n"
        "                desk, store=Idle(), fleet=before, inbox=inbox, seen=desk.store.newest\n"
        "            )",
        (SHARED + "test_what_others_wrote_before_a_change_was_sent_is_no_look_into_the_store",),
    ),
    Mutant(
        "who was overtaken goes on with what it had decided",
        "../lending/desk.py",
        "store=Idle(), fleet=before, inbox=inbox)",
        "store=Idle(), inbox=inbox)",
        (SHARED + "test_who_was_overtaken_decides_again_on_what_others_wrote", STORM),
    ),
    Mutant(
        "a question whose client hung up is decided again",
        "../lending/desk.py",
        "        taken = tuple(one for one in store.taken if one[0] != number)\n",
        "        taken = store.taken\n",
        (SHARED + "test_a_question_whose_client_hung_up_meanwhile_is_not_decided_again",),
    ),
    Mutant(
        "what others take back stays lent here",
        "../lending/absorb.py",
        "            return _given_back(group, host, settle_s, at)",
        "            return group",
        (SHARED + "test_a_slot_that_comes_back_to_another_server_goes_to_who_is_held_here",),
    ),
    Mutant(
        "a slot that came back to another server does not rest",
        "../lending/absorb.py",
        "(*group.settling, at.s + settle_s)) if settle_s else group",
        "group.settling) if settle_s else group",
        (SHARED + "test_a_slot_that_comes_back_to_another_server_rests_here_too",),
    ),
    Mutant(
        "what was granted untold is kept",
        "../lockd/stores/etcd.py",
        "taken_back = set(granted_by(pairs, self._untold))",
        "taken_back = set[str]()",
        (ETCD + "test_a_grant_whose_outcome_nobody_knows_is_taken_back",),
    ),
    Mutant(
        "what is on its way to etcd is not fenced",
        "../lockd/stores/etcd.py",
        "            if head is None or self._untold:",
        "            if head is None:",
        (ETCD + "test_what_is_decided_before_a_fence_can_come_no_more",),
    ),
    Mutant(
        "who asks another server loses its place here",
        "../lending/absorb.py",
        "            later = entry._replace(gone_s=at.s + STAY_S)",
        "            later = entry",
        (SHARED + "test_who_asks_another_server_keeps_its_place_and_who_asks_nobody_leaves",),
    ),
    Mutant(
        "nobody is told who asks here",
        "../lockd/lender.py",
        "                await self._store.tell(asked_since(self._desk.fleet, since_s))",
        "                pass",
        (STORMS + "test_who_asks_one_server_for_days_keeps_its_place_at_the_other",),
    ),
    Mutant(
        "a cluster that was put back is taken for what it was",
        "../lockd/stores/etcd_words.py",
        "    return number > then or head == before",
        "    return True",
        (STORMS + "test_a_cluster_that_was_put_back_is_lent_from_no_more",),
    ),
    Mutant(
        "who missed something goes on",
        "../lockd/stores/etcd.py",
        " or self._head is None or not follows(value, self._head.value):",
        " or self._head is None:",
        (STORMS + "test_a_server_that_missed_what_others_wrote_lends_no_more",),
    ),
    Mutant(
        "what was compacted unheard is forgotten",
        "../lockd/stores/etcd.py",
        "                        self._is_lost(StoreError(why))\n",
        "                        self._heard_at = heard.revision\n",
        (STORMS + "test_what_was_compacted_before_a_server_heard_it_is_read_anew",),
    ),
    Mutant(
        "a watch begins with what comes next",
        "../lockd/stores/etcd.py",
        "watch_request(self._prefix, self._heard_at + 1)",
        "watch_request(self._prefix, self._heard_at + 2)",
        (STORMS + "test_what_was_written_while_a_watch_was_lost_is_heard_by_the_next",),
    ),
    Mutant(
        "a watch stays with a member that broke it",
        "../lockd/stores/gateway.py",
        "        again = self._first == self._watched",
        "        again = False",
        ("tests/lockd/test_gateway.py::test_a_watch_that_broke_is_taken_up_at_the_next_member",),
    ),
    Mutant(
        "who answers is not who is watched",
        "../lockd/stores/gateway.py",
        "        self._watched = (self._first + again) % many",
        "        self._watched = (self._watched + 1) % many",
        ("tests/lockd/test_gateway.py::test_what_is_watched_is_the_member_that_answered_last",),
    ),
)
