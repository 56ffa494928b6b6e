"""The command line: verbs, flags, and help that teaches. Every mistake ends as one paragraph and exit code 2."""

from __future__ import annotations

import argparse
import re
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from mmtrio import __version__
from mmtrio.live.config import Network
from mmtrio.live.errors import ConfigurationError

EXIT_CODES = """\
exit codes:
  0  fine
  1  anything else went wrong
  2  the configuration or the command line: the message says where and what to write
  3  the venue refused, or cannot be reached
  4  stopped, but it is not proven that no order rests; the message names those that may
"""

_DESCRIPTION = """\
A market maker for Hyperliquid as one Trio program, with a local exchange to run it against.

Start here: it needs no account, no key and no network.

  trio-mm run                quote on an exchange inside this process until Ctrl-C
  trio-mm run --for 60s      the same for a minute, with a summary at the end
  trio-mm exchange           the exchange alone, for other programs to trade on
"""

_RUN_DESCRIPTION = """\
Quote a market: a HIP-2 ladder of resting orders, bids below the price and asks above, refilled as they trade.

Without a configuration it trades HYPE/USDC on an exchange inside this process, over real sockets, with made-up
money and made-up traders. Ctrl-C once cancels every order, proves that none is left, and ends.
"""

RUN_EXAMPLES = """\
examples:
  trio-mm run                                       the default market, until Ctrl-C
  trio-mm run --for 60s --json                      a minute, then one JSON object on stdout
  trio-mm run --for 60s --seed 7                    the same market again each time
  trio-mm run --market-data DIR --market-speed 20   a recorded market, twenty times as fast
  trio-mm run --base-url http://127.0.0.1:3001      an exchange started with `trio-mm exchange`
  trio-mm run --config mm.toml                      your own markets and ladders
  trio-mm run --config mm.toml --network testnet    with a key: [account] key_file = "agent.key"

a configuration, in full where a default will not do (numbers may be quoted; money is exact either way):
  [market]                  # or [[market]] several times
  coin = "HYPE/USDC"
  start_px = "30"           # the lowest level
  n_orders = 100            # levels
  order_sz = "2"            # base per level
  spacing = "0.003"         # each level 0.3 % above the one below
  active_levels = 10        # shown on each side
  allocated_token = "98"    # base it may use: 49 levels from the top, so asks begin at 34.95
  allocated_usdc = "3500"   # quote it may use: bids from there down
  [run]
  interval_s = 3
"""

_EXCHANGE_DESCRIPTION = """\
The local exchange alone: Hyperliquid's HTTP and WebSocket API on this machine, with made-up money and traders.

It prints its URL and funded accounts with their keys. Those keys are public: use them nowhere else.
"""

_EXCHANGE_EXAMPLES = """\
examples:
  trio-mm exchange                                    http://127.0.0.1:3001, ten funded accounts
  trio-mm exchange --port 0                           any free port; the first line names it
  trio-mm exchange --seed 7                           the same traders again each time
  trio-mm exchange --no-flow                          nobody trades but you
  trio-mm exchange --market-data DIR                  a recorded market
  trio-mm run --base-url http://127.0.0.1:3001        in another terminal: trade on it

one log line for each request that places, changes or cancels orders, with the venue's own time in milliseconds.
"""

_INVALID_CHOICE = re.compile(
    r"argument (?P<flag>\S+): invalid choice: (?P<given>.*) \(choose from (?P<all>.*)\)"
)
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_UNIT_S = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_DURATION_S_MAX = Decimal(86400 * 366)


