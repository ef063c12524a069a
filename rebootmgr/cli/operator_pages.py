"""Holds, past reboots and what became of a wish, as text for people."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from rebootmgr.cli.page import DIM, GLUE, Page, span
from rebootmgr.cli.render import render_why
from rebootmgr.codec.described import UNKNOWN, Record
from rebootmgr.core.text import harmless

VERSION: Final = 24
OUTCOME: Final = 13
INDENT: Final = 4
BEFORE: Final = {"waiting": "waiting", "lock": "lock"}
PHASES: Final = {
    "hooks": "hooks",
    "shutdown": "shutdown",
    "boot": "boot",
    "boot_complete": "to boot-complete",
}


def render_holds(holds: Sequence[Record], page: Page) -> Iterator[str]:
    """Give each hold: its id, why, whose, since when, until when."""
    if not holds:
        yield "no holds"
    for hold in holds:
        end = hold.instant("until")
        times = f"until {page.instant(end) if end else 'it is released'}"
        begun = f"{hold.text('owner')}, since {page.instant(hold.instant('since'))}"
        yield from page.item(" ", DIM, hold.text("id"), [hold.text("reason"), begun, times])


def render_history(reboots: Sequence[Record], page: Page) -> Iterator[str]:
    """Give a line for each reboot, the newest last, and below it where the time went."""
    if not reboots:
        yield "no reboots by rebootmgr"
    for reboot in reboots:
        at, took = reboot.instant("at"), reboot.number("seconds")
        when = f"{at.astimezone():%a %Y-%m-%d %H:%M %Z}" if at else UNKNOWN
        version = harmless(reboot.text("version"), longest=VERSION)
        known = reboot.members.get("outcome") is not None
        outcome = reboot.text("outcome") if known else "not known yet"
        line = f"{when}  {version:<{VERSION}}  {outcome:<{OUTCOME}}  {span(took) if took else ''}"
        yield line.rstrip()
        yield from _phases(reboot.part("phases") or Record({}), page)


def _phases(phases: Record, page: Page) -> Iterator[str]:
    """Say what the time of the line above is made of, and what came before that."""
    own, before = _parts(phases, PHASES), _parts(phases, BEFORE)
    text = "; ".join([own] * bool(own) + [f"before that {before}"] * bool(before))
    lines = page.wrap(text, indent=INDENT) if text else []
    yield from (page.paint(" " * INDENT + line, DIM) for line in lines)


def _parts(phases: Record, names: Mapping[str, str]) -> str:
    known = ((words, phases.number(name)) for name, words in names.items())
    return ", ".join(f"{words} {span(took)}".replace(" ", GLUE) for words, took in known if took)


def render_outcome(status: Record, expires: datetime, skips: str, page: Page) -> Iterator[str]:
    """Say that the reboot was asked for, what that skips, and where it got."""
    yield from page.wrap(f"asked for the reboot, until {page.instant(expires)}", indent=0)
    if skips:
        yield from page.wrap(f"--now skips {skips}", indent=0)
    yield ""
    yield from render_why(status, page).splitlines()
