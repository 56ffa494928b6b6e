"""Who is let in: nonces, expiry, agents and the address budget against a slow record of everything that was sent."""

from __future__ import annotations

from unittest.mock import patch

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrio.core.types import Address
from mmtrio.exchange.admission import Admission
from mmtrio.exchange.engine import Engine, Immediate
from mmtrio.exchange.world import default_world
from tests.support.exchange_actions import ALICE, BOB, START_MS, Json, buy, cancel, place

AGENT = Address("0x" + "a9" * 20)
MASTERS = {ALICE: ALICE, AGENT: ALICE, BOB: BOB}
SIGNERS = (ALICE, AGENT, BOB)
DAY_MS = 86_400_000

nonces = st.one_of(
    st.integers(-1, 5).map(lambda n: START_MS + n),
    st.integers(190, 260).map(lambda n: START_MS + n),
    st.integers(0, 4).map(lambda n: START_MS - 2 * DAY_MS + 100 * n),
    st.integers(0, 4).map(lambda n: START_MS + DAY_MS + 100 * n),
)
expiries = st.sampled_from([None, None, None, -1, 0, 1, 34, 35, 69, 70, 71, 400])
"""Milliseconds from now."""
sends = st.tuples(
    st.just("send"),
    st.sampled_from(SIGNERS),
    nonces,
    expiries,
    st.sampled_from(["order", "cancel", "noop"]),
    st.sampled_from([1, 1, 2, 7, 200, 201]),
)
waits = st.tuples(st.just("wait"), st.sampled_from([1, 35, 70, 70, 5_000, 9_999, 10_000]))
stories = st.lists(st.one_of(sends, sends, sends, waits), max_size=80)
starts = st.sampled_from([0, 9_998, 9_999, 10_000, 19_999, 20_000])


@attrs.define
class SlowDoor:
    """The rules of protocol 9 and 11.2, with nothing ever forgotten."""

    used: dict[str, int]
    nonces: dict[str, set[int]] = attrs.field(factory=lambda: {signer: set() for signer in SIGNERS})
    last_ms: dict[str, int] = attrs.field(factory=dict)
    """When the last action of an account was let in, cancels below their ceiling apart."""
    waiting: list[tuple[str, int | None, int]] = attrs.field(factory=list)

    def answer(
        self, signer: str, nonce: int, expires_ms: int | None, kind: str, n: int, now_ms: int
    ) -> str | None:
        """How the refusal begins, or None."""
        user, cost = MASTERS[signer], 1 if kind == "noop" else n
        if cost > 200:
            return "Signed action over weight limit of 200."
        if expires_ms is not None and expires_ms < now_ms:
            self.used[user] += 5 * cost
            return "Action already expired"
        kept = sorted(self.nonces[signer])[-100:]
        if nonce in kept:
            return "Invalid nonce: duplicate nonce"
        if (len(kept) == 100 and nonce < kept[0]) or nonce <= now_ms - 2 * DAY_MS:
            return "Invalid nonce: nonce too low"
        if nonce >= now_ms + DAY_MS:
            return "Invalid nonce: nonce too high"
        limit = 20_000 if kind == "cancel" else 10_000  # Nobody has traded.
        if self.used[user] >= limit and now_ms - self.last_ms.get(user, -DAY_MS) < 10_000:
            return f"Too many cumulative requests sent ({self.used[user]} > {limit - 1})"
        if kind != "cancel" or self.used[user] >= 20_000:
            self.last_ms[user] = now_ms
        self.nonces[signer].add(nonce)
        self.used[user] += cost
        self.waiting.append((user, expires_ms, cost))
        return None

    def block(self, block_ms: int) -> list[bool]:
        """Whether each of those that waited came in time."""
        waiting, self.waiting = self.waiting, []
        in_time = []
        for user, expires_ms, cost in waiting:
            in_time.append(expires_ms is None or expires_ms >= block_ms)
            if not in_time[-1]:
                self.used[user] += 4 * cost  # One was paid at the door.
        return in_time


def body_of(nonce: int, expires_ms: int | None, kind: str, n: int) -> Json:
    actions = {
        "order": lambda: place(*[buy("34", "0.1")] * n),  # Too small: nobody's balance or book matters.
        "cancel": lambda: cancel(*range(n)),
        "noop": lambda: {"type": "noop"},
    }
    signature = {"r": "0x1", "s": "0x1", "v": 27}
    return {"action": actions[kind](), "nonce": nonce, "signature": signature, "expiresAfter": expires_ms}


@settings(max_examples=200, deadline=None)
@given(stories, starts, starts)
def test_the_door_lets_in_whom_the_slow_one_lets_in(story: list[tuple], alice: int, bob: int) -> None:
    engine = Engine(default_world(2).with_agent(ALICE, AGENT), start_ms=START_MS)
    door, now_ms = SlowDoor({ALICE: alice, BOB: bob}), START_MS
    for user, used in door.used.items():
        engine._admission.budget(user).used = used
    for nonce in range(START_MS, START_MS + 2 * 100, 2):  # As many as are kept.
        engine._admission._nonce_set(ALICE).use(nonce)
        door.nonces[ALICE].add(nonce)
    for step in [*story, ("wait", 70)]:
        if step[0] == "wait":
            now_ms += step[1]
            replies = engine.run_block(now_ms).replies
            assert [reply["status"] == "ok" for _, reply in replies] == door.block(engine.time_ms)
        else:
            _, signer, nonce, expires_after_ms, kind, n = step
            expires_ms = None if expires_after_ms is None else now_ms + expires_after_ms
            with patch.object(Admission, "_recover", return_value=signer):
                outcome = engine.submit(body_of(nonce, expires_ms, kind, n), now_ms)
            text = outcome.body["response"] if isinstance(outcome, Immediate) else None
            expected = door.answer(signer, nonce, expires_ms, kind, n, now_ms)
            assert (text is None) == (expected is None) and (text or "").startswith(expected or ""), text
        for user in (ALICE, BOB):
            assert engine.requests_used(user) == door.used[user]
