"""One value of a configuration: what is accepted, and the sentence for what is not.

Each function here makes a parser. A parser takes what TOML held and returns what the program uses, or raises
ValueError with the end of a sentence that begins with the key: "must be …, not …".
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any

from mmtrio.cli.logs import one_line, redactor

Parser = Callable[[Any], Any]

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?")
_DIGITS_MAX = 40
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_KEY_ITSELF = re.compile(r"(0[xX])?[0-9a-fA-F]{64}")


def shown(value: object) -> str:
    """A value as TOML would write it: short, on one line, and never a secret."""
    match value:
        case bool():
            text = str(value).lower()
        case str():
            text = f'"{value}"'
        case dict():
            return "a table"
        case list():
            return "a list"
        case _:
            text = str(value)
    text = redactor.redact(one_line(text))
    return text if len(text) <= 60 else text[:60] + "…"


def text(example: str) -> Parser:
    """Text with something in it."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f'must be text in quotes, such as "{example}", not {shown(value)}')
        return value.strip()

    return parse


def switch() -> Parser:
    def parse(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, without quotes, not {shown(value)}")
        return value

    return parse


def whole(what: str, *, at_least: int, at_most: int) -> Parser:
    """A whole number: of levels, of ticks."""

    def parse(value: Any) -> int:
        number = _number(value)
        if number is None or number != int(number) or not at_least <= number <= at_most:
            raise ValueError(
                f"must be {what}, a whole number from {at_least} to {at_most}, not {shown(value)}"
            )
        return int(number)

    return parse


def money(what: str, example: str, *, zero_allowed: bool = False) -> Parser:
    """An exact amount or price, as a number or as text."""

    def parse(value: Any) -> Decimal:
        number = _number(value)
        if number is None or number < 0 or (number == 0 and not zero_allowed):
            bound = "0 or more" if zero_allowed else "above 0"
            raise ValueError(
                f'must be {what}, {bound}, such as "{example}", not {shown(value)}{_percent_hint(value)}'
            )
        return number

    return parse


def ratio(what: str, example: str) -> Parser:
    """An exact part of a whole, above 0 and at most 1."""

    def parse(value: Any) -> Fraction:
        number = _number(value)
        if number is None or not 0 < number <= 1:
            raise ValueError(
                f'must be {what}, above 0 and at most 1, such as "{example}", not {shown(value)}{_percent_hint(value)}'
            )
        return Fraction(number)

    return parse


def measure(
    what: str, *, above: float | None = None, at_least: float | None = None, at_most: float
) -> Parser:
    """A number that need not be exact: seconds, basis points."""
    lower = f"above {above:g}" if above is not None else f"at least {at_least or 0:g}"

    def is_within(number: float) -> bool:
        return (number > above if above is not None else number >= (at_least or 0)) and number <= at_most

    def parse(value: Any) -> float:
        number = _number(value)
        if number is None or not is_within(float(number)):
            raise ValueError(f"must be {what}, {lower} and at most {at_most:g}, not {shown(value)}")
        return float(number)

    return parse


def measure_or_never(what: str, *, above: float, at_most: float) -> Parser:
    """As `measure`, or the word "never", which becomes None."""
    parse_measure = measure(what, above=above, at_most=at_most)

    def parse(value: Any) -> float | None:
        if value == "never":
            return None
        try:
            return float(parse_measure(value))
        except ValueError as error:
            raise ValueError(f'{error}; or "never"') from None

    return parse


def one_of(kind: type[enum.Enum]) -> Parser:
    """One member of an enum, by its value."""
    names = [str(member.value) for member in kind]

    def parse(value: Any) -> enum.Enum:
        if isinstance(value, str) and value in names:
            return kind(value)
        near = get_close_matches(value.lower(), names, n=1, cutoff=0.5) if isinstance(value, str) else []
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise ValueError(f"must be one of {', '.join(names)}, not {shown(value)}{hint}")

    return parse


def key_path() -> Parser:
    """The path of a key file. Whoever pastes the key itself is told so, without showing it."""

    def parse(value: Any) -> Path:
        if isinstance(value, str) and _KEY_ITSELF.fullmatch(value.strip()):
            raise ValueError(
                "must be the path of a file that holds the key, but this looks like a key itself. Take it out of the "
                "configuration (and out of its history), put it into a file with mode 0600, and name that file"
            )
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f'must be the path of a file, such as "agent.key", not {shown(value)}')
        return Path(value).expanduser()

    return parse


def address() -> Parser:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or _ADDRESS.fullmatch(value.strip()) is None:
            raise ValueError(f"must be an account's address, 0x and 40 hex digits, not {shown(value)}")
        return value.strip().lower()

    return parse


def _number(value: Any) -> Decimal | None:
    """A finite number out of a TOML number or a quoted one; None for anything else, a bool included."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if len(value) > _DIGITS_MAX or _NUMBER.fullmatch(value.strip()) is None:
            return None
        value = value.strip()
    elif not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > _DIGITS_MAX:
        return None
    return number


def _percent_hint(value: Any) -> str:
    if not isinstance(value, str) or not value.strip().endswith("%"):
        return ""
    number = _number(value.strip()[:-1].strip())
    return "" if number is None else f'; {value.strip()} is written "{(number / 100).normalize():f}"'
