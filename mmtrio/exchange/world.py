"""What exists before the first block: tokens, markets, accounts, reference prices. Data only.

A `World` is a value: `with_spot_market` and the like return another one. `Engine` copies what it needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal

import attrs

from mmtrio.core.types import Address, Coin
from mmtrio.exchange.development_accounts import DEVELOPMENT_ACCOUNTS
from mmtrio.exchange.market_rules import SPOT_DECIMALS, SpotMarket, SpotToken

FEE_ACCOUNT = Address("0xfefefefefefefefefefefefefefefefefefefefe")
"""Where fees go, so that no unit is ever lost. The venue's own fund has this address."""

DEFAULT_FUNDING_USD = 1_000_000
_HOUSE_FUNDING_FACTOR = 100


def house_address(name: str) -> Address:
    """The address of a participant of the house, from its name alone. Nobody holds a key to it."""
    return Address("0x" + hashlib.sha256(f"trio-mm house account: {name}".encode()).hexdigest()[:40])


OUTSIDE_ACCOUNT = house_address("outside liquidity")
"""Owns the orders of recorded markets. It stands for the rest of the world, so its balances may be negative."""


@attrs.frozen
class PerpListing:
    """A perpetual in the metadata. This exchange lists perps and does not trade them yet."""

    name: str
    size_decimals: int
    max_leverage: int
    reference_px: Decimal
    is_delisted: bool = False


@attrs.frozen
class WorldAccount:
    """An account and what it owns at the start: units (10^-weiDecimals) by token index."""

    address: Address
    balances: Mapping[int, int]
    agents: tuple[Address, ...] = ()
    """Addresses whose signatures count as this account's."""
    is_house: bool = False
    """A participant of the house: no signature, no address budget, no lagging view."""
    is_unlimited: bool = False
    """Not checked for balance at placement: what it lacks, it owes."""


@attrs.frozen
class World:
    """Tokens, spot markets, perp listings and accounts.

    Raises:
        ValueError: two tokens, markets or accounts are the same, or a market lacks a token.
    """

    tokens: tuple[SpotToken, ...]
    markets: tuple[SpotMarket, ...]
    perps: tuple[PerpListing, ...]
    accounts: tuple[WorldAccount, ...]

    def __attrs_post_init__(self) -> None:
        _require_distinct("token index", [str(token.index) for token in self.tokens])
        _require_distinct("coin", [market.coin for market in self.markets])
        _require_distinct("account", [account.address for account in self.accounts])
        known = {token.index: token for token in self.tokens}
        for market in self.markets:
            for token in (market.base, market.quote):
                if known.get(token.index) != token:
                    raise ValueError(f"{market.coin}: the world has no such token {token.name}")
        for account in self.accounts:
            for index in account.balances:
                if index not in known:
                    raise ValueError(f"{account.address} owns a token the world does not have: {index}")

    def market(self, name: str) -> SpotMarket:
        """By wire name (`@107`) or by the name for people (`HYPE/USDC`).

        Raises:
            ValueError: there is none.
        """
        for market in self.markets:
            if name in (market.coin, market.name):
                return market
        raise ValueError(
            f"this world has no market {name!r}; it has {', '.join(m.name for m in self.markets)}"
        )

    @property
    def traders(self) -> tuple[WorldAccount, ...]:
        """Accounts for market makers to sign for, in order: the N-th is the N-th development account."""
        return tuple(a for a in self.accounts if not a.is_house)

    @property
    def house(self) -> tuple[WorldAccount, ...]:
        """Accounts for the flow to trade with: limited ones only."""
        return tuple(
            a for a in self.accounts if a.is_house and not a.is_unlimited and a.address != FEE_ACCOUNT
        )

    def with_spot_market(
        self,
        base_name: str,
        *,
        size_decimals: int,
        reference_px: Decimal | str,
        quote_name: str = "USDC",
        funding_usd: int = DEFAULT_FUNDING_USD,
    ) -> World:
        """This world with a market of `base_name` in it, its prices of 8 - size_decimals decimals.

        Every account gets base tokens worth `funding_usd` (the house a hundred times that). Where a market of
        that name exists, its sizes, reference price and balances are replaced: for recordings of `HYPE`.
        """
        existing = next(
            (m for m in self.markets if m.base.name == base_name and m.quote.name == quote_name), None
        )
        token = (
            attrs.evolve(existing.base, size_decimals=size_decimals, wei_decimals=SPOT_DECIMALS)
            if existing
            else _token(1 + max(t.index for t in self.tokens), base_name, size_decimals)
        )
        quote = next(t for t in self.tokens if t.name == quote_name)
        index = existing.index if existing else 1 + max((m.index for m in self.markets), default=0)
        market = spot_market(index, token, quote, Decimal(reference_px))
        others = [m for m in self.markets if m.coin != market.coin]
        if any(m.base.index == token.index or m.quote.index == token.index for m in others):
            raise ValueError(f"{base_name} is traded in other markets too: its decimals cannot change")
        return World(
            tokens=(*(t for t in self.tokens if t.index != token.index), token),
            markets=(*others, market),
            perps=self.perps,
            accounts=tuple(_refunded(a, market, funding_usd) for a in self.accounts),
        )

    def with_balance(self, address: Address, token_index: int, units: int) -> World:
        """This world with one balance set."""
        return self._with_account(
            address, lambda a: attrs.evolve(a, balances={**a.balances, token_index: units})
        )

    def with_agent(self, address: Address, agent: Address) -> World:
        """This world with `agent` allowed to sign for the account."""
        agent = Address(agent.lower())
        return self._with_account(address, lambda a: attrs.evolve(a, agents=(*a.agents, agent)))

    def _with_account(self, address: Address, change: Callable[[WorldAccount], WorldAccount]) -> World:
        if all(account.address != address for account in self.accounts):
            raise ValueError(f"this world has no account {address}")
        accounts = tuple(change(a) if a.address == address else a for a in self.accounts)
        return attrs.evolve(self, accounts=accounts)


