"""The venue's words are classified by their beginnings, in the wording of the documentation and of the live venue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmtrio.core.events import Refusal
from mmtrio.wire.refusals import classify, parse_bbo

_FIXTURE = Path(__file__).parents[4] / "shared/fixtures/exchange/observed_responses.json"


_TEXTS = [
    (
        "Post only order would have immediately matched, bbo was 34.88@34.9. asset=10107",
        Refusal.POST_ONLY_WOULD_MATCH,
    ),
    ("Only post-only orders allowed immediately after a network upgrade", Refusal.POST_ONLY_WINDOW),
    ("Insufficient spot balance asset=10107", Refusal.INSUFFICIENT_BALANCE),
    ("Order has insufficient spot balance to trade", Refusal.INSUFFICIENT_BALANCE),
    ("Insufficient margin to place order. asset=4", Refusal.INSUFFICIENT_BALANCE),
    ("Order must have minimum value of $10. asset=4", Refusal.MIN_NOTIONAL),
    ("Order must have minimum value of 10 USDC. asset=10107", Refusal.MIN_NOTIONAL),
    ("Order has invalid price.", Refusal.INVALID_PRICE),
    ("Price must be divisible by tick size. asset=0", Refusal.INVALID_PRICE),
    ("Order has invalid size.", Refusal.INVALID_SIZE),
    ("Order has zero size.", Refusal.INVALID_SIZE),
    ("Order price too far from oracle", Refusal.PRICE_TOO_FAR),
    ("Price too far from oracle asset=4", Refusal.PRICE_TOO_FAR),
    ("Order price cannot be more than 80% away from the reference price", Refusal.PRICE_TOO_FAR),
    ("Order price cannot be more than 95% away from the reference price", Refusal.PRICE_TOO_FAR),
    ("Order could not immediately match against any resting orders. asset=78", Refusal.NO_MATCH),
    ("No liquidity available for market order.", Refusal.NO_MATCH),
    ("Order was never placed, already canceled, or filled. asset=4", Refusal.MISSING_ORDER),
    ("Cannot modify canceled or filled order", Refusal.CANNOT_MODIFY),
    (
        "Too many cumulative requests sent (97460 > 97456) for cumulative volume traded $8.",
        Refusal.BUDGET,
    ),
    ("429 Too Many Requests", Refusal.TOO_MANY_REQUESTS),
    ("too many pending post requests id=1", Refusal.TOO_MANY_REQUESTS),
    ("Action already expired", Refusal.EXPIRED),
    ("Invalid nonce: duplicate nonce 1764221206959", Refusal.DUPLICATE_NONCE),
    ("Invalid nonce: nonce too low 1 < 2", Refusal.NONCE_TOO_LOW),
    ("User or API Wallet 0xc0 does not exist.", Refusal.UNKNOWN_SIGNER),
    ("L1 error: User or API Wallet 0xc0 does not exist.", Refusal.UNKNOWN_SIGNER),
    ("Must deposit before performing actions. User: 0xc6", Refusal.UNKNOWN_SIGNER),
    ("Unable to recover signer.", Refusal.UNKNOWN_SIGNER),
    ("Signed action over weight limit of 200.", Refusal.OVER_WEIGHT),
    ("Builder fee has not been approved", Refusal.OTHER),
    ("A text of the future", Refusal.OTHER),
    ("", Refusal.OTHER),
    ("The reason: Action already expired", Refusal.OTHER),  # By prefix, not by mention.
]


@pytest.mark.parametrize(("text", "refusal"), _TEXTS)
def test_every_text_has_its_class(text: str, refusal: Refusal) -> None:
    assert classify(text) is refusal


def test_every_class_but_the_unrecorded_one_is_reached_by_a_text() -> None:
    assert set(Refusal) - {refusal for _, refusal in _TEXTS} == {Refusal.TOO_MANY_OPEN_ORDERS}


@pytest.mark.parametrize(
    ("text", "bbo"),
    [
        (
            "Post only order would have immediately matched, bbo was 34.88@34.9. asset=10107",
            ("34.88", "34.9"),
        ),
        ("Post only order would have immediately matched, bbo was 78651@78652.", ("78651", "78652")),
        ("Post only order would have immediately matched", None),
        ("Order has zero size.", None),
    ],
)
def test_a_post_only_refusal_names_the_touch(text: str, bbo: tuple[str, str] | None) -> None:
    assert parse_bbo(text) == bbo


_RECORDED_TRADING_REFUSALS = {
    "Order was never placed, already canceled, or filled. asset=4": Refusal.MISSING_ORDER,
    "Order could not immediately match against any resting orders. asset=78": Refusal.NO_MATCH,
    "Order must have minimum value of $10. asset=4": Refusal.MIN_NOTIONAL,
    "Reduce only order would increase position. asset=3": Refusal.OTHER,
}


@pytest.mark.skipif(not _FIXTURE.exists(), reason="the shared fixtures are not beside this repository")
def test_recorded_refusals_are_classified() -> None:
    seen: dict[str, Refusal] = {}
    for row in json.loads(_FIXTURE.read_text()):
        body = row["response"]
        if body["status"] == "err":
            seen[body["response"]] = classify(body["response"])
            continue
        for status in body["response"].get("data", {}).get("statuses", []):
            if isinstance(status, dict) and "error" in status:
                seen[status["error"]] = classify(status["error"])
    assert {text: seen[text] for text in _RECORDED_TRADING_REFUSALS} == _RECORDED_TRADING_REFUSALS
    assert seen["Action already expired"] is Refusal.EXPIRED
    assert seen["Signed action over weight limit of 200."] is Refusal.OVER_WEIGHT
    # Refusals of transfers, agents and leverage: nothing a maker decides by.
    others = sorted(text for text, refusal in seen.items() if refusal is Refusal.OTHER)
    assert not [
        text for text in others if text.startswith(("Order", "Invalid nonce", "User or", "Too many cum"))
    ]
