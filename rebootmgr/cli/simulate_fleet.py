"""Who a simulated fleet is: how many hosts, in which groups, and who lends them slots."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from rebootmgr.errors import UsageError
from rebootmgr.lending.terms import Rules
from rebootmgr.lockd_config.configuration import load_configuration
from rebootmgr.lockd_config.wanted import HostWanted
from rebootmgr.simulation.scenario import Configured
from rebootmgr.text import harmless, nearest

MOST_HOSTS: Final = 1_000_000
PLAIN: Final = "plain"
LOCKD: Final = "lockd"
SAID_THERE: Final = ("slots", "groups", "canaries", "soak")
"""What the server's own drop-ins say."""


def read_sizes(written: str, *, usual: str) -> dict[str, int]:
    """Take how many hosts each group has: a number for the `usual` one, or of each by its name."""
    if "=" not in written:
        return {usual: whole_number(written, "--hosts", most=MOST_HOSTS)}
    sizes: dict[str, int] = {}
    for part in written.split(","):
        group, _, number = part.partition("=")
        if group in sizes:
            raise UsageError(f"--hosts names group {harmless(group)} twice; add the two up")
        sizes[group] = whole_number(number, f"--hosts {harmless(group)}=", most=MOST_HOSTS)
    if sum(sizes.values()) > MOST_HOSTS:
        raise UsageError(f"--hosts: {MOST_HOSTS} in all at most")
    return sizes


def read_configured(
    arguments: Namespace, root: Path, sizes: Mapping[str, int]
) -> Configured | None:
    """Read the drop-ins of a lock server, if any are named; ConfigError with all that is wrong."""
    directory: Path | None = arguments.lockd_config
    if directory is None:
        if "=" in arguments.hosts:
            raise UsageError("--hosts with groups is for the groups of --lockd-config DIR")
        return None
    if arguments.server == PLAIN:
        raise UsageError(f"--lockd-config configures --server {LOCKD}, not {PLAIN}")
    for option in SAID_THERE:
        if getattr(arguments, option) is not None:
            raise UsageError(f"--{option}: --lockd-config says that; leave it out")
    if not directory.is_dir():
        raise UsageError(f"--lockd-config {harmless(str(directory))}: no such directory")
    configuration = load_configuration(root, directories=(str(directory.absolute()),))
    configuration.check()
    rules = configuration.rules
    for complaint in _complaints(rules, sizes):
        raise UsageError(f"--hosts: {complaint}")
    return Configured(rules=rules, sizes=sizes, labels=_labels(configuration.wanted.hosts))


def _complaints(rules: Rules, sizes: Mapping[str, int]) -> Iterator[str]:
    """Yield why hosts of some group could never go."""
    for group in sizes:
        terms = rules.terms_of(group)
        if terms is None:
            close = nearest(group, rules.groups)
            cure = f"did you mean {close}?" if close else f"there is {', '.join(rules.groups)}"
            yield f"--lockd-config has no group {harmless(group)}; {cure}"
            continue
        for first in terms.after:
            if first not in sizes:
                yield f"group {group} goes after {first}, which has no host; add {first}=1"


def _labels(inventory: Mapping[str, HostWanted]) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Give the labels of each host that the drop-ins know, or of one that has none."""
    return tuple(tuple(sorted(host.labels.items())) for host in inventory.values()) or ((),)


def whole_number(written: str, option: str, *, most: int) -> int:
    """Take a number from 1 on."""
    if written.isascii() and written.isdecimal() and 1 <= int(written[:9]) <= most:
        return int(written[:9])
    raise UsageError(f'{option} "{harmless(written)}": write a whole number from 1 to {most}')
