"""What the venue counts per address of the network, over a rolling minute (protocol 11.1)."""

from __future__ import annotations

from collections import deque

import attrs

WINDOW_MS = 60_000


@attrs.define(eq=False)
class MinuteWindow:
    """What one address has spent of something in the last minute. `spent_max` None counts and never refuses."""

    spent_max: int | None
    _spent: deque[tuple[int, int]] = attrs.field(factory=deque, init=False)
    _total: int = attrs.field(default=0, init=False)

    def used(self, now_ms: int) -> int:
        while self._spent and self._spent[0][0] <= now_ms - WINDOW_MS:
            self._total -= self._spent.popleft()[1]
        return self._total

    def admits(self, now_ms: int) -> bool:
        """May another request come in? Its own weight is known only afterwards, so it may overshoot."""
        return self.spent_max is None or self.used(now_ms) < self.spent_max

    def charge(self, weight: int, now_ms: int) -> None:
        self.used(now_ms)  # Forgets what is over, so that counting alone takes no memory either.
        self._spent.append((now_ms, weight))
        self._total += weight


@attrs.define(eq=False)
class PeerLimits:
    """One address of the network."""

    weight: MinuteWindow
    """Of requests over HTTP."""
    connects: MinuteWindow
    """New WebSockets."""
    messages: MinuteWindow
    """Frames from the client, over all its sockets."""
