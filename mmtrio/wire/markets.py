"""The venue's metadata -> markets: asset ids, names, tokens, and how a person's name for a market is understood.

From `perpDexs`, `meta` of each dex and `spotMeta` (protocol 5.1 and 10). These have been inconsistent on the live
venue for an hour at a time, which took down every client that assumed otherwise; so a row that makes no sense is
quarantined with the reason, and all the others are used.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from mmtrio.core.market import Market, MarketKind
from mmtrio.core.types import Coin, Token

SPOT_ASSET_BASE = 10_000
BUILDER_ASSET_BASE = 100_000
BUILDER_ASSET_STRIDE = 10_000
FIRST_DEX = ""
"""The name of the venue's own perp dex."""

_WEI_DECIMALS_MAX = 30
_UNIT_PREFIX = "U"
_UNIT_FULL_NAME = "Unit "
_UNIT_TOKENS = frozenset({"UBTC", "UETH", "USOL"})
"""Wrapped coins issued by Unit, shown by the venue's own pages without the U. Others are known by their full name."""


class MetadataError(ValueError):
    """The metadata as a whole makes no sense; nothing can be traded on it."""


class UnknownCoin(ValueError):
    """No market has this name. The message names the nearest ones."""


class AmbiguousCoin(ValueError):
    """Several markets answer to this name. The message says what to type for each."""


@attrs.frozen
class MarketCatalog:
    """Every market of one venue, by each of its names."""

    markets: tuple[Market, ...]
    """By asset id. Delisted perps are among them: they keep their slot (and their `is_delisted`)."""
    tokens: Mapping[int, Token]
    """Spot tokens by index, which is not their position in the venue's list."""
    quarantined: tuple[str, ...] = ()
    """One line for each row of the metadata that was left out, with the reason."""
    _unit_indices: frozenset[int] = frozenset()
    by_coin: Mapping[Coin, Market] = attrs.field(init=False, repr=False, eq=False)
    by_asset: Mapping[int, Market] = attrs.field(init=False, repr=False, eq=False)
    tokens_by_name: Mapping[str, tuple[Token, ...]] = attrs.field(init=False, repr=False, eq=False)
    """A token's name is not its identity: several may share one."""
    _by_name: Mapping[str, tuple[Market, ...]] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        tokens_by_name: dict[str, tuple[Token, ...]] = {}
        for token in self.tokens.values():
            tokens_by_name[token.name] = (*tokens_by_name.get(token.name, ()), token)
        set_once = object.__setattr__  # The attrs idiom for derived fields of a frozen class.
        set_once(self, "by_coin", MappingProxyType({market.coin: market for market in self.markets}))
        set_once(self, "by_asset", MappingProxyType({market.asset: market for market in self.markets}))
        set_once(self, "tokens_by_name", MappingProxyType(tokens_by_name))
        set_once(self, "_by_name", MappingProxyType(_name_index(self.markets, self._unit_indices)))

    def resolve(self, name: str) -> Market:
        """The market a person means by `name`.

        Understood are the wire name (`@107`, `BTC`, `xyz:SP500`), the name on screen (`HYPE/USDC`, `HYPE-PERP`),
        the base token alone where that is unique, and `BTC/USDC` for `UBTC/USDC` where no other pair has that name.
        Capitals count. Delisted markets give way to live ones of the same name.

        Raises:
            UnknownCoin: no market has this name.
            AmbiguousCoin: several have.
        """
        found = self._by_name.get(name, ())
        found = tuple(market for market in found if not market.is_delisted) or found
        if not found:
            raise UnknownCoin(self._unknown_message(name))
        if len(found) > 1:
            choices = "; ".join(
                f"{self.unambiguous_name(market)} for {_description(market)}" for market in found
            )
            raise AmbiguousCoin(f"{name} is ambiguous. Type {choices}")
        return found[0]

    def unambiguous_name(self, market: Market) -> str:
        """What to type for this market: the name on screen where that is enough, its wire name otherwise."""
        return market.name if self._by_name[market.name] == (market,) else market.coin

    def _unknown_message(self, name: str) -> str:
        nearest = self._nearest_names(name)
        hint = (
            f"; did you mean {' or '.join(nearest)}?"
            if nearest
            else f" among its {len(self.markets)} markets"
        )
        return f"the venue has no market {name!r}{hint}"

    def _nearest_names(self, name: str) -> list[str]:
        """Names that differ in capitals alone, or else the most similar ones."""
        by_folded: dict[str, str] = {}
        for known in sorted(self._by_name):
            by_folded.setdefault(known.casefold(), known)
        folded = str(name).casefold()
        if folded in by_folded:
            return [by_folded[folded]]
        return [
            by_folded[near] for near in difflib.get_close_matches(folded, list(by_folded), n=3, cutoff=0.6)
        ]


