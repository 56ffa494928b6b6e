"""A stranger's client on our exchange: the official Python SDK as installed, on real sockets, threads and time.

The SDK is given nothing but a URL and a key. What it is told is compared with the engine's own truth.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import attrs
import eth_account
import pytest
import trio
from hyperliquid.exchange import Exchange as SdkExchange
from hyperliquid.info import Info as SdkInfo
from hyperliquid.utils.error import ClientError
from hyperliquid.utils.types import Cloid

from mmtrio.core.types import Address
from mmtrio.exchange.development_accounts import DEVELOPMENT_ACCOUNTS
from mmtrio.exchange.engine import Engine
from mmtrio.exchange.local_venue import LocalVenue
from mmtrio.exchange.serve import serve_exchange
from mmtrio.exchange.world import default_world

pytestmark = pytest.mark.contract

HYPE, ASSET = "@107", 10107
LIMIT_S = 20.0
ALO, IOC = {"limit": {"tif": "Alo"}}, {"limit": {"tif": "Ioc"}}


@attrs.define(eq=False)
class Stand:
    """The exchange on a loopback port, and the SDK's end of it."""

    engine: Engine
    venue: LocalVenue
    url: str
    info: SdkInfo
    exchange: SdkExchange

    @property
    def me(self) -> Address:
        return self.engine.world.traders[0].address

    async def sdk(self, call: Callable[..., Any], *args: object, **more: object) -> Any:
        """One blocking call of the SDK, in a thread."""
        return await trio.to_thread.run_sync(partial(call, *args, **more))

    async def order(
        self, is_buy: bool, size: float, price: float, kind: object, cloid: Cloid | None = None
    ) -> Any:
        reply = await self.sdk(self.exchange.order, "HYPE/USDC", is_buy, size, price, kind, cloid=cloid)
        assert reply["status"] == "ok", reply
        (status,) = reply["response"]["data"]["statuses"]
        return status

    def trade(self, is_buy: bool, price: str, size: str, tif: str = "Ioc") -> None:
        """Somebody else, in the next block."""
        order = {"a": ASSET, "b": is_buy, "p": price, "s": size, "r": False, "t": {"limit": {"tif": tif}}}
        action = {"type": "order", "orders": [order], "grouping": "na"}
        self.engine.submit_direct(self.engine.world.house[0].address, action, self.venue.now_ms())

    async def blocks(self, n_blocks: int = 2) -> None:
        """Until so many more blocks have run."""
        until = self.engine.height + n_blocks
        while self.engine.height < until:
            await trio.sleep(0.01)


@asynccontextmanager
async def open_stand() -> AsyncIterator[Stand]:
    epoch_ms = int(time.time() * 1000)
    world = default_world()
    venue = LocalVenue(Engine(world, seed=1, start_ms=epoch_ms - 1), epoch_ms=epoch_ms)
    wallet = eth_account.Account.from_key(DEVELOPMENT_ACCOUNTS[0].private_key)
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(venue.run)
            url = await nursery.start(serve_exchange, venue)
            info = await trio.to_thread.run_sync(partial(SdkInfo, url, skip_ws=True, timeout=5))
            exchange = await trio.to_thread.run_sync(partial(SdkExchange, wallet, url, timeout=5))
            yield Stand(venue.engine, venue, url, info, exchange)
            nursery.cancel_scope.cancel()


async def test_it_reads_markets_books_and_accounts() -> None:
    async with open_stand() as stand:
        meta, spot_meta = await stand.sdk(stand.info.meta), await stand.sdk(stand.info.spot_meta)
        assert [perp["name"] for perp in meta["universe"]] == [perp.name for perp in stand.engine.world.perps]
        assert [pair["name"] for pair in spot_meta["universe"]] == [
            m.coin for m in stand.engine.world.markets
        ]
        assert stand.info.name_to_asset("HYPE/USDC") == ASSET
        assert (await stand.sdk(stand.info.all_mids))[HYPE] == "34.95"

        stand.trade(True, "34.9", "2.5", "Alo")
        await stand.blocks()
        book = await stand.sdk(stand.info.l2_snapshot, "HYPE/USDC")
        assert book["levels"] == [[{"px": "34.9", "sz": "2.5", "n": 1}], []]
        state = await stand.sdk(stand.info.spot_user_state, stand.me)
        for row in state["balances"]:
            token = next(t for t in stand.engine.world.tokens if t.index == row["token"])
            units = stand.engine.balance(stand.me, token.index).total_units
            assert (row["coin"], Decimal(row["total"])) == (
                token.name,
                Decimal(units).scaleb(-token.wei_decimals),
            )
        assert len(state["balances"]) == len(stand.engine.world.tokens)
        contexts = await stand.sdk(stand.info.spot_meta_and_asset_ctxs)
        assert [context["coin"] for context in contexts[1]] == [m.coin for m in stand.engine.world.markets]
        assert (await stand.sdk(stand.info.user_fees, stand.me))["userSpotAddRate"]
        assert (await stand.sdk(stand.info.user_state, stand.me))["assetPositions"] == []


