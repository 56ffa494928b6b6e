"""Recordings: read, described, and played into a market by the fill rules."""

from __future__ import annotations

import gzip
import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mmtrio.exchange.engine import Block, Engine
from mmtrio.exchange.flow import order_action
from mmtrio.exchange.recorded import RecordedMarket, with_recorded_market
from mmtrio.exchange.recording_files import (
    Recording,
    RecordingError,
    TradeFrame,
    describe,
    frames,
    pick_widest_spread,
)
from mmtrio.exchange.world import default_world

FIRST_MS = 1_757_000_000_000
START_MS = 1_790_000_000_000
BLOCK_MS = 70
REAL = Path(__file__).parents[4] / "shared" / "realdata" / "lob-2025-09-04"
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason="the recorded order books are not on this machine"
)


def book(at_ms: int, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> dict[str, Any]:
    return {"recv": FIRST_MS + at_ms + 400.5, "time": FIRST_MS + at_ms, "coin": "X", "levels": [bids, asks]}


def touch(at_ms: int, bid: tuple[str, str] | None, ask: tuple[str, str] | None) -> dict[str, Any]:
    return {"time": FIRST_MS + at_ms, "coin": "X", "bid": bid, "ask": ask}


def trade(at_ms: int, side: str, px: str, sz: str) -> dict[str, Any]:
    return {"time": FIRST_MS + at_ms, "coin": "X", "side": side, "px": px, "sz": sz, "tid": at_ms}


BOOK = book(0, [("9.99", "100.0"), ("9.98", "50.5")], [("10.01", "100.0"), ("10.02", "70.0")])
TOUCH = touch(0, ("9.99", "100.0"), ("10.01", "100.0"))


def record(
    folder: Path,
    *,
    books: list[dict] | None = None,
    touches: list[dict] | None = None,
    trades: list[dict] | None = None,
    coin: str = "X",
) -> Path:
    folder.mkdir(exist_ok=True)
    kinds = {"l2": books or [BOOK], "bbo": touches or [TOUCH], "trades": trades or []}
    for kind, rows in kinds.items():
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        (folder / f"{kind}_{coin}.jsonl.gz").write_bytes(gzip.compress(lines))
    return folder


class Stage:
    """A recording played into an engine, block by block, beside the orders of one trader."""

    def __init__(self, folder: Path, *, speed: float = 1.0) -> None:
        recorded = describe(folder).coin("X")
        world = with_recorded_market(default_world(), recorded)
        self.engine = Engine(world, start_ms=START_MS)
        self.player = RecordedMarket(folder, recorded, world, speed=speed)
        self.market = world.market("X/USDC")
        self.me = world.traders[0].address
        self.n_blocks = 0

    def place(self, is_buy: bool, price: str, size: str) -> None:
        ticks = int(Decimal(price).scaleb(self.market.price_decimals))
        lots = int(Decimal(size).scaleb(self.market.size_decimals))
        action = order_action([(self.market, is_buy, ticks, lots, "Alo", None)])
        self.engine.submit_direct(self.me, action, self.now_ms)

    @property
    def now_ms(self) -> int:
        return START_MS + self.n_blocks * BLOCK_MS

    def block(self) -> Block:
        self.player.act(self.engine, self.now_ms)
        block = self.engine.run_block(self.now_ms)
        self.n_blocks += 1
        return block

    def blocks(self) -> list[Block]:
        """The next block, and those that the recording needs before it."""
        blocks = []
        while (stop_ms := self.player.stop_ms(self.now_ms)) < self.now_ms:
            self.player.act(self.engine, stop_ms)
            blocks.append(self.engine.run_block(stop_ms))
        return [*blocks, self.block()]

    def fills(self, n_blocks: int = 1) -> list[tuple[str, str]]:
        """(price, size) of the trader's fills in the next blocks."""
        blocks = [self.block() for _ in range(n_blocks)]
        return [(row["px"], row["sz"]) for block in blocks for user, row in block.fills if user == self.me]

    def levels(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        bids, asks = self.engine.book_levels(self.market.coin)
        return [(row["px"], row["sz"]) for row in bids], [(row["px"], row["sz"]) for row in asks]


# Playing


def test_the_newest_book_with_the_newest_touch_over_it_is_the_market(tmp_path: Path) -> None:
    folder = record(
        tmp_path,
        touches=[TOUCH, touch(100, ("9.985", "7.0"), ("10.01", "30.0")), touch(200, None, ("10.0", "1.0"))],
    )
    stage = Stage(folder)
    stage.block()
    assert stage.levels()[0] == [("9.99", "100.0"), ("9.98", "50.5")]
    stage.block(), stage.block()
    bids, asks = stage.levels()
    assert bids == [("9.985", "7.0"), ("9.98", "50.5")]
    assert asks == [("10.01", "30.0"), ("10.02", "70.0")]
    stage.block()
    assert stage.levels() == ([], [("10.0", "1.0"), ("10.01", "30.0"), ("10.02", "70.0")])


def test_a_recorded_trade_fills_us_only_after_the_size_that_was_there_first(tmp_path: Path) -> None:
    folder = record(tmp_path, trades=[trade(150, "A", "9.99", "99.0"), trade(360, "A", "9.99", "4.0")])
    stage = Stage(folder)
    stage.block()
    stage.place(True, "9.99", "10")
    assert stage.fills(3) == [], "99 of the 100 before us"
    assert stage.fills(3) == [("9.99", "3.0")], "one more before us, then ours"


def test_size_that_comes_after_us_stands_behind_us(tmp_path: Path) -> None:
    grown = touch(150, ("9.99", "500.0"), ("10.01", "100.0"))
    folder = record(tmp_path, touches=[TOUCH, grown], trades=[trade(300, "A", "9.99", "104.0")])
    stage = Stage(folder)
    stage.block()
    stage.place(True, "9.99", "10")
    assert stage.fills(6) == [("9.99", "4.0")]


def test_a_better_price_is_filled_first(tmp_path: Path) -> None:
    folder = record(tmp_path, trades=[trade(150, "B", "10.01", "4.0")])
    stage = Stage(folder)
    stage.block()
    stage.place(False, "10", "10")
    assert stage.fills(4) == [("10.0", "4.0")]


def test_a_trade_at_a_price_worse_for_us_does_not_reach_us(tmp_path: Path) -> None:
    folder = record(tmp_path, trades=[trade(150, "A", "9.99", "40.0")])
    stage = Stage(folder)
    stage.block()
    stage.place(True, "9.98", "10")
    assert stage.fills(4) == []


def test_a_market_that_moves_through_our_price_takes_our_order(tmp_path: Path) -> None:
    up = book(150, [("10.05", "3.0")], [("10.06", "5.0")])
    stage = Stage(
        record(tmp_path, books=[BOOK, up], touches=[TOUCH, touch(150, ("10.05", "3.0"), ("10.06", "5.0"))])
    )
    stage.block()
    stage.place(False, "10.03", "10")
    assert stage.fills(4) == [("10.03", "3.0")]


def test_trades_meet_the_book_before_them_and_not_the_one_they_left(tmp_path: Path) -> None:
    """The bid of 100 is gone in the book after the trade: we still were behind it."""
    after = [trade(40, "A", "9.99", "100.0")]
    gone = touch(50, ("9.98", "50.5"), ("10.01", "100.0"))
    stage = Stage(record(tmp_path, touches=[TOUCH, gone], trades=after), speed=1)
    stage.block()
    stage.place(True, "9.99", "10")
    assert stage.fills(3) == []
    assert stage.levels()[0] == [("9.99", "10.0"), ("9.98", "50.5")]


def test_a_trade_meets_the_newest_book_before_it_though_both_come_in_one_block(tmp_path: Path) -> None:
    lower = touch(100, ("9.99", "100.0"), ("10.0", "5.0"))
    stage = Stage(record(tmp_path, touches=[TOUCH, lower], trades=[trade(120, "B", "10.0", "4.0")]), speed=10)
    stage.block()
    (print_,) = stage.block().trades
    assert (print_["px"], print_["sz"], print_["side"]) == ("10.0", "4.0", "B")


def prints(blocks: list[Block]) -> list[tuple[int, str, str]]:
    """(venue milliseconds since the start, price, size) of all trades."""
    return [(b.time_ms - START_MS, row["px"], row["sz"]) for b in blocks for row in b.trades]


def test_where_a_book_follows_a_trade_the_recording_needs_a_block_of_its_own(tmp_path: Path) -> None:
    """At speed 20 one block spans 1.4 s of recording: each trade still meets the book of its moment."""
    touches = [TOUCH] + [
        touch(at_ms, ("9.9", "9.0"), (price, "9.0")) for at_ms, price in ((250, "10.0"), (650, "9.95"))
    ]
    trades = [trade(400, "B", "10.0", "4.0"), trade(450, "B", "10.0", "1.0"), trade(900, "B", "9.95", "5.0")]
    stage = Stage(record(tmp_path, touches=touches, trades=trades), speed=20)
    stage.blocks()
    assert stage.player.stop_ms(stage.now_ms) == START_MS + 23, "the last trade before the book, rounded up"
    blocks = stage.blocks()
    assert prints(blocks) == [(23, "10.0", "4.0"), (23, "10.0", "1.0"), (70, "9.95", "5.0")]
    assert [block.time_ms - START_MS for block in blocks] == [23, 70]
    assert stage.levels()[1][0] == ("9.95", "4.0")


def test_trades_with_no_book_after_them_need_no_block_of_their_own(tmp_path: Path) -> None:
    trades = [trade(at_ms, "B", "10.01", "4.0") for at_ms in (10, 20, 30)]
    stage = Stage(record(tmp_path, trades=trades))
    stage.block()
    assert stage.player.stop_ms(stage.now_ms) == stage.now_ms


def test_a_book_that_a_trade_left_is_the_market_at_the_end_of_its_block(tmp_path: Path) -> None:
    gone = touch(40, ("9.98", "50.5"), ("10.01", "100.0"))
    stage = Stage(record(tmp_path, touches=[TOUCH, gone], trades=[trade(40, "A", "9.99", "100.0")]))
    stage.blocks()
    stage.blocks()
    assert stage.levels()[0] == [("9.98", "50.5")]


@pytest.mark.parametrize("speed", [0.3, 1, 7, 20, 333.3, 5000])
def test_stops_go_forward_and_every_trade_is_played_at_any_speed(tmp_path: Path, speed: float) -> None:
    touches = [touch(at_ms, ("9.99", "100.0"), ("10.01", f"{100 + at_ms}.0")) for at_ms in range(0, 900, 30)]
    trades = [trade(at_ms, "B", "10.01", "2.0") for at_ms in range(15, 900, 45)]
    stage = Stage(record(tmp_path, touches=touches, trades=trades), speed=speed)
    blocks = []
    while not stage.player.has_ended:
        blocks += stage.blocks()
    times = [block.time_ms for block in blocks]
    assert times == sorted(set(times))
    assert stage.player.trades_played == len(trades) == len(prints(blocks))


def test_trades_of_one_moment_count_together_for_the_minimum_value(tmp_path: Path) -> None:
    small = [
        trade(150, "B", "10.01", "0.5"),
        trade(150, "B", "10.01", "0.6"),
        trade(300, "B", "10.01", "0.5"),
    ]
    stage = Stage(record(tmp_path, trades=small))
    stage.block()
    stage.place(False, "10", "10")
    assert stage.fills(6) == [("10.0", "1.1")]
    assert (stage.player.trades_played, stage.player.trades_left_out) == (1, 1)


def test_trades_from_before_the_first_book_are_left_out(tmp_path: Path) -> None:
    stage = Stage(record(tmp_path, trades=[trade(-5000, "A", "9.99", "40.0")]))
    assert stage.block().trades == ()
    assert stage.player.trades_played == 0


def test_speed_is_time(tmp_path: Path) -> None:
    late = touch(1000, ("9.0", "1.0"), ("11.0", "1.0"))
    stage = Stage(record(tmp_path, touches=[TOUCH, late]), speed=10)
    stage.block()
    assert stage.levels()[0][0] == ("9.99", "100.0")
    stage.block()
    assert stage.levels()[0][0] == ("9.99", "100.0")
    assert not stage.player.has_ended
    stage.block()
    assert stage.levels()[0][0] == ("9.0", "1.0")
    assert stage.player.has_ended


def test_after_the_end_the_last_book_stays_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(record(tmp_path))
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            stage.block()
    assert stage.player.has_ended
    assert [r.getMessage() for r in caplog.records if "has ended" in r.getMessage()][0].startswith(
        "the recording of X has ended after 0 s"
    )
    assert len(caplog.records) == 1
    assert stage.levels()[0] == [("9.99", "100.0"), ("9.98", "50.5")]


def test_a_crossed_book_is_left_out(tmp_path: Path) -> None:
    crossed = touch(50, ("10.5", "1.0"), ("10.4", "1.0"))
    stage = Stage(record(tmp_path, touches=[TOUCH, crossed]))
    stage.block(), stage.block()
    assert stage.levels()[0] == [("9.99", "100.0"), ("9.98", "50.5")]


@pytest.mark.parametrize("speed", [0, -1.0, float("nan")])
def test_a_recording_does_not_play_backwards(tmp_path: Path, speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        Stage(record(tmp_path), speed=speed)


# Describing


def test_a_recording_describes_its_coins(tmp_path: Path) -> None:
    record(tmp_path, trades=[trade(900, "B", "10.015", "0.25")])
    recorded = describe(tmp_path).coin("X")
    assert (recorded.first_ms, recorded.last_ms) == (FIRST_MS, FIRST_MS)
    assert (recorded.price_decimals, recorded.size_decimals) == (3, 2)
    assert recorded.first_px == Decimal(10)
    assert recorded.median_spread == Decimal("0.002")
    assert (recorded.n_books, recorded.n_trades) == (1, 1)


def test_the_widest_spread_is_relative_to_the_price(tmp_path: Path) -> None:
    record(tmp_path, coin="DEAR", touches=[touch(0, ("50000", "1"), ("50010", "1"))])
    record(tmp_path, coin="CHEAP", touches=[touch(0, ("0.10", "1"), ("0.11", "1"))])
    assert list(describe(tmp_path).coins) == ["CHEAP", "DEAR"]
    assert pick_widest_spread(tmp_path) == "CHEAP"


def test_a_recorded_perp_becomes_a_spot_market_of_its_name(tmp_path: Path) -> None:
    recorded = describe(record(tmp_path)).coin("X")
    world = with_recorded_market(default_world(), recorded)
    market = world.market("X/USDC")
    assert market.size_decimals == 1
    assert market.price_text(market.reference_ticks) == "10.0"
    assert world.traders[0].balances[market.base.index] > 0


def test_a_cut_off_last_line_is_left_out(tmp_path: Path) -> None:
    record(tmp_path)
    whole = b"".join(json.dumps(trade(n, "B", "10.01", "1")).encode() + b"\n" for n in range(3))
    (tmp_path / "trades_X.jsonl.gz").unlink()
    (tmp_path / "trades_X.jsonl").write_bytes(whole[:-20])
    assert sum(isinstance(frame, TradeFrame) for frame in frames(tmp_path, "X")) == 2


def test_a_file_cut_off_inside_its_compression_ends_where_it_ends(tmp_path: Path) -> None:
    trades = [trade(n, "B", "10.01", f"{n * 7919 % 10007}.5") for n in range(1, 5000)]
    record(tmp_path, trades=trades)
    file = tmp_path / "trades_X.jsonl.gz"
    file.write_bytes(file.read_bytes()[:-2000])
    read = sum(isinstance(frame, TradeFrame) for frame in frames(tmp_path, "X"))
    assert 0 < read < len(trades)


def test_frames_come_in_order_and_a_trade_before_the_book_of_its_moment(tmp_path: Path) -> None:
    record(tmp_path, books=[BOOK, book(10, [], [])], touches=[TOUCH], trades=[trade(10, "B", "10.01", "1")])
    kinds = [type(frame).__name__ for frame in frames(tmp_path, "X")]
    assert kinds == ["TouchFrame", "BookFrame", "TradeFrame", "BookFrame"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"time":1}\n{"time":2}\n', "line 1"),
        (json.dumps(trade(5, "B", "1", "1")).encode() + b"\nnonsense\n", "line 2"),
        (json.dumps(trade(5, "C", "1", "1")).encode() + b"\n", "line 1"),
        (json.dumps(trade(5, "B", "one", "1")).encode() + b"\n", "line 1"),
        (b"".join(json.dumps(trade(n, "B", "1", "1")).encode() + b"\n" for n in (5, 4)), "Sort the file"),
    ],
)
def test_a_bad_line_is_named_with_its_place(tmp_path: Path, line: bytes, complaint: str) -> None:
    record(tmp_path)
    (tmp_path / "trades_X.jsonl.gz").write_bytes(gzip.compress(line))
    with pytest.raises(RecordingError, match=complaint):
        list(frames(tmp_path, "X"))


def test_a_wrong_folder_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"is no folder. Give --market-data the folder that holds"):
        describe(tmp_path / "nowhere")
    (tmp_path / "candles.csv").write_text("t,o\n")
    with pytest.raises(RecordingError, match=r"no file is named l2_<COIN>.jsonl.gz \(it holds candles.csv\)"):
        describe(tmp_path)
    record(tmp_path)
    (tmp_path / "bbo_X.jsonl.gz").unlink()
    with pytest.raises(RecordingError, match=r"has no bbo_X.jsonl.gz"):
        describe(tmp_path)
    with pytest.raises(RecordingError, match=r"has no recording of BTC; it has X"):
        describe(record(tmp_path)).coin("BTC")
    (tmp_path / "l2_X.jsonl.gz").write_bytes(b"not gzip at all")
    with pytest.raises(RecordingError, match=r"l2_X.jsonl.gz.*Get the file again"):
        describe(tmp_path)


