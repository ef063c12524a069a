"""The desk of a server that is not alone: what others write, and what is told before it is sure."""

from datetime import UTC, datetime, timedelta

from rebootmgr.lending.desk import (
    Asked,
    Desk,
    Event,
    HungUp,
    OthersHeard,
    OthersWrote,
    Overtaken,
    Read,
    Reply,
    StoreLost,
    StoreRead,
    Ticked,
    Turn,
    Write,
    Written,
    step,
)
from rebootmgr.lending.questions import (
    Granted,
    Joined,
    Left,
    Lent,
    PreReboot,
    Refused,
    Returned,
    SteadyState,
    TakenBack,
    Unavailable,
)
from rebootmgr.lending.saved import Saved
from rebootmgr.lending.terms import Moment, Rules, Terms

BEGIN = datetime(2030, 1, 6, tzinfo=UTC)
RULES = Rules(groups={"g": Terms(slots=1)})


class Shared:
    """A desk and its clock."""

    def __init__(
        self, rules: Rules = RULES, **saved: tuple[Lent, ...] | tuple[Joined, ...]
    ) -> None:
        self.rules, self.s = rules, 100.0
        self.desk = Desk(shared=True)
        self.take(StoreRead(Saved(**saved)))  # type: ignore[arg-type]

    @property
    def at(self) -> Moment:
        return Moment(BEGIN + timedelta(seconds=self.s), self.s)

    def take(self, event: Event) -> Turn:
        turn = step(self.desk, event, self.rules, self.at)
        self.desk = turn.desk
        return turn

    def ask(self, number: int, host: str, wait_s: float = 0.0) -> Turn:
        return self.take(Asked(number, PreReboot("g", host, wait_s=wait_s)))


def lent(host: str) -> Lent:
    return Lent("g", host, "", BEGIN)


def joined(host: str, ticket: int) -> Joined:
    return Joined("g", host, "", ticket, BEGIN)


def writes(turn: Turn) -> list[Write]:
    return [one for one in turn.effects if isinstance(one, Write)]


def replies(turn: Turn) -> dict[int, object]:
    return {one.number: one.answer for one in turn.effects if isinstance(one, Reply)}


def test_a_promise_that_changes_nothing_is_compared_with_the_store() -> None:
    shared = Shared()
    turn = shared.take(Asked(1, SteadyState("g", "a")))
    assert turn.effects == (Write(()),)
    assert replies(shared.take(Written())) == {1: Returned(had=False)}


def test_a_holder_that_asks_again_is_written_down_again() -> None:
    shared = Shared(holders=(lent("a"),))
    assert writes(shared.ask(1, "a")) == [Write((lent("a"),))]
    assert replies(shared.take(Written())) == {1: Granted(again=True)}


def test_a_refusal_rests_on_what_the_store_holds_after_the_question_came() -> None:
    shared = Shared(holders=(lent("a"),), waiting=(joined("b", 1),))
    assert writes(shared.ask(1, "b")) == [Write(())]
    assert isinstance(replies(shared.take(Written()))[1], Refused)
    assert writes(shared.ask(2, "b")) == [Write(())]
    assert shared.take(Overtaken((Left("g", "b"), lent("b")))).effects == (Write((lent("b"),)),)
    assert replies(shared.take(Written())) == {2: Granted(again=True)}


def test_who_asks_while_others_are_looked_up_waits_for_a_look_of_its_own() -> None:
    shared = Shared(holders=(lent("a"),), waiting=tuple(joined(f"b{n}", n) for n in range(1, 9)))
    assert writes(shared.ask(1, "b1")) == [Write(())]
    for number in range(2, 9):
        assert shared.ask(number, f"b{number}").effects == ()
    turn = shared.take(Written())
    assert list(replies(turn)) == [1]
    assert writes(turn) == [Write(())]
    assert list(replies(shared.take(Written()))) == list(range(2, 9))


