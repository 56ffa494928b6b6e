"""What the account owns, token by token, and which market may use how much of it.

Fills move balances exactly, in token units; nothing else does (D6). The venue's own balances are compared with ours,
and a difference counts only when two reads agree on it with nothing moving between them (D4): then the venue is
right, and says so in a note.

Each market has an *allocation* of its two tokens. A market with a cap uses up to the cap; the others share equally
what the capped ones leave. A market's own fills move its own allocation, so one market's trading is not another's
gain, until the venue's balances force a new division.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import attrs

from mmtrio.core.events import BalancesRead, Fill, Mismatch, MismatchKind, Note, Remark
from mmtrio.core.market import Market, MarketKind
from mmtrio.core.types import Amount, Coin, Instant, Side, Token


@attrs.frozen
class AllocationCaps:
    """How much of each token a market may use at the start. None: an equal share of what the capped ones leave."""

    base: Amount | None = None
    quote: Amount | None = None


@attrs.define
class _Claim:
    """One market's part in one token."""

    coin: Coin
    token: Token
    is_capped: bool
    entitled_units: int = 0
    """Capped only: the cap, moved by every fill. What is granted may be less, while the account has less."""
    granted_units: int = 0

    def move(self, units: int) -> None:
        self.entitled_units += units
        self.granted_units += units


@attrs.frozen
class _Drift:
    """A difference between the venue and us that one read has shown."""

    units: int
    seen_at: Instant
    moves: int
    """How often fills had moved the token by then."""


