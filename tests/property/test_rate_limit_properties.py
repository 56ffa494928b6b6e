"""Our count against a venue that answers late, loses requests and shows a lagging view of itself."""

from __future__ import annotations

import enum

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrio.core.events import (
    BudgetRead,
    ItemOutcome,
    Mismatch,
    Note,
    OutcomeKind,
    ReadPurpose,
    Refusal,
)
from mmtrio.core.rate_limit import AddressBudget, BudgetParams, IpWeight
from tests.support.builders import cloid, instant

REST_LAG_S = 2.0
ORDERS_UNRESOLVED_S = 17.0
TIMEOUT_S = 5.0


class Fate(enum.Enum):
    ACCEPTED = "accepted"
    REFUSED_FREE = "refused at the door"
    REFUSED_CHARGED = "refused by the book"
    EXPIRED = "came too late, and we heard so"
    NOT_SENT = "not sent"
    LOST = "never arrived, and we do not know"
    REPLY_LOST = "arrived, and we do not know"
    EXPIRED_UNHEARD = "came too late, and we do not know"


COST = {
    Fate.ACCEPTED: 1,
    Fate.REFUSED_CHARGED: 1,
    Fate.REPLY_LOST: 1,
    Fate.EXPIRED: 5,
    Fate.EXPIRED_UNHEARD: 5,
}
REFUSAL = {
    Fate.REFUSED_FREE: Refusal.BUDGET,
    Fate.REFUSED_CHARGED: Refusal.MISSING_ORDER,
    Fate.EXPIRED: Refusal.EXPIRED,
}
UNKNOWN = (Fate.LOST, Fate.REPLY_LOST, Fate.EXPIRED_UNHEARD)


@attrs.frozen
class Send:
    at_s: float
    n: int
    fate: Fate
    arrives_after_s: float
    replies_after_s: float


@attrs.frozen
class Read:
    at_s: float
    lag_s: float
    travel_s: float


tenths = st.integers(0, 1_200).map(lambda tenth: tenth / 10)
sends = st.builds(
    Send,
    at_s=tenths,
    n=st.integers(1, 40),
    fate=st.sampled_from(Fate),
    arrives_after_s=st.integers(0, 45).map(lambda tenth: tenth / 10),
    replies_after_s=st.integers(0, 4).map(lambda tenth: tenth / 10),
)
reads = st.builds(
    Read,
    at_s=tenths,
    lag_s=st.integers(0, 19).map(lambda tenth: tenth / 10),
    travel_s=st.integers(0, 50).map(lambda tenth: tenth / 10),
)


@attrs.define
class World:
    """Plays sends and reads against an `AddressBudget`, in the order of time."""

    sends: list[Send]
    budget: AddressBudget = attrs.field(factory=AddressBudget)
    start: int = 500
    planted: list[tuple[float, int]] = attrs.field(factory=list)
    """Requests that the venue counts and nobody sent: since when, how many."""

    def used_at(self, seconds: float) -> int:
        """The venue's true count."""
        arrived = sum(
            send.n * COST.get(send.fate, 0)
            for send in self.sends
            if send.at_s + send.arrives_after_s <= seconds
        )
        return self.start + arrived + sum(n for since_s, n in self.planted if since_s <= seconds)

    def in_flight_at(self, seconds: float) -> int:
        """What a desk would say: unanswered, or of unknown outcome until its orders are resolved."""
        return sum(send.n for send in self.sends if send.at_s <= seconds < self._known_at(send))

    def run(self, reads: list[Read]) -> list[Note]:
        notes: list[Note] = []
        steps: list[tuple[float, int, Send | Read]] = []
        for send in self.sends:
            heard_s = TIMEOUT_S if send.fate in UNKNOWN else send.arrives_after_s + send.replies_after_s
            steps += [(send.at_s, 0, send), (send.at_s + heard_s, 1, send)]
        steps += [(read.at_s + read.travel_s, 2, read) for read in reads]
        for now_s, phase, step in sorted(steps, key=lambda entry: entry[:2]):
            if isinstance(step, Read):
                notes += self._deliver(step, now_s)
            elif phase == 0:
                self.budget.charge(step.n, False, instant(now_s))
            else:
                self._hear(step, now_s)
        return notes

    def _deliver(self, read: Read, now_s: float) -> tuple[Note, ...]:
        used = self.used_at(read.at_s - read.lag_s)
        event = BudgetRead(used, 10_000, 0, 0, instant(read.at_s), ReadPurpose.RECONCILE)
        return self.budget.observe(event, self.in_flight_at(now_s), instant(now_s))

    def _hear(self, send: Send, now_s: float) -> None:
        if send.fate is Fate.NOT_SENT:
            self.budget.refund(send.n)
        elif send.fate in UNKNOWN:
            self.budget.doubt(send.n, instant(now_s))
        else:
            refusal = REFUSAL.get(send.fate)
            kind = OutcomeKind.RESTING if refusal is None else OutcomeKind.REFUSED
            self.budget.settle([ItemOutcome(cloid(1), kind, refusal=refusal)] * send.n, instant(now_s))

    @staticmethod
    def _known_at(send: Send) -> float:
        if send.fate in UNKNOWN:
            return send.at_s + ORDERS_UNRESOLVED_S
        return send.at_s + send.arrives_after_s + send.replies_after_s