def test_who_is_refused_still_after_others_wrote_is_told_so_at_once() -> None:
    shared = Shared(holders=(lent("a"),), waiting=(joined("b", 1),))
    shared.ask(1, "b")
    turn = shared.take(Overtaken((joined("c", 2),)))
    assert list(replies(turn)) == [1]
    assert writes(turn) == []


def test_what_others_wrote_before_a_change_was_sent_is_no_look_into_the_store() -> None:
    shared = Shared(waiting=(joined("b", 1),))
    [write] = writes(shared.ask(1, "b"))
    assert write.changes
    assert shared.take(OthersWrote((lent("a"),))).effects == (Write(()),)
    assert isinstance(replies(shared.take(Written()))[1], Refused)


def test_who_was_overtaken_decides_again_on_what_others_wrote() -> None:
    shared = Shared()
    [write] = writes(shared.ask(1, "a"))
    assert any(isinstance(one, Lent) for one in write.changes)
    turn = shared.take(Overtaken((lent("other"),)))
    [again] = writes(turn)
    assert [type(one) for one in again.changes] == [Joined]
    assert isinstance(replies(shared.take(Written()))[1], Refused)
    assert set(shared.desk.fleet.group("g").holders) == {"other"}


def test_a_question_whose_client_hung_up_meanwhile_is_not_decided_again() -> None:
    shared = Shared()
    shared.ask(1, "a")
    shared.take(HungUp(1, PreReboot("g", "a")))
    turn = shared.take(Overtaken(()))
    assert turn.effects == ()
    assert not shared.desk.fleet.group("g").holders


def test_a_slot_that_comes_back_to_another_server_goes_to_who_is_held_here() -> None:
    shared = Shared(holders=(lent("a"),))
    shared.ask(1, "b", wait_s=60.0)
    shared.take(Written())
    turn = shared.take(OthersWrote((TakenBack("g", "a"),)))
    [write] = writes(turn)
    assert write.changes == (Left("g", "b"), Lent("g", "b", "", shared.at.wall))
    assert replies(shared.take(Written())) == {1: Granted()}


def test_a_slot_that_comes_back_to_another_server_rests_here_too() -> None:
    shared = Shared(Rules(groups={"g": Terms(slots=1, settle_s=600.0)}), holders=(lent("a"),))
    shared.take(OthersWrote((TakenBack("g", "a"),)))
    shared.ask(1, "b")
    assert isinstance(replies(shared.take(Written()))[1], Refused)


def test_who_is_held_here_and_has_lost_its_place_elsewhere_is_told_that_we_do_not_know() -> None:
    shared = Shared(holders=(lent("a"),))
    shared.ask(1, "b", wait_s=60.0)
    shared.take(Written())
    assert replies(shared.take(OthersWrote((Left("g", "b"),)))) == {1: Unavailable()}


def test_places_in_the_queue_are_those_of_all_servers() -> None:
    shared = Shared(holders=(lent("a"),))
    shared.take(OthersWrote((joined("b", 1), joined("c", 2))))
    [write] = writes(shared.ask(1, "d"))
    assert write.changes == (Joined("g", "d", "", 3, shared.at.wall),)
    refused = replies(shared.take(Written()))[1]
    assert isinstance(refused, Refused)
    assert (refused.place, refused.waiting) == (3, 3)


def test_who_asks_another_server_keeps_its_place_and_who_asks_nobody_leaves() -> None:
    shared = Shared(holders=(lent("a"),), waiting=(joined("b", 1), joined("c", 2)))
    written = []
    for _ in range(6):
        shared.s += 3600.0
        shared.take(OthersHeard(frozenset({1})))
        written += writes(shared.take(Ticked()))
        shared.take(Written())
    assert written == [Write((Left("g", "c"),))]
    assert [entry.id for entry in shared.desk.fleet.group("g").queue] == ["b"]


def test_when_others_are_heard_no_more_the_store_is_read_anew() -> None:
    shared = Shared(holders=(lent("a"),))
    shared.ask(1, "b", wait_s=60.0)
    shared.take(Written())
    assert shared.take(StoreLost()).effects == (Reply(1, Unavailable()), Read())
