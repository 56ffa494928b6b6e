"""Values for tests: each builder names what may matter and defaults all the rest.

Decimal text is allowed here (`amount(USDC, "12.5")`), because a test should read as a person would say it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction

from mmtrio.core.events import (
    BalancesRead,
    Fill,
    FillKey,
    FillSource,
    OpenOrdersRead,
    OrderUpdated,
    PlaceItem,
    ReadPurpose,
    RestingOrder,
    TimeInForce,
    TokenBalance,
)
from mmtrio.core.market import Market, MarketKind
from mmtrio.core.strategy import DesiredOrder, OwnOrder, View
from mmtrio.core.types import Address, Amount, Cloid, Coin, Instant, Side, SlotKey, Token

ACCOUNT = Address("0x" + "a1" * 20)
START_MS = 1_760_000_000_000
"""The wall clock when a test's monotone clock stands at 0."""

# Tokens and amounts


def spot_token(name: str = "HYPE", index: int = 150, size_decimals: int = 2, wei_decimals: int = 8) -> Token:
    return Token(index=index, name=name, size_decimals=size_decimals, wei_decimals=wei_decimals)


USDC = spot_token("USDC", index=0, size_decimals=8, wei_decimals=8)
HYPE = spot_token("HYPE", index=150)
PURR = spot_token("PURR", index=1, size_decimals=0, wei_decimals=5)


def amount(token: Token, text: str | int | Decimal) -> Amount:
    """An exact amount from decimal text; a ValueError where the token has fewer decimals."""
    return Amount(token, units(token, text))


def units(token: Token, text: str | int | Decimal) -> int:
    exact = Fraction(Decimal(text)) * 10**token.wei_decimals
    if exact.denominator != 1:
        raise ValueError(f"{token.name} has {token.wei_decimals} decimals, {text} has more")
    return int(exact)


# Markets


def market(
    coin: str = "@107",
    *,
    size_decimals: int = 2,
    base: Token | None = None,
    quote: Token = USDC,
    name: str | None = None,
    asset: int = 10107,
    min_notional: str = "10",
) -> Market:
    """A spot market, HYPE/USDC unless told otherwise: lots of 0.01, ticks of 0.000001."""
    base = base if base is not None else spot_token(size_decimals=size_decimals)
    return Market(
        coin=Coin(coin),
        name=name if name is not None else f"{base.name}/{quote.name}",
        asset=asset,
        kind=MarketKind.SPOT,
        size_decimals=size_decimals,
        base=base,
        quote=quote,
        min_notional=Decimal(min_notional),
    )


def perp_market(
    coin: str = "BTC",
    *,
    size_decimals: int = 5,
    asset: int = 0,
    quote: Token = USDC,
    min_notional: str = "10",
) -> Market:
    return Market(
        coin=Coin(coin),
        name=coin,
        asset=asset,
        kind=MarketKind.PERP,
        size_decimals=size_decimals,
        base=None,
        quote=quote,
        min_notional=Decimal(min_notional),
        max_leverage=40,
    )


def purr_market() -> Market:
    """PURR/USDC: whole lots, a base token of five decimals."""
    return market("PURR/USDC", size_decimals=0, base=PURR, asset=10000)


# Time and identity


def instant(seconds: float = 0.0) -> Instant:
    """The instant so many seconds after the test began."""
    return Instant(mono_ns=0, wall_ms=START_MS).plus_s(seconds)


def cloid(number: int) -> Cloid:
    return Cloid(f"0x{number:032x}")


def slot(
    side: Side = Side.BUY, level: int = 0, *, strategy: str = "hip2", coin: str | Coin = "@107"
) -> SlotKey:
    return SlotKey(strategy=strategy, coin=Coin(coin), side=side, slot=level)


# Fills and reads


def fill(
    side: Side = Side.BUY,
    *,
    price_ticks: int = 35_000_000,
    size_lots: int = 100,
    tid: int = 1,
    oid: int = 1,
    cloid: Cloid | None = None,
    coin: str | Coin = "@107",
    time_ms: int = START_MS,
    fee_token: int | None = None,
    fee_units: int = 0,
    is_taker: bool = False,
    source: FillSource = FillSource.STREAM,
) -> Fill:
    """A fill on HYPE/USDC at 35 for 1 HYPE without a fee, which is counted in base on a buy and in quote on a sell."""
    if fee_token is None:
        fee_token = HYPE.index if side is Side.BUY else USDC.index
    return Fill(
        key=FillKey(account=ACCOUNT, coin=Coin(coin), time_ms=time_ms, tid=tid, oid=oid),
        coin=Coin(coin),
        side=side,
        price_ticks=price_ticks,
        size_lots=size_lots,
        oid=oid,
        cloid=cloid,
        time_ms=time_ms,
        fee_token=fee_token,
        fee_units=fee_units,
        is_taker=is_taker,
        source=source,
    )


