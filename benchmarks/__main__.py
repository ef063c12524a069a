"""All benchmarks: a table for people, and `--json FILE` for machines."""

import argparse
import json
import platform
from pathlib import Path

from benchmarks import planning, reaction

PARTS = (("planning", planning.run), ("reaction", reaction.run))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    print(f"medians of 20, in milliseconds; CPython {platform.python_version()}")
    figures = {}
    for title, run in PARTS:
        print(f"\n{title}")
        figures[title] = run()
        for name, milliseconds in figures[title].items():
            print(f"  {name:<26}{milliseconds:10.3f}")
    calls = figures["reaction"]
    least = calls["12_calls_on_the_bus"] + calls["one_save_of_the_state"]
    ratio = calls["staged_to_reboot_call"] / least
    print(f"\nstaged to reboot call, against its bare bus calls and save: {ratio:.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
