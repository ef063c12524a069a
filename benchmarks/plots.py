"""The figures of a run as pictures: memory, wake-ups, the soak."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import fill
from typing import Any, Final, TypeAlias

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.budgets import BEATS

Read: TypeAlias = dict[str, dict[str, Any]]

INK: Final = "#334155"
STRONG: Final = "#2563eb"
WEAK: Final = "#93c5fd"
RED: Final = "#dc2626"
SUBJECTS: Final = (
    "bare interpreter",
    "lean skeleton",
    "skeleton",
    "immediate",
    "periodic",
    "fleet_lock",
    "immediate, scraped",
)
STYLE: Final = Path(__file__).with_suffix(".mplstyle")


def draw(folder: Path) -> Iterator[Path]:
    """Draw what was measured into `folder`; the file of each picture."""
    mpl.use("Agg")  # needs no display
    plt.style.use(STYLE)
    if (footprint := folder / "footprint.json").exists():
        yield _save(folder / "memory.png", _memory, _read(footprint))
        yield _save(folder / "start.png", _start, _read(footprint))
    if (waking := folder / "waking.json").exists():
        yield _save(folder / "waking.png", _waking, _read(waking))
    if courses := sorted(folder.glob("course_of_*.json"), reverse=True):
        read = {kind: course for path in courses for kind, course in _read(path).items()}
        yield _save(folder / "soak.png", _soak, read)


def _read(path: Path) -> Read:
    read: Read = json.loads(path.read_text())
    return read


def _save(path: Path, paint: Callable[[Axes, Read], None], read: Read) -> Path:
    figure, axes = plt.subplots()
    paint(axes, read)
    figure.savefig(path)
    plt.close(figure)
    return path


def _memory(axes: Axes, read: Read) -> None:
    """Bars of resident memory, what is its own and what is shared with files."""
    names = [name for name in SUBJECTS if f"{name}, RSS" in read]
    rss = [read[f"{name}, RSS"]["median"] for name in names]
    own = [read[f"{name}, anonymous"]["median"] for name in names]
    axes.barh(names, rss, color=WEAK, label="of files (shared with other Python programs)")
    axes.barh(names, own, color=STRONG, label="its own")
    for row, value in enumerate(rss):
        axes.text(value - 0.4, row, f"{value:.1f}", va="center", ha="right")
    limit = 1.05 * read["skeleton, RSS"]["median"]
    axes.axvline(limit, color=RED, linestyle="--", label="budget: 1.05 x skeleton")
    axes.invert_yaxis()
    axes.set_xlabel("resident memory at rest, MB")
    axes.set_title("What rebootmgrd keeps in memory")
    axes.set_xlim(0, limit * 1.06)
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.16), ncols=3, frameon=False)


def _start(axes: Axes, read: Read) -> None:
    """Bars of the median, whiskers from least to most."""
    rows = [(name, read[key]) for name in SUBJECTS if (key := f"{name}, start to READY") in read]
    names = [name for name, _ in rows]
    middle = [row["median"] for _, row in rows]
    below = [row["median"] - row["least"] for _, row in rows]
    above = [row["most"] - row["median"] for _, row in rows]
    axes.barh(names, middle, color=STRONG, xerr=(below, above), ecolor=INK, capsize=3)
    for row, value in enumerate(middle):
        axes.text(0, row, f" {value:.0f}", va="center", color="white", weight="bold")
    axes.invert_yaxis()
    axes.set_xlabel("from start to READY, ms: median, least and most")
    axes.set_title("How long rebootmgrd takes to start")


def _waking(axes: Axes, read: Read) -> None:
    """Bars of wake-ups in a minute; the watchdog's own apart."""
    names = [key.removesuffix(", wake-ups") for key in read if key.endswith(", wake-ups")]
    wakes = [read[f"{name}, wake-ups"]["median"] for name in names]
    beats = [read.get(f"{name}, {BEATS}", {"median": 0})["median"] for name in names]
    axes.barh(names, wakes, color=STRONG, label="all wake-ups")
    axes.barh(names, beats, color=WEAK, label="of these the watchdog's")
    for row, (name, value) in enumerate(zip(names, wakes, strict=True)):
        spent = read[f"{name}, CPU"]["median"]
        axes.text(value, row, f"  {value:.0f}, {spent:.1f} ms of CPU", va="center")
    axes.invert_yaxis()
    axes.set_xlim(0, max(wakes) * 1.45 + 1)
    axes.set_xlabel("wake-ups in one minute")
    axes.set_title("How often rebootmgrd wakes up")
    axes.legend(loc="lower right", frameon=False)


def _soak(axes: Axes, read: Read) -> None:
    """The courses side by side, from the first operation of a kind to the last."""
    for number, course in enumerate(read.values()):
        done = [number + each / course["done"][-1] for each in course["done"]]
        axes.plot(done, course["anonymous"], color=STRONG, linewidth=2)
        axes.axvline(number, color=INK, linewidth=0.5)
        axes.text(
            number + 1, course["anonymous"][-1] + 0.5, f"{course['anonymous'][-1]:.1f} ", ha="right"
        )
    axes.set_ylim(0, 1.25 * max(max(course["anonymous"]) for course in read.values()))
    axes.set_xlim(0, len(read))
    labels = [fill(kind, 13) for kind in read]
    axes.set_xticks([number + 0.5 for number in range(len(read))], labels, fontsize=8)
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("anonymous memory, MB")
    axes.set_title("Memory over thousands of everything")
