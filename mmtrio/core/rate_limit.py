"""The venue's budgets as pure accounts: requests per address, weight per IP (D11).

Seeded from `userRateLimit`, counted here, compared at each reading. Sources: protocol 5.4 (what the venue answers),
6.2 and 11 (what costs what).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import attrs

from mmtrio.core.events import (
    BATCH_ITEMS_MAX,
    BudgetRead,
    ItemOutcome,
    Mismatch,
    MismatchKind,
    Note,
    Refusal,
)
from mmtrio.core.types import Instant

REQUESTS_AT_START = 10_000
"""What every address may send before it has traded (protocol 11.2)."""

CANCELS_BEYOND_CAP = 100_000
"""Cancels may exceed the cap by as much, and never double it (protocol 11.2)."""

DRIP_S = 10.0
"""With the budget exhausted the venue takes one action in so many seconds (protocol 11.2)."""

EXPIRED_COST = 5
"""An action that arrives after its `expiresAfter` costs so many times its price (protocol 6, 11.2)."""

DOUBT_LASTS_S = 30.0
"""A request of unknown outcome may still arrive so much later; after that the venue's count settles the doubt."""

IP_WINDOW_S = 60.0

_NS = 1_000_000_000
_HISTORY_S = 60.0
_E8 = 100_000_000

FREE_REFUSALS = frozenset({Refusal.BUDGET, Refusal.OVER_WEIGHT, Refusal.TOO_MANY_REQUESTS})
"""Refusals that cost nothing; see `AddressBudget` for the whole table."""

DOUBTFUL_REFUSALS = frozenset(
    {
        Refusal.DUPLICATE_NONCE,
        Refusal.NONCE_TOO_LOW,
        Refusal.UNKNOWN_SIGNER,
        Refusal.INVALID_PRICE,
        Refusal.INVALID_SIZE,
        Refusal.PRICE_TOO_FAR,
        Refusal.OTHER,
    }
)
"""Refusals whose price nobody has established: charged, and a venue that did not charge them is no mismatch."""


