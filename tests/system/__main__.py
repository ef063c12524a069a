"""`make system`: make what the machines need, then run the tests in namespaces of their own.

With the tests' process namespace every machine ends, whatever happens to them; their mounts and
their network, which has nothing but loopback and what tests make, end with it. Arguments go to
pytest.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.system.able import cgroup_tops, remove_cgroup, why_not
from tests.system.layers import make_product_layers
from tests.system.packages import make_packages
from tests.system.roots import OSTREE, SUITES, UNSURE, NoRootError, read_root
from tests.system.runs import RUNS, begin_run, claim
from tests.system.sysroot import remove_run

AT_ONCE = 4  # machines mostly wait
LEFT_OUT = "REBOOTMGR_SYSTEM_LEFT_OUT"  # what the end says again
AGAIN = 1  # a machine among others on few cores; whatever needed it is named as RERUN at the end


def main() -> None:
    """Prepare, say what takes long, and become the tests."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # of a user who became root without a login
    if why := why_not():
        raise SystemExit(f"system: not run: {why}")
    begin_run()
    claim(RUNS, remove_run)
    for top in cgroup_tops():
        claim(top, remove_cgroup)
    roots = (*SUITES, OSTREE)
    _say(f"root file systems: {', '.join(roots)} (the first time takes a minute)")
    with ThreadPoolExecutor() as makers:
        making = {name: makers.submit(read_root, name) for name in SUITES}
    for name, made in making.items():
        try:
            made.result()
        except NoRootError as error:
            if name != UNSURE:
                raise SystemExit(str(error)) from error
            os.environ[LEFT_OUT] = f"NOTHING RAN ON {name}, because there was no root: {error}"
            _say(os.environ[LEFT_OUT])
    read_root(OSTREE)  # made of the newest that is here
    _say("the RPM, and what it installs")
    make_product_layers()
    make_packages()
    os.chdir(Path(__file__).parents[2])
    alone = ("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc")
    how = ("-n", str(AT_ONCE), "--reruns", str(AGAIN), "-raR")
    tests = (sys.executable, "-m", "pytest", "tests/system", *how, *sys.argv[1:])
    os.environ["REBOOTMGR_SYSTEM_TESTS"] = "alone"
    up = ("sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    os.execvp(alone[0], [*alone, *up, *tests])  # noqa: S606 - nothing of ours is to be left


def _say(what: str) -> None:
    sys.stderr.write(f"system: {what}\n")


if __name__ == "__main__":
    main()
