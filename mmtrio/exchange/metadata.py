"""The answers that describe the world: tokens, markets, perp listings, contexts (protocol 5.1, 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmtrio.core.types import Coin
from mmtrio.exchange.floor import TradingFloor
from mmtrio.exchange.market_rules import SpotMarket, SpotToken
from mmtrio.exchange.world import PerpListing, World
from mmtrio.wire.decimals import venue_text

Json = dict[str, Any]


def spot_meta(world: World) -> Json:
    """Tokens stand in the order of the world, pairs in theirs: look up by `index` (protocol 16.6)."""
    return {
        "universe": [
            {
                "name": market.coin,
                "tokens": [market.base.index, market.quote.index],
                "index": market.index,
                "isCanonical": market.is_canonical,
            }
            for market in world.markets
        ],
        "tokens": [_token(token) for token in world.tokens],
    }


def perp_meta(world: World) -> Json:
    """Asset ids are positions; a delisted entry keeps its own (protocol 16.7)."""
    universe, tiers = [], {}
    for perp in world.perps:
        row: Json = {
            "szDecimals": perp.size_decimals,
            "name": perp.name,
            "maxLeverage": perp.max_leverage,
            "marginTableId": perp.max_leverage,
        }
        if perp.is_delisted:
            row["isDelisted"] = True
        universe.append(row)
        tier = {"lowerBound": "0.0", "maxLeverage": perp.max_leverage}
        tiers[perp.max_leverage] = {"description": "", "marginTiers": [tier]}
    return {
        "universe": universe,
        "marginTables": [[k, tiers[k]] for k in sorted(tiers)],
        "collateralToken": 0,
    }


def spot_contexts(world: World, floor: TradingFloor, total_units: Mapping[int, int]) -> list[Json]:
    """One context per market; day figures count from the start of this exchange."""
    return [_spot_context(market, floor, total_units) for market in world.markets]


def perp_contexts(world: World) -> list[Json]:
    return [_perp_context(perp) for perp in world.perps]


def all_mids(world: World, floor: TradingFloor) -> dict[str, str]:
    """Perp listings by their reference price, spot markets by the middle of their book."""
    mids = {perp.name: _perp_price_text(perp) for perp in world.perps if not perp.is_delisted}
    return mids | {market.coin: mid_text(market, floor) for market in world.markets}


def mid_text(market: SpotMarket, floor: TradingFloor) -> str:
    """The middle of the touch; without one, the last price that counted."""
    book = floor.books[market.coin]
    bid, ask = book.bids.best_ticks(), book.asks.best_ticks()
    if bid is None or ask is None:
        return market.price_text(floor.reference_ticks[market.coin])
    return venue_text((bid + ask) * 5, market.price_decimals + 1)  # Half a tick is one decimal more.


def is_listed(coin: object, world: World) -> bool:
    """Whether a name is a coin of this world, case and all."""
    return any(coin == market.coin for market in world.markets) or any(
        coin == perp.name for perp in world.perps
    )


def book_levels(
    floor: TradingFloor, coin: Coin, depth: int, n_sig_figs: int | None = None, mantissa: int | None = None
) -> list[list[Json]]:
    """`levels` of an l2Book: bids, then asks, best first. Perp listings have empty books.

    With `n_sig_figs` (2 to 5) prices are merged away from the touch, with `mantissa` (2 or 5, only at five figures)
    into steps of that many.
    """
    market = floor.markets.get(coin)
    if market is None:
        return [[], []]
    book = floor.books[coin]
    result = []
    for side, is_bid in ((book.bids, True), (book.asks, False)):
        if n_sig_figs is None:
            levels = side.depth(depth)
        else:
            levels = _merged(side.depth(1_000_000), depth, is_bid, n_sig_figs, mantissa or 1)
        result.append([{"px": market.price_text(p), "sz": market.size_text(s), "n": n} for p, s, n in levels])
    return result


def _merged(
    levels: list[tuple[int, int, int]], depth: int, is_bid: bool, n_sig_figs: int, mantissa: int
) -> list[tuple[int, int, int]]:
    merged: dict[int, tuple[int, int]] = {}
    for price_ticks, size_lots, n_orders in levels:
        step = 10 ** max(0, len(str(price_ticks)) - n_sig_figs) * mantissa
        steps = price_ticks // step if is_bid else -(-price_ticks // step)
        size_before, n_before = merged.get(steps * step, (0, 0))
        if steps * step not in merged and len(merged) == depth:
            break
        merged[steps * step] = (size_before + size_lots, n_before + n_orders)
    return [(price, size, n) for price, (size, n) in merged.items()]


def _token(token: SpotToken) -> Json:
    return {
        "name": token.name,
        "szDecimals": token.size_decimals,
        "weiDecimals": token.wei_decimals,
        "index": token.index,
        "tokenId": token.token_id,
        "isCanonical": token.is_canonical,
        "evmContract": None,
        "fullName": token.full_name,
        "deployerTradingFeeShare": "0.0",
    }


def _spot_context(market: SpotMarket, floor: TradingFloor, total_units: Mapping[int, int]) -> Json:
    mark = market.price_text(floor.reference_ticks[market.coin])
    supply = venue_text(total_units[market.base.index], market.base.wei_decimals)
    return {
        "prevDayPx": market.price_text(market.reference_ticks),
        "dayNtlVlm": venue_text(floor.volume_e8[market.coin], 8),
        "markPx": mark,
        "midPx": mid_text(market, floor),
        "circulatingSupply": supply,
        "coin": market.coin,
        "totalSupply": supply,
        "dayBaseVlm": market.size_text(floor.volume_lots[market.coin]),
    }


def _perp_context(perp: PerpListing) -> Json:
    price = _perp_price_text(perp)
    return {
        "funding": "0.0",
        "openInterest": "0.0",
        "prevDayPx": price,
        "dayNtlVlm": "0.0",
        "premium": None,
        "oraclePx": price,
        "markPx": price,
        "midPx": None,
        "impactPxs": None,
        "dayBaseVlm": "0.0",
    }


def _perp_price_text(perp: PerpListing) -> str:
    return venue_text(int(perp.reference_px.scaleb(6)), 6)
