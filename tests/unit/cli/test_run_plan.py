"""Flags over the file over defaults, and what contradicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmtrio.cli.arguments import parse_arguments
from mmtrio.cli.run_plan import RunPlan, plan_run
from mmtrio.live.config import BASE_URLS, Network
from mmtrio.live.errors import ConfigurationError

MARKET = '[market]\ncoin = "HYPE/USDC"\nstart_px = "30"\nn_orders = 200\norder_sz = 2\n'


def plan_of(line: str, config: Path | None = None) -> RunPlan:
    words = ["run", *line.split()]
    return plan_run(parse_arguments(words if config is None else [*words, "--config", str(config)]))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "mm.toml"


def test_by_default_an_exchange_in_this_process_is_traded() -> None:
    plan = plan_of("--seed 7")

    assert (plan.network, plan.base_url, plan.coin) == (Network.LOCAL, None, None)
    assert plan.exchange is not None and plan.exchange.seed == 7 and plan.exchange.port == 0
    assert plan.account.development_account == 0
    assert plan.overrides["lock_folder"] is None


def test_without_a_seed_chance_is_drawn_once_and_can_be_repeated() -> None:
    plan = plan_of("")

    assert plan.exchange is not None and plan.seed is None
    assert plan_of(f"--seed {plan.exchange.seed}").exchange == plan.exchange


@pytest.mark.parametrize("url", ["http://127.0.0.1:3001", "http://localhost:3001", "http://127.9.0.1:3001"])
def test_a_loopback_url_means_local(url: str) -> None:
    plan = plan_of(f"--base-url {url} --account 3")

    assert plan.network is Network.LOCAL and plan.exchange is None
    assert plan.account.development_account == 3
    assert plan.overrides["lock_folder"].name == "locks"


def test_flags_win_over_the_file(config: Path) -> None:
    config.write_text(
        MARKET
        + '[venue]\nbase_url = "http://127.0.0.1:1"\n[account]\ndevelopment_account = 2\ninstance = "b"\n'
        + "[run]\nstartup_timeout_s = 9\nkeep_orders = false\n"
    )
    from_file = plan_of("", config)
    from_flags = plan_of(
        "--base-url http://127.0.0.1:2 --account 5 --startup-timeout 3s --keep-orders", config
    )

    assert (from_file.base_url, from_file.account.development_account) == ("http://127.0.0.1:1", 2)
    assert (from_flags.base_url, from_flags.account.development_account) == ("http://127.0.0.1:2", 5)
    assert from_file.startup_timeout_s == 9 and from_flags.startup_timeout_s == 3
    built = from_flags.maker_config("http://127.0.0.1:2", from_flags.settings.market_configs())
    assert built.keep_orders and built.startup_timeout_s == 3 and built.account.instance == "b"


def test_testnet_takes_a_key_file_and_no_development_account(config: Path) -> None:
    config.write_text(MARKET + '[account]\nkey_file = "agent.key"\n[venue]\nnetwork = "testnet"\n')

    plan = plan_of("", config)

    assert (plan.network, plan.base_url) == (Network.TESTNET, BASE_URLS[Network.TESTNET])
    assert plan.account.key_file == config.parent / "agent.key"
    assert plan.account.development_account is None


def test_local_over_a_file_for_testnet_is_local(config: Path) -> None:
    config.write_text(
        MARKET + '[venue]\nnetwork = "testnet"\nbase_url = "https://api.hyperliquid-testnet.xyz"\n'
    )

    plan = plan_of("--network local", config)

    assert (plan.network, plan.base_url) == (Network.LOCAL, None)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--network mainnet", "mainnet is not open yet."),
        ("--base-url https://api.hyperliquid.xyz", "mainnet is not open yet."),
        ("--base-url https://example.org", "is not on this machine: say --network testnet"),
        ("--base-url http://example.org", "plain http to another machine"),
        ("--base-url 127.0.0.1:3001", "must look like"),
        ("--network testnet --base-url http://127.0.0.1:3001", "leave --network testnet out."),
        ("--network testnet", "give --config FILE with a [market] table"),
        ("--network testnet --account 3", "--account chooses a development account of the local exchange"),
        ("--market-speed 3", "name one with --market-data DIR."),
        ("--market-data . --base-url http://127.0.0.1:3001", "or give --market-data to `trio-mm exchange`."),
        ("--market-data /nonexistent", "--market-data: /nonexistent is no folder"),
        ("--config /nonexistent/mm.toml", "there is no configuration file /nonexistent/mm.toml."),
    ],
)
def test_what_contradicts_is_refused_with_the_cure(line: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan_of(line)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_coin_beside_a_configured_market_is_refused(config: Path) -> None:
    config.write_text(MARKET)

    with pytest.raises(ConfigurationError, match="this configuration has its own"):
        plan_of("--coin PURR/USDC", config)
