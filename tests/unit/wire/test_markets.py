"""Markets come out of the venue's metadata with the right ids, and names mean one market or none."""

from __future__ import annotations

from typing import Any

import pytest

from mmtrio.core.market import MarketKind
from mmtrio.core.types import Coin
from mmtrio.wire.markets import AmbiguousCoin, MarketCatalog, MetadataError, UnknownCoin, build_catalog


def _token(
    index: int, name: str, size_decimals: int = 2, wei_decimals: int = 8, **more: Any
) -> dict[str, Any]:
    return {"index": index, "name": name, "szDecimals": size_decimals, "weiDecimals": wei_decimals, **more}


def _pair(index: int, base: int, quote: int, name: str | None = None) -> dict[str, Any]:
    return {"index": index, "name": name or f"@{index}", "tokens": [base, quote], "isCanonical": False}


SPOT_META: dict[str, Any] = {
    "tokens": [
        _token(0, "USDC", 8, 8),
        _token(1, "PURR", 0, 5),
        _token(150, "HYPE"),
        _token(360, "USDH"),
        _token(197, "UBTC", 5, 10, fullName="Unit Bitcoin"),
        _token(20, "PUMP"),
        _token(21, "UPUMP", fullName="Unit Pump Fun"),
        _token(30, "TWIN"),
        _token(31, "TWIN"),
        _token(40, "SOLO"),
    ],
    "universe": [
        _pair(0, 1, 0, "PURR/USDC"),
        _pair(107, 150, 0),
        _pair(230, 150, 360),
        _pair(142, 197, 0),
        _pair(50, 20, 0),
        _pair(51, 21, 0),
        _pair(60, 30, 0),
        _pair(61, 31, 0),
        _pair(70, 40, 360),
    ],
}
META: dict[str, Any] = {
    "universe": [
        {"name": "BTC", "szDecimals": 5, "maxLeverage": 40},
        {"name": "MATIC", "szDecimals": 1, "maxLeverage": 20, "isDelisted": True},
        {"name": "HYPE", "szDecimals": 2, "maxLeverage": 10, "isDelisted": None},
    ],
    "collateralToken": 0,
}
BUILDER_META: dict[str, Any] = {
    "universe": [
        {"name": "xyz:SP500", "szDecimals": 3, "maxLeverage": 20},
        {"name": "GOLD", "szDecimals": 2},
    ],
    "collateralToken": 360,
}
PERP_DEXS: list[Any] = [None, {"name": "xyz"}, {"name": "abc"}]


def _catalog() -> MarketCatalog:
    return build_catalog(SPOT_META, {"": META, "xyz": BUILDER_META}, PERP_DEXS)


def test_asset_ids_follow_the_venues_three_rules() -> None:
    catalog = _catalog()
    assert {coin: catalog.by_coin[Coin(coin)].asset for coin in ("BTC", "HYPE", "@107", "PURR/USDC")} == {
        "BTC": 0,
        "HYPE": 2,
        "@107": 10107,
        "PURR/USDC": 10000,
    }
    assert catalog.by_coin[Coin("xyz:SP500")].asset == 110000
    assert catalog.by_coin[Coin("xyz:GOLD")].asset == 110001
    assert catalog.by_asset[10107].coin == "@107"
    assert catalog.quarantined == ()


def test_the_second_builder_dex_starts_ten_thousand_later() -> None:
    catalog = build_catalog(SPOT_META, {"abc": {"universe": [{"name": "X", "szDecimals": 0}]}}, PERP_DEXS)
    assert catalog.by_coin[Coin("abc:X")].asset == 120000


def test_a_delisted_perp_keeps_its_slot() -> None:
    matic = _catalog().by_asset[1]
    assert matic.is_delisted
    assert _catalog().by_asset[2].coin == "HYPE"


def test_tokens_are_found_by_index_and_not_by_position() -> None:
    market = _catalog().by_coin[Coin("@107")]
    assert market.kind is MarketKind.SPOT
    assert market.base is not None
    assert (market.base.index, market.base.name, market.base.wei_decimals) == (150, "HYPE", 8)
    assert market.size_decimals == 2


def test_the_quote_token_is_data() -> None:
    catalog = _catalog()
    assert catalog.by_coin[Coin("@230")].quote.name == "USDH"
    assert catalog.by_coin[Coin("xyz:SP500")].quote.name == "USDH"


@pytest.mark.parametrize(
    ("name", "coin"),
    [
        ("@107", "@107"),
        ("HYPE/USDC", "@107"),
        ("HYPE/USDH", "@230"),
        ("HYPE-PERP", "HYPE"),
        ("BTC", "BTC"),
        ("BTC-PERP", "BTC"),
        ("xyz:SP500", "xyz:SP500"),
        ("PURR", "PURR/USDC"),
        ("PURR/USDC", "PURR/USDC"),
        ("SOLO", "@70"),
        ("UBTC", "@142"),
        ("UBTC/USDC", "@142"),
        ("BTC/USDC", "@142"),  # As the venue's pages show it.
        ("PUMP/USDC", "@50"),  # PUMP is a token of its own, so it never means UPUMP.
        ("UPUMP/USDC", "@51"),
        ("MATIC", "MATIC"),
    ],
)
def test_every_name_of_a_market_resolves_to_it(name: str, coin: str) -> None:
    assert _catalog().resolve(name).coin == coin


