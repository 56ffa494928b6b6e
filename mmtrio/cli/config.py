"""A TOML file -> the frozen parameter classes of the rings below. All mistakes of a file are told at once.

Every complaint names the file, the line, the key, what is allowed and, for a key that does not exist, the nearest
one that does.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from mmtrio.cli.config_tables import (
    OTHER_NAMES,
    TABLES,
    AccountTable,
    LimitsTable,
    MarketTable,
    RunTable,
    VenueTable,
)
from mmtrio.cli.config_values import Parser, shown
from mmtrio.cli.toml_lines import KeyPath, TomlLines
from mmtrio.core.batch_emitter import EmitterParams
from mmtrio.core.liveness import LivenessParams
from mmtrio.core.order_differ import DifferParams
from mmtrio.core.rate_limit import BudgetParams
from mmtrio.core.strategies.hip2 import Hip2Params
from mmtrio.live.config import AccountConfig, MakerConfig, MarketConfig, Network
from mmtrio.live.errors import ConfigurationError

MISTAKES_SHOWN_MAX = 10
FILE_BYTES_MAX = 1024 * 1024


@attrs.frozen
class Settings:
    """What a configuration file says, before the command line and the defaults of `local` complete it."""

    markets: tuple[MarketTable, ...] = ()
    account: AccountTable = attrs.field(factory=AccountTable)
    venue: VenueTable = attrs.field(factory=VenueTable)
    run: RunTable = attrs.field(factory=RunTable)
    limits: LimitsTable = attrs.field(factory=LimitsTable)
    file: str = ""
    lines: TomlLines | None = None
    """Where each key stands: for what only the venue's metadata, or a key file, can show to be wrong."""
    market_paths: tuple[KeyPath, ...] = ()

    def place_of(self, text: str) -> str | None:
        """`mm.toml:3`, the line that a complaint about this configuration is about: that of the key it names, in the
        market it names, or of that market's table; None where it names nothing of the file."""
        if self.lines is None:
            return None
        for field in attrs.fields(AccountTable):
            if re.search(rf"\b({field.name}|{field.name.replace('_', ' ')})\b", text):
                line = self.lines.of(("account", field.name))
                if line is not None:
                    return f"{self.file}:{line}"
        for market, path in zip(self.markets, self.market_paths, strict=True):
            if market.coin in text or len(self.markets) == 1:
                return f"{self.file}:{self._line_in_market(path, text)}"
        return None

    def _line_in_market(self, path: KeyPath, text: str) -> int | None:
        """Of the key that the text names first; `coin` where it names none."""
        assert self.lines is not None
        named = [
            (found.start(), field.name)
            for field in attrs.fields(MarketTable)
            if (found := re.search(rf"\b{field.name}\b", text)) and field.name != "coin"
        ]
        return self.lines.of((*path, min(named)[1] if named else "coin"))

    def market_configs(self) -> tuple[MarketConfig, ...]:
        """The markets as the rings below take them."""
        return tuple(_market_config(table) for table in self.markets)

    def maker_config(
        self,
        network: Network,
        base_url: str,
        markets: tuple[MarketConfig, ...],
        account: AccountConfig,
        **more: Any,
    ) -> MakerConfig:
        """The whole configuration, where those four are known. `more` overrides keys of [run] and adds to them."""
        run = {field.name: getattr(self.run, field.name) for field in attrs.fields(RunTable)}
        limits = self.limits
        return MakerConfig(
            network=network,
            base_url=base_url,
            markets=markets,
            account=account,
            emitter=EmitterParams(
                items_per_tick_max=limits.items_per_tick_max,
                expires_after_s=limits.expires_after_s,
                cooldown_s=limits.cooldown_s,
            ),
            budget=BudgetParams(address_reserve=limits.address_reserve),
            liveness=LivenessParams(silence_max_s=limits.silence_max_s, pull_after_s=limits.pull_after_s),
            **(run | more),
        )


def _market_config(table: MarketTable) -> MarketConfig:
    return MarketConfig(
        coin=table.coin,
        hip2=Hip2Params(
            start_px=table.start_px,
            n_orders=table.n_orders,
            order_sz=table.order_sz,
            spacing=table.spacing,
            rounding=table.rounding,
            n_seeded_levels=table.n_seeded_levels,
            active_levels=table.active_levels,
            min_notional=table.min_notional,
        ),
        strategy=table.strategy,
        allocated_token=table.allocated_token,
        allocated_usdc=table.allocated_usdc,
        differ=DifferParams(
            dead_zone_bps=table.dead_zone_bps,
            price_tolerance_bps=table.price_tolerance_bps,
            size_tolerance_pct=table.size_tolerance_pct,
        ),
        require_market_data=table.require_market_data,
    )


