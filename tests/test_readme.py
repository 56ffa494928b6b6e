"""What README and architecture page promise: flags, files, names, ladders that trade, a program that runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
import trio

from mmtrio.cli.arguments import EXIT_CODES, RUN_EXAMPLES, _parsers
from mmtrio.cli.config import parse_settings
from mmtrio.core.market import Market, ten_to
from mmtrio.core.strategies.hip2 import Hip2
from mmtrio.core.strategy import View
from mmtrio.core.types import Amount, Instant, Side
from mmtrio.exchange.engine import Engine
from mmtrio.exchange.flow import FlowParams
from mmtrio.exchange.world import default_world
from mmtrio.live.config import MarketConfig
from mmtrio.wire.markets import build_catalog

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mmtrio"
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
_FLAG_ROW = re.compile(r"^\| `(?P<flag>--[a-z-]+)[^`]*` \| (?P<verbs>[a-z, ]*?) ?\|", re.MULTILINE)
_LOG_LINE = re.compile(
    r"^[0-9:.]+Z (?:INFO|WARNING|ERROR) (?P<logger>[\w.]+): (?P<message>.*)$", re.MULTILINE
)
_SCREEN_LINE = re.compile(r"^  (?P<label>[a-z]+) {2,}", re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


# The command line


def flags_of_verbs() -> dict[str, set[str]]:
    """Verb -> its flags; "" for those of the program itself."""
    program, verbs = _parsers()
    return {
        verb: {flag for flag in parser._option_string_actions if flag.startswith("--") and flag != "--help"}
        for verb, parser in {"": program, **verbs}.items()
    }


def test_the_table_of_flags_is_the_parsers() -> None:
    shown = {row["flag"]: set(filter(None, row["verbs"].split(", "))) for row in _FLAG_ROW.finditer(README)}
    there_are: dict[str, set[str]] = {}
    for verb, flags in flags_of_verbs().items():
        for flag in flags:
            there_are.setdefault(flag, set()).update({verb} - {""})

    assert shown == there_are


@pytest.mark.parametrize(
    "text", [README, ARCHITECTURE, CONFIGURATION], ids=["README", "architecture", "configuration"]
)
def test_each_flag_named_anywhere_exists(text: str) -> None:
    known = set().union(*flags_of_verbs().values()) | {"--help"}

    assert sorted(set(_FLAG.findall(text)) - known) == []


def test_the_exit_codes_are_those_of_the_help() -> None:
    shown = re.findall(r"^\| ([0-9]) \| (.*) \|$", README, re.MULTILINE)

    assert shown == re.findall(r"^  ([0-9])  (.*)$", EXIT_CODES, re.MULTILINE)


# The transcripts


def text_of(module: str) -> str:
    return (ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8")


@cache
def text_of_the_package() -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(PACKAGE.rglob("*.py")))


def transcript_lines(pattern: re.Pattern[str]) -> list[re.Match[str]]:
    return [line for block in blocks(README, "text") for line in pattern.finditer(block)]


def test_the_lines_shown_are_of_the_kind_the_program_writes() -> None:
    lines = transcript_lines(_LOG_LINE)
    assert len(lines) > 5
    for line in lines:
        assert f'"{line["logger"]}"' in text_of_the_package(), line["logger"]
        words = [f"{key}=" for key in re.findall(r"(\w+)=", line["message"])]
        words += re.findall(
            r"^(?:quoting \w+|clean-up proven|order ended|fill|place|cancel)\b", line["message"]
        )
        assert [word for word in words if word not in text_of_the_package()] == [], line.group()


def test_the_labels_shown_are_those_of_the_screens() -> None:
    labels = [line["label"] for line in transcript_lines(_SCREEN_LINE)]

    assert len(labels) >= 8
    assert [label for label in labels if f"  {label}  " not in text_of("mmtrio.cli.screen")] == []


# The configurations shown


def help_example() -> str:
    """The configuration in the help of `trio-mm run`, which is indented there."""
    return "\n".join(line.strip() for line in RUN_EXAMPLES[RUN_EXAMPLES.index("  [market]") :].splitlines())


def hype() -> tuple[Market, Decimal]:
    """The local exchange's HYPE/USDC, and what it costs at the start."""
    world = default_world()
    engine = Engine(world)
    metadata = [engine.info({"type": kind}, 0) for kind in ("spotMeta", "meta")]
    market = build_catalog(metadata[0], {"": metadata[1]}, [None]).resolve("HYPE/USDC")
    return market, market.price(world.market("HYPE/USDC").reference_ticks)


def amount_of(config: MarketConfig, market: Market) -> tuple[Amount, Amount]:
    assert (
        market.base is not None and config.allocated_token is not None and config.allocated_usdc is not None
    )
    return tuple(
        Amount(token, int(value * ten_to(token.wei_decimals)))
        for token, value in ((market.base, config.allocated_token), (market.quote, config.allocated_usdc))
    )