# The real thing


@pytest.fixture(scope="module")
def real() -> Recording:
    return describe(REAL)


@needs_real_data
def test_the_real_recording_is_described(real: Recording) -> None:
    assert list(real.coins) == ["BTC", "ETH", "SOL", "WLFI"]
    wlfi = real.coin("WLFI")
    assert (wlfi.price_decimals, wlfi.size_decimals, wlfi.n_books, wlfi.n_trades) == (5, 0, 3785, 2555)
    assert wlfi.first_px == Decimal("0.186485")
    assert 2.6 < float(wlfi.median_spread) * 1e4 < 2.8
    assert max(real.coins.values(), key=lambda coin: coin.median_spread).coin == "WLFI"


@needs_real_data
def test_the_real_recording_plays_over_its_hole_and_conserves_every_unit(real: Recording) -> None:
    recorded = real.coin("WLFI")
    world = with_recorded_market(default_world(), recorded)
    engine = Engine(world, start_ms=START_MS)
    player = RecordedMarket(REAL, recorded, world, speed=50)
    market = world.market("WLFI/USDC")
    me = world.traders[0].address
    totals = [engine.token_total_units(token) for token in (0, market.base.index)]
    n_fills, n_blocks, hole_end_ms = 0, 0, 1_757_015_891_504
    while player.played_ms < hole_end_ms + 10_000:
        now_ms = START_MS + n_blocks * BLOCK_MS
        if n_blocks % 10 == 1:  # Joins the touch on both sides.
            bid, ask = engine.best(market.coin)
            assert bid is not None and ask is not None and bid < ask
            orders = [(market, True, bid, 1000, "Alo", None), (market, False, ask, 1000, "Alo", None)]
            engine.submit_direct(me, order_action(orders), now_ms)
        player.act(engine, now_ms)
        n_fills += sum(user == me for user, _ in engine.run_block(now_ms).fills)
        n_blocks += 1
    assert not player.has_ended
    assert player.trades_played > 300
    assert n_fills > 10
    assert [engine.token_total_units(token) for token in (0, market.base.index)] == totals
    engine.check_invariants()


@needs_real_data
def test_the_real_recording_trades_the_same_at_every_speed(real: Recording) -> None:
    recorded = real.coin("WLFI")
    world = with_recorded_market(default_world(), recorded)

    def trades_at(speed: float) -> list[tuple[str, str, str]]:
        engine = Engine(world, start_ms=START_MS)
        player = RecordedMarket(REAL, recorded, world, speed=speed)
        trades, now_ms = [], START_MS
        while player.played_ms < recorded.first_ms + 300_000:
            now_ms += BLOCK_MS
            while (stop_ms := player.stop_ms(now_ms)) < now_ms:
                player.act(engine, stop_ms)
                trades += engine.run_block(stop_ms).trades
            player.act(engine, now_ms)
            trades += engine.run_block(now_ms).trades
        return [(row["side"], row["px"], row["sz"]) for row in trades]

    slow, fast = trades_at(1), trades_at(20)
    assert len(slow) > 100
    assert fast[: len(slow) - 5] == slow[: len(slow) - 5]  # The fast one ends up to 1.4 s later.
