"""The trading floor: books, accounts and records changing together, and what is to be told of it.

Every change of an order passes here, so that book, holds, records and stream updates cannot disagree. Actions and
their replies are `execution.py`; who may act at all is `admission.py`.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable

import attrs

from mmtrio.core.types import Address, Coin, Side
from mmtrio.exchange import rows
from mmtrio.exchange.accounts import Account, Ledger, Leg
from mmtrio.exchange.market_rules import SpotMarket
from mmtrio.exchange.matching import Execution, Order, OrderBook
from mmtrio.exchange.params import EngineParams
from mmtrio.exchange.records import (
    AccountRecords,
    BalanceRow,
    BalanceRows,
    FillRow,
    LaggedRecords,
    OrderRow,
    Record,
)
from mmtrio.exchange.world import OUTSIDE_ACCOUNT, World

_TID_BITS = 50
_FIRST_OID = 100_000_000_000
"""Beyond 2^32, as on the venue, so that nobody keeps an oid in 32 bits."""


@attrs.frozen
class Placement:
    """What became of an order that was placed."""

    order: Order
    error: str | None = None
    filled_lots: int = 0
    notional_e8: int = 0

    @property
    def rests(self) -> bool:
        return self.error is None and self.order.remaining_lots > 0 and self.order.tif in ("Alo", "Gtc")


@attrs.define
class Emission:
    """What one block has to tell, in order."""

    order_rows: list[OrderRow] = attrs.field(factory=list)
    fill_rows: list[FillRow] = attrs.field(factory=list)
    trades: list[rows.Json] = attrs.field(factory=list)
    touched_books: dict[Coin, None] = attrs.field(factory=dict)
    balances_changed: dict[Address, None] = attrs.field(factory=dict)


class TradingFloor:
    """Everything that trades, between blocks and inside them."""

    def __init__(self, world: World, params: EngineParams, *, seed: int, start_ms: int) -> None:
        self.params = params
        self.time_ms = start_ms
        self.markets: dict[Coin, SpotMarket] = {m.coin: m for m in world.markets}
        self.markets_by_asset: dict[int, SpotMarket] = {m.asset: m for m in world.markets}
        self.books: dict[Coin, OrderBook] = {m.coin: OrderBook(m.coin) for m in world.markets}
        self.reference_ticks: dict[Coin, int] = {m.coin: m.reference_ticks for m in world.markets}
        """The last trade's price, or the middle of a recorded book; the world's reference until then."""
        self.trades: dict[Coin, deque[rows.Json]] = {
            m.coin: deque(maxlen=params.trades_max) for m in world.markets
        }
        self.volume_e8: dict[Coin, int] = dict.fromkeys(self.markets, 0)
        self.volume_lots: dict[Coin, int] = dict.fromkeys(self.markets, 0)
        self.ledger = Ledger(world, params.fees)
        self.records: dict[Address, AccountRecords] = {}
        self.lagged: dict[Address, LaggedRecords] = {}
        for account in self.ledger.accounts.values():
            self._open_records(account)
        self.outside_taken: dict[tuple[Coin, Side, int], int] = {}
        """Lots of each recorded level that traders, not the house, have traded with: see outside.py."""
        self.emission = Emission()
        self._seed = seed
        self._next_oid = _FIRST_OID
        self._transaction = ""

    def _open_records(self, account: Account) -> None:
        ended_max, fills_max = self.params.ended_orders_max, self.params.fills_max
        if account.is_house:
            ended_max = fills_max = self.params.house_records_max
        else:
            self.lagged[account.address] = LaggedRecords(AccountRecords(ended_max, fills_max))
        self.records[account.address] = AccountRecords(ended_max, fills_max)
        self._record(account.address, _balance_rows(account))
        if account.address in self.lagged:  # What is there at the start has been there for long.
            self.lagged[account.address].as_of(self.time_ms)

    # Blocks

    def begin_block(self, time_ms: int) -> None:
        """All that follows happens at this one time."""
        self.time_ms = time_ms

    def begin_action(self, height: int, index: int) -> None:
        """What follows is one transaction: its fills share a hash."""
        self._transaction = f"{self._seed}/{height}/{index}"

    def end_block(self) -> Emission:
        """Takes note of the balances and hands over what is to be told."""
        for address in self.emission.balances_changed:
            self._record(address, _balance_rows(self.ledger.accounts[address]))
        horizon_ms = self.time_ms - self.params.rest_lag_ms
        for lagged in self.lagged.values():
            lagged.as_of(horizon_ms)
        emission, self.emission = self.emission, Emission()
        return emission

    # Orders

    def new_order(
        self,
        user: Address,
        market: SpotMarket,
        side: Side,
        price_ticks: int,
        lots: int,
        tif: str,
        cloid: str | None,
    ) -> Order:
        """An order with the next oid. It is nowhere yet."""
        self._next_oid += 1
        return Order(
            self._next_oid, user, market.coin, side, price_ticks, lots, lots, tif, cloid, self.time_ms
        )

    def place(self, order: Order) -> Placement:
        """Matches and rests an order that has passed all checks; IOC orders never rest."""
        book, market = self.books[order.coin], self.markets[order.coin]
        executions, self_traded = book.take(order) if order.tif != "Alo" else ([], [])
        for own in self_traded:
            self._leave_account(own)
            self.tell(own, "selfTradeCanceled")
        notional_e8 = 0
        for execution in executions:
            notional_e8 += execution.maker.price_ticks * execution.size_lots
            self._execute(market, order, execution)
        filled_lots = order.original_lots - order.remaining_lots
        if order.remaining_lots and order.tif in ("Alo", "Gtc"):
            self._rest(order)
            self.tell(order, "open")
        elif filled_lots == 0:
            error = "Order could not immediately match against any resting orders."
            return self.reject(order, "iocCancelRejected", error)
        else:
            self.tell(order, "canceled" if order.remaining_lots else "filled")
        return Placement(order, None, filled_lots, notional_e8)

    def reject(self, order: Order, status: str, text: str) -> Placement:
        """Remembers an order that was refused at placement, under an oid that nobody is told."""
        row = OrderRow(order, order.remaining_lots, status, self.time_ms)
        self._record(order.user, row)
        if self.params.are_rejections_pushed:
            self.emission.order_rows.append(row)
        return Placement(order, f"{text} asset={self.markets[order.coin].asset}")

    def withdraw(self, order: Order) -> None:
        """Takes a resting order off the book and frees its hold. Say why with `tell`."""
        self.books[order.coin].cancel(order)
        self._leave_account(order)

    def shrink(self, order: Order, lots: int) -> None:
        """Takes part of the size off a resting order, which keeps its place. No client can do that: recorded
        liquidity does."""
        assert lots < order.remaining_lots, (order, lots)
        self.ledger.release(order, self.markets[order.coin], lots)
        self.books[order.coin].side(order.side).reduce(order, lots)
        self.touch(order.coin, order.user)
        self.tell(order, "open")

    def remove_silently(self, order: Order) -> None:
        """For tampering: the order goes, its hold is freed, and no stream tells of either."""
        self.books[order.coin].cancel(order)
        self.ledger.accounts[order.user].remove_order(order)
        self.ledger.release(order, self.markets[order.coin], order.remaining_lots)
        self.emission.touched_books[order.coin] = None
        self._record(order.user, OrderRow(order, order.remaining_lots, "canceled", self.time_ms))
        self.record_balances(order.user)

    def tell(self, order: Order, status: str) -> None:
        """Records an order's new state and puts it on the stream."""
        row = OrderRow(order, order.remaining_lots, status, self.time_ms)
        self._record(order.user, row)
        if not self.ledger.accounts[order.user].is_unlimited:
            self.emission.order_rows.append(row)

    def execute_silently(self, taker: Order, maker: Order) -> None:
        """For tampering: two orders that never were in a book trade all they have, and no stream tells of it."""
        market, lots = self.markets[taker.coin], maker.remaining_lots
        assert taker.remaining_lots == lots, (taker, maker)
        self.ledger.hold(maker, market)
        legs = self.ledger.settle(market, taker, maker, lots)
        for order, leg in zip((taker, maker), legs, strict=True):
            order.remaining_lots = 0
            self._record(order.user, self._fill_row(taker, maker, lots, leg, is_taker=order is taker))
            self._record(order.user, OrderRow(order, 0, "filled", self.time_ms))
            self.record_balances(order.user)

    def record_balances(self, user: Address) -> None:
        """Takes note of an account's balances without telling anybody."""
        self._record(user, _balance_rows(self.ledger.accounts[user]))

    def touch(self, coin: Coin, user: Address) -> None:
        """This book and this account's balances have changed."""
        self.emission.touched_books[coin] = None
        self.emission.balances_changed[user] = None

    def _transaction_hash(self) -> str:
        return "0x" + hashlib.sha256(self._transaction.encode()).hexdigest()

    def _rest(self, order: Order) -> None:
        self.books[order.coin].rest(order)
        self.ledger.accounts[order.user].add_order(order)
        self.ledger.hold(order, self.markets[order.coin])
        self.touch(order.coin, order.user)

    def _leave_account(self, order: Order) -> None:
        """The book has let go of it; so does its account."""
        self.ledger.accounts[order.user].remove_order(order)
        self.ledger.release(order, self.markets[order.coin], order.remaining_lots)
        self.touch(order.coin, order.user)

    def _execute(self, market: SpotMarket, taker: Order, execution: Execution) -> None:
        maker, lots = execution.maker, execution.size_lots
        taker_leg, maker_leg = self.ledger.settle(market, taker, maker, lots)
        if not maker.remaining_lots:
            self.ledger.accounts[maker.user].remove_order(maker)
        taker_row = self._fill_row(taker, maker, lots, taker_leg, is_taker=True)
        self._fill(taker_row)
        self._fill(self._fill_row(taker, maker, lots, maker_leg, is_taker=False))
        self.tell(maker, "open" if maker.remaining_lots else "filled")
        trade = rows.trade(taker_row, maker)
        self.trades[market.coin].append(trade)
        self.emission.trades.append(trade)
        self.reference_ticks[market.coin] = maker.price_ticks
        self.volume_e8[market.coin] += maker.price_ticks * lots
        self.volume_lots[market.coin] += lots
        self._note_outside(taker, maker.user, lots)
        self._note_outside(maker, taker.user, lots)
        self.touch(market.coin, taker.user)
        self.touch(market.coin, maker.user)

    def _note_outside(self, order: Order, other: Address, lots: int) -> None:
        if order.user == OUTSIDE_ACCOUNT and not self.ledger.accounts[other].is_house:
            key = order.coin, order.side, order.price_ticks
            self.outside_taken[key] = self.outside_taken.get(key, 0) + lots

    def _fill(self, row: FillRow) -> None:
        self._record(row.order.user, row)
        if not self.ledger.accounts[row.order.user].is_unlimited:
            self.emission.fill_rows.append(row)

    def _fill_row(self, taker: Order, maker: Order, lots: int, leg: Leg, *, is_taker: bool) -> FillRow:
        return FillRow(
            market=self.markets[maker.coin],
            order=taker if is_taker else maker,
            price_ticks=maker.price_ticks,
            size_lots=lots,
            time_ms=self.time_ms,
            is_taker=is_taker,
            start_units=leg.start_units,
            fee_units=leg.fee_units,
            closed_pnl_e8=leg.closed_pnl_e8,
            tid=execution_tid(taker, maker),
            hash=self._transaction_hash(),
        )

    def _record(self, user: Address, record: Record) -> None:
        self.records[user].apply(record)
        lagged = self.lagged.get(user)
        if lagged is not None:
            lagged.note(record, self.time_ms)

    def resting(self) -> Iterable[Order]:
        """Every order in every book."""
        for book in self.books.values():
            yield from book.bids
            yield from book.asks

    def check_invariants(self) -> None:
        """Books, accounts, holds and records say the same, and no book is crossed."""
        holds: dict[tuple[Address, int], int] = {}
        resting: dict[Address, list[int]] = {}
        for order in self.resting():
            assert order.remaining_lots > 0, order
            market = self.markets[order.coin]
            key = order.user, (market.quote if order.side is Side.BUY else market.base).index
            lot_units = order.price_ticks if order.side is Side.BUY else market.base_units_per_lot
            holds[key] = holds.get(key, 0) + order.remaining_lots * lot_units
            resting.setdefault(order.user, []).append(order.oid)
        for account in self.ledger.accounts.values():
            address = account.address
            assert sorted(resting.get(address, [])) == sorted(account.orders), address
            assert sorted(account.orders) == sorted(self.records[address].open), address
            for index, balance in account.balances.items():
                assert balance.hold_units == holds.get((address, index), 0), (address, index, balance)
                assert account.is_unlimited or balance.free_units >= 0, (address, index, balance)
        for book in self.books.values():
            bid, ask = book.bids.best_ticks(), book.asks.best_ticks()
            assert bid is None or ask is None or bid < ask, (book.coin, bid, ask)


def execution_tid(one: Order, other: Order) -> int:
    """The id both sides of an execution share: 50 bits of a hash of (buyer oid, seller oid)."""
    buyer, seller = (one, other) if one.side is Side.BUY else (other, one)
    digest = hashlib.blake2b(f"{buyer.oid}/{seller.oid}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _TID_BITS) or 1  # Zero means something else.


def _balance_rows(account: Account) -> BalanceRows:
    return tuple(
        BalanceRow(index, b.total_units, b.hold_units, b.entry_e8)
        for index, b in sorted(account.balances.items())
    )
