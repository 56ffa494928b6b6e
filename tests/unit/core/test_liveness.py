"""Quoting needs live sessions, and every gate says why it is shut."""

from __future__ import annotations

import math

import pytest

from mmtrio.core.events import ReasonCode, SessionName
from mmtrio.core.liveness import FEEDS_MAX, Liveness, LivenessParams, Phase
from mmtrio.core.types import Coin, Instant
from tests.support.builders import instant

ACCOUNT, MARKET = SessionName.ACCOUNT, SessionName.MARKET
HYPE = Coin("@107")
BOOK = "l2Book:@107"


def go_live(liveness: Liveness, session: SessionName, at_s: float) -> None:
    liveness.on_opened(session, instant(at_s))
    liveness.on_live(session, instant(at_s))
    liveness.on_caught_up(session, instant(at_s))


def live(*sessions: SessionName, at_s: float = 0.0, params: LivenessParams | None = None) -> Liveness:
    liveness = Liveness(params or LivenessParams())
    for session in sessions:
        go_live(liveness, session, at_s)
    return liveness


def code(liveness: Liveness, at_s: float, *, needs_data: bool = False) -> ReasonCode | None:
    reason = liveness.blocking_reason(HYPE, needs_data, instant(at_s))
    return None if reason is None else reason.code


def test_until_the_first_catch_up_the_maker_is_starting() -> None:
    liveness = Liveness()
    assert code(liveness, 0) is ReasonCode.STARTING
    liveness.on_opened(ACCOUNT, instant(1))
    assert code(liveness, 1) is ReasonCode.STARTING
    liveness.on_live(ACCOUNT, instant(2))
    assert code(liveness, 2) is ReasonCode.STARTING
    liveness.on_ended(ACCOUNT, instant(3))
    assert code(liveness, 3) is ReasonCode.STARTING
    go_live(liveness, ACCOUNT, 4)
    assert code(liveness, 4) is None


def test_after_a_reconnect_quoting_waits_for_acknowledgements_and_catch_up() -> None:
    liveness = live(ACCOUNT)
    liveness.on_ended(ACCOUNT, instant(5))
    assert code(liveness, 6) is ReasonCode.ACCOUNT_SESSION_DOWN
    liveness.on_opened(ACCOUNT, instant(7))
    assert code(liveness, 7) is ReasonCode.ACCOUNT_SESSION_DOWN
    liveness.on_live(ACCOUNT, instant(8))
    reason = liveness.blocking_reason(HYPE, False, instant(9))
    assert reason is not None
    assert (reason.code, reason.detail) == (ReasonCode.CATCHING_UP, "not live for 4.0 s")
    liveness.on_caught_up(ACCOUNT, instant(9))
    assert code(liveness, 9) is None


def test_a_catch_up_that_ends_after_its_session_opens_no_gate() -> None:
    liveness = live(ACCOUNT)
    liveness.on_ended(ACCOUNT, instant(5))
    liveness.on_caught_up(ACCOUNT, instant(6))
    assert liveness.phase(ACCOUNT) is Phase.DOWN
    liveness.on_opened(ACCOUNT, instant(7))
    liveness.on_caught_up(ACCOUNT, instant(7))
    assert code(liveness, 7) is ReasonCode.ACCOUNT_SESSION_DOWN


def test_an_acknowledgement_does_not_revive_a_session_that_was_given_up() -> None:
    liveness = Liveness()
    liveness.on_opened(ACCOUNT, instant(0))
    liveness.on_ended(ACCOUNT, instant(1))
    liveness.on_live(ACCOUNT, instant(1))
    assert not liveness.is_up(ACCOUNT)


def test_silence_stops_quoting_at_its_limit_and_says_how_long() -> None:
    liveness = live(ACCOUNT)
    liveness.heard(ACCOUNT, "pong", instant(2.5))
    assert code(liveness, 10.4999) is None
    reason = liveness.blocking_reason(HYPE, False, instant(10.5))
    assert reason is not None
    assert reason.code is ReasonCode.ACCOUNT_SESSION_SILENT
    assert reason.detail == "no frame for 8.0 s, 8 s are allowed"
    liveness.heard(ACCOUNT, "userFills", instant(11))
    assert code(liveness, 11) is None


def test_the_wall_clock_is_not_looked_at() -> None:
    liveness = live(ACCOUNT)
    now = instant(7)
    assert liveness.blocking_reason(HYPE, False, Instant(now.mono_ns, now.wall_ms + 120_000)) is None
    assert (
        liveness.blocking_reason(HYPE, False, Instant(instant(9).mono_ns, now.wall_ms - 120_000)) is not None
    )


def test_the_market_session_matters_only_where_data_is_required() -> None:
    liveness = live(ACCOUNT)
    assert code(liveness, 1) is None
    assert code(liveness, 1, needs_data=True) is ReasonCode.MARKET_SESSION_DOWN
    go_live(liveness, MARKET, 2)
    assert code(liveness, 2, needs_data=True) is ReasonCode.MARKET_DATA_MISSING
    liveness.heard(MARKET, BOOK, instant(3))
    assert code(liveness, 3, needs_data=True) is None


