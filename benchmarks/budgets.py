"""What it may cost, in ratios and counts that hold on any machine; never in seconds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.figures import Figures


@dataclass(frozen=True, slots=True)
class Ratio:
    """At most so many times another figure, in the median of the rounds."""

    most: float
    figure: str
    other: str


@dataclass(frozen=True, slots=True)
class Count:
    """At most so many more than another counted in the same time."""

    most: int
    figure: str
    other: str


@dataclass(frozen=True, slots=True)
class Growth:
    """None of these kinds ends above so many times what was there when it had settled."""

    most: float
    kinds: tuple[str, ...]


MEMORY: Final = (
    Ratio(1.05, "immediate, RSS", "skeleton, RSS"),
    Ratio(1.05, "periodic, RSS", "skeleton, RSS"),
    Ratio(1.05, "immediate, scraped, RSS", "skeleton, RSS"),
    Ratio(1.05, "periodic, scraped, RSS", "skeleton, RSS"),
    Ratio(1.15, "fleet_lock, RSS", "immediate, RSS"),
)
LEAN: Final = tuple(
    Ratio(1.75, f"{name}, RSS", "lean skeleton, RSS")
    for name in ("immediate", "periodic", "fleet_lock", "immediate, scraped")
)
# Paths are interned, and each update has paths of its own. Now and then Python makes its table of
# interned strings anew, half a MB or one, which shows as a step until it finds a hole to put it in.
WITH_UPDATES: Final = 1.15
BEATS: Final = "watchdog beats"
IN_USE: Final = {  # at least so much of all slots, while anybody waits
    0.995: ("lent", "lent, noise", "lent, 10 slots"),
    0.985: ("lent, 3 slots",),
    0.975: ("lent, 1 slot",),
    0.97: ("lent, half polls", "lent, half polls, noise", "lent, 30 slots, half polls"),
    0.90: ("lent, 10 slots, half polls", "lent, 3 slots, half polls", "lent, 1 slot, half polls"),
}
ALL_LENT: Final = tuple(name for names in IN_USE.values() for name in names)
AS_TOLD: Final = tuple(name for name in ALL_LENT if "half polls" not in name)
BUDGETS: Final[Mapping[str, tuple[Ratio | Count | Growth, ...]]] = {
    "footprint": (*MEMORY, *LEAN),
    "footprint_on_ostree": (*MEMORY, *LEAN),
    "waking": (
        Count(0, "idle, wake-ups", f"idle, {BEATS}"),
        Count(0, "idle, ostree, wake-ups", f"idle, ostree, {BEATS}"),
        Count(0, "idle, composefs, wake-ups", f"idle, composefs, {BEATS}"),
        Count(0, "waits for its window, wake-ups", f"waits for its window, {BEATS}"),
        Count(5, "window opens, no update, wake-ups", f"window opens, no update, {BEATS}"),
        Count(5, "window opens, update held, wake-ups", f"window opens, update held, {BEATS}"),
    ),
    "soak": (
        Growth(1.05, ("scrapes", "descriptions", "reloads", "restarts of rpm-ostreed")),
        Growth(WITH_UPDATES, ("updates",)),
    ),
    "soak_of_processes": (
        Growth(WITH_UPDATES, ("lock requests",)),
        Growth(1.05, ("bus restarts",)),
    ),
    # Requests that meet share a commit: together they are faster than flushing for each.
    "lending": (Ratio(1.0, "append and flush", "grants and returns, 50 clients"),),
    # Reading JSON, a place in the queue, a sentence: on top of what aiohttp takes.
    "serving": (
        Ratio(3.0, "refusals, processor", "bare, processor"),
        Ratio(1.2, "RSS, 10,000 connected besides", "RSS, 10,000 waiting"),
    ),
    "roll_out": (
        Ratio(1 / 0.97, "slots", "slots in use"),
        Ratio(2.0, "fullest 10 s of it", "mean of half an hour"),
        *(
            Ratio(1 / least, "slots", f"{name}: slots in use")
            for least, names in IN_USE.items()
            for name in names
        ),
        *(Ratio(2.0, f"{name}: longest wait", "a strict queue") for name in ALL_LENT),
        *(Ratio(12.0, f"{name}: requests, mean", "a request") for name in AS_TOLD),
        *(Ratio(40.0, f"{name}: requests, most", "a request") for name in AS_TOLD),
    ),
    "validity": (
        Ratio(1.1, "requests, real", "requests, simulated"),
        Ratio(1.1, "requests, simulated", "requests, real"),
        Ratio(1.1, "a host's completion, real", "a host's completion, simulated"),
        Ratio(1.1, "a host's completion, simulated", "a host's completion, real"),
    ),
}


def judge(part: str, figures: Figures) -> Iterator[tuple[bool, str]]:
    """Each budget of a part: whether it is kept, and a sentence that says so."""
    for budget in BUDGETS.get(part, ()):
        match budget:
            case Ratio(most, name, other):
                ratio = figures[name].against(figures[other]).ratio or 0.0
                yield ratio <= most, f"{name}: {ratio:.2f} x {other}, at most {most:.2f}"
            case Count(most, name, other):
                more = round(figures[name].median - figures[other].median)
                yield more <= most, f"{name}: {more} more than {other}, at most {most}"
            case Growth(most, kinds):
                ratios = {
                    name: each.ratio
                    for name, each in figures.items()
                    if each.ratio is not None and any(kind in name for kind in kinds)
                }
                if not ratios:
                    continue
                worst = max(ratios, key=lambda name: ratios[name])
                text = f"{worst}: {ratios[worst]:.3f} x what it was, at most {most:.2f}"
                yield ratios[worst] <= most, text
