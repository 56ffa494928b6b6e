"""From a configuration to a wired desk: who trades, which markets exist, what each strategy will quote.

Everything a user can get wrong is refused here, before the first order, with the cure in the sentence.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import attrs
import trio

from mmtrio.client.connect import VenueAddress, VenueAddressError
from mmtrio.client.errors import RequestFailed, RequestRefused, excerpt
from mmtrio.client.keys import KeyRefused, SecretKey, development_account, load_key
from mmtrio.client.rest import RestClient
from mmtrio.core.account_desk import AccountDesk
from mmtrio.core.batch_emitter import BatchEmitter
from mmtrio.core.inventory import AllocationCaps, Inventory
from mmtrio.core.liveness import Liveness
from mmtrio.core.market import Market, MarketKind, ten_to
from mmtrio.core.order_state import OrderState
from mmtrio.core.quoter import Quoter
from mmtrio.core.rate_limit import AddressBudget, IpWeight
from mmtrio.core.readings import Readings
from mmtrio.core.strategies.hip2 import Hip2
from mmtrio.core.types import Address, Amount, CloidSource, Coin, Instant, Token, instance_tag
from mmtrio.live.config import AccountConfig, MakerConfig, MarketConfig, Network
from mmtrio.live.errors import ConfigurationError, VenueUnreachable
from mmtrio.wire.markets import AmbiguousCoin, MarketCatalog, MetadataError, UnknownCoin, build_catalog

log = logging.getLogger("mmtrio.live.startup")

RETRY_S = 1.0

MAINNET_REFUSED = (
    "mainnet is not open yet. Before real money is at stake, every request whose outcome is unknown must be resolved, "
    "a journal must survive the death of the process, and loss limits must stand in front of each send: these come "
    "first. Until then trade on the local exchange (trio-mm run, no account needed) or with --network testnet."
)


@attrs.frozen
class Trader:
    """Whose orders they are: the account they count for, and the key that signs them."""

    account: Address
    key: SecretKey


def venue_of(config: MakerConfig) -> VenueAddress:
    """Where the venue is. Raises ConfigurationError where the URL and the network cannot both be meant."""
    if config.network is Network.MAINNET:
        raise ConfigurationError(MAINNET_REFUSED)
    try:
        venue = VenueAddress.from_url(config.base_url)
    except VenueAddressError as error:
        raise ConfigurationError(str(error)) from None
    if config.network is Network.LOCAL and not venue.is_loopback:
        raise ConfigurationError(
            f"network local means an exchange on this machine, but {venue.url} is not: use http://127.0.0.1:PORT, "
            f"or --network testnet for Hyperliquid's test network."
        )
    return venue


def trader_of(account: AccountConfig, network: Network) -> Trader:
    """Load the key. On `local` only development accounts sign, so that no real key is ever shown to a toy."""
    if network is Network.LOCAL:
        if account.key_file is not None or account.key_descriptor is not None:
            raise ConfigurationError(
                "on network local only the public development accounts sign: remove key_file, and choose one of them "
                "with --account N. A real key has no business on a local exchange."
            )
        try:
            key = development_account(account.development_account or 0).key
        except KeyRefused as error:
            raise ConfigurationError(str(error)) from None
        return Trader(key.address, key)
    source = account.key_file if account.key_file is not None else account.key_descriptor
    if source is None:
        raise ConfigurationError(
            f"network {network.value} needs a key: put an agent's key (64 hex digits) into a file with mode 0600 and "
            f"name it as key_file under [account]. Never pass a key as an argument: other processes can read it there."
        )
    try:
        key = load_key(source)
    except KeyRefused as error:
        raise ConfigurationError(str(error)) from None
    return Trader(Address((account.address or key.address).lower()), key)


async def reach(rest: RestClient, request: dict[str, Any], deadline_s: float) -> Any:
    """One read at start-up, repeated while the venue cannot be reached or is too busy, until `deadline_s`.

    Raises:
        VenueUnreachable: with the cause of the last try.
    """
    told = False
    while True:
        try:
            return await rest.info(request)
        except RequestFailed as error:
            if isinstance(error, RequestRefused) and not error.is_too_many_requests:
                raise VenueUnreachable(
                    f"{rest.venue.url} refused {request['type']}: {error}. Is the base URL that of a Hyperliquid API?"
                ) from None
            if trio.current_time() + RETRY_S >= deadline_s:
                raise VenueUnreachable(
                    f"the venue at {rest.venue.url} cannot be reached: {error}. Is it running, and is the base URL "
                    f"right? `trio-mm exchange` starts a local one; `trio-mm run` without --base-url brings its own."
                ) from None
            if not told:
                left_s = deadline_s - trio.current_time()
                log.warning("%s cannot be reached (%s); trying for %.0f s more", rest.venue.url, error, left_s)
                told = True
        await trio.sleep(RETRY_S)


async def read_catalog(rest: RestClient, deadline_s: float) -> MarketCatalog:
    """The venue's markets. Raises VenueUnreachable."""
    spot_meta = await reach(rest, {"type": "spotMeta"}, deadline_s)
    meta = await reach(rest, {"type": "meta"}, deadline_s)
    perp_dexs = await reach(rest, {"type": "perpDexs"}, deadline_s)
    try:
        catalog = build_catalog(spot_meta, {"": meta}, perp_dexs)
    except MetadataError as error:
        raise VenueUnreachable(f"{rest.venue.url} sent metadata that makes no sense: {error}") from None
    for entry in catalog.quarantined:
        log.debug("metadata: left out %s", entry)
    return catalog


