"""What the venue's refusals forbid for a while: cooling sides, waiting slots, a pause of all quoting.

Made of the outcomes of batches. Cancels have no brakes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from mmtrio.core.events import (
    Batch,
    CancelItem,
    ItemOutcome,
    ModifyItem,
    Note,
    OutcomeKind,
    PlaceItem,
    Reason,
    ReasonCode,
    Refusal,
    Remark,
)
from mmtrio.core.market import Market
from mmtrio.core.rate_limit import DRIP_S
from mmtrio.core.types import Coin, Instant, Side, SlotKey

PAUSE_BASE_S = 2.0
PAUSE_MAX_S = 60.0

_PAUSE_CODES: dict[Refusal, ReasonCode] = {
    # Refusals of a whole request: they say nothing about a side or a price, and a repeat would meet the same answer.
    Refusal.TOO_MANY_REQUESTS: ReasonCode.IP_WEIGHT,
    Refusal.BUDGET: ReasonCode.BUDGET_RESERVE,
    Refusal.EXPIRED: ReasonCode.COOLDOWN,
    Refusal.DUPLICATE_NONCE: ReasonCode.COOLDOWN,
    Refusal.NONCE_TOO_LOW: ReasonCode.COOLDOWN,
    Refusal.UNKNOWN_SIGNER: ReasonCode.COOLDOWN,
    Refusal.OVER_WEIGHT: ReasonCode.COOLDOWN,
}

_ORDER_GONE = (Refusal.MISSING_ORDER, Refusal.CANNOT_MODIFY)
"""Our picture was behind; nothing is wrong with the side."""


@attrs.frozen
class _Cooldown:
    until: Instant
    cause: str


@attrs.frozen
class _Pause:
    until: Instant
    code: ReasonCode
    cause: str


@attrs.define
class Brakes:
    """Remembers refusals and says which places and modifies must wait for it.

    - Insufficient balance cools the side of that market for `cooldown_s` at once.
    - Other refusals do after `rejects_before_cooldown` in a row; an accepted order starts the count anew.
    - A post-only order that would have matched makes its slot wait for the next tick, no more: the market moved.
    - An order that was gone when we wanted to modify it counts for nothing.
    - A refused request (429, budget, expired, nonce, signer) pauses all quoting, each time in a row twice as long.
    """

    cooldown_s: float
    rejects_before_cooldown: int
    post_only_window_s: float
    _cooldowns: dict[tuple[Coin, Side], _Cooldown] = attrs.field(factory=dict, init=False)
    _rejects: dict[tuple[Coin, Side], int] = attrs.field(factory=dict, init=False)
    _waiting: dict[SlotKey, str] = attrs.field(factory=dict, init=False)
    _pause: _Pause | None = attrs.field(default=None, init=False)
    _pauses_in_a_row: int = attrs.field(default=0, init=False)
    _window_until: Instant | None = attrs.field(default=None, init=False)

    def blocking(self, slot: SlotKey, at: Instant) -> Reason | None:
        """Why no order may be placed in or moved within this slot now; None where it may."""
        pause = self._pause
        if pause is not None and at.mono_ns < pause.until.mono_ns:
            detail = f"{pause.cause}; quoting pauses for {pause.until.age_s(at):.1f} s"
            return self._reason(pause.code, slot, detail)
        cooldown = self._cooldowns.get((slot.coin, slot.side))
        if cooldown is not None and at.mono_ns < cooldown.until.mono_ns:
            detail = f"{cooldown.cause}; {cooldown.until.age_s(at):.1f} s left"
            return self._reason(ReasonCode.COOLDOWN, slot, detail)
        if slot in self._waiting:
            return self._reason(ReasonCode.POST_ONLY_RETRY, slot, self._waiting[slot])
        return None

    def in_post_only_window(self, at: Instant) -> bool:
        """True for a while after the venue said that it takes nothing but post-only orders."""
        return self._window_until is not None and at.mono_ns < self._window_until.mono_ns

    def next_tick(self) -> None:
        """The slots of refused post-only orders may try again."""
        self._waiting.clear()

    def on_outcomes(
        self, batch: Batch, outcomes: Sequence[ItemOutcome], at: Instant, markets: Mapping[Coin, Market]
    ) -> tuple[Note, ...]:
        """Learn from what became of a batch; the notes say what begins because of it."""
        notes: list[Note] = []
        for item, outcome in zip(batch.items, outcomes, strict=True):
            if outcome.refusal in _PAUSE_CODES:
                notes.extend(self._pause_quoting(outcome, at))
            elif not isinstance(item, CancelItem):
                place = item.order if isinstance(item, ModifyItem) else item
                notes.extend(self._on_order(place, outcome, at, markets))
        return tuple(notes)

    def _on_order(
        self, place: PlaceItem, outcome: ItemOutcome, at: Instant, markets: Mapping[Coin, Market]
    ) -> tuple[Note, ...]:
        side = (place.coin, place.side)
        if outcome.kind in (OutcomeKind.RESTING, OutcomeKind.FILLED):
            self._rejects.pop(side, None)
            self._pauses_in_a_row = 0
            return ()
        refusal = outcome.refusal
        if refusal is None or refusal in _ORDER_GONE:
            return ()
        if refusal is Refusal.POST_ONLY_WOULD_MATCH:
            self._waiting[place.slot] = _words(outcome)
            return ()
        name = markets[place.coin].name if place.coin in markets else place.coin
        if refusal is Refusal.INSUFFICIENT_BALANCE:
            return self._cool(side, f"the venue refused: {_words(outcome)}", name, at)
        count = self._rejects[side] = self._rejects.get(side, 0) + 1
        notes = self._note_window(outcome, at) if refusal is Refusal.POST_ONLY_WINDOW else ()
        if count < self.rejects_before_cooldown:
            return notes
        cause = f"{count} refusals in a row, the last: {_words(outcome)}"
        return notes + self._cool(side, cause, name, at)

    def _note_window(self, outcome: ItemOutcome, at: Instant) -> tuple[Note, ...]:
        is_news = not self.in_post_only_window(at)
        self._window_until = at.plus_s(self.post_only_window_s)
        if not is_news:
            return ()
        return (Remark(f"post-only window: {_words(outcome)}", is_warning=True),)

    def _cool(self, side: tuple[Coin, Side], cause: str, name: str, at: Instant) -> tuple[Note, ...]:
        self._rejects.pop(side, None)
        standing = self._cooldowns.get(side)
        self._cooldowns[side] = _Cooldown(at.plus_s(self.cooldown_s), cause)
        if standing is not None and at.mono_ns < standing.until.mono_ns:
            return ()  # Told when it began; a batch of fifty would tell it fifty times.
        text = f"{name} {side[1].name} cools down for {self.cooldown_s:g} s: {cause}"
        return (Remark(text, is_warning=True),)

    def _pause_quoting(self, outcome: ItemOutcome, at: Instant) -> tuple[Note, ...]:
        if self._pause is not None and at.mono_ns < self._pause.until.mono_ns:
            return ()  # Another item, or another batch sent before the pause began.
        assert outcome.refusal is not None
        self._pauses_in_a_row += 1
        if outcome.refusal is Refusal.BUDGET:
            pause_s = DRIP_S  # The venue's own rhythm: whoever asks more often is refused again.
        else:
            pause_s = min(PAUSE_MAX_S, PAUSE_BASE_S * 2 ** min(self._pauses_in_a_row - 1, 16))
        cause = f"the venue refused a request: {_words(outcome)}"
        self._pause = _Pause(at.plus_s(pause_s), _PAUSE_CODES[outcome.refusal], cause)
        return (Remark(f"quoting pauses for {pause_s:g} s: {cause}", is_warning=True),)

    @staticmethod
    def _reason(code: ReasonCode, slot: SlotKey, detail: str) -> Reason:
        return Reason(code, slot.coin, slot.side, slot.slot, detail)


def _words(outcome: ItemOutcome) -> str:
    """The venue's own words, or ours for them."""
    assert outcome.refusal is not None
    return outcome.text or outcome.refusal.value
