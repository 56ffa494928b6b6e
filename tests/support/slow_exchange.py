"""A second exchange, slow and obvious, to compare the real one with. Written from the venue's rules alone.

It shares no line with `mmtrio`: fractions instead of integers, one list of orders that is sorted for every match, holds
added up from what rests each time they are asked for. Where the venue's rules are not established it does what
`mmtrio/exchange` says it does, and the comment says so.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from typing import Any

TAKER, MAKER = Fraction(7, 10_000), Fraction(4, 10_000)
FEES = "fees"


@dataclass(frozen=True)
class SlowMarket:
    coin: str
    asset: int
    base: str
    quote: str
    size_decimals: int
    base_wei_decimals: int
    reference: Fraction


@dataclass
class SlowOrder:
    number: int
    user: str
    market: SlowMarket
    is_buy: bool
    price: Fraction
    size: Fraction
    """What remains."""
    original: Fraction
    tif: str
    cloid: str | None

    @property
    def hold(self) -> tuple[str, Fraction]:
        if self.is_buy:
            return self.market.quote, self.price * self.size
        return self.market.base, self.size


@dataclass
class SlowBlock:
    """What a block did. Statuses are `("resting",)`, `("filled", size, average)`, `("error", text)`, `"success"`."""

    replies: list[Any] = field(default_factory=list)
    trades: list[tuple[str, str, Fraction, Fraction, str, str]] = field(default_factory=list)
    """(coin, aggressor's side, price, size, buyer, seller)"""
    updates: list[tuple[str, str, str, Fraction, Fraction, str | None]] = field(default_factory=list)
    """(user, status, coin, price, remaining size, cloid)"""
    fills: list[tuple[str, str, Fraction, Fraction, bool, str, Fraction, Fraction]] = field(
        default_factory=list
    )
    """(user, side, price, size, is taker, fee token, fee, base balance before)"""


class SlowExchange:
    def __init__(self, markets: list[SlowMarket], balances: dict[str, dict[str, Fraction]]) -> None:
        self.markets = {market.asset: market for market in markets}
        self.references = {market.coin: market.reference for market in markets}
        self.totals: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for user, tokens in balances.items():
            for token, amount in tokens.items():
                self.totals[user, token] = amount
        self.orders: list[SlowOrder] = []
        self._waiting: list[tuple[str, dict, Any]] = []
        self._count = 0
        self._block = SlowBlock()

    # What is asked of it

    def resting(self, user: str) -> list[SlowOrder]:
        """Oldest first."""
        return sorted((o for o in self.orders if o.user == user), key=lambda o: o.number)

    def hold(self, user: str, token: str) -> Fraction:
        return sum((o.hold[1] for o in self.orders if o.user == user and o.hold[0] == token), Fraction(0))

    def free(self, user: str, token: str) -> Fraction:
        return self.totals[user, token] - self.hold(user, token)

    def submit(self, user: str, action: dict) -> None:
        """Errors of the payload alone are found now; all else happens in the block."""
        self._waiting.append((user, action, self._payload_error(action)))

    def run_block(self) -> SlowBlock:
        self._block, waiting, self._waiting = SlowBlock(), self._waiting, []
        replies: dict[int, Any] = {}
        for wanted_lane in (1, 2, 3):
            for index, (user, action, error) in enumerate(waiting):
                if slow_lane(action) == wanted_lane:
                    replies[index] = error if error is not None else self._run(user, action)
        self._block.replies = [replies[index] for index in range(len(waiting))]
        return self._block

    # Before the block

    def _payload_error(self, action: dict) -> Any:
        if action["type"] == "order":
            rows = action["orders"]
        elif action["type"] == "batchModify":
            rows = [modify["order"] for modify in action["modifies"]]
        else:
            return None
        for row in rows:
            market = self.markets[row["a"]]
            price, size = Fraction(row["p"]), Fraction(row["s"])
            reference = self.references[market.coin]
            if size * 10**market.size_decimals % 1:
                return [("error", f"Order has invalid size. asset={market.asset}")]
            if size == 0:
                return [("error", f"Order has zero size. asset={market.asset}")]
            if abs(price - reference) > reference * Fraction(80, 100):
                text = "Order price cannot be more than 80% away from the reference price"
                return [("error", f"{text} asset={market.asset}")]
        return None

    # Inside the block

    def _run(self, user: str, action: dict) -> list[Any]:
        if action["type"] == "order":
            return [self._place(user, row, row["t"]["limit"]["tif"]) for row in action["orders"]]
        if action["type"] == "batchModify":
            is_always = action.get("a", False)
            return [self._modify(user, m["oid"], m["order"], is_always) for m in action["modifies"]]
        return [self._cancel(user, cancel) for cancel in action["cancels"]]

    def _cancel(self, user: str, cancel: dict) -> Any:
        order = self._find(user, cancel.get("cloid", cancel.get("o")))
        asset = cancel.get("asset", cancel.get("a"))
        if order is None or order.market.asset != asset:
            return ("error", f"Order was never placed, already canceled, or filled. asset={asset}")
        self._end(order, "canceled")
        return "success"

    def _modify(self, user: str, target: Any, row: dict, is_always: bool) -> Any:
        old = self._find(user, target)
        if old is None and not is_always:
            return ("error", "Cannot modify canceled or filled order")
        tif, market = row["t"]["limit"]["tif"], self.markets[row["a"]]
        if (text := self._tick_error(row)) is not None:
            return ("error", text)
        if old is not None and (old.market != market or old.is_buy != row["b"]):
            return ("error", f"Order modify cannot change asset or side. asset={market.asset}")
        if not is_always:
            if tif == "Ioc":
                return ("error", f"Order modify must be post only. asset={market.asset}")
            tif = "Alo"
        if (
            old is None or self._minimum_error(row) is not None
        ):  # What could never be leaves the old one alone.
            return self._place(user, row, tif)
        self.orders.remove(old)  # Otherwise it is gone, whatever becomes of the new one: not established.
        status = self._place(user, row, tif)
        self._tell(old, "canceled")
        return status

    def _place(self, user: str, row: dict, tif: str) -> Any:
        market = self.markets[row["a"]]
        if (text := self._tick_error(row) or self._minimum_error(row)) is not None:
            return ("error", text)
        price, size = Fraction(row["p"]), Fraction(row["s"])
        self._count += 1
        order = SlowOrder(self._count, user, market, row["b"], price, size, size, tif, row.get("c"))
        token, amount = order.hold
        if self.free(user, token) < amount:
            return ("error", f"Insufficient spot balance asset={market.asset}")
        if tif == "Alo" and self._opposite(order):
            return ("error", "Post only order would have immediately matched")
        if tif != "Alo":
            self._match(order)
        filled = size - order.size
        if order.size and tif != "Ioc":
            self.orders.append(order)
            self._tell(order, "open")
            return ("resting",)
        if not filled:
            text = "Order could not immediately match against any resting orders."
            return ("error", f"{text} asset={market.asset}")
        self._tell(order, "canceled" if order.size else "filled")
        spent = sum((t[2] * t[3] for t in self._block.trades[-self._n_matched :]), Fraction(0))
        return ("filled", filled, truncated(spent / filled, 8))

    def _match(self, taker: SlowOrder) -> None:
        self._n_matched = 0
        while taker.size and (makers := self._opposite(taker)):
            maker = makers[0]
            if maker.user == taker.user:
                self._end(maker, "selfTradeCanceled")
                continue
            size = min(maker.size, taker.size)
            self._n_matched += 1
            self._trade(taker, maker, size)

    def _opposite(self, order: SlowOrder) -> list[SlowOrder]:
        """Whom this order would meet, best price first, oldest first."""
        crossing = [
            o
            for o in self.orders
            if o.market == order.market
            and o.is_buy != order.is_buy
            and (o.price <= order.price if order.is_buy else o.price >= order.price)
        ]
        return sorted(crossing, key=lambda o: (o.price if order.is_buy else -o.price, o.number))

    def _trade(self, taker: SlowOrder, maker: SlowOrder, size: Fraction) -> None:
        market, price = taker.market, maker.price
        buyer, seller = (taker, maker) if taker.is_buy else (maker, taker)
        side = "B" if taker.is_buy else "A"
        self._block.trades.append((market.coin, side, price, size, buyer.user, seller.user))
        self.references[market.coin] = price
        for order, rate in ((taker, TAKER), (maker, MAKER)):
            before = self.totals[order.user, market.base]
            quote_fee = truncated(price * size * rate, 8)
            if order.is_buy:
                token, fee = market.base, truncated(truncated(quote_fee / price, 8), market.base_wei_decimals)
                self.totals[order.user, market.base] += size - fee
                self.totals[order.user, market.quote] -= price * size
            else:
                token, fee = market.quote, quote_fee
                self.totals[order.user, market.base] -= size
                self.totals[order.user, market.quote] += price * size - fee
            self.totals[FEES, token] += fee
            own_side = "B" if order.is_buy else "A"
            row = (order.user, own_side, price, size, order is taker, token, fee, before)
            self._block.fills.append(row)
        taker.size -= size
        maker.size -= size
        if maker.size:
            self._tell(maker, "open")
        else:
            self._end(maker, "filled")

    def _end(self, order: SlowOrder, status: str) -> None:
        self.orders.remove(order)
        self._tell(order, status)

    def _tell(self, order: SlowOrder, status: str) -> None:
        row = (order.user, status, order.market.coin, order.price, order.size, order.cloid)
        self._block.updates.append(row)

    def _find(self, user: str, target: Any) -> SlowOrder | None:
        """By number, or by cloid; of several with one cloid the newest: not established."""
        found = [o for o in self.resting(user) if target in (o.number, o.cloid)]
        return found[-1] if found else None

    def _tick_error(self, row: dict) -> str | None:
        market, price = self.markets[row["a"]], Decimal(row["p"]).normalize()
        _, digits, exponent = price.as_tuple()
        assert isinstance(exponent, int)
        is_whole = exponent >= 0
        if is_whole or (len(digits) <= 5 and -exponent <= 8 - market.size_decimals):
            return None
        return f"Price must be divisible by tick size. asset={market.asset}"

    def _minimum_error(self, row: dict) -> str | None:
        market = self.markets[row["a"]]
        if Fraction(row["p"]) * Fraction(row["s"]) >= 10:
            return None
        return f"Order must have minimum value of 10 {market.quote}. asset={market.asset}"


def slow_lane(action: dict) -> int:
    """1: nothing that may take; 2: cancels; 3: the rest."""
    if action["type"].startswith("cancel"):
        return 2
    if action["type"] == "order":
        tifs = [row["t"]["limit"]["tif"] for row in action["orders"]]
        return 1 if all(tif == "Alo" for tif in tifs) else 3
    tifs = [modify["order"]["t"]["limit"]["tif"] for modify in action["modifies"]]
    harmless = ("Alo",) if action.get("a") else ("Alo", "Gtc")  # A modify without `a` makes ALO of GTC.
    return 1 if all(tif in harmless for tif in tifs) else 3


def truncated(number: Fraction, decimals: int) -> Fraction:
    scaled = Decimal(number.numerator * 10**decimals // number.denominator).to_integral_value(ROUND_DOWN)
    return Fraction(int(scaled), 10**decimals)
