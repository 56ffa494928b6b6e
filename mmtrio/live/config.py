"""What a running market maker is told: frozen parameter classes, every default visible.

Files and flags become these in `mmtrio.cli.config`; a program of your own builds them directly.
"""

from __future__ import annotations

import enum
from decimal import Decimal
from pathlib import Path

import attrs

from mmtrio.core.batch_emitter import EmitterParams
from mmtrio.core.liveness import LivenessParams
from mmtrio.core.order_differ import DifferParams
from mmtrio.core.rate_limit import BudgetParams
from mmtrio.core.strategies.hip2 import Hip2Params


class Network(enum.Enum):
    """Which venue. `LOCAL` is any loopback address: no real money can be there."""

    LOCAL = "local"
    TESTNET = "testnet"
    MAINNET = "mainnet"


BASE_URLS = {
    Network.TESTNET: "https://api.hyperliquid-testnet.xyz",
    Network.MAINNET: "https://api.hyperliquid.xyz",
}


@attrs.frozen
class AccountConfig:
    """Who trades. On `local`, the N-th funded development account; elsewhere a key from a file or a descriptor."""

    development_account: int | None = 0
    key_file: Path | None = None
    key_descriptor: int | None = None
    address: str | None = None
    """The account traded, where it is not the key's own (an agent's master). Lower-case hex."""
    allow_master_key: bool = False
    instance: str = "main"
    """Names this bot among several on one account; part of every cloid."""


@attrs.frozen
class MarketConfig:
    """One market and the strategy that quotes it."""

    coin: str
    """As a person types it: `HYPE/USDC`, `@107`, `PURR/USDC`."""
    hip2: Hip2Params
    strategy: str = "hip2"
    allocated_token: Decimal | None = None
    """Base the strategy may use; None: all there is, shared equally with other markets that state none."""
    allocated_usdc: Decimal | None = None
    """Quote the strategy may use, in whatever token the market is quoted in."""
    differ: DifferParams = attrs.field(factory=DifferParams)
    require_market_data: bool | None = None
    """Stop quoting while the market's feeds are down; None: as the strategy says."""


@attrs.frozen
class MakerConfig:
    """Everything `open_market_maker` needs to know."""

    network: Network
    base_url: str
    markets: tuple[MarketConfig, ...] = attrs.field(validator=attrs.validators.min_len(1))
    account: AccountConfig = attrs.field(factory=AccountConfig)
    interval_s: float = attrs.field(default=3.0, validator=attrs.validators.gt(0))
    reconcile_every: int = attrs.field(default=20, validator=attrs.validators.ge(1))
    """Ticks between reconciliations."""
    startup_timeout_s: float = attrs.field(default=30.0, validator=attrs.validators.gt(0))
    shutdown_grace_s: float = attrs.field(default=30.0, validator=attrs.validators.gt(0))
    """How long the clean-up may go on trying."""
    rest_lag_s: float = attrs.field(default=2.0, validator=attrs.validators.gt(0))
    """Two REST reads at least this far apart are needed for a verdict; REST lags the stream (D4)."""
    request_timeout_s: float = attrs.field(default=5.0, validator=attrs.validators.gt(0))
    keep_orders: bool = False
    """Leave resting orders on the venue at the end."""
    emitter: EmitterParams = attrs.field(factory=EmitterParams)
    budget: BudgetParams = attrs.field(factory=BudgetParams)
    liveness: LivenessParams = attrs.field(factory=LivenessParams)
    lock_folder: Path | None = None
    """Where the lock against a second instance lies; None takes none (a venue that lives in this process)."""
