"""`status` and `why` as text for people: pure functions of the daemon's JSON, now, zone and width.

Plain ASCII of our own, so that it reads the same in a C locale; colour only repeats what is said.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from rebootmgr.cli.page import DIM, GLUE, GREEN, RED, YELLOW, Page, span
from rebootmgr.control.described import UNKNOWN, Record
from rebootmgr.core.model import Reason
from rebootmgr.core.reasons import WORDS, headline, until
from rebootmgr.core.sentence import doing
from rebootmgr.core.status import GateState, StateName, Verdict

PRESUMED: Final = "none granted; it may have one all the same, as an answer was not clear"
ASKED: Final = {"check": "checks", "hook": "hooks", "lock": "the lock server"}
COLORS: Final = {GateState.NOT_EVALUATED: DIM, GateState.CLEAR: GREEN}
OTHER_GATES: Final = {GateState.NOT_EVALUATED: "Not asked yet", GateState.CLEAR: "Clear"}
ENDLESS: Final = timedelta(days=366)  # the calendar looks no further than 400 days
CHECKSUM: Final = re.compile(r"\b([0-9a-f]{10})[0-9a-f]{54}\b")
BLOCKERS: Final = {
    Verdict.IDLE.value: "Would block a reboot now:",  # there is nothing that it could block
    Verdict.REBOOT.value: "Under way:",
}
VERDICTS: Final = {Verdict.REBOOT: RED, Verdict.WAIT: YELLOW, Verdict.IDLE: GREEN}


def render_status(status: Record, page: Page) -> str:
    """One screen: what runs, what waits, what is in the way and when it goes on."""
    return _lines(
        _summary(status, page),
        _blockers(status, page),
        _notices(status, page),
        _holds(status, page),
    )


def render_why(status: Record, page: Page, *, everything: bool = False) -> str:
    """Each closed gate: by whom, since and until when, what to do; when the reboot may come.

    `everything`: also each gate that is clear or not asked yet, by its name.
    """
    return _lines(
        page.field("Verdict", verdict_of(status), _verdict_color(status)),
        page.field("Pending", _pending(status, page)),
        _request(status, page),
        page.field("Next reboot", _predicted(status, page)),
        _deadlines(status, page),
        _blockers(status, page, advises=True),
        _other_gates(status, page) if everything else _not_asked(status, page),
        _notices(status, page),
    )


def _lines(*parts: Iterable[str]) -> str:
    return "".join(f"{line}\n" for part in parts for line in part)


def _summary(status: Record, page: Page) -> Iterator[str]:
    yield from page.field("Verdict", verdict_of(status), _verdict_color(status))
    yield from page.field("State", _state(status))
    yield from page.field("Booted", _deployment(status, "booted", "unknown"))
    yield from page.field("Pending", _pending(status, page))
    yield from _behind(status, page)
    yield from _request(status, page)
    if status.has("source"):
        why = f": {status.text('source_why')}" if status.has("source_why") else ""
        yield from page.field("Source", f"{status.text('source')}{why}")
    yield from page.field("Strategy", _strategy(status))
    yield from page.field("Next reboot", _predicted(status, page))
    yield from _deadlines(status, page)
    yield from page.field("Window", _window(status, page))
    yield from page.field("Slot", _slot(status))
    if (identity := status.part("identity")) is not None:
        yield from page.field("FleetLock", identity_of(identity))
    yield from page.field("Last reboot", _last(status, page))
    problems = status.texts("config_problems")
    if problems or not status.is_true("config_valid"):
        known = "invalid" if status.has("config_valid") else UNKNOWN
        yield from page.field("Configuration", "; ".join((known, *problems)), RED)


def _strategy(status: Record) -> str:
    closed = [blocker.text("reason") for blocker in status.parts("blockers")]
    if Reason.CONFIG_INVALID in closed:  # what is decided by then is nobody's wish
        return "none, as the configuration is invalid"
    return ", ".join(status.texts("strategies")) or UNKNOWN


def _holds(status: Record, page: Page) -> Iterator[str]:
    holds = status.parts("holds")
    if holds:
        yield from ("", "Holds:")
    for hold in holds:
        end = hold.instant("until")
        text = f"{hold.text('reason')} ({hold.text('owner')})"
        times = f"until {page.instant(end) if end else 'it is released'}"
        yield from page.item("x", RED, hold.text("id"), [text, times])


def _blockers(status: Record, page: Page, *, advises: bool = False) -> Iterator[str]:
    blockers = status.parts("blockers")
    heard = {answer.text("reason"): answer.instant("at") for answer in status.parts("answers")}
    if blockers:
        yield from ("", BLOCKERS.get(status.text("verdict"), "Blocked by:"))
    for blocker in blockers:
        texts = _explained(blocker, page, heard.get(blocker.text("reason")))
        name = blocker.text("reason")
        if advises and name in set(Reason):
            texts.append(f"to do: {WORDS[Reason(name)].advice}")
        yield from page.item("x", RED, blocker.text("reason"), texts)


def _not_asked(status: Record, page: Page) -> Iterator[str]:
    """Name whom nobody has asked yet, and what they said the last time."""
    whom = _asked_last(status)
    if whom and status.instant("predicted") is None:  # or `Next reboot` has said it
        yield from ("", *page.field(OTHER_GATES[GateState.NOT_EVALUATED], ", ".join(whom), DIM))
    blocking = {blocker.text("reason") for blocker in status.parts("blockers")}
    for gate in status.parts("gates"):
        if gate.members.get("detail") and gate.text("gate") not in blocking:
            yield from page.item(" ", DIM, gate.text("gate"), [gate.text("detail")])


def _other_gates(status: Record, page: Page) -> Iterator[str]:
    """Give the gates that do not block: one line each where there is something to say."""
    blocking = {blocker.text("reason") for blocker in status.parts("blockers")}
    for state, label in OTHER_GATES.items():
        gates = [gate for gate in status.parts("gates") if gate.text("state") == state]
        names = [gate.text("gate") for gate in gates if gate.text("gate") not in blocking]
        if names:
            yield from ("", *page.field(label, ", ".join(names), COLORS[state]))
        for gate in gates:
            if gate.members.get("detail"):
                yield from page.item(" ", DIM, gate.text("gate"), [gate.text("detail")])


def _notices(status: Record, page: Page) -> Iterator[str]:
    notices = status.parts("notices")
    if notices:
        yield from ("", "Notices:")
    for notice in notices:
        yield from page.item("!", YELLOW, notice.text("notice"), [notice.text("detail")])


def _explained(blocker: Record, page: Page, heard: datetime | None) -> list[str]:
    """Say what is in the way, since when and until when; how old an answer is."""
    name, detail = blocker.text("reason"), blocker.text("detail")
    reason = Reason(name) if name in set(Reason) else None
    times = [f"since {page.instant(blocker.instant('since'))}"]
    end = blocker.instant("until")
    if end is not None:
        times.append(f"{until(reason) if reason else 'until'} {page.instant(end)}")
        if (
            reason is Reason.OUTSIDE_WINDOW and "by deadline" not in detail
        ):  # its detail says the same in UTC
            detail = ""
    what = detail or (headline(reason) if reason else UNKNOWN)
    if heard is not None:
        age = span(max(0.0, (page.now - heard).total_seconds())).replace(" ", GLUE)
        what = f"{age} ago: {what}"
    return [what, *times]


def _deadlines(status: Record, page: Page) -> Iterator[str]:
    """Say from when on what counts no more."""
    for deadline in status.parts("deadlines"):
        names, at = ", ".join(deadline.texts("waives")), deadline.instant("at")
        verb = "counts" if names in {"fit", "splay"} else "count"
        if at is None:
            text = f"{names} no longer {verb} later; no clock can tell yet when"
        elif deadline.is_true("due"):
            text = f"since {page.instant(at)} {names} no longer {verb}"
        else:
            text = f"from {page.instant(at)} {names} no longer {verb}"
        yield from page.field("Deadline", text)


def verdict_of(status: Record) -> str:
    """Say the verdict, and what it means; a dry run comes to nothing."""
    dry = "; this is a dry run, nothing will be done" if status.is_true("dry_run") else ""
    return f"{_verdict(status)}{dry}"


def _verdict(status: Record) -> str:
    count = len(status.parts("blockers"))
    match status.text("verdict"):
        case Verdict.REBOOT:
            return "reboot: the reboot is being called"
        case Verdict.WAIT if status.has("pending") and status.part("pending") is None:
            return "wait: cannot tell whether an update is pending"
        case Verdict.WAIT:
            return f"wait: {count} {'gate is' if count == 1 else 'gates are'} closed"
        case Verdict.IDLE:
            return "idle: nothing is pending"
        case other:
            return other


def _verdict_color(status: Record) -> str:
    verdict = status.text("verdict")
    return VERDICTS[Verdict(verdict)] if verdict in set(Verdict) else YELLOW


def _state(status: Record) -> str:
    state = status.text("state")
    if state not in set(StateName):
        return state
    gloss = doing(StateName(state))
    return state if gloss == state else f"{state}: {gloss}"


def _deployment(status: Record, name: str, nothing: str) -> str:
    deployment = status.part(name)
    if deployment is None:
        return nothing if status.has(name) else UNKNOWN
    return f"{deployment.text('version')} ({_short(deployment.text('id'))})"


def _short(text: str) -> str:
    """Cut the checksum in a deployment's id, as git does; --json has all of it."""
    return CHECKSUM.sub(r"\1", text)


