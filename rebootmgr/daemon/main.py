"""rebootmgrd: the command line of the daemon."""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from rebootmgr import __version__
from rebootmgr.daemon.app import Options, serve
from rebootmgr.errors import RebootmgrError, UsageError
from rebootmgr.systemd.journal import open_log

log = logging.getLogger("rebootmgr")

LEVELS = ("debug", "info", "warning", "error")
EPILOG = """\
The configuration is read from /usr/lib, /run and /etc/rebootmgr/config.d/*.toml;
`rebootmgrctl check-config` checks it, `rebootmgrctl why` says what the daemon waits for.

examples:
  rebootmgrd --dry-run --log-level debug     decide everything, do nothing
  systemctl reload rebootmgr                 take a changed configuration
"""


def main(argv: list[str] | None = None) -> int:
    """Run the daemon; exit status as SPEC 1 says."""
    arguments = _parser().parse_args(argv)
    open_log(arguments.log_level, stream=sys.stderr, environ=os.environ)
    options = Options(root=arguments.root, dry_run=arguments.dry_run)
    try:
        asyncio.run(serve(options, os.environ))
    except RebootmgrError as error:
        return _fail([error])
    except BaseExceptionGroup as group:
        expected, bugs = group.split(RebootmgrError)
        if expected is None or bugs is not None:
            raise
        return _fail(_flat(expected))
    return 0


def _fail(errors: list[RebootmgrError]) -> int:
    for error in errors:
        log.error("%s", error)
    return 2 if any(isinstance(error, UsageError) for error in errors) else 1


def _flat(group: BaseExceptionGroup[RebootmgrError]) -> list[RebootmgrError]:
    errors = []
    for error in group.exceptions:
        errors += _flat(error) if isinstance(error, BaseExceptionGroup) else [error]
    return errors


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rebootmgrd",
        description="Reboots this rpm-ostree host into staged updates, exactly when policy allows.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("/"),
        metavar="DIR",
        help="take every path below DIR; needs DBUS_SYSTEM_BUS_ADDRESS, so that the host is safe",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="decide everything and say what would be done; no reboot, no request, no warning",
    )
    parser.add_argument(
        "--log-level", choices=LEVELS, default="info", metavar="LEVEL", help=" | ".join(LEVELS)
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
