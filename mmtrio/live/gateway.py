"""The one writer of orders: a batch goes in, its outcome comes back as an event.

Nonces and signatures are made in the order in which the desk decided; the requests then fly side by side, because the
desk's worst-case accounting makes them independent of each other.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping

import attrs
import trio

from mmtrio.client.errors import OutcomeUnknown, RequestNotSent, RequestRefused
from mmtrio.client.rest import RestClient
from mmtrio.client.signer import NonceSource, Signer
from mmtrio.core.events import (
    Batch,
    BatchDone,
    BatchKind,
    BatchNotSent,
    BatchUnknown,
    CancelItem,
    Event,
    ItemOutcome,
    ModifyItem,
    OutcomeKind,
    PlaceItem,
    Refusal,
)
from mmtrio.core.market import Market
from mmtrio.core.types import Cloid, Coin, Instant
from mmtrio.live.clocks import Clock
from mmtrio.live.venue_time import VenueTime
from mmtrio.wire.actions import action_of
from mmtrio.wire.translation import Translator, Undecodable

log = logging.getLogger("mmtrio.live.gateway")

BATCHES_WAITING_MAX = 1_000
"""More than the desk can decide while one request is signed: beyond it something is broken."""


@attrs.define
class Gateway:
    """Signs and sends what the desk decided. `emit` takes the outcome back to the desk."""

    rest: RestClient
    signer: Signer
    nonces: NonceSource
    venue_time: VenueTime
    clock: Clock
    markets: Mapping[Coin, Market]
    translator: Translator
    emit: Callable[[Event], None]
    queue_max_s: float = 2.0
    """A place or modify that waited longer is not sent: the market it was meant for is gone."""

    is_closed: bool = attrs.field(default=False, init=False)
    is_running: bool = attrs.field(default=False, init=False)
    sent_count: int = attrs.field(default=0, init=False)
    last_quote_sent_at: Instant | None = attrs.field(default=None, init=False)
    """When a place or modify last left."""
    _in_flight: dict[int, Batch] = attrs.field(factory=dict, init=False, repr=False)
    """Signed, and not answered."""
    _waiting: trio.MemorySendChannel[tuple[Batch, Instant]] = attrs.field(init=False, repr=False)
    _to_send: trio.MemoryReceiveChannel[tuple[Batch, Instant]] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._waiting, self._to_send = trio.open_memory_channel[tuple[Batch, Instant]](BATCHES_WAITING_MAX)

    def submit_nowait(self, batch: Batch, decided_at: Instant) -> None:
        """Queue a batch. Raises trio.WouldBlock where a thousand wait already, which only a bug can bring about."""
        self._waiting.send_nowait((batch, decided_at))

    def close(self) -> None:
        """From now on only cancels leave."""
        self.is_closed = True

    @property
    def in_flight_count(self) -> int:
        """Batches signed and not answered."""
        return len(self._in_flight)

    async def run(self) -> None:
        """Sign and send until cancelled. What is unanswered by then is told by `take_abandoned`."""
        self.is_running = True
        try:
            async with trio.open_nursery() as nursery:
                async for batch, decided_at in self._to_send:
                    at = self.clock.now()
                    refusal = self._reason_not_to_send(batch, at.age_s(decided_at))
                    if refusal is not None:
                        self.emit(BatchNotSent(batch.id, refusal))
                        continue
                    body = self._sign(batch, at)
                    if batch.kind is not BatchKind.CANCEL:
                        self.last_quote_sent_at = at
                    self.sent_count += 1
                    self._in_flight[batch.id] = batch
                    nursery.start_soon(self._send, batch, body, at, name=f"gateway/batch {batch.id}")
        finally:
            self.is_running = False

    def take_abandoned(self) -> list[BatchUnknown | BatchNotSent]:
        """What became of the batches whose outcome nobody waits for any more; each once. None while running.

        A gateway that was cancelled has told nobody. Whoever cleans up must know: a batch that was on its way may
        still land, one that waited for its turn never left.
        """
        if self.is_running:
            return []
        cause = "this process stopped before the answer came"
        abandoned: list[BatchUnknown | BatchNotSent] = [BatchUnknown(id, cause) for id in self._in_flight]
        self._in_flight.clear()
        while True:
            try:
                batch, _ = self._to_send.receive_nowait()
            except trio.WouldBlock:
                return abandoned
            abandoned.append(BatchNotSent(batch.id, "stopping"))

    def _reason_not_to_send(self, batch: Batch, waited_s: float) -> str | None:
        if batch.kind is BatchKind.CANCEL:
            return None
        if self.is_closed:
            return "stopping"
        return f"it waited {waited_s:.1f} s to be sent" if waited_s > self.queue_max_s else None

    def _sign(self, batch: Batch, at: Instant) -> bytes:
        now_ms = self.venue_time.now_ms(at)
        expires_after_ms = None
        if batch.expires_after_s is not None:
            expires_after_ms = now_ms + math.ceil(batch.expires_after_s * 1e3)
        return self.signer.envelope(
            action_of(batch, self.markets), self.nonces.next(now_ms), expires_after_ms=expires_after_ms
        )

    async def _send(self, batch: Batch, body: bytes, at: Instant) -> None:
        outcome = await self._outcome(batch, body, at)
        del self._in_flight[batch.id]
        self.emit(outcome)

    async def _outcome(self, batch: Batch, body: bytes, at: Instant) -> BatchDone | BatchUnknown | BatchNotSent:
        try:
            reply = await self.rest.exchange(body)
            outcomes = self.translator.batch_result(batch, reply)
        except RequestNotSent as error:
            return BatchNotSent(batch.id, str(error))
        except OutcomeUnknown as error:
            return BatchUnknown(batch.id, str(error))
        except RequestRefused as error:
            outcomes = _refused(batch, error)
        except Undecodable as error:
            return BatchUnknown(batch.id, f"a senseless reply: {error}")
        return BatchDone(batch.id, outcomes, self.clock.now().age_s(at))


def _refused(batch: Batch, error: RequestRefused) -> tuple[ItemOutcome, ...]:
    refusal = Refusal.TOO_MANY_REQUESTS if error.status == 429 else Refusal.OTHER
    return tuple(
        ItemOutcome(cloid_of(item), OutcomeKind.REFUSED, refusal=refusal, text=str(error)) for item in batch.items
    )


def cloid_of(item: PlaceItem | ModifyItem | CancelItem) -> Cloid:
    """The cloid an outcome of this item is known by: of a modify, the replacement's."""
    return item.order.cloid if isinstance(item, ModifyItem) else item.cloid
