"""The exchange without its wires: requests in, replies and updates out, one block after another.

`submit` judges a signed request at once, as the venue's API servers do: what it refuses is answered at once and
costs nothing; what it accepts waits for the next `run_block`, whose events all share one time. No I/O, no clock,
no randomness: times are arguments, and the same calls give the same answers.
"""

from __future__ import annotations

from typing import Any

import attrs

from mmtrio.core.types import Address, Coin, Side
from mmtrio.exchange import metadata, rows
from mmtrio.exchange.accounts import Balance
from mmtrio.exchange.actions import Action, UnreadableBody, read_action, read_envelope
from mmtrio.exchange.admission import Admission, Refused
from mmtrio.exchange.execution import execute, lane, payload_error, whole_error
from mmtrio.exchange.floor import Emission, TradingFloor
from mmtrio.exchange.info import AsOf, InfoDesk, InfoRefused
from mmtrio.exchange.market_rules import SpotMarket
from mmtrio.exchange.outside import OutsideLevels, OutsideLiquidity, check_outside_book
from mmtrio.exchange.params import EngineParams
from mmtrio.exchange.refusals import ELEMENTS_MAX, EXPIRED, OVER_WEIGHT, before_batch
from mmtrio.exchange.tampering import Tampering
from mmtrio.exchange.world import World

__all__ = ["Block", "Engine", "EngineParams", "Immediate", "InfoRefused", "Ticket"]

Json = dict[str, Any]


@attrs.frozen
class Immediate:
    """An answer that does not wait for a block. `body` is JSON, or plain text where the status is not 200."""

    status: int
    body: object


class Ticket(int):
    """Stands for an accepted request; its reply is in the next block, under this number."""


@attrs.frozen
class Block:
    """All that one block did."""

    height: int
    time_ms: int
    replies: tuple[tuple[Ticket, Json], ...]
    order_updates: tuple[tuple[Address, Json], ...]
    """(user, element of an `orderUpdates` frame), in the order in which they happened."""
    fills: tuple[tuple[Address, Json], ...]
    """(user, element of `userFills`)"""
    trades: tuple[Json, ...]
    touched_books: tuple[Coin, ...]
    balances_changed: tuple[Address, ...]


@attrs.frozen
class _Pending:
    ticket: Ticket
    user: Address
    action: Action
    arrived_ms: int
    expires_after_ms: int | None
    refusal: Json | None = None
    """The reply of a house participant's action that was refused before its block."""