def _pending(status: Record, page: Page) -> str:
    is_idle = status.text("verdict") == Verdict.IDLE
    text = _deployment(status, "pending", "nothing" if is_idle else UNKNOWN)
    pending = status.part("pending")
    if pending is None:
        return text
    change = pending.part("change")
    said = "".join(f"; {each}" for each in (_changes(change) if change else ()))
    return f"{text}, since {page.instant(pending.instant('since'))}{said}"


def _changes(change: Record) -> Iterator[str]:
    """Say what the update changes, where its version does not."""
    if change.is_true("same_base"):
        yield "the booted version, changed"
    for name, label in (("kernel_arguments", "kernel arguments"), ("packages", "packages")):
        part = change.part(name) or Record({})
        signs = [f"+{each}" for each in part.texts("added")]
        signs += [f"-{each}" for each in part.texts("removed")]
        if signs:
            yield f"{label} {' '.join(signs)}"
        if overrides := part.texts("overrides"):
            yield f"overrides of {', '.join(overrides)}"
    if change.is_true("initramfs"):
        yield "another initramfs"
    if change.is_true("applied_live"):
        yield "already applied live, the reboot makes it lasting"


def _behind(status: Record, page: Page) -> Iterator[str]:
    """Say since when it is behind, where that is longer than with the update that waits now."""
    behind, pending = status.instant("behind_since"), status.part("pending")
    if behind is not None and (pending is None or behind != pending.instant("since")):
        yield from page.field("Behind", f"since {page.instant(behind)}")