async def check_agent(rest: RestClient, trader: Trader, account: AccountConfig, deadline_s: float) -> Address:
    """Off `local`: is the key an agent's, and whose? Returns the account to trade.

    Raises:
        ConfigurationError: a master key without allow_master_key, or an agent of somebody else.
        VenueUnreachable: the venue did not say.
    """
    reply = await reach(rest, {"type": "userRole", "user": trader.key.address}, deadline_s)
    role = reply.get("role") if isinstance(reply, dict) else None
    if not isinstance(role, str):
        raise VenueUnreachable(f"{rest.venue.url} does not say what {trader.key.address} is: {excerpt(repr(reply))}")
    if role == "agent":
        data = reply.get("data")
        master = Address(str(data.get("user", "") if isinstance(data, dict) else "").lower())
        if re.fullmatch(r"0x[0-9a-f]{40}", master) is None:
            raise VenueUnreachable(f"{rest.venue.url} does not say whose agent {trader.key.address} is")
        if account.address is not None and account.address.lower() != master:
            raise ConfigurationError(
                f"the key's agent belongs to {master}, but [account] address says {account.address.lower()}. Remove "
                f"`address`, or use an agent that this account has approved."
            )
        return master
    if role == "missing":
        raise ConfigurationError(
            f"the venue knows neither an account nor an agent {trader.key.address}: approve it as an API wallet on the "
            f"venue's API page, or check that the key file holds the key you mean."
        )
    if not account.allow_master_key:
        raise ConfigurationError(
            f"the key is that of the account {trader.key.address} itself, which can withdraw everything. Approve an "
            f"API wallet on the venue's API page and use its key, or set allow_master_key = true under [account]."
        )
    if trader.account != trader.key.address:
        raise ConfigurationError(
            f"the key is that of {trader.key.address}, but [account] address says {trader.account}: orders would count "
            f"for the first and be looked for in the second. Remove `address`, or use an agent of that account."
        )
    return trader.account


def resolve_markets(config: MakerConfig, catalog: MarketCatalog) -> tuple[Market, ...]:
    """The market each `[market]` table means. Raises ConfigurationError, naming near names."""
    markets: list[Market] = []
    for wanted in config.markets:
        try:
            market = catalog.resolve(wanted.coin)
        except (UnknownCoin, AmbiguousCoin) as error:
            raise ConfigurationError(str(error)) from None
        if market.kind is MarketKind.PERP:
            raise ConfigurationError(
                f"{wanted.coin} is a perpetual; trio-mm quotes spot markets only so far. Spot pairs have two tokens in "
                f"their name, such as HYPE/USDC."
            )
        if any(market.coin == other.coin for other in markets):
            raise ConfigurationError(f"{wanted.coin} is configured twice: give each market one [[market]] table.")
        markets.append(market)
    return tuple(markets)


def quoter_of(wanted: MarketConfig, market: Market) -> Quoter:
    """The market's strategy with its parameters. Raises ConfigurationError for a grid that cannot be."""
    if wanted.strategy != "hip2":
        raise ConfigurationError(f"there is no strategy {wanted.strategy!r}; the one there is is \"hip2\".")
    try:
        strategy = Hip2(market, wanted.hip2)
    except ValueError as error:
        raise ConfigurationError(f"the grid of {market.name} cannot be: {error}") from None
    return Quoter(market, strategy, wanted.differ, wanted.require_market_data)


def caps_of(wanted: MarketConfig, market: Market) -> AllocationCaps:
    """What the market may use of the account, as amounts."""
    assert market.base is not None, market
    return AllocationCaps(
        base=_amount(market.base, wanted.allocated_token), quote=_amount(market.quote, wanted.allocated_usdc)
    )


def _amount(token: Token, value: Decimal | None) -> Amount | None:
    return None if value is None else Amount(token, int(value * ten_to(token.wei_decimals)))


def build_desk(
    config: MakerConfig,
    account: Address,
    markets: Sequence[Market],
    quoters: Sequence[Quoter],
    at: Instant,
    *,
    known_markets: Sequence[Market] = (),
) -> AccountDesk:
    """Wire the parts of the desk together, top to bottom.

    `known_markets` are all of the venue's: what the account's owner does there by hand moves the same balances.
    """
    instance = instance_tag(config.network.value, account, config.account.instance)
    cloids = CloidSource(instance, run_ms=at.wall_ms)
    caps: dict[Coin, AllocationCaps] = {
        market.coin: caps_of(wanted, market) for wanted, market in zip(config.markets, markets, strict=True)
    }
    return AccountDesk(
        quoters=tuple(quoters),
        orders=OrderState(cloids, markets, rest_lag_s=config.rest_lag_s),
        inventory=Inventory(markets, caps, other_markets=known_markets, rest_lag_s=config.rest_lag_s),
        emitter=BatchEmitter(config.emitter, cloids),
        address=AddressBudget(config.budget),
        ip=IpWeight(config.budget),
        liveness=Liveness(config.liveness),
        readings=Readings(config.rest_lag_s),
        reconcile_every=config.reconcile_every,
        stall_max_s=config.liveness.silence_max_s,
    )