class Engine:
    """One exchange.

    Args:
        world: what exists at the start.
        seed: goes into the hashes of transactions, nothing else.
        params: how it behaves.
        start_ms: the venue's time before the first block.
    """

    def __init__(
        self, world: World, *, seed: int = 0, params: EngineParams | None = None, start_ms: int = 0
    ) -> None:
        self.world = world
        self.params = params or EngineParams()
        self.height = 0
        self._floor = TradingFloor(world, self.params, seed=seed, start_ms=start_ms)
        self._admission = Admission(world, self._floor.ledger)
        self._info = InfoDesk(world, self._floor, self._admission)
        self._outside = OutsideLiquidity(self._floor)
        self._tampering = Tampering(self._floor)
        self._perp_names = [perp.name for perp in world.perps]
        self._pending: list[_Pending] = []
        self._outside_books: list[tuple[Coin, OutsideLevels, OutsideLevels]] = []
        self._n_tickets = 0

    @property
    def time_ms(self) -> int:
        """The time of the newest block."""
        return self._floor.time_ms

    @property
    def markets(self) -> dict[Coin, SpotMarket]:
        """The spot markets by wire name."""
        return self._floor.markets

    def is_listed(self, coin: object) -> bool:
        """Whether a name is one of this venue's coins, perp listings included; upper and lower case matter."""
        return metadata.is_listed(coin, self.world)

    # Requests

    def submit(self, body: object, now_ms: int) -> Immediate | Ticket:
        """Judges an /exchange body. A ticket means it has spent its nonce and budget and will run."""
        now_ms = self._venue_ms(now_ms)
        try:
            envelope = read_envelope(body)
        except UnreadableBody as error:
            return Immediate(422, str(error))
        try:
            signer, user = self._admission.identify(envelope, now_ms)
        except Refused as refused:
            return Immediate(200, whole_error(str(refused)))
        refusal = self._refusal_before_block(envelope.action)
        if refusal is not None:
            return Immediate(200, refusal)
        self._admission.book(signer, user, envelope, now_ms)
        return self._enqueue(user, envelope.action, now_ms, envelope.expires_after_ms)

    def submit_direct(self, user: Address, action: Json, now_ms: int) -> Ticket:
        """An action of a participant of the house: the same rules without signature, nonce and budget. Refusals
        come with the block too.

        Raises:
            ValueError: the action is none, or the account does not exist.
        """
        if user not in self._floor.ledger.accounts:
            raise ValueError(f"this world has no account {user}")
        readable = read_action(action)
        refusal = self._refusal_before_block(readable)
        if readable.n_elements > ELEMENTS_MAX:
            refusal = whole_error(OVER_WEIGHT)
        return self._enqueue(user, readable, self._venue_ms(now_ms), None, refusal)

    def set_outside_book(self, coin: Coin, bids: OutsideLevels, asks: OutsideLevels) -> None:
        """From the start of the next block the recorded liquidity of a market is this, levels best first as
        (price_ticks, size_lots). Several before one block are applied one after another. Rules: outside.py.

        Raises:
            ValueError: no such market, or not a book.
        """
        if coin not in self._floor.markets:
            raise ValueError(f"this world has no market {coin!r}")
        check_outside_book(bids, asks)
        self._outside_books.append((coin, tuple(bids), tuple(asks)))

    def _refusal_before_block(self, action: Action) -> Json | None:
        if action.n_elements == 0:
            return whole_error("Empty batch.")  # Refused by the venue as well; its words were never recorded.
        text = before_batch(action, self._floor, self._perp_names)
        return None if text is None else payload_error(action, text)

    def _enqueue(
        self,
        user: Address,
        action: Action,
        arrived_ms: int,
        expires_after_ms: int | None,
        refusal: Json | None = None,
    ) -> Ticket:
        self._n_tickets += 1
        ticket = Ticket(self._n_tickets)
        self._pending.append(_Pending(ticket, user, action, arrived_ms, expires_after_ms, refusal))
        return ticket

    def _venue_ms(self, now_ms: int) -> int:
        """Venue time never goes back, whatever the clock does."""
        return max(now_ms, self._floor.time_ms)

    # Blocks

    def run_block(self, now_ms: int) -> Block:
        """Runs what has arrived by now: first what only rests, then cancels, then what may take; in order of arrival
        inside each (protocol 12.3). Blocks may be run for moments that are past: what came after one of them waits."""
        self.height += 1
        floor = self._floor
        floor.begin_block(max(now_ms, floor.time_ms + 1))
        outside_books, self._outside_books = self._outside_books, []
        for index, (coin, bids, asks) in enumerate(outside_books):
            floor.begin_action(self.height, -1 - index)
            self._outside.replace(coin, bids, asks)
        arrived = [item for item in self._pending if item.arrived_ms <= floor.time_ms]
        self._pending = [item for item in self._pending if item.arrived_ms > floor.time_ms]
        replies = {}
        for index, item in enumerate(sorted(arrived, key=_lane_of)):  # The sort is stable.
            floor.begin_action(self.height, index)
            replies[item.ticket] = self._run(item)
        ordered = tuple((item.ticket, replies[item.ticket]) for item in arrived)
        return self._block(ordered, floor.end_block())

    def _run(self, item: _Pending) -> Json:
        if item.refusal is not None:
            return item.refusal
        if item.expires_after_ms is not None and item.expires_after_ms < self._floor.time_ms:
            self._admission.budget(item.user).charge_late(item.action.n_elements)
            return whole_error(EXPIRED)
        return execute(self._floor, item.user, item.action)

    def _block(self, replies: tuple[tuple[Ticket, Json], ...], emission: Emission) -> Block:
        markets = self._floor.markets
        return Block(
            height=self.height,
            time_ms=self._floor.time_ms,
            replies=replies,
            order_updates=tuple(
                (row.order.user, rows.order_update(row, markets)) for row in emission.order_rows
            ),
            fills=tuple((row.order.user, rows.fill(row)) for row in emission.fill_rows),
            trades=tuple(emission.trades),
            touched_books=tuple(emission.touched_books),
            balances_changed=tuple(emission.balances_changed),
        )

    # Reading

    def info(self, request: object, now_ms: int, *, lag_ms: int | None = None) -> object:
        """Answers an /info request; what concerns one account lags by `rest_lag_ms`. Streams pass `lag_ms=0`.

        Raises:
            InfoRefused: with the venue's status and text.
        """
        lag_ms = self.params.rest_lag_ms if lag_ms is None else lag_ms
        now_ms = self._venue_ms(now_ms)
        return self._info.answer(request, AsOf(now_ms, now_ms - lag_ms if lag_ms else None))

    def book(
        self, coin: Coin, depth: int = 20
    ) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
        """(bids, asks), each (price_ticks, size_lots, number of orders), best first."""
        book = self._floor.books[coin]
        return book.bids.depth(depth), book.asks.depth(depth)

    def best(self, coin: Coin) -> tuple[int | None, int | None]:
        """(best bid, best ask) in ticks."""
        book = self._floor.books[coin]
        return book.bids.best_ticks(), book.asks.best_ticks()

    def reference_ticks(self, coin: Coin) -> int:
        """The price by which far orders are judged: the last trade's, or the middle of a recorded book."""
        return self._floor.reference_ticks[coin]

    def book_levels(
        self, coin: Coin, depth: int = 20, n_sig_figs: int | None = None, mantissa: int | None = None
    ) -> list[list[Json]]:
        """`levels` of an l2Book frame."""
        return metadata.book_levels(self._floor, coin, depth, n_sig_figs, mantissa)

    # Truth: without lag, for tests and reports

    def open_orders(self, user: Address) -> list[Json]:
        """What rests, oldest first, as `frontendOpenOrders` would tell it. Empty for an unknown account."""
        records = self._floor.records.get(user)
        return (
            [rows.frontend_order(row, self._floor.markets) for row in records.open.values()]
            if records
            else []
        )

    def fills(self, user: Address) -> list[Json]:
        """The newest fills, oldest of them first, as `userFills` would tell them."""
        records = self._floor.records.get(user)
        return [rows.fill(row) for row in records.fills] if records else []

    def balances(self, user: Address) -> list[Json]:
        """As `spotClearinghouseState` and `spotState` would tell them."""
        return self._info.balances_now(user)

    def balance(self, user: Address, token_index: int) -> Balance:
        """One balance in the token's units. Raises KeyError for an unknown account."""
        account = self._floor.ledger.accounts[user]
        return attrs.evolve(account.balances.get(token_index, Balance()))

    def requests_used(self, user: Address) -> int:
        """What counts against the address budget."""
        return self._admission.budget(user).used

    def token_total_units(self, token_index: int) -> int:
        """The sum over all accounts of this exchange; constant."""
        return self._floor.ledger.total_units(token_index)

    def check_invariants(self) -> None:
        """Raises AssertionError where holds, books and accounts disagree. For tests: it looks at everything."""
        self._floor.check_invariants()

    # Tampering, for tests of what a market maker notices

    def remove_order_silently(self, oid: int) -> None:
        """An order vanishes: its hold is freed and no stream says so. Raises ValueError where none rests."""
        self._tampering.remove_order(oid)

    def add_fill_silently(self, user: Address, coin: Coin, side: Side, price: str, size: str) -> None:
        """A fill against the outside account, in the fills and balances, on no stream. Price and size as text.

        Raises:
            ValueError: they are not a valid price and size.
        """
        self._tampering.add_fill(user, coin, side, price, size)

    def move_balance_silently(self, user: Address, token_index: int, units: int) -> None:
        """Units come from the outside account (or go there, if negative), on no stream."""
        self._tampering.move_balance(user, token_index, units)


def _lane_of(item: _Pending) -> int:
    return lane(item.action)
