"""Whatever is in the files: problems come out, never an exception."""

import string
from datetime import UTC

from hypothesis import given, settings
from hypothesis import strategies as st

from rebootmgr.config.checked import DropIn, decode_config
from rebootmgr.config.effective import effective_values, encode_config, encode_value
from rebootmgr.config.fragment import Path, locate_keys
from rebootmgr.config.schema import ITEMS, KEYS

WORDS = st.sampled_from(["off", "periodic", "Sat", "23:30", "UTC", "localtime", "FREQ=DAILY", ""])
SCALARS = (
    st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | st.text()
    | st.dates()
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def encode(value: object) -> str:
    match value:
        case dict():
            pairs = (f"{encode_value(key)} = {encode(each)}" for key, each in value.items())
            return f"{{{', '.join(pairs)}}}"
        case list():
            return f"[{', '.join(map(encode, value))}]"
        case _:
            return encode_value(value)


def item(table: str) -> st.SearchStrategy[str]:
    names = st.sampled_from([*ITEMS[table], "nonsense"])
    pairs = st.dictionaries(names, VALUES)
    return pairs.map(
        lambda each: (
            f"[[{table}]]\n" + "\n".join(f"{key} = {encode(value)}" for key, value in each.items())
        )
    )


LINES = st.one_of(
    st.tuples(st.sampled_from([*KEYS, *ITEMS, "updates", "agent", "x.y"]), VALUES).map(
        lambda pair: f"{pair[0]} = {encode(pair[1])}"
    ),
    *map(item, ITEMS),
)


@settings(deadline=None)
@given(st.lists(st.lists(LINES, max_size=4).map("\n".join), max_size=3))
def test_any_values_of_known_keys_give_settings_or_problems_with_lines(texts: list[str]) -> None:
    fragments = [DropIn(f"{number}.toml", text) for number, text in enumerate(texts)]
    config = decode_config(fragments, localtime=None)
    for problem in (*config.errors, *config.warnings):
        assert problem.line is not None
        assert str(problem).isprintable()
    if not config.errors:
        written = encode_config(effective_values(config))
        again = decode_config((DropIn("again", written),), localtime=None)
        assert again.errors == ()
        assert again.settings == config.settings


@settings(deadline=None)
@given(st.text() | st.text(alphabet="[]{}=.,\"'#\n\\ ab1"))
def test_any_text_gives_problems_and_no_exception(text: str) -> None:
    decode_config((DropIn("any.toml", text),), localtime=None)


NAMES = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=3)
QUOTED = st.text(string.printable, max_size=5)
TREES = st.recursive(
    st.integers() | QUOTED,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


class Writer:
    """Writes TOML in random layouts, and notes on which line it put each key."""

    def __init__(self, data: st.DataObject) -> None:
        self.text = ""
        self.lines: dict[Path, int] = {}
        self.data = data

    def put(self, *choices: str) -> None:
        self.text += self.data.draw(st.sampled_from(choices))

    def value(self, value: object, path: Path) -> None:
        self.lines[path] = self.text.count("\n") + 1
        match value:
            case dict():
                self.text += "{"
                for number, (name, each) in enumerate(value.items()):
                    self.put(", " if number else " ")
                    self.key(name)
                    self.value(each, (*path, name))
                self.text += "}"
            case list():
                self.put("[", "[\n", "[ # ] \" '\n")
                for index, each in enumerate(value):
                    self.value(each, (*path, index))
                    self.put(",", ", \n", " ,# [[x]]\n")
                self.text += "]"
            case str() if "'''" not in value and "\r" not in value and value.isprintable():
                self.put(encode_value(value), f"'''\n{value}\n'''", f"'''{value} '''")
            case _:
                self.text += encode_value(value)

    def key(self, name: str) -> None:
        self.put(name, f'"{name}"', f"'{name}'")
        self.put("=", " = ")

    def table(self, name: str, value: object) -> None:
        match value:
            case dict() if self.data.draw(st.booleans()):
                self.put(f"[{name}]\n", f" [ '{name}' ] # x\n")
                self.lines[name,] = self.text.count("\n")
                for inner, each in value.items():
                    self.key(inner)
                    self.value(each, (name, inner))
                    self.put("\n", "\n\n", " # = 'x\n")
            case list() if value and all(isinstance(each, dict) for each in value):
                for index, content in enumerate(value):
                    self.put(f"[[{name}]]\n", f'\n[[ "{name}" ]] # ]]\n')
                    self.lines[name, index] = self.text.count("\n")
                    for inner, each in content.items():
                        self.key(inner)
                        self.value(each, (name, index, inner))
                        self.put("\n", "\n# [x]\n")
            case _:
                self.text += f"[t-{name}]\n"
                self.key(name)
                self.value(value, (f"t-{name}", name))
                self.text += "\n"


@settings(deadline=None)
@given(st.data(), st.dictionaries(NAMES, TREES, max_size=4))
def test_every_key_is_found_on_the_line_where_it_stands(
    data: st.DataObject, tree: dict[str, object]
) -> None:
    writer = Writer(data)
    for name, value in tree.items():
        writer.table(name, value)
    found = locate_keys(writer.text)
    assert {path: found.get(path) for path in writer.lines} == writer.lines


def test_tables_inside_arrays_of_tables_belong_to_the_last_element() -> None:
    text = "[[a.b]]\n[a.b.c]\nd = 1\n[[a.b]]\n\n[a.b.c]\nd.e = 1\n"
    lines = locate_keys(text)
    assert lines["a", "b", 0, "c", "d"] == 3
    assert lines["a", "b", 1] == 4
    assert lines["a", "b", 1, "c", "d", "e"] == 7
