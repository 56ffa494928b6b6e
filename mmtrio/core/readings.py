"""When the account's state is read over REST, and which reading may be believed (D4, D9).

Start-up and recovery are one path: a reading requested after the account feeds were acknowledged. The first one also
sets the balances, and for that it needs a second witness, because REST lags the stream: the balances must equal the
stream's own, or those of another reading at least `rest_lag_s` earlier.
"""

from __future__ import annotations

import attrs

from mmtrio.core.events import BalancesRead, ReadAccount, ReadPurpose
from mmtrio.core.types import Instant


@attrs.define
class Readings:
    """Decides what to read next. Holds at most one reading in flight."""

    rest_lag_s: float = 2.0
    retry_max_s: float = 10.0
    in_flight: ReadPurpose | None = attrs.field(default=None, init=False)
    has_baseline: bool = attrs.field(default=False, init=False)
    done_at: Instant | None = attrs.field(default=None, init=False)
    """When the last whole reading had been delivered."""
    count: int = attrs.field(default=0, init=False)
    """Reconciliations delivered, the last one included."""
    _required_since: Instant | None = attrs.field(default=None, init=False)
    """Set while a reading requested at or after this instant is needed before quoting."""
    _failures: int = attrs.field(default=0, init=False)
    _stream_balances: BalancesRead | None = attrs.field(default=None, init=False)
    _start_balances: list[BalancesRead] = attrs.field(factory=list, init=False)

    @property
    def is_catching_up(self) -> bool:
        return self._required_since is not None

    @property
    def _catch_up_purpose(self) -> ReadPurpose:
        return ReadPurpose.CATCH_UP if self.has_baseline else ReadPurpose.START

    def require(self, at: Instant, cause: str) -> tuple[ReadAccount, ...]:
        """The account stream (re)started at `at`: nothing read earlier counts any more."""
        self._required_since = at
        self._failures = 0
        self.in_flight = self._catch_up_purpose
        return (ReadAccount(self.in_flight, cause),)

    def on_stream_lost(self) -> None:
        self._required_since = None
        self._stream_balances = None

    def reconcile(
        self, cause: str, purpose: ReadPurpose = ReadPurpose.RECONCILE, after_s: float = 0.0
    ) -> tuple[ReadAccount, ...]:
        """Ask for a reading unless one is under way."""
        if self.in_flight is not None or not self.has_baseline:
            return ()
        self.in_flight = purpose
        return (ReadAccount(purpose, cause, after_s),)

    def on_balances(self, read: BalancesRead) -> None:
        if read.requested_at is None:
            self._stream_balances = read
        elif read.purpose is ReadPurpose.START:
            self._start_balances = [*self._start_balances[-3:], read]

    def baseline(self) -> BalancesRead | None:
        """The latest balances, if a second witness agrees with them."""
        if not self._start_balances:
            return None
        latest = self._start_balances[-1]
        if self._stream_balances is not None and totals(self._stream_balances) == totals(latest):
            return latest
        for earlier in self._start_balances[:-1]:
            if totals(earlier) == totals(latest) and _requested_apart_s(earlier, latest) >= self.rest_lag_s:
                return latest
        return None

    def on_baseline(self) -> None:
        self.has_baseline = True
        self._start_balances.clear()

    def on_done(self, purpose: ReadPurpose, requested_at: Instant, at: Instant) -> bool:
        """A whole reading was delivered. True where it ends a catch-up."""
        self.in_flight = None
        self._failures = 0
        self.done_at = at
        if purpose in (ReadPurpose.RECONCILE, ReadPurpose.FINAL):
            self.count += 1
        required = self._required_since
        return required is not None and requested_at.mono_ns >= required.mono_ns

    def on_caught_up(self) -> None:
        self._required_since = None

    def again(self, cause: str) -> tuple[ReadAccount, ...]:
        """The reading was whole but cannot be believed yet: read once more when REST has had time to follow."""
        self.in_flight = self._catch_up_purpose
        return (ReadAccount(self.in_flight, cause, self.rest_lag_s),)

    def look_again(self) -> tuple[ReadAccount, ...]:
        """Caught up; but a reading may miss what happened just before it (D4), and what came before the stream is
        explained by that. So it is read once more before any reconciliation judges."""
        return self.reconcile("once more, now that REST has followed", ReadPurpose.CATCH_UP, self.rest_lag_s)

    def on_failed(self, cause: str) -> tuple[ReadAccount, ...]:
        """A reading did not come back: repeat it while it is needed, with a growing pause."""
        self.in_flight = None
        if not self.is_catching_up:
            return ()  # The next reconciliation is due soon enough.
        self._failures += 1
        self.in_flight = self._catch_up_purpose
        after_s = min(self.retry_max_s, 0.5 * 2 ** min(self._failures - 1, 8))
        return (ReadAccount(self.in_flight, f"again after: {cause}", after_s),)


def totals(read: BalancesRead) -> dict[int, int]:
    """Non-zero totals by token: a token at zero may be listed or not."""
    return {balance.token: balance.total_units for balance in read.balances if balance.total_units}


def _requested_apart_s(earlier: BalancesRead, later: BalancesRead) -> float:
    assert earlier.requested_at is not None and later.requested_at is not None
    return later.requested_at.age_s(earlier.requested_at)
