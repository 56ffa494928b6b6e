"""No order outlives us: cancel, look, and go on until the venue has shown twice that nothing of ours is left.

Our own list may be behind, and so may the venue's answer (D4); an order sent into a timeout may land after the first
look, as long as its `expiresAfter` allows (D3). So the proof is: every cloid ever sent is terminal or can no longer
land, and *after that* two reads, at least `rest_lag_s` apart, show no resting order of ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import trio

from mmtrio.client.account import AccountReader
from mmtrio.client.errors import RequestFailed, RequestRefused
from mmtrio.client.rest import RestClient
from mmtrio.core.events import CancelItem, OpenOrdersRead, OrderStatusRead, ReadPurpose
from mmtrio.core.types import Cloid

log = logging.getLogger(__name__)


def _ignore(*_arguments: object) -> None:
    """Nobody wants to know."""


@attrs.frozen
class CleanUpParams:
    grace_s: float = 30.0
    """After this the process stops waiting, whatever is left."""
    rest_lag_s: float = 2.0
    pause_first_s: float = 0.5
    """Before the second round; each further pause is twice as long, up to `rest_lag_s`."""
    cancel_again_after_s: float = 2.0
    """An answered cancel is repeated only after this, and only if the order still may live: reads lag so much."""
    query_again_after_s: float = 2.0
    items_per_cancel: int = 100
    queries_per_round: int = 40
    queries_at_once: int = 8


@attrs.frozen
class CleanUpSeams:
    """What cleaning up needs of the maker. Functions, so that this file knows no desk and holds no key."""

    open_rest: Callable[[], AbstractAsyncContextManager[RestClient]]
    """A connection of its own: the one in use may be what is broken."""
    reader_of: Callable[[RestClient], AccountReader]
    sign_cancels: Callable[[Sequence[CancelItem]], bytes]
    """A signed `cancelByCloid` of these items, ready to POST; with a new nonce each time."""
    is_ours: Callable[[Cloid | None], bool]
    """By prefix and instance (D5), of earlier runs too. Orders of others are left alone."""
    may_live: Callable[[], Sequence[CancelItem]]
    """Every order sent that is neither terminal nor past the moment at which it could still land."""
    note_status: Callable[[OrderStatusRead], None]
    note_cancels: Callable[[Sequence[CancelItem], Any], None] = _ignore
    """A cancel's items and the venue's whole reply."""
    note_open_orders: Callable[[OpenOrdersRead], None] = _ignore


@attrs.frozen
class CleanUpReport:
    """How it ended. `confirmed` is the proof; without it, `cloids_that_may_live` names what may still rest."""

    confirmed: bool
    cloids_that_may_live: tuple[Cloid, ...]
    cancels_sent: int
    """Items, repeated ones included."""
    reads: int
    failures: int
    last_failure: str
    took_s: float


async def prove_empty(seams: CleanUpSeams, params: CleanUpParams = CleanUpParams()) -> CleanUpReport:
    """Cancel whatever of ours may live until the venue is proven empty of it, for at most `grace_s`.

    Shielded: it runs in a cancelled scope, too. The first cancel is the first thing it does. Refusals (429), server
    errors, timeouts and resets are retried until the grace ends; nothing the venue does is raised.
    """
    clean_up = _CleanUp(seams, params, began_at=trio.current_time())
    with trio.move_on_after(params.grace_s, shield=True):
        await clean_up.run()
    return clean_up.report()


@attrs.define(eq=False)
class _CleanUp:
    seams: CleanUpSeams
    params: CleanUpParams
    began_at: float
    is_proven: bool = False
    resting: tuple[CancelItem, ...] = ()
    """Ours in the last read."""
    has_found_more: bool = False
    """The last read was the first to show an order that no cancel has been answered for."""
    empty_since: float | None = None
    """When the first of an unbroken row of empty reads was asked for."""
    cancelled_at: dict[Cloid, float] = attrs.field(factory=dict)
    queried_at: dict[Cloid, float] = attrs.field(factory=dict)
    fruitless_rounds: int = 0
    cancels_sent: int = 0
    reads: int = 0
    failures: int = 0
    last_failure: str = ""

    async def run(self) -> None:
        async with self.seams.open_rest() as rest:
            reader = self.seams.reader_of(rest)
            while True:
                self.has_found_more = False
                if await self._cancel(rest):
                    await self._look(reader)
                if self.is_proven:
                    return
                if not self.has_found_more:
                    await self._pause()

    def report(self) -> CleanUpReport:
        return CleanUpReport(
            confirmed=self.is_proven,
            cloids_that_may_live=() if self.is_proven else tuple(item.cloid for item in self._suspects()),
            cancels_sent=self.cancels_sent,
            reads=self.reads,
            failures=self.failures,
            last_failure=self.last_failure,
            took_s=trio.current_time() - self.began_at,
        )

    def _suspects(self) -> list[CancelItem]:
        """What may live as far as we know, and what the venue last showed; each once."""
        return list({item.cloid: item for item in (*self.seams.may_live(), *self.resting)}.values())

    async def _cancel(self, rest: RestClient) -> bool:
        """Cancel every suspect not cancelled just now. False where the venue takes no requests at the moment."""
        due_before = trio.current_time() - self.params.cancel_again_after_s
        due = [
            item for item in self._suspects() if self.cancelled_at.get(item.cloid, due_before) <= due_before
        ]
        for start in range(0, len(due), self.params.items_per_cancel):
            items = due[start : start + self.params.items_per_cancel]
            self.cancels_sent += len(items)
            try:
                reply = await rest.exchange(self.seams.sign_cancels(items))
            except RequestFailed as error:
                self._note_failure("cancel", error)
                if isinstance(error, RequestRefused) and error.is_too_many_requests:
                    return False  # More requests would only prolong it.
            else:
                self.cancelled_at.update({item.cloid: trio.current_time() for item in items})
                self.seams.note_cancels(items, reply)
        return True

    async def _look(self, reader: AccountReader) -> None:
        """Read what rests; where nothing does, ask about what may still be under way."""
        asked_at = trio.current_time()
        had_doubts = bool(self.seams.may_live())  # Before the request: its answer cannot settle later doubts.
        try:
            read = await reader.open_orders(ReadPurpose.FINAL)
        except RequestFailed as error:
            self._note_failure("reading the resting orders", error)
            return
        self.reads += 1
        self.seams.note_open_orders(read)
        resting = [order for order in read.orders if self.seams.is_ours(order.cloid)]
        self._note_resting(tuple(CancelItem(order.cloid, order.coin) for order in resting if order.cloid))
        if self.resting or had_doubts:
            self.empty_since = None
            await self._query(reader)
        elif self.empty_since is None:
            self.empty_since = asked_at
        elif asked_at >= self.empty_since + self.params.rest_lag_s:
            self.is_proven = True

    def _note_resting(self, resting: tuple[CancelItem, ...]) -> None:
        known = {item.cloid for item in self.resting} | self.cancelled_at.keys()
        self.has_found_more = any(item.cloid not in known for item in resting)
        if self.has_found_more:
            self.fruitless_rounds = 0
        self.resting = resting

    async def _query(self, reader: AccountReader) -> None:
        """Ask `orderStatus` about what may live and is not seen resting; the longest unasked first."""
        resting = {item.cloid for item in self.resting}
        due_before = trio.current_time() - self.params.query_again_after_s
        due = [
            (asked_at, item.cloid)
            for item in self.seams.may_live()
            if item.cloid not in resting
            and (asked_at := self.queried_at.get(item.cloid, due_before)) <= due_before
        ]
        limiter = trio.CapacityLimiter(self.params.queries_at_once)
        async with trio.open_nursery() as nursery:
            for _, cloid in sorted(due)[: self.params.queries_per_round]:
                nursery.start_soon(self._query_one, reader, cloid, limiter, name="clean-up/query")

    async def _query_one(self, reader: AccountReader, cloid: Cloid, limiter: trio.CapacityLimiter) -> None:
        async with limiter:
            self.queried_at[cloid] = trio.current_time()
            try:
                status = await reader.order_status(cloid)
            except RequestFailed as error:
                self._note_failure(f"asking about {cloid}", error)
            else:
                self.seams.note_status(status)

    async def _pause(self) -> None:
        if self.empty_since is not None and trio.current_time() < self.empty_since + self.params.rest_lag_s:
            await trio.sleep_until(self.empty_since + self.params.rest_lag_s)
        else:
            pause_s = self.params.pause_first_s * 2**self.fruitless_rounds
            await trio.sleep(min(self.params.rest_lag_s, pause_s))
            self.fruitless_rounds = min(self.fruitless_rounds + 1, 10)

    def _note_failure(self, what: str, error: RequestFailed) -> None:
        self.failures += 1
        self.last_failure = f"{what}: {error}"
        log.warning("clean-up, %s failed and will be tried again: %s", what, error)
