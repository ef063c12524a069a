"""Feed the targets for as long as you like: `python -m tests.fuzz [--seconds N] [TARGET...]`.

With atheris (`pip install atheris`) the inputs follow the paths through the program and are kept in
build/fuzz; without it they are merely many. An input that breaks something is kept there, too, and
`--repeat FILE TARGET` tries it again. The exit status is 1 when anything broke.
"""

import argparse
import importlib.util
import random
import re
import subprocess
import sys
import time
import traceback
from hashlib import sha256
from pathlib import Path
from typing import Final

from tests.fuzz.targets import TARGETS
from tests.fuzz.transports import TRANSPORTS

ALL: Final = {**TARGETS, **TRANSPORTS}
KEPT: Final = Path(__file__).parent.parent.parent / "build/fuzz"
SIZES: Final = (0, 8, 40, 200, 1000)
EXECUTED: Final = re.compile(rb"number_of_executed_units: *(\d+)")


def feed_guided(name: str, seconds: float) -> tuple[int, str]:
    """Let atheris look for trouble; how often it tried, and what it found, or ""."""
    corpus = KEPT / name
    corpus.mkdir(parents=True, exist_ok=True)
    options = (
        f"-max_total_time={max(1, round(seconds))}",
        f"-max_len={SIZES[-1]}",
        f"-artifact_prefix={KEPT}/{name}-",
        "-print_final_stats=1",
        "-timeout=10",
        "-rss_limit_mb=1024",
    )
    command = (sys.executable, "-m", "tests.fuzz.guided", name, *options, str(corpus))
    done = subprocess.run(command, capture_output=True, check=False)
    tried = EXECUTED.search(done.stderr)
    text = (done.stdout + done.stderr).decode(errors="replace")
    return int(tried[1]) if tried else 0, text[-4000:] if done.returncode else ""


def feed_blindly(name: str, seconds: float) -> tuple[int, str]:
    """Try whatever comes; how often, and what broke, or ""."""
    dice, tried, began = random.Random(), 0, time.monotonic()  # noqa: S311 - no secret
    while time.monotonic() - began < seconds:
        data = dice.randbytes(dice.choice(SIZES))
        tried += 1
        if broken := feed_once(name, data):
            KEPT.mkdir(parents=True, exist_ok=True)
            file = KEPT / f"{name}-{sha256(data).hexdigest()[:16]}"
            file.write_bytes(data)
            return tried, f"{broken}\nkept in {file}"
    return tried, ""


def feed_once(name: str, data: bytes) -> str:
    """Try this input; what broke, or ""."""
    try:
        ALL[name](data)
    except Exception:  # noqa: BLE001 - any that comes out is what we look for
        return traceback.format_exc()
    return ""


def main(arguments: list[str]) -> int:
    """Feed each target in turn, and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N", help="for each target")
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="try this input alone")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(ALL))
    options = parser.parse_args(arguments)
    if unknown := set(options.targets) - set(ALL):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    is_guided = importlib.util.find_spec("atheris") is not None
    feed = feed_guided if is_guided else feed_blindly
    failed = 0
    for name in options.targets or ALL:
        if options.repeat is not None:
            tried, broken = 1, feed_once(name, options.repeat.read_bytes())
        else:
            tried, broken = feed(name, options.seconds)
        how = "guided by atheris" if is_guided and options.repeat is None else "unguided"
        verdict = "BROKEN" if broken else "nothing found"
        print(f"{name:15} {tried:9} inputs, {how}: {verdict}", flush=True)  # noqa: T201
        print(broken, end="")  # noqa: T201
        failed += bool(broken) or not tried
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
