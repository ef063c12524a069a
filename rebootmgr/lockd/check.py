"""`rebootmgr-lockd check-config`: everything that is wrong with the drop-ins, and the cure."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rebootmgr.config.verdict import report
from rebootmgr.errors import ConfigError, Problem
from rebootmgr.lockd.key_material import open_key_material
from rebootmgr.lockd_config.configuration import (
    Configuration,
    load_configuration,
    unused_listen,
)
from rebootmgr.systemd.unit_files import find_starting_link

INVALID: Final = 78  # EX_CONFIG
SOCKET: Final = "rebootmgr-lockd.socket"


def check_config(root: Path, *, strict: bool, as_json: bool) -> int:
    """Say what is wrong with the configuration below `root`; 0 where it can be used."""
    configuration = load_configuration(root)
    errors = configuration.errors or _unusable(configuration)
    warnings = (*configuration.warnings, *_handed_over(root, configuration))
    valid = not errors and not (strict and warnings)
    if as_json:
        lists = {"errors": [*map(asdict, errors)], "warnings": [*map(asdict, warnings)]}
        lines = [json.dumps({"valid": valid, **lists}, indent=2)]
    else:
        lines = report(errors, warnings, valid=valid)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0 if valid else INVALID


def _handed_over(root: Path, configuration: Configuration) -> Iterator[Problem]:
    """Yield that systemd listens in place of the server, where it is told to."""
    if link := find_starting_link(root, SOCKET):
        yield from unused_listen(configuration, f"{SOCKET} is enabled by {link}")


def _unusable(configuration: Configuration) -> tuple[Problem, ...]:
    try:
        open_key_material(configuration)
    except ConfigError as error:
        return error.problems
    return ()
