"""What the venue's error texts mean for a decision.

By prefix, since live texts end with ` asset=10107` and sometimes with numbers of their own, and without regard to
capitals; where the documentation and the live venue word one refusal differently, both are here. Source: protocol 7
and 18. A text nobody has seen before is `Refusal.OTHER`: refused all the same, for a reason we do not act on.
"""

from __future__ import annotations

import re

from mmtrio.core.events import Refusal

_PREFIXES: tuple[tuple[str, Refusal], ...] = (
    # Items of a batch.
    ("Post only order would have immediately matched", Refusal.POST_ONLY_WOULD_MATCH),
    ("Only post-only orders allowed", Refusal.POST_ONLY_WINDOW),
    ("Insufficient spot balance", Refusal.INSUFFICIENT_BALANCE),
    ("Order has insufficient spot balance to trade", Refusal.INSUFFICIENT_BALANCE),
    ("Insufficient margin to place order", Refusal.INSUFFICIENT_BALANCE),
    ("Order must have minimum value of", Refusal.MIN_NOTIONAL),
    ("Price must be divisible by tick size", Refusal.INVALID_PRICE),
    ("Order has invalid price", Refusal.INVALID_PRICE),
    ("Order has invalid size", Refusal.INVALID_SIZE),
    ("Order has zero size", Refusal.INVALID_SIZE),
    ("Price too far from oracle", Refusal.PRICE_TOO_FAR),
    ("Order price too far from oracle", Refusal.PRICE_TOO_FAR),
    ("Order price cannot be more than", Refusal.PRICE_TOO_FAR),
    ("Too many open orders", Refusal.TOO_MANY_OPEN_ORDERS),  # Never recorded; the status's name in words.
    ("Order could not immediately match", Refusal.NO_MATCH),
    ("No liquidity available for market order", Refusal.NO_MATCH),
    ("Order was never placed, already canceled, or filled", Refusal.MISSING_ORDER),
    ("Cannot modify", Refusal.CANNOT_MODIFY),
    # Whole requests.
    ("Too many cumulative requests sent", Refusal.BUDGET),
    ("429", Refusal.TOO_MANY_REQUESTS),
    ("Too many requests", Refusal.TOO_MANY_REQUESTS),
    ("too many pending post requests", Refusal.TOO_MANY_REQUESTS),
    ("Action already expired", Refusal.EXPIRED),
    ("Invalid nonce: duplicate nonce", Refusal.DUPLICATE_NONCE),
    ("Invalid nonce: nonce too low", Refusal.NONCE_TOO_LOW),
    ("User or API Wallet", Refusal.UNKNOWN_SIGNER),
    ("Must deposit before performing actions", Refusal.UNKNOWN_SIGNER),
    ("Unable to recover signer", Refusal.UNKNOWN_SIGNER),
    ("Signed action over weight limit", Refusal.OVER_WEIGHT),
)
_FOLDED_PREFIXES = tuple((prefix.casefold(), refusal) for prefix, refusal in _PREFIXES)
_OLD_MARK = "l1 error: "
_BBO = re.compile(r"bbo was ([0-9.]+)@([0-9]+(?:\.[0-9]+)?)", re.ASCII)


def classify(text: str) -> Refusal:
    """Why the venue said no, from its words."""
    folded = text.strip().casefold().removeprefix(_OLD_MARK)
    for prefix, refusal in _FOLDED_PREFIXES:
        if folded.startswith(prefix):
            return refusal
    return Refusal.OTHER


def parse_bbo(text: str) -> tuple[str, str] | None:
    """The best bid and offer that a post-only refusal mentions, as decimal text; None where it mentions none."""
    found = _BBO.search(text)
    return (found[1], found[2]) if found else None
