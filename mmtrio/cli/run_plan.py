"""What a run will be: flags over the configuration file over defaults, with everything that contradicts refused."""

from __future__ import annotations

import argparse
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs

from mmtrio.cli.config import Settings, load_settings
from mmtrio.cli.embedded import ExchangePlan, RecordedData, pair_name
from mmtrio.client.connect import VenueAddress, VenueAddressError
from mmtrio.live.clocks import open_randomness
from mmtrio.live.config import BASE_URLS, AccountConfig, MakerConfig, MarketConfig, Network
from mmtrio.live.errors import ConfigurationError
from mmtrio.live.startup import MAINNET_REFUSED


@attrs.frozen
class RunPlan:
    """One run, as far as it is known before anything is contacted."""

    settings: Settings
    network: Network
    base_url: str | None
    """None: the exchange inside this process."""
    exchange: ExchangePlan | None
    """How to set that exchange up."""
    account: AccountConfig
    coin: str | None
    """The market to trade where the configuration names none."""
    seed: int | None
    for_s: float | None
    overrides: dict[str, Any]
    """Keys of MakerConfig that flags have set."""

    @property
    def first_price(self) -> Fraction | None:
        """Of a recorded market that the configuration does not describe, what it costs at first."""
        if self.exchange is None or self.exchange.recorded is None or self.settings.markets:
            return None
        return Fraction(self.exchange.recorded.coins[0].first_px)

    @property
    def startup_timeout_s(self) -> float:
        return float(self.overrides.get("startup_timeout_s", self.settings.run.startup_timeout_s))

    def maker_config(self, base_url: str, markets: tuple[MarketConfig, ...]) -> MakerConfig:
        return self.settings.maker_config(self.network, base_url, markets, self.account, **self.overrides)


def plan_run(arguments: argparse.Namespace) -> RunPlan:
    """Complete the command line with the configuration file and the defaults.

    Raises:
        ConfigurationError: something in them cannot work; the text names the cure.
    """
    settings = load_settings(arguments.config) if arguments.config is not None else Settings()
    network, base_url = _venue(arguments, settings)
    _check_flags(arguments, settings, network, base_url)
    exchange = None
    coin = arguments.coin
    if base_url is None:
        recorded = _recorded(arguments, settings)
        if recorded is not None and not settings.markets:
            coin = pair_name(recorded.coins[0])
        seed = arguments.seed if arguments.seed is not None else open_randomness(None).getrandbits(32)
        exchange = ExchangePlan(seed=seed, n_accounts=20, recorded=recorded)
    return RunPlan(
        settings=settings,
        network=network,
        base_url=base_url,
        exchange=exchange,
        account=_account(arguments, settings, network),
        coin=coin,
        seed=arguments.seed,
        for_s=arguments.for_s,
        overrides=_overrides(arguments, is_embedded=base_url is None),
    )


def _venue(arguments: argparse.Namespace, settings: Settings) -> tuple[Network, str | None]:
    """Network and base URL; no URL means the exchange inside this process."""
    stated = Network(arguments.network) if arguments.network is not None else settings.venue.network
    base_url = arguments.base_url if arguments.base_url is not None else settings.venue.base_url
    if arguments.network is not None and arguments.base_url is None:
        # `--network local` over a file written for testnet means local, not the file's URL.
        base_url = settings.venue.base_url if settings.venue.network in (None, stated) else None
    if stated is Network.MAINNET:
        raise ConfigurationError(MAINNET_REFUSED)
    if base_url is None:
        network = stated or Network.LOCAL
        return network, BASE_URLS.get(network)
    try:
        venue = VenueAddress.from_url(base_url)
    except VenueAddressError as error:
        raise ConfigurationError(f"{error}.".replace("..", ".")) from None
    if venue.host == VenueAddress.from_url(BASE_URLS[Network.MAINNET]).host:
        raise ConfigurationError(MAINNET_REFUSED)
    if venue.is_loopback and stated in (None, Network.LOCAL):
        return Network.LOCAL, venue.url
    if venue.is_loopback:
        raise ConfigurationError(
            f"{venue.url} is on this machine, and a venue on this machine is always `local`, traded with a development "
            f"account: leave --network {stated.value if stated else ''} out."
        )
    if stated is not Network.TESTNET:
        raise ConfigurationError(
            f"{venue.url} is not on this machine: say --network testnet if it is Hyperliquid's test network, or use "
            f"the URL that `trio-mm exchange` prints."
        )
    return stated, venue.url


def _check_flags(
    arguments: argparse.Namespace, settings: Settings, network: Network, base_url: str | None
) -> None:
    """Flags that say nothing here are refused: who typed them expects something."""
    if arguments.market_data is not None and base_url is not None:
        raise ConfigurationError(
            f"--market-data drives the exchange inside this process, but the venue is {base_url}. Leave the base URL "
            f"out, or give --market-data to `trio-mm exchange`."
        )
    if arguments.market_speed is not None and arguments.market_data is None:
        raise ConfigurationError("--market-speed plays a recording faster: name one with --market-data DIR.")
    if network is not Network.LOCAL and arguments.account is not None:
        raise ConfigurationError(
            f"--account chooses a development account of the local exchange; on {network.value} the key decides: name "
            f'its file under [account], key_file = "agent.key".'
        )
    if arguments.coin is not None and settings.markets:
        raise ConfigurationError(
            "--coin names a market for a run without [market]; this configuration has its own."
        )
    if network is not Network.LOCAL and not settings.markets:
        raise ConfigurationError(
            f"on {network.value} nothing is traded that you have not described: give --config FILE with a [market] "
            f"table. `trio-mm run --help` shows one."
        )


def _account(arguments: argparse.Namespace, settings: Settings, network: Network) -> AccountConfig:
    given = settings.account
    number = arguments.account if arguments.account is not None else given.development_account
    return AccountConfig(
        development_account=number if network is Network.LOCAL else None,
        key_file=given.key_file,
        key_descriptor=given.key_descriptor,
        address=given.address,
        allow_master_key=given.allow_master_key,
        instance=given.instance,
    )


def _recorded(arguments: argparse.Namespace, settings: Settings) -> RecordedData | None:
    """The recording, cut down to what is traded."""
    if arguments.market_data is None:
        return None
    everything = RecordedData.load(arguments.market_data, arguments.market_speed)
    if settings.markets:
        wanted = [market.coin for market in settings.markets]
    elif arguments.coin is not None:
        wanted = [arguments.coin if "/" in arguments.coin else f"{arguments.coin}/USDC"]
    else:
        wanted = [pair_name(everything.widest)]
    recorded = everything.only(wanted)
    if not recorded.coins:
        there_are = ", ".join(pair_name(each) for each in everything.coins)
        raise ConfigurationError(
            f"--market-data {arguments.market_data} holds no recording of {', '.join(wanted)}; it holds {there_are}: "
            f"trade one of these, or leave --market-data out."
        )
    return recorded


def _overrides(arguments: argparse.Namespace, *, is_embedded: bool) -> dict[str, Any]:
    overrides: dict[str, Any] = {}
    if arguments.startup_timeout_s is not None:
        overrides["startup_timeout_s"] = arguments.startup_timeout_s
    if arguments.keep_orders is not None:
        overrides["keep_orders"] = arguments.keep_orders
    # Nobody else can reach an exchange inside this process, so there is nothing to lock.
    overrides["lock_folder"] = None if is_embedded else arguments.lock_folder or _default_lock_folder()
    return overrides


def _default_lock_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state") / "trio-mm" / "locks"
