"""Every status of the venue, and those it will invent."""

from __future__ import annotations

import pytest

from mmtrio.core.status_words import ENDED_STATUSES, REJECTED_STATUSES, StatusMeaning, meaning_of


@pytest.mark.parametrize("status", ["open", "triggered"])
def test_live_statuses(status: str) -> None:
    assert meaning_of(status) is StatusMeaning.LIVE


@pytest.mark.parametrize("status", sorted(ENDED_STATUSES) + ["solarFlareCanceled", "moonCancel"])
def test_statuses_of_orders_that_are_over(status: str) -> None:
    assert meaning_of(status) is StatusMeaning.ENDED


@pytest.mark.parametrize("status", sorted(REJECTED_STATUSES) + ["solarFlareRejected"])
def test_statuses_of_orders_that_never_rested(status: str) -> None:
    assert meaning_of(status) is StatusMeaning.REJECTED


@pytest.mark.parametrize("status", ["", "resting", "frozen", "Open", "cancelled", "canceledOnce"])
def test_nothing_is_concluded_from_a_word_nobody_knows(status: str) -> None:
    assert meaning_of(status) is StatusMeaning.UNHEARD
