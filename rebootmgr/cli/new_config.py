"""config: a drop-in to start from, and the schema that editors and pipelines read (SPEC 11)."""

import json
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Final

from rebootmgr.cli.verb import Context, Verb
from rebootmgr.config.checked import decode_config
from rebootmgr.config.effective import effective_values, encode_value
from rebootmgr.config.json_schema import FILE, encode_schema
from rebootmgr.config.rules import wanted
from rebootmgr.config.schema import KEYS
from rebootmgr.errors import RebootmgrError, UsageError
from rebootmgr.text import harmless, nearest

INIT: Final = "init"
SCHEMA: Final = "schema"
EVERY_KEY: Final = "every-key"
TEMPLATES: Final[Mapping[str, str]] = {
    EVERY_KEY: "every key with its default, all of them commented out",
    "fleet": "a few hosts of a group at a time, by a lock server",
    "laptop": "as soon as nobody is logged in; people get an hour",
    "manual": "watch and report; reboot only when somebody asks for it",
    "server": "week nights, never around the turn of the year",
    "weekend": "the nights to Sunday and Monday",
}
HEADER: Final = f"#:schema file://{FILE}"
"""What makes taplo and Even Better TOML complete and check a drop-in."""
_FOLDER: Final = Path(__file__).parent / "templates"
_WIDTH: Final = 88
_NEXT: Final = (
    "look at it, put it into /etc/rebootmgr/config.d, then:",
    "  rebootmgrctl check-config && rebootmgrctl reload",
)


def template(name: str) -> str:
    """Give the text of a template; UsageError, with a likely one, where there is none."""
    if name not in TEMPLATES:
        close = nearest(name, TEMPLATES)
        cure = f"did you mean {close}?" if close else f"there are {', '.join(TEMPLATES)}"
        raise UsageError(f'--template "{harmless(name)}" is not known; {cure}')
    if name == EVERY_KEY:
        return "".join(f"{line}\n" for line in _every_key())
    return f"{HEADER}\n{(_FOLDER / f'{name}.toml').read_text('utf-8')}"


def _every_key() -> Iterator[str]:
    yield HEADER
    yield "# Every key with its default. Take away the # before a key, and before its table."
    values = effective_values(decode_config((), localtime=None))
    for table, its in groupby(values, key=lambda each: each.table):
        yield from ("", f"#[{table}]")
        for each in its:
            rule = KEYS[f"{table}.{each.name}"]
            about = f"{rule.meaning} Takes {wanted(rule.accepts)}."
            yield from textwrap.wrap(
                about, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
            )
            yield f"#{each.name} = {encode_value(each.value)}"


def _config(arguments: Namespace, context: Context) -> int:
    if arguments.operation == SCHEMA:
        if arguments.template is not None:
            raise UsageError(f"--template goes with `config {INIT}` alone; leave it out")
        text = json.dumps(encode_schema(), indent=2) + "\n"
    else:
        text = template(arguments.template or EVERY_KEY)
    if arguments.output is None:
        context.emit(_document(arguments.operation, text), text)
        return 0
    _write(arguments.output, text)
    next_steps = _NEXT if arguments.operation == INIT else ()
    written = f"wrote {harmless(str(arguments.output), longest=4096)}"
    context.emit({"file": str(arguments.output)}, (written, *next_steps))
    return 0


def _document(operation: str, text: str) -> Mapping[str, object]:
    return encode_schema() if operation == SCHEMA else {"text": text}


def _write(path: Path, text: str) -> None:
    """Write a file that is not there yet."""
    name = harmless(str(path), longest=4096)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise RebootmgrError(f"{name} is there already; choose another name for -o") from error
    except FileNotFoundError as error:
        raise RebootmgrError(f"{name}: there is no such folder; create it first") from error
    except PermissionError as error:
        raise RebootmgrError(f"{name} may not be written; run with sudo") from error


def _arguments(parser: ArgumentParser) -> None:
    what = f"{INIT}: a drop-in to start from; {SCHEMA}: the JSON Schema of drop-ins"
    parser.add_argument("operation", choices=(INIT, SCHEMA), help=what)
    listed = "; ".join(f"{name}: {about}" for name, about in TEMPLATES.items())
    parser.add_argument("--template", metavar="NAME", help=f"{listed} ({EVERY_KEY})")
    parser.add_argument(
        "-o", dest="output", metavar="FILE", type=Path, help="write it there (standard output)"
    )


VERBS: Final = (
    Verb(
        name="config",
        summary="a drop-in to start from, or the JSON Schema of drop-ins",
        examples=(
            "rebootmgrctl config init --template weekend -o 50-local.toml",
            "rebootmgrctl config schema -o rebootmgr.toml.schema.json",
        ),
        arguments=_arguments,
        run=_config,
    ),
)
