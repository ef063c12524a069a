"""`make calm`: the suite beside others that want every core, as on a shared build machine.

Four spinners a core run until the suite ends; the kernel ends them with this process, however it
ends. Arguments go to pytest.
"""

import os
import subprocess
import sys
from contextlib import ExitStack
from typing import Final

PER_CORE: Final = 4
SPINNER: Final = ("setpriv", "--pdeathsig", "KILL", sys.executable, "-c", "while True: pass")


def main(options: list[str]) -> int:
    """The suite's own exit status."""
    number = PER_CORE * (os.cpu_count() or 1)
    print(f"calm: {number} spinners beside the suite", flush=True)
    with ExitStack() as stack:
        for _ in range(number):
            spinner = stack.enter_context(subprocess.Popen(SPINNER))
            stack.callback(spinner.kill)
        suite = (sys.executable, "-m", "pytest", "-n", "4", "--dist", "worksteal", *options)
        return subprocess.run(suite, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
