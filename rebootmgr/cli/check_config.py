"""check-config: everything that is wrong, or not what anybody wants, in the drop-ins (SPEC 11)."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Final

from rebootmgr.cli.verb import Context, Verb
from rebootmgr.config.checked import Config, DropIn, Fragment, decode_config
from rebootmgr.config.drop_ins import DIRECTORIES, read_drop_ins
from rebootmgr.config.identity import Identity, MissingIdentity, read_identity, read_localtime
from rebootmgr.config.readable import User, find_obstacle, read_daemon_user
from rebootmgr.config.resolve import unknown_variables
from rebootmgr.config.review import Review, review_config
from rebootmgr.core.fit import measured
from rebootmgr.core.memory import Memory
from rebootmgr.core.policy import Strategy
from rebootmgr.errors import Problem
from rebootmgr.state.store import StateStore
from rebootmgr.systemd.units import UNIT, find_enabled_zincati
from rebootmgr.text import harmless

_INVALID: Final = 78
_FILES: Final = tuple(
    f"updates.fleet_lock.{name}"
    for name in ("ca_file", "client_cert_file", "client_key_file", "authorization_file")
)


def _check_config(arguments: Namespace, context: Context) -> int:
    fragments = read_drop_ins(context.root)
    config = decode_config(fragments, localtime=read_localtime(context.root))
    review = Review() if config.errors else _review(config, context.root)
    errors = (*config.errors, *review.errors)
    warnings = (*config.warnings, *review.warnings, *_host(context.root, fragments, config))
    valid = not errors and not (arguments.strict and warnings)
    if context.json:
        lists = {"errors": [*map(asdict, errors)], "warnings": [*map(asdict, warnings)]}
        print(json.dumps({"valid": valid, **lists}, indent=2), file=context.out)
    else:
        for line in _report(errors, warnings, valid=valid):
            print(line, file=context.out)
    return 0 if valid else _INVALID


def _review(config: Config, root: Path) -> Review:
    at, takes = datetime.now(UTC), _reboot_takes(root)
    match read_identity(root, node_uuid=config.settings.identity.node_uuid):
        case Identity(node_id=node_id) as host:
            review = review_config(config, at=at, node_id=node_id, reboot_takes=takes)
            return replace(
                review, errors=(*review.errors, *unknown_variables(config, host.variables))
            )
        case MissingIdentity(detail=detail):
            review = review_config(config, at=at, node_id="", reboot_takes=takes)
            return replace(review, warnings=(*review.warnings, *_anonymous(config, detail)))


def _reboot_takes(root: Path) -> timedelta | None:
    """What this host has measured; None without a state, or where it may not be read."""
    memory = StateStore(root).read(at=datetime.now(UTC))
    return measured(memory) if isinstance(memory, Memory) else None


def _anonymous(config: Config, detail: str) -> tuple[Problem, ...]:
    """Say what an image without a machine id cannot know yet."""
    updates = config.settings.updates
    if Strategy.FLEET_LOCK not in updates.strategy and not updates.periodic.splay_minutes:
        return ()
    problem, _, hint = detail.partition("; ")
    has_splay = bool(updates.periodic.splay_minutes)
    key = "updates.periodic.splay_minutes" if has_splay else "updates.strategy"
    place = config.provenance[key]
    return (Problem(file=place.file, line=place.line, key=key, message=problem, hint=hint),)


def _host(root: Path, fragments: Sequence[Fragment], config: Config) -> Iterator[Problem]:
    """Yield what is wrong around the configuration, on the host below `root`."""
    if link := find_enabled_zincati(root):
        message = "Zincati is enabled, and reboots this host beside rebootmgr"
        yield _problem(link, message, f"systemctl mask --now {UNIT}")
    if user := read_daemon_user(root):
        yield from _unreadable_drop_ins(root, fragments, user)
        yield from _unreadable_keys(root, config, user)


def _unreadable_drop_ins(
    root: Path, fragments: Sequence[Fragment], user: User
) -> Iterator[Problem]:
    closed = []
    for folder in (root / each for each in DIRECTORIES):
        if folder.is_dir() and (obstacle := find_obstacle(root, _below(root, folder), user)):
            closed.append(folder)
            yield _problem(folder, *obstacle)
    for path in (Path(each.file) for each in fragments if isinstance(each, DropIn)):
        if path.parent in closed or not (path.is_relative_to(root) and path.exists()):
            continue
        if obstacle := find_obstacle(root, _below(root, path), user):
            yield _problem(path, *obstacle)


def _unreadable_keys(root: Path, config: Config, user: User) -> Iterator[Problem]:
    if config.errors or Strategy.FLEET_LOCK not in config.settings.updates.strategy:
        return
    for key in _FILES:
        found = config.merged.values.get(key)
        if found is None or not found.value:
            continue
        path = PurePosixPath(found.value)
        if obstacle := find_obstacle(root, path, user):
            what, cure = obstacle
            where, message = found.place, f"{harmless(str(path))}: {what}"
            yield Problem(file=where.file, line=where.line, key=key, message=message, hint=cure)


def _below(root: Path, path: Path) -> PurePosixPath:
    return PurePosixPath("/") / path.relative_to(root)


def _problem(path: Path, message: str, hint: str) -> Problem:
    name = harmless(str(path), longest=4096)
    return Problem(file=name, line=None, key="", message=message, hint=hint)


def _report(
    errors: Sequence[Problem], warnings: Sequence[Problem], *, valid: bool
) -> Sequence[str]:
    marked = [
        replace(each, key=f"warning: {each.key}" if each.key else "warning") for each in warnings
    ]
    counts = f"{_count(len(errors), 'error')}, {_count(len(warnings), 'warning')}"
    summary = f"configuration {'valid' if valid else 'invalid'}: {counts}"
    return [*map(str, errors), *map(str, marked), summary]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--strict", action="store_true", help="a warning counts as an error")


CHECK_CONFIG: Final = Verb(
    name="check-config",
    summary="validate the drop-ins",
    examples=(
        "rebootmgrctl check-config --strict",
        "rebootmgrctl --root /mnt/image check-config",
    ),
    arguments=_arguments,
    run=_check_config,
)
