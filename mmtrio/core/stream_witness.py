"""Does the account's stream deliver what it must? Event feeds may be silent for hours, so silence proves nothing;
but an accepted order must appear on `orderUpdates`, and a fill that REST knows must appear on `userFills` (D10)."""

from __future__ import annotations

import attrs

from mmtrio.core.events import Fill, FillKey, FillSource, Mismatch, MismatchKind
from mmtrio.core.types import Cloid, Instant


@attrs.define
class StreamWitness:
    """Deadlines for what the stream owes us. Forgotten when the stream is replaced: catch-up explains the rest."""

    update_wait_s: float = 5.0
    fill_wait_s: float = 5.0
    """As long as a pong may take: a stream that lags more than that ends by itself."""
    _live_since: Instant | None = attrs.field(default=None, init=False)
    _owed_updates: dict[Cloid, Instant] = attrs.field(factory=dict, init=False)
    _owed_fills: dict[FillKey, tuple[Fill, Instant]] = attrs.field(factory=dict, init=False)

    def on_stream_live(self, at: Instant) -> None:
        """All feeds are acknowledged: what happens from now on must be on them."""
        self._live_since = at

    def on_accepted(self, cloid: Cloid, sent_at: Instant, at: Instant) -> None:
        """The venue's reply says the order rests: its update is due, if the stream was there when it was sent.

        A stream that opened later owes nothing: `orderUpdates` has no snapshot.
        """
        if self._live_since is not None and sent_at.mono_ns >= self._live_since.mono_ns:
            self._owed_updates.setdefault(cloid, at.plus_s(self.update_wait_s))

    def on_updated(self, cloid: Cloid | None) -> None:
        if cloid is not None:
            self._owed_updates.pop(cloid, None)

    def on_fill(self, fill: Fill, is_new: bool, is_stream_live: bool, at: Instant) -> None:
        """A fill arrived by any way; one that a reconciliation found is owed by the stream, if that was live."""
        if fill.source in (FillSource.STREAM, FillSource.SNAPSHOT):
            self._owed_fills.pop(fill.key, None)
        elif is_new and is_stream_live and fill.source is FillSource.RECONCILE:
            self._owed_fills[fill.key] = (fill, at.plus_s(self.fill_wait_s))

    @property
    def is_owed(self) -> bool:
        """Something has not come yet, and its deadline has not passed."""
        return bool(self._owed_updates or self._owed_fills)

    def forget(self) -> None:
        """The stream ended: what it owed, the catch-up of its successor will find."""
        self._live_since = None
        self._owed_updates.clear()
        self._owed_fills.clear()

    def overdue_update(self, at: Instant) -> Cloid | None:
        """An accepted order whose update never came; None while all is well."""
        for cloid, due_at in self._owed_updates.items():
            if at.mono_ns >= due_at.mono_ns:
                return cloid
        return None

    def overdue_fills(self, heard_at: Instant) -> tuple[Mismatch, ...]:
        """Fills whose frame never came, although the stream was heard after it was due; each told once.

        A stream that is silent altogether proves nothing of the kind: it ends, and its successor catches up.
        """
        overdue = [
            (key, fill) for key, (fill, due_at) in self._owed_fills.items() if heard_at.mono_ns >= due_at.mono_ns
        ]
        for key, _ in overdue:
            del self._owed_fills[key]
        return tuple(
            Mismatch(
                MismatchKind.FILL_NOT_STREAMED, f"tid {key.tid} oid {key.oid} size {fill.size_lots} lots", fill.coin
            )
            for key, fill in overdue
        )
