"""What the venue says no to in an order, word for word, and in which order it looks.

Some errors depend on the payload alone: they come back once, for the whole batch, before anything is done
(`before_batch`). The others come one per order. All carry the suffix ` asset=N` that the venue's documentation
leaves out. Source: protocol 7, 10, 12.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mmtrio.core.types import Side
from mmtrio.exchange.accounts import Account
from mmtrio.exchange.actions import Action, CancelAction, ModifyAction, NoopAction, OrderAction, OrderRequest
from mmtrio.exchange.floor import TradingFloor
from mmtrio.exchange.market_rules import SPOT_ASSET_OFFSET, SpotMarket
from mmtrio.exchange.matching import Order
from mmtrio.exchange.params import EngineParams

ELEMENTS_MAX = 200
_VOLUME_PER_OPEN_ORDER = 5_000_000
_OPEN_ORDERS_CEILING = 5000

MISSING_ORDER = "Order was never placed, already canceled, or filled."
CANNOT_MODIFY = "Cannot modify canceled or filled order"
OVER_WEIGHT = f"Signed action over weight limit of {ELEMENTS_MAX}."
EXPIRED = "Action already expired"


@attrs.frozen
class PlaceIntent:
    """An order request that is sound as far as it can be known without the book."""

    market: SpotMarket
    side: Side
    price_ticks: int
    size_lots: int
    tif: str
    cloid: str | None
    is_reduce_only: bool


@attrs.frozen
class Refusal:
    """Why an order was refused at placement: its status in the history, and the text of the reply."""

    status: str
    text: str


def before_batch(action: Action, floor: TradingFloor, perp_names: Sequence[str]) -> str | None:
    """The one error for a whole batch of orders or modifies, or None. Nothing is spent on it."""
    match action:
        case CancelAction() | NoopAction():
            return None
        case OrderAction():
            requests = action.orders
            if action.builder is not None:
                return "Builder fee has not been approved"
            if action.grouping != "na":
                return "Invalid grouping for spot orders."
        case ModifyAction():
            requests = tuple(request for _, request in action.modifies)
    for request in requests:
        text = _payload_error(request, floor, perp_names)
        if text is not None:
            return f"{text} asset={request.asset}"
    return None


def _payload_error(request: OrderRequest, floor: TradingFloor, perp_names: Sequence[str]) -> str | None:
    market = floor.markets_by_asset.get(request.asset)
    if market is None:
        is_perp = request.asset < min(len(perp_names), SPOT_ASSET_OFFSET)
        return "This exchange does not trade perpetuals yet." if is_perp else "Order has invalid asset."
    if request.trigger is not None:
        return "Invalid TP/SL price."
    if request.price_e8 is None or request.price_e8 <= 0:
        return "Order has invalid price."
    if request.size_e8 is None or request.size_e8 < 0 or market.lots_of(request.size_e8) is None:
        return "Order has invalid size."
    if request.size_e8 == 0:
        return "Order has zero size."
    reference_e8 = floor.reference_ticks[market.coin] * 10**market.size_decimals
    band_pct = floor.params.price_band_pct
    if abs(request.price_e8 - reference_e8) * 100 > band_pct * reference_e8:
        return f"Order price cannot be more than {band_pct}% away from the reference price"
    return None


def before_placing(request: OrderRequest, floor: TradingFloor) -> PlaceIntent | str:
    """The intent of a request that passed `before_batch`, or the error that neither book nor balance can cure."""
    market = floor.markets_by_asset[request.asset]
    assert request.price_e8 is not None and request.size_e8 is not None and request.tif is not None, request
    price_ticks = market.ticks_of(request.price_e8)
    if price_ticks is None:
        return f"Price must be divisible by tick size. asset={request.asset}"
    size_lots = market.lots_of(request.size_e8)
    assert size_lots, request
    side = Side.BUY if request.is_buy else Side.SELL
    tif = "Ioc" if request.tif == "FrontendMarket" else request.tif
    return PlaceIntent(market, side, price_ticks, size_lots, tif, request.cloid, request.is_reduce_only)


def lasting_refusal(intent: PlaceIntent, params: EngineParams) -> Refusal | None:
    """The first rule broken whatever the book and the balance are, or None."""
    if intent.is_reduce_only:  # On spot there is no position to reduce.
        return Refusal("reduceOnlyRejected", "Reduce only order would increase position.")
    if intent.price_ticks * intent.size_lots < params.min_notional_quote * 10**8:
        text = f"Order must have minimum value of {params.min_notional_quote} {intent.market.quote.name}."
        return Refusal("minTradeNtlRejected", text)
    return None


def passing_refusal(order: Order, floor: TradingFloor) -> Refusal | None:
    """The first rule an order breaks with the book and the balances as they are now, or None."""
    market, account = floor.markets[order.coin], floor.ledger.accounts[order.user]
    may_rest = order.tif != "Ioc"
    if may_rest and not account.is_house and len(account.orders) >= _open_orders_max(account, floor.params):
        # The venue's text was never recorded.
        return Refusal("tooManyOpenOrdersRejected", "Too many open orders.")
    if not floor.ledger.can_afford(account, market, order.side, order.price_ticks, order.original_lots):
        return Refusal("insufficientSpotBalanceRejected", "Insufficient spot balance")
    if order.tif == "Alo" and floor.books[order.coin].would_match(order.side, order.price_ticks):
        text = f"Post only order would have immediately matched, bbo was {_bbo(floor, market)}."
        return Refusal("badAloPxRejected", text)
    return None


def _open_orders_max(account: Account, params: EngineParams) -> int:
    bought_by_volume = account.volume_e8 // (_VOLUME_PER_OPEN_ORDER * 10**8)
    return min(params.open_orders_max + bought_by_volume, _OPEN_ORDERS_CEILING)


def _bbo(floor: TradingFloor, market: SpotMarket) -> str:
    book = floor.books[market.coin]
    bid, ask = book.bids.best_ticks(), book.asks.best_ticks()
    # How an empty side is written was never recorded; zero is our guess.
    return f"{market.short_price_text(bid or 0)}@{market.short_price_text(ask or 0)}"
