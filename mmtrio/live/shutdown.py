"""The end of a run, whatever ended it: close the gate, withdraw every order, prove it, and read the venue once more.

Clean-up has a connection of its own, is shielded and bounded. Requests in flight finish beside it; what they leave
behind is withdrawn by the same loop, which goes on until nothing of ours can rest or land any more.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

import attrs
import trio

from mmtrio.client.account import AccountReader
from mmtrio.client.clean_up import CleanUpParams, CleanUpReport, CleanUpSeams, prove_empty
from mmtrio.client.connect import ConnectionKind
from mmtrio.client.rest import RestClient, open_rest
from mmtrio.core.events import Batch, BatchKind, CancelItem, Event, OrderStatusRead, Stopping
from mmtrio.core.rate_limit import batch_weight
from mmtrio.core.status_words import StatusMeaning, meaning_of
from mmtrio.core.types import Cloid
from mmtrio.live.final_reading import Ending, read_facts, reconcile_finally, report_of
from mmtrio.live.maker import MarketMaker
from mmtrio.live.report import RunReport
from mmtrio.wire.actions import action_of

log = logging.getLogger("mmtrio.live.shutdown")

RECONCILING_MAX_S = 15.0
"""For the last reconciliation, which waits for second witnesses."""
FACTS_MAX_S = 10.0
"""For the last look at the venue."""
IN_FLIGHT_MAX_S = 2.0
"""Kept orders: so long the requests in flight may take to end."""


async def shut_down(maker: MarketMaker) -> RunReport | None:
    """Withdraw and prove; then the report. None where nothing was ever sent and the run never began.

    Runs inside a shield of the caller. Never raises for what the venue does, nor for a desk that is broken.
    """
    stopped_at = maker.hub.clock.now()
    seconds = 0.0 if maker.live_at_s is None else trio.current_time() - maker.live_at_s
    maker.gateway.close()
    witness = _Witness(maker)
    witness.tell(Stopping(maker.stop_cause or "the run is over"))
    if maker.live_at_s is None and maker.gateway.sent_count == 0:
        return None
    if maker.config.keep_orders:
        await _keep_orders(maker, witness)
        ending = Ending(stopped_at, seconds, is_confirmed=None)
    else:
        clean_up = await prove_empty(_seams(maker, witness), _params(maker))
        _say(clean_up)
        unconfirmed = () if clean_up.confirmed else clean_up.cloids_that_may_live
        ending = Ending(stopped_at, seconds, clean_up.confirmed, unconfirmed)
    facts = None
    async with _open_rest(maker) as rest:
        reader = _reader_of(maker, rest)
        if ending.is_confirmed is not False and not witness.is_desk_broken:
            with trio.move_on_after(RECONCILING_MAX_S):
                try:
                    await reconcile_finally(maker, reader)
                except Exception as error:
                    witness.note_broken(error)
        with trio.move_on_after(FACTS_MAX_S):
            facts = await read_facts(maker, reader)
    if nonsense := maker.desk.nonsense.summary:
        log.warning("the venue sent what was not understood: %s", nonsense)
    return report_of(maker, facts, attrs.evolve(ending, is_desk_broken=witness.is_desk_broken))


async def _keep_orders(maker: MarketMaker, witness: _Witness) -> None:
    """Let what was sent arrive, so that the report knows it; then say what is left behind."""
    with trio.move_on_after(IN_FLIGHT_MAX_S):
        while maker.gateway.is_running and maker.gateway.in_flight_count:
            await trio.sleep(0.05)
    await trio.sleep(maker.config.rest_lag_s)  # The last reading is to show the last answer.
    witness.hear_of_the_abandoned()
    log.warning("orders are kept: %d of ours may rest on the venue", maker.desk.orders.live_count)


def _say(clean_up: CleanUpReport) -> None:
    if clean_up.confirmed:
        log.info(
            "clean-up proven: nothing of ours rests (cancels=%d reads=%d took_s=%.1f)",
            clean_up.cancels_sent,
            clean_up.reads,
            clean_up.took_s,
        )
        return
    log.error(
        "clean-up unconfirmed after %.1f s, the last failure was %r; these orders may still rest: %s",
        clean_up.took_s,
        clean_up.last_failure,
        " ".join(clean_up.cloids_that_may_live) or "unknown",
    )


def _params(maker: MarketMaker) -> CleanUpParams:
    return CleanUpParams(grace_s=maker.config.shutdown_grace_s, rest_lag_s=maker.config.rest_lag_s)


def _seams(maker: MarketMaker, witness: _Witness) -> CleanUpSeams:
    return CleanUpSeams(
        open_rest=partial(_open_rest, maker),
        reader_of=partial(_reader_of, maker),
        sign_cancels=partial(_sign_cancels, maker),
        is_ours=maker.desk.orders.cloids.is_ours,
        may_live=witness.may_live,
        note_status=witness.note_status,
    )


def _open_rest(maker: MarketMaker) -> AbstractAsyncContextManager[RestClient]:
    return open_rest(
        maker.connect, maker.venue, kind=ConnectionKind.CLEANUP, timeout_s=maker.config.request_timeout_s
    )


def _reader_of(maker: MarketMaker, rest: RestClient) -> AccountReader:
    return attrs.evolve(maker.reading.reader, rest=rest)  # Its weight counts like that of any other reading.


def _sign_cancels(maker: MarketMaker, items: Sequence[CancelItem]) -> bytes:
    """A signed cancel of these orders. Charged as in doubt: it may be sent again, and may not arrive."""
    at = maker.hub.clock.now()
    maker.desk.address.charge(len(items), is_cancel=True, at=at)
    maker.desk.address.doubt(len(items), at)
    maker.desk.ip.charge(batch_weight(len(items)), at)
    batch = Batch(id=0, kind=BatchKind.CANCEL, items=tuple(items), expires_after_s=None)
    now_ms = maker.hub.venue_time.now_ms(at)
    return maker.signer.envelope(action_of(batch, maker.gateway.markets), maker.gateway.nonces.next(now_ms))


@attrs.define
class _Witness:
    """What may still live: by the desk while it works, by the venue's own words where it broke."""

    maker: MarketMaker
    is_desk_broken: bool = attrs.field(default=False, init=False)
    _ended: dict[Cloid, None] = attrs.field(factory=dict, init=False)

    def tell(self, event: Event) -> None:
        """Tell the desk; if it is the desk that broke, say so once and go on without it."""
        if self.is_desk_broken:
            return
        try:
            self.maker.hub.deliver(event)
        except Exception as error:
            self.note_broken(error)

    def note_broken(self, error: Exception) -> None:
        self.is_desk_broken = True
        log.error("the desk failed, clean-up goes on without it: %s: %s", type(error).__name__, error)

    def hear_of_the_abandoned(self) -> None:
        """Tell the desk what became of requests whose task was cancelled before the answer came."""
        for event in self.maker.gateway.take_abandoned():
            self.tell(event)

    def note_status(self, read: OrderStatusRead) -> None:
        if self._is_proof(read):
            self._ended[read.cloid] = None
        self.tell(read)

    def _is_proof(self, read: OrderStatusRead) -> bool:
        """The venue says that it is over; or does not know it, after the moment when it could still land."""
        if read.status is not None:
            return meaning_of(read.status) in (StatusMeaning.ENDED, StatusMeaning.REJECTED)
        order = self.maker.desk.orders.get(read.cloid)
        if order is None or order.expires_at is None:
            return False
        # It expires so long after it was signed, which may have been a little after the desk decided it.
        margin_s = self.maker.gateway.queue_max_s + self.maker.config.rest_lag_s
        return read.requested_at.age_s(order.expires_at) > margin_s

    def may_live(self) -> list[CancelItem]:
        """Every order that is neither over nor past the moment at which it could still land."""
        self.hear_of_the_abandoned()
        orders = self.maker.desk.orders
        found = [order for cloid in orders.cloids_that_may_live() if (order := orders.get(cloid)) is not None]
        if self.is_desk_broken:  # It cannot take note any more, so what the venue said about each counts.
            found = [order for order in found if order.cloid not in self._ended]
        return [CancelItem(order.cloid, order.coin) for order in found]
