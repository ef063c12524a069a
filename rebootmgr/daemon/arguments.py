"""The command line of rebootmgrd; its unit has none, and costs nothing of this."""

import argparse
from pathlib import Path

from rebootmgr import __version__

LEVELS = ("debug", "info", "warning", "error")
EPILOG = """\
The configuration is read from /usr/lib, /run and /etc/rebootmgr/config.d/*.toml;
`rebootmgrctl check-config` checks it, `rebootmgrctl why` says what the daemon waits for.

examples:
  rebootmgrd --dry-run --log-level debug     decide everything, do nothing
  systemctl reload rebootmgr                 take a changed configuration
"""


def parser() -> argparse.ArgumentParser:
    """What reads the command line (SPEC 1)."""
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
