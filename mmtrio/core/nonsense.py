"""What the venue sent and nobody understood: counted by kind, in bounded memory."""

from __future__ import annotations

from collections import Counter

import attrs

from mmtrio.core.events import Remark, Undecodable


@attrs.define
class Nonsense:
    """Counts senseless frames and rows. One that invents new kinds all the time fills neither memory nor log."""

    kinds_max: int = 50
    counts: Counter[str] = attrs.field(factory=Counter, init=False)

    def note(self, event: Undecodable) -> Remark:
        """Count it; the line it is worth, whose topic lets repetitions be left out."""
        is_told_apart = event.what in self.counts or len(self.counts) < self.kinds_max
        kind = event.what if is_told_apart else "other"
        self.counts[kind] += 1
        text = f"not understood ({event.what}): {event.excerpt}"
        return Remark(text, is_warning=True, topic=f"not understood: {kind}")

    @property
    def summary(self) -> str:
        """`3 unknown channel, 1 bbo: no such price`; empty where all was understood."""
        return ", ".join(f"{count} {kind}" for kind, count in self.counts.most_common())
