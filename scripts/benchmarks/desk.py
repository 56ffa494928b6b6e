"""A fill goes into the desk, the batch that answers it comes out: booked, requoted, checked, registered. No I/O."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from statistics import median

import attrs

from benchmarks.figures import Figure
from benchmarks.markets import HYPE, HYPE_USDC, USDC
from mmtrio.core.account_desk import AccountDesk
from mmtrio.core.batch_emitter import BatchEmitter, EmitterParams
from mmtrio.core.events import (
    AccountRead,
    BalancesRead,
    Batch,
    BatchDone,
    BudgetRead,
    CancelItem,
    Decision,
    Event,
    Fill,
    FillKey,
    FillsRead,
    Heard,
    ItemOutcome,
    ModifyItem,
    OpenOrdersRead,
    OrderUpdated,
    OutcomeKind,
    PlaceItem,
    ReadPurpose,
    SessionLive,
    SessionName,
    SessionOpened,
    SubmitBatch,
    TokenBalance,
)
from mmtrio.core.inventory import Inventory
from mmtrio.core.liveness import Liveness
from mmtrio.core.order_state import Order, OrderState
from mmtrio.core.quoter import Quoter
from mmtrio.core.rate_limit import AddressBudget, IpWeight
from mmtrio.core.strategies.hip2 import Hip2, Hip2Params
from mmtrio.core.types import Address, CloidSource, Instant, Side

ACCOUNT = Address("0x" + "ab" * 20)
START_MS = 1_790_000_000_000
ORDER_LOTS = 200
ROUNDS = 120


def measure() -> Iterator[Figure]:
    for levels, active_levels in [(40, None), (200, None), (1_600, None), (1_600, 20)]:
        shown = "all shown" if active_levels is None else f"{active_levels} a side shown"
        yield Figure(f"{levels:,} levels, {shown}", _reaction_us(levels, active_levels), "us")


def _reaction_us(levels: int, active_levels: int | None) -> float:
    """Median over fills of the best ask and the best bid in turn, each of a whole order: its level changes sides."""
    venue = _Venue(_desk(levels, active_levels))
    venue.start(levels)
    taken_us = []
    for number in range(ROUNDS):
        fill = venue.fill_of_best(Side.SELL if number % 2 == 0 else Side.BUY)
        at = venue.at
        started_ns = time.perf_counter_ns()
        decision = venue.desk.handle(fill, at)
        taken_us.append((time.perf_counter_ns() - started_ns) / 1e3)
        assert decision.commands, "a fill is answered with an order"
        venue.carry_out(decision)
    return median(taken_us[20:])


def _desk(levels: int, active_levels: int | None) -> AccountDesk:
    params = Hip2Params(
        start_px=Decimal(20),
        n_orders=levels,
        order_sz=HYPE_USDC.size(ORDER_LOTS),
        spacing=Fraction(5, 10_000),
        active_levels=active_levels,
    )
    cloids = CloidSource("0a0b0c0d", START_MS)
    return AccountDesk(
        quoters=(Quoter(HYPE_USDC, Hip2(HYPE_USDC, params)),),
        orders=OrderState(cloids, [HYPE_USDC]),
        inventory=Inventory([HYPE_USDC], {}),
        emitter=BatchEmitter(EmitterParams(items_per_tick_max=10_000), cloids),
        address=AddressBudget(),
        ip=IpWeight(),
        liveness=Liveness(),
    )


@attrs.define
class _Venue:
    """Takes whatever the desk sends, and says so on every way the real one does."""

    desk: AccountDesk
    now_s: float = 0.0
    _ids: int = 0

    @property
    def at(self) -> Instant:
        return Instant(0, START_MS).plus_s(self.now_s)

    def start(self, levels: int) -> None:
        """Half of the ladder is owned as base, and there is quote for all of it."""
        rows = (
            TokenBalance(USDC.index, 10**8 * 10**8, 0),
            TokenBalance(HYPE.index, HYPE_USDC.base_amount(levels // 2 * ORDER_LOTS).units, 0),
        )
        purpose = ReadPurpose.START
        self._tell(SessionOpened(SessionName.ACCOUNT, 1))
        self._tell(BalancesRead(rows, None))
        self._tell(SessionLive(SessionName.ACCOUNT, 1))
        self._tell(FillsRead((), 0, self.at, purpose))
        self._tell(OpenOrdersRead((), self.at, purpose))
        self._tell(BalancesRead(rows, self.at, purpose))
        self._tell(BudgetRead(0, 1_000_000, 0, 0, self.at, purpose))
        self._tell(AccountRead(purpose, self.at))

    def fill_of_best(self, side: Side) -> Fill:
        """Somebody takes our best order of this side whole."""
        self.now_s += 0.5  # So that a minute holds no more than the IP weight allows.
        self.desk.handle(Heard(SessionName.ACCOUNT, "pong"), self.at)
        orders = [order for order in self.desk.orders.live(HYPE_USDC.coin) if order.side is side]
        best = (min if side is Side.SELL else max)(orders, key=_price)
        assert best.oid is not None
        self._ids += 1
        return Fill(
            key=FillKey(ACCOUNT, best.coin, START_MS, self._ids, best.oid),
            coin=best.coin,
            side=side,
            price_ticks=best.price_ticks,
            size_lots=best.remaining_lots,
            oid=best.oid,
            cloid=best.cloid,
            time_ms=START_MS + round(self.now_s * 1e3),
            fee_token=USDC.index,
            fee_units=0,
            is_taker=False,
        )

    def carry_out(self, decision: Decision) -> None:
        for command in decision.commands:
            if isinstance(command, SubmitBatch):
                self._tell(BatchDone(command.batch.id, tuple(self._accepted(command.batch)), 0.1))
                for item in command.batch.items:
                    self._tell(self._update(item))

    def _accepted(self, batch: Batch) -> Iterator[ItemOutcome]:
        for item in batch.items:
            if isinstance(item, CancelItem):
                yield ItemOutcome(item.cloid, OutcomeKind.CANCELLED)
            else:
                self._ids += 1
                cloid = item.order.cloid if isinstance(item, ModifyItem) else item.cloid
                yield ItemOutcome(cloid, OutcomeKind.RESTING, oid=self._ids)

    def _update(self, item: PlaceItem | ModifyItem | CancelItem) -> OrderUpdated:
        cloid = item.order.cloid if isinstance(item, ModifyItem) else item.cloid
        order = self.desk.orders.get(cloid)
        assert order is not None and order.oid is not None
        return OrderUpdated(
            coin=order.coin,
            side=order.side,
            price_ticks=order.price_ticks,
            size_lots=order.remaining_lots,
            original_lots=order.original_lots,
            oid=order.oid,
            cloid=order.cloid,
            status="canceled" if isinstance(item, CancelItem) else "open",
            status_ms=START_MS,
            placed_ms=START_MS,
        )

    def _tell(self, event: Event) -> None:
        self.carry_out(self.desk.handle(event, self.at))


def _price(order: Order) -> int:
    return order.price_ticks
