"""rebootmgrctl: finds the verb, runs it, and turns failures into one line and a status."""

import logging
import os
import shutil
import sys
from argparse import REMAINDER, SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Final, NoReturn

from rebootmgr import __version__
from rebootmgr.cli.verb import Context, Verb, Verbs
from rebootmgr.errors import ConfigError, RebootmgrError, UsageError
from rebootmgr.text import harmless, nearest

PROGRAM: Final = "rebootmgrctl"
ABOUT: Final = "Ask and steer rebootmgrd, which reboots this host into staged updates."
VERBS: Final[Mapping[str, Verb]] = Verbs()

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
CONFIG_INVALID: Final = 78  # EX_CONFIG of sysexits.h
MOST_LINES: Final = 200
LONGEST_ERROR: Final = 1024 * 1024
INTERRUPTED: Final = 130  # what a shell reports for SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rebootmgrctl`; the exit status."""
    for stream in (sys.stdout, sys.stderr):
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
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or exiting fails again
        if isinstance(error, BrokenPipeError):  # the reader, as in `| head`, has seen enough
            return FAILED
        return _fail(RebootmgrError(f"{error}; mend it and try again"), FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _run(argv: Sequence[str]) -> int:
    options = _program().parse_args(argv)
    verb = VERBS.get(options.verb)
    if verb is None:
        close = nearest(options.verb, VERBS)
        cure = f"did you mean {close}?" if close else f"see {PROGRAM} --help"
        raise UsageError(f'unknown verb "{harmless(options.verb)}"; {cure}')
    arguments = _parser(f"{PROGRAM} {verb.name}", verb.summary, verb.examples)
    arguments.add_argument("--json", action="store_true", default=SUPPRESS, help=SUPPRESS)
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
        color=sys.stdout.isatty() and not os.environ.get("NO_COLOR"),
        width=shutil.get_terminal_size().columns,
    )
    return verb.run(chosen, context)


class _Parser(ArgumentParser):
    """Says what is wrong in one line, as everything else does."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{harmless(message)}; see {self.prog} --help")


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
    parser.add_argument("--json", action="store_true", help="print JSON, times in UTC")
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
