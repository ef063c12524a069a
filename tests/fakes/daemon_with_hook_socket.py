"""rebootmgrd below --root, but with its hooks behind a socket as on a real host: `python -m`."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from rebootmgr.daemon.app import Options, serve
from rebootmgr.hooks.launch import HookSocket
from rebootmgr.systemd.journal import open_log
from tests.fakes.hook_socket import RUN

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    open_log("debug", stream=sys.stderr, environ={})
    options = Options(root=parser.parse_args().root, dry_run=False)
    asyncio.run(serve(options, os.environ, lambda root: HookSocket(root / RUN / "hooks.sock")))
