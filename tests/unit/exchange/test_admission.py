"""Who may act: signatures, agents, nonces, expiry, budget. Signed by the official SDK, judged by the engine."""

from __future__ import annotations

import copy

import pytest

from mmtrio.exchange.budgets import RequestBudget, action_weight, info_weight
from mmtrio.exchange.development_accounts import DEVELOPMENT_ACCOUNTS
from mmtrio.exchange.engine import Immediate
from mmtrio.exchange.nonces import NonceSet
from mmtrio.exchange.world import default_world
from tests.support.exchange_actions import (
    ALICE,
    HYPE,
    START_MS,
    Venue,
    batch_modify,
    buy,
    cancel,
    cancel_by_cloid,
    cloid_of,
    modify,
    place,
    sell,
    signed,
)

NOOP = {"type": "noop"}


@pytest.fixture
def venue() -> Venue:
    return Venue()


def text_of(outcome) -> str:
    assert outcome.status == 200 and outcome.body["status"] == "err", outcome
    return outcome.body["response"]


# Signatures


@pytest.mark.parametrize(
    "action",
    [
        place(buy("34.9", "2", "Alo", cloid=cloid_of(1)), sell("36", "1")),
        cancel(5, 6),
        cancel(5) | {"f": True},
        cancel_by_cloid(cloid_of(1)),
        modify(5, buy("34.9", "2", "Alo")),
        modify(cloid_of(4), buy("34.9", "2", "Alo")),
        batch_modify((5, buy("34.9", "2", "Alo", cloid=cloid_of(2))), always=True),
        NOOP,
    ],
)
def test_every_kind_of_action_signed_by_the_sdk_is_accepted(venue, action):
    venue.accepted(signed(action, START_MS))


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body["action"]["orders"][0].update(s="3"),
        lambda body: body["action"]["orders"][0].update(b=False),
        lambda body: body.update(nonce=START_MS + 1),
        lambda body: body.update(expiresAfter=START_MS + 60_000),
    ],
)
def test_whatever_was_changed_after_signing_names_a_stranger(venue, change):
    body = signed(place(buy("34.9", "2", "Alo")), START_MS)
    change(body)
    assert text_of(venue.refused(body)).startswith("User or API Wallet 0x")
    assert text_of(venue.refused(body)).endswith(" does not exist.")
    assert ALICE not in text_of(venue.refused(body))


@pytest.mark.parametrize(
    "action",
    [
        place(buy("34.90", "2", "Alo")),  # a trailing zero
        cancel(5) | {"f": False},  # an option that must be left out when false
        dict(reversed(list(place(buy("34", "1")).items()))),  # another key order
        cancel_by_cloid("0x" + "AB" * 16),  # upper case
        place(buy("34.9", "2", "Alo", cloid="0x" + "AB" * 16)),
        batch_modify(("0x" + "AB" * 16, buy("34.9", "2", "Alo"))),
        place(buy("034.9", "2")),  # a leading zero
        place(buy("34.9", "2.0")),
        place({key: buy("34", "1")[key] for key in "bapsrt"}),  # another order inside an order
        place(buy("34", "1") | {"x": 1}),  # a key the venue does not know
        place(buy("34", "1")) | {"builder": None},
        {"type": "batchModify", "modifies": [{"order": buy("34", "1"), "oid": 5}]},
        {"type": "cancel", "cancels": [{"o": 5, "a": HYPE}]},
        batch_modify((5, buy("34.9", "2", "Alo"))) | {"a": False},
        place(buy("34", "1") | {"c": None}),  # a null that must be left out
    ],
)
def test_what_the_venue_would_serialise_differently_names_a_stranger(venue, action):
    assert "does not exist" in text_of(venue.refused(signed(action, START_MS)))


def test_the_order_of_keys_in_the_json_means_nothing(venue):
    body = signed(place(buy("34.9", "2", "Alo")), START_MS)
    body["action"] = dict(reversed(list(body["action"].items())))
    venue.accepted(body)


def test_a_signature_for_mainnet_is_not_for_here(venue):
    assert "does not exist" in text_of(venue.refused(signed(NOOP, START_MS, is_mainnet=True)))


def test_a_cloid_in_capitals_of_a_body_signed_in_small_letters_is_the_same_cloid(venue):
    body = signed(place(buy("34.9", "2", "Alo", cloid="0x" + "ab" * 16)), START_MS)
    body["action"]["orders"][0]["c"] = "0x" + "AB" * 16
    venue.accepted(body)
    assert venue.engine.open_orders(ALICE)[0]["cloid"] == "0x" + "ab" * 16


