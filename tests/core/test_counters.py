"""What is counted since the process started, and how much a server's words may add to it."""

from rebootmgr.core.counters import LONGEST_KIND, MOST_KINDS, OTHER, Api, Calls, Counters


def test_a_request_is_counted_when_sent_and_again_when_it_ends() -> None:
    sent = Counters().request_sent(Api.PRE_REBOOT).request_sent(Api.PRE_REBOOT)
    assert (sent.pre_reboot.requests, sent.pre_reboot.answers) == (2, 0)
    ended = sent.request_ended(Api.PRE_REBOOT, 1.5).request_ended(Api.PRE_REBOOT, 0.5)
    assert (ended.pre_reboot.answers, ended.pre_reboot.seconds) == (2, 2.0)
    assert dict(ended.pre_reboot.errors) == {"client_failed_request": 0}
    assert ended.steady_state == Calls()


def test_a_server_that_names_ever_new_errors_is_counted_under_other() -> None:
    counters = Counters()
    for number in range(100):
        counters = counters.request_ended(Api.STEADY_STATE, 1.0, error=f"kind_{number}")
    errors = dict(counters.steady_state.errors)
    assert len(errors) == MOST_KINDS + 1
    assert errors[OTHER] == 100 - (MOST_KINDS - 1)
    again = counters.request_ended(Api.STEADY_STATE, 1.0, error="kind_0").steady_state
    assert dict(again.errors)["kind_0"] == 2, "what has a name keeps it"


def test_an_error_that_is_no_text_is_counted_under_other() -> None:
    (nameless, long) = ("\n\x00", "x" * 1000)
    counters = Counters().request_ended(Api.PRE_REBOOT, 1.0, error=nameless)
    assert dict(counters.pre_reboot.errors)[OTHER] == 1
    kinds = dict(counters.request_ended(Api.PRE_REBOOT, 1.0, error=long).pre_reboot.errors)
    assert max(map(len, kinds)) <= max(LONGEST_KIND, len("client_failed_request"))
