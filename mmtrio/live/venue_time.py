"""What time it is at the venue, from the stamps on its messages.

Nonces and expiries live in venue time (D1). A stamp is a little in the past when it arrives, so the largest offset
seen lately is the best estimate; it is kept against the monotone clock, and a step of the wall clock changes nothing.
"""

from __future__ import annotations

from collections import deque

import attrs

from mmtrio.core.types import Instant


@attrs.define
class VenueTime:
    """An estimate that starts at the wall clock and follows the venue's stamps."""

    window_s: float = 120.0
    _first_offset_ms: int | None = attrs.field(default=None, init=False)
    _offsets: deque[tuple[int, int]] = attrs.field(factory=deque, init=False)
    """(mono_ns, offset_ms), offsets falling: the head is the largest of the window."""

    def observe(self, stamp_ms: int, at: Instant) -> None:
        """A message stamped `stamp_ms` by the venue arrived."""
        offset_ms = stamp_ms - at.mono_ns // 1_000_000
        while self._offsets and self._offsets[-1][1] <= offset_ms:
            self._offsets.pop()
        self._offsets.append((at.mono_ns, offset_ms))
        while at.mono_ns - self._offsets[0][0] > self.window_s * 1e9 and len(self._offsets) > 1:
            self._offsets.popleft()

    def now_ms(self, at: Instant) -> int:
        """Venue time in ms at the instant `at`."""
        if self._offsets:
            return at.mono_ns // 1_000_000 + self._offsets[0][1]
        if self._first_offset_ms is None:
            self._first_offset_ms = at.wall_ms - at.mono_ns // 1_000_000
        return at.mono_ns // 1_000_000 + self._first_offset_ms

    def skew_ms(self, at: Instant) -> int:
        """How far the wall clock is ahead of the venue; 0 before the first stamp."""
        return at.wall_ms - self.now_ms(at) if self._offsets else 0
