from __future__ import annotations

from decimal import Decimal

import pytest
from coincurve import PrivateKey

from mmtrio.exchange.development_accounts import DEVELOPMENT_ACCOUNTS
from mmtrio.exchange.world import FEE_ACCOUNT, OUTSIDE_ACCOUNT, default_world, house_address
from mmtrio.wire.signing import address_of


def test_every_development_key_opens_its_account():
    assert len(DEVELOPMENT_ACCOUNTS) == 20
    for account in DEVELOPMENT_ACCOUNTS:
        key = PrivateKey(bytes.fromhex(account.private_key[2:]))
        assert address_of(key.public_key.format(compressed=False)) == account.address


def test_traders_are_the_development_accounts_in_order_and_richly_funded():
    world = default_world(4)
    assert [a.address for a in world.traders] == [a.address for a in DEVELOPMENT_ACCOUNTS[:4]]
    assert all(a.balances[0] == 1_000_000 * 10**8 for a in world.traders)
    assert {token.index for token in world.tokens} == set(world.traders[0].balances)


def test_more_accounts_than_exist_are_refused():
    with pytest.raises(ValueError, match="20 development accounts"):
        default_world(21)


def test_markets_are_found_by_wire_name_and_by_name_for_people():
    world = default_world()
    assert world.market("HYPE/USDC") is world.market("@107")
    assert world.market("PURR/USDC").coin == "PURR/USDC"
    with pytest.raises(ValueError, match=r"no market 'hype/USDC'; it has PURR/USDC"):
        world.market("hype/USDC")


def test_a_recorded_coin_becomes_a_spot_market_everybody_can_trade():
    world = default_world(2).with_spot_market("WLFI", size_decimals=0, reference_px="0.18712")
    market = world.market("WLFI/USDC")
    assert (market.coin, market.asset, market.price_decimals) == ("@143", 10143, 8)
    assert market.reference_ticks == 18_712_000
    for account in (*world.traders, *world.house):
        worth = account.balances[market.base.index] * Decimal("0.18712") / 10**8
        assert worth >= 999_999
    assert world.market("HYPE/USDC").coin == "@107"


def test_a_recorded_coin_takes_the_place_of_a_market_of_that_name():
    world = default_world(1).with_spot_market("HYPE", size_decimals=1, reference_px="45.2", funding_usd=452)
    market = world.market("HYPE/USDC")
    assert (market.coin, market.size_decimals, market.reference_ticks) == ("@107", 1, 452_000_000)
    assert world.traders[0].balances[150] == 10 * 10**8
    assert len([m for m in world.markets if m.name == "HYPE/USDC"]) == 1


def test_the_outside_and_the_fee_account_are_no_participants():
    world = default_world()
    assert {OUTSIDE_ACCOUNT, FEE_ACCOUNT}.isdisjoint(account.address for account in world.house)
    assert world.house[0].address == house_address("participant 0")


def test_two_markets_of_one_coin_are_refused():
    world = default_world()
    with pytest.raises(ValueError, match="coin @107 appears twice"):
        type(world)(world.tokens, (*world.markets, world.market("@107")), world.perps, world.accounts)
