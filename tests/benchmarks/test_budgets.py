"""What the daemon may cost, as far as it can be told in seconds; `make bench` tells the rest."""

import re
from pathlib import Path
from typing import Final

import pytest

from benchmarks import footprint, reaction, soak
from benchmarks.budgets import BUDGETS, MEMORY, judge
from benchmarks.figures import Figure, Figures

ROOT: Final = Path(__file__).parents[2]


def exceeded(part: str, figures: Figures) -> list[str]:
    return [sentence for kept, sentence in judge(part, figures) if not kept]


async def test_every_strategy_keeps_its_memory() -> None:
    """Against a skeleton of the same libraries, weighed beside it; one round may be an odd one."""
    assert exceeded("footprint", await footprint.measure(rounds=3)) == []


async def test_reloads_and_scrapes_leave_nothing_behind() -> None:
    """No file, and no 5 KB each; to see less takes thousands: Python takes memory by the MB."""
    weighing = await soak.one_daemon(0.04, kinds=("scrapes", "reloads"))
    figures = dict(weighing.figures())
    files = figures.pop("open files, after 2 kinds").ratio
    assert files is not None
    assert files <= 1.0  # of the first kind, the last client may still be there
    assert {name: figure.ratio for name, figure in figures.items()} == {
        "after 400 scrapes, anonymous": pytest.approx(1.0, abs=0.1),
        "after 400 reloads, anonymous": pytest.approx(1.0, abs=0.1),
    }


async def test_one_reaction_leaves_the_host_ready_for_the_next() -> None:
    assert {len(figure.samples) for figure in (await reaction.measure(rounds=3)).values()} == {3}


@pytest.mark.parametrize("kind", [*soak.KINDS, *soak.KINDS_OF_PROCESSES])
def test_every_kind_of_the_soak_has_a_budget(kind: str) -> None:
    part = "soak" if kind in soak.KINDS else "soak_of_processes"
    name = f"after 10 {kind}, anonymous"
    assert len(exceeded(part, {name: Figure((12.0,), "MB", (10.0,))})) == 1
    assert len(exceeded(part, {name: Figure((10.0,), "MB", (10.0,))})) == 0


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "packaging" / name).read_text("utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


def test_what_draws_plots_moves_no_other_pin() -> None:
    everything, plots = pins("requirements.txt"), pins("requirements-bench.txt")
    shared = everything.keys() & plots.keys()
    assert "matplotlib" not in everything
    assert {name: plots[name] for name in shared} == {name: everything[name] for name in shared}


def test_the_page_names_the_budgets_and_the_parts() -> None:
    page = (ROOT / "docs/performance.md").read_text("utf-8")
    for ratio in MEMORY:
        assert f"| {ratio.most} x {ratio.other.removesuffix(', RSS')} |" in page
    parts = re.findall(r"^.venv/bin/python -m benchmarks (.*?) +#", page, re.MULTILINE)
    assert parts
    assert {name for each in parts for name in each.split()} <= BUDGETS.keys()