class Inventory:
    """Balances by token and allocations by market. Unknown until the first `rebase`.

    `markets` are those we trade, in the order in which caps are served; `other_markets` are known, so that a fill
    there (somebody trades the account by hand) moves the right tokens.

    Raises:
        ValueError: a market is a perp or appears twice, or a cap is negative, of another token, or of a market that
            is not traded.
    """

    def __init__(
        self,
        markets: Sequence[Market],
        caps: Mapping[Coin, AllocationCaps],
        *,
        other_markets: Iterable[Market] = (),
        rest_lag_s: float = 2.0,
    ) -> None:
        self.markets = tuple(markets)
        """Those we trade."""
        self.fills_booked = 0
        """Fills that moved balances."""
        self.fills_unattributed = 0
        """Fills of markets unknown to us: what they moved will show as drift."""
        self._rest_lag_s = rest_lag_s
        self._is_known = False
        self._totals: dict[int, int] = {}
        self._tokens: dict[int, Token] = {}
        self._markets: dict[Coin, Market] = {market.coin: market for market in other_markets}
        self._claims: dict[int, list[_Claim]] = {}
        self._claims_of: dict[Coin, tuple[_Claim, _Claim]] = {}
        self._moves: dict[int, int] = {}
        self._drifts: dict[int, _Drift] = {}
        for coin in caps:
            if all(market.coin != coin for market in markets):
                raise ValueError(f"an allocation cap for {coin}, which is not traded")
        for market in markets:
            self._add_market(market, caps.get(market.coin, AllocationCaps()))
        for market in self._markets.values():
            for token in (market.base, market.quote):
                if token is not None:
                    self._tokens[token.index] = token

    # What is asked

    @property
    def is_known(self) -> bool:
        """False until the first `rebase`."""
        return self._is_known

    @property
    def wants_confirmation(self) -> bool:
        """The venue has shown another balance than ours; a second read is to confirm or disperse it."""
        return bool(self._drifts)

    @property
    def in_doubt_since(self) -> Instant | None:
        """When the oldest difference was first seen that waits for its second witness; None without one."""
        return min((drift.seen_at for drift in self._drifts.values()), default=None)

    def market_of(self, coin: Coin) -> Market | None:
        """The market of that name, traded by us or only known; None for one never heard of."""
        return self._markets.get(coin)

    def total(self, token_index: int) -> int:
        """Units of a token that the account owns, holds included. 0 for a token it has never had."""
        return self._totals.get(token_index, 0)

    def allocated(self, coin: Coin) -> tuple[Amount, Amount]:
        """(base, quote) that this market may spread over its levels. Nothing while balances are unknown."""
        base, quote = self._claims_of[coin]
        return Amount(base.token, base.granted_units), Amount(quote.token, quote.granted_units)

    def dust(self, coin: Coin) -> Amount:
        """The part of a market's base that is less than one lot, so owned but not for sale."""
        base, _quote = self.allocated(coin)
        return self._markets[coin].dust_in(base)

    # What moves balances

    def book_fill(self, fill: Fill) -> None:
        """Move balances by one fill: exact, its fee in whatever token it was taken. Each fill once: no dedupe here.

        Before the first `rebase` nothing moves: the read to come holds this fill already. A perp's fills move no
        token.
        """
        market = self._markets.get(fill.coin)
        if market is None:
            self.fills_unattributed += 1
            return
        if not self._is_known or market.kind is MarketKind.PERP:
            return
        self.fills_booked += 1
        deltas = _deltas(market, fill)
        own_claims = {claim.token.index: claim for claim in self._claims_of.get(fill.coin, ())}
        for token, units in deltas.items():
            self._totals[token] = self.total(token) + units
            self._moves[token] = self._moves.get(token, 0) + 1
            if token in own_claims:
                own_claims[token].move(units)
                if not self._is_sound(token):
                    self._share(token)
            else:
                self._share(token)  # Nobody's own trade: the new total is divided anew.

    def rebase(self, read: BalancesRead, at: Instant) -> tuple[Note, ...]:
        """Accept a read as the truth, and divide it among the markets. `at` is when it is accepted.

        The notes name caps that the account cannot fill and, on any but the first time, every balance that changed.
        """
        read_units = {token: balance.total_units for token, balance in read.by_token.items()}
        notes: list[Note] = []
        if self._is_known:
            for token in sorted(read_units.keys() | self._totals.keys()):
                ours, theirs = self.total(token), read_units.get(token, 0)
                if ours != theirs:
                    notes.append(Remark(f"re-based {self._difference_text(token, ours, theirs)}"))
        self._totals = read_units
        self._is_known = True
        self._drifts.clear()
        for token in self._claims:
            self._share(token)
            notes.extend(self._unmet_caps(token))
        return tuple(notes)

    def observe(self, read: BalancesRead, at: Instant, *, is_quiet: bool) -> tuple[Note, ...]:
        """Compare a read with our own balances; re-base a token whose difference is confirmed (D4).

        Confirmed is a difference that two reads at least `rest_lag_s` apart agree on, both read while no order's
        state was unknown or in flight (`is_quiet`), with no fill of that token between. A read that is not quiet
        proves nothing, either way.

        Returns:
            A Mismatch for each token that was re-based.
        """
        if not self._is_known or not is_quiet:
            return ()
        seen_at = read.requested_at if read.requested_at is not None else at
        read_units = {token: balance.total_units for token, balance in read.by_token.items()}
        notes: list[Note] = []
        for token in sorted(read_units.keys() | self._totals.keys()):
            theirs = read_units.get(token, 0)
            first = self._drifts.get(token)
            seen = _Drift(theirs - self.total(token), seen_at, self._moves.get(token, 0))
            if seen.units == 0:
                self._drifts.pop(token, None)
            elif first is None or (first.units, first.moves) != (seen.units, seen.moves):
                self._drifts[token] = seen
            elif seen_at.age_s(first.seen_at) >= self._rest_lag_s:
                notes.append(self._believe_venue(token, theirs, seen_at.age_s(first.seen_at)))
        return tuple(notes)

    def _believe_venue(self, token: int, units: int, apart_s: float) -> Mismatch:
        text = self._difference_text(token, self.total(token), units)
        self._totals[token] = units
        del self._drifts[token]
        self._share(token)
        return Mismatch(MismatchKind.BALANCE_DRIFT, f"{text}, in two reads {apart_s:.1f} s apart")

    # Allocations

    def _add_market(self, market: Market, caps: AllocationCaps) -> None:
        if market.base is None:
            raise ValueError(f"{market.coin}: a perp has a position and margin, not an inventory of tokens")
        if market.coin in self._claims_of:
            raise ValueError(f"{market.coin} is listed twice")
        self._markets[market.coin] = market
        self._claims_of[market.coin] = (
            self._add_claim(market, market.base, caps.base),
            self._add_claim(market, market.quote, caps.quote),
        )

    def _add_claim(self, market: Market, token: Token, cap: Amount | None) -> _Claim:
        if cap is not None and (cap.token != token or cap.units < 0):
            raise ValueError(f"{market.coin}: a cap of {token.name} is an amount of it, 0 or more, not {cap}")
        claim = _Claim(market.coin, token, is_capped=cap is not None, entitled_units=cap.units if cap else 0)
        self._claims.setdefault(token.index, []).append(claim)
        return claim

    def _is_sound(self, token: int) -> bool:
        """No market owes, and together they have no more than there is."""
        granted = [claim.granted_units for claim in self._claims[token]]
        return min(granted) >= 0 and sum(granted) <= self.total(token)

    def _share(self, token: int) -> None:
        """Divide a token's total: capped claims first, in the order of the markets, then equal shares of the rest.

        Units that do not divide go to the first markets, one each.
        """
        claims = self._claims.get(token, [])
        left = max(0, self.total(token))
        sharing = []
        for claim in claims:
            if claim.is_capped:
                claim.granted_units = min(max(0, claim.entitled_units), left)
                left -= claim.granted_units
            else:
                sharing.append(claim)
        for position, claim in enumerate(sharing):
            claim.granted_units = left // len(sharing) + (1 if position < left % len(sharing) else 0)

    def _unmet_caps(self, token: int) -> list[Note]:
        return [
            Remark(
                f"{claim.coin} may use {_text(claim.token, claim.entitled_units)}, but only "
                f"{_text(claim.token, claim.granted_units)} is there for it",
                is_warning=True,
            )
            for claim in self._claims[token]
            if claim.is_capped and claim.granted_units < claim.entitled_units
        ]

    def _difference_text(self, token: int, ours: int, theirs: int) -> str:
        known = self._tokens.get(token)
        if known is None:
            return f"token {token}: the venue has {theirs} units, we had {ours} ({theirs - ours:+})"
        sign = "+" if theirs >= ours else "-"
        return (
            f"{known.name}: the venue has {_text(known, theirs)}, we had {_text(known, ours)} "
            f"({sign}{_text(known, abs(theirs - ours))})"
        )


def _deltas(market: Market, fill: Fill) -> dict[int, int]:
    """Units by which a spot fill moves each token, fee included."""
    size = market.base_amount(fill.size_lots)
    if fill.side is Side.BUY:
        cost = market.quote_amount(fill.price_ticks, fill.size_lots)
        deltas = {size.token.index: size.units, cost.token.index: -cost.units}
    else:
        proceeds = market.quote_received(fill.price_ticks, fill.size_lots)
        deltas = {size.token.index: -size.units, proceeds.token.index: proceeds.units}
    if fill.fee_units:
        deltas[fill.fee_token] = deltas.get(fill.fee_token, 0) - fill.fee_units
    return deltas


def _text(token: Token, units: int) -> str:
    return f"{Decimal(units).scaleb(-token.wei_decimals).normalize():f} {token.name}"
