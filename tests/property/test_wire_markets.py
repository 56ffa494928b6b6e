"""Whatever the metadata, every row is a market or quarantined, and names never lead to the wrong market."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mmtrio.wire.markets import AmbiguousCoin, UnknownCoin, build_catalog

_SMALL = st.integers(min_value=0, max_value=6)
_NAMES = st.sampled_from(["USDC", "HYPE", "BTC", "UBTC", "PURR", "@1", "xyz:A"])
_ODD = st.none() | st.integers(-1, 9) | st.text(max_size=3) | st.lists(_SMALL, max_size=3)


@st.composite
def _rows(draw: st.DrawFn, fields: dict[str, st.SearchStrategy[Any]]) -> Any:
    row: dict[str, Any] = {key: draw(values) for key, values in fields.items()}
    if draw(st.integers(0, 5)) == 0:
        row[draw(st.sampled_from(sorted(row)))] = draw(_ODD)
    return row if draw(st.integers(0, 19)) else draw(_ODD)


_TOKENS = st.lists(
    _rows({"name": _NAMES, "index": _SMALL, "szDecimals": _SMALL, "weiDecimals": st.integers(0, 40)}),
    max_size=7,
)
_PAIRS = st.lists(
    _rows({"name": _NAMES, "index": _SMALL, "tokens": st.lists(_SMALL, min_size=2, max_size=2)}), max_size=7
)
_PERPS = st.lists(
    _rows({"name": _NAMES, "szDecimals": st.integers(0, 7), "isDelisted": st.booleans()}), max_size=5
)


@given(tokens=_TOKENS, pairs=_PAIRS, perps=_PERPS, builder_perps=_PERPS)
def test_every_row_is_a_market_or_quarantined_and_every_name_is_honest(
    tokens: list[Any], pairs: list[Any], perps: list[Any], builder_perps: list[Any]
) -> None:
    metas = {"": {"universe": perps}, "xyz": {"universe": builder_perps, "collateralToken": 0}}
    catalog = build_catalog({"tokens": tokens, "universe": pairs}, metas, [None, {"name": "xyz"}])

    rows = len(tokens) + len(pairs) + len(perps) + len(builder_perps)
    assert len(catalog.tokens) + len(catalog.markets) + len(catalog.quarantined) == rows
    assert len(catalog.by_coin) == len(catalog.by_asset) == len(catalog.markets)
    for market in catalog.markets:
        assert catalog.by_coin[market.coin] is catalog.by_asset[market.asset] is market
        try:
            reached = catalog.resolve(catalog.unambiguous_name(market))
        except AmbiguousCoin as error:
            assert str(error).count(" for the ") >= 2
        else:
            assert reached is market or (market.is_delisted and not reached.is_delisted)


@given(name=st.text(max_size=12))
def test_any_name_is_a_market_or_a_refusal(name: str) -> None:
    token = {"name": "USDC", "index": 0, "szDecimals": 8, "weiDecimals": 8}
    catalog = build_catalog({"tokens": [token], "universe": []}, {}, [])
    try:
        catalog.resolve(name)
    except UnknownCoin:
        return
    raise AssertionError(name)
