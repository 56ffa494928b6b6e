"""Reading signed actions: JSON into values, and values into the form that is hashed.

The venue deserialises an action into its own structs and hashes what it serialises from them. So does this module:
unknown keys, another key order, `f: false` or trailing zeros change nothing of the meaning but make the hash, and
with it the recovered signer, another one (protocol 6, 8.1, 16.4).
"""

from __future__ import annotations

import re
from typing import Any

import attrs

from mmtrio.wire.decimals import scaled, wire_text

Json = dict[str, Any]

UNREADABLE = "Failed to deserialize the JSON body into the target type"

_ADDRESS = re.compile("0x[0-9a-fA-F]{40}")
_CLOID = re.compile("0x[0-9a-fA-F]{32}")
_TIFS = ("Alo", "Ioc", "Gtc", "FrontendMarket")
_GROUPINGS = ("na", "normalTpsl", "positionTpsl")
_U32, _U64 = 1 << 32, 1 << 64


class UnreadableBody(ValueError):
    """The body is not of the type the venue expects: HTTP 422, with this as plain text."""

    def __init__(self) -> None:
        super().__init__(UNREADABLE)


@attrs.frozen
class Trigger:
    """A stop or a take-profit. Read because it is part of the hash; this exchange refuses them."""

    is_market: bool
    trigger_text: str
    kind: str

    def canonical(self) -> Json:
        return {
            "isMarket": self.is_market,
            "triggerPx": _canonical_number(self.trigger_text),
            "tpsl": self.kind,
        }


@attrs.frozen
class OrderRequest:
    """One order to place. Prices and sizes in 10^-8, or None where their text is no such number."""

    asset: int
    is_buy: bool
    price_text: str
    size_text: str
    price_e8: int | None
    size_e8: int | None
    is_reduce_only: bool
    tif: str | None
    trigger: Trigger | None
    cloid: str | None

    def canonical(self) -> Json:
        kind = {"limit": {"tif": self.tif}} if self.trigger is None else {"trigger": self.trigger.canonical()}
        result: Json = {
            "a": self.asset,
            "b": self.is_buy,
            "p": self.price_text if self.price_e8 is None else wire_text(self.price_e8, 8),
            "s": self.size_text if self.size_e8 is None else wire_text(self.size_e8, 8),
            "r": self.is_reduce_only,
            "t": kind,
        }
        if self.cloid is not None:
            result["c"] = self.cloid
        return result


@attrs.frozen
class OrderAction:
    """Place orders."""

    orders: tuple[OrderRequest, ...]
    grouping: str | int
    """A name, or the fraction of `{"p": n}`."""
    builder: tuple[str, int] | None
    is_cancel = False

    @property
    def n_elements(self) -> int:
        return len(self.orders)

    def canonical(self) -> Json:
        grouping = {"p": self.grouping} if isinstance(self.grouping, int) else self.grouping
        result: Json = {"type": "order", "orders": [o.canonical() for o in self.orders], "grouping": grouping}
        if self.builder is not None:
            result["builder"] = {"b": self.builder[0], "f": self.builder[1]}
        return result


@attrs.frozen
class CancelAction:
    """Cancel by oid, or by cloid."""

    targets: tuple[tuple[int, int | str], ...]
    """(asset, oid or cloid)"""
    is_by_cloid: bool
    is_fast: bool
    is_cancel = True

    @property
    def n_elements(self) -> int:
        return len(self.targets)

    def canonical(self) -> Json:
        asset_key, target_key = ("asset", "cloid") if self.is_by_cloid else ("a", "o")
        result: Json = {
            "type": "cancelByCloid" if self.is_by_cloid else "cancel",
            "cancels": [{asset_key: asset, target_key: target} for asset, target in self.targets],
        }
        if self.is_fast:
            result["f"] = True
        return result


@attrs.frozen
class ModifyAction:
    """Replace resting orders: one with `modify`, some with `batchModify`."""

    modifies: tuple[tuple[int | str, OrderRequest], ...]
    """(oid or cloid of the order to replace, the new order)"""
    is_batch: bool
    is_always_place: bool
    is_cancel = False

    @property
    def n_elements(self) -> int:
        return len(self.modifies)

    def canonical(self) -> Json:
        rows = [{"oid": target, "order": order.canonical()} for target, order in self.modifies]
        result: Json = (
            {"type": "batchModify", "modifies": rows} if self.is_batch else {"type": "modify", **rows[0]}
        )
        if self.is_always_place:
            result["a"] = True
        return result


@attrs.frozen
class NoopAction:
    """Do nothing but burn the nonce."""

    n_elements = 1
    is_cancel = False

    def canonical(self) -> Json:
        return {"type": "noop"}


Action = OrderAction | CancelAction | ModifyAction | NoopAction


@attrs.frozen
class Envelope:
    """A whole /exchange body."""

    action: Action
    nonce: int
    signature: tuple[str, str, int]
    vault: str | None
    expires_after_ms: int | None


