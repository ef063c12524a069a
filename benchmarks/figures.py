"""What a benchmark measured: samples, what they are set against, and how they are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeAlias

FOLDER: Final = Path("build/bench")

Figures: TypeAlias = Mapping[str, "Figure"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One sample per round; `baseline` holds another's samples of the same rounds."""

    samples: tuple[float, ...]
    unit: str
    baseline: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        return median(self.samples)

    @property
    def ratio(self) -> float | None:
        """Median of the ratios round by round: what slows a whole round down cancels out."""
        if not self.baseline:
            return None
        return median(mine / other for mine, other in zip(self.samples, self.baseline, strict=True))

    def against(self, other: "Figure") -> "Figure":
        """Give the same figure, set against `other`."""
        return Figure(self.samples, self.unit, other.samples)

    def encode(self) -> dict[str, Any]:
        """For machines."""
        found: dict[str, Any] = {
            "median": self.median,
            "least": min(self.samples),
            "most": max(self.samples),
            "unit": self.unit,
            "samples": list(self.samples),
        }
        return found if self.ratio is None else {**found, "ratio": self.ratio}


def milliseconds(seconds: Sequence[float]) -> Figure:
    """Give durations in a unit that people read."""
    return Figure(tuple(each * 1000 for each in seconds), "ms")


def count(number: float, unit: str = "") -> Figure:
    """Give what was counted once."""
    return Figure((number,), unit)


def table(figures: Figures) -> list[str]:
    """Lines for people: name, median, unit, least to most, ratio to the baseline."""
    lines = []
    for name, figure in figures.items():
        spread, ratio = "", ""
        if len(figure.samples) > 1:
            spread = f"{_shown(min(figure.samples))} - {_shown(max(figure.samples))}"
        if figure.ratio is not None:
            ratio = f"{_shown(figure.ratio):>8} x"
        value = f"{_shown(figure.median):>10} {figure.unit:<5}"
        lines.append(f"  {name:<44}{value} {spread:>19} {ratio}".rstrip())
    return lines


def _shown(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"
