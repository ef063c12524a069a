"""Breakages of windows, freezes, rules, fit, splay and plans."""

from typing import Final

from tests.mutants.mutant import (
    FAR,
    FIT,
    MACHINE,
    RECURRENCE,
    WINDOW,
    Mutant,
)

MUTANTS: Final = (
    Mutant(
        "a window out of sight is never looked for again",
        "alarm.py",
        "            untils.append(horizon(at.wall))",
        "            pass",
        (FAR + "test_a_window_out_of_sight_is_looked_for_again_when_it_may_open_at_the_earliest",),
    ),
    Mutant(
        "a freeze holds only in the year it was written for",
        "window.py",
        "    if blackout.rule:\n        first, last",
        "    if not blackout:\n        first, last",
        (
            WINDOW
            + "test_a_blackout_may_repeat_and_begins_on_its_start_even_where_the_rule_does_not",
        ),
    ),
    Mutant(
        "nobody minds how long a reboot takes",
        "window.py",
        "    fits = opening is None or opening.end - at >= need",
        "    fits = True",
        (MACHINE + "test_what_this_host_cannot_finish_inside_the_window_is_not_begun",),
    ),
    Mutant(
        "a host as slow as its longest window waits for ever",
        "window.py",
        "        is_best = longest * 0.9 < need and",
        "        is_best = longest < need and",
        (
            MACHINE
            + "test_a_host_as_slow_as_its_longest_window_need_not_begin_in_its_first_instant",
        ),
    ),
    Mutant(
        "everybody starts when the window opens",
        "window.py",
        "        shifted = ((s + min(splay * calendar.phase, (e - s) / 2), e) for s, e in merged)",
        "        shifted = ((s, e) for s, e in merged)",
        (WINDOW + "test_splay_shifts_the_start_of_the_merged_opening_and_not_its_end",),
    ),
    Mutant(
        "the fit is waived by what the next nine days hold",
        "window.py",
        "    unsure = found.waived or found.next_fitting is None",
        "    unsure = found.next_fitting is None",
        (WINDOW + "test_the_fit_is_not_waived_where_a_longer_opening_comes_this_year",),
    ),
    Mutant(
        "what fits nowhere in nine days fits nowhere",
        "window.py",
        "    unsure = found.waived or found.next_fitting is None",
        "    unsure = found.waived",
        (WINDOW + "test_the_next_that_fits_may_be_another_than_the_next",),
    ),
    Mutant(
        "an opening ends after nine days",
        "window.py",
        "    if unsure or any(each and each.end == near.end for each in seen):",
        "    if unsure:",
        (WINDOW + "test_an_opening_of_months_ends_where_it_ends",),
    ),
    Mutant(
        "the fit is waived in the shorter of two openings",
        "window.py",
        "longest * 0.9 < need and opening.end - opening.start >= min(need, longest)",
        "longest * 0.9 < need",
        (WINDOW + "test_the_fit_is_waived_in_the_longest_opening_only",),
    ),
    Mutant(
        "the longest opening of nine days is the longest",
        "window.py",
        "    found = _look(calendar, today, HORIZON).openings",
        "    found = _look(calendar, today, _NEAR).openings",
        ("tests/core/test_fit.py::test_the_longest_opening_is_looked_for_as_far_as_anybody_plans",),
    ),
    Mutant(
        "a rule for one day is refused",
        "recurrence.py",
        "    if until < first:",
        "    if until <= first:",
        (RECURRENCE + "test_a_rule_may_end_on_the_day_on_which_it_begins",),
    ),
    Mutant(
        "a rule that matches only its last day is refused",
        "recurrence.py",
        "    if waited > until - first:",
        "    if waited >= until - first:",
        (RECURRENCE + "test_a_rule_may_match_its_last_day_and_no_other",),
    ),
    Mutant(
        "a freeze of a year is refused",
        "recurrence.py",
        "    if end - start > _LONGEST_REPEATING:",
        "    if end - start >= _LONGEST_REPEATING:",
        (RECURRENCE + "test_a_blackout_that_repeats_is_no_longer_than_a_year",),
    ),
    Mutant(
        "a plan of ten years is refused",
        "window.py",
        "    if end - start > LONGEST:",
        "    if end - start >= LONGEST:",
        ("tests/core/test_plan.py::test_a_plan_without_end_is_refused",),
    ),
    Mutant(
        "windows that touch stay two",
        "window.py",
        "        if merged and start <= merged[-1][1]:",
        "        if merged and start < merged[-1][1]:",
        (WINDOW + "test_overlapping_and_touching_windows_merge",),
    ),
    Mutant(
        "a freeze that reaches into the next window ends with the first",
        "window.py",
        "            if hole[1] >= end:  # it may reach into the next span\n"
        "                break\n",
        "",
        (WINDOW + "test_a_freeze_over_several_openings_closes_them_all",),
    ),
    Mutant(
        "reboots that nobody measured count for the fit",
        "fit.py",
        "        if reboot.outcome is Outcome.SUCCEEDED and reboot.seconds > 0.0\n",
        "        if reboot.outcome is Outcome.SUCCEEDED\n",
        (FIT + "test_only_what_succeeded_and_was_measured_counts",),
    ),
    Mutant(
        "a fleet shares its splay",
        "window.py",
        '    digest = hashlib.sha256(node_id.encode("utf-8", "surrogatepass")).digest()',
        '    digest = hashlib.sha256(node_id[:8].encode("utf-8", "surrogatepass")).digest()',
        ("tests/core/test_splay.py::test_neighbours_are_not_neighbours_in_time",),
    ),
    Mutant(
        "a range from the end of a month that its steps do not fill begins too early",
        "calendar_event.py",
        "Part(length + 1 - each.greatest, length",
        "Part(length + 1 - each.last, length",
        ("tests/core/test_calendar_event.py",),
    ),
    Mutant(
        "the last day of a month is the day before",
        "calendar_event.py",
        "        Part(length + 1 - each.first, length, each.step)\n",
        "        Part(length - each.first, length, each.step)\n",
        ("tests/core/test_calendar_event.py",),
    ),
    Mutant(
        "a calendar event is on every day of the week",
        "calendar_event.py",
        "        if day.weekday() not in self.weekdays:\n            return False\n",
        "",
        ("tests/core/test_calendar_event.py",),
    ),
    Mutant(
        "steps of a calendar event are not taken",
        "calendar_event.py",
        " and not (value - self.first) % self.step",
        "",
        ("tests/core/test_calendar_event.py",),
    ),
)