def test_an_order_that_asks_for_the_early_slot_by_a_fee_is_signed_with_it_and_refused_here(venue):
    body = signed(place(buy("34.9", "2", "Alo")) | {"grouping": {"p": 5}}, START_MS)
    assert venue.refused(body).body["response"]["data"]["statuses"] == [
        {"error": "Invalid grouping for spot orders."}
    ]


@pytest.mark.parametrize(
    "r, v",
    [
        ("0x0", 27),
        ("not hex", 27),
        ("0x" + "ff" * 32, 27),
        ("0x12", 5),
        ("12", 27),
        ("0x1_2", 27),
        ("0x", 27),
    ],
)
def test_a_malformed_signature_cannot_be_recovered(venue, r, v):
    body = signed(NOOP, START_MS)
    body["signature"] |= {"r": r, "v": v}
    assert text_of(venue.refused(body)) == "Unable to recover signer."


def test_an_account_of_the_world_without_funds_here_is_unknown():
    venue = Venue(default_world(1))
    stranger = DEVELOPMENT_ACCOUNTS[5].address
    body = signed(NOOP, START_MS, account=5)
    assert text_of(venue.refused(body)) == f"User or API Wallet {stranger} does not exist."


def test_an_agent_acts_for_its_account():
    agent = DEVELOPMENT_ACCOUNTS[5].address
    venue = Venue(default_world(1).with_agent(ALICE, agent))
    venue.accepted(signed(place(buy("34.9", "2")), START_MS, account=5))
    assert len(venue.engine.open_orders(ALICE)) == 1
    assert venue.info("userRole", agent) == {"role": "agent", "data": {"user": ALICE}}
    assert venue.info("openOrders", agent) == []
    assert venue.info("extraAgents", ALICE)[0]["address"] == agent


def test_an_agent_has_nonces_of_its_own():
    venue = Venue(default_world(1).with_agent(ALICE, DEVELOPMENT_ACCOUNTS[5].address))
    venue.accepted(signed(NOOP, START_MS, account=5))
    venue.accepted(signed(NOOP, START_MS, account=0))


def test_there_are_no_vaults(venue):
    vault = "0x" + "ab" * 20
    assert text_of(venue.refused(signed(NOOP, START_MS, vault=vault))) == f"Vault not registered: {vault}"


# Bodies


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body.pop("action"),
        lambda body: body.pop("nonce"),
        lambda body: body.pop("signature"),
        lambda body: body["signature"].pop("v"),
        lambda body: body.update(nonce="5"),
        lambda body: body.update(nonce=-1),
        lambda body: body.update(nonce=True),
        lambda body: body.update(vaultAddress="0x12"),
        lambda body: body.update(expiresAfter="soon"),
        lambda body: body["action"].update(type="orders"),
        lambda body: body["action"].update(orders={}),
        lambda body: body["action"].update(grouping="nb"),
        lambda body: body["action"]["orders"][0].pop("r"),
        lambda body: body["action"]["orders"][0].update(a=-1),
        lambda body: body["action"]["orders"][0].update(a=True),
        lambda body: body["action"]["orders"][0].update(p=34.9),
        lambda body: body["action"]["orders"][0].update(b=1),
        lambda body: body["action"]["orders"][0].update(t={"limit": {"tif": "Fok"}}),
        lambda body: body["action"]["orders"][0].update(t={"limit": {"tif": "Alo"}, "trigger": {}}),
        lambda body: body["action"]["orders"][0].update(c="0x12"),
    ],
)
def test_a_body_of_another_type_is_answered_with_422_and_plain_text(venue, spoil):
    body = copy.deepcopy(signed(place(buy("34.9", "2")), START_MS))
    spoil(body)
    outcome = venue.refused(body)
    assert (outcome.status, outcome.body) == (422, "Failed to deserialize the JSON body into the target type")


@pytest.mark.parametrize("body", [None, [], "x", 5, {}, {"action": None}])
def test_json_that_is_no_request_is_answered_with_422(venue, body):
    assert venue.refused(body).status == 422


def test_two_hundred_elements_are_the_most(venue):
    assert len(venue.statuses(ALICE, cancel(*range(200)))) == 200
    text = "Signed action over weight limit of 200."
    assert text_of(venue.refused(signed(cancel(*range(201)), START_MS))) == text
    assert venue.act(ALICE, cancel(*range(201))) == {"status": "err", "response": text}
    assert venue.engine.requests_used(ALICE) == 0


def test_an_empty_batch_is_refused_as_a_whole(venue):
    assert text_of(venue.refused(signed(place(), START_MS))) == "Empty batch."


# Nonces


def test_a_nonce_is_used_once(venue):
    body = signed(NOOP, START_MS)
    venue.accepted(body)
    assert text_of(venue.refused(body)) == f"Invalid nonce: duplicate nonce {START_MS}"


