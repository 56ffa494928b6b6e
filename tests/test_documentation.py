"""Documents that are checked: every error text quoted exists, and every command shown is understood."""

from __future__ import annotations

import ast
import enum
import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

import attrs
import pytest

from mmtrio.cli.arguments import parse_arguments
from mmtrio.cli.config import parse_settings
from mmtrio.cli.config_tables import TABLES

ROOT = Path(__file__).parent.parent
TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

ANYTHING = "\0"
_PLACEHOLDER = re.compile(r"\{[a-z_…]+\}")
_PERCENT = re.compile(r"%[-+ #0]*[0-9]*(?:\.[0-9]+)?[diouxXeEfFgGcrsa]")
_ENTRY = re.compile(r"^## (?P<title>.*)\n(?P<body>(?:(?!^#).*\n?)*)", re.MULTILINE)
_COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?(?:trio-mm|scripts/run)\b(?P<rest>.*)$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@cache
def texts_in_the_code() -> tuple[str, ...]:
    """Every string literal of the package, with ANYTHING for what is filled in when the program runs."""
    found: list[str] = []
    for file in sorted((ROOT / "mmtrio").rglob("*.py")):
        found.extend(_literals(ast.parse(file.read_text(encoding="utf-8"))))
    return tuple(found)


def _literals(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else ANYTHING for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield _PERCENT.sub(ANYTHING, node.value)


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of one language; "" for commands."""
    return [text for name, text in _FENCE.findall(document.read_text(encoding="utf-8")) if name == language]


def entries() -> list[tuple[str, str]]:
    """(title, body) of each entry of the troubleshooting page."""
    return [
        (entry["title"], entry["body"].strip())
        for entry in _ENTRY.finditer(TROUBLESHOOTING.read_text(encoding="utf-8"))
    ]


def is_in_the_code(quoted: str) -> bool:
    wanted = _PLACEHOLDER.sub(ANYTHING, quoted)
    return any(wanted in text for text in texts_in_the_code())


@pytest.mark.parametrize(("title", "body"), entries(), ids=[title for title, _ in entries()])
def test_each_quoted_error_still_exists_and_has_a_cure(title: str, body: str) -> None:
    assert re.fullmatch(r"`[^`]+`", title), "an entry's title is one error text in backticks"
    assert is_in_the_code(title.strip("`")), (
        f"no file of mmtrio says {title}; quote what it says now, with {{…}} for what is filled in, or remove the entry"
    )
    assert len(body.split()) >= 8, f"{title} has no cure"


def test_the_page_has_entries_and_none_twice() -> None:
    titles = [title for title, _ in entries()]

    assert len(titles) > 30
    assert len(set(titles)) == len(titles)


def test_the_check_bites() -> None:
    assert is_in_the_code("there is no configuration file {path}.")
    assert not is_in_the_code("there is no configuration folder {path}.")
    assert not is_in_the_code("there is no configuration file path.")


_TABLE = re.compile(r"^## \[(?P<name>\w+)\].*?\n(?P<body>(?:(?!^## ).*\n?)*)", re.MULTILINE)
_ROW = re.compile(r"^\| `(?P<key>\w+)` \| `?(?P<default>[^`|]*?)`? \|", re.MULTILINE)


def shown_default(default: object) -> str:
    """A default as the page writes it."""
    if default is attrs.NOTHING:
        return "required"
    match default:
        case None:
            return "none"
        case bool():
            return str(default).lower()
        case enum.Enum():
            return str(default.value)
        case Fraction():
            return str(Decimal(default.numerator) / default.denominator)
        case float():
            return f"{default:g}"
    return str(default)


def test_the_configuration_page_has_every_key_with_its_default_and_no_other() -> None:
    page = CONFIGURATION.read_text(encoding="utf-8")
    documented = {
        table["name"]: {row["key"]: row["default"] for row in _ROW.finditer(table["body"])}
        for table in _TABLE.finditer(page)
    }

    assert documented == {
        name: {field.name: shown_default(field.default) for field in attrs.fields(table)}
        for name, table in TABLES.items()
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_each_configuration_shown_is_one(document: Path) -> None:
    for example in blocks(document, "toml"):
        parse_settings(example, document.name)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_each_import_shown_exists(document: Path) -> None:
    for program in blocks(document, "python"):
        imports = [node for node in ast.parse(program).body if isinstance(node, ast.Import | ast.ImportFrom)]
        namespace: dict[str, object] = {}
        exec(compile(ast.Module(imports, []), document.name, "exec"), namespace)


def commands() -> list[tuple[str, str]]:
    """(document, what follows the program's name) of each command in a fenced block."""
    found = []
    for document in DOCUMENTS:
        for block in blocks(document, ""):
            for command in _COMMAND.finditer(block):
                verb = "run " if "scripts/run" in command.group() else ""
                found.append((document.name, verb + command["rest"].partition("#")[0].strip()))
    return found


@pytest.mark.parametrize(("document", "line"), commands())
def test_each_command_shown_is_understood(document: str, line: str) -> None:
    try:
        parse_arguments(line.split())
    except SystemExit as leaving:  # --help, printed.
        assert leaving.code == 0


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_each_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", document.read_text(encoding="utf-8"))

    assert [link for link in links if not (document.parent / link).exists()] == []
