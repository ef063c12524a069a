"""What is counted since the process started; what must survive a reboot is in Memory instead."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from rebootmgr.text import harmless

MOST_KINDS: Final = 6
OTHER: Final = "other"
LONGEST_KIND: Final = 40


class Api(StrEnum):
    """The two calls of FleetLock, as Zincati labels them."""

    PRE_REBOOT = "pre-reboot"
    STEADY_STATE = "steady-state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Requests of one api. `seconds` and `answers` are of those that ended, however they did.

    `errors` counts by kind. A kind may be a server's word, so their number and length are bounded:
    after `MOST_KINDS` different ones, new ones count as `OTHER`.
    """

    requests: int = 0
    answers: int = 0
    seconds: float = 0.0
    errors: tuple[tuple[str, int], ...] = (("client_failed_request", 0),)

    def ended(self, seconds: float, error: str) -> "Calls":
        """One request ended after `seconds`, with an error of this kind, or "" for none."""
        errors = dict(self.errors)
        if error:
            kind = harmless(error, longest=LONGEST_KIND) or OTHER
            if kind not in errors and len(errors) >= MOST_KINDS:
                kind = OTHER
            errors[kind] = errors.get(kind, 0) + 1
        return replace(
            self,
            answers=self.answers + 1,
            seconds=self.seconds + seconds,
            errors=tuple(errors.items()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Everything that starts at 0 with the process, and the two gauges that Status does not have.

    `reload_ok` and `reloaded` are of the last attempt to load the configuration, at start too.
    """

    pre_reboot: Calls = field(default_factory=Calls)
    steady_state: Calls = field(default_factory=Calls)
    dbus_connected: bool = False
    reload_ok: bool = True
    reloaded: datetime | None = None

    def calls(self, api: Api) -> Calls:
        """Return what was counted for `api`."""
        match api:
            case Api.PRE_REBOOT:
                return self.pre_reboot
            case Api.STEADY_STATE:
                return self.steady_state

    def request_sent(self, api: Api) -> "Counters":
        """Count a request that is about to be sent."""
        calls = self.calls(api)
        return self._with(api, replace(calls, requests=calls.requests + 1))

    def request_ended(self, api: Api, seconds: float, *, error: str = "") -> "Counters":
        """Count the end of a request; `error` is its kind, "" for none."""
        return self._with(api, self.calls(api).ended(seconds, error))

    def config_loaded(self, at: datetime, *, ok: bool) -> "Counters":
        """Note an attempt to load the configuration."""
        return replace(self, reload_ok=ok, reloaded=at)

    def _with(self, api: Api, calls: Calls) -> "Counters":
        match api:
            case Api.PRE_REBOOT:
                return replace(self, pre_reboot=calls)
            case Api.STEADY_STATE:
                return replace(self, steady_state=calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What /proc says of our own process; seconds (since the epoch, of CPU time) and bytes."""

    start: float
    cpu_s: float
    resident: int
    virtual: int
    open_fds: int
    max_fds: int
