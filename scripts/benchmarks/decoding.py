"""From the text of a frame to a typed message, with json.loads beside it; and on to the desk's events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from statistics import median

from benchmarks.figures import Figure, against, side_by_side
from benchmarks.markets import HYPE_USDC, USDC
from mmtrio.client.keys import development_account
from mmtrio.core.events import SessionName
from mmtrio.wire.codec import decode_frame
from mmtrio.wire.markets import MarketCatalog
from mmtrio.wire.translation import Translator

ACCOUNT = development_account(0).address
TIME_MS = 1_790_000_000_000


def measure() -> Iterator[Figure]:
    yield from _of("l2Book 20 x 20", _book(), calls=60)
    yield from _of("userFills, 1 fill", _fills(1), calls=200)
    yield from _of("userFills, 200 fills", _fills(200), calls=10)


def _of(what: str, text: str, *, calls: int) -> list[Figure]:
    assert HYPE_USDC.base is not None
    tokens = {token.index: token for token in (USDC, HYPE_USDC.base)}
    catalog = MarketCatalog(markets=(HYPE_USDC,), tokens=tokens)
    translator = Translator(catalog, ACCOUNT)
    assert translator.events(decode_frame(text), SessionName.ACCOUNT)
    ways = {
        "decode_frame": lambda: decode_frame(text),
        "json.loads": lambda: json.loads(text),
        "decode_frame and events": lambda: translator.events(decode_frame(text), SessionName.ACCOUNT),
    }
    taken_us = side_by_side(ways, rounds=40, calls=calls)
    to_events_us = taken_us.pop("decode_frame and events")
    return [*against(what, taken_us), Figure(f"{what}, decode_frame and events", median(to_events_us), "us")]


def _book() -> str:
    def side(sign: int) -> list[dict[str, object]]:
        return [
            {"px": f"{35 + sign * (step + 1) * 0.01:.2f}", "sz": f"{1.5 * (step + 1):.2f}", "n": step % 5 + 1}
            for step in range(20)
        ]

    data = {"coin": HYPE_USDC.coin, "time": TIME_MS, "levels": [side(-1), side(1)]}
    return json.dumps({"channel": "l2Book", "data": data}, separators=(",", ":"))


def _fills(count: int) -> str:
    fills = [
        {
            "coin": HYPE_USDC.coin,
            "px": "35.012",
            "sz": "1.25",
            "side": "B",
            "time": TIME_MS + number,
            "startPosition": "1000.0",
            "dir": "Buy",
            "closedPnl": "0.0",
            "hash": f"0x{number:064x}",
            "oid": 1_000_000 + number,
            "crossed": False,
            "fee": "0.0005",
            "tid": 7_919 * number + 13,
            "feeToken": "HYPE",
            "twapId": None,
            "cloid": f"0x{number:032x}",
        }
        for number in range(count)
    ]
    data = {"user": ACCOUNT, "fills": fills}
    return json.dumps({"channel": "userFills", "data": data}, separators=(",", ":"))
