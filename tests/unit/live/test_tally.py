"""Sums over fills, against the arithmetic of a school book."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrio.core.types import Side
from mmtrio.live.tally import FillTally
from tests.support.builders import HYPE, USDC, fill, market

FILLS = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.integers(1, 99_999).map(lambda price: price * 1_000),
        st.integers(1, 10_000),
        st.integers(-1_000, 1_000_000),
    ),
    max_size=30,
)


@settings(max_examples=100)
@given(FILLS, st.decimals(1, 100, places=3))
def test_what_trading_came_to_is_what_the_fills_add_up_to(rows, mid):
    tally, base, quote, fees, volume = FillTally(market()), Decimal(0), Decimal(0), Decimal(0), Decimal(0)
    for number, (side, price_ticks, size_lots, fee_units) in enumerate(rows):
        token = HYPE if side is Side.BUY else USDC
        paid = dict(fee_token=token.index, fee_units=fee_units)
        tally.add(fill(side, price_ticks=price_ticks, size_lots=size_lots, tid=number, **paid))
        price, size, fee = Decimal(price_ticks) / 10**6, Decimal(size_lots) / 100, Decimal(fee_units) / 10**8
        base += size * side.sign - (fee if side is Side.BUY else 0)
        quote -= price * size * side.sign + (fee if side is Side.SELL else 0)
        fees += fee * (mid if side is Side.BUY else 1)
        volume += price * size
    assert tally.fills == len(rows)
    assert tally.buys == sum(row[0] is Side.BUY for row in rows)
    assert Decimal(tally.volume_e8) / 10**8 == volume
    assert Decimal(tally.base_units) / 10**8 == base
    assert Decimal(tally.quote_units) / 10**8 == quote
    assert tally.pnl_at(mid) == quote + base * mid
    assert tally.fees_at(mid) == fees


def test_without_a_mid_only_what_is_in_quote_counts():
    tally = FillTally(market())
    tally.add(fill(Side.BUY, price_ticks=35_000_000, size_lots=100, fee_token=HYPE.index, fee_units=100))
    assert tally.pnl_at(None) == -35
    assert tally.fees_at(None) == 0
    assert tally.last_price_ticks == 35_000_000


def test_a_fee_in_a_third_token_is_in_neither():
    tally = FillTally(market())
    tally.add(fill(Side.SELL, price_ticks=35_000_000, size_lots=100, fee_token=999, fee_units=100))
    assert tally.pnl_at(Decimal(35)) == 0
    assert tally.fees_at(Decimal(35)) == 0