def test_the_account_comes_first_in_the_reasons() -> None:
    liveness = live(MARKET)
    assert code(liveness, 1, needs_data=True) is ReasonCode.STARTING


def test_a_silent_market_session_stops_those_who_need_it() -> None:
    liveness = live(ACCOUNT, MARKET)
    liveness.heard(MARKET, BOOK, instant(0))
    liveness.heard(ACCOUNT, "pong", instant(8))
    assert code(liveness, 8, needs_data=True) is ReasonCode.MARKET_SESSION_SILENT
    assert code(liveness, 8) is None


def test_a_dead_book_is_noticed_on_a_session_that_still_pongs() -> None:
    liveness = live(ACCOUNT, MARKET)
    liveness.heard(MARKET, BOOK, instant(1))
    for second in range(2, 10):
        liveness.heard(ACCOUNT, "pong", instant(second))
        liveness.heard(MARKET, "pong", instant(second))
    assert code(liveness, 8.9, needs_data=True) is None
    assert code(liveness, 9, needs_data=True) is ReasonCode.MARKET_DATA_MISSING


def test_a_book_of_the_connection_before_is_none() -> None:
    liveness = live(ACCOUNT, MARKET)
    liveness.heard(MARKET, BOOK, instant(1))
    liveness.on_ended(MARKET, instant(2))
    go_live(liveness, MARKET, 3)
    assert code(liveness, 3, needs_data=True) is ReasonCode.MARKET_DATA_MISSING


def test_orders_are_pulled_after_long_silence() -> None:
    liveness = live(ACCOUNT)
    liveness.heard(ACCOUNT, "pong", instant(1))
    assert not liveness.should_pull(instant(15.9))
    assert liveness.should_pull(instant(16))


def test_orders_are_pulled_when_the_session_stays_down_or_flaps() -> None:
    liveness = live(ACCOUNT)
    liveness.heard(ACCOUNT, "pong", instant(9))
    liveness.on_ended(ACCOUNT, instant(10))
    for second in (12, 15, 18, 21):  # Each connection speaks, and none lives to catch up.
        liveness.on_opened(ACCOUNT, instant(second))
        liveness.heard(ACCOUNT, "subscriptionResponse", instant(second + 1))
        liveness.on_ended(ACCOUNT, instant(second + 2))
    assert not liveness.should_pull(instant(24.9))
    assert liveness.should_pull(instant(25))
    go_live(liveness, ACCOUNT, 26)
    assert not liveness.should_pull(instant(26))


def test_never_pulling_is_a_choice() -> None:
    liveness = live(ACCOUNT, params=LivenessParams(pull_after_s=None))
    assert not liveness.should_pull(instant(1_000_000))


def test_nothing_is_pulled_before_anything_was_quoted() -> None:
    assert not Liveness().should_pull(instant(100))


def test_a_needed_market_feed_pulls_too() -> None:
    liveness = live(ACCOUNT, MARKET)
    liveness.heard(MARKET, BOOK, instant(1))
    for second in range(2, 17):
        liveness.heard(ACCOUNT, "pong", instant(second))
        liveness.heard(MARKET, "pong", instant(second))
    assert not liveness.should_pull(instant(16))
    assert not liveness.should_pull(instant(15.9), [HYPE])
    assert liveness.should_pull(instant(16), [HYPE])


def test_silence_of_a_session_that_never_opened_is_infinite() -> None:
    liveness = live(ACCOUNT)
    assert liveness.silence_s(MARKET, instant(3)) == math.inf
    assert liveness.silence_s(ACCOUNT, instant(3)) == 3.0


def test_a_frame_of_a_dead_connection_proves_nothing() -> None:
    liveness = live(ACCOUNT)
    liveness.on_ended(ACCOUNT, instant(1))
    liveness.heard(ACCOUNT, "userFills", instant(2))
    assert liveness.silence_s(ACCOUNT, instant(3)) == 3.0
    assert liveness.feed_ages(instant(3)) == {}


def test_reconnects_and_feed_ages_are_counted() -> None:
    liveness = live(ACCOUNT, MARKET)
    liveness.heard(ACCOUNT, "pong", instant(1))
    liveness.heard(MARKET, "pong", instant(2))
    liveness.on_ended(ACCOUNT, instant(3))
    liveness.on_opened(ACCOUNT, instant(4))
    assert (liveness.reconnects(ACCOUNT), liveness.reconnects(MARKET)) == (1, 0)
    assert liveness.feed_ages(instant(5)) == {(ACCOUNT, "pong"): 4.0, (MARKET, "pong"): 3.0}


def test_invented_channels_do_not_fill_the_memory() -> None:
    liveness = live(MARKET)
    for number in range(FEEDS_MAX + 10):
        liveness.heard(MARKET, f"invented{number}", instant(1))
    assert len(liveness.feed_ages(instant(1))) == FEEDS_MAX
    assert liveness.silence_s(MARKET, instant(1)) == 0.0


@pytest.mark.parametrize("field", ["silence_max_s", "pull_after_s", "probe_interval_s"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_waits_must_be_positive(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} must be positive"):
        LivenessParams(**{field: value})
