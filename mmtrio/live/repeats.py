"""Log lines that repeat themselves: the first is written, then one a minute with the number left out."""

from __future__ import annotations

import attrs

from mmtrio.core.types import Instant


@attrs.define
class _Told:
    at: Instant
    left_out: int = 0


@attrs.define
class Repeats:
    """Remembers what was written about each topic. A venue that refuses for an hour is worth sixty lines, not ten
    thousand."""

    interval_s: float = 60.0
    topics_max: int = 256
    _told: dict[str, _Told] = attrs.field(factory=dict, init=False)

    def admit(self, topic: str, at: Instant) -> int | None:
        """None where this line is to be left out; else how many were left out since the last of its topic."""
        told = self._told.get(topic)
        if told is not None and at.age_s(told.at) < self.interval_s:
            told.left_out += 1
            return None
        self._told.pop(topic, None)  # To the end: the topic not heard of for longest is forgotten first.
        while len(self._told) >= self.topics_max:
            del self._told[next(iter(self._told))]
        self._told[topic] = _Told(at)
        return told.left_out if told is not None else 0


def with_left_out(text: str, left_out: int) -> str:
    """The line, and how often it was not written."""
    return f"{text} ({left_out} more like this were left out)" if left_out else text
