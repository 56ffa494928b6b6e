"""Which fills have been booked: the desk-wide half of fill dedupe (D6).

The venue replays fills after every reconnect and every read, in any order. A tid is a hash and never grows, so age is
the only order there is; memory is bounded by a horizon in venue time, below which a fill that is not known is history.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable

import attrs

from mmtrio.core.events import Fill, FillKey
from mmtrio.core.types import Cloid

FILLS_KEPT = 20_000
"""Ten times what the venue replays at most in one snapshot (protocol 5.3)."""


class FillVerdict(enum.Enum):
    NEW = "new"
    REPLAYED = "replayed"
    HISTORY = "history"
    """Older than anything still told apart: it was booked and forgotten, or it happened before we started."""


@attrs.define
class FillLedger:
    """Tells a new fill from one that was booked before, for ever and in bounded memory.

    A key is forgotten only when its order is (`is_remembered` says no) and `fills_kept` newer ones are known. The
    horizon lies at the newest forgotten key, so a forgotten fill can never come back as a new one. Fills of remembered
    orders are judged by their keys alone: all of those are here, and so one that is missing is new however late it is.
    """

    is_remembered: Callable[[Cloid], bool]
    fills_kept: int = FILLS_KEPT
    history_count: int = attrs.field(default=0, init=False)
    """Fills taken for history because they lie beyond the horizon."""
    replayed_count: int = attrs.field(default=0, init=False)
    horizon_ms: int = attrs.field(default=-1, init=False)
    _owners: dict[FillKey, Cloid | None] = attrs.field(factory=dict, init=False, repr=False)
    _prune_above: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._prune_above = self.fills_kept + self._slack

    def __len__(self) -> int:
        return len(self._owners)

    def __contains__(self, key: FillKey) -> bool:
        return key in self._owners

    def book(self, fill: Fill, owner: Cloid | None) -> FillVerdict:
        """Judge a fill, and remember it if it is new. `owner` is the order it belongs to, where we have that."""
        if fill.key in self._owners:
            self.replayed_count += 1
            return FillVerdict.REPLAYED
        has_remembered_owner = owner is not None and self.is_remembered(owner)
        if fill.time_ms <= self.horizon_ms and not has_remembered_owner:
            self.history_count += 1
            return FillVerdict.HISTORY
        self._owners[fill.key] = owner
        self._prune_if_large()
        return FillVerdict.NEW

    def assign(self, key: FillKey, owner: Cloid) -> None:
        """A booked fill turned out to belong to this order: keep it as long as the order."""
        if key in self._owners:
            self._owners[key] = owner

    def mark_history(self, fills: Iterable[Fill], *, before_ms: int | None = None) -> None:
        """Take these fills as booked: they happened before we started, and the first balances contain them.

        So did whatever is older than one of them, or than `before_ms`: it is history, known here or not.
        """
        for fill in fills:
            self._owners.setdefault(fill.key, None)
            self.horizon_ms = max(self.horizon_ms, fill.time_ms - 1)
        if before_ms is not None:
            self.horizon_ms = max(self.horizon_ms, before_ms - 1)
        self._prune_if_large()

    @property
    def _slack(self) -> int:
        return max(1, self.fills_kept // 4)  # So that sorting is paid for by thousands of fills.

    def _prune_if_large(self) -> None:
        if len(self._owners) <= self._prune_above:
            return
        surplus = len(self._owners) - self.fills_kept
        oldest_first = sorted(self._owners, key=lambda key: key.time_ms)
        for key in oldest_first[:surplus]:
            owner = self._owners[key]
            if owner is None or not self.is_remembered(owner):
                del self._owners[key]
                self.horizon_ms = max(self.horizon_ms, key.time_ms)
        # Keys of live orders may keep us above the mark; then sort again only after as many new ones.
        self._prune_above = max(self.fills_kept, len(self._owners)) + self._slack
