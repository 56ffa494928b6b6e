"""A desk on its own: wired as in production, fed with events by hand."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import attrs

from mmtrio.core.account_desk import AccountDesk
from mmtrio.core.batch_emitter import BatchEmitter, EmitterParams
from mmtrio.core.events import (
    AccountRead,
    BalancesRead,
    Batch,
    BatchDone,
    BatchKind,
    BudgetRead,
    Command,
    Decision,
    Event,
    FillsRead,
    Heard,
    ItemOutcome,
    ModifyItem,
    OutcomeKind,
    ReadAccount,
    ReadPurpose,
    SessionLive,
    SessionName,
    SessionOpened,
    SubmitBatch,
)
from mmtrio.core.inventory import AllocationCaps, Inventory
from mmtrio.core.liveness import Liveness
from mmtrio.core.market import Market
from mmtrio.core.order_state import OrderState
from mmtrio.core.quoter import Quoter
from mmtrio.core.rate_limit import AddressBudget, IpWeight
from mmtrio.core.strategies.hip2 import Hip2, Hip2Params
from mmtrio.core.strategy import Strategy
from mmtrio.core.types import Address, CloidSource, Coin, Instant, instance_tag
from tests.support.builders import HYPE, USDC, balances_read, instant, market, open_orders_read

ACCOUNT = Address("0x" + "ab" * 20)
BUDGET = 10_000


def hip2(on: Market, *, levels: int = 20, size: str = "1", start: str = "30") -> Hip2:
    return Hip2(on, Hip2Params(start_px=Decimal(start), n_orders=levels, order_sz=Decimal(size)))


@attrs.define
class DeskOnTheBench:
    """A desk, and the hands that feed it. Time stands still unless moved."""

    desk: AccountDesk
    now_s: float = 0.0
    decisions: list[Decision] = attrs.field(factory=list)
    _oid: int = 1000

    @property
    def at(self) -> Instant:
        return instant(self.now_s)

    def tell(self, *events: Event) -> Decision:
        """Hand the events over; the answers come back as one decision."""
        commands: list[Command] = []
        reasons, notes = [], []
        for event in events:
            decision = self.desk.handle(event, self.at)
            self.decisions.append(decision)
            commands += decision.commands
            reasons += decision.reasons
            notes += decision.notes
        return Decision(tuple(commands), tuple(reasons), tuple(notes))

    def start(self, balances: BalancesRead) -> Decision:
        """From nothing to the first quotes: session up, acknowledged, read, believed."""
        stream = attrs.evolve(balances, requested_at=None, purpose=None)
        self.tell(
            SessionOpened(SessionName.ACCOUNT, 1),
            Heard(SessionName.ACCOUNT, "spotState"),
            stream,
            SessionLive(SessionName.ACCOUNT, 1),
        )
        return self.read(balances, ReadPurpose.START)

    def read(self, balances: BalancesRead, purpose: ReadPurpose, orders: Sequence[object] = ()) -> Decision:
        """A whole reading: no fills, these orders, these balances."""
        return self.tell(
            FillsRead((), 0, self.at, purpose),
            open_orders_read(orders, at=self.at, purpose=purpose),  # type: ignore[arg-type]
            attrs.evolve(balances, requested_at=self.at, purpose=purpose),
            self.budget(purpose),
            AccountRead(purpose, self.at),
        )

    def budget(self, purpose: ReadPurpose, used: int | None = None) -> BudgetRead:
        used = self.desk.address.used if used is None else used
        return BudgetRead(used, BUDGET, 0, 0, self.at, purpose)

    def accept(self, decision: Decision) -> Decision:
        """The venue takes everything in these batches."""
        return self.tell(*(self.accepted(batch) for batch in batches(decision)))

    def accepted(self, batch: Batch) -> BatchDone:
        outcomes = []
        for item in batch.items:
            cloid = item.order.cloid if isinstance(item, ModifyItem) else item.cloid
            if batch.kind is BatchKind.CANCEL:
                outcomes.append(ItemOutcome(cloid, OutcomeKind.CANCELLED))
            else:
                self._oid += 1
                outcomes.append(ItemOutcome(cloid, OutcomeKind.RESTING, oid=self._oid))
        return BatchDone(batch.id, tuple(outcomes), 0.0)


def bench(
    *,
    markets: Sequence[Market] | None = None,
    strategies: Sequence[Strategy] | None = None,
    caps: dict[Coin, AllocationCaps] | None = None,
    reconcile_every: int = 20,
    quoter: type[Quoter] = Quoter,
) -> DeskOnTheBench:
    """A desk for HYPE/USDC with a HIP-2 grid of 20 levels from 30, unless told otherwise."""
    markets = markets if markets is not None else [market()]
    strategies = strategies if strategies is not None else [hip2(each) for each in markets]
    cloids = CloidSource(instance_tag("local", ACCOUNT, "test"), run_ms=1_790_000_000_000)
    return DeskOnTheBench(
        AccountDesk(
            quoters=tuple(quoter(each, strategy) for each, strategy in zip(markets, strategies, strict=True)),
            orders=OrderState(cloids, markets),
            inventory=Inventory(markets, caps or {}),
            emitter=BatchEmitter(EmitterParams(), cloids),
            address=AddressBudget(),
            ip=IpWeight(),
            liveness=Liveness(),
            reconcile_every=reconcile_every,
        )
    )


def rich(hype: str = "10", usdc: str = "10000") -> BalancesRead:
    return balances_read({HYPE: hype, USDC: usdc}, purpose=ReadPurpose.START)


def batches(decision: Decision, kind: BatchKind | None = None) -> list[Batch]:
    found = [command.batch for command in decision.commands if isinstance(command, SubmitBatch)]
    return [batch for batch in found if kind is None or batch.kind is kind]


def readings(decision: Decision) -> list[ReadAccount]:
    return [command for command in decision.commands if isinstance(command, ReadAccount)]


