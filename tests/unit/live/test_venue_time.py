"""The venue's clock as seen from here."""

from __future__ import annotations

from random import Random

import pytest

from mmtrio.client.signer import NonceSource
from mmtrio.core.types import Instant
from mmtrio.live.venue_time import VenueTime

EPOCH_MS = 1_790_000_000_000


def instant(seconds: float, wall_ms: int = 5) -> Instant:
    return Instant(round(seconds * 1e9), wall_ms)


def told(venue_time: VenueTime, seconds: float, late_s: float = 0.0, ahead_s: float = 0.0) -> None:
    """A stamp of the venue arrives `late_s` after it was made, by a venue that is `ahead_s` ahead."""
    venue_time.observe(EPOCH_MS + round((seconds - late_s + ahead_s) * 1e3), instant(seconds))


def test_before_the_first_stamp_it_is_the_wall_clock_of_the_first_question_and_steps_of_it_change_nothing():
    venue_time = VenueTime()
    assert venue_time.now_ms(instant(1, wall_ms=7_000)) == 7_000
    assert venue_time.now_ms(instant(2, wall_ms=127_000)) == 8_000


def test_the_stamp_that_was_fastest_lately_is_the_best():
    venue_time = VenueTime()
    for second, late_s in [(1, 0.5), (2, 0.1), (3, 0.4), (4, 1.5)]:
        told(venue_time, second, late_s)
    assert venue_time.now_ms(instant(4)) == EPOCH_MS + 4_000 - 100


def test_an_old_stamp_is_forgotten_after_the_window_so_that_drift_is_followed():
    venue_time = VenueTime(window_s=120.0)
    told(venue_time, 0)
    for second in range(1, 300):
        told(venue_time, second, ahead_s=-second * 0.001)  # The venue's clock is slow by 1 ms a second.
    error_ms = venue_time.now_ms(instant(299)) - (EPOCH_MS + 299_000 - 299)
    assert 0 <= error_ms <= 120


@pytest.mark.parametrize("ahead_s", [3.0, 3_600.0, 1e9])
def test_a_single_stamp_from_the_future_moves_neither_expiries_nor_nonces(ahead_s):
    venue_time = VenueTime()
    nonces = NonceSource()
    for second in range(1, 20):
        told(venue_time, second, 0.1)
        if second % 4 == 0:
            told(venue_time, second, ahead_s=ahead_s)
        now_ms = venue_time.now_ms(instant(second))
        assert abs(now_ms - (EPOCH_MS + second * 1000)) <= 100
        assert abs(nonces.next(now_ms) - now_ms) <= 100


def test_a_jump_that_three_stamps_in_a_row_agree_on_is_believed():
    venue_time = VenueTime()
    told(venue_time, 1)
    told(venue_time, 2, ahead_s=3_600)
    told(venue_time, 2.5, 0.3, ahead_s=3_600)
    assert venue_time.now_ms(instant(3)) == EPOCH_MS + 3_000
    told(venue_time, 3, 0.1, ahead_s=3_600)
    assert abs(venue_time.now_ms(instant(3)) - (EPOCH_MS + 3_603_000)) <= 300


def test_a_replayed_stamp_between_them_does_not_hide_a_jump():
    venue_time = VenueTime()
    told(venue_time, 1)
    for second in (2.0, 2.5, 3.0):
        told(venue_time, second, ahead_s=3_600)
        told(venue_time, second, late_s=86_400)
    assert venue_time.now_ms(instant(3)) == EPOCH_MS + 3_603_000


def test_nonces_never_repeat_nor_fall_whatever_the_estimate_does():
    rng, venue_time, nonces = Random(1), VenueTime(window_s=5.0), NonceSource()
    last = 0
    for step in range(2_000):
        told(venue_time, step / 10, late_s=rng.uniform(0, 4), ahead_s=rng.choice((0, 0, 0, 5)))
        nonce = nonces.next(venue_time.now_ms(instant(step / 10)))
        assert nonce > last
        last = nonce


def test_what_is_remembered_is_bounded_by_the_window():
    venue_time = VenueTime(window_s=10.0)
    for step in range(10_000):
        told(venue_time, step / 100, late_s=step / 10_000)  # Ever later: the worst case for the queue.
    assert len(venue_time._offsets) <= 1_001
