"""What the venue counts per address of the network: request weight over a rolling minute (protocol 11.1)."""

from __future__ import annotations

from collections import deque

import attrs

WINDOW_MS = 60_000


@attrs.define(eq=False)
class WeightWindow:
    """Weight spent by one address in the last minute. `weight_max` None counts and never refuses."""

    weight_max: int | None = 1200
    _spent: deque[tuple[int, int]] = attrs.field(factory=deque, init=False)
    _total: int = attrs.field(default=0, init=False)

    def used(self, now_ms: int) -> int:
        while self._spent and self._spent[0][0] <= now_ms - WINDOW_MS:
            self._total -= self._spent.popleft()[1]
        return self._total

    def admits(self, now_ms: int) -> bool:
        """May another request come in? Its own weight is known only afterwards, so it may overshoot."""
        return self.weight_max is None or self.used(now_ms) < self.weight_max

    def charge(self, weight: int, now_ms: int) -> None:
        self._spent.append((now_ms, weight))
        self._total += weight
