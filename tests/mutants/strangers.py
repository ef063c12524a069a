"""Breakages of what keeps strangers, hostile servers and a deaf manager from doing harm."""

from typing import Final

from tests.mutants.mutant import Mutant

BUS: Final = "tests/bus/test_strangers.py::"
CHECK: Final = "tests/cli/test_check_config.py::"
CLIENT: Final = "tests/fleetlock/test_client.py::"
AFAR: Final = "tests/cli/test_lock_server_afar.py::"
FLEET_VERBS: Final = "tests/cli/test_fleet_verbs.py::"
METRICS: Final = "tests/show/test_metrics_socket.py::"
NOTIFY: Final = "tests/systemd/test_notify.py::"
RATES: Final = "tests/test_rates.py::"
RELOAD: Final = "tests/daemon/test_reload.py::"
SECRETS: Final = "tests/fleetlock/test_secrets.py::"
ASIDE: Final = "tests/test_aside.py::"

MUTANTS: Final = (
    Mutant(
        "a signal that nobody wants is decoded",
        "../bus/connection.py",
        "        if not self._subscriptions.wants(*subject):\n            return False\n",
        "",
        (BUS + "test_a_signal_of_somebody_else_than_the_owner_is_not_decoded",),
    ),
    Mutant(
        "an answer that nobody waits for is decoded",
        "../bus/connection.py",
        "        if future is None or future.done():\n            return False\n",
        "        if future is None or future.done():\n            return True\n",
        (BUS + "test_an_answer_that_nobody_waits_for_any_more_is_not_decoded",),
    ),
    Mutant(
        "a wanted signal is decoded however long it is",
        "../bus/connection.py",
        "        if header.size > LONGEST_TOLD:  # that there is news is told all the same",
        "        if header.size > LONGEST_TOLD * 64:",
        (BUS + "test_a_wanted_signal_that_is_too_long_is_told_without_its_body",),
    ),
    Mutant(
        "a call is decoded however long it is",
        "../bus/strangers.py",
        "        if size > LONGEST_CALL:",
        "        if size > LONGEST_CALL * 1024:",
        (BUS + "test_a_call_that_is_too_long_is_refused_by_its_header",),
    ),
    Mutant(
        "a call to nobody is decoded",
        "../bus/connection.py",
        "            self._served.get(header.path, _NOTHING).check(header)\n",
        "",
        (BUS + "test_a_call_that_the_header_tells_to_be_wrong_is_not_decoded",),
    ),
    Mutant(
        "a header is kept however long it is",
        "../bus/framing.py",
        "        if self._fields > _LONGEST_HEADER:  ",
        "        if self._fields > _LONGEST_HEADER * 8192:  ",
        (BUS + "test_a_header_as_long_as_a_message_is_skipped",),
    ),
    Mutant(
        "one who calls without end takes what others have",
        "../bus/strangers.py",
        "        if not (self._own.take(sender, now) or self._shared.take(now)):",
        "        if not self._shared.take(now):",
        (BUS + "test_one_who_calls_without_end_has_what_is_left_and_others_have_their_own",),
    ),
    Mutant(
        "one may have all calls under way",
        "../bus/strangers.py",
        "        if self._under_way[sender] >= AT_ONCE_EACH or self._under_way.total() >= AT_ONCE:",
        "        if self._under_way.total() >= AT_ONCE:",
        (BUS + "test_only_so_many_calls_are_under_way_for_each_and_for_all",),
    ),
    Mutant(
        "each call too many is answered",
        "../bus/strangers.py",
        "        return self._refusals.take(self._clock())",
        "        return True",
        (BUS + "test_refusals_have_an_end_too",),
    ),
    Mutant(
        "each call that is refused is logged",
        "../bus/strangers.py",
        "        if self._hourly.is_due(sender, self._clock()):\n",
        "        if self._hourly is not None:\n",
        (BUS + "test_calls_that_are_refused_are_logged_once",),
    ),
    Mutant(
        "we hear on while the bus takes no answers",
        "../bus/framing.py",
        "        self._is_full = True\n        if self._transport is not None:\n"
        "            self._transport.pause_reading()\n",
        "        self._is_full = True\n",
        (BUS + "test_while_the_bus_takes_no_answers_nothing_more_is_heard",),
    ),
    Mutant(
        "what the bus does not take piles up",
        "../bus/framing.py",
        "        if self._transport.get_write_buffer_size() > MOST_UNSENT:",
        "        if self._transport.get_write_buffer_size() > MOST_UNSENT * 64:",
        (BUS + "test_what_the_bus_does_not_take_is_refused_at_last",),
    ),
    Mutant(
        "calls come over the connection by which we ask",
        "../daemon/app.py",
        "            public=public,",
        "            public=bus,",
        ("tests/daemon/test_strangers.py::test_it_asks_by_another_connection_than_it_answers",),
    ),
    Mutant(
        "credentials go to any server that a script names",
        "../cli/fleet_order.py",
        "    return bool(home) and origin_of(home) == origin_of(url)",
        "    return bool(home)",
        (FLEET_VERBS + "test_credentials_go_to_the_configured_server_and_to_no_other",),
    ),
    Mutant(
        "what a lock server shows is taken for whole where it breaks off",
        "../fleetlock/request.py",
        "                read = _whole if is_shown else _beginning",
        "                read = _beginning",
        (AFAR + "test_whatever_stands_at_the_url_breaks_nothing_and_is_told_apart",),
    ),
    Mutant(
        "https downgraded to http is the same server",
        "../config/base_url.py",
        "    return parts.scheme, parts.hostname",
        '    return "", parts.hostname',
        (FLEET_VERBS + "test_credentials_go_to_the_configured_server_and_to_no_other",),
    ),
    Mutant(
        "an authorization file over plain http is nothing to say",
        "../config/review.py",
        '    if fleet.authorization_file or "@" in fleet.base_url:',
        '    if "@" in fleet.base_url:',
        (CHECK + "test_credentials_over_plain_http_are_a_warning_that_does_not_show_them",),
    ),
    Mutant(
        "userinfo over plain http is nothing to say",
        "../config/review.py",
        '    if fleet.authorization_file or "@" in fleet.base_url:',
        "    if fleet.authorization_file:",
        (CHECK + "test_credentials_over_plain_http_are_a_warning_that_does_not_show_them",),
    ),
    Mutant(
        "a secret that everybody may read is nothing to say",
        "../cli/key_files.py",
        "    if key in _SECRET and is_open_to_all(root, path):",
        "    if key in _SECRET and False:",
        (CHECK + "test_a_secret_that_every_user_of_the_host_may_read_is_named",),
    ),
    Mutant(
        "a file of secrets may be anything",
        "../fleetlock/secret_files.py",
        "    if not stat.S_ISREG(found.st_mode):",
        "    if stat.S_ISDIR(found.st_mode):",
        (SECRETS + "test_what_is_no_file_of_secrets_is_named_and_never_waited_for",),
    ),
    Mutant(
        "there is no end of interim answers",
        "../fleetlock/request.py",
        "            if heads > MOST_INTERIM:",
        "            if heads > MOST_INTERIM * 4096:",
        (CLIENT + "test_interim_answers_are_passed_over_but_not_for_ever",),
    ),
    Mutant(
        "the child has all the processor time there is",
        "../fleetlock/request.py",
        "    for limit, most in LIMITS:",
        "    for limit, most in LIMITS[:2]:",
        (CLIENT + "test_the_child_is_bounded_and_knows_of_no_bus",),
    ),
    Mutant(
        "who has the same user may look into the child",
        "../fleetlock/request.py",
        "    close_memory()\n",
        "",
        (CLIENT + "test_nobody_of_the_same_user_looks_into_the_child",),
    ),
    Mutant(
        "a home-made CA is refused where Python is strict",
        "../fleetlock/request.py",
        "    context.verify_flags &= ~ssl.VERIFY_X509_STRICT\n",
        "",
        (SECRETS + "test_a_home_made_ca_is_trusted_where_python_would_be_strict",),
    ),
    Mutant(
        "check-config says nothing of an old-fashioned CA",
        "../cli/key_files.py",
        '        yield from _old_fashioned(content) if key == "ca_file" else ()',
        '        yield from _old_fashioned(content) if key == "none" else ()',
        (CHECK + "test_a_ca_of_long_ago_is_told_of_and_is_no_fault_of_the_daemons",),
    ),
    Mutant(
        "one user scrapes as often as they can",
        "../show/metrics_socket.py",
        "        if not self._scrapes.take(uid, now):",
        "        if self._scrapes.take(uid, now) is None:",
        (METRICS + "test_a_user_who_scrapes_without_end_is_answered_now_and_then_and_named_once",),
    ),
    Mutant(
        "one user has as many clients at a time as they like",
        "../show/metrics_socket.py",
        "        if each[uid] < MOST_EACH:",
        "        if each[uid] < MOST_CLIENTS:",
        (METRICS + "test_clients_that_never_hang_up_are_let_go",),
    ),
    Mutant(
        "each scrape is made anew",
        "../show/exposition.py",
        "        if not is_same or now - self._made_at >= LASTS_S:",
        "        if not is_same or now >= self._made_at:",
        ("tests/show/test_exposition.py::test_a_thousand_scrapes_within_a_second_are_made_once",),
    ),
    Mutant(
        "what is told once an hour is told of everybody",
        "../rates.py",
        "        if subject in self._told or len(self._told) >= LINES_AN_HOUR:",
        "        if subject in self._told:",
        (RATES + "test_of_each_is_told_once_an_hour_and_of_a_thousand_hardly_more",),
    ),
    Mutant(
        "what was used up comes back beyond what there was",
        "../rates.py",
        "min(self._allowance.burst, self._left + since",
        "(self._left + since",
        (RATES + "test_what_was_used_up_comes_back_with_time_and_no_more_than_there_was",),
    ),
    Mutant(
        "the watchdog comes after the status",
        "../systemd/notify.py",
        "        if self._is_alive:\n            self._socket.send",
        "        if self._is_alive and self._status == self._shown:\n            self._socket.send",
        (
            NOTIFY
            + "test_a_manager_that_does_not_read_holds_nobody_up_and_hears_the_last_word_of_each",
        ),
    ),
    Mutant(
        "what hangs is begun again",
        "../aside.py",
        "            if subject in self._busy or len(self._busy) >= self._hanging:",
        "            if len(self._busy) >= self._hanging:",
        (ASIDE + "test_what_hangs_is_given_up_and_not_begun_again",),
    ),
    Mutant(
        "any number is left to hang",
        "../aside.py",
        "            if subject in self._busy or len(self._busy) >= self._hanging:",
        "            if subject in self._busy:",
        (ASIDE + "test_no_more_than_so_many_are_left_to_hang",),
    ),
    Mutant(
        "a reload without the file of the metrics socket fails",
        "../show/metrics_socket.py",
        "            is_ours = False\n        except OSError as error:",
        "            raise\n        except PermissionError as error:",
        (RELOAD + "test_a_reload_puts_back_what_is_gone_of_the_metrics",),
    ),
    Mutant(
        "a reload takes half of the configuration",
        "../daemon/app.py",
        "            if not any(problems):\n                self._metrics",
        "            if not any(problems):\n                self._runner.load(loaded.policy)\n"
        "                self._metrics",
        (RELOAD + "test_a_reload_that_fails_changes_nothing_and_the_next_one_succeeds",),
    ),
)
