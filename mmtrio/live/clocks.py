"""The one place that reads the system's clocks and randomness. Everything else gets them handed in (D1)."""

from __future__ import annotations

import random
import time

import attrs
import trio

from mmtrio.core.types import Instant


@attrs.define
class Clock:
    """Instants: the monotone half is Trio's clock, virtual in tests; the wall half is the system's, or a stated epoch.

    `epoch_ms` None reads the system's wall clock each time. A number makes the wall follow Trio's clock from there,
    which is what a simulation wants.
    """

    epoch_ms: int | None = None

    def now(self) -> Instant:
        mono_s = trio.current_time()
        wall_ms = time.time_ns() // 1_000_000 if self.epoch_ms is None else self.epoch_ms + round(mono_s * 1e3)
        return Instant(round(mono_s * 1e9), wall_ms)


def open_randomness(seed: int | None) -> random.Random:
    """A source of chance: the system's own, or one that a seed fixes."""
    return random.SystemRandom() if seed is None else random.Random(seed)
