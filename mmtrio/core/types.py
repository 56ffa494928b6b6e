"""The words every ring shares: sides, identities, instants and exact amounts.

Money is integers. A price is `price_ticks`, a size is `size_lots`, a balance is an `Amount` of one token. Decimal
text exists only in `mmtrio.wire`, floats nowhere near money.
"""

from __future__ import annotations

import enum
import hashlib
from typing import NewType

import attrs

Coin = NewType("Coin", str)
"""A market's name on the wire: `PURR/USDC`, `@107`, `BTC`, `xyz:SP500`. Never the name a person would type."""

Cloid = NewType("Cloid", str)
"""A client order id: `0x` and 32 lower-case hex digits. The identity of one order on the venue (D5)."""

Address = NewType("Address", str)
"""An account: `0x` and 40 lower-case hex digits. Always the account's, never its agent's."""


class Side(enum.Enum):
    """The side of an order. The value is the venue's letter."""

    BUY = "B"
    SELL = "A"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 where a fill adds base, -1 where it takes base away."""
        return 1 if self is Side.BUY else -1


@attrs.frozen(order=True)
class Instant:
    """When something happened, on two clocks (D1).

    `mono_ns` is for ages, deadlines, cool-downs and order; it never steps. `wall_ms` is for records only.
    """

    mono_ns: int
    wall_ms: int

    def age_s(self, earlier: Instant) -> float:
        """Seconds since `earlier`, by the monotone clock."""
        return (self.mono_ns - earlier.mono_ns) / 1e9

    def plus_s(self, seconds: float) -> Instant:
        return Instant(self.mono_ns + round(seconds * 1e9), self.wall_ms + round(seconds * 1e3))


@attrs.frozen
class Token:
    """A spot token as `spotMeta` describes it. Tokens are one if their `index` is one."""

    index: int
    name: str = attrs.field(eq=False)
    size_decimals: int = attrs.field(eq=False)
    wei_decimals: int = attrs.field(eq=False)


@attrs.frozen
class Amount:
    """An exact amount of one token, in units of 10^-wei_decimals. Adding two tokens is a TypeError."""

    token: Token
    units: int

    def __add__(self, other: Amount) -> Amount:
        self._require_same_token(other)
        return Amount(self.token, self.units + other.units)

    def __sub__(self, other: Amount) -> Amount:
        self._require_same_token(other)
        return Amount(self.token, self.units - other.units)

    def __neg__(self) -> Amount:
        return Amount(self.token, -self.units)

    def __lt__(self, other: Amount) -> bool:
        self._require_same_token(other)
        return self.units < other.units

    def __le__(self, other: Amount) -> bool:
        self._require_same_token(other)
        return self.units <= other.units

    def _require_same_token(self, other: Amount) -> None:
        if not isinstance(other, Amount) or other.token != self.token:
            raise TypeError(f"amounts of two tokens: {self!r} and {other!r}")


@attrs.frozen(order=True)
class SlotKey:
    """What an order is for (D2): the place in a strategy's picture that it fills. At most one live order per slot."""

    strategy: str
    coin: Coin
    side: Side = attrs.field(order=lambda side: side.value)
    slot: int


CLOID_PREFIX = "7470"
"""The first two bytes of every cloid of ours (D5)."""


def instance_tag(network: str, account: Address, instance: str) -> str:
    """Four bytes of hex naming one instance of the bot: orders carrying another tag are not ours (D5)."""
    digest = hashlib.sha256(f"{network}|{account.lower()}|{instance}".encode()).hexdigest()
    return digest[:8]


@attrs.define
class CloidSource:
    """Hands out the cloids of one run: prefix (2 bytes) | instance (4) | run (5) | counter (5).

    `instance` is an `instance_tag`. `run_ms` is the wall clock at start; two runs of one instance never share it, so
    their cloids differ.
    """

    instance: str = attrs.field(validator=attrs.validators.matches_re(r"[0-9a-f]{8}"))
    run_ms: int
    _counter: int = 0

    def next(self) -> Cloid:
        self._counter += 1
        run = self.run_ms % (1 << 40)
        return Cloid(f"0x{CLOID_PREFIX}{self.instance}{run:010x}{self._counter:010x}")

    def is_ours(self, cloid: Cloid | None) -> bool:
        """True for a cloid of this instance, of this run or an earlier one."""
        return cloid is not None and cloid.startswith(f"0x{CLOID_PREFIX}{self.instance}")

    def is_this_run(self, cloid: Cloid | None) -> bool:
        run = self.run_ms % (1 << 40)
        return cloid is not None and cloid.startswith(f"0x{CLOID_PREFIX}{self.instance}{run:010x}")
