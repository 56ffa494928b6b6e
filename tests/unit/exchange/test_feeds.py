"""Feeds without a network: blocks and topics in, frames out."""

from __future__ import annotations

import json
from typing import Any

from mmtrio.exchange.client_frames import Topic, topic_of
from mmtrio.exchange.engine import Engine
from mmtrio.exchange.feeds import FeedParams, Feeds, frame_of
from mmtrio.exchange.world import default_world
from tests.support.exchanges import HYPE, order

START_MS = 1_790_000_000_000
BLOCK_MS = 70


class Stage:
    """An engine and its feeds, one block after another."""

    def __init__(self, params: FeedParams | None = None) -> None:
        self.engine = Engine(default_world(), start_ms=START_MS)
        self.feeds = Feeds(self.engine, params)
        self.now_ms = START_MS
        self.house = [account.address for account in self.engine.world.house]

    def trade(self, user: int, *orders: dict[str, Any]) -> None:
        action = {"type": "order", "orders": list(orders), "grouping": "na"}
        self.engine.submit_direct(self.house[user], action, self.now_ms)

    def block(self, *topics: Topic) -> list[dict[str, Any]]:
        self.now_ms += BLOCK_MS
        block = self.engine.run_block(self.now_ms)
        frames = self.feeds.frames_after(block, topics)
        return [json.loads(frame) for _, frame in frames]

    def first(self, topic: Topic) -> list[dict[str, Any]]:
        return [json.loads(frame) for frame in self.feeds.first_frames(topic, self.now_ms)]


def topic(**subscription: object) -> Topic:
    return topic_of(dict(subscription), None)


def test_a_pong_has_a_channel_and_nothing_else() -> None:
    assert frame_of("pong") == '{"channel":"pong"}'
    assert frame_of("error", None) == '{"channel":"error","data":null}'


def test_everything_one_block_did_to_an_account_comes_in_one_frame() -> None:
    stage = Stage()
    mine = topic(type="orderUpdates", user=stage.house[0])
    fills = topic(type="userFills", user=stage.house[0])
    stage.trade(0, order(True, "34", "1"), order(True, "33.9", "2"))
    (updates,) = stage.block(mine, fills)
    assert [update["order"]["limitPx"] for update in updates["data"]] == ["34.0", "33.9"]
    stage.trade(1, order(False, "33.9", "3", "Ioc"))
    updates, filled = stage.block(mine, fills)
    assert [update["status"] for update in updates["data"]] == ["filled", "filled"]
    assert [fill["px"] for fill in filled["data"]["fills"]] == ["34.0", "33.9"]
    assert "isSnapshot" not in filled["data"]
    assert stage.block(mine, fills) == []


def test_nothing_is_made_for_nobody() -> None:
    stage = Stage()
    stage.trade(0, order(True, "34", "1"))
    assert stage.block() == []


def test_a_second_listener_of_the_touch_does_not_hide_its_next_change_from_the_first() -> None:
    stage = Stage()
    bbo = topic(type="bbo", coin=HYPE)
    stage.first(bbo)
    stage.trade(0, order(True, "34", "1"))
    assert len(stage.block(bbo)) == 1
    assert stage.first(bbo)[0]["data"]["bbo"][0]["sz"] == "1.0"
    stage.trade(0, order(True, "34", "1"))
    assert stage.block(bbo)[0]["data"]["bbo"][0] == {"px": "34.0", "sz": "2.0", "n": 2}


def test_the_touch_of_a_market_nobody_watched_meanwhile_is_compared_with_what_was_told_last() -> None:
    stage = Stage()
    bbo = topic(type="bbo", coin=HYPE)
    stage.first(bbo)
    stage.trade(0, order(True, "34", "1"))
    stage.block()
    assert stage.first(bbo)[0]["data"]["bbo"][0]["sz"] == "1.0"
    assert stage.block(bbo) == []


def test_a_book_that_is_due_at_a_late_block_is_pushed_once() -> None:
    stage = Stage(FeedParams(fast_book_interval_s=0.54))
    book = topic(type="l2Book", coin=HYPE, fast=True)
    stage.block(book)
    stage.now_ms += 5000  # The machine slept.
    assert len(stage.block(book)) == 1
    pushed_ms = [frame["data"]["time"] - stage.now_ms for _ in range(20) for frame in stage.block(book)]
    assert len(pushed_ms) == 2, "and the clock goes on from there"


def test_aggregated_books_are_cut_to_their_figures() -> None:
    stage = Stage()
    stage.trade(0, *(order(True, price, "1") for price in ("34.123", "34.1", "34.05")))
    stage.block()
    (frame,) = stage.first(topic(type="l2Book", coin=HYPE, nSigFigs=3))
    assert [(level["px"], level["n"]) for level in frame["data"]["levels"][0]] == [("34.1", 2), ("34.0", 1)]