def _not_negative(_instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 0:
        raise ValueError(f"{attribute.name} must not be negative, not {value}")


@attrs.frozen
class BudgetParams:
    """How much of the venue's budgets is kept back for cancels."""

    address_reserve: int = attrs.field(default=200, validator=_not_negative)
    """Requests that quoting never spends."""
    ip_weight_per_minute: int = attrs.field(default=1200, validator=_not_negative)
    """What the venue grants one IP; less where several processes share it."""
    ip_weight_reserve: int = attrs.field(default=200, validator=_not_negative)
    """Weight that quoting and readings never spend."""

    def __attrs_post_init__(self) -> None:
        if self.ip_weight_reserve >= self.ip_weight_per_minute:
            raise ValueError(
                f"ip_weight_reserve {self.ip_weight_reserve} leaves nothing of "
                f"ip_weight_per_minute {self.ip_weight_per_minute}"
            )


@attrs.define
class AddressBudget:
    """How many requests the account may still send, as the venue counts them.

    An order, a cancel and a modify each cost 1, however they are batched. What a refused one costs:

    | refusal                                        | cost | source                                       |
    |------------------------------------------------|------|----------------------------------------------|
    | budget exhausted                               | 0    | protocol 11.2, observed                      |
    | over 200 elements                              | 0    | protocol 6.2 and 11.2, observed              |
    | HTTP 429                                       | 0    | never reaches the chain, inferred            |
    | not sent                                       | 0    | call `refund`                                |
    | cancel of an order that is gone                | 1    | protocol 11.2, observed: 200 failed cost 200 |
    | post-only would match, balance, notional, …    | 1    | inferred from the failed cancels             |
    | nonce, signer, pre-validation, unheard-of text | 0..1 | not established: charged, doubtful           |
    | expired                                        | 5    | protocol 6, documented                       |
    | outcome unknown                                | 0..5 | call `doubt`; it may arrive expired          |

    Charge when a batch is handed over for sending; then exactly one of `settle` (the venue answered), `refund` (it
    was not sent) and `doubt` (nobody knows). The larger use wins: what we counted and the venue has not seen is
    taken for on its way; what the venue counted and we did not is believed at once.
    """

    params: BudgetParams = attrs.field(factory=BudgetParams)
    rest_lag_s: float = 2.0
    """A reading may miss what was answered so shortly before it was requested (D4)."""
    is_known: bool = attrs.field(default=False, init=False)
    """False until the venue has been asked once: until then no order is placed, but orders may be cancelled."""
    _counted: int = attrs.field(default=0, init=False)
    """Requests used, less those bought and not yet used: negative while there is a surplus."""
    _excess: int = attrs.field(default=0, init=False)
    """What the venue counts beyond that; not confirmed by a second reading yet."""
    _doubtful: int = attrs.field(default=0, init=False)
    """Charges that the venue may have counted or not."""
    _doubted_at: Instant | None = attrs.field(default=None, init=False)
    _volume_e8: int = attrs.field(default=0, init=False)
    _cap_at_no_volume: int = attrs.field(default=REQUESTS_AT_START, init=False)
    _answered: deque[tuple[int, int]] = attrs.field(factory=deque, init=False)
    """(mono_ns, requests) that the venue answered within the last minute."""
    _passed_at: Instant | None = attrs.field(default=None, init=False)
    """When the last action went out that an exhausted budget counts."""
    _last_read: BudgetRead | None = attrs.field(default=None, init=False)
    _disagreement: tuple[int, Instant] | None = attrs.field(default=None, init=False)
    """A difference that nothing explains, and when the reading that first showed it was requested."""

    # What is left

    @property
    def used(self) -> int:
        """Requests used, by the larger of the venue's count and ours."""
        return max(0, self._net)

    @property
    def surplus(self) -> int:
        """Requests bought and not used yet."""
        return max(0, -self._net)

    @property
    def cap(self) -> int:
        """10,000 and one for each whole USDC ever traded; learned from the venue, raised by our own fills."""
        return self._cap_at_no_volume + self._volume_e8 // _E8

    @property
    def cancel_cap(self) -> int:
        """The ceiling for cancels: min(cap + 100,000, 2 * cap)."""
        return min(self.cap + CANCELS_BEYOND_CAP, 2 * self.cap)

    @property
    def remaining(self) -> int:
        """Free requests, the reserve included: cap + surplus - used. Negative after cancels beyond the cap."""
        return self.cap - self._net

    @property
    def next_drip_at(self) -> Instant | None:
        """When an exhausted budget lets the next action through; None where that is now, or it is not exhausted."""
        if self.remaining > 0 or self._passed_at is None:
            return None
        return self._passed_at.plus_s(DRIP_S)

    def places_allowed(self, at: Instant | None = None) -> int:
        """Orders and modifies that may go now. The reserve is not among them.

        With the whole budget spent, reserve included, it is 1 every 10 s; that needs `at`.
        """
        if not self.is_known:
            return 0
        if self.remaining > 0:
            return max(0, self.remaining - self.params.address_reserve)
        return self._drip(at)

    def cancels_allowed(self, at: Instant | None = None) -> int:
        """Cancels that may go now, under their own ceiling; beyond it 1 every 10 s, for which `at` is needed."""
        room = self.cancel_cap - self._net
        return room if room > 0 else self._drip(at)

    @property
    def _net(self) -> int:
        return self._counted + self._excess

    def _drip(self, at: Instant | None) -> int:
        if at is None:
            return 0
        due_at = self.next_drip_at
        return 1 if due_at is None or at.mono_ns >= due_at.mono_ns else 0

    # What is spent

    def charge(self, n: int, is_cancel: bool, at: Instant) -> None:
        """`n` orders, modifies or cancels are handed over for sending."""
        assert n > 0, n
        if not is_cancel or self._net + n > self.cancel_cap:
            self._passed_at = at
        self._counted += n

    def refund(self, n: int) -> None:
        """`n` charged requests were certainly not counted by the venue: not sent, or refused for free."""
        assert n >= 0, n
        self._counted -= n

    def charge_expired(self, n: int) -> None:
        """`n` requests, charged already, arrived too late: they cost five times, so four more each."""
        assert n >= 0, n
        self._counted += (EXPIRED_COST - 1) * n

    def doubt(self, n: int, at: Instant) -> None:
        """The outcome of `n` charged requests is unknown: they stay charged, but may turn out not to be."""
        assert n > 0, n
        self._doubtful += n
        self._doubted_at = at

    def settle(self, outcomes: Sequence[ItemOutcome], at: Instant) -> None:
        """The venue answered a charged batch: give back what it refused for free, add what came too late."""
        refusals = [outcome.refusal for outcome in outcomes]
        n_free = sum(refusal in FREE_REFUSALS for refusal in refusals)
        n_expired = refusals.count(Refusal.EXPIRED)
        self.refund(n_free)
        self.charge_expired(n_expired)
        self._remember_answer(len(outcomes) - n_free + (EXPIRED_COST - 1) * n_expired, at)
        doubtful = sum(refusal in DOUBTFUL_REFUSALS for refusal in refusals)
        if doubtful:
            self.doubt(doubtful, at)

    def _remember_answer(self, cost: int, at: Instant) -> None:
        self._answered.append((at.mono_ns, cost))
        while self._answered[0][0] < at.mono_ns - _HISTORY_S * _NS:
            self._answered.popleft()

    def credit_volume(self, value_e8: int) -> None:
        """A fill of this value, in 10^-8 quote, was booked: one more request for each USDC."""
        assert value_e8 >= 0, value_e8
        self._volume_e8 += value_e8

    # What the venue says

    def observe(self, read: BudgetRead, in_flight: int, at: Instant) -> tuple[Note, ...]:
        """Compare with the venue's count; `in_flight` requests are sent and unanswered, or of unknown outcome.

        The first reading seeds the account. Later ones are explained by what the reading may have missed and by
        charges in doubt; a difference beyond that is a mismatch when a second reading, at least `rest_lag_s`
        later, shows the same one. It is then accepted as the truth.
        """
        if self._last_read is not None and read.requested_at.age_s(self._last_read.requested_at) < 0:
            return ()  # An answer that took longer than its successor.
        self._last_read = read
        self._volume_e8 = read.volume_e8
        self._cap_at_no_volume = read.requests_cap - read.volume_e8 // _E8
        not_seen_max = in_flight + self._answered_since(read.requested_at.plus_s(-self.rest_lag_s))
        venue_net = read.requests_used - read.requests_surplus
        if not self.is_known:
            self._seed(venue_net, not_seen_max, at)
            return ()
        # A request of unknown outcome may have expired on its way, which the venue counts five times.
        beyond_max = (EXPIRED_COST - 1) * (self._doubtful + in_flight)
        difference = venue_net - self._counted
        if -(not_seen_max + self._doubtful) <= difference <= beyond_max:
            self._agree(difference, is_quiet=not_seen_max == 0 and not self._is_doubt_fresh(read))
            return ()
        if difference > 0:
            self._excess = max(self._excess, difference)
        return self._disagree(difference, not_seen_max, read, at)

    def _seed(self, venue_net: int, not_seen_max: int, at: Instant) -> None:
        self.is_known = True
        self._counted = venue_net
        self._doubtful = 0
        self._keep_for_unseen(not_seen_max, at)

    def _keep_for_unseen(self, not_seen_max: int, at: Instant) -> None:
        """On top of the venue's count: what it may not have seen yet, or may have seen after all."""
        self._counted += not_seen_max
        if not_seen_max:
            self.doubt(not_seen_max, at)

    def _is_doubt_fresh(self, read: BudgetRead) -> bool:
        return self._doubted_at is not None and read.requested_at.age_s(self._doubted_at) < DOUBT_LASTS_S

    def _agree(self, difference: int, *, is_quiet: bool) -> None:
        self._disagreement = None
        if is_quiet:  # Nothing is on its way: the venue has counted all it ever will, so its number is ours.
            self._counted += difference
            self._doubtful = 0
            self._excess = 0
        else:
            self._excess = max(self._excess, difference)

    def _disagree(
        self, difference: int, not_seen_max: int, read: BudgetRead, at: Instant
    ) -> tuple[Note, ...]:
        first = self._disagreement
        if first is None or first[0] != difference:
            self._disagreement = (difference, read.requested_at)
            return ()
        if read.requested_at.age_s(first[1]) < self.rest_lag_s:
            return ()  # Too soon after the first to be a second witness.
        detail = (
            f"the venue counts {read.requests_used} used and {read.requests_surplus} surplus, "
            f"{abs(difference)} {'more' if difference > 0 else 'fewer'} than we do; "
            f"{not_seen_max} in flight, {self._doubtful} in doubt"
        )
        self._disagreement = None
        self._excess = 0
        self._counted += difference
        if difference < 0:
            self._doubtful = 0
            self._keep_for_unseen(not_seen_max, at)
        elif not_seen_max:
            self.doubt(not_seen_max, at)  # What the venue has not seen hides as much of the difference.
        return (Mismatch(MismatchKind.BUDGET_DRIFT, detail),)

    def _answered_since(self, earliest: Instant) -> int:
        """Requests that were on their way, for all a reading of that age knows."""
        return sum(n for mono_ns, n in self._answered if mono_ns >= earliest.mono_ns)


@attrs.define
class IpWeight:
    """The weight spent on REST requests in the last 60 s; readings and actions both count (protocol 11.1)."""

    params: BudgetParams = attrs.field(factory=BudgetParams)
    _spent: deque[tuple[int, int]] = attrs.field(factory=deque, init=False)
    """(mono_ns, weight), oldest first."""
    _used: int = attrs.field(default=0, init=False)

    def charge(self, weight: int, at: Instant) -> None:
        """A request of this weight is handed over for sending. What must be sent may exceed the limit."""
        assert weight > 0, weight
        self._forget(at)
        self._spent.append((at.mono_ns, weight))
        self._used += weight

    def used(self, at: Instant) -> int:
        self._forget(at)
        return self._used

    def available(self, at: Instant) -> int:
        """Weight that quoting and readings may spend now: all but the reserve."""
        return max(0, self.available_to_cancels(at) - self.params.ip_weight_reserve)

    def available_to_cancels(self, at: Instant) -> int:
        """Weight that cancels may spend now: the reserve is theirs."""
        return max(0, self.params.ip_weight_per_minute - self.used(at))

    def wait_s(self, at: Instant) -> float:
        """Seconds until the oldest weight is forgotten; 0 where none is remembered."""
        self._forget(at)
        if not self._spent:
            return 0.0
        return IP_WINDOW_S - (at.mono_ns - self._spent[0][0]) / _NS

    def _forget(self, at: Instant) -> None:
        horizon_ns = at.mono_ns - round(IP_WINDOW_S * _NS)
        while self._spent and self._spent[0][0] <= horizon_ns:
            self._used -= self._spent.popleft()[1]


def batch_weight(n: int) -> int:
    """IP weight of one action of `n` items (protocol 11.1)."""
    return 1 + n // 40


def batches_weight(n: int) -> int:
    """IP weight of `n` items of one kind, cut into actions of at most 200 elements; 0 for none."""
    full, rest = divmod(n, BATCH_ITEMS_MAX)
    return full * batch_weight(BATCH_ITEMS_MAX) + (batch_weight(rest) if rest else 0)


_LIGHT_REQUESTS = frozenset(
    {
        "l2Book",
        "allMids",
        "clearinghouseState",
        "orderStatus",
        "spotClearinghouseState",
        "exchangeStatus",
    }
)
_ROWS_PER_WEIGHT = {
    "recentTrades": 20,
    "historicalOrders": 20,
    "userFills": 20,
    "userFillsByTime": 20,
    "fundingHistory": 20,
    "userFunding": 20,
    "userNonFundingLedgerUpdates": 20,
    "nonUserFundingUpdates": 20,
    "twapHistory": 20,
    "userTwapSliceFills": 20,
    "userTwapSliceFillsByTime": 20,
    "delegatorHistory": 20,
    "delegatorRewards": 20,
    "validatorStats": 20,
    "candleSnapshot": 60,
}


def info_weight(request_type: str, rows: int = 0) -> int:
    """IP weight of one /info request that answered with `rows` rows (protocol 11.1).

    Whether a started group of 20 rows counts is not documented: it does here.
    """
    if request_type in _LIGHT_REQUESTS:
        return 2
    if request_type == "userRole":
        return 60
    rows_per_weight = _ROWS_PER_WEIGHT.get(request_type)
    return 20 if rows_per_weight is None else 20 + -(-rows // rows_per_weight)
