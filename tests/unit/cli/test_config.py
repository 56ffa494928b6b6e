"""Configuration files: what they become, and the sentence for each way of getting one wrong."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import attrs
import pytest

from mmtrio.cli.arguments import RUN_EXAMPLES
from mmtrio.cli.config import Settings, load_settings, parse_settings
from mmtrio.cli.config_tables import OTHER_NAMES, TABLES
from mmtrio.core.pricing_grid import Rounding
from mmtrio.live.config import AccountConfig, MakerConfig, Network
from mmtrio.live.errors import ConfigurationError

MARKET = '[market]\ncoin = "HYPE/USDC"\nstart_px = "30"\nn_orders = 200\norder_sz = 2\n'


def refusal_of(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(text, "mm.toml")
    return str(caught.value)


def test_a_market_keeps_its_numbers_exactly() -> None:
    settings = parse_settings(
        MARKET + 'spacing = 0.003\nallocated_token = "0.1"\nrounding = "truncate"\n', "mm.toml"
    )

    (config,) = settings.market_configs()
    assert config.coin == "HYPE/USDC"
    assert (config.hip2.start_px, config.hip2.n_orders, config.hip2.order_sz) == (
        Decimal(30),
        200,
        Decimal(2),
    )
    assert config.hip2.spacing == Fraction(3, 1000)
    assert config.hip2.rounding is Rounding.TRUNCATE
    assert config.allocated_token == Decimal("0.1")
    assert settings.place_of("there is no HYPE/USDC") == "mm.toml:2"


def test_what_a_file_leaves_out_is_the_default_of_the_program() -> None:
    settings = parse_settings(MARKET, "mm.toml")
    markets = settings.market_configs()

    built = settings.maker_config(Network.LOCAL, "http://127.0.0.1:1", markets, AccountConfig())

    assert built == MakerConfig(network=Network.LOCAL, base_url="http://127.0.0.1:1", markets=markets)


def test_every_key_reaches_the_parameter_it_names() -> None:
    settings = parse_settings(
        MARKET
        + """