def test_a_noop_kills_what_was_signed_with_its_nonce(venue):
    venue.accepted(signed(NOOP, START_MS))
    assert "duplicate nonce" in text_of(venue.refused(signed(place(buy("34.9", "2")), START_MS)))
    assert venue.engine.open_orders(ALICE) == []


def test_refused_requests_do_not_use_their_nonce(venue):
    venue.refused(signed(place(buy("34.9", "0")), START_MS))
    venue.accepted(signed(NOOP, START_MS))


def test_nonces_may_arrive_out_of_order_among_the_newest_hundred():
    nonces = NonceSet()
    for nonce in range(START_MS, START_MS + 200, 2):
        assert nonces.refusal(nonce, START_MS) is None
        nonces.use(nonce)
    assert nonces.refusal(START_MS + 51, START_MS) is None
    nonces.use(START_MS + 51)  # A hundred are kept: this one pushes the lowest out.
    assert nonces.refusal(START_MS, START_MS) == f"Invalid nonce: nonce too low {START_MS} < {START_MS + 2}"
    assert nonces.refusal(START_MS + 2, START_MS) == f"Invalid nonce: duplicate nonce {START_MS + 2}"


def test_a_nonce_need_only_be_above_the_smallest_kept():
    nonces = NonceSet()
    for nonce in range(START_MS, START_MS + 1000, 10):
        nonces.use(nonce)
    assert nonces.refusal(START_MS + 1, START_MS) is None
    assert "too low" in (nonces.refusal(START_MS - 1, START_MS) or "")


def test_nonces_lie_within_two_days_back_and_one_day_ahead():
    nonces, day_ms = NonceSet(), 86_400_000
    low_ms, high_ms = START_MS - 2 * day_ms, START_MS + day_ms
    assert nonces.refusal(low_ms, START_MS) == f"Invalid nonce: nonce too low {low_ms} < {low_ms}"
    assert nonces.refusal(low_ms + 1, START_MS) is None
    assert nonces.refusal(high_ms - 1, START_MS) is None
    assert nonces.refusal(high_ms, START_MS) == f"Invalid nonce: nonce too high {high_ms} > {high_ms}"


# Expiry


def test_an_action_that_came_too_late_costs_five_times(venue):
    body = signed(place(buy("34", "1"), buy("33", "1")), START_MS, expires_after_ms=START_MS - 1)
    assert text_of(venue.refused(body)) == "Action already expired"
    assert venue.engine.requests_used(ALICE) == 10


def test_an_action_may_arrive_at_the_very_moment_it_expires(venue):
    body = signed(NOOP, START_MS, expires_after_ms=START_MS)
    assert not isinstance(venue.engine.submit(body, START_MS), Immediate)
    assert venue.engine.requests_used(ALICE) == 1


def test_an_expired_action_does_not_use_its_nonce(venue):
    venue.refused(signed(place(buy("34", "1")), START_MS, expires_after_ms=START_MS - 1))
    venue.accepted(signed(NOOP, START_MS))


def test_an_action_may_expire_while_it_waits_for_its_block(venue):
    body = signed(place(buy("34", "1"), buy("33", "1")), START_MS, expires_after_ms=START_MS + 69)
    assert venue.accepted(body) == {"status": "err", "response": "Action already expired"}
    assert venue.engine.requests_used(ALICE) == 10
    assert venue.engine.open_orders(ALICE) == []


def test_an_action_runs_in_the_very_block_it_expires_with(venue):
    body = signed(place(buy("34", "1")), START_MS, expires_after_ms=START_MS + 70)
    assert venue.accepted(body)["status"] == "ok"


# Budget


def test_a_batch_costs_one_request_per_element_and_failures_cost_too(venue):
    venue.accepted(signed(place(buy("34", "1"), buy("33", "1"), buy("34", "0.1")), START_MS))
    venue.accepted(signed(cancel(1, 2), START_MS + 1))
    assert venue.engine.requests_used(ALICE) == 5
    assert venue.info("userRateLimit", ALICE) == {
        "cumVlm": "0.0", "nRequestsUsed": 5, "nRequestsCap": 10_000, "nRequestsSurplus": 0
    }  # fmt: skip


def test_volume_of_maker_and_taker_buys_requests(venue):
    venue.place(ALICE, sell("34.9", "2"))
    venue.accepted(signed(place(buy("34.9", "1.5", "Ioc")), START_MS, account=1))
    for user in (ALICE, DEVELOPMENT_ACCOUNTS[1].address):
        limit = venue.info("userRateLimit", user)
        assert (limit["cumVlm"], limit["nRequestsCap"]) == ("52.35", 10_052)


