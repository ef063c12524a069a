"""The verbs about rebootmgrctl itself: help and version."""

from argparse import ArgumentParser, Namespace
from typing import Final

from rebootmgr import __version__
from rebootmgr.cli.main import PROGRAM, main
from rebootmgr.cli.verb import Context, Verb, no_arguments


def _help(arguments: Namespace, _: Context) -> int:
    return main([*([arguments.of] if arguments.of else []), "--help"])


def _version(_: Namespace, context: Context) -> int:
    context.emit({"version": __version__}, [f"{PROGRAM} {__version__}"])
    return 0


def _help_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("of", metavar="VERB", nargs="?", help="of this verb, as VERB --help")


VERBS: Final = (
    Verb(
        name="help",
        summary="print a short help, also that of a verb",
        examples=("rebootmgrctl help", "rebootmgrctl help hold"),
        arguments=_help_arguments,
        run=_help,
    ),
    Verb(
        name="version",
        summary="print the version",
        examples=("rebootmgrctl version",),
        arguments=no_arguments,
        run=_version,
    ),
)
