"""Breakages of what people and programs see of a lock server: the page, the API, the events."""

from typing import Final

from tests.mutants.mutant import Mutant

PAGE: Final = "tests/lockd/test_page.py::"
WATCHING: Final = "tests/lockd/test_watching.py::"
ADMIN: Final = "tests/lockd/test_admin.py::"
FLEET: Final = "tests/cli/test_lock_server_verbs.py::"
AFAR: Final = "tests/cli/test_lock_server_afar.py::"

MUTANTS: Final = (
    Mutant(
        "a hostile name is markup on the page",
        "../lockd/page/drawing.py",
        "            autoescape=True,",
        "            autoescape=False,",
        (PAGE + "test_hostile_names_stay_text_in_the_page_and_in_its_pieces",),
    ),
    Mutant(
        "the page may load whatever is on its own server",
        "../lockd/page/drawing.py",
        "\"default-src 'none'\",",
        "\"default-src 'self'\",",
        (PAGE + "test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline",),
    ),
    Mutant(
        "the page comes without its policy",
        "../lockd/http/pages.py",
        '    "Content-Security-Policy": CONTENT_SECURITY_POLICY,\n',
        "",
        (PAGE + "test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline",),
    ),
    Mutant(
        "the page is drawn once and for all",
        "../lockd/http/pages.py",
        "        if self._drawn is None or self._drawn[0] != look:",
        "        if self._drawn is None:",
        (PAGE + "test_the_page_is_drawn_anew_when_something_changed",),
    ),
    Mutant(
        "whoever looks at the page needs no token",
        "../lockd/http/pages.py",
        "        if path not in OPEN_TO_ALL and not self._is_let_in(request):",
        "        if path not in {*OPEN_TO_ALL, *FOR_THE_EYE} and not self._is_let_in(request):",
        (WATCHING + "test_who_is_let_in_no_more_watches_no_more",),
    ),
    Mutant(
        "what is asked of administrators is said not to be there",
        "../lockd/http/pages.py",
        "    if path in admin_names.CHANGES:",
        '    if path == "/none":',
        (WATCHING + "test_what_only_administrators_may_is_refused_over_tcp",),
    ),
    Mutant(
        "groups that stand still are among the others",
        "../lockd/page/words.py",
        "    return sorted(cards, key=lambda one: _ORDER.index(one.mood))",
        "    return list(cards)",
        (PAGE + "test_what_stands_still_comes_first_with_why_and_what_to_type",),
    ),
    Mutant(
        "a halt looks like something to see to later",
        "../lockd/page/words.py",
        '            return Mood.STOPPED, "halted"',
        '            return Mood.ATTENTION, "halted"',
        (PAGE + "test_what_stands_still_comes_first_with_why_and_what_to_type",),
    ),
    Mutant(
        "a command has the name that a host gave itself",
        "../lockd/page/words.py",
        'return _Bad(f"The reboot of {name} failed: {failed}.", holder.text("id"))',
        'return _Bad(f"The reboot of {name} failed: {failed}.", name)',
        (PAGE + "test_what_stands_still_comes_first_with_why_and_what_to_type",),
    ),
    Mutant(
        "the page is silent about holders that it leaves out",
        "../lockd/page/words.py",
        "        more_holders=lent - len(holders),",
        "        more_holders=0,",
        (PAGE + "test_of_ten_thousand_that_wait_it_shows_a_few_and_how_many_more",),
    ),
    Mutant(
        "the page looks as ever while the store cannot be used",
        "../lockd/page/words.py",
        '        return Mood.STOPPED, "Nothing is lent: the store cannot be used"',
        '        return Mood.QUIET, "Nobody holds a slot, and nobody waits for one"',
        (PAGE + "test_a_freeze_of_all_and_a_store_in_trouble_are_told_before_the_groups",),
    ),
    Mutant(
        "everybody who waits is sent to everybody who watches",
        "../lockd/watch.py",
        "encode_group(fleet, name, rules, at, MOST)",
        "encode_group(fleet, name, rules, at, Most(99_999, 99_999))",
        (WATCHING + "test_of_ten_thousand_that_wait_the_first_few_are_told",),
    ),
    Mutant(
        "every group is shown, however many there are",
        "../lockd/watch.py",
        "    if len(known) <= MOST_GROUPS:",
        "    if known:",
        (PAGE + "test_of_very_many_groups_it_shows_a_few_and_how_many_more",),
    ),
    Mutant(
        "of too many groups the first are shown, whatever became of the others",
        "../lockd/watch.py",
        "        (looked_at(fleet, name, rules, at)[0].stands is None, place)",
        "        (bool(looked_at(fleet, name, rules, at)), place)",
        (WATCHING + "test_of_many_groups_those_that_stand_still_are_among_the_shown",),
    ),
    Mutant(
        "the latest change is told first",
        "../lockd/watch.py",
        "[one for one in self._pieces.values() if one.look > after]",
        "[one for one in reversed(self._pieces.values()) if one.look > after]",
        (WATCHING + "test_who_watches_is_told_what_is_so_and_then_each_change",),
    ),
    Mutant(
        "every group is told anew when one of them changes",
        "../lockd/watch.py",
        "            if known is None or is_new or (is_old and known.document != document):",
        "            if known is None or is_new or is_old is not None:",
        (WATCHING + "test_who_watches_is_told_what_is_so_and_then_each_change",),
    ),
    Mutant(
        "the kernel keeps megabytes for whoever does not read",
        "../lockd/http/streams.py",
        "        _bound(request)\n        response",
        "        response",
        (WATCHING + "test_a_reader_that_does_not_read_is_cut_off_with_the_reason",),
    ),
    Mutant(
        "who watches stays, whatever became of its token",
        "../lockd/http/streams.py",
        "            if not may_stay():",
        "            if self._watch.over:",
        (WATCHING + "test_who_is_let_in_no_more_watches_no_more",),
    ),
    Mutant(
        "somebody is shown as many as it asks for",
        "../lockd/looking.py",
        "    return most if len(text) > len(str(most)) else min(int(text), most)",
        "    return int(text)",
        (WATCHING + "test_of_ten_thousand_that_wait_the_first_few_are_told",),
    ),
    Mutant(
        "who asks for one group is shown all",
        "../lockd/looking.py",
        "            groups=[group] if group else known,",
        "            groups=known,",
        (FLEET + "test_status_shows_who_holds_who_waits_and_what_is_in_the_way",),
    ),
    Mutant(
        "a group that there is not is shown as nothing",
        "../lockd/looking.py",
        "    if group and group not in known:",
        "    if group and group not in {group}:",
        (AFAR + "test_over_tcp_people_see_what_they_see_on_the_servers_host",),
    ),
    Mutant(
        "a reload that failed says that it is done",
        "../lockd/admin.py",
        "        if problems := await self._reload():",
        "        if problems := (await self._reload())[:0]:",
        (FLEET + "test_a_reload_ends_when_the_configuration_is_taken_or_with_all_that_is_wrong",),
    ),
    Mutant(
        "a token goes over plain HTTP unasked",
        "../cli/lock_server_afar.py",
        "    if has_secret and is_in_clear(url) and not afar.in_clear:",
        "    if has_secret and is_in_clear(url) and afar.in_clear:",
        (AFAR + "test_a_token_goes_over_plain_http_beyond_this_host_only_if_that_is_asked_for",),
    ),
)