def load_settings(path: Path) -> Settings:
    """Read a configuration file.

    Raises:
        ConfigurationError: it cannot be read, is no TOML, or holds mistakes; all of them are named, up to ten.
    """
    return parse_settings(_read(path), str(path), relative_to=path.parent)


def parse_settings(text: str, file: str, *, relative_to: Path = Path()) -> Settings:
    """As `load_settings`, of a text. Relative key files are looked for in the folder `relative_to`."""
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise ConfigurationError(_not_toml(file, error)) from None
    lines = TomlLines(text)
    mistakes = _Mistakes(file, lines)
    tables = _tables(document, mistakes)
    parsed = [(path, _structure(path, table, mistakes)) for path, table in tables]
    markets = [(path, table) for path, table in parsed if isinstance(table, MarketTable)]
    for number, (path, table) in enumerate(markets):
        _check_market(path, table, [other.coin for _, other in markets[:number]], mistakes)
    others = {str(path[0]): table for path, table in parsed if table is not None and path[0] != "market"}
    account = others.get("account")
    if isinstance(account, AccountTable):
        others["account"] = _checked_account(account, document["account"], relative_to, mistakes)
    mistakes.raise_any()
    return Settings(
        markets=tuple(table for _, table in markets),
        file=file,
        lines=lines,
        market_paths=tuple(path for path, _ in markets),
        **others,
    )


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no configuration file {path}. Check the path; `trio-mm run --help` shows an example, and "
            f"without --config a default market on the local exchange is traded."
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path} is a folder: --config takes a TOML file in it.") from None
    except OSError as error:
        raise ConfigurationError(f"the configuration file {path} cannot be read: {error.strerror}.") from None
    if len(content) > FILE_BYTES_MAX:
        raise ConfigurationError(f"{path} is larger than {FILE_BYTES_MAX} bytes: is it a configuration file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: this is not UTF-8 text. Save the file as UTF-8.") from None


def _not_toml(file: str, error: Exception) -> str:
    place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
    what = re.sub(r"\s*\(at [^)]*\)", "", str(error)) or "nested too deeply"
    where = f"{file}:{place[1]}:{place[2]}" if place else file
    return (
        f"{where}: this is not TOML: {shown(what).strip(chr(34))}. Text stands in quotes, tables in brackets: "
        f'[market], then coin = "HYPE/USDC".'
    )


class _Mistakes:
    """Collects complaints in the order of their lines."""

    def __init__(self, file: str, lines: TomlLines) -> None:
        self._file = file
        self._lines = lines
        self._found: list[tuple[int, str]] = []

    def add(self, path: KeyPath, text: str) -> None:
        line = self._lines.of(path) or 1
        self._found.append((line, f"{self._file}:{line}: {text}"))

    def raise_any(self) -> None:
        if not self._found:
            return
        texts = [text for _, text in sorted(self._found, key=lambda found: found[0])]
        if len(texts) == 1:
            raise ConfigurationError(texts[0])
        head = f"{self._file} has {len(texts)} mistakes:"
        if len(texts) > MISTAKES_SHOWN_MAX:
            head = (
                f"{self._file} has {len(texts)} mistakes, of which these are the first {MISTAKES_SHOWN_MAX}:"
            )
        raise ConfigurationError("\n  ".join([head, *texts[:MISTAKES_SHOWN_MAX]]))


def _tables(document: dict[str, Any], mistakes: _Mistakes) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """(path, content) of every table with a known name."""
    for name, content in document.items():
        if name not in TABLES:
            mistakes.add((name,), _no_such_table(name, content))
        elif isinstance(content, dict):
            yield (name,), content
        elif (
            name == "market"
            and isinstance(content, list)
            and all(isinstance(entry, dict) for entry in content)
        ):
            yield from (((name, number), entry) for number, entry in enumerate(content))
        elif isinstance(content, list):
            mistakes.add((name,), f"[[{name}]] may not be repeated: write [{name}], once.")
        else:
            mistakes.add(
                (name,), f"{name} is a table: write [{name}] on a line of its own, and its keys below."
            )


def _no_such_table(name: str, content: Any) -> str:
    if not isinstance(content, dict | list):
        home = _home_of(name)
        if home is not None:
            return f"{name} stands outside of any table: it belongs below [{home}]."
        return f"there is no key {name!r} outside of a table. The tables are {_all_tables()}."
    near = get_close_matches(name, list(TABLES), n=1, cutoff=0.5)
    hint = f" Did you mean [{near[0]}]?" if near else ""
    return f"there is no table [{name}].{hint} The tables are {_all_tables()}."


