"""What time it is at the venue, from the stamps on its messages.

Nonces and expiries live in venue time (D1). A stamp is a little in the past when it arrives, so the largest offset
seen lately is the best estimate; it is kept against the monotone clock, and a step of the wall clock changes nothing.

A stamp from the future would do harm: orders would expire long after we take them for dead, and nonces could leave
the venue's window. So a jump ahead is believed only when several stamps in a row agree on it.
"""

from __future__ import annotations

from collections import deque

import attrs

from mmtrio.core.types import Instant

JUMP_MS = 2_000
"""A stamp may be so much further ahead than all before it: networks are that uneven."""
JUMP_WITNESSES = 3
RECENT_MS = 10_000
"""A stamp no older than this confirms the present estimate. Older ones are replays, and say nothing."""


@attrs.define
class VenueTime:
    """An estimate that starts at the wall clock and follows the venue's stamps."""

    window_s: float = 120.0
    _first_offset_ms: int | None = attrs.field(default=None, init=False)
    _offsets: deque[tuple[int, int]] = attrs.field(factory=deque, init=False)
    """(mono_ns, offset_ms), offsets falling: the head is the largest of the window."""

    _jump: tuple[int, int] | None = attrs.field(default=None, init=False)
    """An offset far ahead of the estimate, and how many stamps in a row have shown it."""

    def observe(self, stamp_ms: int, at: Instant) -> None:
        """A message stamped `stamp_ms` by the venue arrived."""
        offset_ms = stamp_ms - at.mono_ns // 1_000_000
        if self._offsets:
            ahead_ms = offset_ms - self._offsets[0][1]
            if ahead_ms > JUMP_MS and not self._is_confirmed(offset_ms):
                return
            if ahead_ms > -RECENT_MS:
                self._jump = None
        while self._offsets and self._offsets[-1][1] <= offset_ms:
            self._offsets.pop()
        self._offsets.append((at.mono_ns, offset_ms))
        while at.mono_ns - self._offsets[0][0] > self.window_s * 1e9 and len(self._offsets) > 1:
            self._offsets.popleft()

    def _is_confirmed(self, offset_ms: int) -> bool:
        """Have enough stamps in a row said so? The venue's clock was set, or this machine slept."""
        if self._jump is None or abs(offset_ms - self._jump[0]) > JUMP_MS:
            self._jump = (offset_ms, 0)
        self._jump = (self._jump[0], self._jump[1] + 1)
        return self._jump[1] >= JUMP_WITNESSES

    def now_ms(self, at: Instant) -> int:
        """Venue time in ms at the instant `at`."""
        if self._offsets:
            return at.mono_ns // 1_000_000 + self._offsets[0][1]
        if self._first_offset_ms is None:
            self._first_offset_ms = at.wall_ms - at.mono_ns // 1_000_000
        return at.mono_ns // 1_000_000 + self._first_offset_ms
