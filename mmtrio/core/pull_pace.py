"""How often orders are withdrawn again while we stay blind: at once, then ever more slowly."""

from __future__ import annotations

import attrs

from mmtrio.core.types import Coin, Instant


@attrs.define
class PullPace:
    """A cancel that got lost must be repeated, and a venue that is out of reach must not cost a request each time."""

    pause_first_s: float = 2.0
    pause_max_s: float = 10.0
    _due: dict[Coin, tuple[Instant, float]] = attrs.field(factory=dict, init=False)
    """When a market's orders are withdrawn next, and the pause after that."""

    def is_due(self, coin: Coin, at: Instant) -> bool:
        """True where the orders of this blind market are to be withdrawn now. Asking starts the next pause."""
        due_at, pause_s = self._due.get(coin, (at, self.pause_first_s))
        if at.mono_ns < due_at.mono_ns:
            return False
        self._due[coin] = (at.plus_s(pause_s), min(self.pause_max_s, 2 * pause_s))
        return True

    def on_sight(self, coin: Coin) -> None:
        """The market can be seen again: next time it starts with at once."""
        self._due.pop(coin, None)