def _all_tables() -> str:
    return ", ".join(f"[{name}]" for name in TABLES)


def _home_of(key: str) -> str | None:
    return next((name for name, table in TABLES.items() if key in attrs.fields_dict(table)), None)


# Tables become classes


def _hook(parser: Parser) -> Callable[[Any, Any], Any]:
    return lambda value, _type: parser(value)


def _converter() -> cattrs.Converter:
    """Structures the tables. Each key is read by its own parser; keys that do not exist are errors."""
    converter = cattrs.Converter(detailed_validation=True)
    for table in TABLES.values():
        hooks = {
            field.name: override(struct_hook=_hook(field.metadata["parser"])) for field in attrs.fields(table)
        }
        converter.register_structure_hook(
            table,
            make_dict_structure_fn(table, converter, _cattrs_forbid_extra_keys=True, **hooks),  # type: ignore[arg-type]
        )
    return converter


_CONVERTER = _converter()


def _structure(path: KeyPath, content: dict[str, Any], mistakes: _Mistakes) -> Any:
    """The table as its class, or None where it has mistakes, which are noted."""
    name = str(path[0])
    try:
        return _CONVERTER.structure(content, TABLES[name])
    except cattrs.ClassValidationError as group:
        noted, others = group.group_exceptions()
        unknown = [key for error in others for key in sorted(_extra_keys(error))]
        meant = {_nearest_key(name, key) for key in unknown}
        for error, note in noted:
            key = note.name
            if isinstance(error, KeyError):
                if key in meant:  # It is there, mistyped, and that is told below.
                    continue
                mistakes.add(path, f"[{name}] lacks {key}: it {_meaning(name, key)}.")
            else:
                mistakes.add((*path, key), f"[{name}] {key} {_sentence(str(error))}")
        for key in unknown:
            mistakes.add((*path, key), _no_such_key(name, key))
        return None


def _extra_keys(error: Exception) -> set[str]:
    assert isinstance(error, cattrs.ForbiddenExtraKeysError), error
    return error.extra_fields


def _nearest_key(table: str, key: str) -> str | None:
    """The key of this table that somebody who wrote `key` probably meant."""
    keys = list(attrs.fields_dict(TABLES[table]))
    return next(iter(get_close_matches(key, keys, n=1, cutoff=0.5)), None)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."


def _meaning(table: str, key: str) -> str:
    """What a missing key must be, in the words of its own parser."""
    try:
        attrs.fields_dict(TABLES[table])[key].metadata["parser"](None)
    except ValueError as error:
        return str(error).removesuffix(", not None")
    raise AssertionError(f"[{table}] {key} takes nothing for a value")


def _no_such_key(table: str, key: str) -> str:
    if key in OTHER_NAMES:
        return f"[{table}] has no key {key!r}: {OTHER_NAMES[key]}."
    home = _home_of(key)
    if home is not None:
        return f"[{table}] has no key {key!r}: it belongs below [{home}]."
    near = _nearest_key(table, key)
    hint = f"did you mean {near}?" if near else f"its keys are {', '.join(attrs.fields_dict(TABLES[table]))}."
    return f"[{table}] has no key {shown(key)[1:-1]!r}: {hint}"


# What only several keys together can get wrong


def _check_market(path: KeyPath, table: MarketTable, earlier: list[str], mistakes: _Mistakes) -> None:
    if table.coin in earlier:
        mistakes.add(
            (*path, "coin"), f"[market] coin {shown(table.coin)} appears twice: give each market one table."
        )
    if table.n_seeded_levels > table.n_orders:
        mistakes.add(
            (*path, "n_seeded_levels"),
            f"[market] n_seeded_levels must not exceed n_orders ({table.n_orders}), not {table.n_seeded_levels}.",
        )
    if table.strategy != "hip2":
        mistakes.add((*path, "strategy"), f'[market] strategy must be "hip2", not {shown(table.strategy)}.')


def _checked_account(
    account: AccountTable, given: dict[str, Any], folder: Path, mistakes: _Mistakes
) -> AccountTable:
    sources = [key for key in ("key_file", "key_descriptor", "development_account") if key in given]
    if len(sources) > 1:
        several = " and ".join(sources)
        mistakes.add(("account", sources[1]), f"[account] has {several}: a key comes from one place only.")
    if account.key_file is None:
        return account
    return attrs.evolve(account, key_file=folder / account.key_file)
