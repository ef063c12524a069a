"""Break the core on purpose, one line at a time, and want the tests of the core to notice.

`python -m tests.mutants [NAME...]` copies the tree, applies each mutation alone, and runs the
stories and the world model against it. A mutation that survives, or no longer applies, is an error.
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
    """One line of `file`, and what becomes of it."""

    name: str
    file: str
    old: str
    new: str


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
        "    if isinstance(turn.attempt, Checking | Asking | Preparing | Committing | Waiting):\n"
        "        turn.state = replace(turn.state, setback=None)\n",
        "    if isinstance(turn.attempt, Waiting):\n"
        "        turn.state = replace(turn.state, setback=None)\n",
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
    tests = ("tests/core/test_machine.py", "tests/core/test_world.py")
    done = subprocess.run(
        (*command, *tests), cwd=scratch, capture_output=True, timeout=TIMEOUT_S, check=False
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
