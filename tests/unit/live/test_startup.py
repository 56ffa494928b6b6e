"""From a configuration to a desk: what is refused, and with which cure in the sentence."""

from __future__ import annotations

from decimal import Decimal

import attrs
import pytest
import trio

from mmtrio.client.connect import VenueAddress
from mmtrio.client.errors import OutcomeUnknown, RequestNotSent, RequestRefused
from mmtrio.client.keys import development_account
from mmtrio.core.strategies.hip2 import Hip2Params
from mmtrio.core.types import Address
from mmtrio.live.app import open_market_maker
from mmtrio.live.config import AccountConfig, Network
from mmtrio.live.errors import ConfigurationError, VenueUnreachable
from mmtrio.live.instance_lock import instance_lock
from mmtrio.live.startup import (
    Trader,
    build_desk,
    check_agent,
    quoter_of,
    reach,
    resolve_markets,
    trader_of,
    venue_of,
)
from tests.support.builders import instant
from tests.support.wire_samples import catalog
from tests.support.worlds import maker_config

KEY = development_account(0).key
MASTER = Address("0x" + "aa" * 20)
SOON_S = 1e9
VENUE = VenueAddress("https", "api.example.org", 443)


@attrs.define
class FakeRest:
    """Answers every read with the next of `answers`; the last one stays."""

    answers: list[object]
    venue: VenueAddress = VENUE

    async def info(self, request):
        await trio.lowlevel.checkpoint()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


# Where


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": Network.MAINNET}, "mainnet is not open yet"),
        ({"base_url": "https://api.hyperliquid.xyz"}, "means an exchange on this machine"),
        ({"base_url": "ftp://127.0.0.1"}, "must look like"),
        ({"base_url": "http://127.0.0.1:3001/info"}, "must end after host and port"),
    ],
)
def test_a_venue_that_cannot_be_meant_is_refused_with_the_cure(changes, words):
    with pytest.raises(ConfigurationError, match=words):
        venue_of(maker_config(**changes))


# Who


def test_on_local_the_development_account_of_that_number_trades():
    assert trader_of(AccountConfig(development_account=3), Network.LOCAL).account == development_account(3).key.address


@pytest.mark.parametrize(
    ("account", "network", "words"),
    [
        (AccountConfig(key_descriptor=3), Network.LOCAL, "remove key_file"),
        (AccountConfig(development_account=10_000), Network.LOCAL, "development account"),
        (AccountConfig(), Network.TESTNET, "needs a key: put an agent's key"),
    ],
)
def test_a_key_that_must_not_or_cannot_sign_is_refused_with_the_cure(account, network, words):
    with pytest.raises(ConfigurationError, match=words):
        trader_of(account, network)


async def role(reply: object, account: AccountConfig, address: Address = KEY.address) -> Address:
    return await check_agent(FakeRest([reply]), Trader(address, KEY), account, SOON_S)


async def test_an_agent_trades_for_its_master(autojump_clock):
    reply = {"role": "agent", "data": {"user": MASTER.upper().replace("0X", "0x")}}
    assert await role(reply, AccountConfig()) == MASTER
    assert await role(reply, AccountConfig(address=MASTER)) == MASTER


@pytest.mark.parametrize(
    ("reply", "account", "words"),
    [
        ({"role": "agent", "data": {"user": MASTER}}, AccountConfig(address="0x" + "bb" * 20), "belongs to 0xaaaa"),
        ({"role": "missing"}, AccountConfig(), "knows neither an account nor an agent"),
        ({"role": "user"}, AccountConfig(), "allow_master_key = true"),
        ({"role": "subAccount", "data": {}}, AccountConfig(), "allow_master_key = true"),
    ],
)
async def test_a_key_that_is_no_agent_of_the_account_is_refused_with_the_cure(autojump_clock, reply, account, words):
    with pytest.raises(ConfigurationError, match=words):
        await role(reply, account)


async def test_a_master_key_that_is_allowed_trades_its_own_account_and_no_other(autojump_clock):
    allowed = AccountConfig(allow_master_key=True)
    assert await role({"role": "user"}, allowed) == KEY.address
    with pytest.raises(ConfigurationError, match="orders would count for the first"):
        await role({"role": "user"}, attrs.evolve(allowed, address=MASTER), address=MASTER)


@pytest.mark.parametrize(
    "reply",
    [
        None,
        [],
        {"role": 7},
        {"role": "agent"},
        {"role": "agent", "data": None},
        {"role": "agent", "data": {"user": "somebody"}},
    ],
)
async def test_a_venue_that_does_not_say_who_we_are_ends_the_start(autojump_clock, reply):
    with pytest.raises(VenueUnreachable, match="does not say"):
        await role(reply, AccountConfig(allow_master_key=True))