def spot_market(index: int, base: SpotToken, quote: SpotToken, reference_px: Decimal) -> SpotMarket:
    """A market named as the venue names it: `PURR/USDC` for pair 0, `@{index}` for all others."""
    coin = Coin(f"{base.name}/{quote.name}" if index == 0 else f"@{index}")
    ticks = reference_px.scaleb(SPOT_DECIMALS - base.size_decimals).to_integral_value(ROUND_HALF_EVEN)
    return SpotMarket(coin, index, base, quote, int(ticks), is_canonical=index == 0)


def default_world(n_accounts: int = 10, *, n_house: int = 8, funding_usd: int = DEFAULT_FUNDING_USD) -> World:
    """The world newcomers meet: four spot markets, some perp listings, funded development accounts.

    Raises:
        ValueError: more accounts than there are development accounts.
    """
    if not 0 <= n_accounts <= len(DEVELOPMENT_ACCOUNTS):
        raise ValueError(f"there are {len(DEVELOPMENT_ACCOUNTS)} development accounts, not {n_accounts}")
    usdc, purr, hfun, hype, ubtc = _DEFAULT_TOKENS
    markets = (
        spot_market(0, purr, usdc, Decimal("0.14")),
        spot_market(1, hfun, usdc, Decimal("21.5")),
        spot_market(107, hype, usdc, Decimal("34.95")),
        spot_market(142, ubtc, usdc, Decimal(84143)),
    )
    house = [house_address(f"participant {n}") for n in range(n_house)]
    accounts = (
        *(
            _funded(development.address, markets, funding_usd)
            for development in DEVELOPMENT_ACCOUNTS[:n_accounts]
        ),
        *(_funded(address, markets, _HOUSE_FUNDING_FACTOR * funding_usd, is_house=True) for address in house),
        WorldAccount(OUTSIDE_ACCOUNT, {}, is_house=True, is_unlimited=True),
        WorldAccount(FEE_ACCOUNT, {}, is_house=True),
    )
    return World(_DEFAULT_TOKENS, markets, _DEFAULT_PERPS, accounts)


def _token(
    index: int, name: str, size_decimals: int, wei_decimals: int = 8, full_name: str | None = None
) -> SpotToken:
    token_id = "0x" + hashlib.sha256(f"token {index} {name}".encode()).hexdigest()[:32]
    return SpotToken(index, name, size_decimals, wei_decimals, token_id, index <= 1, full_name)


_DEFAULT_TOKENS = (
    _token(0, "USDC", 8),
    _token(1, "PURR", 0, 5),
    _token(2, "HFUN", 2, 8),
    _token(150, "HYPE", 2, 8, "Hyperliquid"),
    _token(197, "UBTC", 5, 10, "Unit Bitcoin"),
)

_DEFAULT_PERPS = (
    PerpListing("BTC", 5, 40, Decimal(84143)),
    PerpListing("ETH", 4, 25, Decimal("2755.4")),
    PerpListing("MATIC", 1, 20, Decimal("0.3771"), is_delisted=True),  # Keeps its slot: ids count it.
    PerpListing("SOL", 2, 20, Decimal("126.31")),
    PerpListing("HYPE", 2, 10, Decimal("34.951")),
    PerpListing("OP", 1, 10, Decimal("0.3025")),
)


def _funded(
    address: Address, markets: Sequence[SpotMarket], funding_usd: int, *, is_house: bool = False
) -> WorldAccount:
    balances = {0: funding_usd * 10**SPOT_DECIMALS}
    for market in markets:
        balances[market.base.index] = _units_worth(market, funding_usd)
    return WorldAccount(address, balances, is_house=is_house)


def _refunded(account: WorldAccount, market: SpotMarket, funding_usd: int) -> WorldAccount:
    if account.is_unlimited or account.address == FEE_ACCOUNT:
        return account
    factor = _HOUSE_FUNDING_FACTOR if account.is_house else 1
    units = _units_worth(market, factor * funding_usd)
    return attrs.evolve(account, balances={**account.balances, market.base.index: units})


def _units_worth(market: SpotMarket, usd: int) -> int:
    """Whole lots of the base token worth about `usd`, in units."""
    lots = usd * 10**SPOT_DECIMALS // market.reference_ticks
    return market.base_units(lots)


def _require_distinct(what: str, values: Sequence[str]) -> None:
    for value in _repeated(values):
        raise ValueError(f"{what} {value} appears twice in the world")


def _repeated(values: Sequence[str]) -> Iterator[str]:
    seen: dict[str, None] = {}
    for value in values:
        if value in seen:
            yield value
        seen[value] = None