def balances_read(
    balances: Mapping[Token, str | int | Decimal],
    *,
    at: Instant | None = None,
    purpose: ReadPurpose | None = ReadPurpose.RECONCILE,
) -> BalancesRead:
    """What the venue says is owned: `balances_read({USDC: "1000"})`. Nothing is on hold."""
    return BalancesRead(
        balances=tuple(
            TokenBalance(token=token.index, total_units=units(token, text), hold_units=0)
            for token, text in balances.items()
        ),
        requested_at=at if at is not None else instant(),
        purpose=purpose,
    )


def order_updated(
    status: str = "open",
    *,
    cloid: Cloid | None = None,
    oid: int = 1,
    side: Side = Side.BUY,
    price_ticks: int = 35_000_000,
    size_lots: int = 100,
    original_lots: int | None = None,
    coin: str | Coin = "@107",
    status_ms: int = START_MS,
) -> OrderUpdated:
    return OrderUpdated(
        coin=Coin(coin),
        side=side,
        price_ticks=price_ticks,
        size_lots=size_lots,
        original_lots=original_lots if original_lots is not None else size_lots,
        oid=oid,
        cloid=cloid,
        status=status,
        status_ms=status_ms,
        placed_ms=START_MS,
    )


def resting_order(
    cloid: Cloid | None = None,
    *,
    oid: int = 1,
    side: Side = Side.BUY,
    price_ticks: int = 35_000_000,
    size_lots: int = 100,
    original_lots: int | None = None,
    coin: str | Coin = "@107",
) -> RestingOrder:
    return RestingOrder(
        coin=Coin(coin),
        side=side,
        price_ticks=price_ticks,
        size_lots=size_lots,
        original_lots=original_lots if original_lots is not None else size_lots,
        oid=oid,
        cloid=cloid,
        placed_ms=START_MS,
    )


def open_orders_read(
    orders: Iterable[RestingOrder] = (),
    *,
    at: Instant | None = None,
    purpose: ReadPurpose = ReadPurpose.RECONCILE,
) -> OpenOrdersRead:
    return OpenOrdersRead(
        orders=tuple(orders), requested_at=at if at is not None else instant(), purpose=purpose
    )


# Orders we want and orders we have


def place_item(
    cloid: Cloid,
    *,
    side: Side = Side.BUY,
    level: int = 0,
    price_ticks: int = 35_000_000,
    size_lots: int = 100,
    coin: str | Coin = "@107",
) -> PlaceItem:
    return PlaceItem(
        cloid=cloid,
        slot=slot(side, level, coin=coin),
        coin=Coin(coin),
        side=side,
        price_ticks=price_ticks,
        size_lots=size_lots,
        time_in_force=TimeInForce.ALO,
    )


def wanted_bid(level: int, price_ticks: int = 35_000_000, size_lots: int = 100) -> DesiredOrder:
    return DesiredOrder(Side.BUY, level, price_ticks, size_lots)


def wanted_ask(level: int, price_ticks: int = 35_100_000, size_lots: int = 100) -> DesiredOrder:
    return DesiredOrder(Side.SELL, level, price_ticks, size_lots)


def own_bid(
    level: int, price_ticks: int = 35_000_000, size_lots: int = 100, *, is_certain: bool = True
) -> OwnOrder:
    return OwnOrder(Side.BUY, level, price_ticks, size_lots, is_certain)


def own_ask(
    level: int, price_ticks: int = 35_100_000, size_lots: int = 100, *, is_certain: bool = True
) -> OwnOrder:
    return OwnOrder(Side.SELL, level, price_ticks, size_lots, is_certain)


def view(
    market: Market,
    base: str | int | Decimal = 0,
    quote: str | int | Decimal = 0,
    *,
    own_orders: tuple[OwnOrder, ...] = (),
    at: Instant | None = None,
) -> View:
    """What a strategy on a spot market sees when these balances are allocated to it."""
    assert market.base is not None, market
    return View(
        market=market,
        at=at if at is not None else instant(),
        base=amount(market.base, base),
        quote=amount(market.quote, quote),
        own_orders=own_orders,
    )
