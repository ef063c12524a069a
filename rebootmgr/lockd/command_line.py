"""The command line of rebootmgr-lockd."""

import argparse
from pathlib import Path
from typing import Final

from rebootmgr import __version__

LEVELS: Final = ("debug", "info", "warning", "error")
CHECK: Final = "check-config"
IMPORT: Final = "import"
AIRLOCK: Final = "airlock"
EPILOG: Final = """\
The configuration is read from /usr/lib, /run and /etc/rebootmgr-lockd/config.d/*.toml. Without any
it lends one slot of the group "default", to hosts that ask on loopback, port 3333.

examples:
  rebootmgr-lockd check-config                 validate the configuration
  rebootmgr-lockd --log-level debug            serve, and say more
  rebootmgr-lockd import airlock --endpoints http://etcd:2379 --airlock-url http://airlock:3333
                                               take over its slots; both are stopped meanwhile
  kill -HUP PID                                take a changed configuration
"""

_FILES: Final = {
    "ca-file": "the CA of etcd, in PEM",
    "client-cert-file": "a certificate to show to etcd, in PEM",
    "client-key-file": "its key, in PEM",
    "credentials-file": "user:password of a user of etcd",
}


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
    taking = verbs.add_parser(
        IMPORT,
        help="take over what another lock server has lent",
        description="Make those that hold a slot of airlock hold one of this server, once. Both"
        " servers are stopped meanwhile.",
        epilog="exit status: 0 done, 1 not done, 78 the configuration is invalid",
    )
    _add_import(taking)
    return parser


def _add_import(taking: argparse.ArgumentParser) -> None:
    taking.add_argument("what", choices=(AIRLOCK,), help="whose store it is")
    taking.add_argument(
        "--endpoints", required=True, metavar="URL,...", help="the members of airlock's etcd"
    )
    taking.add_argument(
        "--airlock-url", required=True, metavar="URL", help="where airlock was, which is stopped"
    )
    for name, about in _FILES.items():
        taking.add_argument(f"--{name}", default="", metavar="FILE", help=about)
