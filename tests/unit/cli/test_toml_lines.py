"""Lines of keys in a TOML text."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmtrio.cli.toml_lines import KeyPath, TomlLines

TEXT = '''# a comment with [brackets] and key = value
top = 1

[market]   # [not this]
coin = "a = b # [x]"
"quoted key" = 2
list = [
  1, # ]
  [2],
]
after = """
inside = 3
[neither]
"""
literal = \'\'\'
x = "
\'\'\'
last.dotted = 1
[[entry]]
a = 1
[[entry]]
b = {c = 1, d = "}"}
e = 1
[entry.sub]
f = 1
[ spaced . name ]
g = 1'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("market",), 4),
        (("market", "coin"), 5),
        (("market", "quoted key"), 6),
        (("market", "list"), 7),
        (("market", "after"), 11),
        (("market", "literal"), 15),
        (("market", "last"), 18),
        (("market", "last", "dotted"), 18),
        (("entry", 0), 19),
        (("entry", 0, "a"), 20),
        (("entry", 1, "b"), 22),
        (("entry", 1, "b", "c"), 22),
        (("entry", 1, "e"), 23),
        (("entry", 1, "sub", "f"), 25),
        (("spaced", "name", "g"), 27),
        (("market", "absent"), 4),
        (("inside",), None),
        (("neither",), None),
    ],
)
def test_each_key_has_its_line(path: KeyPath, line: int | None) -> None:
    tomllib.loads(TEXT)

    assert TomlLines(TEXT).of(path) == line


_VALUES = st.sampled_from(
    [
        "1",
        '"x"',
        '"[a]\\n#\\""',
        "'k = v'",
        "[1,\n 2, # ]\n 3]",
        "{a = 1}",
        '"""\nk = 1\n"""',
        "'''\n[x]\n'''",
        "true",
    ]
)
_TABLE = st.dictionaries(st.sampled_from(["a", "b", "c", "'d e'"]), _VALUES, max_size=4)


@given(st.lists(_TABLE, max_size=5), st.integers(0, 3))
def test_the_line_of_a_key_begins_with_it(tables: list[dict[str, str]], n_blank: int) -> None:
    lines: list[str] = []
    for table in tables:
        lines += ["[[t]]  # [u]", *[""] * n_blank]
        lines += [f"  {key} = {value}" for key, value in table.items()]
    text = "\n".join(lines)
    parsed: list[dict[str, Any]] = tomllib.loads(text).get("t", [])

    found = TomlLines(text)

    source = text.split("\n")
    for number, table in enumerate(parsed):
        for key in table:
            line = found.of(("t", number, key))
            assert line is not None and source[line - 1].strip().strip("'").startswith(key)