@pytest.mark.parametrize(
    "example",
    [*blocks(README, "toml"), *blocks(CONFIGURATION, "toml"), help_example()],
    ids=["README", "configuration", "help"],
)
def test_each_ladder_shown_quotes_both_sides_inside_the_spread_of_the_local_exchange(example: str) -> None:
    (config,) = parse_settings(example, "mm.toml").market_configs()
    market, price = hype()
    base, quote = amount_of(config, market)

    quotes = Hip2(market, config.hip2).quote(View(market, Instant(0, 0), base, quote))

    half_spread = Decimal(str(FlowParams().maker_half_spread))
    prices = {
        side: [market.price(order.price_ticks) for order in quotes.orders if order.side is side]
        for side in Side
    }
    assert len(prices[Side.BUY]) == len(prices[Side.SELL]) == config.hip2.active_levels
    assert (
        price * (1 - half_spread) < max(prices[Side.BUY]) < min(prices[Side.SELL]) < price * (1 + half_spread)
    )


# The program shown


@pytest.mark.contract
def test_the_program_shown_runs_and_leaves_no_order(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = blocks(README, "python")
    namespace: dict[str, object] = {"__name__": "shown"}
    exec(compile(program, "README.md", "exec"), namespace)

    async def run_shortly() -> None:
        with trio.fail_after(40):
            await namespace["main"](1.0)  # type: ignore[operator]

    trio.run(run_shortly)

    assert re.fullmatch(r"[0-9]+ fills, -?[0-9.]+ USDC, 0 orders left\n", capsys.readouterr().out)


# Files and names


def listed_files() -> Iterator[str]:
    """Each file in the list of rings, as a path under the package."""
    ring = ""
    for line in "\n".join(blocks(ARCHITECTURE, "text")).splitlines():
        if head := re.match(r"(\w+)/(?:\s|$)", line):
            ring = head[1]
        elif ring and line.startswith("  "):
            yield from (f"{ring}/{name}" for name in re.findall(r"[\w/]+\.py", line))
        elif line.strip():
            ring = ""


def test_the_list_of_files_is_the_package() -> None:
    listed = list(listed_files())
    there_are = {
        str(file.relative_to(PACKAGE)) for file in PACKAGE.glob("*/**/*.py") if file.name != "__init__.py"
    }

    assert sorted(there_are - set(listed)) == [], (
        "say in one line of docs/architecture.md what this file is for"
    )
    assert sorted(set(listed) - there_are) == [], "docs/architecture.md lists files that are gone"
    assert len(set(listed)) == len(listed)


def test_each_path_named_exists() -> None:
    folders = "|".join(
        sorted({file.parent.name for file in PACKAGE.rglob("*.py")} | {"tests", "docs", "scripts"})
    )
    paths = set(re.findall(rf"`((?:{folders})/[\w./]*)`", README + ARCHITECTURE))

    assert len(paths) > 20
    assert sorted(path for path in paths if not any((base / path).exists() for base in (ROOT, PACKAGE))) == []


@cache
def names_in_the_code() -> frozenset[str]:
    """What is defined or used in the package, and the words of its texts."""
    found: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    found.add(node.name)
                case ast.Name():
                    found.add(node.id)
                case ast.Attribute():
                    found.add(node.attr)
                case ast.arg() | ast.keyword() if node.arg is not None:
                    found.add(node.arg)
                case ast.Constant() if isinstance(node.value, str):
                    found.update(re.findall(r"\w+", node.value))
    return frozenset(found)


def test_each_name_in_the_architecture_is_in_the_code() -> None:
    quoted = re.findall(r"`([A-Za-z_][\w.]*)(?:\([^`]*\))?`", ARCHITECTURE)
    trees = [
        line.split("  ")[0]
        for block in blocks(ARCHITECTURE, "text")
        for line in re.findall(r"[├└]─ (.*)", block)
    ]
    names = {part for name in quoted if not name.endswith(".md") for part in name.split(".")}
    names |= {word for text in trees for word in re.findall(r"[a-z_A-Z]+_[a-z_]+|LocalVenue", text)}

    assert len(names) > 60
    assert sorted(name for name in names if name not in names_in_the_code()) == []


def test_each_task_in_the_tree_is_started_under_that_name() -> None:
    package = text_of_the_package()

    for name in (
        "gateway",
        "gateway/batch ",
        "account reading",
        "reconcile",
        "reconcile/order",
        "tick",
        "watchdog",
    ):
        assert re.search(rf'name=f?"{name}', package), name
        assert name.strip() in ARCHITECTURE
    for name in (
        "utilisation",
        "clean-up/query",
        "keep_session: ",
        "session/transport",
        "session/read",
        "session/watch ",
    ):
        assert re.search(rf'name=f?"{name}', package), name
        assert name.strip(": ").removeprefix("session/") in ARCHITECTURE


def test_each_decision_is_in_the_index_under_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")

    for file in sorted(folder.glob("0*.md")):
        number, _, title = file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ").partition(" ")
        assert f"| [{number}]({file.name}) | {title} |" in index
