"""Break the core on purpose, one line at a time, and want the tests of the core to notice.

`python -m tests.mutants [NAME...]` copies the tree, applies each mutation alone, and runs the
stories and the world model against it, or what it names as its judge. A mutation that survives, or
no longer applies, is an error.
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
TIMEOUT_S: Final = 600


@dataclass(frozen=True, slots=True)
class Mutant:
    """One line of `file`, what becomes of it, and the tests that have to notice."""

    name: str
    file: str
    old: str
    new: str
    judges: tuple[str, ...] = ("tests/core/test_machine.py", "tests/core/test_world.py")


STORIES: Final = "tests/days/test_outcomes.py::"
LOOP: Final = "tests/days/test_loop.py::"
MONTHS: Final = "tests/days/test_days.py::test_a_month_of_anything_keeps_every_promise"
MACHINE: Final = "tests/core/test_machine.py::"

MUTANTS: Final = (
    Mutant(
        "202 counts as a grant",
        "progress.py",
        "        case LockReserved(ticket, _, detail):",
        "        case LockReserved():\n"
        "            _prepare(turn, asking.target, just_checked=False)\n"
        "            return\n        case LockReserved(ticket, _, detail):",
    ),
    Mutant(
        "a stale look answers for the commit",
        "turn.py",
        "        self.fresh = False\n        self.state = replace(",
        "        self.state = replace(",
    ),
    Mutant(
        "a change during the last look is ignored",
        "machine.py",
        "    turn.fresh = turn.state.look_next is Look.NOWHERE",
        "    turn.fresh = True",
    ),
    Mutant(
        "an answer to an older look is believed",
        "machine.py",
        "            if ticket == turn.state.looking:",
        "            if ticket <= turn.state.tickets:",
    ),
    Mutant(
        "a retarget at the commit goes on",
        "advance.py",
        "    if turn.target != target or turn.blockers():\n"
        "        turn.abandon(queued=turn.target is not None and not turn.blockers())\n"
        "    elif warned_until",
        "    if turn.target is None or turn.blockers():\n"
        "        turn.abandon(queued=turn.target is not None and not turn.blockers())\n"
        "    elif warned_until",
    ),
    Mutant(
        "a blocker at the commit is ignored",
        "advance.py",
        "    if turn.target != target or turn.blockers():\n"
        "        turn.abandon(queued=turn.target is not None and not turn.blockers())\n"
        "    elif warned_until",
        "    if turn.target != target:\n"
        "        turn.abandon(queued=turn.target is not None and not turn.blockers())\n"
        "    elif warned_until",
    ),
    Mutant(
        "the slot goes back while rebooting",
        "turn.py",
        "            case Starting() | PostBoot() | Rebooting() | Undoing():\n"
        "                return slots.Wish(freeze=True)",
        "            case Starting() | PostBoot() | Undoing():\n"
        "                return slots.Wish(freeze=True)\n"
        "            case Rebooting():\n                return slots.Wish()",
    ),
    Mutant(
        "the slot goes back before the drain is undone",
        "turn.py",
        "            case Starting() | PostBoot() | Rebooting() | Undoing():\n"
        "                return slots.Wish(freeze=True)",
        "            case Starting() | PostBoot() | Rebooting():\n"
        "                return slots.Wish(freeze=True)\n"
        "            case Undoing():\n                return slots.Wish()",
    ),
    Mutant(
        "an unanswered question is forgotten",
        "slots.py",
        "unanswered=entry.unanswered or not answered)",
        "unanswered=entry.unanswered)",
    ),
    Mutant(
        "a refusal forgets an older question",
        "slots.py",
        "        case LockRefused() if entry.unanswered or entry.kept:",
        "        case LockRefused() if entry.kept:",
    ),
    Mutant(
        "a release is sent while the question is under way",
        "slots.py",
        "            case Ours(asking=int() as ticket, cancelled=False):",
        "            case Ours(asking=int() as ticket, cancelled=False) if False:",
    ),
    Mutant(
        "a question is sent while a release is under way",
        "slots.py",
        "        case Owed(releasing=int()) | Ours(asking=int()):",
        "        case Ours(asking=int()):",
    ),
    Mutant(
        "a question under way is off the record",
        "slots.py",
        "unanswered=entry.unanswered or is_asking(entry), kept",
        "unanswered=entry.unanswered, kept",
    ),
    Mutant(
        "the record is written after the act",
        "turn.py",
        "        self.effects.insert(0, SaveMemory(self.state.memory))",
        "        self.effects.append(SaveMemory(self.state.memory))",
    ),
    Mutant(
        "a drain is not put on record",
        "progress.py",
        "        turn.remember(replace(turn.state.memory, drained=True))",
        "        pass",
    ),
    Mutant(
        "a crash forgets the drain",
        "postboot.py",
        "    elif memory.settled == known.boot:\n        turn.abandon()",
        "    elif memory.settled == known.boot:\n        turn.rest()",
    ),
    Mutant(
        "a restart while going down starts over",
        "postboot.py",
        "    if known.logind.preparing:",
        "    if not known.logind:",
    ),
    Mutant(
        "the boot is judged before boot-complete",
        "postboot.py",
        "    if known is None or known.boot_incomplete or known.os_unknown",
        "    if known is None or known.os_unknown",
    ),
    Mutant(
        "a failed update is never quarantined",
        "verdict.py",
        "    if tried < policy.attempts_per_deployment or",
        "    if tried <= policy.attempts_per_deployment + 99 or",
    ),
    Mutant(
        "the reboot budget is not kept",
        "gates.py",
        "    if len(made) >= policy.reboots_per_day:",
        "    if len(made) > policy.reboots_per_day:",
    ),
    Mutant(
        "a hold does not stop an attempt",
        "gates.py",
        "    if holds:\n",
        "    if holds and not isinstance(state.attempt, Committing):\n",
    ),
    Mutant(
        "an unknown rpm-ostree is taken for a clear one",
        "machine.py",
        "            known = replace(known, os_unknown=detail)",
        "            pass",
    ),
    Mutant(
        "a newer policy does not start the attempt over",
        "machine.py",
        "    elif isinstance(turn.attempt, Checking | Asking | Preparing | Committing | Waiting):\n"
        "        turn.state = replace(turn.state, setback=None)\n",
        "    elif isinstance(turn.attempt, Waiting):\n"
        "        turn.state = replace(turn.state, setback=None)\n",
    ),
    Mutant(
        "hooks that fail after the boot do not matter",
        "verdict.py",
        "        return Outcome.SUCCEEDED if healthy else Outcome.ROLLED_BACK",
        "        return Outcome.SUCCEEDED",
        (STORIES + "test_failed_hooks_after_the_boot_are_a_rollback_too",),
    ),
    Mutant(
        "what greenboot took back counts as never applied",
        "verdict.py",
        "        if finalized or intent.seen_booted:",
        "        if finalized and intent.seen_booted and not intent.shutdown_seen:",
        (STORIES + "test_greenboot_goes_back_so_the_update_is_rolled_back_and_the_slot_is_kept",),
    ),
    Mutant(
        "a power cut counts as an attempt",
        "verdict.py",
        "return Outcome.NOT_APPLIED if intent.shutdown_seen else Outcome.INTERRUPTED",
        "return Outcome.NOT_APPLIED",
        (
            STORIES
            + "test_a_power_cut_between_intent_and_shutdown_is_interrupted_and_counts_no_attempt",
        ),
    ),
    Mutant(
        "a new serial is a new update",
        "progress.py",
        "        key=target.key,",
        '        key=type(target.key)(f"{target.key}/{target.id}"),',
        (STORIES + "test_after_as_many_rollbacks_as_are_allowed_it_is_not_tried_again",),
    ),
    Mutant(
        "a rollback by an administrator is undone",
        "verdict.py",
        "    if not 0 < os.booted.timestamp < last.timestamp:",
        "    if last.timestamp:",
        (STORIES + "test_a_rollback_by_an_administrator_is_not_undone",),
    ),
    Mutant(
        "a quarantine is not looked at",
        "gates.py",
        "        if target is not None and one.key == target.key",
        "        if target is None",
        (LOOP + "test_a_host_whose_update_never_applies_is_rebooted_a_few_times_and_says_why",),
    ),
    Mutant(
        "a failed update keeps no slot",
        "postboot.py",
        "        turn.keep_ledger(slots.keep(ledger))",
        "        pass",
        (LOOP + "test_a_host_whose_update_never_applies_is_rebooted_a_few_times_and_says_why",),
    ),
    Mutant(
        "a kept slot is given back by an attempt that is abandoned",
        "slots.py",
        "            case Ours(asking=None) if not entry.kept:",
        "            case Ours(asking=None):",
        (STORIES + "test_greenboot_goes_back_so_the_update_is_rolled_back_and_the_slot_is_kept",),
    ),
    Mutant(
        "success keeps the slot",
        "postboot.py",
        "    elif judgement.outcome is Outcome.SUCCEEDED or not any(",
        "    elif not any(",
        (STORIES + "test_a_rolled_back_host_goes_on_to_a_later_update_and_only_then_frees_it",),
    ),
    Mutant(
        "to forgive frees no slot",
        "operator.py",
        "            turn.keep_ledger(slots.free(turn.state.ledger, None))",
        "            pass",
        (STORIES + "test_forgiving_alone_frees_a_kept_slot",),
    ),
    Mutant(
        "to forgive forgets only the last attempt",
        "operator.py",
        "                    memory = absolve(memory, one.key)",
        "                    pass",
        (STORIES + "test_forgiving_lets_it_be_tried_again_and_frees_the_slot",),
    ),
    Mutant(
        "power cuts are not on the budget",
        "verdict.py",
        "        case Outcome.SUPERSEDED | Outcome.INTERRUPTED:\n"
        "            return Judgement(result, counted, keeps_slot=False)",
        "        case Outcome.SUPERSEDED | Outcome.INTERRUPTED:\n"
        "            return Judgement(result, settled, keeps_slot=False)",
        (STORIES + "test_endless_power_cuts_are_bounded_by_the_budget",),
    ),
    Mutant(
        "fewer reboots are remembered than allowed",
        "verdict.py",
        "    remembered = max(REMEMBERED, policy.reboots_per_day)",
        "    remembered = REMEMBERED",
        (LOOP + "test_a_large_budget_is_a_budget_too",),
    ),
    Mutant(
        "a clock that is set back undoes reboots",
        "gates.py",
        "if wall - reboot.at < DAY]",
        "if abs(wall - reboot.at) < DAY]",
        (MACHINE + "test_reboots_dated_in_the_future_count_until_a_good_clock_dates_them_anew",),
    ),
    Mutant(
        "a good clock leaves wrong dates alone",
        "machine.py",
        "    if any(reboot.at > booted for reboot in memory.reboots):",
        "    if not memory:",
        (MACHINE + "test_reboots_dated_in_the_future_count_until_a_good_clock_dates_them_anew",),
    ),
    Mutant(
        "a clock that runs behind is believed",
        "gates.py",
        "    return last is not None and at.wall < last",
        "    return False",
        (MACHINE + "test_a_clock_that_says_less_than_it_once_did_decides_nothing",),
    ),
    Mutant(
        "a clock that nobody vouches for is believed at once",
        "gates.py",
        "CLOCK_ASSUMED_AFTER_S: Final = 3600.0",
        "CLOCK_ASSUMED_AFTER_S: Final = 0.0",
        (MONTHS,),
    ),
    Mutant(
        "reboot --now skips freezes",
        "gates.py",
        "    if view.blackout is not None:",
        "    if view.blackout is not None and not now_asked:",
        (MONTHS,),
    ),
    Mutant(
        "a freeze holds only in the year it was written for",
        "window.py",
        "    if blackout.rule:\n        first, last",
        "    if not blackout:\n        first, last",
        (MONTHS,),
    ),
    Mutant(
        "nobody minds how long a reboot takes",
        "window.py",
        "    fits = opening is None or opening.end - at >= need",
        "    fits = True",
        (MONTHS,),
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
        (MONTHS,),
    ),
    Mutant(
        "a wrong clock ends a hold",
        "advance.py",
        "    return is_trusted or turn.policy.clock is ClockRule.NEVER or hold.since >= booted",
        "    return True",
        (STORIES + "test_a_clock_that_is_wrong_after_a_boot_ends_no_hold",),
    ),
    Mutant(
        "a refused reboot leaves the node drained",
        "machine.py",
        "                turn.set_back(Reason.LOGIND_UNREACHABLE, detail)\n"
        "                turn.abandon()",
        "                turn.set_back(Reason.LOGIND_UNREACHABLE, detail)\n"
        "                turn.rest()",
        (MONTHS,),
    ),
    Mutant(
        "a hook that overruns the window goes on",
        "advance.py",
        "def _hold_on(turn: Turn, target: Deployment) -> None:",
        "def _hold_on(turn: Turn, target: Deployment) -> None:\n"
        "    if turn.attempt:\n        return",
        (STORIES + "test_a_hook_that_overruns_the_window_never_leads_to_a_reboot_outside_it",),
    ),
)


def main(names: list[str]) -> int:
    """Try every mutant, or those whose name holds one of `names`; 1 if any survives."""
    chosen = [one for one in MUTANTS if not names or any(name in one.name for name in names)]
    survivors = 0
    for number, mutant in enumerate(chosen, 1):
        with tempfile.TemporaryDirectory(prefix="rebootmgr-mutant-") as scratch:
            verdict = _try(mutant, Path(scratch))
        survivors += verdict != "caught"
        print(f"{number:2}/{len(chosen)} {verdict:9} {mutant.name}", flush=True)
    print(f"{len(chosen) - survivors} mutants caught, {survivors} not")
    return 1 if survivors or not chosen else 0


def _try(mutant: Mutant, scratch: Path) -> str:
    for name in ("rebootmgr", "tests", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, scratch / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, scratch / name)
    file = scratch / "rebootmgr/core" / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        return "STALE"
    file.write_text(text.replace(mutant.old, mutant.new))
    command = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")
    done = subprocess.run(
        (*command, *mutant.judges), cwd=scratch, capture_output=True, timeout=TIMEOUT_S, check=False
    )
    match done.returncode:
        case 0:
            return "SURVIVED"
        case 1:
            return "caught"
        case _:
            return "BROKEN"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