# Reaching the venue


@pytest.mark.parametrize(
    "failure", [RequestNotSent("refused"), OutcomeUnknown("no answer"), RequestRefused(429, "slow down")]
)
async def test_what_may_pass_is_tried_again_every_second_until_the_deadline(autojump_clock, failure):
    assert await reach(FakeRest([failure, failure, {"ok": 1}]), {"type": "meta"}, 10.0) == {"ok": 1}
    assert trio.current_time() == 2.0
    with pytest.raises(VenueUnreachable, match=r"cannot be reached.*Is it running"):
        await reach(FakeRest([failure]), {"type": "meta"}, 10.0)
    assert trio.current_time() == 9.0


async def test_what_is_no_hyperliquid_is_told_at_once(autojump_clock):
    with pytest.raises(VenueUnreachable, match=r"refused meta.*Is the base URL"):
        await reach(FakeRest([RequestRefused(404, "not found")]), {"type": "meta"}, 10.0)
    assert trio.current_time() == 0.0


# Markets and strategies


def market_config(coin: str = "HYPE/USDC", **changes: object):
    (market,) = maker_config().markets
    return attrs.evolve(market, coin=coin, **changes)


@pytest.mark.parametrize(
    ("coins", "words"),
    [
        (["HIPE/USDC"], "HYPE"),
        (["BTC"], "is a perpetual"),
        (["HYPE/USDC", "@107"], "configured twice"),
    ],
)
def test_markets_that_cannot_be_quoted_are_refused_with_the_cure(coins, words):
    config = maker_config(markets=tuple(market_config(coin) for coin in coins))
    with pytest.raises(ConfigurationError, match=words):
        resolve_markets(config, catalog())


def test_a_grid_that_cannot_be_is_refused_with_the_name_of_its_market():
    (market,) = resolve_markets(maker_config(), catalog())
    impossible = Hip2Params(start_px=Decimal("0"), n_orders=20, order_sz=Decimal(1))
    with pytest.raises(ConfigurationError, match="HYPE/USDC"):
        quoter_of(market_config(hip2=impossible), market)
    with pytest.raises(ConfigurationError, match="no strategy 'magic'"):
        quoter_of(market_config(strategy="magic"), market)


def test_the_desk_knows_every_market_of_the_venue_so_that_trades_by_hand_are_no_drift():
    config = maker_config()
    markets = resolve_markets(config, catalog())
    quoters = [quoter_of(wanted, market) for wanted, market in zip(config.markets, markets, strict=True)]
    desk = build_desk(config, KEY.address, markets, quoters, instant(), known_markets=catalog().markets)
    assert all(desk.inventory.market_of(market.coin) is not None for market in catalog().markets)


# One instance


def test_a_second_instance_on_one_account_is_refused_and_the_first_ones_end_frees_it(tmp_path):
    names = dict(network="testnet", venue="api.example.org", account=MASTER, instance="main")
    with instance_lock(tmp_path, **names):
        with pytest.raises(ConfigurationError, match=r"already running.*process id is \d+"):
            with instance_lock(tmp_path, **names):
                pass
        with instance_lock(tmp_path, **(names | {"instance": "other"})):
            pass
        with instance_lock(tmp_path, **(names | {"account": KEY.address})):
            pass
    with instance_lock(tmp_path, **names):
        pass


def test_a_lock_that_cannot_be_made_is_told_with_the_cure(tmp_path):
    (tmp_path / "file").write_text("")
    names = dict(network="local", venue="v", account=MASTER, instance="main")
    with pytest.raises(ConfigurationError, match="--lock-folder"):
        with instance_lock(tmp_path / "file", **names):
            pass


async def test_two_agents_of_one_account_are_one_instance(autojump_clock, tmp_path, monkeypatch):
    """The lock is on the account that is traded, whoever's key signs."""

    async def agent_of_master(*_arguments):
        return MASTER

    key_file = tmp_path / "key"
    key_file.write_text("11" * 32)
    key_file.chmod(0o600)
    monkeypatch.setattr("mmtrio.live.app.check_agent", agent_of_master)
    config = maker_config(
        network=Network.TESTNET,
        base_url="https://api.example.org",
        account=AccountConfig(key_file=key_file),
        lock_folder=tmp_path,
    )

    async def no_network(_kind):
        raise ConnectionRefusedError("refused")

    with instance_lock(tmp_path, network="testnet", venue="api.example.org", account=MASTER, instance="main"):
        with pytest.raises(ConfigurationError, match="already running"):
            async with open_market_maker(config, connect=no_network):
                pass