def _request(status: Record, page: Page) -> Iterator[str]:
    """Give a line to a request for a reboot, where there is one."""
    request = status.part("request")
    if request is None:
        return
    skips = ", ".join(request.texts("skips"))
    text = f"by {request.text('owner')}, until {page.instant(request.instant('until'))}"
    yield from page.field("Requested", f"{text}; skips {skips}" if skips else text)


def _predicted(status: Record, page: Page) -> str:
    """Say when, and what nobody can know in advance, such as a lock server's answer."""
    if status.is_true("dry_run"):
        return "none: this is a dry run"
    at = status.instant("predicted")
    if at is not None and status.text("verdict") == Verdict.WAIT:
        asked_last = _asked_last(status)
        rest = f"; not asked yet: {', '.join(asked_last)}" if asked_last else ""
        when = page.instant(at) if at > page.now else "now"  # it is as old as what was asked last
        return f"{when} at the earliest{rest}"
    match status.text("verdict"):
        case Verdict.IDLE:
            return "none"
        case Verdict.REBOOT:
            return "now"
        case _:
            endless = [b.text("reason") for b in status.parts("blockers") if not b.instant("until")]
            return f"cannot be known: {', '.join(endless)}" if endless else "cannot be known"


def _asked_last(status: Record) -> list[str]:
    """Name whom the gates ask that are not evaluated yet, where no other gate of theirs blocks."""
    known = {_whom(blocker.text("reason")) for blocker in status.parts("blockers")}
    gates = status.parts("gates")
    open_ones = (gate for gate in gates if gate.text("state") == GateState.NOT_EVALUATED)
    whom = dict.fromkeys(_whom(gate.text("gate")) for gate in open_ones)
    return [each for each in whom if each not in known]


def _whom(gate: str) -> str:
    return ASKED.get(gate.partition("_")[0], gate)


def _window(status: Record, page: Page) -> str:
    window, coming = status.part("window"), status.part("next_window")
    if window is not None:
        end = window.instant("end")
        is_near = end is not None and end - page.now < ENDLESS
        return f"open until {page.instant(end)}" if is_near else "open"
    if coming is not None:
        return f"closed until {page.instant(coming.instant('start'))}"
    return "closed, and none is known to come" if status.has("window") else UNKNOWN


def _slot(status: Record) -> str:
    slots = [
        f"{'kept' if slot.is_true('kept') else 'to be given back'}: {slot.text('server')}"
        f" (group {slot.text('group')}, id {slot.text('id')})"
        + (f": {slot.text('error')}" if slot.members.get("error") else "")
        for slot in status.parts("slots")
    ]
    if slots:
        return "; ".join(slots)
    if not status.has("lock_held"):
        return UNKNOWN
    if status.is_true("lock_held"):
        return "granted"
    return PRESUMED if status.is_true("lock_presumed") else "none"


def identity_of(identity: Record) -> str:
    """Say who this host is to a lock server, and to which."""
    known = identity.members.get("server") is not None
    server = identity.text("server") if known else "no server is asked"
    return f"id {identity.text('id')}, group {identity.text('group')}, {server}"


def _last(status: Record, page: Page) -> str:
    history = status.parts("history")
    if not history:
        return "none by rebootmgr" if status.has("history") else UNKNOWN
    last = history[-1]
    took = last.number("seconds")
    text = f"{page.instant(last.instant('at'))} into {last.text('version')}"
    known = last.members.get("outcome") is not None
    outcome = last.text("outcome") if known else "outcome not known yet"
    cause = f": {last.text('cause')}" if last.members.get("cause") else ""
    return f"{text}: {outcome}{f' after {span(took)}' if took else ''}{cause}"
