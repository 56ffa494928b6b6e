"""Decimal text <-> integers: the only place where the venue's decimal strings are read or written.

The venue sends prices, sizes, balances and fees as decimal strings with at least one decimal (`"100.0"`); clients
must send them without trailing zeros (`"100"`), or the signature is over other bytes than the venue hashes
(protocol 1 and 8.3). Nothing is ever rounded on the way in unless a function's name says so.
"""

from __future__ import annotations

import re
from functools import lru_cache

TEXT_LENGTH_MAX = 40
"""Longer numbers than any the venue has; a bound on the work a hostile frame can ask for."""

_DECIMAL_NUMBER = re.compile(r"(-?[0-9]+)(?:\.([0-9]+))?", re.ASCII)
_POWERS_OF_TEN: tuple[int, ...] = tuple(10**exponent for exponent in range(TEXT_LENGTH_MAX + 1))


def scaled(text: str, decimals: int) -> int:
    """`text` in units of 10^-decimals, exactly: `scaled("34.90", 2) == 3490`.

    Zeros beyond `decimals` are accepted, since they say nothing; other digits there are not.

    Raises:
        ValueError: not a plain decimal number (NaN, an exponent, a blank, `+`), too long, or too many decimals.
    """
    if not isinstance(text, str):
        raise ValueError(f"not decimal text: {str(text)[:TEXT_LENGTH_MAX]!r}")
    return _scaled(text, decimals)


@lru_cache(maxsize=8192)  # Books repeat most of their prices and sizes from one frame to the next.
def _scaled(text: str, decimals: int) -> int:
    whole, fraction = _parts(text)
    if len(fraction) > decimals:
        fraction = fraction.rstrip("0")
        if len(fraction) > decimals:
            raise ValueError(f"{text} has more than {decimals} decimals")
    return int(whole + fraction) * _POWERS_OF_TEN[decimals - len(fraction)]


def scaled_truncated(text: str, decimals: int) -> int:
    """As `scaled`, but drops digits beyond `decimals` (towards zero): for reports such as a traded volume.

    Raises:
        ValueError: not a plain decimal number, or too long.
    """
    whole, fraction = _parts(text)
    fraction = fraction[:decimals]
    return int(whole + fraction) * _POWERS_OF_TEN[decimals - len(fraction)]


def wire_text(units: int, decimals: int) -> str:
    """The shortest decimal text of `units` x 10^-decimals, as clients must send it: `"34.9"`, `"100"`, `"0"`."""
    whole, fraction = _split(units, decimals)
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def venue_text(units: int, decimals: int) -> str:
    """`units` x 10^-decimals as the venue writes it, with at least one decimal: `"34.9"`, `"100.0"`, `"0.0"`."""
    whole, fraction = _split(units, decimals)
    return f"{whole}.{fraction.rstrip('0') or '0'}"


def _parts(text: str) -> tuple[str, str]:
    """The whole part, with its sign, and the digits after the point, if any."""
    if not isinstance(text, str) or len(text) > TEXT_LENGTH_MAX:
        raise ValueError(f"not a decimal number: {str(text)[:TEXT_LENGTH_MAX]!r}")
    number = _DECIMAL_NUMBER.fullmatch(text)
    if number is None:
        raise ValueError(f"not a decimal number: {text!r}")
    return number[1], number[2] or ""


def _split(units: int, decimals: int) -> tuple[str, str]:
    sign = "-" if units < 0 else ""
    if decimals == 0:
        return f"{sign}{abs(units)}", ""
    whole, fraction = divmod(abs(units), _POWERS_OF_TEN[decimals])
    return f"{sign}{whole}", f"{fraction:0{decimals}d}"