async def test_it_places_fills_modifies_and_cancels() -> None:
    async with open_stand() as stand:
        cloid = Cloid.from_int(77)
        resting = (await stand.order(True, 2.0, 34.9, ALO, cloid))["resting"]
        (truth,) = stand.engine.open_orders(stand.me)
        assert (truth["oid"], truth["limitPx"], truth["sz"], truth["cloid"]) == (
            resting["oid"], "34.9", "2.0", cloid.to_raw(),
        )  # fmt: skip

        stand.trade(False, "34.9", "0.75")
        await stand.blocks()
        assert stand.engine.open_orders(stand.me)[0]["sz"] == "1.25"
        modified = await stand.sdk(
            stand.exchange.modify_order, resting["oid"], "HYPE/USDC", True, 1.25, 34.85, ALO, cloid=cloid
        )
        new_oid = modified["response"]["data"]["statuses"][0]["resting"]["oid"]
        (truth,) = stand.engine.open_orders(stand.me)
        assert truth["oid"] == new_oid != resting["oid"]
        assert (truth["limitPx"], truth["sz"]) == ("34.85", "1.25")

        cancelled = await stand.sdk(stand.exchange.cancel_by_cloid, "HYPE/USDC", cloid)
        assert cancelled["response"]["data"]["statuses"] == ["success"]
        assert stand.engine.open_orders(stand.me) == []
        again = await stand.sdk(stand.exchange.cancel, "HYPE/USDC", new_oid)
        (error,) = again["response"]["data"]["statuses"]
        assert error["error"].startswith("Order was never placed, already canceled, or filled.")
        assert stand.engine.requests_used(stand.me) == 4


async def test_it_takes_and_is_told_what_it_paid() -> None:
    async with open_stand() as stand:
        stand.trade(False, "35", "1", "Alo")
        stand.trade(False, "35.1", "5", "Alo")
        await stand.blocks()
        before = {token: stand.engine.balance(stand.me, token).total_units for token in (0, 150)}
        filled = (await stand.order(True, 3.0, 35.1, IOC))["filled"]
        assert filled["totalSz"] == "3.0"
        assert Decimal(filled["avgPx"]) == pytest.approx(Decimal("35.0666666"), abs=Decimal("1e-6"))
        await trio.sleep(0.6)  # Reads lag by half a second.
        fills = await stand.sdk(stand.info.user_fills, stand.me)
        assert fills == stand.engine.fills(stand.me)[::-1]
        assert sorted((fill["px"], fill["sz"]) for fill in fills) == [("35.0", "1.0"), ("35.1", "2.0")]
        assert all(fill["crossed"] and fill["feeToken"] == "HYPE" for fill in fills)
        after = {token: stand.engine.balance(stand.me, token).total_units for token in (0, 150)}
        paid = Decimal(before[0] - after[0]).scaleb(-8)
        assert paid == Decimal("35") + 2 * Decimal("35.1")
        bought = Decimal(after[150] - before[150]).scaleb(-8)
        assert bought == 3 - sum(Decimal(fill["fee"]) for fill in fills)
        by_time = await stand.sdk(stand.info.user_fills_by_time, stand.me, fills[0]["time"])
        assert sorted(row["tid"] for row in by_time) == sorted(row["tid"] for row in fills)


async def test_its_mistakes_are_answered_in_the_venues_words() -> None:
    async with open_stand() as stand:
        stand.trade(False, "35", "1", "Alo")
        await stand.blocks()
        crossing = await stand.order(True, 1.0, 35.0, ALO)
        assert crossing["error"].startswith("Post only order would have immediately matched, bbo was ")
        assert (await stand.order(True, 0.1, 34.0, ALO))["error"].startswith(
            "Order must have minimum value of 10 USDC."
        )
        assert (await stand.order(True, 1.0, 30.0, IOC))["error"].startswith(
            "Order could not immediately match"
        )
        stranger = eth_account.Account.from_key("0x" + "17" * 32)
        other = await stand.sdk(SdkExchange, stranger, stand.url, timeout=5)
        refused = await stand.sdk(other.order, "HYPE/USDC", True, 1.0, 34.0, ALO)
        assert refused == {
            "status": "err",
            "response": f"User or API Wallet {stranger.address.lower()} does not exist.",
        }
        with pytest.raises(ClientError) as caught:
            await stand.sdk(stand.info.post, "/info", {"type": "noSuchRequest"})
        assert caught.value.status_code == 422
        assert stand.engine.open_orders(stand.me) == []


