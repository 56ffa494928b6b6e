"""Decimal text is read exactly or not at all, and written as the venue wants it."""

from __future__ import annotations

import pytest

from mmtrio.wire.decimals import scaled, scaled_truncated, venue_text, wire_text


@pytest.mark.parametrize(
    ("text", "decimals", "units"),
    [
        ("34.9", 2, 3490),
        ("34.900", 2, 3490),  # Zeros beyond the decimals say nothing.
        ("84143.0", 0, 84143),
        ("100", 8, 10_000_000_000),
        ("-0.00031499", 8, -31499),
        ("0.00000001", 8, 1),
        ("007", 0, 7),
        ("99999999999999999999.9", 1, 999999999999999999999),
    ],
)
def test_decimal_text_becomes_exact_units(text: str, decimals: int, units: int) -> None:
    assert scaled(text, decimals) == units


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 ",
        "+1",
        ".5",
        "5.",
        "1e3",
        "NaN",
        "inf",
        "1,5",
        "--1",
        "1.2.3",
        "١",
        "1_000",
        "0x10",
        "1\n",
    ],
)
def test_text_that_is_no_plain_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a decimal number"):
        scaled(text, 8)


def test_digits_beyond_the_decimals_are_refused_and_never_rounded() -> None:
    with pytest.raises(ValueError, match="more than 2 decimals"):
        scaled("34.901", 2)


@pytest.mark.parametrize("value", [None, 1, 1.5, ["1"], {}, b"1"])
def test_anything_but_text_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not decimal text"):
        scaled(value, 2)  # type: ignore[arg-type]


def test_a_hostile_length_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="not a decimal number"):
        scaled("9" * 1_000_000, 2)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("170043721737.450012207", 17004372173745001220),
        ("1.999", 199900000),
        ("-0.000000019", -1),
        ("5", 500000000),
    ],
)
def test_a_report_may_be_truncated_towards_zero(text: str, units: int) -> None:
    assert scaled_truncated(text, 8) == units


@pytest.mark.parametrize(
    ("units", "decimals", "client", "venue"),
    [
        (3490, 2, "34.9", "34.9"),
        (10000, 2, "100", "100.0"),
        (100, 0, "100", "100.0"),
        (0, 8, "0", "0.0"),
        (1, 5, "0.00001", "0.00001"),
        (-5, 1, "-0.5", "-0.5"),
        (16701, 1, "1670.1", "1670.1"),
    ],
)
def test_clients_write_the_shortest_text_and_the_venue_one_decimal(
    units: int, decimals: int, client: str, venue: str
) -> None:
    assert wire_text(units, decimals) == client
    assert venue_text(units, decimals) == venue
