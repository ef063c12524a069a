"""Tells people, metrics, systemd and the bus where we are, each change once."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from rebootmgr.config.load import Loaded
from rebootmgr.core.counters import Api, Counters
from rebootmgr.core.describe import blockers, describe
from rebootmgr.core.effects import Acquire, Effect, Release
from rebootmgr.core.model import Choice, Moment, NoticeKind, Outcome, Reason, Slot
from rebootmgr.core.policy import Policy
from rebootmgr.core.sentence import say_instant
from rebootmgr.core.slots import is_worth_a_warning
from rebootmgr.core.states import Entry, State
from rebootmgr.core.status import Status
from rebootmgr.systemd.journal_words import encode_fields, encode_level

log = logging.getLogger("rebootmgr")


class Herald:
    """Remembers since when each reason blocks, and what was said last."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.problems: tuple[str, ...] = ()
        self.source: Choice | None = None
        self._since: Mapping[Reason, datetime] = {}
        self._said: Status | None = None
        self._warned: dict[Slot, float] = {}

    def note_source(self, choice: Choice) -> None:
        """Tell where updates come from, where that is news."""
        if choice != self.source:
            log.info("updates come from %s: %s", choice.source, choice.why)
        self.source = choice

    def note_loading(self, loaded: Loaded, at: datetime) -> None:
        """Tell what was found in the configuration, all of it."""
        for problem in loaded.errors:
            log.error("%s", problem)
        for problem in loaded.warnings:
            log.warning("%s", problem)
        ok = not loaded.errors and not loaded.policy.invalid
        self.counters = self.counters.config_loaded(at, ok=ok)
        self.problems = tuple(str(problem) for problem in loaded.errors)

    def note_failed_loading(self, why: str, at: datetime) -> None:
        """Tell that a new configuration could not be taken although nothing is wrong with it."""
        log.error("%s", why)
        self.counters = self.counters.config_loaded(at, ok=False)
        self.problems = (why,)

    def count(self, effects: tuple[Effect, ...]) -> None:
        """Count the requests among what is to be done."""
        for effect in effects:
            match effect:
                case Acquire():
                    self.counters = self.counters.request_sent(Api.PRE_REBOOT)
                case Release():
                    self.counters = self.counters.request_sent(Api.STEADY_STATE)
                case _:
                    pass

    def count_answer(self, api: Api, error: str | None, seconds: float) -> None:
        """Count how a request ended; `error` is its kind, None when there was none."""
        self.counters = self.counters.request_ended(api, seconds, error=error or "")

    def status(self, state: State, policy: Policy, at: Moment) -> Status:
        """Describe `state` at this instant."""
        self._note(state, policy, at)
        self._warn_of_debts(state.ledger, at)
        return describe(
            state,
            policy,
            at,
            since=self._since,
            problems=self.problems,
            source=self.source,
        )

    def say(self, status: Status) -> bool:
        """Log what is new; whether anything that people see changed."""
        before, self._said = self._said, status
        self._say_outcome(status, before)
        self._say_missed(status, before)
        if fields := encode_fields(status, before):
            log.log(encode_level(status), "%s", status.sentence, extra={"rebootmgr": fields})
        self._say_notices(status, before)
        return before is None or replace(before, at=status.at) != status

    def is_overtaken(self, status: Status) -> bool:
        """Whether a hold ended or a window opened or closed since the last `say`."""
        said = self._said
        return said is not None and (said.holds, said.window, said.next_window) != (
            status.holds,
            status.window,
            status.next_window,
        )

    def _say_notices(self, status: Status, before: Status | None) -> None:
        old = {notice.kind for notice in before.notices} if before is not None else set()
        for notice in status.notices:
            if notice.kind not in old and notice.kind is not NoticeKind.SLOT_NOT_RELEASED:
                log.warning("%s: %s", notice.kind, notice.detail)

    def _say_outcome(self, status: Status, before: Status | None) -> None:
        if before is None or not status.history or status.history == before.history:
            return
        last = status.history[-1]
        level = logging.INFO if last.outcome is Outcome.SUCCEEDED else logging.WARNING
        cause = f" ({last.cause})" if last.cause else ""
        log.log(level, "the reboot into %s: %s%s", last.version, last.outcome, cause)

    def _say_missed(self, status: Status, before: Status | None) -> None:
        """Tell of a window that opened and closed between two looks; nobody makes up for it."""
        if before is None or status.pending is None or status.pending != before.pending:
            return
        missed = before.next_window
        if missed is not None and missed.end <= status.at:
            start, end = say_instant(missed.start, UTC), say_instant(missed.end, UTC)
            text = (
                "missed the maintenance window from %s to %s: the host was asleep, or its clock set"
            )
            log.info(text, start, end)

    def _warn_of_debts(self, ledger: tuple[Entry, ...], at: Moment) -> None:
        """Warn of a slot that does not go back: once an hour, as its retries wake us anyway."""
        for entry in ledger:
            told = self._warned.get(entry.slot)
            if entry.overdue is not None and is_worth_a_warning(entry, told, at.mono):
                log.warning("slot not given back: %s: %s", entry.slot.server, entry.overdue.answer)
                self._warned[entry.slot] = at.mono

    def _note(self, state: State, policy: Policy, at: Moment) -> None:
        reasons = {blocker.reason for blocker in blockers(state, policy, at)}
        self._since = {reason: self._since.get(reason, at.wall) for reason in reasons}
