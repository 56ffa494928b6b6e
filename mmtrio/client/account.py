"""Reading one account over REST: resting orders, fills, balances, the request budget, one order's status.

Each read is one moment's picture as some node of the venue saw it; the stream may be half a second ahead of it (D4),
so every read carries the instant at which it was asked for. Reads never judge: they say what the venue said, or raise
a `RequestFailed`. Half an account is not a reading of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs

from mmtrio.client.errors import OutcomeUnknown
from mmtrio.client.rest import RestClient
from mmtrio.core.events import (
    BalancesRead,
    BudgetRead,
    Fill,
    FillKey,
    FillsRead,
    OpenOrdersRead,
    OrderStatusRead,
    ReadPurpose,
    RestingOrder,
)
from mmtrio.core.rate_limit import info_weight
from mmtrio.core.types import Address, Cloid, Instant
from mmtrio.wire.translation import Translator, Undecodable

FILLS_PER_PAGE = 2000
"""The venue's page: `userFillsByTime` answers with no more rows (protocol 5.3)."""

_FILL_PAGES_MAX = 100
_T = TypeVar("_T")


def _ignore_weight(_weight: int) -> None:
    """Nobody counts."""


@attrs.define(eq=False)
class AccountReader:
    """Reads of one account.

    Every request ends within the deadline of `rest`; each method says how many requests it makes. All raise
    RequestFailed: RequestRefused, OutcomeUnknown (also for a reply that makes no sense) or RequestNotSent.
    """

    rest: RestClient
    address: Address
    translator: Translator
    now: Callable[[], Instant]
    on_weight: Callable[[int], None] = _ignore_weight
    """Told the IP weight of each request as it leaves, and of its rows when they have come."""
    dexs: Sequence[str] = ("",)
    """The perp dexs whose orders are read; the first, unnamed one brings the spot orders."""

    async def open_orders(self, purpose: ReadPurpose) -> OpenOrdersRead:
        """Every resting order: one request for each dex."""
        requested_at = self.now()  # Before the first: what rests was seen no earlier than this, less the lag.
        orders: list[RestingOrder] = []
        for dex in self.dexs:
            request = {"type": "openOrders", "user": self.address} | ({"dex": dex} if dex else {})
            rows = await self._ask(request)
            orders += self._translated(self.translator.open_orders_read, rows, requested_at, purpose).orders
        return OpenOrdersRead(tuple(orders), requested_at, purpose)

    async def fills_since(self, since_ms: int, purpose: ReadPurpose) -> FillsRead:
        """All fills at or after `since_ms` (venue time), oldest first, each once: one request per 2,000."""
        requested_at = self.now()
        fills: dict[FillKey, Fill] = {}
        start_ms = since_ms
        for _ in range(_FILL_PAGES_MAX):
            page, next_ms = await self.fills_page(start_ms, purpose)
            fills |= {fill.key: fill for fill in page.fills}
            if next_ms is None:
                return FillsRead(tuple(fills.values()), since_ms, requested_at, purpose)
            start_ms = next_ms
        raise OutcomeUnknown(f"more than {_FILL_PAGES_MAX * FILLS_PER_PAGE} fills since {since_ms}")

    async def fills_page(self, since_ms: int, purpose: ReadPurpose) -> tuple[FillsRead, int | None]:
        """The oldest 2,000 fills at or after `since_ms`, and where the next page begins; None after the last.

        A page starts at the very millisecond in which the one before ended, so none can fall between them, and
        some rows come twice.
        """
        requested_at = self.now()
        since_ms = max(0, since_ms)
        page = await self._ask({"type": "userFillsByTime", "user": self.address, "startTime": since_ms})
        if not isinstance(page, list):
            raise OutcomeUnknown("userFillsByTime answered with something else than a list")
        read = self._translated(self.translator.fills_read, page, since_ms, requested_at, purpose)
        if len(page) < FILLS_PER_PAGE:
            return read, None
        newest_ms = max((row["time"] for row in page if _has_time(row)), default=since_ms)
        if newest_ms <= since_ms:
            raise OutcomeUnknown(f"userFillsByTime does not get beyond {since_ms}: a whole page has that time")
        return read, newest_ms

    async def balances(self, purpose: ReadPurpose) -> BalancesRead:
        """All spot balances: one request."""
        requested_at = self.now()
        reply = await self._ask({"type": "spotClearinghouseState", "user": self.address})
        return self._translated(self.translator.balances_read, reply, requested_at, purpose)

    async def budget(self, purpose: ReadPurpose) -> BudgetRead:
        """The address budget as the venue counts it: one request."""
        requested_at = self.now()
        reply = await self._ask({"type": "userRateLimit", "user": self.address})
        return self._translated(self.translator.budget_read, reply, requested_at, purpose)

    async def order_status(self, cloid: Cloid) -> OrderStatusRead:
        """What the venue knows of one order: one request. One miss proves nothing: the answer lags."""
        requested_at = self.now()
        reply = await self._ask({"type": "orderStatus", "user": self.address, "oid": cloid})
        return self._translated(self.translator.order_status_read, cloid, reply, requested_at)

    async def _ask(self, request: dict[str, Any]) -> Any:
        weight = info_weight(request["type"])
        self.on_weight(weight)
        reply = await self.rest.info(request)
        rows = len(reply) if isinstance(reply, list) else 0
        if rows_weight := info_weight(request["type"], rows) - weight:
            self.on_weight(rows_weight)
        return reply

    def _translated(self, translate: Callable[..., _T], *arguments: Any) -> _T:
        try:
            return translate(*arguments)
        except Undecodable as error:
            raise OutcomeUnknown(f"the venue's reply makes no sense: {error}") from error


def _has_time(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("time"), int)
