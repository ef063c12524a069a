"""check-config: everything that is wrong, or not what anybody wants, in the drop-ins (SPEC 11)."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Final

from rebootmgr.cli.key_files import review_key_files
from rebootmgr.cli.verb import Context, Verb
from rebootmgr.config.astray import find_astray
from rebootmgr.config.checked import Config, DropIn, Fragment
from rebootmgr.config.deadline_keys import CHECKS
from rebootmgr.config.drop_ins import DIRECTORIES, VENDOR, read_named
from rebootmgr.config.identity import HostIdentity, MissingIdentity
from rebootmgr.config.load import Loaded, judge, load
from rebootmgr.config.readable import User, find_obstacle, read_daemon_user
from rebootmgr.config.resolve import url_problems
from rebootmgr.config.review import Review, review_config
from rebootmgr.config.schema import DEADLINE
from rebootmgr.config.verdict import report
from rebootmgr.core.fit import measured
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import Phase
from rebootmgr.core.policy import Strategy
from rebootmgr.errors import Problem
from rebootmgr.hooks.files import NoProgram, Skipped, Unfit, find_hooks
from rebootmgr.state.store import StateStore
from rebootmgr.systemd.unit_files import find_starting_link, read_assigned
from rebootmgr.text import harmless, nearest
from rebootmgr.updates.choice import foretell_source, is_composefs
from rebootmgr.updates.ostree_files import BOOTED

_INVALID: Final = 78
_ZINCATI: Final = "zincati.service"
_BOOTC: Final = "bootc-fetch-apply-updates.service"
_BOOTC_TIMER: Final = "bootc-fetch-apply-updates.timer"
_PATH_EXISTS: Final = "ConditionPathExists"


def _check_config(arguments: Namespace, context: Context) -> int:
    named: list[Path] = arguments.files
    loaded = judge(read_named(named), context.root) if named else load(context.root)
    config = loaded.config
    review = _review(loaded, context.root, is_its_own=not named)
    errors = (*config.errors, *review.errors)
    around = () if named else tuple(_host(context.root, loaded))
    warnings = (*config.warnings, *review.warnings, *around)
    valid = not errors and not (arguments.strict and warnings)
    lists = {"errors": [*map(asdict, errors)], "warnings": [*map(asdict, warnings)]}
    lines = [*_overriding(config), *report(errors, warnings, valid=valid)]
    told = None
    if not (config.errors or named):
        source = foretell_source(context.root, config.settings.updates.source)
        told = {"name": source.source, "why": source.why}
        if valid:
            lines.append(f"Source of updates: {source.source}: {source.why}")
    context.emit({"valid": valid, **lists, "source": told}, lines)
    return 0 if valid else _INVALID


def _review(loaded: Loaded, root: Path, *, is_its_own: bool) -> Review:
    """Review what has no errors; of the host here only if the configuration is its own."""
    config, host, at = loaded.config, loaded.host, datetime.now(UTC)
    if config.errors:
        return Review()
    if not is_its_own:
        return review_config(config, at=at, node_id="")
    found = review_config(config, at=at, node_id=host.node_id, reboot_takes=_reboot_takes(root))
    match host:
        case HostIdentity(variables=variables):
            return replace(found, errors=(*found.errors, *url_problems(config, variables)))
        case MissingIdentity(detail=detail):
            return replace(found, warnings=(*found.warnings, *_anonymous(config, detail)))


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


def _host(root: Path, loaded: Loaded) -> Iterator[Problem]:
    """Yield what is wrong around the configuration, on the host below `root`."""
    if link := find_starting_link(root, _ZINCATI):
        message = "Zincati is enabled, and reboots this host beside rebootmgr"
        yield _problem(link, message, f"systemctl mask --now {_ZINCATI}")
    if problem := _bootc(root):
        yield problem
    yield from _unfit_hooks(root)
    yield from _unknown_checks(root, loaded.config)
    if user := read_daemon_user(root):
        yield from _unreadable_drop_ins(root, loaded.fragments, user)
    yield from review_key_files(root, loaded.config, user)
    yield from find_astray(root, loaded.fragments)


def _bootc(root: Path) -> Problem | None:
    """Say that bootc's timer is enabled and reboots, where its service may run at all."""
    link = find_starting_link(root, _BOOTC_TIMER)
    commands = read_assigned(root, _BOOTC, "ExecStart")
    applies = any("--apply" in command.split() for command in commands)
    if link is None or not applies or not _may_start(root, _BOOTC_TIMER, _BOOTC):
        return None
    message = "bootc's timer is enabled, and reboots this host beside rebootmgr (--apply)"
    hint = f"systemctl mask --now {_BOOTC_TIMER}, or let it stage only: docs/bootc.md"
    return _problem(link, message, hint)