n_seeded_levels = 100
active_levels = 5
min_notional = 12
allocated_usdc = 500
dead_zone_bps = 6
price_tolerance_bps = 2
size_tolerance_pct = 3
require_market_data = true
[account]
instance = "second"
development_account = 4
[venue]
network = "local"
base_url = "http://127.0.0.1:3001"
[run]
interval_s = 1.5
reconcile_every = 7
startup_timeout_s = 9
shutdown_grace_s = 11
rest_lag_s = 1
request_timeout_s = 2
keep_orders = true
[limits]
address_reserve = 300
items_per_tick_max = 50
expires_after_s = 12
cooldown_s = 5
silence_max_s = 6
pull_after_s = "never"
""",
        "mm.toml",
    )
    built = settings.maker_config(
        Network.LOCAL, "http://127.0.0.1:1", settings.market_configs(), AccountConfig()
    )

    hip2, differ = built.markets[0].hip2, built.markets[0].differ
    assert (hip2.n_seeded_levels, hip2.active_levels, hip2.min_notional) == (100, 5, Decimal(12))
    assert (differ.dead_zone_bps, differ.price_tolerance_bps, differ.size_tolerance_pct) == (6, 2, 3)
    assert built.markets[0].allocated_usdc == Decimal(500) and built.markets[0].require_market_data is True
    assert (built.interval_s, built.reconcile_every, built.startup_timeout_s) == (1.5, 7, 9)
    assert (built.shutdown_grace_s, built.rest_lag_s, built.request_timeout_s, built.keep_orders) == (
        11,
        1,
        2,
        True,
    )
    assert built.budget.address_reserve == 300
    assert (built.emitter.items_per_tick_max, built.emitter.expires_after_s, built.emitter.cooldown_s) == (
        50,
        12,
        5,
    )
    assert (built.liveness.silence_max_s, built.liveness.pull_after_s) == (6, None)
    assert (settings.account.instance, settings.account.development_account) == ("second", 4)
    assert (settings.venue.network, settings.venue.base_url) == (Network.LOCAL, "http://127.0.0.1:3001")


def test_several_markets_are_several_tables() -> None:
    text = MARKET.replace("[market]", "[[market]]") + MARKET.replace("[market]", "[[market]]").replace(
        "HYPE", "PURR"
    )

    settings = parse_settings(text, "mm.toml")

    assert [market.coin for market in settings.markets] == ["HYPE/USDC", "PURR/USDC"]
    assert [settings.lines.of(path) for path in settings.market_paths] == [1, 6]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("the grid of HYPE/USDC cannot be: order_sz 0.1 at start_px 30 is too small", 8),
        ("there is no market HYPE/USDC", 6),
        ("there is no market PURR/USDC", 11),
        ("key file agent.key has mode 0644", 2),
        ("the venue cannot be reached", None),
    ],
)
def test_what_shows_only_later_is_told_with_the_line_of_the_key_it_is_about(text, line) -> None:
    settings = parse_settings(
        '[account]\nkey_file = "agent.key"\n[venue]\nnetwork = "testnet"\n'
        '[[market]]\ncoin = "HYPE/USDC"\nstart_px = 30\norder_sz = 2\nn_orders = 20\n'
        '[[market]]\ncoin = "PURR/USDC"\nstart_px = 0.1\norder_sz = 500\nn_orders = 20\n',
        "mm.toml",
    )
    assert settings.place_of(text) == (f"mm.toml:{line}" if line else None)


def test_a_file_without_a_market_is_fine_here() -> None:
    assert parse_settings("[run]\ninterval_s = 1\n", "mm.toml").markets == ()
    assert attrs.evolve(parse_settings("", "mm.toml"), file="", lines=None) == Settings()


def test_the_example_in_the_help_is_a_configuration() -> None:
    example = RUN_EXAMPLES.partition("[market]")[1] + RUN_EXAMPLES.partition("[market]")[2]

    settings = parse_settings(example, "help")

    assert settings.markets[0].coin == "HYPE/USDC"
    assert settings.run.interval_s == 3


BROKEN = [
    # keys
    (MARKET + "[run]\nintervals = 1", "mm.toml:7: [run] has no key 'intervals': did you mean interval_s?"),
    (MARKET + "interval_s = 1", "mm.toml:6: [market] has no key 'interval_s': it belongs below [run]."),
    (
        MARKET + "tick_size = 1",
        "mm.toml:6: [market] has no key 'tick_size': the step between two levels is called",
    ),
    (MARKET + "zzz = 1", "mm.toml:6: [market] has no key 'zzz': its keys are coin, start_px,"),
    ("coin = 3", "mm.toml:1: coin stands outside of any table: it belongs below [market]."),
    ("answer = 42", "there is no key 'answer' outside of a table. The tables are [market], [account],"),
    ("\n[merket]\nx = 1", "mm.toml:2: there is no table [merket]. Did you mean [market]? The tables are"),
    ("[[run]]\ninterval_s = 1", "mm.toml:1: [[run]] may not be repeated: write [run], once."),
    ("run = 3", "mm.toml:1: run is a table: write [run] on a line of its own"),
    (
        MARKET.replace("n_orders = 200\n", ""),
        "mm.toml:1: [market] lacks n_orders: it must be the number of levels, a whole number from 1 to 100000.",
    ),
    (
        MARKET.replace('coin = "HYPE/USDC"\n', ""),
        '[market] lacks coin: it must be text in quotes, such as "HYPE/USDC".',
    ),
    (
        MARKET.replace("n_orders", "n_order"),
        "mm.toml:4: [market] has no key 'n_order': did you mean n_orders?",
    ),
    # types
    (
        MARKET.replace('"HYPE/USDC"', "7"),
        'mm.toml:2: [market] coin must be text in quotes, such as "HYPE/USDC", not 7.',
    ),
    (
        MARKET.replace("200", '"many"'),
        "mm.toml:4: [market] n_orders must be the number of levels, a whole number from",
    ),
    (MARKET.replace("200", "20.5"), "a whole number from 1 to 100000, not 20.5."),
    (MARKET.replace("200", "true"), "a whole number from 1 to 100000, not true."),
    ("[run]\nkeep_orders = 1", "[run] keep_orders must be true or false, without quotes, not 1."),
    ('[run]\nkeep_orders = "yes"', 'must be true or false, without quotes, not "yes".'),
    ('[run]\ninterval_s = "3s"', '[run] interval_s must be seconds, above 0 and at most 3600, not "3s".'),
    (
        "[run]\ninterval_s = [1,\n 2]",
        "mm.toml:2: [run] interval_s must be seconds, above 0 and at most 3600, not a list.",
    ),
    # impossible values
    (MARKET.replace("200", "0"), "a whole number from 1 to 100000, not 0."),
    (MARKET.replace('"30"', "-30"), 'must be the price of the lowest level, above 0, such as "30", not -30.'),
    (MARKET.replace('"30"', "nan"), 'such as "30", not NaN.'),
    (MARKET.replace('"30"', '"1e999"'), 'such as "30", not "1e999".'),
    (MARKET + 'spacing = "0.1%"', 'not "0.1%"; 0.1% is written "0.001".'),
    (MARKET + "spacing = 0", 'above 0 and at most 1, such as "0.003", not 0.'),
    (MARKET + "spacing = 3", 'above 0 and at most 1, such as "0.003", not 3.'),
    (
        MARKET + 'rounding = "neerest"',
        'must be one of nearest, truncate, not "neerest"; did you mean "nearest"?',
    ),
    (MARKET + 'strategy = "avellaneda"', '[market] strategy must be "hip2", not "avellaneda".'),
    (MARKET + "n_seeded_levels = 201", "n_seeded_levels must not exceed n_orders (200), not 201."),
    (MARKET + "allocated_usdc = -1", "must be the quote the market may use, 0 or more"),
    ("[limits]\nexpires_after_s = 5", "expires_after_s must be seconds, at least 10 and at most 600, not 5."),
    (
        '[limits]\npull_after_s = "nie"',
        'pull_after_s must be seconds, above 0 and at most 86400, not "nie"; or "never".',
    ),
    (
        '[venue]\nnetwork = "main"',
        'must be one of local, testnet, mainnet, not "main"; did you mean "mainnet"?',
    ),
    ('[account]\naddress = "0x12"', 'must be an account\'s address, 0x and 40 hex digits, not "0x12".'),
    (
        '[account]\nkey_file = "a.key"\nkey_descriptor = 3',
        "mm.toml:3: [account] has key_file and key_descriptor: a key comes from one place only.",
    ),
    (
        MARKET.replace("[market]", "[[market]]") * 2,
        'mm.toml:7: [market] coin "HYPE/USDC" appears twice: give each market one table.',
    ),
    # not TOML
    ("[market\n", "mm.toml:1:8: this is not TOML: Expected ']' at the end of a table declaration."),
    ("[market]\ncoin = HYPE\n", "mm.toml:2:8: this is not TOML: Invalid value. Text stands in quotes"),
    ("[run]\n[run]\n", "mm.toml:2:5: this is not TOML: Cannot declare ('run',) twice."),
    ("a = " + "[" * 5000, "mm.toml"),
]


@pytest.mark.parametrize(("text", "words"), BROKEN, ids=[words[:60] for _, words in BROKEN])
def test_a_broken_configuration_is_answered_with_place_and_cure(text: str, words: str) -> None:
    refusal = refusal_of(text)

    assert words in refusal
    assert refusal.startswith("mm.toml")
    assert len(refusal) < 1_500


def test_all_mistakes_of_a_file_are_told_at_once_in_the_order_of_its_lines() -> None:
    refusal = refusal_of(
        "[limits]\ncooldown_s = -1\n[run]\nfoo = 1\ninterval_s = 0\n" + MARKET.replace("200", "0")
    )

    lines = refusal.splitlines()
    assert lines[0] == "mm.toml has 4 mistakes:"
    assert [line.split(":")[1] for line in lines[1:]] == ["2", "4", "5", "9"]


def test_a_mistyped_key_is_one_mistake_and_not_a_missing_key_as_well() -> None:
    refusal = refusal_of(MARKET.replace("n_orders", "n_order"))

    assert refusal == "mm.toml:4: [market] has no key 'n_order': did you mean n_orders?"


def test_no_more_than_ten_mistakes_are_told() -> None:
    refusal = refusal_of("[run]\n" + "".join(f"x{number} = 1\n" for number in range(30)))

    assert refusal.startswith("mm.toml has 30 mistakes, of which these are the first 10:")
    assert len(refusal.splitlines()) == 11


@pytest.mark.parametrize("key", ["private_key", "secret_key", "mnemonic"])
def test_a_key_in_the_configuration_is_refused_without_being_shown(key: str) -> None:
    refusal = refusal_of(f'[account]\n{key} = "0x{"ab" * 32}"\n')

    assert "a key never stands in a configuration" in refusal
    assert "abab" not in refusal


def test_a_key_in_place_of_its_file_is_refused_without_being_shown() -> None:
    refusal = refusal_of(f'[account]\nkey_file = "{"Ab" * 32}"\n')

    assert "this looks like a key itself" in refusal
    assert "AbAb" not in refusal


def test_a_key_anywhere_else_is_not_shown_either() -> None:
    refusal = refusal_of(f'[account]\naddress = "{"ab" * 32}"\n"{"cd" * 32}" = 1\n')

    assert "abab" not in refusal and "cdcd" not in refusal


def test_a_relative_key_file_lies_beside_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "mm.toml"
    file.write_text('[account]\nkey_file = "agent.key"\n')

    assert load_settings(file).account.key_file == tmp_path / "agent.key"


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'[market]\ncoin = "\xe9"\n')
    (tmp_path / "huge.toml").write_bytes(b"#" * (1024 * 1024 + 1))
    expected = {
        "absent.toml": "there is no configuration file",
        ".": "is a folder",
        "latin.toml": "latin.toml:2: this is not UTF-8 text. Save the file as UTF-8.",
        "huge.toml": "is larger than",
    }
    for name, words in expected.items():
        with pytest.raises(ConfigurationError, match=words):
            load_settings(tmp_path / name)


def test_a_file_with_a_byte_order_mark_and_windows_lines_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mm.toml"
    file.write_bytes(b"\xef\xbb\xbf" + MARKET.replace("\n", "\r\n").encode())

    assert load_settings(file).markets[0].n_orders == 200


def test_every_key_states_its_parser_and_every_default_passes_it() -> None:
    for name, table in TABLES.items():
        for field in attrs.fields(table):
            parser = field.metadata["parser"]
            if field.default is attrs.NOTHING or field.default is None:
                continue
            default = field.default
            given = default.value if hasattr(default, "value") else default
            if isinstance(given, Fraction):
                given = str(Decimal(given.numerator) / given.denominator)
            if isinstance(given, float):
                given = Decimal(str(given))
            assert parser(given) == default, (name, field.name)


def test_names_from_elsewhere_are_not_our_own() -> None:
    own = {field.name for table in TABLES.values() for field in attrs.fields(table)}

    assert own.isdisjoint(OTHER_NAMES)
