"""Where in a TOML text each key stands, so that a complaint can name the line.

`tomllib` gives values without places. This scanner reads text that `tomllib` has accepted already, so it need not
judge it: it follows table headers and `key =`, and steps over strings and nested values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

KeyPath = tuple[str | int, ...]
"""`("market", 0, "coin")`: tables by name, entries of `[[…]]` by number, then the key."""

_KEY_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*|[\[\]{}]|\n",
    re.DOTALL,
)


class TomlLines:
    """The line of every key and table in one text."""

    def __init__(self, text: str) -> None:
        self._lines: dict[KeyPath, int] = {}
        self._entries: dict[KeyPath, int] = {}
        table: KeyPath = ()
        for line, statement in _statements(text.replace("\r\n", "\n")):
            if statement.startswith("["):
                table = self._header(statement)
                self._lines.setdefault(table, line)
            else:
                keys, _ = _keys(statement)
                path = (*table, *keys)
                for end in range(len(table) + 1, len(path) + 1):
                    self._lines.setdefault(path[:end], line)

    def of(self, path: KeyPath) -> int | None:
        """The line of this key, or of the nearest table around it; None where neither is in the text."""
        for end in range(len(path), 0, -1):
            found = self._lines.get(path[:end])
            if found is not None:
                return found
        return None

    def _header(self, statement: str) -> KeyPath:
        is_entry = statement.startswith("[[")
        keys, _ = _keys(statement.lstrip("["))
        path: KeyPath = ()
        for key in keys[:-1]:
            path = (*path, key)
            if path in self._entries:  # `[market.x]` below `[[market]]` belongs to its newest entry.
                path = (*path, self._entries[path])
        path = (*path, keys[-1])
        if is_entry:
            self._entries[path] = self._entries.get(path, -1) + 1
            path = (*path, self._entries[path])
        return path


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """(line it starts on, text) of every header and every `key = value`, values over several lines in one."""
    start, line, first_line, depth = 0, 1, 1, 0
    for token in _TOKEN.finditer(text):
        piece = token.group()
        if piece in "[{":
            depth += 1
        elif piece in "]}":
            depth -= 1
        elif piece == "\n" and depth == 0:
            statement = text[start : token.start()].strip()
            if statement and not statement.startswith("#"):
                yield first_line, statement
            start, first_line = token.end(), line + 1
        line += piece.count("\n")
    statement = text[start:].strip()
    if statement and not statement.startswith("#"):
        yield first_line, statement


def _keys(statement: str) -> tuple[list[str], int]:
    """The dotted key a statement begins with, and where it ends."""
    keys: list[str] = []
    at = 0
    while part := _KEY_PART.match(statement, at):
        keys.append(next(group for group in part.groups() if group is not None))
        at = part.end()
        if not statement.startswith(".", at):
            break
        at += 1
    return keys, at
