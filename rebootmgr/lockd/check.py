"""`rebootmgr-lockd check-config`: everything that is wrong with the drop-ins, and the cure."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rebootmgr.config.verdict import report
from rebootmgr.errors import ConfigError, Problem
from rebootmgr.lockd.key_material import open_key_material
from rebootmgr.lockd_config.configuration import Configuration, load_configuration

INVALID: Final = 78  # EX_CONFIG


def check_config(root: Path, *, strict: bool, as_json: bool) -> int:
    """Say what is wrong with the configuration below `root`; 0 where it can be used."""
    configuration = load_configuration(root)
    errors, warnings = configuration.errors or _unusable(configuration), configuration.warnings
    valid = not errors and not (strict and warnings)
    if as_json:
        lists = {"errors": [*map(asdict, errors)], "warnings": [*map(asdict, warnings)]}
        lines = [json.dumps({"valid": valid, **lists}, indent=2)]
    else:
        lines = report(errors, warnings, valid=valid)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0 if valid else INVALID


def _unusable(configuration: Configuration) -> tuple[Problem, ...]:
    try:
        open_key_material(configuration)
    except ConfigError as error:
        return error.problems
    return ()
