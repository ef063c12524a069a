"""rebootmgrctl: finds the verb, runs it, and turns failures into one line and a status."""

import logging
import os
import shutil
import sys
from argparse import REMAINDER, SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Final, NoReturn, TextIO

from rebootmgr import __version__
from rebootmgr.cli.verb import Context, Verb, Verbs
from rebootmgr.errors import ConfigError, RebootmgrError, UsageError
from rebootmgr.signalled import end_without_reader
from rebootmgr.text import harmless, nearest

PROGRAM: Final = "rebootmgrctl"
ABOUT: Final = "Ask and steer rebootmgrd, which reboots this host into staged updates."
VERBS: Final[Mapping[str, Verb]] = Verbs()

JSON: Final = "print JSON, times in UTC"
MEANT: Final = {  # what people type, some of it from programs of this kind
    "unhold": "release",
    "unlock": "fleet-lock unlock",
    "lock": "fleet-lock lock",
    "validate": "check-config",
    "verify": "check-config",
    "check": "check-config",
    "dump-config": "cat-config",
    "show-config": "cat-config",
    "get-strategy": "cat-config",
    "get-window": "plan",
    "windows": "plan",
    "schedule": "plan",
    "log": "history",
    "logs": "history",
    "stop": "cancel",
    "abort": "cancel",
}

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
CONFIG_INVALID: Final = 78  # EX_CONFIG of sysexits.h
MOST_LINES: Final = 200
LONGEST_ERROR: Final = 1024 * 1024
INTERRUPTED: Final = 130  # what a shell reports for SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rebootmgrctl`; the exit status."""
    for stream in _open_streams():
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no locale can make us fail
    logging.getLogger("rebootmgr").addHandler(logging.NullHandler())  # errors are our last line
    try:
        status = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except ConfigError as error:
        return _fail(error, CONFIG_INVALID)
    except UsageError as error:
        return _fail(error, USAGE)
    except RebootmgrError as error:
        return _fail(error, FAILED)
    except BrokenPipeError:
        return end_without_reader(sys.stdout)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or exiting fails again
        return _fail(RebootmgrError(f"{error}; try again when that is repaired"), FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _open_streams() -> tuple[TextIO, TextIO]:
    """Give standard output and error; the null device for one that was closed, as with `>&-`."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the rest of the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    return sys.stdout, sys.stderr


def _run(argv: Sequence[str]) -> int:
    options = _program().parse_args(argv)
    verb = VERBS.get(options.verb)
    if verb is None:
        close = MEANT.get(options.verb.lower()) or nearest(options.verb, VERBS)
        cure = f"did you mean {close}?" if close else f"see {PROGRAM} --help"
        if options.verb.startswith("set-"):
            cure = f"write a drop-in, see rebootmgr.toml(5), then {PROGRAM} reload"
        raise UsageError(f'unknown verb "{harmless(options.verb)}"; {cure}')
    arguments = _parser(f"{PROGRAM} {verb.name}", verb.summary, verb.examples)
    arguments.add_argument("--json", action="store_true", default=SUPPRESS, help=JSON)
    verb.arguments(arguments)
    chosen = arguments.parse_args(options.rest)
    root = Path(options.root)
    if not root.is_dir():
        raise UsageError(f"--root {harmless(str(root))}: no such directory")
    context = Context(
        root=root,
        json=options.json or "json" in chosen,
        out=sys.stdout,
        err=sys.stderr,
        color=_has_color(),
        width=shutil.get_terminal_size().columns,
    )
    return verb.run(chosen, context)


def _has_color() -> bool:
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not is_plain


class _Parser(ArgumentParser):
    """Says what is wrong in one line, as everything else does."""

    def error(self, message: str) -> NoReturn:
        unknown = message.partition("unrecognized arguments: ")[2].partition(" ")[0]
        known = [name for action in self._actions for name in action.option_strings]
        close = nearest(unknown, known) if unknown.startswith("--") else ""
        is_more = unknown.startswith(close)  # as --force, which is no slip of --for
        meant = f"did you mean {close}? " if close and not is_more else ""
        raise UsageError(f"{harmless(message)}; {meant}see {self.prog} --help")


class _Program(_Parser):
    """Looks at every verb only if somebody asks for the list of them."""

    def format_help(self) -> str:
        wide = max(map(len, VERBS))
        verbs = "\n".join(f"  {name:<{wide}}  {verb.summary}" for name, verb in VERBS.items())
        examples = [example for verb in VERBS.values() for example in verb.examples[:1]]
        self.description = f"{ABOUT}\n\nverbs:\n{verbs}"
        self.epilog = _examples(examples)
        return super().format_help()


def _program() -> ArgumentParser:
    parser = _Program(prog=PROGRAM, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--root", metavar="DIR", default="/", help="take every path under DIR")
    parser.add_argument("--json", action="store_true", help=JSON)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("verb", metavar="VERB", help=f"see {PROGRAM} VERB --help")
    parser.add_argument("rest", metavar="...", nargs=REMAINDER, help=SUPPRESS)
    return parser


def _parser(name: str, about: str, examples: Sequence[str]) -> ArgumentParser:
    return _Parser(
        prog=name,
        description=about,
        epilog=_examples(examples),
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _examples(examples: Sequence[str]) -> str:
    return "\n".join(("examples:", *(f"  {example}" for example in examples)))


def _fail(error: RebootmgrError, status: int) -> int:
    lines = str(error)[:LONGEST_ERROR].splitlines()
    for line in lines[:MOST_LINES]:
        print(f"{PROGRAM}: {harmless(line, longest=2000)}", file=sys.stderr)
    if len(lines) > MOST_LINES:
        print(f"{PROGRAM}: and {len(lines) - MOST_LINES} lines more", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
