"""rebootmgr-lockd, from its command line to its exit status."""

import asyncio
import logging
import os
import sys
from importlib.metadata import version

from rebootmgr.errors import ConfigError, RebootmgrError
from rebootmgr.lockd.airlock import import_airlock
from rebootmgr.lockd.check import INVALID, check_config
from rebootmgr.lockd.command_line import CHECK, IMPORT, parser
from rebootmgr.lockd.http.guest import OLDEST_AIOHTTP
from rebootmgr.lockd.service import serve
from rebootmgr.systemd.journal import open_log

log = logging.getLogger("rebootmgr.lockd")


def main() -> int:
    """Run the server, or check its configuration; 78 where that is invalid."""
    said = parser().parse_args()
    if said.verb == CHECK:
        return check_config(said.root, strict=said.strict, as_json=said.json)
    if said.verb == IMPORT:
        return import_airlock(said.root, said)
    open_log(said.log_level, stream=sys.stderr, environ=os.environ)
    try:
        _check_library()
        asyncio.run(serve(said.root, os.environ))
    except ConfigError as error:
        for problem in error.problems:
            log.error("%s", problem)  # noqa: TRY400 - expected
        return INVALID
    except RebootmgrError as error:
        log.error("%s", error)  # noqa: TRY400 - expected
        return 1
    return 0


def _check_library() -> None:
    found = version("aiohttp")
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST_AIOHTTP:
        oldest = ".".join(map(str, OLDEST_AIOHTTP))
        raise RebootmgrError(f"aiohttp {found} is too old for the server: it needs {oldest}")


if __name__ == "__main__":
    sys.exit(main())
