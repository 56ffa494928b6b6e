"""Where events meet the desk: every task delivers here, and every command leaves from here.

`deliver` is synchronous. The reader of a session calls it itself, so between a frame and the decision there is no
task switch; the commands are then handed to the tasks that carry them out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import attrs
import trio

from mmtrio.core.account_desk import AccountDesk
from mmtrio.core.events import (
    AccountRead,
    Batch,
    BatchDone,
    BatchNotSent,
    BatchUnknown,
    BookRead,
    Command,
    Event,
    FillBooked,
    Note,
    OrderUpdated,
    QueryOrder,
    QuotingResumed,
    QuotingStopped,
    ReadAccount,
    ReasonCode,
    RestartSession,
    SessionName,
    SubmitBatch,
    TouchChanged,
)
from mmtrio.core.types import Coin, Instant
from mmtrio.live.clocks import Clock
from mmtrio.live.gateway import Gateway
from mmtrio.live.narration import Narrator
from mmtrio.live.tally import FillTally
from mmtrio.live.venue_time import VenueTime

Observer = Callable[[object, Instant], None]
"""Sees every event and then its decision, in order. For recordings and hashes; must not block."""

ReadRequest = ReadAccount | QueryOrder

STOPS_MAX = 10_000
"""Of a market that stops and resumes all day long, only so many stretches are listed; the last ones."""


@attrs.define
class Stop:
    """A market stopped quoting at `at`; `lasted_s` is set when it resumed."""

    note: QuotingStopped
    at: Instant
    lasted_s: float | None = None


@attrs.define
class Hub:
    """Desk in the middle, tasks around it."""

    desk: AccountDesk
    clock: Clock
    venue_time: VenueTime
    narrator: Narrator
    observers: Sequence[Observer] = ()
    restart_session: Callable[[SessionName, str], None] | None = None
    gateway: Gateway | None = None
    is_live: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set once the first catch-up is over."""
    stops: deque[Stop] = attrs.field(factory=lambda: deque(maxlen=STOPS_MAX), init=False)
    """Every time a market stopped quoting after it had begun, but for the end of the run."""
    tallies: dict[Coin, FillTally] = attrs.field(init=False)
    """What this run's fills came to, by our own books."""
    reads: trio.MemorySendChannel[ReadRequest] = attrs.field(init=False)
    read_requests: trio.MemoryReceiveChannel[ReadRequest] = attrs.field(init=False)
    _batches: dict[int, Batch] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.reads, self.read_requests = trio.open_memory_channel[ReadRequest](10_000)
        self.tallies = {quoter.coin: FillTally(quoter.market) for quoter in self.desk.quoters}

    def deliver(self, event: Event) -> None:
        """Hand one fact to the desk and carry out what it decides.

        Whatever this raises is a bug of ours and ends the process through the order guard (D13).
        """
        at = self.clock.now()
        if isinstance(event, BookRead | TouchChanged):
            self.venue_time.observe(event.time_ms, at)
        elif isinstance(event, OrderUpdated):
            self.venue_time.observe(event.status_ms, at)
        decision = self.desk.handle(event, at)
        for observer in self.observers:
            observer(event, at)
            observer(decision, at)
        if isinstance(event, BatchDone | BatchUnknown | BatchNotSent):
            batch = self._batches.pop(event.batch_id)
            if isinstance(event, BatchDone):
                self.narrator.tell_batch(batch, event)
        for note in decision.notes:
            self.narrator.tell(note, at)
            self._keep(note, at)
        if isinstance(event, AccountRead) and self.desk.has_caught_up:
            self.is_live.set()
        for command in decision.commands:
            self._carry_out(command, at)

    def _carry_out(self, command: Command, at: Instant) -> None:
        match command:
            case SubmitBatch(batch):
                assert self.gateway is not None, batch
                self._batches[batch.id] = batch
                self.gateway.submit_nowait(batch, at)
            case ReadAccount() | QueryOrder():
                self.reads.send_nowait(command)
            case RestartSession(session, cause):
                if self.restart_session is not None:
                    self.restart_session(session, cause)

    def _keep(self, note: Note, at: Instant) -> None:
        """What the report will tell at the end."""
        match note:
            case FillBooked(fill, _) if fill.coin in self.tallies and self.desk.orders.cloids.is_this_run(fill.cloid):
                self.tallies[fill.coin].add(fill)
            case QuotingStopped() if note.reason.code is not ReasonCode.STOPPING:
                self.stops.append(Stop(note, at))
            case QuotingResumed():
                self._close_stop(note)

    def _close_stop(self, note: QuotingResumed) -> None:
        for stop in reversed(self.stops):
            if stop.note.coin == note.coin and stop.lasted_s is None:
                stop.lasted_s = note.stopped_s
                return
