"""Whatever goes wrong, in whatever order: after it is over the two ends agree, and no level ever held two orders."""

from __future__ import annotations

import pytest

from mmtrio.core.events import BatchNotSent
from mmtrio.core.order_state import OrderState
from tests.support.bad_minutes import live_through
from tests.support.determinism import run_seeded


@pytest.mark.parametrize("seed", range(4))
def test_both_ends_agree_after_minutes_in_which_everything_goes_wrong(seed):
    outcome = run_seeded(seed, live_through, seed)
    assert outcome.disagreements == ()
    assert outcome.fills > 0


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 150))
def test_both_ends_agree_after_longer_trouble(seed):
    async def longer(seed):
        return await live_through(seed, minutes=15)

    outcome = run_seeded(seed, longer, seed)
    assert outcome.disagreements == ()
    assert outcome.fills > 0


def test_a_bot_that_takes_an_unknown_outcome_for_a_no_is_found_out(monkeypatch):
    def take_it_for_a_no(self, event, at):
        return self.on_batch_not_sent(BatchNotSent(event.batch_id, event.cause), at)

    monkeypatch.setattr(OrderState, "on_batch_unknown", take_it_for_a_no)
    with pytest.raises(BaseException) as caught:  # An AssertionError, in as many groups as there are nurseries.
        for seed in range(10):
            run_seeded(seed, live_through, seed)
    error = caught.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert "two orders on" in str(error)
