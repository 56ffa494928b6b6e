"""Reads recordings of real markets: books, touches and trades as gzipped JSON lines, one file per kind and coin.

    l2_WLFI.jsonl.gz      {"time", "coin", "levels": [[[px, sz], …bids], [[px, sz], …asks]]}
    bbo_WLFI.jsonl.gz     {"time", "coin", "bid": [px, sz] | null, "ask": [px, sz] | null}
    trades_WLFI.jsonl.gz  {"time", "coin", "side": "B" | "A", "px", "sz", "tid"}

Prices and sizes are decimal text; `time` is the venue's clock in epoch milliseconds, and each file is sorted by it.
Files are read as a stream. A last line cut off by the end of the file is left out, as a recorder that was killed
leaves it; any other bad line is an error that names its place.
"""

from __future__ import annotations

import gzip
import heapq
import logging
import statistics
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import IO, Literal, TypeVar

import attrs
import msgspec

log = logging.getLogger(__name__)

_SUFFIXES = (".jsonl.gz", ".jsonl")
_SAMPLE_BOOKS = 200
"""Books looked at for the decimals of prices and sizes, besides every touch and trade."""

Level = tuple[Decimal, Decimal]
"""(price, size)."""


class RecordingError(ValueError):
    """A recording that cannot be used. The message names the file, and the cure."""


class BookFrame(msgspec.Struct, frozen=True):
    """The whole book, best levels first."""

    time: int
    levels: tuple[list[Level], list[Level]]


class TouchFrame(msgspec.Struct, frozen=True):
    """The best bid and ask, at each block that changed them."""

    time: int
    bid: Level | None
    ask: Level | None


class TradeFrame(msgspec.Struct, frozen=True):
    """A trade; `side` is the aggressor's."""

    time: int
    side: Literal["B", "A"]
    px: Decimal
    sz: Decimal


Frame = BookFrame | TouchFrame | TradeFrame
FrameT = TypeVar("FrameT", BookFrame, TouchFrame, TradeFrame)


@attrs.frozen
class RecordedCoin:
    """What a recording says of one coin."""

    coin: str
    first_ms: int
    """When the first book was seen; trades before it are of no use."""
    last_ms: int
    median_spread: Decimal
    """Share of the middle price: 0.00027 is 2.7 basis points."""
    price_decimals: int
    size_decimals: int
    first_px: Decimal
    """The middle of the first touch."""
    n_books: int
    n_trades: int

    @property
    def duration_s(self) -> float:
        return (self.last_ms - self.first_ms) / 1000


@attrs.frozen
class Recording:
    """A folder of recorded markets, by coin in alphabetical order."""

    folder: Path
    coins: dict[str, RecordedCoin]

    def coin(self, name: str) -> RecordedCoin:
        """Raises RecordingError where the recording has no such coin."""
        if name not in self.coins:
            raise RecordingError(f"{self.folder} has no recording of {name}; it has {', '.join(self.coins)}")
        return self.coins[name]


def describe(folder: Path | str) -> Recording:
    """The coins of a recording, their period, spread, decimals and first price. Reads every touch and trade.

    Raises:
        RecordingError: not a folder, no recording in it, or a bad file.
    """
    folder = Path(folder)
    return Recording(folder, {coin: _describe_coin(folder, coin) for coin in coins_in(folder)})


def pick_widest_spread(folder: Path | str) -> str:
    """The coin a market maker has most to do in: the widest median spread, relative to its price.

    Raises:
        RecordingError: as for `describe`.
    """
    recording = describe(folder)
    return max(recording.coins.values(), key=lambda recorded: (recorded.median_spread, recorded.coin)).coin


def coins_in(folder: Path) -> list[str]:
    """Names of the coins with books, touches and trades in this folder.

    Raises:
        RecordingError: there are none.
    """
    if not folder.is_dir():
        raise RecordingError(
            f"{folder} is no folder. Give --market-data the folder that holds l2_<COIN>.jsonl.gz."
        )
    coins = sorted(
        {file.name.removeprefix("l2_").partition(".")[0] for file in folder.glob("l2_*") if _is_frames(file)}
    )
    if not coins:
        inside = sorted(each.name for each in folder.iterdir())[:5]
        raise RecordingError(
            f"{folder} holds no recording: no file is named l2_<COIN>.jsonl.gz (it holds "
            f"{', '.join(inside) or 'nothing'}). Give --market-data the folder that has l2_, bbo_ and trades_ files."
        )
    for coin in coins:
        for kind in ("bbo", "trades"):
            _find(folder, kind, coin)
    return coins


