"""Notes and batches as log lines: one line each, key=value, cloid and oid in every line about an order."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence

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
    ReasonCode,
    Remark,
)
from mmtrio.core.market import Market
from mmtrio.core.types import Cloid, Coin, Instant, Token
from mmtrio.live.repeats import Repeats, with_left_out
from mmtrio.wire.decimals import wire_text

log = logging.getLogger("mmtrio.desk")

REFUSALS_APART_MAX = 5
"""Of more refusals in one batch, those that differ in numbers alone share a line."""


class Narrator:
    """Writes what the desk noted and what became of its batches to the log."""

    def __init__(self, markets: Mapping[Coin, Market], tokens: Mapping[int, Token]) -> None:
        self._markets = markets
        self._tokens = tokens
        self._repeats = Repeats()

    def tell(self, note: Note, at: Instant) -> None:
        """One log line for one note; of lines that repeat themselves, one a minute."""
        match note:
            case FillBooked():
                log.info("%s", self._fill(note))
            case OrderEnded():
                # One that the venue never had is told with its batch.
                log.log(logging.DEBUG if _never_was(note) else logging.INFO, "%s", self._ended(note))
            case Mismatch():
                log.warning("mismatch: %s: %s coin=%s", note.kind.value, note.detail, self._name(note.coin))
            case QuotingStopped():
                is_asked_for = note.reason.code is ReasonCode.STOPPING
                log.log(
                    logging.INFO if is_asked_for else logging.WARNING,
                    "quoting stopped: %s%s coin=%s silence_s=%.1f",
                    note.reason.code.value,
                    f" ({note.reason.detail})" if note.reason.detail else "",
                    self._name(note.coin),
                    note.silence_s,
                )
            case QuotingResumed():
                log.info("quoting resumed coin=%s stopped_s=%.1f", self._name(note.coin), note.stopped_s)
            case Remark():
                self._remark(note, at)

    def _remark(self, note: Remark, at: Instant) -> None:
        left_out = self._repeats.admit(note.topic, at) if note.topic else 0
        level = logging.WARNING if note.is_warning else logging.INFO
        log.log(logging.DEBUG if left_out is None else level, "%s", with_left_out(note.text, left_out or 0))

    def tell_batch(self, batch: Batch, done: BatchDone) -> None:
        """A line for the batch, one for each kind of refusal in it, and at DEBUG one for each order."""
        refused = [outcome for outcome in done.outcomes if outcome.kind is OutcomeKind.REFUSED]
        log.info(
            "%s batch=%d items=%d refused=%d took_ms=%.0f",
            batch.kind.value,
            batch.id,
            len(batch.items),
            len(refused),
            done.took_s * 1e3,
        )
        for text, cloids in _by_text(refused).items():
            log.info("refused batch=%d items=%d cloid=%s%s: %s", batch.id, len(cloids), cloids[0], _more(cloids), text)
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


def _never_was(note: OrderEnded) -> bool:
    return note.oid is None and note.status.startswith(("refused", "not sent"))


def _by_text(refused: Sequence[ItemOutcome]) -> dict[str, list[Cloid]]:
    """The venue's words, without the numbers that differ from item to item, and whom they are about."""
    cloids: dict[str, list[Cloid]] = {}
    for outcome in refused:
        text = re.sub(r"\d+", "#", outcome.text) if len(refused) > REFUSALS_APART_MAX else outcome.text
        cloids.setdefault(text, []).append(outcome.cloid)
    return cloids


def _more(cloids: Sequence[Cloid]) -> str:
    return "" if len(cloids) == 1 else f"..{cloids[-1]}"


def _price(market: Market, price_ticks: int) -> str:
    return wire_text(price_ticks, market.price_decimals)