def build_catalog(
    spot_meta: Mapping[str, Any], metas: Mapping[str, Mapping[str, Any]], perp_dexs: Sequence[Any]
) -> MarketCatalog:
    """All markets of a venue from its metadata replies.

    Args:
        spot_meta: the reply to `spotMeta`.
        metas: the reply to `meta` for each perp dex by its name; the venue's own is `""`. May be empty.
        perp_dexs: the reply to `perpDexs`; positions in it are part of asset ids.

    Raises:
        MetadataError: a reply is not of its shape at all. Single bad rows are quarantined instead.
    """
    quarantined: list[str] = []
    tokens, unit_indices = _read_tokens(_rows(spot_meta, "tokens", "spotMeta"), quarantined)
    markets = _read_perps(metas, perp_dexs, tokens, quarantined)
    markets += _read_spot_pairs(_rows(spot_meta, "universe", "spotMeta"), tokens, quarantined)
    return MarketCatalog(
        markets=tuple(_without_twins(markets, quarantined)),
        tokens=MappingProxyType(tokens),
        quarantined=tuple(quarantined),
        unit_indices=unit_indices,
    )


# ---------------------------------------------------------------------------------------------------------------
# Rows -> tokens and markets


def _read_tokens(rows: Iterable[Any], quarantined: list[str]) -> tuple[dict[int, Token], frozenset[int]]:
    tokens: dict[int, Token] = {}
    unit_indices: list[int] = []
    for row in rows:
        try:
            token = Token(
                index=_whole(row, "index"),
                name=_text(row, "name"),
                size_decimals=_whole(row, "szDecimals"),
                wei_decimals=_whole(row, "weiDecimals"),
            )
            if token.wei_decimals > _WEI_DECIMALS_MAX:
                raise ValueError(f"weiDecimals {token.wei_decimals} is above {_WEI_DECIMALS_MAX}")
            if token.index in tokens:
                raise ValueError(f"its index {token.index} belongs to {tokens[token.index].name} already")
        except ValueError as error:
            quarantined.append(f"token {_label(row)}: {error}")
            continue
        tokens[token.index] = token
        if _is_unit_token(token.name, row.get("fullName")):
            unit_indices.append(token.index)
    return tokens, frozenset(unit_indices)


def _is_unit_token(name: str, full_name: object) -> bool:
    says_so = isinstance(full_name, str) and full_name.startswith(_UNIT_FULL_NAME)
    return name in _UNIT_TOKENS or (says_so and name.startswith(_UNIT_PREFIX) and len(name) > 1)


def _read_spot_pairs(
    rows: Iterable[Any], tokens: Mapping[int, Token], quarantined: list[str]
) -> list[Market]:
    markets = []
    for row in rows:
        try:
            markets.append(_spot_market(row, tokens))
        except ValueError as error:
            quarantined.append(f"spot pair {_label(row)}: {error}")
    return markets


def _spot_market(row: Any, tokens: Mapping[int, Token]) -> Market:
    indices = row.get("tokens") if isinstance(row, dict) else None
    if not (isinstance(indices, list) and len(indices) == 2 and all(type(index) is int for index in indices)):
        raise ValueError("it does not name two tokens")
    for index in indices:
        if index not in tokens:
            raise ValueError(f"token {index} is not listed")
    base, quote = tokens[indices[0]], tokens[indices[1]]
    if base.wei_decimals < base.size_decimals:
        raise ValueError(f"a lot of {base.name} is smaller than its smallest balance")
    return Market(
        coin=Coin(_text(row, "name")),
        name=f"{base.name}/{quote.name}",
        asset=SPOT_ASSET_BASE + _whole(row, "index"),
        kind=MarketKind.SPOT,
        size_decimals=base.size_decimals,
        base=base,
        quote=quote,
    )


