"""rebootmgr-lockd, from its command line to its exit status."""

import asyncio
import logging
import os
import sys
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from rebootmgr.errors import ConfigError, RebootmgrError
from rebootmgr.lockd.airlock import import_airlock
from rebootmgr.lockd.check import INVALID, check_config
from rebootmgr.lockd.command_line import CHECK, parser
from rebootmgr.signalled import end_without_reader
from rebootmgr.systemd.journal import open_log

log = logging.getLogger("rebootmgr.lockd")

OLDEST: Final = {
    "aiohttp": (3, 9),  # before it, who hung up is answered all the same
    "jinja2": (3, 0),
}
"""What the server needs and no host has to have, by the name of its package."""
_CURE: Final = "install python3-{}, or with pip rebootmgr[lockd]"


def main() -> int:
    """Run the server, or check its configuration; 78 where that is invalid."""
    said = parser().parse_args()
    if said.verb is not None:
        return _run(said)
    open_log(said.log_level, stream=sys.stderr, environ=os.environ)
    try:
        _check_libraries()
        from rebootmgr.lockd.service import serve  # noqa: PLC0415 - after that

        asyncio.run(serve(said.root, os.environ))
    except ConfigError as error:
        for problem in error.problems:
            log.error("%s", problem)  # noqa: TRY400 - expected
        return INVALID
    except RebootmgrError as error:
        log.error("%s", error)  # noqa: TRY400 - expected
        return 1
    return 0


def _run(said: Namespace) -> int:
    """Run a verb; who reads what it says may go away."""
    try:
        if said.verb == CHECK:
            status = check_config(said.root, strict=said.strict, as_json=said.json)
        else:
            status = import_airlock(said.root, said)
        sys.stdout.flush()
    except BrokenPipeError:
        return end_without_reader(sys.stdout)
    return status


def _check_libraries() -> None:
    for name, oldest in OLDEST.items():
        cure = _CURE.format(name)
        try:
            found = version(name)
        except PackageNotFoundError as error:
            raise RebootmgrError(f"the server needs {name}, which is not here: {cure}") from error
        if tuple(int(part) for part in found.split(".")[:2]) < oldest:
            needed = ".".join(map(str, oldest))
            what = f"{name} {found} is too old for the server: it needs {needed}"
            raise RebootmgrError(f"{what}; {cure}")


if __name__ == "__main__":
    sys.exit(main())
