"""Answers to /info: metadata and books as they are now, accounts as they were a moment ago.

Unknown request types answer 422, as the venue does, and so do types it has and this exchange does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from mmtrio.core.types import Address, Coin
from mmtrio.exchange import metadata, rows
from mmtrio.exchange.actions import UNREADABLE, UnreadableBody, read_address, read_integer, read_oid_or_cloid
from mmtrio.exchange.admission import Admission
from mmtrio.exchange.budgets import RequestBudget
from mmtrio.exchange.floor import TradingFloor
from mmtrio.exchange.records import AccountRecords, FillRow, OrderRow
from mmtrio.exchange.world import World
from mmtrio.wire.decimals import venue_text

Json = dict[str, Any]

BOOK_DEPTH_MAX = 20
FILLS_PAGE_MAX = 2000
HISTORICAL_MAX = 2000
RECENT_TRADES_MAX = 100


class InfoRefused(Exception):
    """The request is answered with this HTTP status and plain text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


@attrs.frozen
class AsOf:
    """When the question was asked, and up to when accounts are known to the one who answers."""

    now_ms: int
    accounts_ms: int | None
    """None: everything that has happened."""


class InfoDesk:
    """Answers questions; changes nothing."""

    def __init__(self, world: World, floor: TradingFloor, admission: Admission) -> None:
        self._world = world
        self._floor = floor
        self._admission = admission
        self._spot_meta = metadata.spot_meta(world)
        self._perp_meta = metadata.perp_meta(world)
        self._tokens = {token.index: token for token in world.tokens}
        self._answers: dict[str, Callable[[Json, AsOf], object]] = {
            "meta": lambda request, as_of: self._perp_meta,
            "spotMeta": lambda request, as_of: self._spot_meta,
            "perpDexs": lambda request, as_of: [None],
            "metaAndAssetCtxs": lambda request, as_of: [self._perp_meta, metadata.perp_contexts(world)],
            "spotMetaAndAssetCtxs": lambda request, as_of: [self._spot_meta, self.spot_contexts()],
            "allMids": lambda request, as_of: metadata.all_mids(world, floor),
            "exchangeStatus": lambda request, as_of: {"time": as_of.now_ms, "specialStatuses": None},
            "l2Book": self._book,
            "recentTrades": self._recent_trades,
            "openOrders": self._open_orders,
            "frontendOpenOrders": self._frontend_open_orders,
            "orderStatus": self._order_status,
            "historicalOrders": self._historical_orders,
            "userFills": self._user_fills,
            "userFillsByTime": self._user_fills_by_time,
            "spotClearinghouseState": self._spot_state,
            "clearinghouseState": self._perp_state,
            "userRateLimit": self._rate_limit,
            "userRole": self._role,
            "userFees": self._fees,
            "extraAgents": self._agents,
            "subAccounts": lambda request, as_of: None,
        }

    def answer(self, request: object, as_of: AsOf) -> object:
        """The body of the reply. Do not change it: parts are shared.

        Raises:
            InfoRefused: with status and text of the venue.
        """
        if not isinstance(request, dict) or not isinstance(request.get("type"), str):
            raise InfoRefused(422, UNREADABLE)
        answer = self._answers.get(request["type"])
        if answer is None:
            raise InfoRefused(422, UNREADABLE)
        try:
            return answer(request, as_of)
        except UnreadableBody as error:
            raise InfoRefused(422, str(error)) from error

    def spot_contexts(self) -> list[Json]:
        """All contexts of spot markets, each with its `coin`."""
        totals = {index: self._floor.ledger.total_units(index) for index in self._tokens}
        return metadata.spot_contexts(self._world, self._floor, totals)

    def balances_now(self, user: Address) -> list[Json]:
        """All balances of an account, without lag; empty where nobody knows it."""
        records = self._floor.records.get(user)
        return rows.balances(records.balances, self._tokens) if records else []

    # Markets

    def _coin(self, request: Json) -> Coin:
        coin = request.get("coin")
        if not isinstance(coin, str):
            raise UnreadableBody
        if not metadata.is_listed(coin, self._world):
            raise InfoRefused(500, "null")
        return Coin(coin)

    def _book(self, request: Json, as_of: AsOf) -> Json:
        n_sig_figs, mantissa = request.get("nSigFigs"), request.get("mantissa")
        if n_sig_figs not in (None, 2, 3, 4, 5) or mantissa not in (None, 1, 2, 5):
            raise UnreadableBody
        coin = self._coin(request)
        if mantissa is not None and (
            n_sig_figs != 5 or mantissa == 1
        ):  # Documented; a server error all the same.
            raise InfoRefused(500, "null")
        levels = metadata.book_levels(self._floor, coin, BOOK_DEPTH_MAX, n_sig_figs, mantissa)
        return {"coin": coin, "time": self._floor.time_ms, "levels": levels}

    def _recent_trades(self, request: Json, as_of: AsOf) -> list[Json]:
        trades = list(self._floor.trades.get(self._coin(request), ()))
        return trades[: -RECENT_TRADES_MAX - 1 : -1]

    # Accounts

    def _records(self, request: Json, as_of: AsOf) -> AccountRecords:
        """What is known of the account that is asked about; empty where nobody knows it (or it is an agent)."""
        user = read_address(request.get("user"))
        lagged = self._floor.lagged.get(Address(user))
        if lagged is not None and as_of.accounts_ms is not None:
            return lagged.as_of(as_of.accounts_ms)
        return self._floor.records.get(Address(user)) or AccountRecords(1, 1)

    def _open_orders(self, request: Json, as_of: AsOf) -> list[Json]:
        open_rows = self._records(request, as_of).open.values()
        return [rows.basic_order(row, self._floor.markets) for row in open_rows]

    def _frontend_open_orders(self, request: Json, as_of: AsOf) -> list[Json]:
        open_rows = self._records(request, as_of).open.values()
        return [rows.frontend_order(row, self._floor.markets) for row in open_rows]

    def _order_status(self, request: Json, as_of: AsOf) -> Json:
        target = read_oid_or_cloid(request.get("oid"))
        row = self._records(request, as_of).find(target)
        if row is None:
            return {"status": "unknownOid"}
        return {"status": "order", "order": rows.order_with_status(row, self._floor.markets)}

    def _historical_orders(self, request: Json, as_of: AsOf) -> list[Json]:
        """Newest first; one row per order, in its newest state."""
        records = self._records(request, as_of)
        everything: list[OrderRow] = [*records.ended.values(), *records.open.values()]
        everything.sort(key=lambda row: (-row.status_ms, -row.order.oid))
        return [rows.order_with_status(row, self._floor.markets) for row in everything[:HISTORICAL_MAX]]

    def _user_fills(self, request: Json, as_of: AsOf) -> list[Json]:
        """Newest first."""
        fills = list(self._records(request, as_of).fills)
        return [rows.fill(row) for row in fills[: -FILLS_PAGE_MAX - 1 : -1]]

    def _user_fills_by_time(self, request: Json, as_of: AsOf) -> list[Json]:
        """Oldest first, or newest first where `reversed`; at most a page from that end."""
        start_ms, end_ms = _time(request, "startTime"), _time(request, "endTime", as_of.now_ms)
        fills: Iterable[FillRow] = self._records(request, as_of).fills
        chosen = [row for row in fills if start_ms <= row.time_ms <= end_ms]
        if request.get("reversed"):
            chosen.reverse()
        return [rows.fill(row) for row in chosen[:FILLS_PAGE_MAX]]

    def _spot_state(self, request: Json, as_of: AsOf) -> Json:
        return {"balances": rows.balances(self._records(request, as_of).balances, self._tokens)}

    def _perp_state(self, request: Json, as_of: AsOf) -> Json:
        read_address(request.get("user"))
        keys = ("accountValue", "totalNtlPos", "totalRawUsd", "totalMarginUsed")
        nothing = dict.fromkeys(keys, "0.0")
        return {
            "marginSummary": nothing,
            "crossMarginSummary": nothing,
            "crossMaintenanceMarginUsed": "0.0",
            "withdrawable": "0.0",
            "assetPositions": [],
            "time": as_of.now_ms,
        }

    def _rate_limit(self, request: Json, as_of: AsOf) -> Json:
        user = Address(read_address(request.get("user")))
        account = self._floor.ledger.accounts.get(user)
        budget = self._admission.budgets.get(user) or RequestBudget()
        return budget.report(account.volume_e8 if account else 0)

    def _role(self, request: Json, as_of: AsOf) -> Json:
        user = read_address(request.get("user"))
        if user in self._floor.ledger.accounts:
            return {"role": "user"}
        master = self._admission.master_of(user)
        return {"role": "missing"} if master is None else {"role": "agent", "data": {"user": master}}

    def _agents(self, request: Json, as_of: AsOf) -> list[Json]:
        """Named agents; all of a world's are."""
        user = Address(read_address(request.get("user")))
        agents = self._admission.agents_of(user)
        return [
            {"name": f"agent {n}", "address": agent, "validUntil": as_of.now_ms + 90 * 86_400_000}
            for n, agent in enumerate(agents, 1)
        ]

    def _fees(self, request: Json, as_of: AsOf) -> Json:
        read_address(request.get("user"))
        spot_cross = venue_text(self._floor.params.fees.taker_e6, 6)
        spot_add = venue_text(self._floor.params.fees.maker_e6, 6)
        return {
            "dailyUserVlm": [],
            "feeSchedule": {
                "cross": "0.00045",
                "add": "0.00015",
                "spotCross": spot_cross,
                "spotAdd": spot_add,
                "tiers": {"vip": [], "mm": []},
                "referralDiscount": "0.04",
                "stakingDiscountTiers": [],
            },
            "userCrossRate": "0.00045",
            "userAddRate": "0.00015",
            "userSpotCrossRate": spot_cross,
            "userSpotAddRate": spot_add,
            "activeReferralDiscount": "0.0",
            "trial": None,
            "feeTrialEscrow": "0.0",
            "nextTrialAvailableTimestamp": None,
            "stakingLink": None,
            "activeStakingDiscount": {"bpsOfMaxSupply": "0.0", "discount": "0.0"},
        }


def _time(request: Json, key: str, default: int | None = None) -> int:
    value = request.get(key)
    return default if value is None and default is not None else read_integer(value)
