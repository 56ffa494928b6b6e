"""The market that benchmarks trade: HYPE/USDC as the venue describes it."""

from __future__ import annotations

from mmtrio.core.market import Market, MarketKind
from mmtrio.core.types import Coin, Token

USDC = Token(0, "USDC", 8, 8)
HYPE = Token(150, "HYPE", 2, 8)
HYPE_USDC = Market(
    coin=Coin("@107"),
    name="HYPE/USDC",
    asset=10107,
    kind=MarketKind.SPOT,
    size_decimals=2,
    base=HYPE,
    quote=USDC,
)