def test_an_exhausted_budget_refuses_at_no_cost_and_drips_one_action_in_ten_seconds():
    budget = RequestBudget(used=10_000)
    volume_e8 = 87_457_46 * 10**6
    assert budget.refusal(volume_e8, is_cancel=False, now_ms=0) is None
    budget.used = 97_460
    budget.charge(1, volume_e8, is_cancel=False, now_ms=0)
    assert budget.refusal(volume_e8, is_cancel=False, now_ms=9_999) == (
        "Too many cumulative requests sent (97461 > 97456) for cumulative volume traded $87457.46. "
        "Place taker orders to free up 1 request per USDC traded."
    )
    assert budget.refusal(volume_e8, is_cancel=False, now_ms=10_000) is None
    assert budget.used == 97_461


def test_cancels_have_a_ceiling_of_their_own():
    budget = RequestBudget(used=19_999)
    budget.charge(0, 0, is_cancel=False, now_ms=0)
    assert budget.refusal(0, is_cancel=False, now_ms=5) is not None
    assert budget.refusal(0, is_cancel=True, now_ms=5) is None
    budget.charge(1, 0, is_cancel=True, now_ms=5)
    assert "(20000 > 19999)" in (budget.refusal(0, is_cancel=True, now_ms=6) or "")
    rich = RequestBudget(used=300_000 + 10_000 + 100_000 - 1)
    rich.charge(0, 300_000 * 10**8, is_cancel=False, now_ms=0)
    assert rich.refusal(300_000 * 10**8, is_cancel=True, now_ms=5) is None
    rich.used += 1
    assert rich.refusal(300_000 * 10**8, is_cancel=True, now_ms=5) is not None


def test_a_cancel_below_its_ceiling_does_not_put_the_next_order_off():
    budget = RequestBudget(used=10_000)
    budget.charge(1, 0, is_cancel=False, now_ms=0)
    budget.charge(1, 0, is_cancel=True, now_ms=9_000)
    assert budget.refusal(0, is_cancel=False, now_ms=9_999) is not None
    assert budget.refusal(0, is_cancel=False, now_ms=10_000) is None


def test_beyond_their_ceiling_cancels_share_the_drip_with_all_else():
    budget = RequestBudget(used=20_000)
    budget.charge(1, 0, is_cancel=True, now_ms=0)
    assert budget.refusal(0, is_cancel=True, now_ms=9_999) is not None
    assert budget.refusal(0, is_cancel=False, now_ms=9_999) is not None
    assert budget.refusal(0, is_cancel=True, now_ms=10_000) is None


def test_a_hammer_of_one_a_second_gets_through_every_ten_and_pays_for_these_only(venue):
    """Refusals cost nothing and do not restart the window (protocol 11.2)."""
    for nonce in range(50):
        venue.accepted(signed(place(*[buy("34", "0.1")] * 200), START_MS + nonce))
    passed_s, start_ms = [], venue.now_ms
    for second in range(1, 41):
        venue.now_ms = start_ms + 1000 * second
        outcome = venue.engine.submit(signed(NOOP, START_MS + 1000 + second), venue.now_ms)
        if not isinstance(outcome, Immediate):
            passed_s.append(second)
    assert passed_s == [10, 20, 30, 40]
    assert venue.engine.requests_used(ALICE) == 10_004


def test_the_engine_refuses_orders_and_takes_cancels_when_the_budget_is_spent(venue):
    for nonce in range(50):
        venue.accepted(signed(place(*[buy("34", "0.1")] * 200), START_MS + nonce))
    assert venue.engine.requests_used(ALICE) == 10_000
    refusal = text_of(venue.refused(signed(place(buy("34", "1")), START_MS + 200)))
    assert refusal.startswith(
        "Too many cumulative requests sent (10000 > 9999) for cumulative volume traded $0."
    )
    venue.accepted(signed(cancel(1), START_MS + 201))
    venue.now_ms += 10_000
    venue.accepted(signed(place(buy("34", "1")), START_MS + 200))  # Its nonce was not spent.


# Weights of the other budget


def test_request_weights():
    assert [action_weight(n) for n in (0, 1, 39, 40, 79, 80)] == [1, 1, 1, 2, 2, 3]
    assert (
        info_weight("l2Book") == 2 and info_weight("userRole") == 60 and info_weight("openOrders", 500) == 20
    )
    assert info_weight("userFills", 45) == 22 and info_weight("spotClearinghouseState") == 2
    assert [info_weight("userFillsByTime", rows) for rows in (0, 19, 20, 2000)] == [20, 20, 21, 120]
    assert info_weight("userFills") == 20


def test_assets_are_named_in_texts(venue):
    outcome = venue.refused(signed(place(buy("34", "0")), START_MS))
    [status] = outcome.body["response"]["data"]["statuses"]
    assert status == {"error": f"Order has zero size. asset={HYPE}"}
