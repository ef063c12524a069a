"""rebootmgrctl simulate: how a roll-out would go, before anybody tries (SPEC 11)."""

import gc
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Final, Self, TextIO

from rebootmgr.cli.simulate_options import HISTORY, read_scenario
from rebootmgr.cli.simulate_page import encode_plot, render_outcome
from rebootmgr.cli.verb import Context, Verb
from rebootmgr.errors import UsageError
from rebootmgr.simulation.fleet import Fleet
from rebootmgr.simulation.report import Outcome, outcome
from rebootmgr.text import harmless


def _simulate(arguments: Namespace, context: Context) -> int:
    scenario, zone = read_scenario(arguments, context)
    if arguments.plot is not None:
        _write(arguments.plot, "")  # better now than after a long run
    with _without_collector(), ProgressBar(context.err) as bar:
        fleet = Fleet(scenario)
        for _ in fleet.run():
            bar.show(fleet.world.tally.updated, scenario.hosts)
    found = outcome(fleet)
    if arguments.plot is not None:
        _write(arguments.plot, encode_plot(found))
    if context.json:
        print(json.dumps(_encode(found), indent=2), file=context.out)
    else:
        for line in render_outcome(found, scenario, zone, width=context.width):
            print(line, file=context.out)
    return 0


@contextmanager
def _without_collector() -> Iterator[None]:
    """Nothing here is cyclic, and there is a lot of it to look through."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"--plot {harmless(str(path))} cannot be written: {why}") from error


def _encode(found: Outcome) -> dict[str, object]:
    return {
        "hosts": found.hosts,
        "updated": found.updated,
        "never": [
            {
                "hosts": left.hosts,
                "example": left.example,
                "blockers": [{"reason": word, "detail": detail} for word, detail in left.why],
            }
            for left in found.left
        ],
        "from": _utc(found.begun),
        "to": _utc(found.ended),
        "first_request": _utc(found.first_request),
        "last_update": _utc(found.last_update),
        "duration_seconds": found.duration.total_seconds(),
        "utilisation": round(found.utilisation, 6),
        "requests": found.all_requests,
        "requests_per_host": round(found.all_requests / found.hosts, 3),
        "peak_requests_per_second": found.peak,
        "mean_requests_per_second": round(found.mean, 3),
        "most_hosts_down": max(found.down.values(), default=0),
    }


def _utc(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _arguments(parser: ArgumentParser) -> None:
    spread = "each takes up to so much more or less (10%%)"
    for option, metavar, default, text in (
        ("--hosts", "N", None, "how many hosts the fleet has"),
        ("--slots", "K", None, "how many of a group may reboot at the same time"),
        ("--groups", "G", "1", "in how many equal groups the hosts are (1)"),
        ("--reboot", "SPAN", "5min", f"what a reboot takes, or `{HISTORY}`: as here so far (5min)"),
        ("--spread", "PERCENT", "10%", spread),
        ("--failures", "PERCENT", "0%", "hosts whose update fails; they keep their slot (0%%)"),
        ("--staging", "SPAN", "0", "updates are staged over this long (0: all at once)"),
        ("--server-rate", "R", None, "requests a second that the lock server manages (any)"),
        ("--answer", "SPAN", "0", "how long an answer of it takes (0)"),
        ("--from", "T", None, "begin, when the updates are staged (now)"),
        ("--for", "SPAN", "1week", "how long to look at the fleet (1week)"),
        ("--seed", "TEXT", "0", "another one is another fleet of the same kind (0)"),
    ):
        parser.add_argument(
            option,
            metavar=metavar,
            default=default,
            required=option in {"--hosts", "--slots"},
            dest={"--from": "start", "--for": "length"}.get(option),
            help=text,
        )
    parser.add_argument(
        "--outage",
        metavar="START/SPAN",
        action="append",
        default=[],
        help="nobody reaches the lock server: 30min/10min, from the begin; may be repeated",
    )
    parser.add_argument(
        "--time-zone",
        metavar="ZONE",
        action="append",
        default=[],
        help="of windows and blackouts; several times: each for an equal share of the hosts",
    )
    parser.add_argument(
        "--config",
        metavar="DIR",
        type=Path,
        help="take the drop-ins of DIR (those of this host, or of --root)",
    )
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw it, as SVG")


VERBS: Final = (
    Verb(
        name="simulate",
        summary="how the roll-out of an update to a whole fleet would go",
        examples=(
            "rebootmgrctl simulate --hosts 500 --slots 5",
            "rebootmgrctl simulate --hosts 5000 --slots 20 --config ./config.d --from 2026-12-06",
            "rebootmgrctl --json simulate --hosts 200 --slots 4 --failures 1% --outage 1h/10min",
        ),
        arguments=_arguments,
        run=_simulate,
    ),
)


SHORT_S: Final = 1.0  # what takes less needs no bar
EVERY_S: Final = 0.2
WIDTH: Final = 40


class ProgressBar:
    """Draws on `err` while it is entered, and leaves nothing behind."""

    def __init__(self, err: TextIO) -> None:
        self._err = err
        self._is_wanted = err.isatty()
        self._due = monotonic() + SHORT_S
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn:
            self._write("\r\x1b[K")

    def show(self, done: int, whole: int) -> None:
        """Say how far it is."""
        if not self._is_wanted or monotonic() < self._due:
            return
        self._due = monotonic() + EVERY_S
        self._drawn = True
        filled = WIDTH * done // whole
        bar = "#" * filled + "." * (WIDTH - filled)
        self._write(f"\r[{bar}] {done} of {whole} hosts are updated")

    def _write(self, text: str) -> None:
        self._err.write(text)
        self._err.flush()
