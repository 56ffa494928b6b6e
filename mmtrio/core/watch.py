"""What time alone makes due: looked at with every heartbeat, decided by nothing that arrived.

Feeds that do not deliver what they must, balances that differ, and orders that rest while we cannot see them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from mmtrio.core.decision_draft import DecisionDraft
from mmtrio.core.events import CancelItem, ReadPurpose, RestartSession, SessionName
from mmtrio.core.inventory import Inventory
from mmtrio.core.liveness import Liveness, Phase
from mmtrio.core.order_state import OrderState
from mmtrio.core.pull_pace import PullPace
from mmtrio.core.quoter import Quoter
from mmtrio.core.readings import Readings
from mmtrio.core.stream_witness import StreamWitness
from mmtrio.core.types import Instant

CONFIRM_PAUSE_S = 10.0
"""Between two readings that are to confirm one and the same difference."""


@attrs.define
class Watch:
    """The desk's watchdog. It looks at parts that the desk owns, and sends nothing itself."""

    quoters: Sequence[Quoter]
    orders: OrderState
    inventory: Inventory
    liveness: Liveness
    readings: Readings
    witness: StreamWitness
    _pull_pace: PullPace = attrs.field(factory=PullPace, init=False)

    @property
    def is_quiet(self) -> bool:
        """No request is under way, and no order is in doubt: balances stand still."""
        return self.orders.unknown_count == 0 and self.orders.in_flight_count == 0

    def judging(self, purpose: ReadPurpose) -> ReadPurpose:
        """While no stream is live, what a reading finds is explained by that and is no mismatch."""
        is_live = self.liveness.phase(SessionName.ACCOUNT) is Phase.LIVE
        return purpose if is_live else ReadPurpose.CATCH_UP

    def check_stream(self, at: Instant, out: DecisionDraft) -> None:
        """End the account session if it owes us what it will not deliver."""
        overdue = self.witness.overdue_update(at)
        if overdue is not None:
            self._restart_account(f"order {overdue} was accepted, but no orderUpdates frame came", out)
        silence_s = self.liveness.silence_s(SessionName.ACCOUNT, at)
        unstreamed = () if math.isinf(silence_s) else self.witness.overdue_fills(at.plus_s(-silence_s))
        if unstreamed:
            out.notes.extend(unstreamed)
            self._restart_account("the venue has a fill that no userFills frame brought", out)

    def _restart_account(self, cause: str, out: DecisionDraft) -> None:
        self.witness.forget()
        out.commands.append(RestartSession(SessionName.ACCOUNT, cause))

    def check_books(self, at: Instant, out: DecisionDraft) -> None:
        """End the market session if a book that some strategy needs has fallen silent on it."""
        for quoter in self.quoters:
            silence_s = self.liveness.silent_book_s(quoter.coin, at) if quoter.needs_market_data else None
            if silence_s is not None:
                cause = f"no book of {quoter.market.name} for {silence_s:.0f} s"
                self.liveness.on_ended(SessionName.MARKET, at)
                out.commands.append(RestartSession(SessionName.MARKET, cause))
                return

    def confirm_balances(self, at: Instant, out: DecisionDraft) -> None:
        """A difference was seen once: read again when REST has had time to follow, while nothing is under way."""
        doubt_at, read_at = self.inventory.in_doubt_since, self.readings.done_at
        if doubt_at is None or at.age_s(doubt_at) < self.readings.rest_lag_s or not self.is_quiet:
            return
        if read_at is None or read_at.mono_ns < doubt_at.mono_ns or at.age_s(read_at) >= CONFIRM_PAUSE_S:
            out.commands.extend(self.readings.reconcile("a balance differs", self.judging(ReadPurpose.CONFIRM)))

    def to_withdraw(self, at: Instant) -> list[CancelItem]:
        """The feeds have been silent for long: the orders to take away while we cannot see what happens to them."""
        items: list[CancelItem] = []
        for quoter in self.quoters:
            needed = (quoter.coin,) if quoter.needs_market_data else ()
            if not self.liveness.should_pull(at, needed):
                self._pull_pace.on_sight(quoter.coin)
                continue
            orders = [order for order in self.orders.live(quoter.coin) if not order.is_busy]
            if orders and self._pull_pace.is_due(quoter.coin, at):
                items += [CancelItem(order.cloid, order.coin) for order in orders]
        return items
