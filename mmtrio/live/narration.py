"""Notes and batches as log lines: one line each, key=value, cloid and oid in every line about an order."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from mmtrio.core.events import (
    Batch,
    BatchDone,
    BatchKind,
    FillBooked,
    ItemOutcome,
    Mismatch,
    ModifyItem,
    Note,
    OrderEnded,
    OutcomeKind,
    PlaceItem,
    QuotingResumed,
    QuotingStopped,
    Remark,
)
from mmtrio.core.market import Market
from mmtrio.core.types import Coin, Instant, Token
from mmtrio.wire.decimals import wire_text

log = logging.getLogger("mmtrio.desk")


class Narrator:
    """Writes what the desk noted and what became of its batches to the log."""

    def __init__(self, markets: Mapping[Coin, Market], tokens: Mapping[int, Token]) -> None:
        self._markets = markets
        self._tokens = tokens

    def tell(self, note: Note, at: Instant) -> None:
        """One log line for one note."""
        match note:
            case FillBooked():
                log.info("%s", self._fill(note))
            case OrderEnded():
                log.info("%s", self._ended(note))
            case Mismatch():
                log.warning("mismatch: %s: %s coin=%s", note.kind.value, note.detail, self._name(note.coin))
            case QuotingStopped():
                log.warning(
                    "quoting stopped: %s %s coin=%s silence_s=%.1f",
                    note.reason.code.value,
                    note.reason.detail,
                    self._name(note.coin),
                    note.silence_s,
                )
            case QuotingResumed():
                log.info("quoting resumed coin=%s stopped_s=%.1f", self._name(note.coin), note.stopped_s)
            case Remark():
                log.log(logging.WARNING if note.is_warning else logging.INFO, "%s", note.text)

    def tell_batch(self, batch: Batch, done: BatchDone) -> None:
        """A line for the batch, one for each of its refusals, and at DEBUG one for each order."""
        refused = [outcome for outcome in done.outcomes if outcome.kind is OutcomeKind.REFUSED]
        log.info(
            "%s batch=%d items=%d refused=%d took_ms=%.0f",
            batch.kind.value,
            batch.id,
            len(batch.items),
            len(refused),
            done.took_s * 1e3,
        )
        for outcome in refused:
            log.info("refused batch=%d cloid=%s: %s", batch.id, outcome.cloid, outcome.text)
        if log.isEnabledFor(logging.DEBUG) and batch.kind is not BatchKind.CANCEL:
            for item, outcome in zip(batch.items, done.outcomes, strict=True):
                order = item.order if isinstance(item, ModifyItem) else item
                assert isinstance(order, PlaceItem), order
                log.debug("%s", self._placed(batch, order, outcome))

    def _placed(self, batch: Batch, order: PlaceItem, outcome: ItemOutcome) -> str:
        market = self._markets[order.coin]
        return (
            f"{batch.kind.value} {outcome.kind.value} coin={market.name} side={order.side.name} slot={order.slot.slot} "
            f"px={_price(market, order.price_ticks)} sz={market.size(order.size_lots)} "
            f"cloid={order.cloid} oid={outcome.oid}"
        )

    def _fill(self, note: FillBooked) -> str:
        fill = note.fill
        market = self._markets.get(fill.coin)
        token = self._tokens.get(fill.fee_token)
        price = _price(market, fill.price_ticks) if market else f"{fill.price_ticks} ticks"
        size = market.size(fill.size_lots) if market else f"{fill.size_lots} lots"
        fee = f"{wire_text(fill.fee_units, token.wei_decimals)} {token.name}" if token else f"{fill.fee_units} units"
        return (
            f"fill coin={self._name(fill.coin)} side={fill.side.name} px={price} sz={size} fee={fee!r} "
            f"cloid={fill.cloid} oid={fill.oid} tid={fill.key.tid} by={fill.source.value} ours={note.is_ours}"
        )

    def _ended(self, note: OrderEnded) -> str:
        market = self._markets[note.coin]
        return (
            f"order ended status={note.status} coin={market.name} side={note.side.name} slot={note.slot.slot} "
            f"px={_price(market, note.price_ticks)} "
            f"filled={market.size(note.filled_lots)}/{market.size(note.original_lots)} "
            f"lived_s={note.lived_s:.1f} cloid={note.cloid} oid={note.oid}"
        )

    def _name(self, coin: Coin | None) -> str:
        if coin is None:
            return "-"
        market = self._markets.get(coin)
        return market.name if market else coin


def _price(market: Market, price_ticks: int) -> str:
    return wire_text(price_ticks, market.price_decimals)