def test_a_name_shared_by_perp_and_spot_is_ambiguous_and_says_what_to_type() -> None:
    with pytest.raises(AmbiguousCoin) as raised:
        _catalog().resolve("HYPE")
    message = str(raised.value)
    assert "HYPE-PERP for the perp HYPE (asset 2)" in message
    assert "HYPE/USDC for the spot pair @107 (asset 10107)" in message
    assert "HYPE/USDH for the spot pair @230 (asset 10230)" in message


def test_two_pairs_of_one_display_name_are_told_apart_by_wire_name() -> None:
    catalog = _catalog()
    with pytest.raises(AmbiguousCoin, match=r"Type @60 for .* @61 for"):
        catalog.resolve("TWIN/USDC")
    assert catalog.resolve("@61").asset == 10061


def test_what_an_ambiguity_error_says_to_type_resolves() -> None:
    catalog = _catalog()
    for market in catalog.markets:
        assert catalog.resolve(catalog.unambiguous_name(market)) == market


def test_a_delisted_market_gives_way_to_a_live_one() -> None:
    spot_meta = {
        "tokens": [*SPOT_META["tokens"], _token(80, "MATIC")],
        "universe": [_pair(80, 80, 0)],
    }
    assert build_catalog(spot_meta, {"": META}, PERP_DEXS).resolve("MATIC").coin == "@80"


@pytest.mark.parametrize(
    ("typed", "suggestion"),
    [("btc", "BTC"), ("hype/usdc", "HYPE/USDC"), ("XYZ:SP500", "xyz:SP500"), ("PURR/USD", "PURR/USDC")],
)
def test_an_unknown_name_is_refused_with_the_nearest_ones(typed: str, suggestion: str) -> None:
    with pytest.raises(UnknownCoin) as raised:
        _catalog().resolve(typed)
    assert suggestion in str(raised.value)


def test_a_name_like_no_other_is_refused_too() -> None:
    with pytest.raises(UnknownCoin, match="no market 'qqqqqqqqqq' among its"):
        _catalog().resolve("qqqqqqqqqq")


def test_a_known_unit_token_has_its_alias_without_a_full_name() -> None:
    spot_meta = {"tokens": [_token(0, "USDC", 8), _token(5, "USOL", 3)], "universe": [_pair(9, 5, 0)]}
    assert build_catalog(spot_meta, {}, []).resolve("SOL/USDC").coin == "@9"


# Metadata in disorder


def test_bad_rows_are_quarantined_with_the_reason_and_the_rest_is_used() -> None:
    spot_meta = {
        "tokens": [
            _token(0, "USDC", 8),
            _token(150, "HYPE"),
            _token(150, "FAKE"),
            _token(7, "FINE", 9, 8),
            {"index": 8, "name": "HALF"},
            _token(9, "WIDE", 2, 99),
            "nonsense",
        ],
        "universe": [
            _pair(107, 150, 0),
            _pair(1, 999, 0),
            _pair(2, 7, 0),
            _pair(3, 8, 0),
            {"name": "@4", "index": 4, "tokens": [150]},
            {"name": "@5", "tokens": [150, 0]},
            _pair(107, 150, 0),
            None,
        ],
    }
    meta = {"universe": [{"name": "BTC", "szDecimals": 7}, None, {"name": "ETH", "szDecimals": 4}]}
    catalog = build_catalog(spot_meta, {"": meta, "lost": {"universe": []}}, PERP_DEXS)

    assert [market.coin for market in catalog.markets] == ["ETH", "@107"]
    assert catalog.by_coin[Coin("ETH")].asset == 2
    report = "\n".join(catalog.quarantined)
    for line in (
        "token FAKE: its index 150 belongs to HYPE already",
        "token HALF: szDecimals must be a whole number, not None",
        "token WIDE: weiDecimals 99 is above 30",
        "token 'nonsense'",
        "spot pair @1: token 999 is not listed",
        "spot pair @2: a lot of FINE is smaller than its smallest balance",
        "spot pair @3: token 8 is not listed",
        "spot pair @4: it does not name two tokens",
        "spot pair @5: index must be a whole number, not None",
        "market @107: its name or asset id 10107 is taken already",
        "perp BTC: BTC: szDecimals 7 is outside 0..6",
        "perp None",
        "perp dex lost: perpDexs does not list it",
    ):
        assert line in report
    assert len(catalog.quarantined) == 14


def test_perps_in_an_unlisted_collateral_are_quarantined() -> None:
    catalog = build_catalog(SPOT_META, {"": {**META, "collateralToken": 12345}}, PERP_DEXS)
    assert all(market.kind is MarketKind.SPOT for market in catalog.markets)
    assert sum("token 12345, is not listed" in line for line in catalog.quarantined) == 3


def test_a_pair_cannot_take_the_wire_name_of_a_perp() -> None:
    spot_meta = {**SPOT_META, "universe": [_pair(107, 150, 0, "BTC")]}
    catalog = build_catalog(spot_meta, {"": META}, PERP_DEXS)
    assert catalog.by_coin[Coin("BTC")].asset == 0
    assert "market BTC: its name or asset id 10107 is taken already" in catalog.quarantined


@pytest.mark.parametrize(
    ("spot_meta", "metas", "perp_dexs"),
    [
        ({}, {}, []),
        (None, {}, []),
        ({"tokens": [], "universe": {}}, {}, []),
        (SPOT_META, {"": {}}, []),
        (SPOT_META, {"": None}, []),
        (SPOT_META, {}, None),
        (SPOT_META, {}, "xyz"),
    ],
)
def test_a_reply_of_another_shape_is_a_metadata_error(spot_meta: Any, metas: Any, perp_dexs: Any) -> None:
    with pytest.raises(MetadataError):
        build_catalog(spot_meta, metas, perp_dexs)
