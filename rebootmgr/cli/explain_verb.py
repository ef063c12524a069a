"""explain: what a gate, a state, a key or a metric means, and what to do (SPEC 11)."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from rebootmgr.cli.page import Page
from rebootmgr.cli.verb import Context, Verb
from rebootmgr.config.checked import decode_config
from rebootmgr.config.effective import effective_values, encode_value
from rebootmgr.config.rules import Rule, wanted
from rebootmgr.config.schema import ITEMS, KEYS
from rebootmgr.core.counters import Counters, Process
from rebootmgr.core.model import Reason
from rebootmgr.core.reasons import WORDS
from rebootmgr.core.sentence import doing
from rebootmgr.core.status import StateName, Status, Verdict
from rebootmgr.errors import UsageError
from rebootmgr.show.metrics import PREFIX, encode_metrics
from rebootmgr.text import harmless, nearest

RULES: Final[Mapping[str, Rule]] = {
    **KEYS,
    **{f"{table}.{name}": rule for table, rules in ITEMS.items() for name, rule in rules.items()},
}


def explained_word(word: str) -> list[tuple[str, str]]:
    """Say what a word means, as pairs of a label and a text; UsageError with a likely one."""
    found = [*_gate(word), *_state(word), *_keys(word), *_metric(word)]
    if found:
        return found
    known = [*Reason, *StateName, *RULES, *(key.rpartition(".")[2] for key in RULES), *METRICS]
    close = nearest(word, known)
    cure = f"did you mean {close}?" if close else "gates, states, keys and metrics are known"
    raise UsageError(f'"{harmless(word)}" is not known; {cure}')


def _gate(word: str) -> Iterator[tuple[str, str]]:
    if word in set(Reason):
        words = WORDS[Reason(word)]
        yield "Gate", f"{word}: {words.headline}"
        yield "Closed when", words.meaning
        yield "To do", words.advice


def _state(word: str) -> Iterator[tuple[str, str]]:
    if word in set(StateName):
        yield "State", f"{word}: {doing(StateName(word))}"


def _keys(word: str) -> Iterator[tuple[str, str]]:
    defaults = {f"{one.table}.{one.name}": one.value for one in effective_values(_DEFAULTS)}
    for key, rule in RULES.items():
        if word in {key, key.rpartition(".")[2]}:
            yield "Key", key
            yield "Means", rule.meaning
            yield "Takes", wanted(rule.accepts)
            if key in defaults:
                yield "Default", encode_value(defaults[key])
            yield "More", "man rebootmgr.toml"


def _families() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each metric, as they are scraped."""
    started = Status(
        at=datetime.fromtimestamp(0, UTC),
        state=StateName.STARTING,
        verdict=Verdict.WAIT,
        strategies=(),
    )
    process = Process(start=0, cpu_s=0, resident=0, virtual=0, open_fds=0, max_fds=0)
    for line in encode_metrics(started, Counters(), process).decode().splitlines():
        if line.startswith(HELP):
            name, _, about = line.removeprefix(HELP).partition(" ")
            yield name, about


HELP: Final = "# HELP "
METRICS: Final[Mapping[str, str]] = dict(_families())


def _metric(word: str) -> Iterator[tuple[str, str]]:
    """Explain a metric, with its prefix or without, whatever labels stand behind it."""
    bare = word.partition("{")[0]
    for name, about in METRICS.items():
        if bare in {name, name.removeprefix(PREFIX)}:
            yield "Metric", name
            yield "Shows", about
            yield "More", "man rebootmgrd, METRICS; docs/monitoring.md"


_DEFAULTS: Final = decode_config((), localtime=None)


def _explain(arguments: Namespace, context: Context) -> int:
    page = Page.of(context)
    told = explained_word(arguments.word)
    lines = [line for label, text in told for line in page.field(label, text)]
    parts = [{"label": label, "text": text} for label, text in told]
    context.emit({"word": arguments.word, "parts": parts}, lines)
    return 0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("word", metavar="WORD", help="such as outside_window or splay_minutes")


VERBS: Final = (
    Verb(
        name="explain",
        summary="what a gate, a state, a key or a metric means, and what to do",
        examples=(
            "rebootmgrctl explain quarantined",
            "rebootmgrctl explain updates.periodic.splay_minutes",
        ),
        arguments=_arguments,
        run=_explain,
    ),
)
