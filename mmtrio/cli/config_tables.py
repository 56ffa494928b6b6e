"""The tables of a configuration file, one class each, one field for each key.

A key's default is the default of the parameter it sets, so it has one home: the frozen classes of the rings below.
"""

# ruff: noqa: RUF009  (`_key` and `_same` return attrs fields)
from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs

from mmtrio.cli import config_values as values
from mmtrio.core.batch_emitter import EmitterParams
from mmtrio.core.liveness import LivenessParams
from mmtrio.core.order_differ import DifferParams
from mmtrio.core.pricing_grid import LEVELS_MAX, Rounding
from mmtrio.core.rate_limit import BudgetParams
from mmtrio.core.strategies.hip2 import Hip2Params
from mmtrio.live.config import AccountConfig, MakerConfig, MarketConfig, Network

_DAY_S = 86_400


def _key(parser: values.Parser, sets: type | None = None, default: Any = attrs.NOTHING) -> Any:
    """A field that `parser` reads. `sets` is the class whose parameter of the same name it becomes."""
    return attrs.field(default=default, metadata={"parser": parser, "sets": sets})


def _same(parser: values.Parser, sets: type, name: str) -> Any:
    """A field with the default of the parameter `name` of the class it sets."""
    return _key(parser, sets, getattr(attrs.fields(sets), name).default)


@attrs.frozen
class MarketTable:
    """[market], or several [[market]]."""

    coin: str = _key(values.text("HYPE/USDC"))
    start_px: Decimal = _key(values.money("the price of the lowest level", "30"))
    n_orders: int = _key(values.whole("the number of levels", at_least=1, at_most=LEVELS_MAX))
    order_sz: Decimal = _key(values.money("the base of one level", "2"))
    n_seeded_levels: int = _same(
        values.whole("the number of levels that start as bids", at_least=0, at_most=LEVELS_MAX),
        Hip2Params,
        "n_seeded_levels",
    )
    spacing: Fraction = _same(
        values.ratio("the step between two levels as a part of the price", "0.003"), Hip2Params, "spacing"
    )
    rounding: Rounding = _same(values.one_of(Rounding), Hip2Params, "rounding")
    active_levels: int | None = _same(
        values.whole("the number of levels shown on each side", at_least=1, at_most=LEVELS_MAX),
        Hip2Params,
        "active_levels",
    )
    min_notional: Decimal | None = _same(
        values.money("the smallest order in quote", "10", zero_allowed=True), Hip2Params, "min_notional"
    )
    allocated_token: Decimal | None = _same(
        values.money("the base the market may use", "200", zero_allowed=True), MarketConfig, "allocated_token"
    )
    allocated_usdc: Decimal | None = _same(
        values.money("the quote the market may use", "6000", zero_allowed=True),
        MarketConfig,
        "allocated_usdc",
    )
    strategy: str = _same(values.text("hip2"), MarketConfig, "strategy")
    dead_zone_bps: float = _same(
        values.measure("basis points of the price", at_least=0, at_most=10_000), DifferParams, "dead_zone_bps"
    )
    price_tolerance_bps: float = _same(
        values.measure("basis points of the price", at_least=0, at_most=10_000),
        DifferParams,
        "price_tolerance_bps",
    )
    size_tolerance_pct: float = _same(
        values.measure("a percentage of the size", at_least=0, at_most=100),
        DifferParams,
        "size_tolerance_pct",
    )
    require_market_data: bool | None = _same(values.switch(), MarketConfig, "require_market_data")


@attrs.frozen
class AccountTable:
    """[account]"""

    key_file: Path | None = _same(values.key_path(), AccountConfig, "key_file")
    key_descriptor: int | None = _same(
        values.whole("an open file descriptor", at_least=0, at_most=65_535), AccountConfig, "key_descriptor"
    )
    address: str | None = _same(values.address(), AccountConfig, "address")
    instance: str = _same(values.text("main"), AccountConfig, "instance")
    allow_master_key: bool = _same(values.switch(), AccountConfig, "allow_master_key")
    development_account: int | None = _same(
        values.whole("the number of a development account", at_least=0, at_most=19),
        AccountConfig,
        "development_account",
    )


@attrs.frozen
class VenueTable:
    """[venue]"""

    network: Network | None = _key(values.one_of(Network), default=None)
    base_url: str | None = _key(values.text("http://127.0.0.1:3001"), default=None)


@attrs.frozen
class RunTable:
    """[run]"""

    interval_s: float = _same(values.measure("seconds", above=0, at_most=3_600), MakerConfig, "interval_s")
    reconcile_every: int = _same(
        values.whole("a number of ticks", at_least=1, at_most=100_000), MakerConfig, "reconcile_every"
    )
    startup_timeout_s: float = _same(
        values.measure("seconds", above=0, at_most=_DAY_S), MakerConfig, "startup_timeout_s"
    )
    shutdown_grace_s: float = _same(
        values.measure("seconds", above=0, at_most=3_600), MakerConfig, "shutdown_grace_s"
    )
    rest_lag_s: float = _same(values.measure("seconds", above=0, at_most=60), MakerConfig, "rest_lag_s")
    request_timeout_s: float = _same(
        values.measure("seconds", above=0, at_most=60), MakerConfig, "request_timeout_s"
    )
    keep_orders: bool = _same(values.switch(), MakerConfig, "keep_orders")


@attrs.frozen
class LimitsTable:
    """[limits]"""

    address_reserve: int = _same(
        values.whole("a number of requests", at_least=0, at_most=10**9), BudgetParams, "address_reserve"
    )
    items_per_tick_max: int = _same(
        values.whole("a number of orders", at_least=1, at_most=10_000), EmitterParams, "items_per_tick_max"
    )
    expires_after_s: float = _same(
        values.measure("seconds", at_least=10, at_most=600), EmitterParams, "expires_after_s"
    )
    cooldown_s: float = _same(
        values.measure("seconds", at_least=0, at_most=3_600), EmitterParams, "cooldown_s"
    )
    silence_max_s: float = _same(
        values.measure("seconds", above=0, at_most=600), LivenessParams, "silence_max_s"
    )
    pull_after_s: float | None = _same(
        values.measure_or_never("seconds", above=0, at_most=_DAY_S), LivenessParams, "pull_after_s"
    )


TABLES: dict[str, type] = {
    "market": MarketTable,
    "account": AccountTable,
    "venue": VenueTable,
    "run": RunTable,
    "limits": LimitsTable,
}
"""By name, in the order in which people meet them."""

OTHER_NAMES: dict[str, str] = {
    "tick_size": "the step between two levels is called `spacing` here",
    "step": "the step between two levels is called `spacing` here",
    "size": "the base of one level is called `order_sz`",
    "order_size": "the base of one level is called `order_sz`",
    "levels": "the number of levels is called `n_orders`, how many of them are shown `active_levels`",
    "symbol": "the market is called `coin`",
    "target_px": "say `allocated_token` and `allocated_usdc` instead; the ladder follows from what there is",
    "allocated_quote": "the quote a market may use is called `allocated_usdc`, whatever token it is",
    **dict.fromkeys(
        ("private_key", "secret_key", "api_key", "secret", "mnemonic", "key"),
        "a key never stands in a configuration: put it into a file with mode 0600 and name that file as `key_file`",
    ),
}
"""Keys people know from elsewhere, and what to write here."""