class _Parser(argparse.ArgumentParser):
    """An argparse parser whose complaints are exceptions, and which knows its flags by their nearest name."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{_in_plain_words(message)} Try {self.prog} --help.")

    def nearest_flag(self, flag: str) -> str | None:
        """The flag somebody who typed this probably meant."""
        flags = sorted(name for name in self._option_string_actions if name.startswith("--"))
        return next(iter(get_close_matches(flag.partition("=")[0], flags, n=1, cutoff=0.5)), None)


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """What was typed, checked as far as it can be without looking further. `verb` is None where none was given.

    Raises:
        ConfigurationError: it makes no sense; the text names the nearest flag or an example.
        SystemExit: --help and --version, which have been printed.
    """
    parser, verbs = _parsers()
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        speaker = verbs.get(arguments.verb, parser)
        raise ConfigurationError(_unknown_arguments(speaker, unknown))
    return arguments


def help_text() -> str:
    """What `trio-mm` alone says."""
    return _parsers()[0].format_help()


def duration_s(text: str) -> float:
    """Seconds in `60s`, `5m`, `1h`, `1h30m`, `500ms` or `90`.

    Raises:
        ValueError: not a duration, none at all, or more than a year.
    """
    plain = text.strip().lower()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", plain):
        plain += "s"
    parts = _DURATION_PART.findall(plain)
    if not parts or "".join(number + unit for number, unit in parts) != plain:
        raise ValueError(f"{text!r} is not a duration: write 60s, 5m, 1h, 1h30m or 90 (seconds)")
    seconds = sum((Decimal(number) * _UNIT_S[unit] for number, unit in parts), Decimal(0))
    if not 0 < seconds <= _DURATION_S_MAX:
        raise ValueError(f"{text!r} is not a usable duration: it must be longer than 0 and at most a year")
    return float(seconds)


def _parsers() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        prog="trio-mm",
        description=_DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"trio-mm {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    run = verbs.add_parser(
        "run",
        help="quote a market",
        description=_RUN_DESCRIPTION,
        epilog=f"{RUN_EXAMPLES}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    exchange = verbs.add_parser(
        "exchange",
        help="serve the local exchange alone",
        description=_EXCHANGE_DESCRIPTION,
        epilog=f"{_EXCHANGE_EXAMPLES}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_run_flags(run)
    _add_exchange_flags(exchange)
    return parser, {"run": run, "exchange": exchange}


def _add_run_flags(parser: _Parser) -> None:
    what = parser.add_argument_group("what to trade, and where")
    what.add_argument("--config", type=Path, metavar="FILE", help="a TOML file; see the example below")
    what.add_argument(
        "--network",
        choices=[network.value for network in Network],
        help="default: local. mainnet is refused for now",
    )
    what.add_argument("--base-url", metavar="URL", help="the venue; one on this machine is always `local`")
    what.add_argument(
        "--account",
        type=_whole("an account number", 0, 19),
        metavar="N",
        help="on local: trade with the N-th development account (default 0)",
    )
    what.add_argument(
        "--coin", metavar="NAME", help="on local without [market]: the market (default HYPE/USDC)"
    )
    _add_market_flags(what)
    what.add_argument("--seed", type=_seed, metavar="N", help="fixes every die: the traders' and our own")
    how = parser.add_argument_group("how to run")
    how.add_argument(
        "--for", dest="for_s", type=_duration, metavar="60s", help="stop after so long of quoting"
    )
    how.add_argument(
        "--startup-timeout",
        dest="startup_timeout_s",
        type=_duration,
        metavar="30s",
        help="give up after so long",
    )
    how.add_argument(
        "--keep-orders", action="store_true", default=None, help="leave resting orders at the end"
    )
    how.add_argument(
        "--lock-folder", type=Path, metavar="DIR", help="where the lock of one bot per account lies"
    )
    how.add_argument(
        "--json", action="store_true", help="one JSON object on stdout at exit, and nothing else there"
    )
    _add_log_flags(how)


def _add_exchange_flags(parser: _Parser) -> None:
    parser.add_argument(
        "--port",
        type=_whole("a port", 0, 65535),
        default=3001,
        metavar="N",
        help="default 3001; 0 takes a free one",
    )
    parser.add_argument("--seed", type=_seed, metavar="N", help="the same traders again each time")
    parser.add_argument(
        "--accounts",
        type=_whole("a number of accounts", 1, 20),
        default=10,
        metavar="N",
        help="funded development accounts (default 10)",
    )
    parser.add_argument("--no-flow", action="store_true", help="no traders but those who connect")
    _add_market_flags(parser)
    parser.add_argument(
        "--block-ms",
        type=_whole("milliseconds", 5, 10_000),
        default=70,
        metavar="N",
        help="default 70, as the venue",
    )
    _add_log_flags(parser)


def _add_market_flags(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--market-data",
        type=Path,
        metavar="DIR",
        help="drive the exchange with a recorded market in this folder",
    )
    parser.add_argument(
        "--market-speed", type=_speed, metavar="X", help="play the recording X times as fast (default 1)"
    )


def _add_log_flags(parser: argparse._ActionsContainer) -> None:
    levels = ("debug", "info", "warning", "error")
    parser.add_argument("--log-level", type=str.lower, choices=levels, default="info", help="default info")
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="default text; UTC either way"
    )


def _duration(text: str) -> float:
    try:
        return duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seed(text: str) -> int:
    return _whole("a seed", 0, 2**63 - 1)(text)


def _whole(what: str, smallest: int, largest: int):  # type: ignore[no-untyped-def]
    def parse(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,19}", text) is None or not smallest <= int(text) <= largest:
            raise argparse.ArgumentTypeError(
                f"{text[:40]!r} is not {what}: write a whole number from {smallest} to {largest}"
            )
        return int(text)

    return parse


def _speed(text: str) -> float:
    try:
        speed = Decimal(text)
    except InvalidOperation:
        speed = Decimal(0)
    if not (speed.is_finite() and Decimal("0.01") <= speed <= 1000):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a speed: write a number from 0.01 to 1000")
    return float(speed)


def _in_plain_words(message: str) -> str:
    """argparse's own sentences, with the full stop they lack."""
    invalid = _INVALID_CHOICE.fullmatch(message)
    if invalid is None:
        return message if message.endswith(".") else f"{message}."
    choices = [choice.strip(" '\"") for choice in invalid["all"].split(",")]
    given = invalid["given"].strip("'\"")
    near = get_close_matches(given, choices, n=1, cutoff=0.5)
    place = "there is no verb" if invalid["flag"] == "VERB" else f"{invalid['flag']} cannot be"
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{place} {given!r}: {hint}It is one of {', '.join(choices)}."


def _unknown_arguments(parser: _Parser, unknown: list[str]) -> str:
    first = unknown[0]
    if not first.startswith("-"):
        return f"{first!r} is one word too many. Try {parser.prog} --help."
    if any(word in first.lower() for word in ("key", "secret", "mnemonic")):
        return (
            "a key is never an argument: other processes can read it there. Put it into a file with mode 0600, and "
            "name that file in the configuration, as key_file under [account]."
        )
    near = parser.nearest_flag(first)
    hint = f"did you mean {near}?" if near else "it is none of its flags."
    return f"there is no flag {first.partition('=')[0]}: {hint} Try {parser.prog} --help."