def frames(folder: Path, coin: str) -> Iterator[Frame]:
    """Everything recorded of one coin, in time order. Of one time, trades come first: they met the book before it."""
    sources: tuple[Iterator[Frame], ...] = (
        _read(_find(folder, "trades", coin), TradeFrame),
        _read(_find(folder, "bbo", coin), TouchFrame),
        _read(_find(folder, "l2", coin), BookFrame),
    )
    yield from heapq.merge(*sources, key=lambda frame: frame.time)  # Stable: sources in this order.


def _describe_coin(folder: Path, coin: str) -> RecordedCoin:
    books = list(islice(_read(_find(folder, "l2", coin), BookFrame), _SAMPLE_BOOKS))
    if not books:
        raise RecordingError(
            f"{_find(folder, 'l2', coin)} holds no book. Record it again, or remove its three files."
        )
    levels = [level for book in books for side in book.levels for level in side]
    spreads, first_px, first_ms, last_ms = [], None, books[0].time, books[-1].time
    for touch in _read(_find(folder, "bbo", coin), TouchFrame):
        last_ms = touch.time
        if touch.bid is not None and touch.ask is not None:
            bid, ask = touch.bid[0], touch.ask[0]
            spreads.append((ask - bid) / (ask + bid) * 2)
            first_px = first_px or (bid + ask) / 2
            levels += (touch.bid, touch.ask)
            first_ms = min(first_ms, touch.time)
    if first_px is None:
        raise RecordingError(
            f"{_find(folder, 'bbo', coin)} never has a bid and an ask. Remove the files of {coin}."
        )
    n_trades = 0
    for trade in _read(_find(folder, "trades", coin), TradeFrame):
        n_trades += 1
        levels.append((trade.px, trade.sz))
    return RecordedCoin(
        coin=coin,
        first_ms=first_ms,
        last_ms=last_ms,
        median_spread=statistics.median(spreads),
        price_decimals=max(_decimals(price) for price, _ in levels),
        size_decimals=max(_decimals(size) for _, size in levels),
        first_px=first_px,
        n_books=sum(1 for _ in _read(_find(folder, "l2", coin), BookFrame)),
        n_trades=n_trades,
    )


def _read(file: Path, kind: type[FrameT]) -> Iterator[FrameT]:
    decoder = msgspec.json.Decoder(kind)
    last_ms = 0
    for number, line in _lines(file):
        try:
            frame = decoder.decode(line)
        except msgspec.MsgspecError as error:
            if not line.endswith(b"\n"):
                log.info("%s: the last line is cut off and left out", file)
                return
            raise RecordingError(
                f"{file}, line {number}: {error}. Record it again, or remove the line."
            ) from None
        if frame.time < last_ms:
            raise RecordingError(
                f"{file}, line {number}: time goes back by {last_ms - frame.time} ms. Sort the file."
            )
        last_ms = frame.time
        yield frame


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines; those of a file cut off inside its compression end where it ends."""
    number = 0
    with file.open("rb") as raw:
        lines: IO[bytes] = gzip.GzipFile(fileobj=raw) if file.name.endswith(".gz") else raw  # type: ignore[assignment]
        try:
            for line in lines:
                number += 1
                if line.strip():
                    yield number, line
        except EOFError:
            log.info("%s is cut off after line %d: the rest is left out", file, number)
        except (gzip.BadGzipFile, OSError) as error:
            raise RecordingError(f"{file}, after line {number}: {error}. Get the file again.") from None


def _find(folder: Path, kind: str, coin: str) -> Path:
    for suffix in _SUFFIXES:
        file = folder / f"{kind}_{coin}{suffix}"
        if file.is_file():
            return file
    raise RecordingError(
        f"{folder} has no {kind}_{coin}.jsonl.gz, which belongs to l2_{coin}. Add it, or remove both."
    )


def _is_frames(file: Path) -> bool:
    return file.name.endswith(_SUFFIXES)


def _decimals(number: Decimal) -> int:
    """Digits after the point that say something: 16000.0 has none."""
    exponent = number.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