def _may_start(root: Path, *units: str) -> bool:
    """Whether their conditions can hold: of what ostree boots, nothing is there on composefs."""
    conditions = [path for unit in units for path in read_assigned(root, unit, _PATH_EXISTS)]
    return f"/{BOOTED}" not in conditions or not is_composefs(root)


def _unfit_hooks(root: Path) -> Iterator[Problem]:
    """Yield each hook that cannot be run, so that it blocks."""
    for phase in (Phase.CHECK, Phase.PRE_REBOOT, Phase.POST_BOOT):
        for hook in find_hooks(root, phase):
            match hook:
                case NoProgram(path=path) if _leads_out(root, path):
                    pass
                case NoProgram(path=path, what=what, cure=cure):
                    yield _problem(
                        path, f"a hook that fails whenever its turn comes: it {what}", cure
                    )
                case Path() | Unfit() | Skipped():
                    pass


def _unknown_checks(root: Path, config: Config) -> Iterator[Problem]:
    """Yield each deadline that waives a program which is not in checks.d."""
    if config.errors:
        return
    there = {hook.name for hook in find_hooks(root, Phase.CHECK) if not isinstance(hook, Skipped)}
    items = config.merged.items.get(DEADLINE, ())
    for step, item in zip(config.settings.updates.deadline, items, strict=True):
        place = item.found["waive"].place
        for name in sorted(step.checks - there):
            message = f'"{CHECKS}{name}" has no effect: there is no such program in checks.d'
            close = nearest(name, sorted(there))
            hint = f'did you mean "{CHECKS}{close}"?' if close else "leave it out, or add it there"
            key = f"{DEADLINE}.waive"
            yield Problem(file=place.file, line=place.line, key=key, message=message, hint=hint)


def _leads_out(root: Path, path: Path) -> bool:
    """Whether it is a link of an image, that leads to what only the image has."""
    is_image = root.resolve() != Path("/")
    return is_image and path.is_symlink() and path.readlink().is_absolute()


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


def _below(root: Path, path: Path) -> PurePosixPath:
    return PurePosixPath("/") / path.relative_to(root)


def _problem(path: Path, message: str, hint: str) -> Problem:
    name = harmless(str(path), longest=4096)
    return Problem(file=name, line=None, key="", message=message, hint=hint)


def _overriding(config: Config) -> Iterator[str]:
    """Yield a line for each value of the administrator's that a later drop-in overrides."""
    for key, earlier in config.merged.overridden.items():
        if f"/{VENDOR}/" not in earlier.file:  # whose values are there to be overridden
            place = config.merged.values[key].place
            yield f"{place.file}:{place.line}: note: {key}: overrides {earlier.file}:{earlier.line}"


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--strict", action="store_true", help="a warning counts as an error")
    instead = "these, as one configuration of any host, instead of what this host has"
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, default=[], help=instead)


VERBS: Final = (
    Verb(
        name="check-config",
        summary="validate the drop-ins, or those of a folder",
        examples=(
            "rebootmgrctl check-config --strict",
            "rebootmgrctl --root /mnt/image check-config",
            "rebootmgrctl check-config --strict hosts/web/config.d",
        ),
        arguments=_arguments,
        run=_check_config,
    ),
)