def read_envelope(body: object) -> Envelope:
    """Raises UnreadableBody where the venue would answer 422."""
    fields = _object(body)
    signature = _object(fields.get("signature"))
    vault = fields.get("vaultAddress")
    expires_after = fields.get("expiresAfter")
    return Envelope(
        action=read_action(fields.get("action")),
        nonce=read_integer(fields.get("nonce")),
        signature=(_text(signature.get("r")), _text(signature.get("s")), read_integer(signature.get("v"))),
        vault=None if vault is None else read_address(vault),
        expires_after_ms=None if expires_after is None else read_integer(expires_after),
    )


def read_action(value: object) -> Action:
    """Raises UnreadableBody where the venue would answer 422, for an action this exchange does not have as well."""
    fields = _object(value)
    match fields.get("type"):
        case "order":
            orders = tuple(_read_order(row) for row in _list(fields.get("orders")))
            return OrderAction(
                orders, _read_grouping(fields.get("grouping")), _read_builder(fields.get("builder"))
            )
        case "cancel":
            rows = [_object(row) for row in _list(fields.get("cancels"))]
            by_oid = tuple((read_integer(row.get("a"), _U32), read_integer(row.get("o"))) for row in rows)
            return CancelAction(by_oid, False, _flag(fields.get("f")))
        case "cancelByCloid":
            rows = [_object(row) for row in _list(fields.get("cancels"))]
            by_cloid = tuple(
                (read_integer(row.get("asset"), _U32), _read_cloid(row.get("cloid"))) for row in rows
            )
            return CancelAction(by_cloid, True, _flag(fields.get("f")))
        case "modify":
            return ModifyAction((_read_modify(fields),), False, _flag(fields.get("a")))
        case "batchModify":
            modifies = tuple(_read_modify(_object(row)) for row in _list(fields.get("modifies")))
            return ModifyAction(modifies, True, _flag(fields.get("a")))
        case "noop":
            return NoopAction()
    raise UnreadableBody


def read_address(value: object) -> str:
    """An address in lower case, as everything is hashed and kept. Raises UnreadableBody."""
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise UnreadableBody
    return value.lower()


def read_oid_or_cloid(value: object) -> int | str:
    """Raises UnreadableBody."""
    return _read_cloid(value) if isinstance(value, str) else read_integer(value)


def read_integer(value: object, below: int = _U64) -> int:
    """A number from zero up. Raises UnreadableBody."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < below:
        raise UnreadableBody
    return value


def _read_modify(fields: Json) -> tuple[int | str, OrderRequest]:
    return read_oid_or_cloid(fields.get("oid")), _read_order(fields.get("order"))


def _read_order(value: object) -> OrderRequest:
    fields = _object(value)
    price_text, size_text = _text(fields.get("p")), _text(fields.get("s"))
    tif, trigger = _read_order_type(_object(fields.get("t")))
    cloid = fields.get("c")
    return OrderRequest(
        asset=read_integer(fields.get("a"), _U32),
        is_buy=_boolean(fields.get("b")),
        price_text=price_text,
        size_text=size_text,
        price_e8=_number_e8(price_text),
        size_e8=_number_e8(size_text),
        is_reduce_only=_boolean(fields.get("r")),
        tif=tif,
        trigger=trigger,
        cloid=None if cloid is None else _read_cloid(cloid),
    )


def _read_order_type(fields: Json) -> tuple[str | None, Trigger | None]:
    if len(fields) != 1:  # An enum: exactly one of the two.
        raise UnreadableBody
    if "limit" in fields:
        tif = _object(fields["limit"]).get("tif")
        if tif not in _TIFS:
            raise UnreadableBody
        return tif, None
    trigger = _object(fields.get("trigger"))
    kind = trigger.get("tpsl")
    if kind not in ("tp", "sl"):
        raise UnreadableBody
    return None, Trigger(_boolean(trigger.get("isMarket")), _text(trigger.get("triggerPx")), kind)


def _read_grouping(value: object) -> str | int:
    if isinstance(value, dict):
        return read_integer(value.get("p"))
    if value not in _GROUPINGS:
        raise UnreadableBody
    return str(value)


def _read_builder(value: object) -> tuple[str, int] | None:
    if value is None:
        return None
    fields = _object(value)
    return read_address(fields.get("b")), read_integer(fields.get("f"))


def _read_cloid(value: object) -> str:
    if not isinstance(value, str) or not _CLOID.fullmatch(value):
        raise UnreadableBody
    return value.lower()


def _number_e8(text: str) -> int | None:
    try:
        return scaled(text, 8)
    except ValueError:
        return None


def _canonical_number(text: str) -> str:
    units = _number_e8(text)
    return text if units is None else wire_text(units, 8)


def _object(value: object) -> Json:
    if not isinstance(value, dict):
        raise UnreadableBody
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise UnreadableBody
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise UnreadableBody
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise UnreadableBody
    return value


def _flag(value: object) -> bool:
    """An option that is left out when false."""
    return False if value is None else _boolean(value)