def _read_perps(
    metas: Mapping[str, Mapping[str, Any]],
    perp_dexs: Sequence[Any],
    tokens: Mapping[int, Token],
    quarantined: list[str],
) -> list[Market]:
    positions = _dex_positions(perp_dexs)
    markets = []
    for dex, meta in sorted(metas.items()):
        if dex not in positions:
            quarantined.append(f"perp dex {dex}: perpDexs does not list it")
            continue
        dex_position = positions[dex]
        asset_base = BUILDER_ASSET_BASE + BUILDER_ASSET_STRIDE * dex_position if dex_position else 0
        collateral = meta.get("collateralToken", 0) if isinstance(meta, Mapping) else None
        for position, row in enumerate(_rows(meta, "universe", f"meta of perp dex {dex!r}")):
            try:
                if collateral not in tokens:
                    raise ValueError(f"its collateral, token {collateral}, is not listed")
                markets.append(_perp_market(row, dex, asset_base + position, tokens[collateral]))
            except ValueError as error:
                quarantined.append(f"perp {_label(row)}: {error}")
    return markets


def _dex_positions(perp_dexs: Sequence[Any]) -> dict[str, int]:
    """Position of each dex by its name. The venue's own is the null at the start."""
    if not isinstance(perp_dexs, Sequence) or isinstance(perp_dexs, str):
        raise MetadataError(f"perpDexs must be a list, not {type(perp_dexs).__name__}")
    positions = {FIRST_DEX: 0}
    for position, row in enumerate(perp_dexs):
        if position > 0 and isinstance(row, dict) and isinstance(row.get("name"), str):
            positions.setdefault(row["name"], position)
    return positions


def _perp_market(row: Any, dex: str, asset: int, collateral: Token) -> Market:
    name = _text(row, "name")
    if dex and not name.startswith(f"{dex}:"):
        name = f"{dex}:{name}"
    return Market(
        coin=Coin(name),
        name=f"{name}-PERP",
        asset=asset,
        kind=MarketKind.PERP,
        size_decimals=_whole(row, "szDecimals"),
        base=None,
        quote=collateral,
        max_leverage=_whole(row, "maxLeverage") if row.get("maxLeverage") is not None else 1,
        is_delisted=bool(row.get("isDelisted")),
    )


def _without_twins(markets: Iterable[Market], quarantined: list[str]) -> list[Market]:
    """By asset id; of two markets with one wire name or asset id the first stays: orders must never be misrouted."""
    kept: list[Market] = []
    coins: set[Coin] = set()
    assets: set[int] = set()
    for market in sorted(markets, key=lambda market: (market.asset, market.coin)):
        if market.coin in coins or market.asset in assets:
            quarantined.append(f"market {market.coin}: its name or asset id {market.asset} is taken already")
            continue
        coins.add(market.coin)
        assets.add(market.asset)
        kept.append(market)
    return kept


# ---------------------------------------------------------------------------------------------------------------
# Names


def _name_index(markets: Sequence[Market], unit_indices: frozenset[int]) -> dict[str, tuple[Market, ...]]:
    """Every name a person may type -> the markets that answer to it, by asset id."""
    names: dict[str, tuple[Market, ...]] = {}

    def add(name: str, market: Market) -> None:
        if market not in names.get(name, ()):
            names[name] = (*names.get(name, ()), market)

    for market in markets:
        add(market.coin, market)
        add(market.name, market)
        if market.base is not None:
            add(market.base.name, market)
    taken = frozenset(names)
    for market in markets:
        if market.base is not None and market.base.index in unit_indices:
            alias = f"{market.base.name.removeprefix(_UNIT_PREFIX)}/{market.quote.name}"
            if alias not in taken:
                add(alias, market)
    return names


def _description(market: Market) -> str:
    kind = "the spot pair" if market.kind is MarketKind.SPOT else "the perp"
    return f"{kind} {market.coin} (asset {market.asset})"


# ---------------------------------------------------------------------------------------------------------------
# Fields


def _rows(reply: Any, key: str, what: str) -> list[Any]:
    rows = reply.get(key) if isinstance(reply, Mapping) else None
    if not isinstance(rows, list):
        raise MetadataError(f"{what} has no list of {key}")
    return rows


def _whole(row: Any, key: str) -> int:
    value = row.get(key) if isinstance(row, dict) else None
    if type(value) is not int or value < 0:  # bool is an int to isinstance.
        raise ValueError(f"{key} must be a whole number, not {value!r}")
    return value


def _text(row: Any, key: str) -> str:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} must be text, not {value!r}")
    return value


def _label(row: Any) -> str:
    """What to call a bad row: whatever identifies it."""
    if isinstance(row, dict):
        return str(row.get("name", row.get("index", "without a name")))[:40]
    return repr(row)[:40]
