"""rebootmgrd, as it is started: what it will not need stays out before anything is imported."""

import sys
from collections.abc import Callable

from rebootmgr.lean import import_without


def main() -> int:
    """Run the daemon; exit status as SPEC 1 says."""
    return load()(sys.argv[1:])


def load() -> Callable[[list[str]], int]:
    """Import the daemon, but TLS: a remote server's bytes are parsed in the request's child."""
    import_without("asyncio", "ssl", "_ssl", "_hashlib")
    from rebootmgr.daemon.program import run  # noqa: PLC0415 - after that

    return run


if __name__ == "__main__":
    sys.exit(main())