def quiet_reads(*at_s: float) -> list[Read]:
    return [Read(at_s=at, lag_s=0.5, travel_s=0.1) for at in at_s]


@settings(max_examples=200, deadline=None)
@given(st.lists(sends, max_size=12), st.lists(reads, max_size=12))
def test_what_the_network_does_is_never_taken_for_a_mismatch(sends: list[Send], reads: list[Read]) -> None:
    world = World(sends)
    assert world.run([*quiet_reads(0), *reads, *quiet_reads(200, 210)]) == []
    assert world.budget.used == world.used_at(210)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(sends, max_size=8),
    st.lists(reads, max_size=8),
    st.integers(-400, 400).filter(bool),
    st.integers(0, 1_200).map(lambda tenth: tenth / 10),
)
def test_a_planted_difference_is_found_once_and_healed(
    sends: list[Send], reads: list[Read], planted: int, since_s: float
) -> None:
    # Doubts may explain a difference away, and rightly so; what was in flight at the seeding is in doubt too.
    known = [send for send in sends if send.fate not in UNKNOWN and send.at_s >= 1]
    world = World(known, planted=[(since_s, planted)])
    notes = world.run([*quiet_reads(0), *reads, *quiet_reads(200, 210, 220, 230)])
    if since_s > 0:
        assert [type(note) for note in notes] == [Mismatch]
    assert world.budget.used == world.used_at(230)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 21_000),
    st.integers(0, 500),
    st.lists(st.tuples(st.booleans(), st.integers(1, 200), st.integers(0, 12)), max_size=60),
)
def test_what_is_allowed_never_exceeds_what_the_venue_takes(
    used: int, reserve: int, wishes: list[tuple[bool, int, int]]
) -> None:
    budget = AddressBudget(BudgetParams(address_reserve=reserve))
    budget.observe(BudgetRead(used, 10_000, 0, 0, instant(), ReadPurpose.START), 0, instant())
    now_s, last_drip_s = 0.0, -100.0
    for is_cancel, wanted, pause_s in wishes:
        now_s += pause_s
        allowed = (
            budget.cancels_allowed(instant(now_s)) if is_cancel else budget.places_allowed(instant(now_s))
        )
        n = min(wanted, allowed)
        if n == 0:
            continue
        ceiling = 20_000 if is_cancel else 10_000
        if used >= ceiling:
            assert n == 1
            assert now_s - last_drip_s >= 10
            last_drip_s = now_s
        else:
            assert used + n <= (ceiling if is_cancel else ceiling - reserve)
        budget.charge(n, is_cancel, instant(now_s))
        used += n
        assert budget.used == used


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 300)), min_size=1, max_size=60))
def test_the_window_of_weight_is_the_sum_of_its_last_minute(charges: list[tuple[int, int]]) -> None:
    weight = IpWeight()
    log: list[tuple[int, int]] = []
    now = 0
    for pause_tenths, amount in charges:
        now += pause_tenths
        recent = sum(spent for at, spent in log if now - at < 600)
        assert weight.used(instant(now / 10)) == recent
        assert weight.available_to_cancels(instant(now / 10)) == max(0, 1_200 - recent)
        weight.charge(amount, instant(now / 10))
        log.append((now, amount))
