"""What the venue pushes, when: private and public feeds over a real WebSocket on the virtual clock."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal

import pytest
import trio

from mmtrio.exchange.flow import Flow
from mmtrio.exchange.world import default_world
from tests.support.determinism import run_seeded, scenario
from tests.support.exchanges import EPOCH_MS, HYPE, open_exchange, open_socket, order, placed


def seconds(*expected: float) -> object:
    return pytest.approx(list(expected), abs=1e-9)


@scenario
async def test_the_life_of_an_order_is_told_to_its_account() -> None:
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:
        me = exchange.trader
        for kind in ("orderUpdates", "userFills", "userEvents", "spotState", "openOrders"):
            await socket.subscribe(type=kind, user=me.upper().replace("X", "x"))
        http = await exchange.open_http()
        await http.post("/exchange", placed(order(True, "34", "2", cloid=1)))
        exchange.trade(False, "34", "0.5")
        await trio.sleep(0.1)
        exchange.trade(False, "34", "1.5")
        await trio.sleep(0.1)

        told = [
            (at_s, [(u["status"], u["order"]["sz"]) for u in data])
            for at_s, data in socket.of("orderUpdates")
        ]
        assert told == [
            (pytest.approx(0.07), [("open", "2.0")]),
            (pytest.approx(0.14), [("open", "1.5")]),
            (pytest.approx(0.21), [("filled", "0.0")]),
        ]
        (_, snapshot), *streamed = socket.of("userFills")
        assert snapshot == {"isSnapshot": True, "user": me, "fills": []}
        assert [set(data) for _, data in streamed] == [{"user", "fills"}] * 2
        fills = [fill for _, data in streamed for fill in data["fills"]]
        assert [(fill["sz"], fill["cloid"]) for fill in fills] == [
            ("0.5", f"0x{1:032x}"),
            ("1.5", f"0x{1:032x}"),
        ]
        assert [fill for _, data in socket.of("user") for fill in data["fills"]] == fills
        holds = [_balance(data["spotState"], "USDC")["hold"] for _, data in socket.of("spotState")]
        assert holds == ["0.0", "68.0", "51.0", "0.0"]
        resting = [[row["sz"] for row in data["orders"]] for _, data in socket.of("openOrders")]
        assert resting == [[], ["2.0"], ["1.5"], []]


@scenario
async def test_fills_from_before_come_as_a_snapshot_newest_first_and_updates_do_not() -> None:
    async with open_exchange() as exchange:
        http = await exchange.open_http()
        await http.post("/exchange", placed(order(True, "34", "3")))
        for size in ("0.5", "1"):
            exchange.trade(False, "34", size)
            await trio.sleep(0.07)
        async with open_socket(exchange.network) as socket:
            for kind in ("userFills", "orderUpdates", "userEvents"):
                await socket.subscribe(type=kind, user=exchange.trader)
            snapshot = await socket.wait_for("userFills")
            assert snapshot["isSnapshot"] is True
            assert [fill["sz"] for fill in snapshot["fills"]] == ["1.0", "0.5"], "no lag either"
            await trio.sleep(1)
            assert socket.of("orderUpdates") == socket.of("user") == []


@scenario
async def test_nobody_is_told_of_another_accounts_orders() -> None:
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:
        for kind in ("orderUpdates", "userFills", "spotState"):
            await socket.subscribe(type=kind, user=exchange.somebody)
        http = await exchange.open_http()
        await http.post("/exchange", placed(order(True, "34", "2")))
        await trio.sleep(1)
        assert socket.of("orderUpdates") == []
        assert len(socket.of("userFills")) == len(socket.of("spotState")) == 1


@scenario
async def test_the_touch_is_told_when_it_changes_and_only_then() -> None:
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:
        await socket.subscribe(type="bbo", coin=HYPE)
        await socket.wait_for("bbo")
        http = await exchange.open_http()
        await http.post("/exchange", placed(order(True, "34", "2")))  # A bid appears.
        await http.post(
            "/exchange", placed(order(True, "33", "2"), nonce=EPOCH_MS + 1)
        )  # Behind it: no news.
        await trio.sleep(10)
        exchange.trade(False, "34", "0.5")
        await trio.sleep(1)
        told = [(at_s, data["bbo"]) for at_s, data in socket.of("bbo")]
        assert told == [
            (pytest.approx(0), [None, None]),
            (pytest.approx(0.07), [{"px": "34.0", "sz": "2.0", "n": 1}, None]),
            (pytest.approx(10.15), [{"px": "34.0", "sz": "1.5", "n": 1}, None]),
        ]


@scenario
async def test_books_are_re_sent_by_one_clock_whether_changed_or_not() -> None:
    async with open_exchange() as exchange:
        async with open_socket(exchange.network) as slow, open_socket(exchange.network) as fast:
            await trio.sleep(1)
            for coin in (HYPE, "PURR/USDC"):
                await slow.subscribe(type="l2Book", coin=coin)
                await fast.subscribe(type="l2Book", coin=coin, fast=True)
            await trio.sleep(10.9)
            # Due 5.4 s (0.54 s) after the first block, and again and again; told by the next block.
            assert _times(slow, "PURR/USDC") == seconds(1, 5.46, 10.85)
            assert _times(fast, HYPE)[:4] == seconds(1, 1.12, 1.68, 2.17)
            assert len(_times(fast, HYPE)) == 21
            per_coin = [
                [data["time"] for _, data in slow.of("l2Book") if data["coin"] == c]
                for c in (HYPE, "PURR/USDC")
            ]
            assert per_coin[0] == per_coin[1]
            assert [data.get("fast") for _, data in fast.of("l2Book")][0] is True
            assert all("fast" not in data for _, data in slow.of("l2Book"))


@scenario
async def test_a_book_has_twenty_levels_and_a_fast_one_five() -> None:
    async with open_exchange() as exchange:
        http = await exchange.open_http()
        bids = [order(True, str(Decimal("34") - Decimal(n) / 100), "1") for n in range(25)]
        await http.post("/exchange", placed(*bids))
        async with open_socket(exchange.network) as slow, open_socket(exchange.network) as fast:
            await slow.subscribe(type="l2Book", coin=HYPE)
            await fast.subscribe(type="l2Book", coin=HYPE, fast=True)
            levels = (await slow.wait_for("l2Book"))["levels"]
            assert ([len(side) for side in levels], levels[0][0]["px"]) == ([20, 0], "34.0")
            assert [len(side) for side in (await fast.wait_for("l2Book"))["levels"]] == [5, 0]


@scenario
async def test_trades_begin_with_those_of_the_last_twenty_seconds() -> None:
    async with open_exchange() as exchange:
        http = await exchange.open_http()
        await http.post("/exchange", placed(order(True, "34", "10")))
        for size in ("0.5", "1", "1.5"):
            exchange.trade(False, "34", size)
            await trio.sleep(12)
        async with open_socket(exchange.network) as socket:
            await socket.subscribe(type="trades", coin=HYPE)
            await socket.subscribe(type="trades", coin="@1")
            exchange.trade(False, "34", "2")
            await trio.sleep(1)
            (_, before), (at_s, after) = socket.of("trades")
            assert [trade["sz"] for trade in before] == ["1.5"]
            assert [(trade["sz"], trade["side"], trade["users"][0]) for trade in after] == [
                ("2.0", "A", exchange.trader)
            ]
            assert at_s == pytest.approx(36.12)


@scenario
async def test_prices_of_all_markets_and_contexts_keep_their_cadence() -> None:
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:
        await socket.subscribe(type="allMids")
        await socket.subscribe(type="activeAssetCtx", coin=HYPE)
        await socket.subscribe(type="activeAssetCtx", coin="BTC")
        await socket.subscribe(type="webData2", user=exchange.trader)
        await trio.sleep(10.1)
        assert len(socket.of("webData2")) == 1 + 10
        assert [at_s for at_s, _ in socket.of("allMids")] == seconds(0, 5.04, 10.01)
        assert len(socket.of("activeSpotAssetCtx")) == len(socket.of("activeAssetCtx")) == 1 + 10
        assert socket.of("activeAssetCtx")[0][1]["coin"] == "BTC"


@scenario
async def test_after_unsubscribing_nothing_comes() -> None:
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:
        await socket.subscribe(type="l2Book", coin=HYPE, fast=True)
        await socket.wait_for("l2Book")
        await socket.send(
            {"method": "unsubscribe", "subscription": {"type": "l2Book", "coin": HYPE, "fast": True}}
        )
        await socket.wait_for("subscriptionResponse", 2)
        await trio.sleep(5)
        assert len(socket.of("l2Book")) == 1
        assert exchange.venue.hub.topics == ()


@scenario
async def test_an_account_that_does_not_exist_has_empty_states() -> None:
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:
        nobody = "0x" + "0b" * 20
        for kind in ("userFills", "spotState", "openOrders", "clearinghouseState", "webData2"):
            await socket.subscribe(type=kind, user=nobody)
        assert (await socket.wait_for("userFills"))["fills"] == []
        assert (await socket.wait_for("spotState"))["spotState"]["balances"] == []
        assert (await socket.wait_for("openOrders"))["orders"] == []
        assert (await socket.wait_for("clearinghouseState"))["clearinghouseState"]["assetPositions"] == []
        assert (await socket.wait_for("webData2"))["openOrders"] == []


def test_the_same_seed_gives_the_same_frames_and_another_seed_others() -> None:
    async def digest_of(flow_seed: int) -> str:
        participants = [Flow(default_world(), seed=flow_seed)]
        async with open_exchange(participants) as exchange, open_socket(exchange.network) as socket:
            for coin in (HYPE, "PURR/USDC"):
                await socket.subscribe(type="bbo", coin=coin)
                await socket.subscribe(type="trades", coin=coin)
            await trio.sleep(20)
            assert len(socket.frames) > 20
            return hashlib.sha256(json.dumps(socket.frames).encode()).hexdigest()

    first, again, other = (
        run_seeded(0, digest_of, 5),
        run_seeded(0, digest_of, 5),
        run_seeded(0, digest_of, 6),
    )
    assert first == again
    assert first != other
    assert run_seeded(3, digest_of, 5) == first, "frames do not depend on the order in which tasks run"


@scenario
async def test_a_block_runs_at_once_and_then_every_seventy_milliseconds() -> None:
    async with open_exchange() as exchange:
        assert exchange.engine.height == 1
        await trio.sleep(0.75)
        assert (exchange.engine.height, exchange.engine.time_ms) == (11, EPOCH_MS + 700)
        assert exchange.venue.now_ms() == EPOCH_MS + 750


def _times(socket, coin: str) -> list[float]:
    return [at_s for at_s, data in socket.of("l2Book") if data["coin"] == coin]


def _balance(state: dict, token: str) -> dict:
    return next(row for row in state["balances"] if row["coin"] == token)
