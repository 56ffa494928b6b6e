"""Decimal text and integers say the same, whatever the number."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmtrio.wire.decimals import scaled, scaled_truncated, venue_text, wire_text

_UNITS = st.integers(min_value=-(10**24), max_value=10**24)
_DECIMALS = st.integers(min_value=0, max_value=12)


@given(units=_UNITS, decimals=_DECIMALS)
@example(units=0, decimals=0)
def test_both_spellings_read_back_as_the_same_units(units: int, decimals: int) -> None:
    assert scaled(wire_text(units, decimals), decimals) == units
    assert scaled(venue_text(units, decimals), decimals) == units


@given(units=_UNITS, decimals=_DECIMALS)
def test_spellings_are_minimal_and_plain(units: int, decimals: int) -> None:
    client, venue = wire_text(units, decimals), venue_text(units, decimals)
    exact = Decimal(units).scaleb(-decimals)
    assert Decimal(client) == Decimal(venue) == exact
    assert "E" not in client
    assert not ("." in client and client.endswith(("0", ".")))
    assert venue == client or venue == f"{client}.0"


@given(text=st.text(max_size=50), decimals=_DECIMALS)
def test_any_text_reads_exactly_as_decimal_reads_it_or_is_a_value_error(text: str, decimals: int) -> None:
    try:
        units = scaled(text, decimals)
    except ValueError:
        return
    assert Decimal(units).scaleb(-decimals) == Decimal(text)


@given(units=_UNITS, decimals=_DECIMALS, more=st.integers(min_value=1, max_value=6))
def test_what_has_more_decimals_is_truncated_only_on_request(units: int, decimals: int, more: int) -> None:
    text = wire_text(units, decimals + more)
    exact = Decimal(units).scaleb(-decimals - more)
    assert scaled_truncated(text, decimals) == int(exact.scaleb(decimals))
    if units % 10**more:
        with pytest.raises(ValueError):
            scaled(text, decimals)
