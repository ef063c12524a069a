"""The command line of rebootmgr-lockd."""

import argparse
from pathlib import Path
from typing import Final

from rebootmgr import __version__

LEVELS: Final = ("debug", "info", "warning", "error")
CHECK: Final = "check-config"
EPILOG: Final = """\
The configuration is read from /usr/lib, /run and /etc/rebootmgr-lockd/config.d/*.toml. Without any
it lends one slot of the group "default", to hosts that ask on loopback, port 3333.

examples:
  rebootmgr-lockd check-config                 validate the configuration
  rebootmgr-lockd --log-level debug            serve, and say more
  kill -HUP PID                                take a changed configuration
"""


def parser() -> argparse.ArgumentParser:
    """What reads the command line."""
    parser = argparse.ArgumentParser(
        prog="rebootmgr-lockd",
        description="Lends reboot slots to hosts over FleetLock, first come first served.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("/"),
        metavar="DIR",
        help="take every path below DIR: configuration, store, sockets and files of secrets",
    )
    parser.add_argument(
        "--log-level", choices=LEVELS, default="info", metavar="LEVEL", help=" | ".join(LEVELS)
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    check = verbs.add_parser(
        CHECK,
        help="validate the configuration, and the files that it names",
        description="Say everything that is wrong with the drop-ins, and the cure.",
        epilog="exit status: 0 valid, 78 invalid",
    )
    check.add_argument("--strict", action="store_true", help="a warning counts as an error")
    check.add_argument("--json", action="store_true", help="print JSON")
    return parser
