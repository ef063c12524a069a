"""All benchmarks: a table for people; JSON and plots in build/bench; 1 if a budget is exceeded."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from time import monotonic
from traceback import format_exception
from typing import Final

from benchmarks import (
    answers,
    footprint,
    lending,
    lending_validity,
    looking,
    planning,
    reaction,
    roll_out,
    serving,
    serving_on_etcd,
    simulation_validity,
    soak,
    waking,
)
from benchmarks.budgets import judge
from benchmarks.figures import FOLDER, Figures, table

Part = tuple[str, Callable[[], Figures]]
PARTS: Final = (
    ("footprint", footprint.run),
    ("footprint_on_ostree", footprint.run_on_ostree),
    ("planning", planning.run),
    ("reaction", reaction.run),
    ("answers", answers.run),
    ("lending", lending.run),
    ("serving", serving.run),
    ("serving_on_etcd", serving_on_etcd.run),
    ("looking", looking.run),
    ("roll_out", roll_out.run),
    ("validity", simulation_validity.run),
)
# What is counted or weighed minds no company, so these run side by side.
LONG_PARTS: Final = (
    ("waking", waking.run),
    ("soak", soak.run),
    ("soak_of_processes", soak.run_processes),
    ("lending_validity", lending_validity.run),
)


def results(
    parts: Iterable[Part], long_parts: Iterable[Part]
) -> Iterator[tuple[str, Figures | BaseException]]:
    """Each part as it is done: one after the other, then the long ones together."""
    for title, run in parts:
        yield title, run()
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        running = [(title, pool.submit(run)) for title, run in long_parts]
        for title, result in running:
            yield title, result.exception() or result.result()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = [title for title, _ in (*PARTS, *LONG_PARTS)]
    parser.add_argument("part", nargs="*", metavar="PART", help=f"of {', '.join(known)}; all")
    wanted = parser.parse_args().part or known
    if strange := [title for title in wanted if title not in known]:
        parser.error(f"no such part: {', '.join(strange)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    began = monotonic()
    print(
        f"CPython {platform.python_version()}, {os.cpu_count()} processors {platform.machine()},"
        f" load {os.getloadavg()[0]:.1f} at the start"
    )
    print("median, least - most of the rounds, and the ratio to the baseline of the same rounds")
    broken = 0
    for title, figures in results(
        [part for part in PARTS if part[0] in wanted],
        [part for part in LONG_PARTS if part[0] in wanted],
    ):
        if isinstance(figures, BaseException):
            broken += 1
            print(f"\n{title} FAILED", *format_exception(figures), sep="\n", flush=True)
            continue
        print(f"\n{title}", *table(figures), sep="\n", flush=True)
        encoded = {name: figure.encode() for name, figure in figures.items()}
        (FOLDER / f"{title}.json").write_text(json.dumps(encoded, indent=1) + "\n")
        for kept, sentence in judge(title, figures):
            broken += not kept
            print(f"  budget {'kept' if kept else 'EXCEEDED'}: {sentence}", flush=True)
    print(f"\n{monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f} at the end")
    _plot()
    return 1 if broken else 0


def _plot() -> None:
    try:
        from benchmarks import plots  # noqa: PLC0415 - it alone needs matplotlib
    except ModuleNotFoundError as error:
        print(f"no plots: {error}; `make bench` installs what they need")
        return
    for path in plots.draw(FOLDER):
        print(path)


if __name__ == "__main__":
    sys.exit(main())
