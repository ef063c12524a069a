"""`python -m tests.days SEED...` lives through these months again, and tells what broke."""

import sys

from tests.days.simulation import ViolationError, live_through


def main(seeds: list[str]) -> int:
    """Try each; 1 if any promise was broken."""
    broken = 0
    for seed in map(int, seeds):
        try:
            print(f"seed {seed}: {live_through(seed)}")
        except ViolationError as error:
            print(error)
            broken += 1
    return 1 if broken or not seeds else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