async def test_it_sees_its_orders_and_where_they_ended() -> None:
    async with open_stand() as stand:
        cloid = Cloid.from_int(5)
        await stand.order(True, 1.0, 34.0, ALO, cloid)
        await stand.order(False, 1.0, 36.0, ALO)
        await trio.sleep(0.6)
        told = await stand.sdk(stand.info.open_orders, stand.me)
        truth = stand.engine.open_orders(stand.me)
        assert [{**row, **shown} for row, shown in zip(truth, told, strict=True)] == truth
        assert await stand.sdk(stand.info.frontend_open_orders, stand.me) == truth
        status = await stand.sdk(stand.info.query_order_by_cloid, stand.me, cloid)
        assert (status["status"], status["order"]["status"]) == ("order", "open")
        requests = [{"coin": "HYPE/USDC", "oid": row["oid"]} for row in told]
        reply = await stand.sdk(stand.exchange.bulk_cancel, requests)
        assert reply["response"]["data"]["statuses"] == ["success", "success"]
        await trio.sleep(0.6)
        assert await stand.sdk(stand.info.open_orders, stand.me) == []
        status = await stand.sdk(stand.info.query_order_by_cloid, stand.me, cloid)
        assert status["order"]["status"] == "canceled"


async def test_its_subscriptions_tell_what_happens(capsys: pytest.CaptureFixture[str]) -> None:
    frames: dict[str, list[Any]] = {}
    async with open_stand() as stand:
        streaming = await stand.sdk(SdkInfo, stand.url, timeout=5)
        try:
            subscriptions = [
                *({"type": kind, "coin": HYPE} for kind in ("l2Book", "bbo", "trades", "activeAssetCtx")),
                *(
                    {"type": kind, "user": stand.me}
                    for kind in ("orderUpdates", "userFills", "userEvents", "webData2")
                ),
                {"type": "allMids"},
            ]
            for subscription in subscriptions:
                heard = frames.setdefault(subscription["type"], [])
                await stand.sdk(streaming.subscribe, subscription, heard.append)
            while not (frames["allMids"] and frames["webData2"] and frames["userFills"]):
                await trio.sleep(0.01)

            oid = (await stand.order(True, 2.0, 34.9, ALO))["resting"]["oid"]
            stand.trade(False, "34.9", "0.5")
            await stand.blocks(3)
            while len(frames["orderUpdates"]) < 2 or len(frames["userFills"]) < 2:
                await trio.sleep(0.01)
            await trio.sleep(0.1)
        finally:
            await stand.sdk(streaming.disconnect_websocket)

        updates = [row for frame in frames["orderUpdates"] for row in frame["data"]]
        assert [(row["status"], row["order"]["oid"], row["order"]["sz"]) for row in updates] == [
            ("open", oid, "2.0"),
            ("open", oid, "1.5"),
        ]
        snapshot, streamed = (frame["data"] for frame in frames["userFills"])
        assert snapshot["isSnapshot"] is True
        assert streamed["fills"] == stand.engine.fills(stand.me)
        assert frames["userEvents"][0]["data"]["fills"] == streamed["fills"]
        assert frames["bbo"][-1]["data"]["bbo"] == [{"px": "34.9", "sz": "1.5", "n": 1}, None]
        assert [trade["sz"] for frame in frames["trades"] for trade in frame["data"]] == ["0.5"]
        assert frames["l2Book"][0]["data"]["levels"] == [[], []]
        assert frames["activeAssetCtx"][0]["channel"] == "activeSpotAssetCtx"
    assert "unexpected subscription" not in capsys.readouterr().out


@pytest.fixture(autouse=True)
def _quiet_websocket_library() -> Iterator[None]:
    """The SDK's websocket library logs an error when the other side goes; that is its way, not a finding."""
    library = logging.getLogger("websocket")
    level = library.level
    library.setLevel(logging.CRITICAL)
    yield
    library.setLevel(level)
