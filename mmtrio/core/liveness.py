"""Phases of the sessions, ages of the feeds: may we quote, and if not, why (D9, D10).

Every deadline is on the monotone clock. A session is worth nothing until all its subscriptions are acknowledged and,
for the account, until what happened meanwhile has been read; and it is worth nothing any more once it is silent:
a frame of any kind counts as life, a pong too.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from mmtrio.core.events import Reason, ReasonCode, SessionName
from mmtrio.core.types import Coin, Instant

FEEDS_MAX = 4_096
"""Feeds whose ages are kept; a venue that invents channels must not fill our memory."""


def _positive(_instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:  # `not >` also refuses NaN.
        raise ValueError(f"{attribute.name} must be positive, not {value:g}")


@attrs.frozen
class LivenessParams:
    """How long silence is borne."""

    silence_max_s: float = attrs.field(default=8.0, validator=_positive)
    """Quoting stops when a needed session has been silent for so long."""
    pull_after_s: float | None = attrs.field(default=15.0, validator=_positive)
    """Own orders are cancelled when we have been blind for so long; None leaves them."""
    probe_interval_s: float = attrs.field(default=60.0, validator=_positive)
    """How often event feeds, which may be silent for hours, are asked whether they live. The session does that."""


class Phase(enum.Enum):
    """Where a session stands."""

    DOWN = "down"
    OPENED = "opened, not acknowledged yet"
    CATCHING_UP = "catching up"
    LIVE = "live"


@attrs.define
class _Session:
    phase: Phase = Phase.DOWN
    opened_count: int = 0
    opened_at: Instant | None = None
    last_heard: Instant | None = None
    not_live_since: Instant | None = None
    """Set while the session is not live, once it has been."""
    has_been_live: bool = False

    def silence_s(self, at: Instant) -> float:
        return math.inf if self.last_heard is None else at.age_s(self.last_heard)

    def blind_s(self, at: Instant) -> float:
        """How long this session has told us nothing we could rely on; 0 before it first did."""
        if not self.has_been_live:
            return 0.0
        down_s = 0.0 if self.not_live_since is None else at.age_s(self.not_live_since)
        return max(down_s, self.silence_s(at))


@attrs.define
class Liveness:
    """Told what happens to the sessions, answers whether a market may be quoted."""

    params: LivenessParams = attrs.field(factory=LivenessParams)
    _sessions: dict[SessionName, _Session] = attrs.field(
        factory=lambda: {name: _Session() for name in SessionName}, init=False
    )
    _feeds: dict[tuple[SessionName, str], Instant] = attrs.field(factory=dict, init=False)

    # What happens to the sessions

    def on_opened(self, session: SessionName, at: Instant) -> None:
        """A connection is up. Opening it counts as hearing from the venue, so silence is counted from here."""
        state = self._sessions[session]
        state.phase = Phase.OPENED
        state.opened_count += 1
        state.opened_at = state.last_heard = at
        if state.has_been_live and state.not_live_since is None:
            state.not_live_since = at

    def on_live(self, session: SessionName, at: Instant) -> None:
        """Every subscription is acknowledged; what happened before is still to be read."""
        state = self._sessions[session]
        if state.phase is Phase.OPENED:  # Not one that was given up while the last acknowledgement travelled.
            state.phase = Phase.CATCHING_UP

    def on_caught_up(self, session: SessionName, at: Instant) -> None:
        """What happened before the session was live has been read. Ignored where it ended meanwhile."""
        state = self._sessions[session]
        if state.phase is Phase.CATCHING_UP:
            state.phase = Phase.LIVE
            state.has_been_live = True
            state.not_live_since = None

    def on_ended(self, session: SessionName, at: Instant) -> None:
        state = self._sessions[session]
        state.phase = Phase.DOWN
        if state.has_been_live and state.not_live_since is None:
            state.not_live_since = at

    def heard(self, session: SessionName, feed: str, at: Instant) -> None:
        """A frame of this feed arrived. One that its connection did not survive proves nothing any more."""
        state = self._sessions[session]
        if state.phase is Phase.DOWN:
            return
        state.last_heard = at
        key = (session, feed)
        if key in self._feeds or len(self._feeds) < FEEDS_MAX:
            self._feeds[key] = at

    # What follows from it

    def phase(self, session: SessionName) -> Phase:
        return self._sessions[session].phase

    def is_up(self, session: SessionName) -> bool:
        """True while a connection is open, whatever it is good for yet."""
        return self._sessions[session].phase is not Phase.DOWN

    def reconnects(self, session: SessionName) -> int:
        """Connections of this session after its first."""
        return max(0, self._sessions[session].opened_count - 1)

    def silence_s(self, session: SessionName, at: Instant) -> float:
        """Seconds since the session's last frame; infinite where it has never been open."""
        return self._sessions[session].silence_s(at)

    def feed_ages(self, at: Instant) -> Mapping[tuple[SessionName, str], float]:
        """Seconds since each feed was last heard, over reconnects."""
        return {key: at.age_s(heard_at) for key, heard_at in self._feeds.items()}

    def blocking_reason(self, coin: Coin, requires_market_data: bool, at: Instant) -> Reason | None:
        """Why this market may not be quoted now, as far as connections go; None where it may."""
        blocked = self._account_reason(coin, at)
        if blocked is None and requires_market_data:
            blocked = self._market_reason(coin, at)
        return blocked

    def should_pull(self, at: Instant, coins_needing_data: Iterable[Coin] = ()) -> bool:
        """True when own orders should be cancelled because we have been blind for `pull_after_s`.

        Blind is: the account session silent, down or not caught up. Where markets need data, so is the market
        session, or the book of one of `coins_needing_data`. Before the account was first live nothing rests that
        this run has placed, so nothing is pulled.
        """
        pull_after_s = self.params.pull_after_s
        account = self._sessions[SessionName.ACCOUNT]
        if pull_after_s is None or not account.has_been_live:
            return False
        if account.blind_s(at) >= pull_after_s:
            return True
        market = self._sessions[SessionName.MARKET]
        return any(
            max(market.blind_s(at), self._book_age_s(coin, at)) >= pull_after_s for coin in coins_needing_data
        )

    def silent_book_s(self, coin: Coin, at: Instant) -> float | None:
        """How long a live market session has brought no book of this market, where that is longer than it may be.

        Books have a cadence, changed or not (protocol 3.1): one that stays away is dead, whatever else arrives.
        """
        state = self._sessions[SessionName.MARKET]
        if state.phase is not Phase.LIVE or state.opened_at is None:
            return None
        heard_at = self._feeds.get(_book_feed(coin), state.opened_at)
        silence_s = min(at.age_s(heard_at), at.age_s(state.opened_at))
        return silence_s if silence_s >= self.params.silence_max_s else None

    def _account_reason(self, coin: Coin, at: Instant) -> Reason | None:
        state = self._sessions[SessionName.ACCOUNT]
        if not state.has_been_live:
            return Reason(ReasonCode.STARTING, coin, detail=f"account session is {state.phase.value}")
        if state.phase is Phase.CATCHING_UP:
            return Reason(ReasonCode.CATCHING_UP, coin, detail=_for_how_long(state, at))
        return self._session_reason(
            state, coin, at, ReasonCode.ACCOUNT_SESSION_DOWN, ReasonCode.ACCOUNT_SESSION_SILENT
        )

    def _market_reason(self, coin: Coin, at: Instant) -> Reason | None:
        state = self._sessions[SessionName.MARKET]
        reason = self._session_reason(
            state, coin, at, ReasonCode.MARKET_SESSION_DOWN, ReasonCode.MARKET_SESSION_SILENT
        )
        if reason is not None:
            return reason
        heard_at = self._feeds.get(_book_feed(coin))
        if heard_at is None or state.opened_at is None or heard_at.mono_ns < state.opened_at.mono_ns:
            return Reason(ReasonCode.MARKET_DATA_MISSING, coin, detail="no book on this connection yet")
        age_s = at.age_s(heard_at)
        if age_s >= self.params.silence_max_s:
            detail = f"no book for {age_s:.1f} s, {self.params.silence_max_s:g} s are allowed"
            return Reason(ReasonCode.MARKET_DATA_MISSING, coin, detail=detail)
        return None

    def _session_reason(
        self, state: _Session, coin: Coin, at: Instant, down: ReasonCode, silent: ReasonCode
    ) -> Reason | None:
        if state.phase is not Phase.LIVE:
            return Reason(down, coin, detail=f"{state.phase.value}; {_for_how_long(state, at)}")
        silence_s = state.silence_s(at)
        if silence_s >= self.params.silence_max_s:
            detail = f"no frame for {silence_s:.1f} s, {self.params.silence_max_s:g} s are allowed"
            return Reason(silent, coin, detail=detail)
        return None

    def _book_age_s(self, coin: Coin, at: Instant) -> float:
        """0 before the first book: a market without one has never been quoted."""
        heard_at = self._feeds.get(_book_feed(coin))
        return 0.0 if heard_at is None else at.age_s(heard_at)


def _book_feed(coin: Coin) -> tuple[SessionName, str]:
    """The feed with a cadence: `bbo` and `trades` speak only when something happens."""
    return (SessionName.MARKET, f"l2Book:{coin}")


def _for_how_long(state: _Session, at: Instant) -> str:
    if state.not_live_since is None:
        return "never live so far"
    return f"not live for {at.age_s(state.not_live_since):.1f} s"
