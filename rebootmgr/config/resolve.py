"""From the configuration to what the core decides by."""

from collections.abc import Mapping
from datetime import timedelta

from rebootmgr.config.base_url import expand, variables_of, without_userinfo
from rebootmgr.config.checked import Config
from rebootmgr.config.settings import FleetLock, Updates
from rebootmgr.core.model import LONGEST_SERVER, Slot
from rebootmgr.core.policy import Patience, Policy, Strategy
from rebootmgr.core.window import Calendar, phase_of
from rebootmgr.errors import Problem
from rebootmgr.fleetlock.words import Server

_LONGEST_AGAIN_S = 300.0
_BASE_URL = "updates.fleet_lock.base_url"


def resolve_policy(
    config: Config, *, node_id: str, variables: Mapping[str, str], dry_run: bool
) -> Policy:
    """Say what this host decides by; with any error the policy is `invalid`, and says the first.

    `variables` are those of base_url (SPEC 6) except the group, which is in the configuration.
    """
    problems = [*config.errors, *url_problems(config, variables)]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return Policy(invalid=f"{problems[0]}{more}", dry_run=dry_run, seed=node_id, group="")
    updates = config.settings.updates
    again_s = min(float(updates.fleet_lock.timeout_seconds), _LONGEST_AGAIN_S)  # SPEC 6
    return Policy(
        enabled=updates.enabled,
        strategies=updates.strategy,
        calendar=resolve_calendar(updates, node_id=node_id),
        deadlines=tuple(sorted(updates.deadline, key=lambda step: step.after)),
        slot=_slot(config, node_id, variables),
        keep_slot_on_failed_update=updates.fleet_lock.keep_slot_on_failed_update,
        sessions_wait=updates.sessions.wait,
        sessions_grace=timedelta(minutes=updates.sessions.grace_minutes),
        respect=updates.inhibitors.respect,
        reboots_per_day=updates.limits.reboots_per_day,
        attempts_per_deployment=updates.limits.attempts_per_deployment,
        clock=updates.clock.require_synchronized,
        dry_run=dry_run,
        seed=node_id,
        group=config.settings.identity.group,
        patience=Patience(release_again_s=again_s),
    )


def resolve_calendar(updates: Updates, *, node_id: str) -> Calendar:
    """Say when the policy allows a reboot; `node_id` matters only where there is a splay."""
    return Calendar(
        periodic=Strategy.PERIODIC in updates.strategy,
        windows=updates.periodic.window,
        blackouts=updates.blackout,
        splay=timedelta(minutes=updates.periodic.splay_minutes),
        phase=phase_of(node_id),
        fit=updates.periodic.fit,
    )


def request_url(config: Config, variables: Mapping[str, str]) -> str:
    """Give the lock server's base URL with its credentials: for the request alone (SPEC 6)."""
    settings = config.settings
    everything = {**variables, "group": settings.identity.group}
    return expand(settings.updates.fleet_lock.base_url, everything)


def server_at(url: str, settings: FleetLock) -> Server:
    """Say how the lock server at `url` is reached."""
    return Server(
        base_url=url,
        timeout_s=float(settings.timeout_seconds),
        ca_file=settings.ca_file,
        client_cert_file=settings.client_cert_file,
        client_key_file=settings.client_key_file,
        authorization_file=settings.authorization_file,
    )


def url_problems(config: Config, variables: Mapping[str, str]) -> tuple[Problem, ...]:
    """Say which variables of base_url this host has no value for, or that those it has are long."""
    found = config.merged.values.get(_BASE_URL)
    if found is None:
        return ()
    faults = [
        (f"this host has no value for ${{{name}}}", "write the value itself")
        for name in sorted(variables_of(found.value) - {"group"})
        if not variables.get(name)
    ]
    if not faults and (length := len(request_url(config, variables))) > LONGEST_SERVER:
        most = f"has {length} characters with its variables, more than {LONGEST_SERVER}"
        faults.append((most, "use a shorter URL, or a shorter identity.group"))
    return tuple(
        Problem(
            file=found.place.file,
            line=found.place.line,
            key=_BASE_URL,
            message=message,
            hint=hint,
        )
        for message, hint in faults
    )


def _slot(config: Config, node_id: str, variables: Mapping[str, str]) -> Slot | None:
    if Strategy.FLEET_LOCK not in config.settings.updates.strategy:
        return None
    server = without_userinfo(request_url(config, variables))
    return Slot(server=server, group=config.settings.identity.group, id=node_id)
