"""What a benchmark yields, and how alternatives are timed side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import attrs


@attrs.frozen
class Figure:
    """One number. `ratio` is that of another way of doing the same, divided by ours: above 1, ours is the faster."""

    name: str
    value: float
    unit: str
    versus: str = ""
    ratio: float | None = None


def side_by_side(ways: Mapping[str, Callable[[], object]], *, rounds: int, calls: int) -> dict[str, list[float]]:
    """Microseconds per call of each way, for each round.

    Every round times each way once, in turn and the other way round every second time, so that a slow moment of the
    machine falls on all of them.
    """
    taken_us: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()  # Whatever is made on first use is made before the clock runs.
    for number in range(rounds):
        in_turn = list(ways.items())
        for name, way in in_turn if number % 2 == 0 else reversed(in_turn):
            started_ns = time.perf_counter_ns()
            for _ in range(calls):
                way()
            taken_us[name].append((time.perf_counter_ns() - started_ns) / calls / 1e3)
    return taken_us


def against(what: str, taken_us: Mapping[str, list[float]]) -> list[Figure]:
    """Our median, the first of `taken_us`, then each other's with the median of the ratios of the same rounds."""
    (ours, ours_us), *others = taken_us.items()
    figures = [Figure(f"{what}, {ours}", median(ours_us), "us")]
    for name, their_us in others:
        ratio = median(theirs / mine for theirs, mine in zip(their_us, ours_us, strict=True))
        figures.append(Figure(f"{what}, {name}", median(their_us), "us", versus=ours, ratio=ratio))
    return figures
